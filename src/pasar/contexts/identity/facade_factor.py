"""Second factors: to enrol one, to remove it. Signing in with it is `facade_trust`."""

import base64
from uuid import UUID

from pasar.kernel.access import Principal
from pasar.kernel.bus import Bus
from pasar.kernel.private import Private
from pasar.refusals import BadCredentials, SecondFactorStateForbids

from . import facade
from .account import Account
from .contract import EndSessions
from .contract_factor import (
    BeginSecondFactor,
    Confirmed,
    ConfirmSecondFactor,
    Enrolment,
    RemoveSecondFactor,
    SecondFactorStatus,
)
from .facade_trust import status, use
from .second_factor import RECOVERY_CODES, recovery_digest, second_factor, step_of, uri_of


async def begin(bus: Bus, id: UUID, password: str, place: str) -> Enrolment:
    account = await _sure(bus, id, password, None, place)
    secret = base64.b32encode(base64.urlsafe_b64decode(bus.ids.token(20) + "=")).decode().rstrip("=")
    await bus.send(BeginSecondFactor(account=id, secret=Private(secret)))
    mail = await bus.keys.open(account.mail) if account.mail else str(id)
    return Enrolment(secret=secret, uri=uri_of(secret, mail, "Pasar"))


async def confirm(bus: Bus, id: UUID, code: str, place: str) -> Confirmed:
    """The app shows right codes: from now on they are asked for. Every session ends, and a new one begins."""
    factor = await bus.db.state(second_factor, id)
    if factor is None or factor.state != "begun" or factor.secret is None:
        raise SecondFactorStateForbids("begin to enrol first")
    async with facade.guesses(bus).one(bus.context.tenant, f"code:{id}", place):
        step = step_of(await bus.keys.open(factor.secret), code, bus.now())
        if step is None:
            raise BadCredentials
    codes = tuple(_readable(bus.ids.token(10)) for _ in range(RECOVERY_CODES))
    digests = " ".join(recovery_digest(one) for one in codes)
    session, refresh = facade.new_session(bus, id)
    confirmed = ConfirmSecondFactor(account=id, step=step, recovery=Private(digests))
    await bus.send_together(confirmed, EndSessions(account=id))
    await bus.send(session)
    tokens = facade.tokens(bus, await facade.account_of(bus.db, id), refresh)
    return Confirmed(
        recovery_codes=codes,
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        expires_in=tokens.expires_in,
    )


async def remove(bus: Bus, id: UUID, password: str, code: str, place: str) -> SecondFactorStatus:
    await _sure(bus, id, password, code, place)
    await bus.send(RemoveSecondFactor(account=id, by=str(id)))
    return await status(bus.db, id)


async def reset(bus: Bus, who: Principal, id: UUID) -> SecondFactorStatus:
    """An administrator has seen who it is: app and recovery codes are lost. Their sessions end."""
    if who.id == str(id):
        raise SecondFactorStateForbids("one's own second factor is removed with a code")
    await facade.account_of(bus.db, id)
    await bus.send_together(RemoveSecondFactor(account=id, by=who.id), EndSessions(account=id))
    return await status(bus.db, id)


async def _sure(bus: Bus, id: UUID, password: str, code: str | None, place: str) -> Account:
    """Whose access token it is knows the password as well, and the code where one is given."""
    account = await facade.account_of(bus.db, id)
    async with facade.guesses(bus).one(bus.context.tenant, str(id), place):
        if not await facade.is_right(bus, account, password):
            raise BadCredentials
        if code is not None:
            spent = await use(bus, id, code)
            if spent is not None:
                await bus.send(spent)
    return account


def _readable(token: str) -> str:
    """Letters and digits that are not mistaken for each other, in groups: 80 bits of chance."""
    text = base64.b32encode(base64.urlsafe_b64decode(token + "==")).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, 16, 4))

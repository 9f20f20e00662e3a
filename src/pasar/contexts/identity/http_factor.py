"""Second factors over HTTP. Secrets are shown once and not kept for a repeat, so that nothing here takes a key."""

from uuid import UUID

from pasar.kernel.access import Principal, signed_in, staff
from pasar.kernel.bus import Bus
from pasar.kernel.store import Reader
from pasar.kernel.web import Request, route
from pasar.refusals import (
    AccountIsErased,
    AccountNotFound,
    BadCredentials,
    SecondFactorNeeded,
    SecondFactorStateForbids,
    TooManyGuesses,
)

from . import facade_factor, facade_trust
from .contract_factor import Code, Confirmed, Enrolment, Password, PasswordAndCode, SecondFactorStatus

_GUESSING = [BadCredentials, TooManyGuesses, AccountNotFound, AccountIsErased]


@route("GET", "/api/v1/me/second-factor", policy=signed_in)
async def status(db: Reader, who: Principal) -> SecondFactorStatus:
    """Whether one has a second factor, and how many recovery codes are left."""
    return await facade_trust.status(db, UUID(who.id))


@route("POST", "/api/v1/me/second-factor", policy=signed_in, key="none", refuses=[*_GUESSING, SecondFactorStateForbids],
       example={"password": "orange boats sail at noon"})  # fmt: skip
async def begin(body: Password, bus: Bus, who: Principal, request: Request) -> Enrolment:
    """Begin to enrol an authenticator app. It counts when a code of it has confirmed it."""
    return await facade_factor.begin(bus, UUID(who.id), body.password.plain_text, request.client)


@route("POST", "/api/v1/me/second-factor/confirm", policy=signed_in, key="none",
       refuses=[*_GUESSING, SecondFactorStateForbids], example={"code": "287082"})  # fmt: skip
async def confirm(body: Code, bus: Bus, who: Principal, request: Request) -> Confirmed:
    """Confirm it with a code. Every session ends; here are new tokens, and recovery codes to keep in a safe place."""
    return await facade_factor.confirm(bus, UUID(who.id), body.code.plain_text, request.client)


@route("POST", "/api/v1/me/second-factor/remove", policy=signed_in, key="none",
       refuses=[*_GUESSING, SecondFactorNeeded],
       example={"password": "orange boats sail at noon", "code": "287082"})  # fmt: skip
async def remove(body: PasswordAndCode, bus: Bus, who: Principal, request: Request) -> SecondFactorStatus:
    """Remove it, with password and code."""
    password, code = body.password.plain_text, body.code.plain_text
    return await facade_factor.remove(bus, UUID(who.id), password, code, request.client)


@route("POST", "/api/v1/accounts/{account}/second-factor/reset", policy=staff("admin"), key="none",
       refuses=[AccountNotFound, AccountIsErased, SecondFactorStateForbids])  # fmt: skip
async def reset(account: UUID, bus: Bus, who: Principal) -> SecondFactorStatus:
    """Take away the second factor of somebody who has lost app and recovery codes. Make sure who it is, first."""
    return await facade_factor.reset(bus, who, account)

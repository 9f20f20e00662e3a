"""A second factor: begun, confirmed, used, removed. A code is good once, and later codes only after it.

TOTP of RFC 6238 with what every authenticator app has: SHA-1, 30 seconds, six digits.
"""

import base64
import hashlib
import hmac
from datetime import datetime
from typing import Literal, assert_never
from urllib.parse import quote, urlencode

from msgspec.structs import replace

from pasar.kernel.decider import Decider
from pasar.kernel.messages import Value
from pasar.kernel.private import Private
from pasar.refusals import BadCredentials, SecondFactorStateForbids
from pasar.vocabulary import AccountId, Contact

from .contract_factor import (
    BeginSecondFactor,
    ConfirmSecondFactor,
    RemoveSecondFactor,
    SecondFactorBegun,
    SecondFactorConfirmed,
    SecondFactorRemoved,
    SecondFactorStatus,
    SecondFactorUsed,
    UseSecondFactor,
)

STEP_S = 30
DIGITS = 6
SKEW = 1
"""So many steps before and after now are right as well: clocks differ, and people type slowly."""
RECOVERY_CODES = 10


def code_of(secret: bytes, step: int) -> str:
    """RFC 4226, 5.3, with the time step as its counter."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), hashlib.sha1)
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """The time step whose code this is, near now; None for a wrong one. Compares all, in constant time."""
    key, current, found = base64.b32decode(secret), int(now.timestamp()) // STEP_S, None
    for step in range(current - SKEW, current + SKEW + 1):
        if hmac.compare_digest(code_of(key, step).encode(), code.strip().encode()):
            found = step
    return found


def uri_of(secret: str, account: str, issuer: str) -> str:
    """What a QR code for authenticator apps says."""
    query = urlencode({"secret": secret, "issuer": issuer, "digits": DIGITS, "period": STEP_S}, quote_via=quote)
    return f"otpauth://totp/{quote(issuer)}:{quote(account)}?{query}"


def recovery_digest(code: str) -> str:
    """Recovery codes are long and drawn by chance, so that a plain hash keeps them."""
    return hashlib.sha256(code.strip().replace("-", "").lower().encode()).hexdigest()


def recovery_number(digests: str, code: str) -> int | None:
    """Which of the recovery codes this is; `digests` as they are kept."""
    wanted, found = recovery_digest(code), None
    for number, digest in enumerate(digests.split()):
        if hmac.compare_digest(digest, wanted):
            found = number
    return found


FactorCommand = BeginSecondFactor | ConfirmSecondFactor | UseSecondFactor | RemoveSecondFactor
FactorEvent = SecondFactorBegun | SecondFactorConfirmed | SecondFactorUsed | SecondFactorRemoved


class Factor(Value):
    state: Literal["none", "begun", "on"] = "none"
    account: AccountId | None = None
    secret: Private[Contact] | None = None
    recovery: Private[Contact] | None = None
    last_step: int = 0
    spent: tuple[int, ...] = ()
    """Numbers of recovery codes that were used."""


def decide(command: FactorCommand, factor: Factor) -> list[FactorEvent]:
    match command:
        case BeginSecondFactor(account=id, secret=secret):
            if factor.state == "on":
                raise SecondFactorStateForbids("a second factor is on; remove it first")
            return [SecondFactorBegun(account=id, secret=secret)]
        case ConfirmSecondFactor(account=id, step=step, recovery=recovery):
            if factor.state != "begun":
                raise SecondFactorStateForbids(f"the second factor is {factor.state}; begin it first")
            return [SecondFactorConfirmed(account=id, step=step, recovery=recovery)]
        case UseSecondFactor(account=id, step=step, recovery=recovery):
            is_new = (step is not None and step > factor.last_step) or (
                recovery is not None and recovery not in factor.spent
            )
            if factor.state != "on" or not is_new:
                raise BadCredentials  # Used before, as a thief who looked over a shoulder would.
            return [SecondFactorUsed(account=id, step=step, recovery=recovery)]
        case RemoveSecondFactor(account=id, by=by):
            return [] if factor.state == "none" else [SecondFactorRemoved(account=id, by=by)]
        case _:
            assert_never(command)


def evolve(factor: Factor, event: FactorEvent) -> Factor:
    match event:
        case SecondFactorBegun(account=id, secret=secret):
            return Factor(state="begun", account=id, secret=secret)
        case SecondFactorConfirmed(step=step, recovery=recovery):
            return replace(factor, state="on", recovery=recovery, last_step=step)
        case SecondFactorUsed(step=step, recovery=recovery):
            spent = factor.spent if recovery is None else (*factor.spent, recovery)
            return replace(factor, last_step=max(factor.last_step, step or 0), spent=spent)
        case SecondFactorRemoved(account=id):
            return Factor(account=id)
        case _:
            assert_never(event)


def answer(factor: Factor) -> SecondFactorStatus | None:
    left = RECOVERY_CODES - len(factor.spent) if factor.state == "on" else 0
    return factor.account and SecondFactorStatus(account=factor.account, state=factor.state, recovery_left=left)


second_factor = Decider("identity.second_factor", "account", Factor(), decide, evolve, answer=answer)

"""What a sign-in is good for: whether a second factor is asked for, and which roles it gives."""

from uuid import UUID

from msgspec.structs import replace

from pasar.kernel.bus import Bus
from pasar.kernel.store import Reader
from pasar.refusals import BadCredentials, SecondFactorNeeded

from .account import STAFF, Account
from .contract_factor import SecondFactorStatus, UseSecondFactor
from .second_factor import answer, recovery_number, second_factor, step_of


async def status(db: Reader, id: UUID) -> SecondFactorStatus:
    found = await db.state(second_factor, id)
    return (found and answer(found)) or SecondFactorStatus(account=id, state="none")


async def use(bus: Bus, id: UUID, code: str | None) -> UseSecondFactor | None:
    """The command that spends a code, to be sent with what it allows. None: this account has no second factor.
    Refuses (4016) where one is needed and (4005) where it is wrong."""
    factor = await bus.db.state(second_factor, id)
    if factor is None or factor.state != "on":
        return None
    if code is None:
        raise SecondFactorNeeded
    assert factor.secret is not None
    assert factor.recovery is not None
    step = step_of(await bus.keys.open(factor.secret), code, bus.now())
    recovery = recovery_number(await bus.keys.open(factor.recovery), code)
    if step is None and recovery is None:
        raise BadCredentials
    return UseSecondFactor(account=id, step=step, recovery=recovery)


async def trusted(bus: Bus, account: Account, demanded: bool) -> Account:
    """The account with the roles that its sign-in is good for. Where a second factor is demanded of staff, who has none
    yet acts without staff roles, which is enough to enrol."""
    if not demanded or account.account is None or not set(account.roles) & set(STAFF):
        return account
    if (await status(bus.db, account.account)).state == "on":
        return account
    return replace(account, roles=tuple(role for role in account.roles if role not in STAFF) or ("member",))

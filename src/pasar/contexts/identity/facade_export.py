"""A person's own data, all of it: identity's part, and what each other context says that it keeps (`exports` of its
module)."""

from uuid import UUID

from pasar.kernel.bus import Bus
from pasar.kernel.history import told
from pasar.kernel.module import OfPersons
from pasar.kernel.store import Reader

from .account import account as accounts
from .account import answer as me_of
from .contract import Export, GivenConsent, OpenSession, ToldBefore
from .facade import account_of

NOT_TOLD = frozenset({"password_hash", "secret", "recovery"})
"""What proves who somebody is, made by us: whoever steals an export shall not be able to sign in with it."""


async def export(bus: Bus, id: UUID) -> Export:
    """All that is kept of a person, also by other contexts, and what they said before they changed it; sealed, as
    answers are opened on their way out."""
    account = await account_of(bus.db, id)
    found = me_of(account)
    assert found is not None
    before = await told(bus.db, [(accounts.kind, str(id))])
    return Export(
        me=found,
        consents=tuple(
            GivenConsent(purpose=purpose, version=version)
            for purpose, _, version in (consent.partition(":") for consent in account.consents)
        ),
        sessions=await sessions(bus.db, id),
        verification=account.verification,
        told=tuple(
            ToldBefore(at=one.at, what=one.type, field=one.field, value=one.value)
            for one in before
            if one.field not in NOT_TOLD
        ),
        others={name: await function(bus, id) for name, function in sorted(bus.tool(OfPersons).exports.items())},
    )


async def sessions(db: Reader, id: UUID) -> tuple[OpenSession, ...]:
    """Where a person is signed in."""
    account = await account_of(db, id)
    return tuple(OpenSession(session=one.session, expires_at=one.expires_at) for one in account.sessions)

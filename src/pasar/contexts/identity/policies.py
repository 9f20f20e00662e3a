"""What follows from what happened to an account: tokens that die in every process, keys that are destroyed."""

from datetime import timedelta

from pasar.kernel.bus import Bus, Core
from pasar.kernel.policies import Reaction
from pasar.kernel.store import Recorded

from . import facade_erasure
from .contract import AccessRevoked, AccountErased

LIVES = timedelta(minutes=20)
"""Longer than any access token and its clock skew."""


async def _destroy_keys(recorded: Recorded, bus: Bus) -> None:
    """Also where the process that began the erasure has died."""
    event = recorded.event
    assert isinstance(event, AccountErased)
    await facade_erasure.finish(bus, event.account)


destroy_keys = Reaction("identity.destroy_keys", on={AccountErased: _destroy_keys})


def revoked_by(recorded: Recorded) -> tuple[int, str, int]:
    """What an event that revokes says to `kernel.tokens.Revocations.revoke`: tenant, account, least version."""
    event = recorded.event
    assert isinstance(event, AccessRevoked)
    return recorded.tenant, str(event.account), event.token_version


async def recently_revoked(core: Core) -> list[tuple[int, str, int]]:
    """Whose tokens were revoked while they might still be alive: what a process that starts must know."""
    rows = await core.database.kernel.fetch(
        """select tenant, data ->> 'account' as account, max((data ->> 'token_version')::int) as least
             from kernel.event where type = 'identity.AccessRevoked' and at > $1 group by 1, 2""",
        core.clock.now() - LIVES,
    )
    return [(row["tenant"], row["account"], row["least"]) for row in rows]

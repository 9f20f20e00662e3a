"""When a guest signs in, their cart becomes the member's."""

from pasar.contexts.identity.contract import SessionStarted
from pasar.kernel.bus import Bus
from pasar.kernel.policies import Reaction
from pasar.kernel.store import Recorded

from . import facade


async def merge(recorded: Recorded, bus: Bus) -> None:
    event = recorded.event
    assert isinstance(event, SessionStarted)
    if event.guest is not None:
        await facade.merge_at_login(bus, event.guest, event.account)


merge_carts = Reaction("checkout.merge_carts", on={SessionStarted: merge})

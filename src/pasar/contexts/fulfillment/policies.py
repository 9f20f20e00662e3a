"""When an order is paid, bind its goods to places."""

from collections.abc import Sequence

from pasar.contexts.ordering.contract import OrderPaid
from pasar.kernel.bus import Bus
from pasar.kernel.delivery import Retry
from pasar.kernel.messages import Command
from pasar.kernel.policies import Reaction
from pasar.kernel.store import Recorded
from pasar.refusals import NotAllocatable, NothingToAllocate, StockIsBusy

from . import facade
from .contract import NoteUnallocatable


async def allocate(recorded: Recorded, bus: Bus) -> Sequence[Command]:
    paid = recorded.event
    assert isinstance(paid, OrderPaid)
    try:
        await facade.plan_and_allocate(bus, paid.order_no, paid.buyer, paid.address, paid.lines)
    except StockIsBusy as busy:
        raise Retry(busy.detail) from None
    except NotAllocatable as refused:
        missing = tuple(one["sku"] for one in refused.facts.get("shortfall", ()))
        return [NoteUnallocatable(order_no=paid.order_no, buyer=paid.buyer, missing=missing)]
    except NothingToAllocate:
        pass  # It failed before, or was undone.
    return []


allocation = Reaction("fulfillment.allocation", on={OrderPaid: allocate})

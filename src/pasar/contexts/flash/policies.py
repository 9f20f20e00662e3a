"""What a sale has left when it has ended, and what comes back to it afterwards, goes to the SKU's own pool."""

from collections.abc import Iterable
from uuid import uuid5

from pasar.accounts import sale_pool
from pasar.contexts.ordering.contract import OrderCanceled
from pasar.kernel.bus import Bus
from pasar.kernel.delivery import Retry
from pasar.kernel.policies import Reaction
from pasar.kernel.store import Recorded
from pasar.refusals import InsufficientStock

from .contract import ReturnLeftover, SaleEnded
from .sale import sale as sale_decider


async def return_leftover(recorded: Recorded, bus: Bus) -> None:
    """Orders race for the same units until the very end: it reads again until the floor accepts it."""
    places = sorted(set(_concerned(recorded.event)))
    known = await bus.db.states(sale_decider, {sale for _, sale in places})
    ended = {code for code, life in known.items() if life.sale is not None and life.sale.is_ended}
    places = [(sku, sale) for sku, sale in places if sale in ended]
    left = await bus.db.balances([sale_pool(sku, sale) for sku, sale in places])
    for (sku, sale), units in zip(places, left, strict=True):
        if units > 0:
            id = uuid5(recorded.id, f"{sku}:{sale}")
            try:
                await bus.send(ReturnLeftover(leftover=id, sale=sale, sku=sku, quantity=units))
            except InsufficientStock as rival:
                raise Retry(rival.detail) from rival


def _concerned(event: object) -> Iterable[tuple[str, str]]:
    match event:
        case SaleEnded(sale=sale, skus=skus):
            return [(sku, sale) for sku in skus]
        case OrderCanceled(lines=lines):
            return [(line.sku, line.sale.sale) for line in lines if line.sale is not None]
        case _:
            return []


reactions = (Reaction("flash.return_leftover", on={SaleEnded: return_leftover, OrderCanceled: return_leftover}),)

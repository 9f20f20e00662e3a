"""What follows when goods expire, and when units come back while others are short. Both read the accounts, race with
buyers for the same units, and read again until the floors accept it."""

from collections.abc import Iterable
from uuid import UUID, uuid5

from pasar.accounts import batch_pool, batch_shortfall, pool, shortfall
from pasar.contexts.flash.contract import LeftoverReturned
from pasar.contexts.fulfillment.contract import AllocationUndone
from pasar.contexts.ordering.contract import OrderCanceled
from pasar.kernel.bus import Bus
from pasar.kernel.delivery import Retry
from pasar.kernel.policies import Reaction
from pasar.kernel.store import Recorded
from pasar.refusals import InsufficientStock, NotAllocatable, ShortfallIsSmaller
from pasar.vocabulary import BatchId, Sku

from . import batch, facade
from .contract import (
    BatchExpired,
    BlockStock,
    CoverShortfall,
    HoldReleased,
    StockAdjusted,
    StockBlocked,
    StockMoved,
    StockReceived,
)
from .hold import hold

Units = tuple[Sku, BatchId | None]


async def block_expired(recorded: Recorded, bus: Bus) -> None:
    """Pieces of an expired batch are blocked, whatever brought them into stock."""
    batches = {(sku, of) for sku, of in _came(recorded.event) if of is not None}
    known = await bus.db.states(batch.batch, [batch.name_of_batch(*key) for key in batches])
    expired = {key for key in batches if (found := known.get(batch.name_of_batch(*key))) and found.expired}
    if not expired:
        return
    for place in await facade.places(bus.db, sorted({sku for sku, _ in expired})):
        if place.batch is None or (place.sku, place.batch) not in expired:
            continue
        free, named = await bus.db.balances([pool(place.sku), batch_pool(place.sku, place.batch)])
        command = BlockStock(
            blocking=uuid5(recorded.id, f"{place.sku}:{place.batch}:{place.warehouse}"),
            warehouse=place.warehouse,
            sku=place.sku,
            batch=place.batch,
            quantity=place.quantity,
            from_pool=min(free, place.quantity),
            from_batch_pool=min(named, place.quantity),
        )
        try:
            await bus.send(command)
        except (NotAllocatable, InsufficientStock) as rival:
            raise Retry(rival.detail) from rival


def _came(event: object) -> Iterable[Units]:
    match event:
        case BatchExpired(sku=sku, batch=of):
            return [(sku, of)]
        case StockReceived(lines=lines):
            return [(line.sku, line.batch) for line in lines]
        case AllocationUndone(parcels=parcels):
            return [(pick.sku, pick.batch) for parcel in parcels for pick in parcel.picks]
        case StockAdjusted(sku=sku, batch=of) | StockMoved(sku=sku, batch=of):
            return [(sku, of)]
        case _:
            return []


async def cover_shortfall(recorded: Recorded, bus: Bus) -> None:
    """Pool and shortfall of a SKU are never both above 0 for long: nobody buys what a loss took away."""
    units = sorted(await _freed(recorded, bus), key=lambda one: (one[0], one[1] or ""))
    pools = [pool(sku) if of is None else batch_pool(sku, of) for sku, of in units]
    shorts = [shortfall(sku) if of is None else batch_shortfall(sku, of) for sku, of in units]
    counted = await bus.db.balances([*pools, *shorts])
    for (sku, of), free, short in zip(units, counted[: len(units)], counted[len(units) :], strict=True):
        if (quantity := min(free, short)) > 0:
            id: UUID = uuid5(recorded.id, f"{sku}:{of or ''}")
            try:
                await bus.send(CoverShortfall(cover=id, sku=sku, batch=of, quantity=quantity))
            except (InsufficientStock, ShortfallIsSmaller) as rival:
                raise Retry(rival.detail) from rival


async def _freed(recorded: Recorded, bus: Bus) -> set[Units]:
    """What may have come back to its pool, or become short, by an event."""
    found: set[Units] = set()
    match recorded.event:
        case HoldReleased(hold=id):
            held = await bus.db.state(hold, id)
            found = {(held.what.sku, None)} if held and held.what else set()
        case OrderCanceled(lines=lines):
            found = {(line.sku, line.batch) for line in lines if not line.is_digital}
        case AllocationUndone(parcels=parcels):
            found = {(pick.sku, pick.batch) for parcel in parcels for pick in parcel.picks if not pick.digital}
        case LeftoverReturned(sku=sku):
            found = {(sku, None)}
        case StockAdjusted(sku=sku, batch=of) | StockBlocked(sku=sku, batch=of):
            found = {(sku, of)}
        case _:
            pass
    return found | {(sku, None) for sku, _ in found}


_MOVES = (BatchExpired, StockReceived, StockAdjusted, StockMoved, AllocationUndone)
_FREES = (HoldReleased, OrderCanceled, AllocationUndone, StockAdjusted, StockBlocked, LeftoverReturned)
reactions = (
    Reaction("inventory.block_expired", on=dict.fromkeys(_MOVES, block_expired)),
    Reaction("inventory.cover_shortfall", on=dict.fromkeys(_FREES, cover_shortfall)),
)

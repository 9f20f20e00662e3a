"""Pieces that must not be sold any more: they stay where they lie, in an account of their own. Booked once."""

from pasar.accounts import (
    batch_pool,
    batch_promises,
    batch_shortfall,
    blocked,
    pool,
    promises,
    shortfall,
    stock,
)
from pasar.kernel import ledger
from pasar.kernel.decider import Decider
from pasar.kernel.messages import Value

from .contract import BlockStock, StockBlocked


class Blocked(Value):
    what: StockBlocked | None = None


def decide(command: BlockStock, state: Blocked) -> list[StockBlocked]:
    """A repeat may see other pools and pieces; what was booked first stands."""
    if state.what is not None:
        return []
    return [
        StockBlocked(
            blocking=command.blocking,
            warehouse=command.warehouse,
            sku=command.sku,
            batch=command.batch,
            quantity=command.quantity,
            from_pool=command.from_pool,
            from_batch_pool=command.from_batch_pool,
        )
    ]


def evolve(state: Blocked, event: StockBlocked) -> Blocked:
    return Blocked(what=event)


def book(event: StockBlocked) -> list[ledger.Transfer]:
    """Pieces move on their plane; on the promises' plane it is as if they were lost: what the pools do not have is
    short. The floors of the pools judge the split that was read."""
    sku, batch, n = event.sku, event.batch, event.quantity
    place = event.warehouse, batch
    pools = ((pool(sku), promises(sku), shortfall(sku), event.from_pool),)
    named = batch_pool(sku, batch), batch_promises(sku, batch), batch_shortfall(sku, batch), event.from_batch_pool
    transfers = [ledger.move(stock(sku, *place), blocked(sku, *place), n)]
    for units, source, short, taken in (*pools, named):
        if taken:
            transfers.append(ledger.move(units, source, taken))
        if n > taken:
            transfers.append(ledger.move(source, short, n - taken))
    return transfers


blocking = Decider("inventory.blocking", "blocking", Blocked(), decide, evolve, book=book)

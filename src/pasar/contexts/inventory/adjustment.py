"""What stocktaking found: booked once, always, whatever was promised."""

from pasar.accounts import batch_pool, batch_promises, batch_shortfall, lost, pool, promises, shortfall, stock
from pasar.kernel import ledger
from pasar.kernel.decider import Decider
from pasar.kernel.messages import Value
from pasar.refusals import StockIsAnother

from .contract import NO_BATCH, Adjustment, AdjustStock, StockAdjusted


class Adjusted(Value):
    what: StockAdjusted | None = None


def decide(command: AdjustStock, state: Adjusted) -> list[StockAdjusted]:
    if command.delta == 0:
        return []
    grows = -command.delta - command.from_pool if command.delta < 0 else -command.fills
    batch_grows = -command.delta - command.from_batch_pool if command.delta < 0 else -command.batch_fills
    adjusted = StockAdjusted(
        adjustment=command.adjustment,
        warehouse=command.warehouse,
        sku=command.sku,
        batch=command.batch,
        delta=command.delta,
        from_pool=command.from_pool if command.delta < 0 else 0,
        shortfall=grows,
        reason=command.reason,
        from_batch_pool=command.from_batch_pool if command.delta < 0 else 0,
        batch_shortfall=batch_grows if command.batch is not None else 0,
    )
    if state.what is None:
        return [adjusted]
    if _content(state.what) != _content(adjusted):
        raise StockIsAnother(f"{command.adjustment} was booked with other content")
    return []


def _content(event: StockAdjusted) -> tuple[object, ...]:
    """What tells two adjustments apart; who bears a loss does not: a repeat may see another pool."""
    return event.warehouse, event.sku, event.batch, event.delta, event.reason


def evolve(state: Adjusted, event: StockAdjusted) -> Adjusted:
    return Adjusted(what=event)


def book(event: StockAdjusted) -> list[ledger.Transfer]:
    """Pieces on their plane; on the promises' plane what is lost leaves the pool as far as it goes, and what the pool
    does not have is short. The floors of pool and shortfall judge the split that the facade read."""
    sku, batch = event.sku, event.batch
    place = stock(sku, event.warehouse, batch or NO_BATCH)
    if event.delta < 0:
        transfers = [ledger.move(place, lost(sku), -event.delta)]
    else:
        transfers = [ledger.move(lost(sku), place, event.delta)]
    units = (promises(sku), pool(sku), shortfall(sku))
    transfers += _promised(*units, event.delta, event.from_pool, event.shortfall)
    if batch is not None:
        units = (batch_promises(sku, batch), batch_pool(sku, batch), batch_shortfall(sku, batch))
        transfers += _promised(*units, event.delta, event.from_batch_pool, event.batch_shortfall)
    return transfers


def _promised(
    source: ledger.Account, units: ledger.Account, short: ledger.Account, delta: int, taken: int, grown: int
) -> list[ledger.Transfer]:
    moves = (
        (units, source, taken),
        (source, short, grown if grown > 0 else 0),
        (short, source, -grown if grown < 0 else 0),
        (source, units, delta + grown if delta > 0 else 0),
    )
    return [ledger.move(debit, credit, n) for debit, credit, n in moves if n]


def answer(state: Adjusted) -> Adjustment | None:
    what = state.what
    return what and Adjustment(
        adjustment=what.adjustment,
        warehouse=what.warehouse,
        sku=what.sku,
        batch=what.batch,
        delta=what.delta,
        from_pool=what.from_pool,
        shortfall=what.shortfall,
        reason=what.reason,
    )


adjustment = Decider("inventory.adjustment", "adjustment", Adjusted(), decide, evolve, book=book, answer=answer)

"""Units that come back to a pool whose SKU is short: they are the ones that were lost, and are not sold again."""

from pasar.accounts import batch_pool, batch_promises, batch_shortfall, pool, promises, shortfall
from pasar.kernel import ledger
from pasar.kernel.decider import Decider
from pasar.kernel.messages import Value

from .contract import CoverShortfall, ShortfallCovered


class Covered(Value):
    what: ShortfallCovered | None = None


def decide(command: CoverShortfall, state: Covered) -> list[ShortfallCovered]:
    """A repeat may see another pool; what was booked first stands."""
    if state.what is not None:
        return []
    return [ShortfallCovered(cover=command.cover, sku=command.sku, batch=command.batch, quantity=command.quantity)]


def evolve(state: Covered, event: ShortfallCovered) -> Covered:
    return Covered(what=event)


def book(event: ShortfallCovered) -> list[ledger.Transfer]:
    """Pool and shortfall go down together: what is in stock stays as it is."""
    sku, batch, n = event.sku, event.batch, event.quantity
    if batch is None:
        units, source, short = pool(sku), promises(sku), shortfall(sku)
    else:
        units, source, short = batch_pool(sku, batch), batch_promises(sku, batch), batch_shortfall(sku, batch)
    return [ledger.move(units, source, n), ledger.move(short, source, n)]


cover = Decider("inventory.cover", "cover", Covered(), decide, evolve, book=book)

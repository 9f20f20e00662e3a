"""Goods that went from one warehouse to another: booked once; what may be sold stays the same."""

from pasar.accounts import stock
from pasar.kernel import ledger
from pasar.kernel.decider import Decider
from pasar.kernel.messages import Value
from pasar.refusals import StockIsAnother

from .contract import NO_BATCH, MoveStock, StockMoved, Transferred


class Moved(Value):
    what: StockMoved | None = None


def decide(command: MoveStock, state: Moved) -> list[StockMoved]:
    moved = StockMoved(
        transfer=command.transfer,
        from_warehouse=command.from_warehouse,
        to_warehouse=command.to_warehouse,
        sku=command.sku,
        batch=command.batch,
        quantity=command.quantity,
    )
    if state.what is not None and state.what != moved:
        raise StockIsAnother(f"{command.transfer} was booked with other content")
    if state.what is not None or command.from_warehouse == command.to_warehouse:
        return []
    return [moved]


def evolve(state: Moved, event: StockMoved) -> Moved:
    return Moved(what=event)


def book(event: StockMoved) -> list[ledger.Transfer]:
    batch = event.batch or NO_BATCH
    source = stock(event.sku, event.from_warehouse, batch)
    return [ledger.move(source, stock(event.sku, event.to_warehouse, batch), event.quantity)]


def answer(state: Moved) -> Transferred | None:
    what = state.what
    return what and Transferred(
        transfer=what.transfer,
        from_warehouse=what.from_warehouse,
        to_warehouse=what.to_warehouse,
        sku=what.sku,
        batch=what.batch,
        quantity=what.quantity,
    )


transfer = Decider("inventory.transfer", "transfer", Moved(), decide, evolve, book=book, answer=answer)

"""Goods that arrived: booked once."""

from collections import Counter
from collections.abc import Sequence

from pasar.accounts import (
    batch_pool,
    batch_promises,
    batch_shortfall,
    blocked,
    pool,
    promises,
    shortfall,
    stock,
    supplier,
)
from pasar.kernel import ledger
from pasar.kernel.decider import Decider
from pasar.kernel.messages import Value
from pasar.refusals import StockIsAnother

from .contract import NO_BATCH, Receipt, ReceivedLine, ReceiveStock, StockReceived


class Received(Value):
    what: StockReceived | None = None


def decide(command: ReceiveStock, state: Received) -> list[StockReceived]:
    received = StockReceived(
        receipt=command.receipt,
        warehouse=command.warehouse,
        lines=command.lines,
        origin=command.origin,
        reference=command.reference,
        fills=command.fills,
        expired=command.expired,
    )
    if state.what is None:
        return [received]
    if _content(state.what) != _content(received):
        raise StockIsAnother(f"{command.receipt} was booked with other content")
    return []


def _content(event: StockReceived) -> tuple[object, ...]:
    """What tells two receipts apart; what of it filled shortfalls or had expired does not: a repeat may see
    another shortfall, and another day."""
    return event.warehouse, event.lines, event.origin, event.reference


def evolve(state: Received, event: StockReceived) -> Received:
    return Received(what=event)


def book(event: StockReceived) -> list[ledger.Transfer]:
    """Fillings come first, so that the floor of the shortfall refuses before anything else is judged."""
    transfers = _fillings(event)
    sellable, expired = [], {(one.sku, one.batch) for one in event.expired}
    for line in event.lines:
        if (line.sku, line.batch) in expired:
            place = blocked(line.sku, event.warehouse, line.batch or NO_BATCH)
        else:
            place = stock(line.sku, event.warehouse, line.batch or NO_BATCH)
            sellable.append(line)
        transfers.append(ledger.move(supplier(line.sku), place, line.quantity))
    units = Counter[str]()
    batches = Counter[tuple[str, str]]()
    for line in sellable:
        units[line.sku] += line.quantity
        if line.batch is not None:
            batches[line.sku, line.batch] += line.quantity
    for filling in event.fills:
        if filling.batch is None:
            units[filling.sku] -= filling.quantity
        else:
            batches[filling.sku, filling.batch] -= filling.quantity
    transfers += [ledger.move(promises(sku), pool(sku), n) for sku, n in units.items() if n]
    transfers += [ledger.move(batch_promises(*key), batch_pool(*key), n) for key, n in batches.items() if n]
    return transfers


def _fillings(event: StockReceived) -> list[ledger.Transfer]:
    return [
        ledger.move(shortfall(filling.sku), promises(filling.sku), filling.quantity)
        if filling.batch is None
        else ledger.move(
            batch_shortfall(filling.sku, filling.batch), batch_promises(filling.sku, filling.batch), filling.quantity
        )
        for filling in event.fills
    ]


def answer(state: Received) -> Receipt | None:
    what = state.what
    return what and Receipt(receipt=what.receipt, warehouse=what.warehouse, lines=what.lines)


def units_of(lines: Sequence[ReceivedLine]) -> Counter[tuple[str, str | None]]:
    """Units that arrive, by SKU (batch None: all of the SKU) and by batch."""
    units = Counter[tuple[str, str | None]]()
    for line in lines:
        units[line.sku, None] += line.quantity
        if line.batch is not None:
            units[line.sku, line.batch] += line.quantity
    return units


receipt = Decider("inventory.receipt", "receipt", Received(), decide, evolve, book=book, answer=answer)

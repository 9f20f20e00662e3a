"""From which batches an order's goods would come now: a forecast for the answer, nothing is taken from them."""

from collections.abc import Iterable
from datetime import date
from typing import Protocol

from .contract import QuotedLine, SoftAllocation


class Lying(Protocol):
    """Pieces of a SKU in a warehouse."""

    @property
    def sku(self) -> str: ...
    @property
    def batch(self) -> str | None: ...
    @property
    def quantity(self) -> int: ...
    @property
    def expires_on(self) -> date | None: ...


def named_batches(lines: Iterable[QuotedLine]) -> tuple[SoftAllocation, ...]:
    """Lines whose batch the buyer chose."""
    return tuple(
        SoftAllocation(item_id=line.line_id, batch_id=line.batch, qty=line.quantity)
        for line in lines
        if line.batch is not None
    )


def soonest_first(lines: Iterable[QuotedLine], places: Iterable[Lying], today: date) -> tuple[SoftAllocation, ...]:
    """The chosen batches; for the rest those that expire first (FEFO), never expired ones, never without a batch."""
    left: dict[tuple[str, str], int] = {}
    fresh = [place for place in places if place.batch and (place.expires_on is None or place.expires_on >= today)]
    for place in sorted(fresh, key=lambda place: (place.expires_on or date.max, place.batch or "")):
        key = place.sku, place.batch or ""
        left[key] = left.get(key, 0) + place.quantity
    lines = tuple(lines)
    chosen = named_batches(lines)
    for line in lines:
        if line.batch is not None and (line.sku, line.batch) in left:
            left[line.sku, line.batch] -= line.quantity
    found = list(chosen)
    for line in lines:
        wanted = 0 if line.batch is not None or line.is_digital else line.quantity
        for (sku, batch), units in left.items():
            taken = min(wanted, units)
            if sku == line.sku and taken > 0:
                left[sku, batch] -= taken
                wanted -= taken
                found.append(SoftAllocation(item_id=line.line_id, batch_id=batch, qty=taken))
    return tuple(found)

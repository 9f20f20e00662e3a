"""What units of an order are worth when they come back: exactly what was paid for them, to the last unit.

Each case takes its part of what earlier cases have left, rounded down; the case with the last unit of a line takes all
of the rest. So cases never give back more than was paid, and together they give back all of it.
"""

from collections.abc import Mapping, Sequence
from decimal import ROUND_DOWN, Decimal

from pasar.kernel.messages import Value
from pasar.kernel.money import major, minor
from pasar.refusals import ReturnAboveBought
from pasar.vocabulary import BatchId, Sku, StoreId

from .contract import PricedReturnLine, ReturnLine

NOTHING = Decimal(0)


class Worth(Value):
    """What was paid: by the buyer in money (`tax` of it on top of the price), by the platform, in points."""

    refund: Decimal = NOTHING
    platform_part: Decimal = NOTHING
    points: int = 0
    tax: Decimal = NOTHING

    def less(self, other: "Worth") -> "Worth":
        return Worth(
            refund=self.refund - other.refund,
            platform_part=self.platform_part - other.platform_part,
            points=self.points - other.points,
            tax=self.tax - other.tax,
        )


class Bought(Value):
    """A line of a paid order."""

    line_id: str
    sku: Sku
    store: StoreId
    quantity: int
    worth: Worth
    batch: BatchId | None = None


class Taken(Value):
    """What one earlier case that was neither rejected nor withdrawn took."""

    lines: tuple[PricedReturnLine, ...]
    freight: Worth


class Priced(Value):
    lines: tuple[PricedReturnLine, ...]
    freight: Worth


def shared_points(points: int, weights: Sequence[Decimal]) -> list[int]:
    """Points spent, in proportion to what they paid of each part; they add up."""
    total, before, given, shares = sum(weights, NOTHING), NOTHING, 0, []
    for weight in weights:
        before += weight
        until = int(points * before / total) if total else 0
        shares.append(until - given)
        given = until
    return shares


def price(
    wanted: Sequence[ReturnLine],
    bought: Sequence[Bought],
    freight: Worth,
    earlier: Sequence[Taken],
    currency: str,
    *,
    with_freight: bool,
) -> Priced:
    """What a case gives back. Freight goes back with the last unit of the order, where the reason allows
    (`with_freight`). Refuses (8006) lines that were not bought, or more units than are left."""
    known = {line.line_id: line for line in bought}
    units, taken = _taken(earlier)
    priced = []
    for line in wanted:
        item = known.get(line.line_id)
        if item is None:
            raise ReturnAboveBought(f"the order has no line {line.line_id}")
        left = item.quantity - units.get(line.line_id, 0)
        if line.quantity > left:
            raise ReturnAboveBought(
                f"of line {line.line_id} {left} of {item.quantity} units are left, not {line.quantity}",
                line_id=line.line_id, left=left,
            )  # fmt: skip
        if line.line_id in [one.line_id for one in priced]:
            raise ReturnAboveBought(f"line {line.line_id} is named twice")
        rest = item.worth.less(taken.get(line.line_id, Worth()))
        priced.append(_line(item, line.quantity, _part(rest, line.quantity, left, currency)))
    asked = {line.line_id: line.quantity for line in wanted}
    all_back = all(units.get(i, 0) + asked.get(i, 0) == line.quantity for i, line in known.items())
    for case in earlier:
        freight = freight.less(case.freight)
    return Priced(lines=tuple(priced), freight=freight if with_freight and all_back else Worth())


def _taken(earlier: Sequence[Taken]) -> tuple[Mapping[str, int], Mapping[str, Worth]]:
    units: dict[str, int] = {}
    worth: dict[str, Worth] = {}
    for case in earlier:
        for line in case.lines:
            units[line.line_id] = units.get(line.line_id, 0) + line.quantity
            sum_ = worth.get(line.line_id, Worth())
            worth[line.line_id] = Worth(
                refund=sum_.refund + line.refund,
                platform_part=sum_.platform_part + line.platform_part,
                points=sum_.points + line.points,
                tax=sum_.tax + line.tax,
            )
    return units, worth


def _part(rest: Worth, units: int, left: int, currency: str) -> Worth:
    if units == left:
        return rest
    return Worth(
        refund=_down(rest.refund, units, left, currency),
        platform_part=_down(rest.platform_part, units, left, currency),
        points=rest.points * units // left,
        tax=_down(rest.tax, units, left, currency),
    )


def _down(amount: Decimal, units: int, left: int, currency: str) -> Decimal:
    share = Decimal(minor(amount, currency)) * units / left
    return major(int(share.to_integral_value(ROUND_DOWN)), currency)


def _line(item: Bought, quantity: int, worth: Worth) -> PricedReturnLine:
    return PricedReturnLine(
        line_id=item.line_id,
        sku=item.sku,
        store=item.store,
        quantity=quantity,
        refund=worth.refund,
        platform_part=worth.platform_part,
        points=worth.points,
        tax=worth.tax,
        bought=item.quantity,
        batch=item.batch,
    )

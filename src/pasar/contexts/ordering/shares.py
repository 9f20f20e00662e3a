"""What each store's part of an order is worth: exactly what the order's liability holds, to the last unit."""

from collections.abc import Mapping
from decimal import Decimal

from pasar.kernel.money import rounded, split

from .contract import OrderPlaced, QuotedLine, StoreShare

NOTHING = Decimal(0)


def platform_paid(placed: OrderPlaced) -> Decimal:
    """What the platform pays for the buyer, so that the sellers are not the poorer: points, and its own coupons."""
    return placed.points_amount + sum((use.discount for use in placed.coupons if use.platform_funded), NOTHING)


def shares_of(placed: OrderPlaced, given_back: Decimal, returned: Mapping[str, int]) -> tuple[StoreShare, ...]:
    """A share for each store that is due something. What was given back is borne by the stores whose goods came back,
    as far as those were worth it, and the rest by all in proportion to what they have left."""
    stores = list(dict.fromkeys([line.store for line in placed.lines]))
    goods, taxes, back = (dict.fromkeys(stores, NOTHING) for _ in range(3))
    rates: dict[str, Decimal] = {}
    for line in placed.lines:
        worth, tax = _worth(line), line.tax if placed.tax_added else NOTHING
        goods[line.store] += worth
        taxes[line.store] += tax
        rates.setdefault(line.store, line.commission_rate)
        units = returned.get(line.line_id, 0)
        back[line.store] += rounded((worth + tax) * units / line.quantity, placed.currency)
    gross = {store: goods[store] + taxes[store] for store in stores}
    for share in placed.freight_shares:
        gross[share.store] += share.amount
    borne = _borne(given_back, gross, back, placed.currency)
    return tuple(
        StoreShare(
            store=store,
            gross=gross[store] - borne[store],
            commission_base=max(rounded(NOTHING, placed.currency), goods[store] - borne[store]),
            commission_rate=rates[store],
        )
        for store in stores
        if gross[store] > borne[store]
    )


def _worth(line: QuotedLine) -> Decimal:
    """A line less the discounts that its store bears."""
    return line.amount - line.discount + line.platform_discount


def _borne(
    refunded: Decimal, gross: Mapping[str, Decimal], back: Mapping[str, Decimal], currency: str
) -> dict[str, Decimal]:
    if not refunded:
        return dict.fromkeys(gross, NOTHING)
    first = min(refunded, sum(back.values(), NOTHING))
    borne = dict(zip(gross, split(first, [back[store] for store in gross], currency), strict=True))
    if rest := refunded - first:
        left = [gross[store] - borne[store] for store in gross]
        for store, part in zip(gross, split(rest, left, currency), strict=True):
            borne[store] += part
    return borne

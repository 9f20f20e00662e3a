"""What an order costs: lines, coupons, points, freight, taxes. Pure, and exact to the last unit of the currency.

The order is: a line's amount, rounded once · coupons on goods, each on what those before it left · points, on what
coupons left · freight, free from a sum of goods less coupons · coupons on freight · taxes. Whatever is shared over
lines is shared in proportion and adds up to the whole.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from pasar.kernel.money import MAX_MINOR, BadMoney, major, minor, rounded, split
from pasar.refusals import AmountTooLarge, CartIsEmpty, CouponNotApplicable, PointsRefused

from .contract import Coupon, CouponUse, CouponVerdict, FreightShare, Quote, QuotedLine
from .promotion import precedence

_HUNDRED = Decimal(100)


class Item(NamedTuple):
    """Units of a SKU that is for sale, at its price in the channel."""

    sku: str
    quantity: int
    unit_price: Decimal
    title: str
    store: str
    commission_rate: Decimal
    batch: str | None = None
    is_digital: bool = False


class Terms(NamedTuple):
    """What holds for everything in a channel: its currency, tax and freight."""

    channel: str
    currency: str
    tax_rate: Decimal
    prices_include_tax: bool
    freight: Decimal
    free_freight_from: Decimal | None


class Basket(NamedTuple):
    """All that decides a price. `point_worth`: what one point pays; None: points do not pay here."""

    terms: Terms
    items: Sequence[Item]
    at: datetime
    coupons: Sequence[Coupon] = ()
    has_person: bool = True
    points: int = 0
    point_worth: Decimal | None = None


class Priced(NamedTuple):
    quote: Quote
    verdicts: list[CouponVerdict]


class _Goods:
    """The lines while coupons are taken off: what each still costs, and what the platform paid of it."""

    def __init__(self, basket: Basket) -> None:
        currency = basket.terms.currency
        try:
            self.amounts = [rounded(item.unit_price * item.quantity, currency) for item in basket.items]
        except (BadMoney, InvalidOperation):
            raise AmountTooLarge from None
        self.zero = major(0, currency)
        self.total = sum(self.amounts, self.zero)
        if self.total > major(MAX_MINOR // 4, currency):
            raise AmountTooLarge
        self.left = list(self.amounts)
        self.platform = [self.zero] * len(self.amounts)

    def take(self, lines: Sequence[int], discount: Decimal, currency: str, *, by_platform: bool) -> None:
        """Share a discount over lines; a share is never more than its line has left."""
        if len(lines) == 1:
            shares = [discount]
        else:
            shares = split(discount, [self.left[line] for line in lines], currency)
        for line, share in zip(lines, shares, strict=True):
            self.left[line] -= share
            if by_platform:
                self.platform[line] += share


class _Freight:
    """Freight of the order, what of it is each store's, and what coupons took off."""

    def __init__(self, basket: Basket, goods: _Goods) -> None:
        terms, zero = basket.terms, goods.zero
        weights: dict[str, Decimal] = {}
        for item, amount in zip(basket.items, goods.amounts, strict=True):
            if not item.is_digital:
                weights[item.store] = weights.get(item.store, zero) + amount
        free_from = terms.free_freight_from
        is_free = not weights or (free_from is not None and sum(goods.left, zero) >= free_from)
        self.amount = zero if is_free else rounded(terms.freight, terms.currency)
        self.discount = zero
        self.shares: dict[str, Decimal] = {}
        if self.amount:
            parts = [self.amount]
            if len(weights) > 1:
                parts = split(self.amount, list(weights.values()), terms.currency)
            self.shares = dict(zip(weights, parts, strict=True))

    def take(self, coupon: Coupon, zero: Decimal) -> Decimal:
        """What a free-freight coupon takes off: a store's own from its share, the platform's from all that is left."""
        left = self.amount - self.discount if coupon.store is None else self.shares.get(coupon.store, zero)
        discount = left if coupon.max_discount is None else min(left, rounded(coupon.max_discount, coupon.currency))
        self.discount += discount
        if coupon.store is not None and discount:
            self.shares[coupon.store] -= discount
        return discount


def price(basket: Basket) -> Priced:
    """The price, and for each coupon whether and why it counts. Coupons that do not count are left out of the quote;
    whoever insists on them calls `insist`. Refuses points that cannot be used."""
    if not basket.items:
        raise CartIsEmpty
    currency = basket.terms.currency
    goods = _Goods(basket)
    verdicts, taken, used = _take_coupons(basket, goods)
    coupon_discounts = [amount - left for amount, left in zip(goods.amounts, goods.left, strict=True)]
    freight = _Freight(basket, goods)
    for coupon in taken:
        if coupon.kind == "free_freight":
            discount = freight.take(coupon, goods.zero)
            verdicts.append(
                _verdict(coupon, discount, "it takes freight off" if discount else "freight is free already")
            )
            if discount:
                used.append(_use(coupon, discount))
    points_amount = _points_amount(basket, goods)
    before_points = list(goods.left)
    if points_amount:
        goods.take(range(len(goods.left)), points_amount, currency, by_platform=False)
    taxes, added = _taxes(basket.terms, goods)
    lines = tuple(
        QuotedLine(
            line_id=str(number + 1),
            sku=item.sku,
            quantity=item.quantity,
            unit_price=item.unit_price,
            amount=goods.amounts[number],
            discount=coupon_discounts[number],
            platform_discount=goods.platform[number],
            points_discount=before_points[number] - goods.left[number],
            tax=taxes[number],
            title=item.title,
            store=item.store,
            commission_rate=item.commission_rate,
            batch=item.batch,
            is_digital=item.is_digital,
        )
        for number, item in enumerate(basket.items)
    )
    quote = Quote(
        channel=basket.terms.channel,
        currency=currency,
        lines=lines,
        goods=goods.total,
        discounts=sum(coupon_discounts, freight.discount),
        freight=freight.amount,
        freight_discount=freight.discount,
        freight_shares=tuple([FreightShare(store=store, amount=share) for store, share in freight.shares.items()]),
        taxes=sum(taxes, goods.zero),
        tax_added=added,
        points=basket.points,
        points_amount=points_amount,
        total=sum(goods.left, goods.zero) + freight.amount - freight.discount + added,
        coupons=tuple(used),
        quoted_at=basket.at,
    )
    return Priced(quote, verdicts)


def insist(verdicts: Sequence[CouponVerdict]) -> None:
    """Refuse (6004) when a coupon that was asked for does not count, and say of each why."""
    wrong = [verdict for verdict in verdicts if not verdict.applied]
    if wrong:
        raise CouponNotApplicable(
            "; ".join(f"{verdict.coupon}: {verdict.reason}" for verdict in wrong),
            coupons=[{"coupon": verdict.coupon, "reason": verdict.reason} for verdict in wrong],
        )


def _take_coupons(basket: Basket, goods: _Goods) -> tuple[list[CouponVerdict], list[Coupon], list[CouponUse]]:
    """Coupons in their order of precedence: those on goods are taken off, those on freight wait for it."""
    verdicts: list[CouponVerdict] = []
    taken: list[Coupon] = []
    used: list[CouponUse] = []
    coupons = basket.coupons if len(basket.coupons) < 2 else sorted(basket.coupons, key=precedence)
    for coupon in coupons:
        lines = [n for n, item in enumerate(basket.items) if coupon.store is None or item.store == coupon.store]
        reason = _why_not(coupon, basket, goods, lines) or _clash(coupon, taken)
        if reason is not None:
            verdicts.append(_verdict(coupon, goods.zero, reason))
            continue
        if coupon.kind != "free_freight":
            discount = _discount(coupon, sum([goods.left[n] for n in lines], goods.zero))
            if not discount:
                verdicts.append(_verdict(coupon, goods.zero, "it comes to nothing here"))
                continue
            goods.take(lines, discount, coupon.currency, by_platform=coupon.store is None)
            verdicts.append(_verdict(coupon, discount, "it takes goods off"))
            used.append(_use(coupon, discount))
        taken.append(coupon)
    return verdicts, taken, used


def _why_not(coupon: Coupon, basket: Basket, goods: _Goods, lines: Sequence[int]) -> str | None:
    terms = basket.terms
    if not coupon.is_open:
        return "it is closed"
    if not coupon.period.covers(basket.at):
        return "it is not valid now"
    if coupon.currency != terms.currency:
        return f"it is in {coupon.currency}, the order in {terms.currency}"
    if coupon.channels and terms.channel not in coupon.channels:
        return f"it does not count in {terms.channel}"
    if coupon.per_person is not None and not basket.has_person:
        return "sign in to use it"
    if not lines:
        return f"nothing here is of the store {coupon.store}"
    if coupon.min_amount and sum([goods.amounts[n] for n in lines], goods.zero) < coupon.min_amount:
        return f"it starts at {coupon.min_amount} {coupon.currency}"
    return None


def _clash(coupon: Coupon, taken: Sequence[Coupon]) -> str | None:
    """Two coupons go together when both are stackable."""
    for other in taken:
        if not (coupon.stackable and other.stackable):
            return f"it does not go together with {other.coupon}"
    return None


def _discount(coupon: Coupon, left: Decimal) -> Decimal:
    """What a coupon on goods takes off what is left of its lines."""
    amount = left * coupon.value / _HUNDRED if coupon.kind == "percent" else coupon.value
    if coupon.max_discount is not None and amount > coupon.max_discount:
        amount = coupon.max_discount
    return min(rounded(amount, coupon.currency), left)


def _points_amount(basket: Basket, goods: _Goods) -> Decimal:
    if not basket.points:
        return goods.zero
    if basket.point_worth is None or not basket.has_person:
        raise PointsRefused("points do not pay here" if basket.has_person else "sign in to pay with points")
    currency = basket.terms.currency
    amount = basket.points * basket.point_worth
    try:
        amount = major(minor(amount, currency), currency)
    except BadMoney:
        raise PointsRefused(f"{basket.points} points are no whole amount of {currency}") from None
    left = sum(goods.left, goods.zero)
    if amount > left:
        raise PointsRefused(
            f"{basket.points} points are worth more than what is left to pay for goods, {left} {currency}"
        )
    return amount


def _taxes(terms: Terms, goods: _Goods) -> tuple[list[Decimal], Decimal]:
    """The tax of each line, and what is added for it to the total: nothing where prices include it."""
    rate = terms.tax_rate
    if not rate:
        return [goods.zero] * len(goods.left), goods.zero
    if terms.prices_include_tax:
        whole = 1 + rate
        return [rounded(left * rate / whole, terms.currency) for left in goods.left], goods.zero
    taxes = [rounded(left * rate, terms.currency) for left in goods.left]
    return taxes, sum(taxes, goods.zero)


def _verdict(coupon: Coupon, discount: Decimal, reason: str) -> CouponVerdict:
    return CouponVerdict(coupon=coupon.coupon, applied=discount > 0, discount=discount, reason=reason)


def _use(coupon: Coupon, discount: Decimal) -> CouponUse:
    return CouponUse(
        coupon=coupon.coupon,
        discount=discount,
        limited=coupon.total_limit is not None,
        per_person=coupon.per_person,
        platform_funded=coupon.store is None,
    )

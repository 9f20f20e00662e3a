"""Prices, coupons, quotes. What may be said to pricing, heard from it, and read in it."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta

from pasar.contexts.flash.contract import SaleTerms
from pasar.kernel.messages import Answer, Command, Event, Value
from pasar.kernel.money import Currency
from pasar.vocabulary import AccountId, Amount, BatchId, ChannelCode, Code, Period, Price, Sku, StoreId, Units

CouponCode = Code


class SetPrice(Command):
    """What one unit of a SKU costs in a channel. `compare_at` is the price it is measured against, if any."""

    sku: Sku
    channel: ChannelCode
    currency: Currency
    price: Price
    compare_at: Price | None = None


class PriceSet(Event):
    sku: Sku
    channel: ChannelCode
    currency: Currency
    price: Decimal
    compare_at: Decimal | None


class CreateCoupon(Command):
    """`value` is a percentage (0 < value ≤ 100) or an amount. Limits never change; a new limit is a new coupon.

    `store` None: the platform's, paid by the platform; else the store's own and for its lines only.
    """

    opens = True
    coupon: CouponCode
    kind: Literal["percent", "amount", "free_freight"]
    value: Amount = Decimal(0)
    currency: Currency
    min_amount: Amount = Decimal(0)
    max_discount: Amount | None = None
    total_limit: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None
    per_person: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    period: Period = Period()
    store: StoreId | None = None
    channels: tuple[ChannelCode, ...] = ()
    stackable: bool = False
    priority: int = 0


class CloseCoupon(Command):
    coupon: CouponCode


class CouponCreated(Event):
    coupon: CouponCode
    kind: Literal["percent", "amount", "free_freight"]
    value: Decimal
    currency: Currency
    min_amount: Decimal
    max_discount: Decimal | None
    total_limit: int | None
    per_person: int | None
    period: Period
    store: StoreId | None
    channels: tuple[ChannelCode, ...]
    stackable: bool
    priority: int


class CouponClosed(Event):
    coupon: CouponCode


class Coupon(Answer):
    coupon: CouponCode
    kind: Literal["percent", "amount", "free_freight"]
    value: Decimal
    currency: Currency
    min_amount: Decimal
    max_discount: Decimal | None
    total_limit: int | None
    per_person: int | None
    period: Period
    store: StoreId | None
    channels: tuple[ChannelCode, ...]
    stackable: bool
    priority: int
    is_open: bool = True


class Wanted(Value):
    """What somebody wants to buy. `price_snapshot` is the unit price that they saw."""

    sku: Sku
    quantity: Units
    batch: BatchId | None = None
    price_snapshot: Price | None = None


class CouponUse(Value, omit_defaults=True):
    """A coupon in a quote: all that the order needs to book its use, limits included."""

    coupon: CouponCode
    discount: Decimal
    limited: bool
    per_person: int | None
    platform_funded: bool


class QuotedLine(Value, omit_defaults=True):
    """`amount` = unit price × quantity, rounded once; `discount` its share of coupons; `points_discount` of points;
    `tax` is contained in amount − discount − points_discount when prices include tax, else comes on top."""

    line_id: str
    sku: Sku
    quantity: Units
    unit_price: Decimal
    amount: Decimal
    discount: Decimal
    platform_discount: Decimal
    """The part of `discount` that the platform pays for, so that the seller is not the poorer."""
    points_discount: Decimal
    tax: Decimal
    title: str
    store: StoreId
    commission_rate: Decimal
    batch: BatchId | None = None
    is_digital: bool = False
    sale: SaleTerms | None = None
    """The sale that its units come from, if any."""


class FreightShare(Value, omit_defaults=True):
    """What a store is due for freight: less its own free-freight coupons, not less the platform's, which the platform
    pays."""

    store: StoreId
    amount: Decimal


class Quote(Value):
    """What an order would cost now. total = Σ amount − discounts − points_amount + freight + tax_added, in the
    currency's digits.

    `discounts` holds coupons on goods and on freight; `freight` is before a free-freight coupon, `freight_discount`
    that.
    """

    channel: ChannelCode
    currency: Currency
    lines: tuple[QuotedLine, ...]
    goods: Decimal
    discounts: Decimal
    freight: Decimal
    freight_discount: Decimal
    freight_shares: tuple[FreightShare, ...]
    taxes: Decimal
    tax_added: Decimal
    points: int
    points_amount: Decimal
    total: Decimal
    coupons: tuple[CouponUse, ...]
    quoted_at: datetime


class CouponVerdict(Value):
    """What a coupon came to, and why."""

    coupon: CouponCode
    applied: bool
    discount: Decimal
    reason: str


class QuoteFor(Value):
    """A question to pricing: for whom, where, what, with which coupons and points."""

    channel: ChannelCode
    wanted: tuple[Wanted, ...]
    coupons: tuple[CouponCode, ...] = ()
    points: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0
    person: AccountId | None = None
    country: str | None = None
    agreed: tuple[Price | None, ...] = ()
    """Unit prices that staff agreed with the buyer, one for each of `wanted`; None: the list price. Empty: all are."""


class PriceTag(Answer):
    sku: Sku
    channel: ChannelCode
    currency: Currency
    price: Decimal
    compare_at: Decimal | None = None


class Prices(Answer):
    """All prices of a SKU, one a channel."""

    prices: tuple[PriceTag, ...] = ()


class Estimate(Answer):
    """A quote for people who have not decided yet: coupons that do not fit are left out, and say why."""

    quote: Quote
    coupons: tuple[CouponVerdict, ...] = ()

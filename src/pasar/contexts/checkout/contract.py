"""A cart until it is submitted. What may be said to checkout, heard from it, and read in it.

Each person, guest or member, has one cart; its stream is named after the person.
"""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from pasar.kernel.messages import Answer, Body, Command, Event, Value
from pasar.vocabulary import AccountId, BatchId, ChannelCode, Code, Price, Sku, Units

MAX_LINES = 100


class CartLine(Value):
    """What is in the cart. `price_seen` is the unit price that was shown when it was put in."""

    sku: Sku
    quantity: Units
    batch: BatchId | None = None
    price_seen: Price | None = None


class PutInCart(Command):
    """Set how many units of a SKU (and batch) are in the cart; `add` adds to what is there."""

    owner: AccountId
    channel: ChannelCode
    sku: Sku
    quantity: Units
    batch: BatchId | None = None
    price_seen: Price | None = None
    add: bool = True


class RemoveFromCart(Command):
    owner: AccountId
    sku: Sku
    batch: BatchId | None = None


class MergeCarts(Command):
    """What a guest put in before signing in; the guest's cart is emptied in the same change."""

    owner: AccountId
    lines: tuple[CartLine, ...]
    channel: ChannelCode


class EmptyCart(Command):
    owner: AccountId
    ordered_as: str | None = None
    skus: Annotated[tuple[str, ...], Meta(max_length=MAX_LINES)] | None = None
    """Only these (`sku` or `sku@batch`); None: everything."""
    taken: Annotated[tuple[CartLine, ...], Meta(max_length=MAX_LINES)] | None = None
    """So many units of these lines, all of which must be there; what was added to them meanwhile stays."""


class CartChanged(Event):
    """A line as it is from now on; quantity 0: it is gone."""

    owner: AccountId
    channel: ChannelCode
    sku: Sku
    quantity: int
    batch: BatchId | None
    price_seen: Decimal | None


class CartsMerged(Event):
    owner: AccountId
    channel: ChannelCode
    lines: tuple[CartLine, ...]


class CartEmptied(Event):
    owner: AccountId
    ordered_as: str | None
    skus: tuple[str, ...] | None
    left: tuple[CartLine, ...] = ()
    """What stays of those lines."""


class Cart(Answer):
    owner: AccountId
    channel: ChannelCode | None = None
    lines: tuple[CartLine, ...] = ()


class NewLine(Body):
    """Put in the cart, added to what is there of the SKU (and batch)."""

    sku: Sku
    quantity: Units = 1
    batch: BatchId | None = None
    price_seen: Price | None = None
    channel: ChannelCode | None = None


class LineChange(Body):
    """So many units are in the cart from now on."""

    quantity: Units
    price_seen: Price | None = None


class WhichBatch(Value):
    """Of which batch, where the buyer chose one."""

    batch: BatchId | None = None


class CouponsTried(Value):
    """Coupons to count in."""

    coupon: tuple[Code, ...] = ()


class ShownLine(Value):
    """A line with what is true now. `price_change` is the price now less the one that was shown."""

    key: str
    sku: Sku
    quantity: int
    batch: BatchId | None
    title: str | None
    is_for_sale: bool
    available: int
    is_available: bool
    price_seen: Decimal | None
    unit_price: Decimal | None
    price_change: Decimal | None
    amount: Decimal | None


class CartTotals(Value):
    """What the lines that are for sale would cost now."""

    goods: Decimal
    discounts: Decimal
    freight: Decimal
    taxes: Decimal
    total: Decimal
    currency: str


class ShownCart(Answer):
    """A cart at today's prices."""

    owner: AccountId
    channel: ChannelCode
    lines: tuple[ShownLine, ...]
    totals: CartTotals | None
    """None: nothing in it is for sale."""
    can_be_ordered: bool
    """Everything is for sale, there in that number, at the price that was shown."""

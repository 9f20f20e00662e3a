"""What only the routes of orders say: their bodies, queries, and answers that nobody else reads."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from msgspec import Meta

from pasar.kernel.free_text import TextBody
from pasar.kernel.messages import Answer, Body, Value
from pasar.kernel.money import Currency
from pasar.vocabulary import (
    AccountId,
    Address,
    BatchId,
    ChannelCode,
    Code,
    ContactPoint,
    OrderNo,
    OrderState,
    Price,
    Sku,
    StoreId,
    Units,
)

from .contract import Placed, Preview, QuotedLine, Vocabulary

MAX_ITEMS = 500
MAX_SALES_ITEMS = 2_000
"""A wholesaler's order has more lines than a shopper's."""
Metadata = Annotated[dict[str, Any], Meta(max_length=50)]
CouponCodes = Annotated[tuple[Code, ...], Meta(max_length=20)]
PageLimit = Annotated[int, Meta(ge=1, le=100, description="entries a page")]
PageCursor = Annotated[str, Meta(max_length=1024, description="`next` of the page before")]
AddressId = Annotated[str, Meta(min_length=1, max_length=64)]


class Item(Body):
    """What is ordered. `price_snapshot` is the unit price that the buyer saw; where it differs, 1002 says how."""

    sku_id: Sku
    qty: Units
    batch_id: BatchId | None = None
    price_snapshot: Price | None = None


class AddressGiven(Address, forbid_unknown_fields=True):
    """An address that is not in an address book: a guest's."""


class ContactGiven(ContactPoint, forbid_unknown_fields=True):
    """Where mails about an order go, for a guest, or in place of what the account says."""


class NewOrder(TextBody):
    """The body of `POST /api/v1/orders/create` (S1 §5.3), and what we add to it: channel, points, an address of its
    own, and whether the lines leave the cart."""

    free_texts = ("metadata", "address", "contact")
    idempotency_key: str | None = None
    uid: AccountId
    items: Annotated[tuple[Item, ...], Meta(min_length=1, max_length=MAX_ITEMS)]
    shipping_address_id: AddressId | None = None
    coupon_ids: CouponCodes = ()
    invoice_required: bool = False
    metadata: Metadata = {}
    channel: ChannelCode | None = None
    points: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0
    address: AddressGiven | None = None
    contact: ContactGiven | None = None
    cart: bool = False
    source: Annotated[str, Meta(min_length=1, max_length=40)] = "web"


class AgreedItem(Item):
    """What is sold to a buyer. `agreed_price`: the unit price that staff agreed with them; None: the list price."""

    agreed_price: Price | None = None


class SalesOrder(TextBody):
    """An order that staff take for a buyer: by telephone, at a fair, under a contract. A SKU may stand in several
    lines, each at its own price."""

    free_texts = ("metadata", "address")
    idempotency_key: str | None = None
    buyer: AccountId
    items: Annotated[tuple[AgreedItem, ...], Meta(min_length=1, max_length=MAX_SALES_ITEMS)]
    shipping_address_id: AddressId | None = None
    address: AddressGiven | None = None
    coupon_ids: CouponCodes = ()
    invoice_required: bool = False
    metadata: Metadata = {}
    channel: ChannelCode | None = None
    source: Annotated[str, Meta(min_length=1, max_length=40)] = "sales"


class SaleOrder(TextBody):
    """An order of one SKU of a sale. `ticket`: what its queue gave, where it has one."""

    free_texts = ("metadata", "address", "contact")
    idempotency_key: str | None = None
    sku_id: Sku
    qty: Units = 1
    ticket: Annotated[str, Meta(min_length=1, max_length=2048)] | None = None
    shipping_address_id: AddressId | None = None
    address: AddressGiven | None = None
    contact: ContactGiven | None = None
    invoice_required: bool = False
    metadata: Metadata = {}


class BufferedSaleOrder(Body):
    """The same for an order that may wait in a broker: its address is an entry of the address book."""

    sku_id: Sku
    qty: Units = 1
    ticket: Annotated[str, Meta(min_length=1, max_length=2048)]
    shipping_address_id: AddressId


class SaleResult(Answer):
    """What became of a buffered order. `problem`: the problem document of its refusal."""

    ticket_id: str
    state: Literal["pending", "placed", "refused"]
    order: Placed | None = None
    problem: dict[str, Any] | None = None
    ask_again_s: int | None = None


class SubmitCart(TextBody):
    """Order what is in the cart, or `skus` of it (`sku` or `sku@batch`), at the prices that the cart has shown."""

    free_texts = ("metadata", "address", "contact")
    idempotency_key: str | None = None
    shipping_address_id: AddressId | None = None
    address: AddressGiven | None = None
    contact: ContactGiven | None = None
    coupon_ids: CouponCodes = ()
    points: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0
    invoice_required: bool = False
    metadata: Metadata = {}
    skus: Annotated[tuple[str, ...], Meta(min_length=1, max_length=100)] | None = None
    source: Annotated[str, Meta(min_length=1, max_length=40)] = "web"


class AskQuote(Body):
    """What would this cost now?"""

    items: Annotated[tuple[Item, ...], Meta(min_length=1, max_length=MAX_ITEMS)]
    coupon_ids: CouponCodes = ()
    points: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0
    channel: ChannelCode | None = None


class CancelWish(Body):
    """Why staff cancel an order."""

    idempotency_key: str | None = None
    reason: Literal["seller", "out_of_stock", "fraud"] = "seller"


class Shown(Value):
    """How an order is to be shown."""

    vocabulary: Vocabulary | None = None
    """In whose words; without it, those of this shop."""


class OwnOrders(Shown):
    limit: PageLimit = 20
    cursor: PageCursor | None = None


class FindOrders(OwnOrders):
    """What staff look for. `placed_to` is not included; `order_no` is how it begins."""

    state: OrderState | None = None
    store: StoreId | None = None
    buyer: AccountId | None = None
    channel: ChannelCode | None = None
    placed_from: datetime | None = None
    placed_to: datetime | None = None
    order_no: Annotated[str, Meta(pattern=r"^[0-9]{1,20}$")] | None = None


class QuoteAnswer(Answer):
    """What an order of these lines would cost now."""

    channel: ChannelCode
    currency: Currency
    lines: tuple[QuotedLine, ...]
    goods: Decimal
    discounts: Decimal
    freight: Decimal
    freight_discount: Decimal
    taxes: Decimal
    points: int
    points_amount: Decimal
    total: Decimal
    preview: Preview
    quoted_at: datetime


class Moment(Value):
    """One step of an order's life: what, when, who, and the status from then on."""

    at: datetime
    what: str
    by: str
    """`buyer`, `system` or `staff`; staff are shown whose account it was."""
    status: OrderState
    shown_status: str
    reason: str | None = None


class Timeline(Answer):
    """Why an order is as it is: all that happened to it, oldest first, without personal values."""

    order_no: OrderNo
    moments: tuple[Moment, ...]


class SalesDay(Answer):
    """What was ordered on a day, by channel. `paid` and `sales` count what has been paid for since and not cancelled:
    goods less discounts, without freight. `…_by_now`: as far as it happened before the time of day that it is now, to
    compare a day that is not over with."""

    day: date
    channel: ChannelCode
    currency: Currency
    orders: int
    paid: int
    units: int
    sales: Decimal
    orders_by_now: int
    sales_by_now: Decimal


class BestSeller(Answer):
    sku: Sku
    title: str
    currency: Currency
    units: int
    sales: Decimal


class ExportedOrder(Answer):
    """An order in the export of its buyer's own data: all that the buyer said, and what it came to."""

    order_no: OrderNo
    status: OrderState
    channel: ChannelCode
    currency: Currency
    lines: tuple[QuotedLine, ...]
    discounts: Decimal
    freight: Decimal
    taxes: Decimal
    points: int
    total: Decimal
    coupons: tuple[str, ...]
    address: Address
    contact: ContactPoint | None
    placed_at: datetime
    invoice_required: bool
    metadata: dict[str, Any]
    source: str

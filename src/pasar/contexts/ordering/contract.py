"""An order from placed to completed. What may be said to ordering, heard from it, and read in it.

    CREATED → PENDING_PAYMENT → (PAYMENT_PROCESSING) → PAID → ALLOCATED → (PREPARING) → PICKED → PACKED →
    SHIPPED → IN_TRANSIT → DELIVERED → CONFIRMED → COMPLETED
    aside: CANCELED, PARTIAL_SHIPPED, AFTER_SALE_OPEN, PARTIAL_REFUNDED, REFUNDED

The order is CREATED in the answer of the request that places it (S1) and waits for payment from then on; an order of
total 0 is paid at once. After-sale states are facets: `state` is where the goods are, `refund_state` what was given
back.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta

from pasar.contexts.pricing.contract import CouponUse, FreightShare, Quote, QuotedLine
from pasar.kernel.messages import Answer, Command, Event, Value
from pasar.kernel.money import Currency
from pasar.vocabulary import AccountId, Address, BatchId, ChannelCode, ContactPoint, OrderNo, OrderState, Sku, StoreId

CancelReason = Literal["unpaid", "payment_failed", "buyer", "seller", "out_of_stock", "not_allocatable", "fraud"]
Stage = Literal["PREPARING", "PICKED", "PACKED", "PARTIAL_SHIPPED", "SHIPPED", "IN_TRANSIT", "DELIVERED"]


class SoftAllocation(Value):
    """Where the goods would come from, had the order been paid now (S1 `allocated_batches`)."""

    item_id: str
    batch_id: BatchId
    qty: int


class PlaceOrder(Command):
    """Take stock, coupons, points and quotas, all or none. The quote is taken as it is: the facade asked pricing."""

    opens = True
    order_no: OrderNo
    buyer: AccountId
    quote: Quote
    address: Address
    pay_until: datetime
    keep_until: datetime | None = None
    """How long an open payment attempt may keep the order at most; None: no longer than `pay_until`."""
    invoice_required: bool = False
    metadata: dict[str, Any] = {}
    source: Annotated[str, Meta(max_length=40)] = "web"
    soft_allocation: tuple[SoftAllocation, ...] = ()
    programme: str = "points"
    placed_at: datetime
    ticket: str = ""
    """Of a sale's queue: good for one order."""
    contact: ContactPoint | None = None
    """Where mails about it go; None: to the buyer's account."""


class BeginPayment(Command):
    """An open payment attempt keeps the hold, until its own end at most."""

    order_no: OrderNo
    payment: UUID
    until: datetime


class EndPaymentAttempt(Command):
    """The attempt failed or ended; the order waits on, until its deadline."""

    order_no: OrderNo
    payment: UUID


class MarkPaid(Command):
    """The whole total was captured. Refused (1004) when the order is cancelled: then the money is late."""

    order_no: OrderNo
    payment: UUID | None
    gateway: str
    amount: Decimal
    currency: Currency


class CancelOrder(Command):
    """Before payment: gives everything back. A timer sends it 30 min after placing. When paid: `CancelPaidOrder`."""

    order_no: OrderNo
    reason: CancelReason


class CancelPaidOrder(Command):
    """A paid order that has not left: stock goes back, the process refunds. Whoever cancels one that may be allocated
    sends `Deallocate` in the same change, which refuses when a parcel has left."""

    order_no: OrderNo
    reason: CancelReason


class MarkAllocated(Command):
    order_no: OrderNo


class MarkStage(Command):
    """What fulfilment reports. A stage that is behind where the order is changes nothing."""

    order_no: OrderNo
    stage: Stage


class ConfirmOrder(Command):
    """The buyer has it and is content; by the process 7 days after delivery."""

    order_no: OrderNo
    by_buyer: bool = True
    now: datetime | None = None


class CompleteOrder(Command):
    """Nothing can change any more but by after-sales; by timer after confirmation."""

    order_no: OrderNo


class OpenAfterSale(Command):
    order_no: OrderNo
    case: UUID


class CloseAfterSale(Command):
    """A case ended. `refunded` is the money that the buyer got back; `platform_part` goes back to the platform,
    which had
    paid it for the buyer (points' worth, its coupons): booked here, from the order's liability."""

    order_no: OrderNo
    case: UUID
    refunded: Decimal
    platform_part: Decimal = Decimal(0)
    returned: tuple[tuple[str, int], ...] = ()
    """Line and units that came back."""


class OrderPlaced(Event):
    """Books the holds: stock `stock-<line>`, batch `batch-<line>`, a sale's limits `member-<line>`, `device-<line>` and
    `address-<line>`, coupons `ticket-<code>` and `quota-<code>`,
    points `points`."""

    order_no: OrderNo
    buyer: AccountId
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
    programme: str
    total: Decimal
    coupons: tuple[CouponUse, ...]
    address: Address
    pay_until: datetime
    keep_until: datetime
    placed_at: datetime
    invoice_required: bool
    metadata: dict[str, Any]
    source: str
    soft_allocation: tuple[SoftAllocation, ...]
    ticket: str = ""
    contact: ContactPoint | None = None

    @property
    def person(self) -> UUID:
        return self.buyer


class PaymentBegan(Event):
    order_no: OrderNo
    payment: UUID
    until: datetime
    cancel_at: datetime
    """When the order is cancelled unless the attempt ends before."""


class PaymentAttemptEnded(Event):
    order_no: OrderNo
    payment: UUID
    cancel_at: datetime
    """The order's own deadline; where it has passed, the order is cancelled at once."""


class OrderPaid(Event):
    """Settles the holds, and books what the platform pays for the buyer (points, its coupons) into the order's
    liability."""

    order_no: OrderNo
    buyer: AccountId
    channel: ChannelCode
    currency: Currency
    total: Decimal
    payment: UUID | None
    gateway: str
    lines: tuple[QuotedLine, ...]
    freight_shares: tuple[FreightShare, ...]
    platform_paid: Decimal
    coupons: tuple[CouponUse, ...]
    points: int
    programme: str
    address: Address

    @property
    def person(self) -> UUID:
        return self.buyer


class OrderCanceled(Event):
    """Releases the holds. `was_paid`: stock goes back to the pool; money and points go back by the refund."""

    order_no: OrderNo
    buyer: AccountId
    reason: CancelReason
    was_paid: bool
    payment: UUID | None
    currency: Currency
    total: Decimal
    lines: tuple[QuotedLine, ...]
    coupons: tuple[CouponUse, ...]
    points: int
    programme: str
    platform_paid: Decimal


class OrderAllocated(Event):
    order_no: OrderNo
    buyer: AccountId


class OrderStageReached(Event):
    order_no: OrderNo
    buyer: AccountId
    stage: Stage


class StoreShare(Value):
    """What a store's part of an order is worth, after refunds: goods less the discounts that the store bears, plus tax
    that came on top, plus its freight. `commission_base` is the part of `gross` that we take our commission of:
    goods."""

    store: StoreId
    gross: Decimal
    commission_base: Decimal
    commission_rate: Decimal


class OrderConfirmed(Event):
    """The goods are the buyer's; finance shares the money out. Σ gross of the shares is exactly what the order's
    liability still holds: total + what the platform paid − what was given back."""

    order_no: OrderNo
    buyer: AccountId
    channel: ChannelCode
    currency: Currency
    shares: tuple[StoreShare, ...]
    refunded: Decimal
    by_buyer: bool
    confirmed_at: datetime | None = None


class OrderCompleted(Event):
    order_no: OrderNo
    buyer: AccountId
    currency: Currency
    paid_amount: Decimal
    """What the buyer paid in money, less refunds: what earns points."""
    refunded: Decimal


class AfterSaleOpened(Event):
    order_no: OrderNo
    buyer: AccountId
    case: UUID


class AfterSaleClosed(Event):
    order_no: OrderNo
    buyer: AccountId
    case: UUID
    currency: Currency
    refunded: Decimal
    platform_part: Decimal
    refunded_in_all: Decimal
    whole: bool
    returned: tuple[tuple[str, int], ...]


class Preview(Value):
    """S1's preview: goods + freight − discounts (+ taxes, where prices do not include them) = total."""

    freight: Decimal
    discounts: Decimal
    """Coupons and points."""
    taxes: Decimal


class Placed(Answer):
    """The answer of `POST /api/v1/orders/create`, as S1 §8 shows it, and what it leaves out. Later commands of the
    order are answered with it, too."""

    order_no: OrderNo
    status: OrderState
    preview: Preview
    allocated_batches: tuple[SoftAllocation, ...]
    total: Decimal
    currency: Currency
    pay_until: datetime


VOCABULARIES = ("canonical", "S0", "S1", "S2", "S3", "S4")
Vocabulary = Literal["canonical", "S0", "S1", "S2", "S3", "S4"]
"""In whose words states are shown besides the canonical ones: those of the five documents that describe the shops."""
RefundStatus = Literal["NONE", "PARTIAL_REFUNDED", "REFUNDED"]


class OrderLine(Value):
    item_id: str
    sku: Sku
    title: str
    store: StoreId
    quantity: int
    unit_price: Decimal
    amount: Decimal
    discount: Decimal
    tax: Decimal
    batch: BatchId | None = None
    returned: int = 0


class OrderDetails(Answer):
    """An order as its buyer or staff sees it; a seller sees the lines of their stores and the sums of these."""

    order_no: OrderNo
    status: OrderState
    """Where the goods are, unless an after-sale case is open or money was given back."""
    shown_status: str
    """The status in the words of `vocabulary`."""
    vocabulary: Vocabulary
    stage: OrderState
    """Where the goods are."""
    refund_status: RefundStatus
    buyer: AccountId
    channel: ChannelCode
    currency: Currency
    lines: tuple[OrderLine, ...]
    goods: Decimal
    discounts: Decimal
    freight: Decimal
    taxes: Decimal
    points: int
    points_amount: Decimal
    total: Decimal
    refunded: Decimal
    address: Address
    placed_at: datetime
    pay_until: datetime
    invoice_required: bool
    metadata: dict[str, Any]
    source: str
    payment: UUID | None = None
    cancel_reason: str | None = None
    open_cases: tuple[UUID, ...] = ()


class OrderSummary(Answer):
    """An order in a list."""

    order_no: OrderNo
    status: OrderState
    shown_status: str
    refund_status: RefundStatus
    channel: ChannelCode
    currency: Currency
    total: Decimal
    refunded: Decimal
    placed_at: datetime
    pay_until: datetime
    lines: tuple[OrderLine, ...]
    buyer: AccountId

"""Returns and refunds. What may be said to aftersales, heard from it, and read in it.

REFUND_REQUESTED → REFUND_APPROVED → (goods received) → REFUND_PROCESSING → REFUNDED | REFUND_FAILED (retry)
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from pasar.contexts.inventory.contract import BatchOfSku
from pasar.kernel.free_text import TextBody
from pasar.kernel.messages import Answer, Body, Command, Event, Value
from pasar.kernel.money import Currency
from pasar.vocabulary import AccountId, OrderNo, Sku, StoreId, Units, WarehouseCode

CaseId = UUID
CaseState = Literal[
    "new",
    "REFUND_REQUESTED",
    "REFUND_APPROVED",
    "REFUND_PROCESSING",
    "REFUNDED",
    "REFUND_FAILED",
    "REJECTED",
    "WITHDRAWN",
]
Kind = Literal["return", "refund_only", "cancel"]
"""`return`: goods come back first. `refund_only`: they do not. A paid order that has not left is cancelled by ordering,
whole; no case is opened for that."""
ReasonCode = Literal[
    "no_longer_wanted",
    "ordered_by_mistake",
    "damaged",
    "defective",
    "wrong_item",
    "not_as_described",
    "not_received",
    "late",
    "other",
]
Reason = Annotated[str, Meta(max_length=500)]
MAX_CASES = 100
"""Cases of one order, rejected ones too."""


class ReturnLine(Value):
    line_id: str
    quantity: Units


class PricedReturnLine(Value):
    """A line with what it gives back: `refund` in money (goods, tax and discounts considered), `points` of those
    spent."""

    line_id: str
    sku: Sku
    store: StoreId
    quantity: int
    refund: Decimal
    platform_part: Decimal
    """What the platform had paid for the buyer goes back to it, not to the buyer."""
    points: int
    tax: Decimal = Decimal(0)
    """The part of `refund` that is tax on top of the price: no commission was taken of it."""
    bought: int = 0
    """Units of the line in the order: the limit of all that its cases ask back."""
    warehouse: WarehouseCode | None = None
    batch: str | None = None


class RequestReturn(Command):
    """The facade has priced the lines from the order and what earlier cases took; the whole rest gives back the
    rest."""

    opens = True
    case: CaseId
    order_no: OrderNo
    buyer: AccountId
    kind: Kind
    payment: UUID | None
    currency: Currency
    lines: Annotated[tuple[PricedReturnLine, ...], Meta(min_length=1)]
    freight_refund: Decimal
    freight_platform_part: Decimal = Decimal(0)
    freight_points: int = 0
    reason: Reason = ""
    reason_code: ReasonCode = "other"
    number: Annotated[int, Meta(ge=1, le=MAX_CASES)] = 1
    """How many cases the order has with this one: claimed, so that two that were priced from the same past cannot both
    be."""
    settled: bool = False
    """The seller's share was booked already: the refund comes out of the payable, or becomes a debt."""
    at: datetime | None = None


class ApproveReturn(Command):
    """`settled` as of now: while a case is open an order is not confirmed, so it stays as it is until the refund."""

    case: CaseId
    by: str
    settled: bool = False
    at: datetime | None = None


class RejectReturn(Command):
    """Before the money is on its way; also after approval, when the goods do not come or are not what was sold."""

    case: CaseId
    by: str
    reason: Annotated[str, Meta(min_length=1, max_length=500)]
    at: datetime | None = None


class WithdrawReturn(Command):
    case: CaseId
    at: datetime | None = None


class ReceiveReturn(Command):
    """The goods are back. `restock` says whether they may be sold again; `expired` batches are not, all the same."""

    case: CaseId
    warehouse: WarehouseCode
    restock: bool = True
    expired: tuple[BatchOfSku, ...] = ()
    settled: bool = False
    at: datetime | None = None


class NoteRefunded(Command):
    case: CaseId


class NoteRefundFailed(Command):
    case: CaseId
    reason: str


class RetryCase(Command):
    case: CaseId


class ReturnRequested(Event):
    case: CaseId
    order_no: OrderNo
    buyer: AccountId
    kind: Kind
    payment: UUID | None
    currency: Currency
    lines: tuple[PricedReturnLine, ...]
    freight_refund: Decimal
    refund: Decimal
    points: int
    reason: str
    settled: bool
    platform_part: Decimal = Decimal(0)
    freight_platform_part: Decimal = Decimal(0)
    reason_code: ReasonCode = "other"
    number: int = 1
    at: datetime | None = None


class ReturnApproved(Event):
    case: CaseId
    order_no: OrderNo
    by: str
    at: datetime | None = None


class ReturnRejected(Event):
    case: CaseId
    order_no: OrderNo
    buyer: AccountId
    by: str
    reason: str
    line_ids: tuple[str, ...] = ()
    at: datetime | None = None


class ReturnWithdrawn(Event):
    case: CaseId
    order_no: OrderNo
    buyer: AccountId
    line_ids: tuple[str, ...] = ()
    at: datetime | None = None


class ReturnReceived(Event):
    case: CaseId
    order_no: OrderNo
    warehouse: WarehouseCode
    restock: bool
    lines: tuple[PricedReturnLine, ...]
    expired: tuple[BatchOfSku, ...] = ()


class RefundDue(Event):
    """Now the money goes back: the process asks payment, wallet and finance."""

    case: CaseId
    order_no: OrderNo
    buyer: AccountId
    kind: Kind
    payment: UUID | None
    currency: Currency
    refund: Decimal
    platform_part: Decimal
    points: int
    lines: tuple[PricedReturnLine, ...]
    freight_refund: Decimal
    settled: bool
    attempt: int


class CaseRefunded(Event):
    case: CaseId
    order_no: OrderNo
    buyer: AccountId
    currency: Currency
    refund: Decimal
    points: int
    lines: tuple[PricedReturnLine, ...]


class CaseRefundFailed(Event):
    case: CaseId
    order_no: OrderNo
    buyer: AccountId
    reason: str


class ReturnCase(Answer):
    """A case as its buyer and staff see it; sellers see it when a line is of their stores."""

    case: CaseId
    order_no: OrderNo
    buyer: AccountId
    kind: Kind
    state: CaseState
    currency: Currency
    refund: Decimal
    """In money, `freight_refund` included."""
    freight_refund: Decimal
    points: int
    lines: tuple[PricedReturnLine, ...]
    reason_code: ReasonCode
    reason: str
    requested_at: datetime | None = None
    processed_at: datetime | None = None
    resolution: str = ""


class NewReturn(TextBody):
    """What a buyer wants to give back or have refunded, and why."""

    free_texts = ("reason",)
    idempotency_key: str | None = None
    kind: Literal["return", "refund_only"] = "return"
    lines: Annotated[tuple[ReturnLine, ...], Meta(min_length=1, max_length=500)]
    reason_code: ReasonCode
    reason: Reason = ""


class Rejection(TextBody):
    """Why a return is not accepted; the buyer reads it."""

    free_texts = ("reason",)
    idempotency_key: str | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class Arrival(Body):
    """Where the goods have come back to, and whether they can be sold again."""

    idempotency_key: str | None = None
    warehouse: WarehouseCode
    restock: bool = True

"""Money comes in and goes back: what may be said to payment, heard from it, and read in it.

A payment is one attempt at one gateway for the whole of one order. Nothing outside is called while deciding:
`…Requested` is recorded, the gateway acts in the worker with the event's id as its key, the answer returns as a
command.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from pasar.kernel.messages import Answer, Command, Event, Value
from pasar.kernel.money import Currency
from pasar.vocabulary import AccountId, OrderNo, PaymentId

PaymentState = Literal["new", "started", "confirming", "captured", "failed", "expired", "late", "parked", "refunded"]
RefundState = Literal["requested", "completed", "failed", "stalled"]
ParkReason = Literal[
    "wrong_amount", "wrong_currency", "wrong_receiver", "wrong_order", "unknown_payment", "second_capture"
]


class Opening(Value):
    """What the buyer's browser needs to pay: a page to open, or fields for the provider's script or a QR code."""

    provider_ref: str | None
    pay_url: str | None
    fields: dict[str, str] = {}


class StartPayment(Command):
    """An attempt opens; it may take 10 min. The whole total of the order, nothing else. `receiver` is the merchant who
    must get the money; at `check_at` the provider is asked for the first time, if it has told nothing until then.
    `opening`: of a provider that need not be called for it; the attempt is open at once."""

    opens = True
    payment: PaymentId
    order_no: OrderNo
    buyer: AccountId
    gateway: str
    amount: Decimal
    currency: Currency
    title: str
    return_url: Annotated[str, Meta(max_length=500)] = ""
    receiver: str | None = None
    expires_at: datetime
    check_at: datetime | None = None
    opening: Opening | None = None


class CheckPayment(Command):
    """Sent by timer: an open attempt is asked for at the provider, again and again until its fate is known."""

    payment: PaymentId
    number: int
    due: datetime


class NotePaymentOpened(Command):
    """The provider's answer to a call that opens the attempt."""

    payment: PaymentId
    opening: Opening


class RequestConfirm(Command):
    """The buyer is back from the provider's page; now the provider is told to take the money (Toss)."""

    payment: PaymentId
    provider_ref: str


class Capture(Command):
    """The provider says, verified, that so much was taken. Compared with what was asked for: else it is parked."""

    payment: PaymentId
    gateway: str
    provider_ref: str
    amount: Decimal
    currency: Currency
    receiver: str | None = None
    occurred_at: datetime | None = None


class CaptureLate(Command):
    """The same, for an order that is cancelled meanwhile: booked, and returned once."""

    payment: PaymentId
    gateway: str
    provider_ref: str
    amount: Decimal
    currency: Currency
    receiver: str | None = None
    occurred_at: datetime | None = None


class Fail(Command):
    """The payer or bank declined, or attempts are used up. A capture that comes after all is still booked."""

    payment: PaymentId
    reason: str


class Expire(Command):
    """The attempt's 10 min are over."""

    payment: PaymentId


class Park(Command):
    """Genuine money that fits nothing: booked as unclear, alarmed, decided by a person."""

    payment: PaymentId
    gateway: str
    provider_ref: str
    amount: Decimal
    currency: Currency
    reason: ParkReason
    told_as: str = ""
    """The payment's number in the provider's words, where it is not ours."""


class RequestRefund(Command):
    """Give back `amount` of what was captured; the order's liability refuses more than is left."""

    payment: PaymentId
    refund: UUID
    amount: Decimal
    reason: Annotated[str, Meta(max_length=200)]


class CompleteRefund(Command):
    payment: PaymentId
    refund: UUID
    provider_refund: str = ""


class FailRefund(Command):
    """The provider says no, definitely; the money stays with the order, and a person is asked."""

    payment: PaymentId
    refund: UUID
    reason: str


class StallRefund(Command):
    """The provider could not be asked for as long as we tried: a person looks at it. Off when another attempt runs."""

    payment: PaymentId
    refund: UUID
    attempt: int
    reason: str


class RetryRefund(Command):
    """A refund that the provider refused is tried again, under a new number of the provider's."""

    payment: PaymentId
    refund: UUID


class PaymentStarted(Event):
    """`is_open`: nobody need be called to open it, and what the browser needs follows in the same change."""

    payment: PaymentId
    order_no: OrderNo
    buyer: AccountId
    gateway: str
    amount: Decimal
    currency: Currency
    title: str
    return_url: str
    expires_at: datetime
    receiver: str | None = None
    check_at: datetime | None = None
    is_open: bool = False


class PaymentChecked(Event):
    """The provider is to be asked what became of the attempt. `is_last`: its time is over, so end it there."""

    payment: PaymentId
    order_no: OrderNo
    gateway: str
    provider_ref: str | None
    number: int
    next_at: datetime
    is_last: bool


class PaymentOpened(Event):
    payment: PaymentId
    provider_ref: str | None
    pay_url: str | None
    fields: dict[str, str]


class ConfirmRequested(Event):
    payment: PaymentId
    order_no: OrderNo
    gateway: str
    provider_ref: str
    amount: Decimal
    currency: Currency


class PaymentCaptured(Event):
    """Books gateway clearing → the order's liability. S1's Payment.Succeeded."""

    payment: PaymentId
    order_no: OrderNo
    buyer: AccountId
    gateway: str
    provider_ref: str
    amount: Decimal
    currency: Currency
    occurred_at: datetime | None


class PaymentCapturedLate(Event):
    """Books gateway clearing → late money; a refund of all of it follows in the same change."""

    payment: PaymentId
    order_no: OrderNo
    buyer: AccountId
    gateway: str
    provider_ref: str
    amount: Decimal
    currency: Currency
    occurred_at: datetime | None


class PaymentFailed(Event):
    """S1's Payment.Failed."""

    payment: PaymentId
    order_no: OrderNo
    buyer: AccountId
    reason: str


class PaymentExpired(Event):
    payment: PaymentId
    order_no: OrderNo
    buyer: AccountId


class PaymentParked(Event):
    """Books gateway clearing → unclear money."""

    payment: PaymentId
    gateway: str
    provider_ref: str
    amount: Decimal
    currency: Currency
    reason: ParkReason
    told_as: str = ""


class RefundRequested(Event):
    """Holds `refund-<id>` from the order's liability (or late money) to clearing."""

    payment: PaymentId
    refund: UUID
    order_no: OrderNo
    gateway: str
    provider_ref: str
    amount: Decimal
    currency: Currency
    captured: Decimal
    reason: str
    late: bool
    attempt: int
    told_as: str = ""


class RefundRetried(Event):
    """The hold of the first request stands; the provider is asked again."""

    payment: PaymentId
    refund: UUID
    order_no: OrderNo
    gateway: str
    provider_ref: str
    amount: Decimal
    currency: Currency
    captured: Decimal
    reason: str
    late: bool
    attempt: int
    told_as: str = ""


class RefundCompleted(Event):
    payment: PaymentId
    refund: UUID
    order_no: OrderNo
    buyer: AccountId
    amount: Decimal
    currency: Currency
    late: bool
    whole: bool


class RefundFailed(Event):
    """The hold stays: the money is still owed, and a retry settles it."""

    payment: PaymentId
    refund: UUID
    order_no: OrderNo
    buyer: AccountId
    amount: Decimal
    currency: Currency
    reason: str


class RefundStalled(Event):
    """Whether the provider has given it back is unknown. The hold stays; a retry asks under the same number."""

    payment: PaymentId
    refund: UUID
    order_no: OrderNo
    buyer: AccountId
    amount: Decimal
    currency: Currency
    attempt: int
    reason: str


class Refund(Answer):
    """`requested` is on its way; `failed` was refused by the provider and is still owed; of `stalled` nobody knows, as
    the provider could not be asked."""

    refund: UUID
    amount: Decimal
    state: RefundState
    reason: str
    attempt: int
    failure: str | None = None


class Payment(Answer):
    payment: PaymentId
    order_no: OrderNo
    state: PaymentState
    gateway: str
    amount: Decimal
    currency: Currency
    expires_at: datetime
    pay_url: str | None = None
    fields: dict[str, str] = {}
    refunded: Decimal = Decimal(0)
    failure: str | None = None
    provider_ref: str | None = None
    refunds: tuple[Refund, ...] = ()


class GatewayOffer(Answer):
    """A gateway that can take a payment now."""

    gateway: str
    currencies: tuple[Currency, ...]
    healthy: bool
    share: int

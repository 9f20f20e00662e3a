"""What staff do and look for: parked money with what is said and heard of it, and the lists of payments."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from pasar.kernel.messages import Answer, Body, Command, Event, Value
from pasar.kernel.money import Currency
from pasar.vocabulary import AccountId, OrderNo, PaymentId

from .contract import ParkReason, PaymentState

ParkedState = Literal["open", "attach_proposed", "returning", "stalled", "returned", "attached"]


class CaptureParked(Command):
    """Parked money pays an order after all, as two people decided: the parked case ends in the same change."""

    payment: PaymentId
    order_no: OrderNo
    buyer: AccountId
    gateway: str
    provider_ref: str
    amount: Decimal
    currency: Currency
    title: str
    at: datetime


class OpenParked(Command):
    """Parked money waits for a person, under a case of its own."""

    opens = True
    parked: UUID
    payment: PaymentId
    gateway: str
    provider_ref: str
    told_as: str
    amount: Decimal
    currency: Currency
    reason: ParkReason


class ReturnParked(Command):
    """Give it back to who paid it, through its gateway. Also tries again what the provider refused, or could not be
    asked for."""

    parked: UUID
    by: str


class ProposeAttach(Command):
    """It belongs to that order. A second person decides."""

    parked: UUID
    order_no: OrderNo
    by: str


class AttachParked(Command):
    """The second person agrees."""

    parked: UUID
    order_no: OrderNo
    by: str


class NoteReturned(Command):
    parked: UUID
    attempt: int


class NoteReturnFailed(Command):
    """The provider's definite no: nothing went back."""

    parked: UUID
    attempt: int
    reason: str


class NoteReturnStalled(Command):
    """Nobody knows whether it went back: the provider could not be asked for as long as we tried."""

    parked: UUID
    attempt: int
    reason: str


class SetTraffic(Command):
    """What a provider gets of the payments that choose none, of those that the ones before it have left; None: what
    the settings say. 0: only payments that name it."""

    gateway: Annotated[str, Meta(min_length=1, max_length=40)]
    share: Annotated[int, Meta(ge=0, le=100, description="percent")] | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=200)]


class TrafficSet(Event):
    gateway: str
    share: int | None
    reason: str


class Traffic(Answer):
    """A provider's share of the payments that choose none, in percent. `configured`: what the settings say; `set`: what
    somebody has said since, with `reason`."""

    gateway: str
    configured: int
    set: int | None = None
    reason: str = ""

    @property
    def share(self) -> int:
        return self.configured if self.set is None else self.set


class ParkedOpened(Event):
    parked: UUID
    payment: PaymentId
    gateway: str
    provider_ref: str
    told_as: str
    amount: Decimal
    currency: Currency
    reason: ParkReason


class ParkedReturnRequested(Event):
    """Holds `return-<attempt>` from unclear money to clearing; `again`: that hold stands, and the provider is asked
    again under the same number."""

    parked: UUID
    payment: PaymentId
    gateway: str
    provider_ref: str
    told_as: str
    amount: Decimal
    currency: Currency
    by: str
    attempt: int
    again: bool = False


class ParkedReturned(Event):
    parked: UUID
    attempt: int


class ParkedReturnFailed(Event):
    """The hold is released: it may be tried anew, or attached."""

    parked: UUID
    attempt: int
    reason: str


class ParkedReturnStalled(Event):
    parked: UUID
    attempt: int
    reason: str


class ParkedAttachProposed(Event):
    parked: UUID
    order_no: OrderNo
    by: str


class ParkedAttached(Event):
    """Books unclear money → clearing; the payment captures it from there in the same change."""

    parked: UUID
    payment: PaymentId
    gateway: str
    amount: Decimal
    currency: Currency
    order_no: OrderNo
    proposed_by: str
    by: str


class Pages(Value):
    limit: Annotated[int, Meta(ge=1, le=100, description="entries a page")] = 20
    cursor: Annotated[str, Meta(max_length=1024, description="`next` of the page before")] | None = None


class FindPayments(Pages):
    """What staff look for. `failed_refunds`: only those with refunds that the provider has refused, or could not be
    asked for."""

    state: PaymentState | None = None
    gateway: Annotated[str, Meta(max_length=40)] | None = None
    order_no: OrderNo | None = None
    failed_refunds: bool = False


class PaymentEntry(Answer):
    """A payment in the list of the staff."""

    payment: PaymentId
    order_no: OrderNo
    buyer: AccountId
    gateway: str
    state: PaymentState
    amount: Decimal
    currency: Currency
    refunded: Decimal
    failed_refunds: tuple[UUID, ...]
    provider_ref: str | None
    failure: str | None
    started_at: datetime


class ParkedMoney(Answer):
    """Genuine money that fits nothing; a person decides. `open` waits for that, also after a return that `failure` says
    was refused; `stalled`: whether it was returned is unknown, so only the return can be tried again."""

    parked: UUID
    payment: PaymentId
    gateway: str
    provider_ref: str
    amount: Decimal
    currency: Currency
    reason: ParkReason
    state: ParkedState
    order_no: OrderNo | None = None
    """To which it is attached, or is proposed to be."""
    proposed_by: str | None = None
    failure: str | None = None


class ParkedEntry(ParkedMoney):
    """The same in the list."""

    parked_at: datetime


class FindParked(Pages):
    """What staff look for; without `state`, all that is not resolved."""

    state: ParkedState | None = None


class Attachment(Body):
    order_no: OrderNo
    idempotency_key: str | None = None

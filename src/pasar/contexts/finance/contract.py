"""Who is due what: order liability shared out, settlement, payout. What may be said to finance, heard from it, read
in it."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from pasar.kernel.free_text import TextBody
from pasar.kernel.messages import Answer, Body, Command, Event, Value
from pasar.kernel.money import Currency
from pasar.vocabulary import AccountId, OrderNo, StoreId

RunId = Annotated[str, Meta(pattern=r"^[0-9]{4}-W[0-9]{2}-[A-Z]{3}(-[0-9]{1,3})?$", examples=["2026-W47-KRW"])]
"""The week whose Monday is the cut-off, the currency and, where runs of it were rejected, which one it is."""
RunState = Literal["new", "proposed", "approved", "paid", "rejected", "empty"]
"""`empty`: nobody is to be paid, so nobody has to approve it."""


class Share(Value):
    """What one store gets of an order: goods + freight − refunds = gross; gross = seller + commission, to the last
    unit."""

    store: StoreId
    gross: Decimal
    commission: Decimal
    seller: Decimal
    base: Decimal | None = None
    """The part of `gross` that commission is taken of; None: all of it."""


class RecognizeRevenue(Command):
    """The buyer confirmed: the order's liability becomes the sellers' payable and our commission. Once for each
    order."""

    opens = True
    order_no: OrderNo
    currency: Currency
    shares: tuple[Share, ...]
    confirmed_at: datetime


class RevenueRecognized(Event):
    order_no: OrderNo
    currency: Currency
    shares: tuple[Share, ...]
    confirmed_at: datetime


class TakeBackRevenue(Command):
    """A refund after confirmation: from what the seller is still due for the order as far as it goes (`from_payable`),
    the rest, being paid out already, is a debt; our commission on it goes back, too. The order's liability gets it all,
    and pays the refund."""

    order_no: OrderNo
    case: UUID
    shares: tuple[Share, ...]
    from_payable: tuple[Decimal, ...]
    """One for each share, ≤ its `seller`."""


class RevenueTakenBack(Event):
    order_no: OrderNo
    case: UUID
    currency: Currency
    shares: tuple[Share, ...]
    from_payable: tuple[Decimal, ...]


class SettledOrder(Value):
    order_no: OrderNo
    amount: Decimal


class ProposedSettlement(Value):
    """What a store is due in a run: its recognized orders at least 7 days old, less its debt. Below the minimum it
    carries over. Σ amounts of `orders` = amount + debt_netted."""

    store: StoreId
    seller: AccountId
    amount: Decimal
    debt_netted: Decimal
    orders: tuple[SettledOrder, ...]
    kyc: str
    held_back: Literal["", "below_minimum", "kyc", "debt"] = ""


class ProposeRun(Command):
    """Monday's run, made by the facade from what is due; nothing is booked yet. A repeat changes nothing."""

    opens = True
    run: RunId
    currency: Currency
    cut_off: datetime
    settlements: tuple[ProposedSettlement, ...]
    proposed_by: str


class ApproveRun(Command):
    """By a second person (7004)."""

    run: RunId
    approved_by: str


class RejectRun(Command):
    run: RunId
    rejected_by: str
    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class PaySeller(Command):
    """One store's part of an approved run; each order of it is claimed, so that no run pays it again (7006)."""

    opens = True
    settlement: Annotated[str, Meta(max_length=120)]
    run: RunId
    store: StoreId
    seller: AccountId
    currency: Currency
    amount: Decimal
    debt_netted: Decimal
    orders: tuple[SettledOrder, ...]


class CloseRun(Command):
    """All its settlements are booked: the payout file may go to the bank."""

    run: RunId


class NotePayoutFile(Command):
    """Somebody takes the payout file, which names sellers and their bank accounts."""

    run: RunId
    by: str
    format: str
    entries: int


class StartCalendar(Command):
    """From now on a run is proposed every Monday at midnight of the time zone. A repeat changes nothing; another time
    zone moves the next run."""

    calendar: Currency
    time_zone: str
    at: datetime


class TurnWeek(Command):
    """Monday has come; by timer."""

    calendar: Currency
    due: datetime


class RunProposed(Event):
    run: RunId
    currency: Currency
    cut_off: datetime
    settlements: tuple[ProposedSettlement, ...]
    proposed_by: str


class RunLapsed(Event):
    """With its proposal: nobody is to be paid."""

    run: RunId


class RunApproved(Event):
    run: RunId
    currency: Currency
    approved_by: str
    settlements: tuple[ProposedSettlement, ...]


class RunRejected(Event):
    run: RunId
    rejected_by: str
    reason: str


class RunPaid(Event):
    run: RunId


class PayoutFileTaken(Event):
    """For the audit: who saw bank accounts."""

    run: RunId
    by: str
    format: str
    entries: int


class CalendarStarted(Event):
    calendar: Currency
    time_zone: str
    next_at: datetime


class WeekTurned(Event):
    """A run is due whose cut-off is `cut_off`; the week after it ends at `next_at`."""

    calendar: Currency
    cut_off: datetime
    next_at: datetime


class SellerSettled(Event):
    """Books payable → bank, and payable → debt where something was netted."""

    settlement: str
    run: RunId
    store: StoreId
    seller: AccountId
    currency: Currency
    amount: Decimal
    debt_netted: Decimal
    orders: tuple[SettledOrder, ...]


class Run(Answer):
    run: RunId
    state: RunState
    currency: Currency
    cut_off: datetime
    settlements: tuple[ProposedSettlement, ...]
    proposed_by: str
    approved_by: str | None = None
    rejected_by: str | None = None
    reason: str = ""


class RunSummary(Answer):
    """A run in a list."""

    run: RunId
    state: RunState
    currency: Currency
    cut_off: datetime
    sellers: int
    """Who is to be paid."""
    amount: Decimal


class Settlement(Answer):
    """What a store was paid by a run."""

    settlement: str
    run: RunId
    store: StoreId
    seller: AccountId
    currency: Currency
    amount: Decimal
    debt_netted: Decimal
    orders: tuple[SettledOrder, ...]
    settled_at: datetime | None = None


class Due(Answer):
    """A line of a seller's statement: one order."""

    order_no: OrderNo
    currency: Currency
    amount: Decimal
    """The seller's share, commission deducted."""
    commission: Decimal
    taken_back: Decimal
    """Of the share, by refunds."""
    recognized_at: datetime
    settled_run: str | None = None
    paid: Decimal
    """By that run, netted debt included."""


class OrderShare(Due):
    """What came of one order for one store."""

    store: StoreId
    payable: Decimal
    """Still to be paid out."""


class Balance(Answer):
    """A store's money: due in all, of that old enough to be settled, and owed by the seller."""

    store: StoreId
    currency: Currency
    payable: Decimal
    settleable: Decimal
    debt: Decimal
    next_run: datetime


class NewRun(Body):
    """Propose the run of the last Monday now, rather than wait for the calendar."""

    idempotency_key: str | None = None
    currency: Currency = "KRW"


class RunRejection(TextBody):
    free_texts = ("reason",)
    idempotency_key: str | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=500)]

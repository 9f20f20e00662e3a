"""Points: earn, hold, spend, give back. What may be said to wallet, heard from it, and read in it.

One programme, `points`; the stream is `<programme>:<account>`. Orders hold and spend points by booking them themselves.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from pasar.kernel.free_text import TextBody
from pasar.kernel.messages import Answer, Command, Event, Value
from pasar.kernel.money import Currency
from pasar.vocabulary import AccountId, OrderNo

Programme = Literal["points"]
WalletId = Annotated[str, Meta(pattern=r"^points:[0-9a-f-]{36}$")]
Points = Annotated[int, Meta(ge=1, le=1_000_000_000)]


class EarnPoints(Command):
    """Points for a completed order: once for each order. They lapse at `expires_at` (12 months after)."""

    wallet: WalletId
    account: AccountId
    order_no: OrderNo
    points: Points
    expires_at: datetime
    paid: Decimal = Decimal(0)
    """What was paid for them: a refund of a part of it takes that part of the points back."""


class GrantPoints(Command):
    """A gift of the shop, with its reason; `grant` makes it repeatable."""

    wallet: WalletId
    account: AccountId
    grant: UUID
    points: Points
    reason: Annotated[str, Meta(min_length=1, max_length=200)]
    expires_at: datetime | None = None


class GiveBackPoints(Command):
    """Points that an order spent and a refund returns."""

    wallet: WalletId
    account: AccountId
    case: UUID
    order_no: OrderNo
    points: Points


class TakeBackPoints(Command):
    """Points earned by an order that was refunded; `from_balance` of them are there, the rest becomes debt."""

    wallet: WalletId
    account: AccountId
    case: UUID
    order_no: OrderNo
    points: Points
    from_balance: Annotated[int, Meta(ge=0)]
    refunded: Decimal = Decimal(0)


class NoteLapseDue(Command):
    """Sent by timer: the 12 months of an earning or gift are over."""

    wallet: WalletId
    source: str


class LapsePoints(Command):
    """What is left of an earning after its 12 months; the facade says how many of the balance those are. What an
    unpaid order holds of them (`left`) is looked at again at `again_at`."""

    wallet: WalletId
    account: AccountId
    source: str
    points: Annotated[int, Meta(ge=0)]
    left: Annotated[int, Meta(ge=0)] = 0
    again_at: datetime | None = None


class PointsEarned(Event):
    wallet: WalletId
    account: AccountId
    order_no: OrderNo
    points: int
    paid_debt: int
    expires_at: datetime
    paid: Decimal = Decimal(0)


class PointsGranted(Event):
    wallet: WalletId
    account: AccountId
    grant: UUID
    points: int
    reason: str
    expires_at: datetime | None


class PointsGivenBack(Event):
    wallet: WalletId
    account: AccountId
    case: UUID
    order_no: OrderNo
    points: int


class PointsTakenBack(Event):
    wallet: WalletId
    account: AccountId
    case: UUID
    order_no: OrderNo
    points: int
    from_balance: int
    refunded: Decimal = Decimal(0)


class PointsDue(Event):
    wallet: WalletId
    account: AccountId
    source: str


class PointsLapsed(Event):
    wallet: WalletId
    account: AccountId
    source: str
    points: int
    left: int = 0
    again_at: datetime | None = None


class PointsBalance(Answer):
    """`available` may be spent, `held` is kept for unpaid orders, `debt` is taken from the next earnings."""

    programme: Programme
    available: int
    held: int
    debt: int = 0
    worth: Decimal = Decimal(0)
    currency: Currency = "KRW"


class PointsEntry(Answer):
    """One line of a statement: what came (positive) or went, and on what account."""

    entry: UUID
    at: datetime
    kind: Literal["earned", "granted", "spent", "given_back", "taken_back", "lapsed"]
    points: int
    reference: str


class ExportedWallet(Answer):
    """Points in the export of a person's own data."""

    programme: Programme
    debt: int
    entries: tuple[PointsEntry, ...]


class FindEntries(Value):
    limit: Annotated[int, Meta(ge=1, le=100, description="entries a page")] = 20
    cursor: Annotated[str, Meta(max_length=1024, description="`next` of the page before")] | None = None


class NewGrant(TextBody):
    """A gift of points to one member, with its reason. `lapses_after_months` 0: never."""

    free_texts = ("reason",)
    account: AccountId
    points: Points
    reason: Annotated[str, Meta(min_length=1, max_length=200)]
    lapses_after_months: Annotated[int, Meta(ge=0, le=120)] = 12
    idempotency_key: str | None = None

"""What a member has, where it came from, and what earns, takes back and lapses points."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from pasar.accounts import points
from pasar.contexts.ordering.contract import OrderCompleted
from pasar.contexts.pricing.facade import PricingSettings
from pasar.kernel.access import Principal
from pasar.kernel.bus import Bus, Contended
from pasar.kernel.money import major
from pasar.kernel.settings import Section
from pasar.kernel.store import Reader
from pasar.kernel.web import Cursor, Page
from pasar.refusals import InsufficientPoints

from .account import Wallet, ledger_of, left_of, owed_back, source_of
from .account import account as wallets
from .contract import (
    EarnPoints,
    FindEntries,
    GrantPoints,
    LapsePoints,
    NewGrant,
    PointsBalance,
    PointsEntry,
    TakeBackPoints,
)

RACES = 10
LOOK_AGAIN = timedelta(days=1)


class WalletSettings(Section, frozen=True):
    """The points programme."""

    earn: Annotated[
        tuple[str, ...], Meta(description="What earns one point, by currency: CUR:amount. Others earn nothing.")
    ] = ("CNY:1", "KRW:100", "USD:1", "EUR:1", "GBP:1", "JPY:100")
    lapse_after_months: Annotated[
        int, Meta(ge=1, le=120, description="Months after which points that were not spent lapse.")
    ] = 12
    worth_currency: Annotated[str, Meta(description="In which currency balances say what they are worth.")] = "KRW"

    def problems(self) -> Iterable[str]:
        for text in self.earn:
            currency, _, amount = text.partition(":")
            if len(currency) != 3 or not amount.replace(".", "", 1).isdigit() or not Decimal(amount):
                yield f"earn has {text!r}; write for example CNY:1"

    def points_for(self, paid: Decimal, currency: str) -> int:
        """Whole points for what was paid; a started unit earns nothing."""
        amounts = dict(text.split(":", 1) for text in self.earn)
        if currency not in amounts or paid <= 0:
            return 0
        return int((paid / Decimal(amounts[currency])).to_integral_value(ROUND_DOWN))


def wallet_of(account: UUID | str) -> str:
    return f"points:{account}"


def months_after(at: datetime, months: int) -> datetime:
    """The same day so many months later, or the last of a shorter month."""
    year, month = divmod(at.year * 12 + at.month - 1 + months, 12)
    for day in range(at.day, at.day - 4, -1):
        try:
            return at.replace(year=year, month=month + 1, day=day)
        except ValueError:
            continue
    raise AssertionError(at)


async def balance(bus: Bus, who: Principal) -> PointsBalance:
    """The caller's points, right the moment an order took some."""
    own = ledger_of(points, who.id)
    available, held = await bus.db.balance(own), await bus.db.held(own)
    wallet = await bus.db.state(wallets, wallet_of(who.id)) or Wallet()
    currency = bus.settings.section(WalletSettings).worth_currency
    worth = major(available * bus.settings.section(PricingSettings).point_worth_minor, currency)
    return PointsBalance(
        programme="points", available=available, held=held, debt=wallet.debt, worth=worth, currency=currency
    )


async def statement(db: Reader, who: Principal, query: FindEntries) -> Page[PointsEntry]:
    """The caller's entries, newest first."""
    after = Cursor.read(query.cursor, tuple[datetime, UUID]) or (None, None)
    found = await db.all(
        PointsEntry,
        """select entry, at, kind, points, reference from wallet.statement
            where tenant = $1 and account = $2::uuid and ($3::timestamptz is null or (at, entry) < ($3, $4))
            order by at desc, entry desc limit $5""",
        *(db.tenant, who.id, *after, query.limit + 1),
    )
    page = found[: query.limit]
    return Page(items=page, next=Cursor.write((page[-1].at, page[-1].entry)) if len(found) > len(page) else None)


async def grant(bus: Bus, body: NewGrant) -> None:
    """A gift of the shop. A repeat of the request gives once, by its key."""
    lapses = months_after(bus.now(), body.lapses_after_months) if body.lapses_after_months else None
    gift = GrantPoints(
        wallet=wallet_of(body.account),
        account=body.account,
        grant=bus.ids.uuid(),
        points=body.points,
        reason=body.reason,
        expires_at=lapses,
    )
    await bus.send(gift)


def earning(settings: WalletSettings, event: OrderCompleted, at: datetime) -> list[EarnPoints]:
    """What a completed order earns, if anything."""
    order_no, buyer, paid = event.order_no, event.buyer, event.paid_amount
    earned = settings.points_for(paid, event.currency)
    if earned == 0:
        return []
    expires_at = months_after(at, settings.lapse_after_months)
    wallet = wallet_of(buyer)
    return [
        EarnPoints(wallet=wallet, account=buyer, order_no=order_no, points=earned, expires_at=expires_at, paid=paid)
    ]


async def take_back(bus: Bus, case: UUID, order_no: str, buyer: UUID, refunded: Decimal) -> None:
    """After a refund of a completed order: what it earned too much goes, from the balance or into debt."""
    for _ in range(RACES):
        wallet = await bus.db.state(wallets, wallet_of(buyer)) or Wallet()
        lot = wallet.lot(source_of(order_no))
        back = 0 if lot is None else owed_back(lot, refunded)
        if back <= 0:
            return
        there = min(back, max(0, await bus.db.balance(ledger_of(points, buyer))))
        command = TakeBackPoints(
            wallet=wallet_of(buyer),
            account=buyer,
            case=case,
            order_no=order_no,
            points=back,
            from_balance=there,
            refunded=refunded,
        )
        try:
            await bus.send(command)
            return
        except InsufficientPoints:
            continue  # Some were spent in between.
    raise Contended(f"the points of {buyer} keep changing")


async def lapse(bus: Bus, account: UUID, source: str) -> None:
    """What is left of a lot goes; what an unpaid order holds of it is looked at again."""
    own = ledger_of(points, account)
    for _ in range(RACES):
        wallet = await bus.db.state(wallets, wallet_of(account)) or Wallet()
        available, held = await bus.db.balance(own), await bus.db.held(own)
        left = left_of(wallet, source, available + held)
        gone = min(left, available)
        command = LapsePoints(
            wallet=wallet_of(account),
            account=account,
            source=source,
            points=gone,
            left=left - gone,
            again_at=bus.now() + LOOK_AGAIN if left > gone else None,
        )
        try:
            await bus.send(command)
            return
        except InsufficientPoints:
            continue
    raise Contended(f"the points of {account} keep changing")

"""A member's points: what came, until when, and what is owed. What orders spend they book themselves.

Lots remember what was earned or granted and lapses one day. Spending takes the oldest first, so what is left of a lot
follows from the balance: see `left_of`.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import assert_never
from uuid import UUID

import msgspec

from pasar.accounts import points, points_debt, points_issue, points_spent
from pasar.kernel import ledger
from pasar.kernel.decider import Clear, Decider, Set, Take, Unique
from pasar.kernel.messages import Value
from pasar.refusals import PointsRefused

from .contract import (
    EarnPoints,
    GiveBackPoints,
    GrantPoints,
    LapsePoints,
    NoteLapseDue,
    PointsDue,
    PointsEarned,
    PointsGivenBack,
    PointsGranted,
    PointsLapsed,
    PointsTakenBack,
    TakeBackPoints,
)

WalletCommand = EarnPoints | GrantPoints | GiveBackPoints | TakeBackPoints | NoteLapseDue | LapsePoints
WalletEvent = PointsEarned | PointsGranted | PointsGivenBack | PointsTakenBack | PointsDue | PointsLapsed
PROGRAMME = "points"
booked_once = Unique("points_entry", PointsRefused)


class Lot(Value, omit_defaults=True):
    """Points of one origin: `order:<number>` or `grant:<id>`. `earned` and `paid` stay as they were at first."""

    source: str
    points: int
    expires_at: datetime | None = None
    earned: int = 0
    paid: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)
    taken: int = 0


class Wallet(Value, omit_defaults=True):
    account: str = ""
    lots: tuple[Lot, ...] = ()
    debt: int = 0

    def lot(self, source: str) -> Lot | None:
        return next((lot for lot in self.lots if lot.source == source), None)


def source_of(order_no: str) -> str:
    return f"order:{order_no}"


def left_of(wallet: Wallet, source: str, balance: int) -> int:
    """What is left of a lot, when `balance` (held points included) is left of all: later lots are spent last."""
    lots = sorted((lot for lot in wallet.lots if lot.points), key=_age)
    at = next((number for number, lot in enumerate(lots) if lot.source == source), None)
    if at is None:
        return 0
    later = sum(lot.points for lot in lots[at + 1 :])
    return min(lots[at].points, max(0, balance - later))


def _age(lot: Lot) -> tuple[bool, str, str]:
    return lot.expires_at is None, lot.expires_at.isoformat() if lot.expires_at else "", lot.source


def owed_back(lot: Lot, refunded: Decimal) -> int:
    """How many points a further refund takes back: what is still paid for keeps its whole points, no more."""
    if lot.paid <= 0:
        return 0
    still_paid = max(Decimal(0), lot.paid - lot.refunded - refunded)
    return max(0, lot.earned - lot.taken - int(lot.earned * still_paid / lot.paid))


def decide(command: WalletCommand, wallet: Wallet) -> Sequence[WalletEvent]:
    match command:
        case EarnPoints(order_no=order_no):
            if wallet.lot(source_of(order_no)) is not None:
                return []
            fields = {name: getattr(command, name) for name in EarnPoints.__struct_fields__}
            return [PointsEarned(**fields, paid_debt=min(wallet.debt, command.points))]
        case GrantPoints(grant=grant):
            if wallet.lot(f"grant:{grant}") is not None:
                return []
            return [PointsGranted(**{name: getattr(command, name) for name in GrantPoints.__struct_fields__})]
        case GiveBackPoints():
            return [PointsGivenBack(**{name: getattr(command, name) for name in GiveBackPoints.__struct_fields__})]
        case TakeBackPoints():
            return _take_back(command)
        case NoteLapseDue(wallet=id, source=source):
            if wallet.lot(source) is None:
                return []
            return [PointsDue(wallet=id, account=UUID(id.partition(":")[2]), source=source)]
        case LapsePoints(source=source):
            if wallet.lot(source) is None:
                return []
            return [PointsLapsed(**{name: getattr(command, name) for name in LapsePoints.__struct_fields__})]
        case _:
            assert_never(command)


def _take_back(command: TakeBackPoints) -> list[WalletEvent]:
    if command.from_balance > command.points:
        raise PointsRefused(f"{command.from_balance} of {command.points} points cannot be taken from the balance")
    return [PointsTakenBack(**{name: getattr(command, name) for name in TakeBackPoints.__struct_fields__})]


def evolve(wallet: Wallet, event: WalletEvent) -> Wallet:
    change = msgspec.structs.replace
    match event:
        case PointsEarned():
            lot = Lot(
                source=source_of(event.order_no),
                points=event.points - event.paid_debt,
                expires_at=event.expires_at,
                earned=event.points,
                paid=event.paid,
            )
            return change(
                wallet, account=str(event.account), lots=(*wallet.lots, lot), debt=wallet.debt - event.paid_debt
            )
        case PointsGranted():
            lot = Lot(source=f"grant:{event.grant}", points=event.points, expires_at=event.expires_at)
            return change(wallet, account=str(event.account), lots=(*wallet.lots, lot))
        case PointsGivenBack() | PointsDue():
            return wallet
        case PointsTakenBack():
            return _taken_back(wallet, event)
        case PointsLapsed(source=source, left=left):
            kept = tuple(lot for lot in wallet.lots if lot.source != source)
            lot = wallet.lot(source)
            return change(wallet, lots=(*kept, change(lot, points=left)) if lot and left else kept)
        case _:
            assert_never(event)


def _taken_back(wallet: Wallet, event: PointsTakenBack) -> Wallet:
    change, source = msgspec.structs.replace, source_of(event.order_no)
    lots = tuple(
        change(
            lot,
            points=max(0, lot.points - event.points),
            taken=lot.taken + event.points,
            refunded=lot.refunded + event.refunded,
        )
        if lot.source == source
        else lot
        for lot in wallet.lots
    )
    return change(wallet, lots=lots, debt=wallet.debt + event.points - event.from_balance)


def book(event: WalletEvent) -> list[ledger.Transfer]:
    """Debt is paid first. What is taken back of points that are spent already becomes debt: below its zero."""
    match event:
        case PointsEarned(account=account, points=earned, paid_debt=paid):
            debt = ledger_of(points_debt, account)
            return [
                *_some(points_issue(PROGRAMME), debt, paid),
                *_some(points_issue(PROGRAMME), ledger_of(points, account), earned - paid),
            ]
        case PointsGranted(account=account, points=granted):
            return _some(points_issue(PROGRAMME), ledger_of(points, account), granted)
        case PointsGivenBack(account=account, points=given):
            return _some(points_spent(PROGRAMME), ledger_of(points, account), given)
        case PointsTakenBack(account=account, points=taken, from_balance=there):
            debt = ledger_of(points_debt, account)
            return [
                *_some(ledger_of(points, account), points_issue(PROGRAMME), there),
                *_some(debt, points_issue(PROGRAMME), taken - there),
            ]
        case PointsLapsed(account=account, points=lapsed):
            return _some(ledger_of(points, account), points_issue(PROGRAMME), lapsed)
        case PointsDue():
            return []
        case _:
            assert_never(event)


def ledger_of(family: ledger.Family, account: object) -> ledger.Account:
    return family(PROGRAMME, account)


def _some(debit: ledger.Account, credit: ledger.Account, amount: int) -> list[ledger.Transfer]:
    return [ledger.move(debit, credit, amount)] if amount > 0 else []


def timers(event: WalletEvent) -> list[Set | Clear]:
    match event:
        case PointsEarned(wallet=id, order_no=order_no, expires_at=at):
            return [_lapse_at(id, source_of(order_no), at)]
        case PointsGranted(wallet=id, grant=grant, expires_at=at):
            return [_lapse_at(id, f"grant:{grant}", at)] if at is not None else []
        case PointsLapsed(wallet=id, source=source, left=left, again_at=at):
            return [_lapse_at(id, source, at)] if left and at is not None else [Clear(f"lapse-{source}")]
        case _:
            return []


def _lapse_at(wallet: str, source: str, at: datetime) -> Set:
    return Set(f"lapse-{source}", at=at, send=NoteLapseDue(wallet=wallet, source=source))


def claims(event: WalletEvent) -> list[Take]:
    """Each cause counts once, also when its lot has long lapsed."""
    match event:
        case PointsEarned(order_no=order_no):
            return [booked_once.take(f"earned/{order_no}")]
        case PointsGranted(grant=grant):
            return [booked_once.take(f"granted/{grant}")]
        case PointsGivenBack(case=case):
            return [booked_once.take(f"given-back/{case}")]
        case PointsTakenBack(case=case):
            return [booked_once.take(f"taken-back/{case}")]
        case _:
            return []


account = Decider("wallet.account", "wallet", Wallet(), decide, evolve, book=book, timers=timers, claims=claims)

"""Points: given … when … then …, and a machine that spends, earns, takes back and lapses in any order."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from machines import explore
from pasar.accounts import points, points_debt, points_issue, points_spent
from pasar.apps.lab.evidence import Evidence
from pasar.contexts.wallet.account import Lot, Wallet, account, left_of, owed_back, source_of
from pasar.contexts.wallet.contract import (
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
from pasar.contexts.wallet.facade import WalletSettings, months_after
from pasar.kernel import ledger
from pasar.kernel.messages import Refused
from pasar.kernel.testing import Books, scenario
from pasar.refusals import InsufficientPoints, PointsRefused

ANN, CASE, GIFT = UUID(int=1), UUID(int=2), UUID(int=3)
WALLET = {"wallet": f"points:{ANN}", "account": ANN}
ORDER = {**WALLET, "order_no": "202603010001"}
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
YEAR = datetime(2027, 3, 1, 12, tzinfo=UTC)
OWN, DEBT = points("points", ANN), points_debt("points", ANN)
ISSUE, SPENT = points_issue("points"), points_spent("points")
EARNED = PointsEarned(**ORDER, points=98, paid_debt=0, expires_at=YEAR, paid=Decimal("98.00"))
GRANTED = PointsGranted(**WALLET, grant=GIFT, points=50, reason="welcome", expires_at=None)
EARN = EarnPoints(**ORDER, points=98, expires_at=YEAR, paid=Decimal("98.00"))
check = scenario(account)


@pytest.mark.requirement("S1-050")
def test_an_order_of_98_yuan_earns_98_points() -> None:
    assert WalletSettings().points_for(Decimal("98.00"), "CNY") == 98
    books = check(given=[], when=EARN, then=[EARNED])
    assert (books.balance(OWN), books.balance(ISSUE)) == (98, -98)


def test_rates_are_by_currency_and_whole() -> None:
    chosen = WalletSettings()
    assert chosen.points_for(Decimal("98.99"), "CNY") == 98
    assert chosen.points_for(Decimal(199), "KRW") == 1
    assert chosen.points_for(Decimal(99), "KRW") == 0
    assert chosen.points_for(Decimal(99), "CHF") == 0
    assert list(WalletSettings(earn=("CNY",)).problems())


def test_an_order_earns_once() -> None:
    check(given=[EARNED], when=EARN, then=[])


def test_a_gift_comes_once() -> None:
    gift = GrantPoints(**WALLET, grant=GIFT, points=50, reason="welcome")
    books = check(given=[], when=gift, then=[GRANTED])
    assert books.balance(OWN) == 50
    check(given=[GRANTED], when=gift, then=[])


def test_spent_points_come_back() -> None:
    books = check(
        given=[EARNED],
        when=GiveBackPoints(**ORDER, case=CASE, points=10),
        then=[PointsGivenBack(**ORDER, case=CASE, points=10)],
    )
    assert (books.balance(OWN), books.balance(SPENT)) == (108, -10)


def taken(of: int, there: int, refunded: str = "98.00") -> PointsTakenBack:
    return PointsTakenBack(**ORDER, case=CASE, points=of, from_balance=there, refunded=Decimal(refunded))


@pytest.mark.requirement("S1-054")
def test_points_that_are_spent_already_become_debt_which_the_next_earning_pays_first() -> None:
    wish = TakeBackPoints(**ORDER, case=CASE, points=98, from_balance=38, refunded=Decimal("98.00"))
    books = check(given=[EARNED], when=wish, then=[taken(98, 38)])
    assert (books.balance(OWN), books.balance(DEBT)) == (60, -60)
    next_order = {**WALLET, "order_no": "202603010002"}
    again = EarnPoints(**next_order, points=100, expires_at=YEAR, paid=Decimal(100))
    earned = PointsEarned(**next_order, points=100, paid_debt=60, expires_at=YEAR, paid=Decimal(100))
    books = check(given=[EARNED, taken(98, 38)], when=again, then=[earned])
    assert (books.balance(OWN), books.balance(DEBT)) == (100, 0)


def test_no_more_is_taken_from_the_balance_than_there_is() -> None:
    check(
        given=[GRANTED],
        when=TakeBackPoints(**ORDER, case=CASE, points=98, from_balance=98),
        then=InsufficientPoints,
    )
    check(given=[EARNED], when=TakeBackPoints(**ORDER, case=CASE, points=1, from_balance=2), then=PointsRefused)


def test_a_refund_takes_its_part_of_the_points_back() -> None:
    lot = Lot(source="order:1", points=98, earned=98, paid=Decimal("98.50"))
    assert owed_back(lot, Decimal("98.50")) == 98
    assert owed_back(lot, Decimal("30.00")) == 30
    rest = Lot(source="order:1", points=68, earned=98, paid=Decimal("98.50"), refunded=Decimal("30.00"), taken=30)
    assert owed_back(rest, Decimal("68.50")) == 68
    assert owed_back(rest, Decimal("500")) == 68


@pytest.mark.requirement("S1-053", "S0-083")
def test_what_was_not_spent_lapses_and_the_oldest_is_spent_first() -> None:
    old = Lot(source="order:1", points=100, expires_at=NOON)
    new = Lot(source="order:2", points=50, expires_at=YEAR)
    wallet = Wallet(lots=(new, old))
    assert left_of(wallet, "order:1", 150) == 100
    assert left_of(wallet, "order:1", 90) == 40
    assert left_of(wallet, "order:1", 50) == 0
    assert left_of(wallet, "order:2", 30) == 30
    assert left_of(wallet, "order:3", 30) == 0
    source = source_of("202603010001")
    due = NoteLapseDue(wallet=WALLET["wallet"], source=source)
    check(given=[EARNED], when=due, then=[PointsDue(**WALLET, source=source)])
    lapsed = PointsLapsed(**WALLET, source=source, points=98)
    books = check(given=[EARNED], when=LapsePoints(**WALLET, source=source, points=98), then=[lapsed])
    assert (books.balance(OWN), books.balance(ISSUE)) == (0, 0)
    check(given=[EARNED, lapsed], when=due, then=[])
    check(given=[EARNED, lapsed], when=LapsePoints(**WALLET, source=source, points=98), then=[])


def test_twelve_months_end_on_the_last_day_of_a_shorter_month() -> None:
    assert months_after(NOON, 12) == YEAR
    assert months_after(datetime(2024, 2, 29, tzinfo=UTC), 12) == datetime(2025, 2, 28, tzinfo=UTC)
    assert months_after(datetime(2026, 8, 31, tzinfo=UTC), 6) == datetime(2027, 2, 28, tzinfo=UTC)


class Points(RuleBasedStateMachine):
    """What orders spend goes past the wallet, as in the shop; the model counts four numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.books, self.state, self.number = Books(), Wallet(), 0
        self.earned = self.spent = self.lapsed = self.taken = 0

    def send(self, command: object) -> None:
        events = account.decide(command, self.state)
        assert account.book is not None
        self.books.post("wallet", [transfer for event in events for transfer in account.book(event)])
        self.state = account.fold(self.state, events)

    @rule(amount=st.integers(1, 200))
    def earn(self, amount: int) -> None:
        self.number += 1
        order = {**WALLET, "order_no": f"20260301{self.number:04}"}
        expires_at = YEAR + timedelta(days=self.number)
        self.send(EarnPoints(**order, points=amount, expires_at=expires_at, paid=Decimal(amount)))
        self.earned += amount

    @rule(amount=st.integers(1, 200))
    def spend(self, amount: int) -> None:
        before = self.books.balance(OWN)
        try:
            self.books.post("order", [ledger.move(OWN, SPENT, amount)])
            self.spent += amount
        except Refused:
            assert amount > before

    @rule(at=st.integers(0, 10), refunded=st.integers(1, 200))
    def take_back(self, at: int, refunded: int) -> None:
        orders = [lot for lot in self.state.lots if lot.paid > lot.refunded]
        if not orders:
            return
        lot = orders[at % len(orders)]
        part = min(Decimal(refunded), lot.paid - lot.refunded)
        owed = owed_back(lot, part)
        there = min(owed, self.books.balance(OWN))
        order_no = lot.source.partition(":")[2]
        self.number += 1
        command = TakeBackPoints(
            **WALLET, order_no=order_no, case=UUID(int=self.number), points=owed, from_balance=there, refunded=part
        )
        self.send(command)
        self.taken += owed

    @rule()
    def lapse(self) -> None:
        if self.state.lots:
            oldest = min(self.state.lots, key=lambda lot: lot.expires_at or YEAR)
            left = left_of(self.state, oldest.source, self.books.balance(OWN))
            self.send(LapsePoints(**WALLET, source=oldest.source, points=left))
            self.lapsed += left

    @invariant()
    def nothing_is_lost(self) -> None:
        available = self.books.balance(OWN)
        assert available >= 0
        assert self.state.debt >= 0
        assert self.books.balance(DEBT) == -self.state.debt
        assert available - self.state.debt == self.earned - self.spent - self.lapsed - self.taken
        assert sum(self.books.balances.values()) == 0


@pytest.mark.promise("A3")
def test_points_are_where_a_small_model_says(proof: Evidence) -> None:
    explore(Points, proof, night=2_000, least=80)

"""Whatever happens in whatever order: every unit of money is somewhere, and each order is paid out once."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from machines import explore
from pasar.accounts import bank, clearing, commission, debt_open, liability, payable, platform_discounts, seller_debt
from pasar.apps.lab.evidence import Evidence
from pasar.contexts.finance.claw_back import Returned, taken_back
from pasar.contexts.finance.contract import (
    PaySeller,
    ProposedSettlement,
    RecognizeRevenue,
    SettledOrder,
    Share,
    TakeBackRevenue,
)
from pasar.contexts.finance.proposal import Seller, proposed
from pasar.contexts.finance.revenue import Revenue, revenue
from pasar.contexts.finance.settlement import Payment, settlement
from pasar.kernel.decider import Decider
from pasar.kernel.ledger import move
from pasar.kernel.messages import Command, Refused
from pasar.kernel.money import major, split
from pasar.kernel.testing import Books
from pasar.refusals import AlreadySettled

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STORES = ("s1", "s2")
SELLERS = {store: Seller(account=UUID(int=9), kyc="verified") for store in STORES}
UNIT = "KRW"


def won(amount: int) -> Decimal:
    return Decimal(amount)


class Money(RuleBasedStateMachine):
    """`open_runs` are proposals that are still to be paid, perhaps twice, perhaps late."""

    def __init__(self) -> None:
        super().__init__()
        self.books = Books()
        self.states: dict[tuple[str, str], Any] = {}
        self.claimed: dict[tuple[str, str], str] = {}
        self.orders: dict[str, int] = {}
        self.refunded: dict[str, int] = {}
        self.runs: list[tuple[str, ProposedSettlement]] = []
        self.paid: dict[tuple[str, str], int] = {}
        self.cases = 0

    def send(self, decider: Decider[Any], command: Command) -> bool:
        """As the bus would: decided, booked and claimed together or not at all."""
        stream = decider.stream(command)
        state = self.states.get((decider.kind, stream), decider.initial)
        events = decider.decide(command, state)
        claims = [claim for event in events for claim in (decider.claims(event) if decider.claims else ())]
        if any((claim.kind, claim.key) in self.claimed for claim in claims):
            raise AlreadySettled()
        assert decider.book is not None
        self.books.post(stream, [transfer for event in events for transfer in decider.book(event)])
        self.claimed.update({(claim.kind, claim.key): stream for claim in claims})
        self.states[decider.kind, stream] = decider.fold(state, events)
        return bool(events)

    @rule(total=st.integers(2, 60_000), percent=st.integers(0, 30), first=st.integers(0, 100))
    def sell(self, total: int, percent: int, first: int) -> None:
        """Captured, the platform pays a part, the buyer confirms."""
        order_no = f"20260301{len(self.orders) + 1:04d}"
        owed = liability(order_no, unit=UNIT)
        ours = total * percent // 100
        self.books.post(order_no, [move(clearing("toss", unit=UNIT), owed, total - ours)])
        if ours:
            self.books.post(order_no, [move(platform_discounts(unit=UNIT), owed, ours)])
        parts = split(won(total), [first, 100 - first], UNIT)
        shares = []
        for store, gross in zip(STORES, parts, strict=True):
            ours_of_it = won(int(gross) * 5 // 100)
            if gross:
                shares.append(Share(store=store, gross=gross, commission=ours_of_it, seller=gross - ours_of_it))
        recognize = RecognizeRevenue(order_no=order_no, currency=UNIT, shares=tuple(shares), confirmed_at=NOON)
        assert self.send(revenue, recognize)
        assert not self.send(revenue, recognize)
        self.orders[order_no] = total
        self.refunded[order_no] = 0

    @rule(which=st.integers(0, 9), percent=st.integers(1, 100), store=st.sampled_from(STORES))
    def refund(self, which: int, percent: int, store: str) -> None:
        """A case takes back some or all of what is left, and the buyer gets it."""
        if not self.orders:
            return
        order_no = sorted(self.orders)[which % len(self.orders)]
        amount = (self.orders[order_no] - self.refunded[order_no]) * percent // 100
        if not amount:
            return
        known: Revenue = self.states[revenue.kind, order_no]
        goods = {store: Returned(gross=won(amount), base=won(amount))}
        shares = taken_back(known.left, goods, won(amount), UNIT)
        assert sum(share.gross for share in shares) == amount
        due = [payable(share.store, order_no, unit=UNIT) for share in shares]
        parts = [min(share.seller, won(self.books.balance(one))) for share, one in zip(shares, due, strict=True)]
        self.cases += 1
        case = UUID(int=self.cases)
        command = TakeBackRevenue(order_no=order_no, case=case, shares=shares, from_payable=tuple(parts))
        assert self.send(revenue, command)
        assert not self.send(revenue, command)
        self.books.post(order_no, [move(liability(order_no, unit=UNIT), clearing("toss", unit=UNIT), amount)])
        self.refunded[order_no] += amount

    @rule()
    def propose(self) -> None:
        """Two runs may be open for the same orders: only one of them pays."""
        due: dict[str, list[SettledOrder]] = {}
        for store in STORES:
            for order_no in self.orders:
                balance = self.books.balance(payable(store, order_no, unit=UNIT))
                if balance:
                    due.setdefault(store, []).append(SettledOrder(order_no=order_no, amount=major(balance, UNIT)))
        debts = {store: won(self.books.balance(debt_open(store, unit=UNIT))) for store in STORES}
        name = f"2026-W{len(self.runs) + 1:02d}-KRW"
        for one in proposed(due, debts, SELLERS, won(10_000)):
            assert one.held_back or one.amount >= 10_000
            if not one.held_back:
                self.runs.append((name, one))

    @rule(which=st.integers(0, 9))
    def pay(self, which: int) -> None:
        if not self.runs:
            return
        run, one = self.runs[which % len(self.runs)]
        command = PaySeller(
            settlement=f"{run}:{one.store}", run=run, store=one.store, seller=one.seller, currency=UNIT,
            amount=one.amount, debt_netted=one.debt_netted, orders=one.orders,
        )  # fmt: skip
        before: Payment | None = self.states.get((settlement.kind, command.settlement))
        try:
            done = self.send(settlement, command)
        except Refused:
            return
        assert done == (before is None)
        if done:
            for order in one.orders:
                assert (one.store, order.order_no) not in self.paid
                self.paid[one.store, order.order_no] = int(order.amount)

    @invariant()
    def every_unit_is_somewhere(self) -> None:
        balance = self.books.balance
        captured = -balance(clearing("toss", unit=UNIT)) - balance(platform_discounts(unit=UNIT))
        due = sum(balance(payable(store, no, unit=UNIT)) for store in STORES for no in self.orders)
        ours = sum(balance(commission(store, unit=UNIT)) for store in STORES)
        debt = sum(balance(seller_debt(store, unit=UNIT)) for store in STORES)
        left = sum(balance(liability(no, unit=UNIT)) for no in self.orders)
        assert captured == due + ours + debt + left + balance(bank(unit=UNIT))
        assert captured == sum(self.orders.values()) - sum(self.refunded.values())
        assert left == 0

    @invariant()
    def each_seller_got_their_part_and_owes_what_was_too_much(self) -> None:
        for store in STORES:
            owed = self.books.balance(debt_open(store, unit=UNIT))
            assert owed == -self.books.balance(seller_debt(store, unit=UNIT)) >= 0
            parts = due = 0
            for order_no in self.orders:
                left = self.states[revenue.kind, order_no].left
                parts += sum(int(share.seller) for share in left if share.store == store)
                due += self.books.balance(payable(store, order_no, unit=UNIT))
                assert all(share.seller >= 0 and share.commission >= 0 for share in left)
            got = sum(
                int(paid.amount)
                for (kind, _), state in self.states.items()
                if kind == settlement.kind and (paid := state.paid) and paid.store == store
            )
            assert parts == got + due - owed


@pytest.mark.promise("A10")
def test_every_seller_gets_their_part_once_whatever_runs_are_proposed_and_paid(proof: Evidence) -> None:
    explore(Money, proof, night=1_000, least=80)

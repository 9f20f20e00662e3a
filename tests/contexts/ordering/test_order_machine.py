"""Random lives of one order against a small model: only legal steps happen, and nothing is held or lost at the end."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from contexts.ordering.orders import ANN, NO, NOON, line, place, quote, won
from machines import explore
from pasar import accounts
from pasar.apps.lab.evidence import Evidence
from pasar.contexts.ordering.booking import book
from pasar.contexts.ordering.contract import (
    BeginPayment,
    CancelOrder,
    CancelPaidOrder,
    CloseAfterSale,
    CompleteOrder,
    ConfirmOrder,
    EndPaymentAttempt,
    MarkAllocated,
    MarkPaid,
    MarkStage,
    OpenAfterSale,
)
from pasar.contexts.ordering.life import NOT_SENT, PATH, RANK, Order, evolve
from pasar.contexts.ordering.order import decide, timers
from pasar.contexts.pricing.contract import CouponUse
from pasar.kernel.decider import Set
from pasar.kernel.messages import Refused, decode, encode
from pasar.kernel.testing import Books

APPLE, PEAR = accounts.pool("apple"), accounts.pool("pear")
TICKETS, MINE = accounts.coupon_tickets("SPRING"), accounts.points("points", ANN)
BATCH = accounts.batch_pool("apple", "b1")
START = {APPLE: 6, PEAR: 6, BATCH: 3, TICKETS: 2, MINE: 700}
NEXT = {
    "CREATED": {"PENDING_PAYMENT", "PAID"},
    "PENDING_PAYMENT": {"PAYMENT_PROCESSING", "PAID", "CANCELED"},
    "PAYMENT_PROCESSING": {"PENDING_PAYMENT", "PAID", "CANCELED"},
    "PAID": {"ALLOCATED", "CANCELED"},
    "DELIVERED": {"CONFIRMED"},
    "CONFIRMED": {"COMPLETED"},
    "COMPLETED": set(),
    "CANCELED": set(),
}
SENDING = PATH[RANK["ALLOCATED"] : RANK["DELIVERED"] + 1]


class Life(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.order, self.books = Order(), Books(START)
        self.deadline: Any = None
        self.was_paid = False

    def say(self, command: Any) -> None:
        """A command as the bus would treat it: judged whole, then folded."""
        try:
            events = decide(command, self.order)
            self.books.post(NO, [transfer for event in events for transfer in book(event)])
        except Refused:
            return
        for event in events:
            before, self.order = self.order.state, evolve(self.order, event)
            after = self.order.state
            if before != after:
                self._check_step(before, after)
            self.was_paid |= after == "PAID"
            for timer in timers(event):
                self.deadline = timer if isinstance(timer, Set) else None
        assert decode(encode(self.order), Order) == self.order

    def _check_step(self, before: str, after: str) -> None:
        if before in NEXT:
            assert after in NEXT[before], f"{before} → {after}"
        elif after == "CANCELED":
            assert before in NOT_SENT
        else:
            assert after in SENDING, f"{before} → {after}"
            assert SENDING.index(after) > SENDING.index(before)

    @initialize(
        apples=st.integers(1, 8), pears=st.integers(1, 8), points=st.integers(0, 900), coupon=st.booleans(),
        batch=st.booleans(), free=st.booleans(),
    )  # fmt: skip
    def order_something(self, apples: int, pears: int, points: int, coupon: bool, batch: bool, free: bool) -> None:
        use = CouponUse(coupon="SPRING", discount=won(0), limited=True, per_person=1, platform_funded=True)
        price = 0 if free else 1_000
        lines = (line(1, "apple", apples, price, batch="b1" if batch else None), line(2, "pear", pears, price))
        self.say(place(quote(*lines, coupons=(use,) if coupon else (), points=0 if free else points)))

    @rule(payment=st.integers(1, 2), minutes=st.integers(1, 60))
    def begin(self, payment: int, minutes: int) -> None:
        until = NOON + timedelta(minutes=minutes)
        self.say(BeginPayment(order_no=NO, payment=UUID(int=payment), until=until))

    @rule(payment=st.integers(1, 2))
    def end(self, payment: int) -> None:
        self.say(EndPaymentAttempt(order_no=NO, payment=UUID(int=payment)))

    @rule(payment=st.integers(1, 2), short=st.sampled_from([0, 0, 0, 1]))
    def pay(self, payment: int, short: int) -> None:
        total = self.order.placed.total if self.order.placed else won(1)
        self.say(MarkPaid(order_no=NO, payment=UUID(int=payment), gateway="toss", amount=total - short, currency="KRW"))

    @rule(reason=st.sampled_from(["unpaid", "buyer", "payment_failed"]))
    def cancel(self, reason: Any) -> None:
        self.say(CancelOrder(order_no=NO, reason=reason))

    @rule()
    def cancel_paid(self) -> None:
        self.say(CancelPaidOrder(order_no=NO, reason="not_allocatable"))

    @rule()
    def time_is_up(self) -> None:
        if self.deadline is not None:
            self.say(self.deadline.send)

    @rule()
    def allocate(self) -> None:
        self.say(MarkAllocated(order_no=NO))

    @rule(stage=st.sampled_from(SENDING[1:]))
    def move(self, stage: Any) -> None:
        self.say(MarkStage(order_no=NO, stage=stage))

    @rule()
    def confirm(self) -> None:
        self.say(ConfirmOrder(order_no=NO))

    @rule()
    def complete(self) -> None:
        self.say(CompleteOrder(order_no=NO))

    @rule(case=st.integers(1, 2))
    def open_case(self, case: int) -> None:
        self.say(OpenAfterSale(order_no=NO, case=UUID(int=case)))

    @rule(case=st.integers(1, 2), units=st.integers(0, 3))
    def close_case(self, case: int, units: int) -> None:
        returned = (("1", units),) if units else ()
        self.say(CloseAfterSale(order_no=NO, case=UUID(int=case), refunded=won(units * 100), returned=returned))

    @invariant()
    def what_waits_is_held_and_nothing_else(self) -> None:
        waits = self.order.state in ("PENDING_PAYMENT", "PAYMENT_PROCESSING")
        left = [amount for _, _, amount in self.books.holds.values()]
        assert all(left) if waits else not any(left)
        assert (self.deadline is not None) == waits

    @invariant()
    def nothing_is_lost(self) -> None:
        """What is in no pool is held, or sold by an order that was paid and is not cancelled."""
        placed = self.order.placed
        taken = placed is not None and self.order.state != "CANCELED"
        apples = placed.lines[0].quantity if placed and taken else 0
        assert self.books.balance(APPLE) == 6 - apples
        assert self.books.balance(MINE) == 700 - (placed.points if placed and taken else 0)
        assert self.books.balance(TICKETS) == 2 - (len(placed.coupons) if placed and taken else 0)
        settled = taken and self.was_paid
        assert self.books.balance(accounts.sold("apple")) == (apples if settled else 0)
        assert self.books.balance(accounts.liability(NO, unit="KRW")) == (placed.points if placed and settled else 0)


def test_whatever_happens_to_an_order_its_books_say_the_same(proof: Evidence) -> None:
    explore(Life, proof, night=2_000, least=100)

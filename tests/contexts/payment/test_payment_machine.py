"""Whatever order notices come in, doubled and delayed: never more goes back than came in, and all ends alike."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from machines import explore
from pasar.accounts import clearing, late_money, liability, unclear_money
from pasar.apps.lab.evidence import Evidence
from pasar.contexts.payment.attempt import Attempt
from pasar.contexts.payment.contract import (
    Capture,
    CaptureLate,
    CompleteRefund,
    Expire,
    Fail,
    FailRefund,
    RequestConfirm,
    RequestRefund,
    RetryRefund,
    StartPayment,
)
from pasar.contexts.payment.payment import PaymentCommand, payment
from pasar.kernel.messages import Refused, decode, encode
from pasar.kernel.testing import Books

PAYMENT, BUYER = UUID(int=1), UUID(int=2)
ORDER = "202603010001"
TOTAL = 9800
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
START = StartPayment(
    payment=PAYMENT, order_no=ORDER, buyer=BUYER, gateway="wechat", amount=Decimal("98.00"), currency="CNY",
    title="apples", receiver="M1", expires_at=NOON + timedelta(minutes=10),
)  # fmt: skip
REFUNDS = [UUID(int=number) for number in range(10, 14)]


def told(kind: type[Capture] | type[CaptureLate], ref: str, minor: int) -> Capture | CaptureLate:
    amount = Decimal(minor).scaleb(-2)
    return kind(payment=PAYMENT, gateway="wechat", provider_ref=ref, amount=amount, currency="CNY", receiver="M1")


class Life:
    """One payment with its books, as the bus would keep them."""

    def __init__(self) -> None:
        self.books, self.state = Books(), Attempt()
        self.send(START)

    def send(self, command: PaymentCommand) -> bool:
        """Whether it was done or changed nothing; a refusal leaves everything as it was."""
        try:
            events = payment.decide(command, self.state)
            assert payment.book is not None
            self.books.post(str(PAYMENT), [transfer for event in events for transfer in payment.book(event)])
        except Refused:
            return False
        state = payment.fold(self.state, events)
        self.state = decode(encode(state), Attempt)
        assert self.state == state
        return True


class Payments(RuleBasedStateMachine):
    """`captured`, `parked` and `wished` are what a small model says that must be on the books."""

    def __init__(self) -> None:
        super().__init__()
        self.life = Life()
        self.captured: tuple[str, bool] | None = None
        self.parked: dict[str, int] = {}
        self.wished: dict[UUID, int] = {}
        self.done: set[UUID] = set()

    @rule(
        kind=st.sampled_from([Capture, CaptureLate]),
        ref=st.sampled_from(["T1", "T2", "T3"]),
        minor=st.sampled_from([TOTAL, TOTAL, TOTAL, TOTAL - 1, 1]),
    )
    def capture(self, kind: type[Capture] | type[CaptureLate], ref: str, minor: int) -> None:
        if ref in self.parked or (self.captured and self.captured[0] == ref):
            # A provider's number stands for one amount for ever.
            minor = self.parked.get(ref, TOTAL)
        assert self.life.send(told(kind, ref, minor))
        if self.captured is not None and self.captured[0] == ref:
            return
        if self.captured is None and ref not in self.parked and minor == TOTAL:
            self.captured = ref, kind is CaptureLate
            if kind is CaptureLate:
                self.wished[PAYMENT] = TOTAL
        else:
            self.parked[ref] = minor

    @rule(refund=st.sampled_from(REFUNDS), minor=st.integers(1, TOTAL + 1))
    def wish(self, refund: UUID, minor: int) -> None:
        amount = Decimal(minor).scaleb(-2)
        sent = self.life.send(RequestRefund(payment=PAYMENT, refund=refund, amount=amount, reason="broken"))
        if refund in self.wished:
            assert sent == (self.wished[refund] == minor)
        elif self.captured is not None and sum(self.wished.values()) + minor <= TOTAL:
            assert sent
            self.wished[refund] = minor
        else:
            assert not sent

    @rule(refund=st.sampled_from([PAYMENT, *REFUNDS]))
    def complete(self, refund: UUID) -> None:
        if self.life.send(CompleteRefund(payment=PAYMENT, refund=refund)):
            self.done.add(refund)
        else:
            assert refund not in self.wished

    @rule(refund=st.sampled_from([PAYMENT, *REFUNDS]), kind=st.sampled_from(["fail", "retry"]))
    def hesitate(self, refund: UUID, kind: str) -> None:
        fail = FailRefund(payment=PAYMENT, refund=refund, reason="no account")
        self.life.send(fail if kind == "fail" else RetryRefund(payment=PAYMENT, refund=refund))

    @precondition(lambda self: self.captured is None)
    @rule(command=st.sampled_from([Fail(payment=PAYMENT, reason="no"), Expire(payment=PAYMENT)]))
    def end(self, command: PaymentCommand) -> None:
        assert self.life.send(command)

    @rule(ref=st.sampled_from(["T1", "T2"]))
    def confirm(self, ref: str) -> None:
        self.life.send(RequestConfirm(payment=PAYMENT, provider_ref=ref))

    @invariant()
    def the_books_say_the_same(self) -> None:
        books = self.life.books
        owed = books.balance(liability(ORDER, unit="CNY")) + books.balance(late_money(PAYMENT, unit="CNY"))
        captured = TOTAL if self.captured else 0
        done = sum(self.wished[refund] for refund in self.done)
        assert owed == captured - sum(self.wished.values())
        assert books.balance(unclear_money("wechat", unit="CNY")) == sum(self.parked.values())
        assert books.balance(clearing("wechat", unit="CNY")) == done - captured - sum(self.parked.values())
        assert done <= captured
        assert self.life.state.given_back == Decimal(done).scaleb(-2)
        assert (self.life.state.state == "refunded") == (captured > 0 and done == captured)
        if self.captured is not None:
            assert self.life.state.late == self.captured[1]


@pytest.mark.promise("A5")
def test_never_more_goes_back_than_came_in(proof: Evidence) -> None:
    explore(Payments, proof, night=1_000, least=100)


NOTICES: list[PaymentCommand] = [
    told(Capture, "T1", TOTAL),
    Fail(payment=PAYMENT, reason="an attempt before"),
    Expire(payment=PAYMENT),
    RequestConfirm(payment=PAYMENT, provider_ref="T1"),
]


@pytest.mark.promise("A7")
def test_notices_in_any_order_and_doubled_end_in_the_same_state(proof: Evidence) -> None:
    chance, alone = random.Random(proof.seed(7)), Life()
    alone.send(NOTICES[0])
    for _ in range(proof.number(10_000, 100)):
        notices = NOTICES + chance.choices(NOTICES, k=chance.randint(0, 9))
        chance.shuffle(notices)
        life = Life()
        for notice in notices:
            life.send(notice)
        assert life.state == alone.state, notices
        assert life.books.balances == alone.books.balances, notices
        proof.attempt()

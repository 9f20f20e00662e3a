"""A payment's rules: given … when … then …"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from pasar.accounts import clearing, late_money, liability, unclear_money
from pasar.contexts.payment.attempt import Attempt, refund_number, refund_of
from pasar.contexts.payment.contract import (
    Capture,
    CaptureLate,
    CheckPayment,
    CompleteRefund,
    ConfirmRequested,
    Expire,
    Fail,
    FailRefund,
    NotePaymentOpened,
    Opening,
    Park,
    PaymentCaptured,
    PaymentCapturedLate,
    PaymentChecked,
    PaymentExpired,
    PaymentFailed,
    PaymentOpened,
    PaymentParked,
    PaymentStarted,
    RefundCompleted,
    RefundFailed,
    RefundRequested,
    RefundRetried,
    RequestConfirm,
    RequestRefund,
    RetryRefund,
    StartPayment,
)
from pasar.contexts.payment.payment import payment
from pasar.kernel.decider import Clear, Set
from pasar.kernel.testing import scenario
from pasar.refusals import PaymentInProgress, PaymentNotFound, PaymentStateForbids, RefundAboveCaptured

PAYMENT, BUYER, REFUND, OTHER = (UUID(int=number) for number in range(1, 5))
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
END = NOON + timedelta(minutes=10)
ORDER = "202603010001"
WANTED = {"payment": PAYMENT, "order_no": ORDER, "buyer": BUYER, "gateway": "wechat", "currency": "CNY"}
MORE = {"title": "apples", "return_url": "", "receiver": "M1", "expires_at": END, "check_at": NOON + END.resolution}
TOLD = {"payment": PAYMENT, "gateway": "wechat", "provider_ref": "T1", "currency": "CNY"}
STARTED = PaymentStarted(**WANTED, **MORE, amount=Decimal("98.00"))
CAPTURED = PaymentCaptured(**WANTED, provider_ref="T1", amount=Decimal("98.00"), occurred_at=NOON)
LATE = PaymentCapturedLate(**WANTED, provider_ref="T1", amount=Decimal("98.00"), occurred_at=NOON)
WHO = {"payment": PAYMENT, "order_no": ORDER, "buyer": BUYER}
FAILED = PaymentFailed(**WHO, reason="declined")
EXPIRED = PaymentExpired(**WHO)
CONFIRMING = ConfirmRequested(
    payment=PAYMENT, order_no=ORDER, gateway="wechat", provider_ref="T1", amount=Decimal("98.00"), currency="CNY"
)
check = scenario(payment)


def capture(amount: str = "98.00", **changes: object) -> Capture:
    return Capture(**{**TOLD, "amount": Decimal(amount), "receiver": "M1", "occurred_at": NOON, **changes})


def late(**changes: object) -> CaptureLate:
    return CaptureLate(**{**TOLD, "amount": Decimal("98.00"), "receiver": "M1", "occurred_at": NOON, **changes})


def parked(reason: str, amount: str = "98.00", **changes: object) -> PaymentParked:
    return PaymentParked(**{**TOLD, "amount": Decimal(amount), "reason": reason, **changes})


def refund(amount: str, refund: UUID = REFUND, *, is_late: bool = False, reason: str = "broken") -> RefundRequested:
    return RefundRequested(
        payment=PAYMENT, refund=refund, order_no=ORDER, gateway="wechat", provider_ref="T1", amount=Decimal(amount),
        currency="CNY", captured=Decimal("98.00"), reason=reason, late=is_late, attempt=1,
    )  # fmt: skip


def wish(amount: str, refund: UUID = REFUND) -> RequestRefund:
    return RequestRefund(payment=PAYMENT, refund=refund, amount=Decimal(amount), reason="broken")


def completed(amount: str, refund: UUID = REFUND, *, whole: bool, is_late: bool = False) -> RefundCompleted:
    return RefundCompleted(**WHO, refund=refund, amount=Decimal(amount), currency="CNY", late=is_late, whole=whole)


def refused(amount: str, reason: str = "no account") -> RefundFailed:
    return RefundFailed(**WHO, refund=REFUND, amount=Decimal(amount), currency="CNY", reason=reason)


def start(**changes: object) -> StartPayment:
    return StartPayment(**{**WANTED, **MORE, "amount": Decimal("98.00"), **changes})


def test_an_attempt_starts_and_its_deadline_is_set() -> None:
    check(given=[], when=start(), then=[STARTED])
    assert payment.timers is not None
    (deadline,) = payment.timers(STARTED)
    assert isinstance(deadline, Set)
    assert deadline.at == MORE["check_at"]


def test_a_start_repeated_changes_nothing() -> None:
    check(given=[STARTED, CAPTURED], when=start(expires_at=END + timedelta(minutes=5)), then=[])


def test_an_attempt_is_of_one_order() -> None:
    check(given=[STARTED], when=start(order_no="202603010002"), then=PaymentStateForbids)


def test_what_the_browser_needs_is_noted_once() -> None:
    opening = Opening(provider_ref=None, pay_url=None, fields={"code_url": "weixin://x"})
    noted = NotePaymentOpened(payment=PAYMENT, opening=opening)
    opened = PaymentOpened(payment=PAYMENT, provider_ref=None, pay_url=None, fields={"code_url": "weixin://x"})
    check(given=[STARTED], when=noted, then=[opened])
    check(given=[STARTED, opened], when=noted, then=[])
    check(given=[STARTED, CAPTURED], when=noted, then=[])


def test_an_attempt_that_needs_no_call_is_open_at_once() -> None:
    opening = Opening(provider_ref=None, pay_url="https://pay", fields={"orderId": str(PAYMENT)})
    opened = PaymentOpened(payment=PAYMENT, provider_ref=None, pay_url="https://pay", fields=opening.fields)
    started = msgspec.structs.replace(STARTED, is_open=True)
    check(given=[], when=start(opening=opening), then=[started, opened])
    check(given=[started, opened], when=start(opening=opening), then=[])


def test_captured_money_is_owed_for_the_order() -> None:
    books = check(given=[STARTED], when=capture(), then=[CAPTURED])
    assert books.balance(liability(ORDER, unit="CNY")) == 9800
    assert books.balance(clearing("wechat", unit="CNY")) == -9800


def test_the_same_capture_again_changes_nothing() -> None:
    check(given=[STARTED, CAPTURED], when=capture(), then=[])
    check(given=[STARTED, CAPTURED], when=late(), then=[])


def test_a_second_capture_is_parked() -> None:
    books = check(
        given=[STARTED, CAPTURED],
        when=capture(provider_ref="T2"),
        then=[parked("second_capture", provider_ref="T2")],
    )
    assert books.balance(unclear_money("wechat", unit="CNY")) == 9800
    assert books.balance(liability(ORDER, unit="CNY")) == 9800


@pytest.mark.parametrize("before", [FAILED, EXPIRED])
def test_money_that_comes_after_the_end_of_the_attempt_is_still_money(before: PaymentFailed | PaymentExpired) -> None:
    check(given=[STARTED, before], when=capture(), then=[CAPTURED])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"amount": Decimal("97.99")}, "wrong_amount"),
        ({"amount": Decimal("98.01")}, "wrong_amount"),
        ({"currency": "USD"}, "wrong_currency"),
        ({"receiver": "M2"}, "wrong_receiver"),
        ({"gateway": "toss"}, "wrong_receiver"),
    ],
)
def test_money_that_does_not_fit_is_parked_and_never_accepted(changes: dict[str, object], reason: str) -> None:
    told = capture(**changes)
    event = parked(reason, gateway=told.gateway, amount=str(told.amount), currency=told.currency)
    books = check(given=[STARTED], when=told, then=[event])
    assert books.balance(liability(ORDER, unit="CNY")) == 0
    assert books.balance(unclear_money(told.gateway, unit=told.currency)) > 0
    check(given=[STARTED, event], when=told, then=[])
    check(given=[STARTED, event], when=late(**changes), then=[])


def test_the_right_money_may_follow_wrong_money() -> None:
    event = parked("wrong_amount", "1.00")
    right = msgspec.structs.replace(CAPTURED, provider_ref="T2")
    check(given=[STARTED, event], when=capture(provider_ref="T2"), then=[right])


def test_money_for_no_payment_is_parked() -> None:
    park = Park(**TOLD, amount=Decimal("5.00"), reason="unknown_payment")
    books = check(given=[], when=park, then=[parked("unknown_payment", "5.00")])
    assert books.balance(unclear_money("wechat", unit="CNY")) == 500
    check(given=[parked("unknown_payment", "5.00")], when=park, then=[])
    check(given=[parked("unknown_payment", "5.00")], when=start(), then=PaymentStateForbids)


def test_late_money_goes_back_at_once_and_once() -> None:
    books = check(
        given=[STARTED, EXPIRED],
        when=late(),
        then=[LATE, refund("98.00", PAYMENT, is_late=True, reason="paid too late")],
    )
    assert books.balance(late_money(PAYMENT, unit="CNY")) == 0
    assert books.held(str(PAYMENT), f"refund-{PAYMENT}") == 9800
    returned = [STARTED, LATE, refund("98.00", PAYMENT, is_late=True)]
    check(given=returned, when=late(), then=[])
    check(given=returned, when=wish("1.00"), then=RefundAboveCaptured)
    done = completed("98.00", PAYMENT, whole=True, is_late=True)
    books = check(given=returned, when=CompleteRefund(payment=PAYMENT, refund=PAYMENT), then=[done])
    assert books.balance(clearing("wechat", unit="CNY")) == 0


def test_a_refund_is_held_until_the_provider_has_given_it() -> None:
    books = check(given=[STARTED, CAPTURED], when=wish("30.00"), then=[refund("30.00")])
    assert books.balance(liability(ORDER, unit="CNY")) == 6800
    assert books.balance(clearing("wechat", unit="CNY")) == -9800
    done = CompleteRefund(payment=PAYMENT, refund=REFUND)
    books = check(given=[STARTED, CAPTURED, refund("30.00")], when=done, then=[completed("30.00", whole=False)])
    assert books.balance(clearing("wechat", unit="CNY")) == -6800
    check(given=[STARTED, CAPTURED, refund("30.00"), completed("30.00", whole=False)], when=done, then=[])


def test_the_last_part_makes_the_payment_refunded() -> None:
    given = [STARTED, CAPTURED, refund("30.00"), completed("30.00", whole=False), refund("68.00", OTHER)]
    check(given=given, when=CompleteRefund(payment=PAYMENT, refund=OTHER), then=[completed("68.00", OTHER, whole=True)])


def test_never_more_is_given_back_than_was_paid() -> None:
    check(given=[STARTED, CAPTURED], when=wish("98.01"), then=RefundAboveCaptured)
    check(given=[STARTED, CAPTURED, refund("98.00")], when=wish("0.01", OTHER), then=RefundAboveCaptured)
    check(
        given=[STARTED, CAPTURED, refund("90.00"), refused("90.00")], when=wish("8.01", OTHER), then=RefundAboveCaptured
    )


def test_the_floor_of_the_liability_refuses_what_was_shared_out() -> None:
    other = scenario(payment, {liability(ORDER, unit="CNY"): -5000})
    other(given=[STARTED, CAPTURED], when=wish("48.00"), then=[refund("48.00")])
    other(given=[STARTED, CAPTURED], when=wish("48.01"), then=RefundAboveCaptured)


def test_a_refund_repeated_changes_nothing_and_is_no_other() -> None:
    check(given=[STARTED, CAPTURED, refund("30.00")], when=wish("30.00"), then=[])
    check(given=[STARTED, CAPTURED, refund("30.00")], when=wish("31.00"), then=PaymentStateForbids)


def test_nothing_is_given_back_of_what_was_not_paid() -> None:
    check(given=[STARTED], when=wish("1.00"), then=PaymentStateForbids)
    check(given=[], when=wish("1.00"), then=PaymentNotFound)
    check(given=[STARTED, CAPTURED], when=wish("0"), then=PaymentStateForbids)


def test_a_refused_refund_is_still_owed_and_can_be_tried_again() -> None:
    fail = FailRefund(payment=PAYMENT, refund=REFUND, reason="no account")
    books = check(given=[STARTED, CAPTURED, refund("30.00")], when=fail, then=[refused("30.00")])
    assert books.held(str(PAYMENT), f"refund-{REFUND}") == 3000
    given = [STARTED, CAPTURED, refund("30.00"), refused("30.00")]
    fields = {name: getattr(refund("30.00"), name) for name in RefundRetried.__struct_fields__}
    again = RefundRetried(**{**fields, "attempt": 2})
    retry = RetryRefund(payment=PAYMENT, refund=REFUND)
    check(given=given, when=fail, then=[])
    check(given=given, when=retry, then=[again])
    check(given=[*given, again], when=retry, then=[])
    done = CompleteRefund(payment=PAYMENT, refund=REFUND)
    books = check(given=[*given, again], when=done, then=[completed("30.00", whole=False)])
    assert books.balance(clearing("wechat", unit="CNY")) == -6800


def test_a_refund_that_was_given_cannot_fail() -> None:
    given = [STARTED, CAPTURED, refund("30.00"), completed("30.00", whole=False)]
    check(given=given, when=FailRefund(payment=PAYMENT, refund=REFUND, reason="?"), then=[])


def test_every_attempt_at_a_refund_has_a_number_of_its_own_that_leads_back() -> None:
    fields = {name: getattr(refund("30.00"), name) for name in RefundRetried.__struct_fields__}
    again = RefundRetried(**{**fields, "attempt": 2})
    state = payment.fold(Attempt(), [STARTED, CAPTURED, refund("30.00"), refused("30.00"), again])
    first, second = refund_number(PAYMENT, REFUND, 1), refund_number(PAYMENT, REFUND, 2)
    assert first != second
    assert refund_of(state, str(first)) == refund_of(state, str(second)) == REFUND
    assert refund_of(state, str(refund_number(PAYMENT, REFUND, 3))) is None


def test_a_confirmation_is_asked_for_once() -> None:
    ask = RequestConfirm(payment=PAYMENT, provider_ref="T1")
    check(given=[STARTED], when=ask, then=[CONFIRMING])
    check(given=[STARTED, CONFIRMING], when=ask, then=[])
    check(given=[STARTED, CAPTURED], when=ask, then=[])
    check(given=[STARTED, CONFIRMING], when=RequestConfirm(payment=PAYMENT, provider_ref="T2"), then=PaymentInProgress)
    check(given=[STARTED, FAILED], when=ask, then=PaymentStateForbids)


def test_an_attempt_ends_once_and_not_after_it_was_paid() -> None:
    check(given=[STARTED], when=Fail(payment=PAYMENT, reason="declined"), then=[FAILED])
    check(given=[STARTED], when=Expire(payment=PAYMENT), then=[EXPIRED])
    for ended in (FAILED, EXPIRED, CAPTURED):
        check(given=[STARTED, ended], when=Fail(payment=PAYMENT, reason="declined"), then=[])
        check(given=[STARTED, ended], when=Expire(payment=PAYMENT), then=[])


def test_the_provider_is_asked_until_the_fate_is_known() -> None:
    first = CheckPayment(payment=PAYMENT, number=1, due=NOON)
    asked = PaymentChecked(
        payment=PAYMENT, order_no=ORDER, gateway="wechat", provider_ref=None, number=1,
        next_at=NOON + 2 * (END - NOON - END.resolution) / 4, is_last=False,
    )  # fmt: skip
    check(given=[STARTED], when=first, then=[asked])
    check(given=[STARTED, CAPTURED], when=first, then=[])
    assert payment.timers is not None
    assert payment.timers(CAPTURED) == [Clear("check")]
    (last,) = payment.decide(CheckPayment(payment=PAYMENT, number=4, due=END), payment.fold(Attempt(), [STARTED]))
    assert isinstance(last, PaymentChecked)
    assert last.is_last
    assert last.next_at > END

"""The order's rules, one test each: given what happened, when something is wished, then what happens."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from contexts.ordering.orders import ANN, CASE, NO, NOON, PAYMENT, history, line, pay, place, quote, won
from pasar import accounts
from pasar.contexts.ordering.contract import (
    BeginPayment,
    CancelOrder,
    CancelPaidOrder,
    CloseAfterSale,
    CompleteOrder,
    ConfirmOrder,
    EndPaymentAttempt,
    MarkAllocated,
    MarkStage,
    OpenAfterSale,
    OrderCanceled,
    OrderCompleted,
    OrderConfirmed,
    OrderPaid,
    OrderPlaced,
    OrderStageReached,
    PaymentAttemptEnded,
    PaymentBegan,
    StoreShare,
)
from pasar.contexts.ordering.life import PATH, Order
from pasar.contexts.ordering.order import answer, order, timers
from pasar.contexts.pricing.contract import CouponUse
from pasar.kernel.decider import Clear, Set
from pasar.kernel.messages import decode, encode
from pasar.kernel.testing import Books, scenario
from pasar.refusals import (
    AlreadyPaid,
    CartIsEmpty,
    CouponExhausted,
    CouponLimitReached,
    InsufficientPoints,
    InsufficientStock,
    OrderExists,
    OrderNotFound,
    OrderStateForbids,
    PaymentInProgress,
    PaymentStateForbids,
)

STOCK = {accounts.pool("apple"): 10, accounts.pool("pear"): 10}
check = scenario(order, STOCK)
COUPON = CouponUse(coupon="SPRING", discount=won(1_000), limited=True, per_person=1, platform_funded=True)
OTHER_PAYMENT = UUID(int=12)
SENT = (MarkAllocated(order_no=NO), MarkStage(order_no=NO, stage="SHIPPED"))
DELIVERED = (place(), pay(), *SENT, MarkStage(order_no=NO, stage="DELIVERED"))


def begin(minutes: int = 10, payment: UUID = PAYMENT) -> BeginPayment:
    return BeginPayment(order_no=NO, payment=payment, until=NOON + timedelta(minutes=minutes))


def close(refunded: int, *returned: tuple[str, int], case: UUID = CASE, platform_part: int = 0) -> CloseAfterSale:
    return CloseAfterSale(
        order_no=NO, case=case, refunded=won(refunded), platform_part=won(platform_part), returned=returned
    )


def state(*commands: Any) -> Order:
    return order.fold(Order(), history(*commands))


def deadline(*commands: Any) -> Any:
    """The last deadline that these set."""
    return [timer for event in history(*commands) for timer in timers(event)][-1]


def test_placing_holds_the_stock_of_every_line() -> None:
    books = check(given=[], when=place(), then=history(place()))
    assert (books.balance(accounts.pool("apple")), books.balance(accounts.pool("pear"))) == (8, 9)
    assert (books.held(NO, "stock-1"), books.held(NO, "stock-2")) == (2, 1)
    assert books.balance(accounts.sold("apple")) == 0


@pytest.mark.requirement("S2-027")
def test_more_than_there_is_cannot_be_ordered_and_nothing_is_held() -> None:
    wanted = place(quote(line(1, "apple", 2, 100), line(2, "pear", 11, 100)))
    books = check(given=[], when=wanted, then=InsufficientStock)
    assert books.balance(accounts.pool("apple")) == 10


def test_two_lines_of_one_sku_are_held_apart_and_judged_together() -> None:
    fits = quote(line(1, "apple", 6, 100), line(2, "apple", 4, 100))
    books = check(given=[], when=place(fits), then=history(place(fits)))
    assert books.balance(accounts.pool("apple")) == 0
    check(given=[], when=place(quote(line(1, "apple", 6, 1), line(2, "apple", 5, 1))), then=InsufficientStock)


def test_a_named_batch_is_held_beside_the_pool() -> None:
    batch = accounts.batch_pool("apple", "b1")
    wanted = place(quote(line(1, "apple", 3, 100, batch="b1")))
    books = scenario(order, STOCK | {batch: 3})(given=[], when=wanted, then=history(wanted))
    assert (books.balance(accounts.pool("apple")), books.balance(batch)) == (7, 0)
    scenario(order, STOCK | {batch: 2})(given=[], when=wanted, then=InsufficientStock)


def test_digital_goods_are_not_stocked() -> None:
    wanted = place(quote(line(1, "song", 1, 100, is_digital=True)))
    assert not check(given=[], when=wanted, then=history(wanted)).holds


def test_coupon_and_points_are_held_with_the_stock_or_nothing_is() -> None:
    wanted = place(quote(coupons=(COUPON,), points=500))
    tickets, mine = accounts.coupon_tickets("SPRING"), accounts.points("points", ANN)
    books = scenario(order, STOCK | {tickets: 1, mine: 500})(given=[], when=wanted, then=history(wanted))
    assert (books.balance(tickets), books.balance(mine)) == (0, 0)
    short = scenario(order, STOCK | {tickets: 1, mine: 499})(given=[], when=wanted, then=InsufficientPoints)
    assert (short.balance(tickets), short.balance(accounts.pool("apple"))) == (1, 10)
    scenario(order, STOCK | {mine: 500})(given=[], when=wanted, then=CouponExhausted)


@pytest.mark.requirement("S0-078")
def test_a_person_uses_a_coupon_as_often_as_it_allows() -> None:
    quota = accounts.coupon_quota("SPRING", ANN, limit=1)
    used = STOCK | {accounts.coupon_tickets("SPRING"): 9, quota: -1}
    scenario(order, used)(given=[], when=place(quote(coupons=(COUPON,))), then=CouponLimitReached)


def test_a_number_is_one_orders() -> None:
    check(given=history(place()), when=place(), then=OrderExists)


def test_an_order_has_lines() -> None:
    bare = place(replace(quote(), lines=()))
    check(given=[], when=bare, then=CartIsEmpty)


def test_there_is_nothing_to_do_with_an_order_that_was_not_placed() -> None:
    for command in (begin(), pay(), CancelOrder(order_no=NO, reason="buyer"), ConfirmOrder(order_no=NO)):
        check(given=[], when=command, then=OrderNotFound)


@pytest.mark.requirement("S1-088")
def test_the_answer_says_created_and_what_it_comes_to() -> None:
    placed = answer(state(place(quote(line(1, "apple", 2, 10_000), freight=3_000, points=500))))
    assert placed is not None
    assert (placed.order_no, placed.status, placed.total) == (NO, "CREATED", won(22_500))
    assert (placed.preview.freight, placed.preview.discounts, placed.preview.taxes) == (3_000, 500, 0)


def test_digits_of_money_are_kept_in_the_answer() -> None:
    placed = answer(state(place(replace(quote(), freight=Decimal("12.00"), currency="CNY"))))
    assert placed is not None
    assert b'"freight":12.00' in encode(placed)


def test_an_order_of_nothing_to_pay_is_paid_at_once() -> None:
    free = place(quote(line(1, "apple", 1, 500), points=500))
    books = scenario(order, STOCK | {accounts.points("points", ANN): 500})(given=[], when=free, then=history(free))
    assert [type(event) for event in history(free)] == [OrderPlaced, OrderPaid]
    assert books.balance(accounts.sold("apple")) == 1
    assert books.balance(accounts.liability(NO, unit="KRW")) == 500
    assert not [timer for event in history(free) for timer in timers(event) if isinstance(timer, Set)]


@pytest.mark.requirement("S1-093", "S2-030")
def test_an_unpaid_order_has_a_deadline_at_which_it_cancels_itself() -> None:
    unpaid = Set("unpaid", at=NOON + timedelta(minutes=30), send=CancelOrder(order_no=NO, reason="unpaid"))
    assert deadline(place()) == unpaid
    books = check(given=history(place()), when=unpaid.send, then=history(place(), unpaid.send)[1:])
    assert books.balances == Books(STOCK).balances
    assert deadline(place(), unpaid.send) == Clear("unpaid")


@pytest.mark.parametrize(
    ("attempt_ends", "cancelled_at"),
    [pytest.param(5, 30, id="short"), pytest.param(35, 35, id="longer"), pytest.param(90, 40, id="too-long")],
)
def test_an_open_attempt_keeps_the_order_until_its_own_end_at_most_ten_minutes_longer(
    attempt_ends: int, cancelled_at: int
) -> None:
    timer = deadline(place(), begin(attempt_ends))
    assert timer == Set("unpaid", NOON + timedelta(minutes=cancelled_at), CancelOrder(order_no=NO, reason="unpaid"))


def test_an_attempt_that_ends_gives_the_first_deadline_back() -> None:
    end = EndPaymentAttempt(order_no=NO, payment=PAYMENT)
    assert deadline(place(), begin(40), end).at == NOON + timedelta(minutes=30)
    assert state(place(), begin(), end).state == "PENDING_PAYMENT"
    check(given=history(place(), begin()), when=end, then=history(place(), begin(), end)[2:])
    check(given=history(place(), begin(), end), when=end, then=[])
    check(given=history(place(), begin()), when=EndPaymentAttempt(order_no=NO, payment=OTHER_PAYMENT), then=[])
    check(given=history(place(), begin(), pay()), when=end, then=[])


def test_one_attempt_is_open_at_a_time() -> None:
    began = [PaymentBegan(order_no=NO, payment=PAYMENT, until=begin().until, cancel_at=NOON + timedelta(minutes=30))]
    check(given=history(place()), when=begin(), then=began)
    check(given=history(place(), begin()), when=begin(), then=[])
    check(given=history(place(), begin()), when=begin(payment=OTHER_PAYMENT), then=PaymentInProgress)
    check(given=history(place(), pay()), when=begin(), then=AlreadyPaid)
    check(given=history(place(), CancelOrder(order_no=NO, reason="buyer")), when=begin(), then=OrderStateForbids)


def test_payment_settles_what_was_held() -> None:
    wanted = place(quote(coupons=(COUPON,), points=500))
    mine, tickets = accounts.points("points", ANN), accounts.coupon_tickets("SPRING")
    given = history(wanted, begin())
    paid = pay(given[0].total)
    books = scenario(order, STOCK | {mine: 500, tickets: 1})(
        given=given, when=paid, then=history(wanted, begin(), paid)[2:]
    )
    assert all(left == 0 for _, _, left in books.holds.values())
    assert (books.balance(accounts.sold("apple")), books.balance(accounts.pool("apple"))) == (2, 8)
    assert books.balance(accounts.points_spent("points")) == 500
    assert books.balance(accounts.coupon_used("SPRING")) == 1
    assert books.balance(accounts.liability(NO, unit="KRW")) == 1_500  # What the platform pays for the buyer.


@pytest.mark.requirement("S2-031")
def test_payment_is_of_the_whole_total_in_its_currency() -> None:
    check(given=history(place()), when=pay(24_999), then=PaymentStateForbids)
    wrong = replace(pay(), currency="JPY")
    check(given=history(place()), when=wrong, then=PaymentStateForbids)


def test_an_order_is_paid_once_and_a_cancelled_one_never() -> None:
    check(given=history(place(), pay()), when=pay(), then=[])
    check(given=history(place(), pay()), when=pay(payment=OTHER_PAYMENT), then=AlreadyPaid)
    check(given=history(place(), CancelOrder(order_no=NO, reason="unpaid")), when=pay(), then=OrderStateForbids)


def test_cancelling_before_payment_gives_everything_back() -> None:
    wanted = place(quote(coupons=(COUPON,), points=500))
    start = STOCK | {accounts.points("points", ANN): 500, accounts.coupon_tickets("SPRING"): 1}
    cancel = CancelOrder(order_no=NO, reason="buyer")
    for given in (history(wanted), history(wanted, begin())):
        books = scenario(order, start)(given=given, when=cancel, then=[_canceled(given, "buyer")])
        assert +books.balances == +Books(start).balances
        assert all(left == 0 for _, _, left in books.holds.values())


def _canceled(given: list[Any], reason: Any, *, was_paid: bool = False) -> OrderCanceled:
    placed = given[0]
    return OrderCanceled(
        order_no=NO,
        buyer=ANN,
        reason=reason,
        was_paid=was_paid,
        payment=order.fold(Order(), given).payment,
        currency="KRW",
        total=placed.total,
        lines=placed.lines,
        coupons=placed.coupons,
        points=placed.points,
        programme="points",
        platform_paid=placed.points_amount + sum(use.discount for use in placed.coupons),
    )


@pytest.mark.requirement("S1-097")
def test_a_paid_order_that_cannot_be_sent_gives_goods_coupons_and_points_back() -> None:
    wanted = place(quote(coupons=(COUPON,), points=500))
    start = STOCK | {accounts.points("points", ANN): 500, accounts.coupon_tickets("SPRING"): 1}
    given = history(wanted, pay(history(wanted)[0].total))
    cancel = CancelPaidOrder(order_no=NO, reason="not_allocatable")
    books = scenario(order, start)(given=given, when=cancel, then=[_canceled(given, "not_allocatable", was_paid=True)])
    assert +books.balances == +Books(start).balances
    check(given=history(*DELIVERED), when=cancel, then=OrderStateForbids)
    check(given=history(place()), when=cancel, then=OrderStateForbids)


def test_a_paid_order_is_not_cancelled_by_its_buyer_nor_by_a_late_deadline() -> None:
    check(given=history(place(), pay()), when=CancelOrder(order_no=NO, reason="buyer"), then=OrderStateForbids)
    check(given=history(place(), pay()), when=CancelOrder(order_no=NO, reason="unpaid"), then=[])


@pytest.mark.requirement("S1-092")
def test_an_order_passes_every_state_of_the_path_in_order() -> None:
    commands = [
        place(), begin(), pay(), MarkAllocated(order_no=NO),
        *(MarkStage(order_no=NO, stage=stage) for stage in PATH[5:12]),  # type: ignore[arg-type]
        ConfirmOrder(order_no=NO), CompleteOrder(order_no=NO),
    ]  # fmt: skip
    seen = [state(*commands[: n + 1]).state for n in range(len(commands))]
    assert tuple(seen) == PATH[1:]


def test_a_stage_implies_those_before_it_and_one_behind_changes_nothing() -> None:
    given = history(place(), pay(), MarkAllocated(order_no=NO))
    stages = [
        OrderStageReached(order_no=NO, buyer=ANN, stage=stage)  # type: ignore[arg-type]
        for stage in ("PICKED", "PACKED", "SHIPPED")
    ]
    check(given=given, when=MarkStage(order_no=NO, stage="SHIPPED"), then=stages)
    check(given=given + stages, when=MarkStage(order_no=NO, stage="PACKED"), then=[])
    check(given=given + stages, when=MarkStage(order_no=NO, stage="SHIPPED"), then=[])
    check(given=history(place(), pay()), when=MarkStage(order_no=NO, stage="PICKED"), then=OrderStateForbids)


@pytest.mark.requirement("S1-094")
def test_part_of_the_goods_may_be_shipped_first() -> None:
    assert state(place(), pay(), SENT[0], MarkStage(order_no=NO, stage="PARTIAL_SHIPPED")).state == "PARTIAL_SHIPPED"
    assert state(place(), pay(), SENT[0], MarkStage(order_no=NO, stage="PARTIAL_SHIPPED"), SENT[1]).state == "SHIPPED"


def test_allocation_follows_payment() -> None:
    check(given=history(place()), when=MarkAllocated(order_no=NO), then=OrderStateForbids)
    check(given=history(place(), pay(), *SENT), when=MarkAllocated(order_no=NO), then=[])


@pytest.mark.requirement("S2-056")
def test_what_is_delivered_can_be_confirmed_and_nothing_else() -> None:
    check(given=history(place(), pay(), *SENT), when=ConfirmOrder(order_no=NO), then=OrderStateForbids)
    confirmed = OrderConfirmed(
        order_no=NO,
        buyer=ANN,
        channel="web",
        currency="KRW",
        shares=(
            StoreShare(store="farm", gross=won(25_000), commission_base=won(25_000), commission_rate=Decimal("0.05")),
        ),
        refunded=won(0),
        by_buyer=True,
        confirmed_at=NOON,
    )
    check(given=history(*DELIVERED), when=ConfirmOrder(order_no=NO, now=NOON), then=[confirmed])
    check(given=[*history(*DELIVERED), confirmed], when=ConfirmOrder(order_no=NO), then=[])


def test_what_is_confirmed_can_be_completed() -> None:
    complete, confirm = CompleteOrder(order_no=NO), ConfirmOrder(order_no=NO)
    check(given=history(*DELIVERED), when=complete, then=OrderStateForbids)
    done = OrderCompleted(order_no=NO, buyer=ANN, currency="KRW", paid_amount=won(25_000), refunded=won(0))
    check(given=history(*DELIVERED, confirm), when=complete, then=[done])
    check(given=history(*DELIVERED, confirm, complete), when=complete, then=[])


def test_a_state_is_the_same_after_it_was_stored() -> None:
    for commands in (
        (),
        (place(),),
        DELIVERED,
        (*DELIVERED, OpenAfterSale(order_no=NO, case=CASE), close(1, ("1", 1))),
    ):
        before = state(*commands)
        assert decode(encode(before), Order) == before


def test_an_attempt_that_ended_is_in_the_log() -> None:
    ended = history(place(), begin(), EndPaymentAttempt(order_no=NO, payment=PAYMENT))[-1]
    assert ended == PaymentAttemptEnded(order_no=NO, payment=PAYMENT, cancel_at=NOON + timedelta(minutes=30))

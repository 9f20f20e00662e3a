"""After-sales and shares: what a refund means for an order, and what each store is due."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from contexts.ordering.orders import ANN, CASE, NO, history, line, pay, place, quote, won
from pasar import accounts
from pasar.contexts.ordering.contract import (
    CloseAfterSale,
    ConfirmOrder,
    MarkAllocated,
    MarkStage,
    OpenAfterSale,
)
from pasar.contexts.ordering.life import Order, refund_status_of, status_of
from pasar.contexts.ordering.order import decide, order
from pasar.contexts.pricing.contract import CouponUse, FreightShare
from pasar.kernel.testing import scenario
from pasar.refusals import (
    OrderStateForbids,
    ReturnAboveBought,
)

STOCK = {accounts.pool("apple"): 10, accounts.pool("pear"): 10}
check = scenario(order, STOCK)
COUPON = CouponUse(coupon="SPRING", discount=won(1_000), limited=True, per_person=1, platform_funded=True)
SENT = (MarkAllocated(order_no=NO), MarkStage(order_no=NO, stage="SHIPPED"))
DELIVERED = (place(), pay(), *SENT, MarkStage(order_no=NO, stage="DELIVERED"))


def close(refunded: int, *returned: tuple[str, int], case: UUID = CASE, platform_part: int = 0) -> CloseAfterSale:
    return CloseAfterSale(
        order_no=NO, case=case, refunded=won(refunded), platform_part=won(platform_part), returned=returned
    )


def state(*commands: Any) -> Order:
    return order.fold(Order(), history(*commands))


@pytest.mark.requirement("S1-096")
def test_an_open_case_shows_and_keeps_the_order_from_going_on() -> None:
    case = OpenAfterSale(order_no=NO, case=CASE)
    opened = state(*DELIVERED, case)
    assert (status_of(opened), opened.state) == ("AFTER_SALE_OPEN", "DELIVERED")
    check(given=history(*DELIVERED, case), when=ConfirmOrder(order_no=NO), then=OrderStateForbids)
    check(given=history(*DELIVERED, case), when=case, then=[])
    assert status_of(state(*DELIVERED, case, close(0))) == "DELIVERED"
    check(given=history(*DELIVERED, case, close(0)), when=close(0), then=[])
    check(given=history(place()), when=case, then=OrderStateForbids)


@pytest.mark.requirement("S1-095")
def test_a_refund_of_a_part_shows_and_so_does_one_of_all() -> None:
    case, again = OpenAfterSale(order_no=NO, case=CASE), OpenAfterSale(order_no=NO, case=UUID(int=22))
    part = state(*DELIVERED, case, close(5_000, ("2", 1)))
    assert (status_of(part), refund_status_of(part), part.refunded) == ("PARTIAL_REFUNDED", "PARTIAL_REFUNDED", 5_000)
    whole = state(*DELIVERED, case, close(5_000, ("2", 1)), again, close(20_000, ("1", 2), case=again.case))
    assert (status_of(whole), whole.refunded, whole.returned) == ("REFUNDED", 25_000, {"2": 1, "1": 2})


def test_no_more_comes_back_than_was_bought() -> None:
    case = OpenAfterSale(order_no=NO, case=CASE)
    check(given=history(*DELIVERED, case), when=close(0, ("1", 3)), then=ReturnAboveBought)
    check(given=history(*DELIVERED, case), when=close(0, ("9", 1)), then=ReturnAboveBought)


def test_a_refund_gives_the_platforms_part_back_to_it() -> None:
    wanted = place(quote(line(1, "apple", 2, 10_000), points=500))
    given = history(wanted, pay(19_500), *SENT, OpenAfterSale(order_no=NO, case=CASE))
    start = STOCK | {accounts.points("points", ANN): 500}
    command = close(19_500, ("1", 2), platform_part=500)
    books = scenario(order, start)(
        given=given,
        when=command,
        then=history(wanted, pay(19_500), *SENT, OpenAfterSale(order_no=NO, case=CASE), command)[len(given) :],
    )
    assert books.balance(accounts.liability(NO, unit="KRW")) == 0
    assert books.balance(accounts.platform_discounts(unit="KRW")) == 0


def test_shares_are_exactly_what_the_order_holds_and_refunds_fall_on_whose_goods_came_back() -> None:
    lines = (
        line(1, "apple", 2, 10_000, discount=won(1_000), platform_discount=won(1_000), points_discount=won(333)),
        line(2, "pear", 3, 5_000, store="orchard", points_discount=won(167), commission_rate=Decimal("0.1")),
    )
    coupon = CouponUse(coupon="SPRING", discount=won(1_000), limited=False, per_person=None, platform_funded=True)
    asked = quote(*lines, freight=3_000, coupons=(coupon,), points=500)
    freight = {"farm": won(2_000), "orchard": won(1_000)}
    shares = tuple(FreightShare(store=store, amount=amount) for store, amount in freight.items())
    shared = replace(asked, freight_shares=shares)
    case = OpenAfterSale(order_no=NO, case=CASE)
    total = shared.total
    given = history(place(shared), pay(total), *SENT, MarkStage(order_no=NO, stage="DELIVERED"))
    whole = decide(ConfirmOrder(order_no=NO), order.fold(Order(), given))[0]
    assert [(one.store, one.gross, one.commission_base) for one in whole.shares] == [
        ("farm", 22_000, 20_000), ("orchard", 16_000, 15_000),
    ]  # fmt: skip
    returned = [*given, *history_from(given, case, close(4_900, ("2", 1), platform_part=100))]
    after = decide(ConfirmOrder(order_no=NO), order.fold(Order(), returned))[0]
    assert [(one.store, one.gross) for one in after.shares] == [("farm", 22_000), ("orchard", 11_000)]
    assert sum(one.gross for one in after.shares) == total + 1_500 - 5_000


def history_from(given: list[Any], *commands: Any) -> list[Any]:
    now, events = order.fold(Order(), given), []
    for command in commands:
        decided = decide(command, now)
        now, events = order.fold(now, decided), events + list(decided)
    return events

"""A sale: given … when … then …, with the units that it locks away and the orders that take from it."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from msgspec.structs import replace

from contexts.ordering.orders import ANN, NO, NOON, line, place, quote
from pasar.accounts import pool, sale_pool, sale_quota, sold
from pasar.contexts.flash.contract import (
    EndSale,
    LeftoverReturned,
    PrepareSale,
    Quota,
    ReturnLeftover,
    SaleEnded,
    SaleItem,
    SaleLimits,
    SalePrepared,
    SaleTerms,
)
from pasar.contexts.flash.leftover import leftover
from pasar.contexts.flash.sale import sale, timers
from pasar.contexts.ordering.contract import CancelOrder, CancelPaidOrder, MarkPaid, OrderPlaced, PlaceOrder
from pasar.contexts.ordering.order import decide, order
from pasar.kernel.decider import Clear, Set
from pasar.kernel.testing import Books, scenario
from pasar.refusals import (
    InsufficientStock,
    SaleExists,
    SaleLimitReached,
    SaleMalformed,
    SaleNotFound,
    SaleNotOpen,
)
from pasar.vocabulary import Period

ENDS = NOON + timedelta(hours=1)
PREPARE = PrepareSale(
    sale="noon", title="Apples at noon", channel="web", currency="KRW", starts_at=NOON, ends_at=ENDS,
    items=(SaleItem(sku="apple", price=Decimal(900), units=10), SaleItem(sku="pear", price=Decimal(500), units=5)),
    limits=SaleLimits(per_member=2),
)  # fmt: skip
PREPARED = SalePrepared(**{name: getattr(PREPARE, name) for name in PREPARE.__struct_fields__})
ENDED = SaleEnded(sale="noon", skus=("apple", "pear"))
POOLS = {pool("apple"): 12, pool("pear"): 5}
check = scenario(sale, POOLS)


def test_preparing_locks_units_away_and_sets_the_end() -> None:
    books = check(given=[], when=PREPARE, then=[PREPARED])
    assert books.balance(pool("apple")) == 2
    assert books.balance(sale_pool("apple", "noon")) == 10
    assert books.balance(sale_pool("pear", "noon")) == 5
    assert timers(PREPARED) == [Set("end", at=ENDS, send=EndSale(sale="noon"))]


def test_more_than_a_pool_has_locks_nothing() -> None:
    many = (replace(PREPARE.items[0], units=12), replace(PREPARE.items[1], units=6))
    books = check(given=[], when=replace(PREPARE, items=many), then=InsufficientStock)
    assert books.balance(pool("apple")) == 12


def test_a_repeat_changes_nothing_and_another_content_is_refused() -> None:
    check(given=[PREPARED], when=PREPARE, then=[])
    check(given=[PREPARED, ENDED], when=PREPARE, then=[])
    check(given=[PREPARED], when=replace(PREPARE, limits=SaleLimits()), then=SaleExists)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ends_at": NOON},
        {"starts_at": NOON.replace(tzinfo=None)},
        {"items": (PREPARE.items[0], PREPARE.items[0])},
        {"items": (replace(PREPARE.items[0], price=Decimal("900.5")),)},
    ],
)
def test_a_sale_that_cannot_be_understood_is_refused(wrong: dict[str, object]) -> None:
    check(given=[], when=replace(PREPARE, **wrong), then=SaleMalformed)


def test_it_ends_once() -> None:
    check(given=[PREPARED], when=EndSale(sale="noon"), then=[ENDED])
    check(given=[PREPARED, ENDED], when=EndSale(sale="noon"), then=[])
    check(given=[], when=EndSale(sale="noon"), then=SaleNotFound)
    assert timers(ENDED) == [Clear("end")]


def test_a_leftover_goes_back_once_and_never_more_than_is_left() -> None:
    back = scenario(leftover, {sale_pool("apple", "noon"): 4})
    command = ReturnLeftover(leftover=UUID(int=1), sale="noon", sku="apple", quantity=4)
    returned = LeftoverReturned(leftover=UUID(int=1), sale="noon", sku="apple", quantity=4)
    assert back(given=[], when=command, then=[returned]).balance(pool("apple")) == 4
    back(given=[returned], when=command, then=[])
    back(given=[], when=replace(command, quantity=5), then=InsufficientStock)


# Orders of a sale.

TERMS = SaleTerms(
    sale="noon", period=Period(starts_at=NOON, ends_at=ENDS), quotas=(Quota(who=f"member-{ANN}", most=2),)
)


def wish(units: int = 2, **more: object) -> PlaceOrder:
    return replace(place(quote(line(1, "apple", units, 900, sale=TERMS))), ticket="noon/e-1", **more)


def books_after(*commands: object, start: int = 10) -> Books:
    """The books of one order, to which these commands were said."""
    books, state = Books({sale_pool("apple", "noon"): start, pool("apple"): 3}), order.initial
    for command in commands:
        for event in decide(command, state):  # type: ignore[arg-type]
            books.post(NO, order.book(event))  # type: ignore[misc]
            state = order.evolve(state, event)
    return books


def test_an_order_takes_from_the_sale_and_not_from_the_pool() -> None:
    books = books_after(wish())
    assert books.balance(sale_pool("apple", "noon")) == 8
    assert books.balance(pool("apple")) == 3
    assert books.balance(sale_quota("noon", "apple", f"member-{ANN}", limit=2)) == -2


def test_an_unpaid_order_gives_units_and_quota_back_to_the_sale() -> None:
    books = books_after(wish(), CancelOrder(order_no=NO, reason="unpaid"))
    assert books.balance(sale_pool("apple", "noon")) == 10
    assert books.balance(sale_quota("noon", "apple", f"member-{ANN}", limit=2)) == 0
    assert not any(amount for _, _, amount in books.holds.values())


def test_a_paid_order_is_sold_and_comes_back_to_the_sale_when_cancelled() -> None:
    paid = MarkPaid(order_no=NO, payment=UUID(int=9), gateway="toss", amount=wish().quote.total, currency="KRW")
    books = books_after(wish(), paid)
    assert books.balance(sold("apple")) == 2
    books = books_after(wish(), paid, CancelPaidOrder(order_no=NO, reason="buyer"))
    assert (books.balance(sold("apple")), books.balance(sale_pool("apple", "noon"))) == (0, 10)
    assert books.balance(sale_quota("noon", "apple", f"member-{ANN}", limit=2)) == 0


def test_the_ledger_refuses_what_is_above_the_limit_or_not_there() -> None:
    with pytest.raises(SaleLimitReached):
        books_after(wish(3))
    with pytest.raises(InsufficientStock):
        books_after(wish(2), start=1)


@pytest.mark.parametrize("placed_at", [NOON - timedelta(seconds=1), ENDS])
def test_an_order_before_or_after_the_sale_is_refused(placed_at: object) -> None:
    with pytest.raises(SaleNotOpen):
        books_after(wish(placed_at=placed_at))


def test_the_ticket_is_claimed_by_the_order() -> None:
    placed = decide(wish(), order.initial)[0]
    assert isinstance(placed, OrderPlaced)
    assert order.claims is not None
    assert [(claim.kind, claim.key) for claim in order.claims(placed)] == [("flash_ticket", "noon/e-1")]
    assert order.claims(replace(placed, ticket="")) == []

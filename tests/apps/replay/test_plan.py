"""What a history is to become, and that nothing of it is lost on the way."""

from decimal import Decimal
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.replay.histories import Cells, cells, write
from pasar.apps.replay.plan import Action, Plan, PlannedOrder, PlannedReturn, Sum, survey
from pasar.apps.replay.reader import Rule

LATER = "2009-12-03 10:00:00"


def planned(folder: Path, rows: list[Cells], limit: int | None = None) -> tuple[list[Action], Plan]:
    file = write(folder / "history.csv", rows)
    found = survey(file, limit)
    plan = Plan(file, found)
    actions = list(plan)
    assert plan.totals.all == found.file
    return actions, plan


def test_rows_of_an_invoice_are_the_lines_of_one_order_and_exact_duplicates_are_lines_too(tmp_path: Path):
    (order,), plan = planned(tmp_path, [cells("1"), cells("1"), cells("1", "22041", 2, "1.00")])
    assert isinstance(order, PlannedOrder)
    assert [(line.sku, line.quantity) for line in order.lines] == [("85123A", 6), ("85123A", 6), ("22041", 2)]
    assert order.total == Decimal("32.60")
    assert plan.totals.order_lines == Sum(3, 14, Decimal("32.60"))


def test_what_is_no_product_is_left_out_of_the_order_and_counted_under_its_rule(tmp_path: Path):
    (order,), plan = planned(tmp_path, [cells("1"), cells("1", "POST", 1, "18.00")])
    assert isinstance(order, PlannedOrder)
    assert len(order.lines) == 1
    assert plan.totals.rules == {Rule.CARRIAGE: Sum(1, 1, Decimal("18.00"))}


def test_three_decimals_are_rounded_once_a_line_and_the_remainder_is_told(tmp_path: Path):
    _, plan = planned(tmp_path, [cells("1", quantity=7, price="1.055")])
    assert plan.totals.ordered == Decimal("7.39")
    assert plan.totals.rounding == Decimal("0.005")


def test_rows_of_an_invoice_need_not_be_neighbours_and_it_is_placed_with_its_last_row(tmp_path: Path):
    rows = [cells("1"), cells("2"), cells("1", at="2009-12-01 07:46:00")]
    actions, _ = planned(tmp_path, rows)
    assert [(one.invoice, len(one.lines)) for one in actions if isinstance(one, PlannedOrder)] == [("2", 1), ("1", 2)]
    assert actions[0].at < actions[1].at


def test_a_return_takes_from_the_oldest_purchase_of_that_customer_sku_and_price(tmp_path: Path):
    rows = [
        cells("1", quantity=4),
        cells("2", quantity=4),
        cells("3", quantity=9, price="2.10"),
        cells("4", quantity=9, customer="99"),
        cells("C5", quantity=-6, at=LATER),
    ]
    returns = [one for one in planned(tmp_path, rows)[0] if isinstance(one, PlannedReturn)]
    assert [(one.order, one.lines[0].quantity) for one in returns] == [("1", 4), ("2", 2)]
    assert sum(one.total for one in returns) == Decimal("15.30")


def test_two_rows_that_return_of_one_line_are_one_return_of_it(tmp_path: Path):
    actions, plan = planned(tmp_path, [cells("1", quantity=4), *[cells("C2", quantity=-1, at=LATER)] * 3])
    (case,) = [one for one in actions if isinstance(one, PlannedReturn)]
    assert [(line.line, line.quantity) for line in case.lines] == [(1, 3)]
    assert plan.totals.return_lines.lines == 3


def test_a_return_of_more_than_was_bought_falls_under_its_rule_whole(tmp_path: Path):
    rows = [cells("1", quantity=4), cells("C2", quantity=-5, at=LATER), cells("C3", quantity=-4, at=LATER)]
    actions, plan = planned(tmp_path, rows)
    assert plan.totals.rules == {Rule.RETURN_UNMATCHED: Sum(1, -5, Decimal("-12.75"))}
    assert [one.credit for one in actions if isinstance(one, PlannedReturn)] == ["C3"]


def test_what_is_bought_after_the_return_does_not_count(tmp_path: Path):
    _, plan = planned(tmp_path, [cells("C1", quantity=-4), cells("2", quantity=4, at=LATER)])
    assert plan.totals.rules[Rule.RETURN_UNMATCHED].lines == 1


def test_a_limit_keeps_the_first_invoices_whole(tmp_path: Path):
    rows = [cells("1"), cells("2"), cells("3"), cells("1"), cells("2")]
    actions, plan = planned(tmp_path, rows, limit=2)
    assert [one.invoice for one in actions if isinstance(one, PlannedOrder)] == ["1", "2"]
    assert plan.totals.all.lines == 4


def test_products_get_their_first_price_that_is_one_and_all_units_that_are_sold(tmp_path: Path):
    rows = [cells("1", price="0"), cells("2", price="3.10"), cells("3", price="2.00"), cells("C4", quantity=-2)]
    found = survey(write(tmp_path / "history.csv", rows))
    assert found.products["85123A"][1:] == (Decimal("3.10"), 18)


_rows = st.lists(
    st.builds(
        cells,
        st.sampled_from(["1", "2", "3", "C4", "C5", "A6"]),
        st.sampled_from(["85123A", "85123a", "22041", "POST", "M", "odd"]),
        st.integers(-9, 9),
        st.sampled_from(["0", "0.50", "1.255", "2.55", "-1.00"]),
        customer=st.sampled_from(["", "13085", "99"]),
    ),
    max_size=40,
)


@given(_rows)
@settings(max_examples=200)
def test_orders_and_returns_and_rules_together_are_the_file(tmp_path_factory, rows: list[Cells]):
    actions, plan = planned(tmp_path_factory.mktemp("history"), rows)
    totals = plan.totals
    orders = [one for one in actions if isinstance(one, PlannedOrder)]
    returns = [one for one in actions if isinstance(one, PlannedReturn)]
    assert sum(len(one.lines) for one in orders) == totals.order_lines.lines
    assert sum(one.total for one in orders) == totals.ordered
    assert sum(one.total for one in returns) == totals.refunded
    assert totals.ordered - totals.refunded == totals.order_lines.money + totals.return_lines.money + totals.rounding
    assert -sum(line.quantity for one in returns for line in one.lines) == totals.return_lines.units
    _nothing_comes_back_twice(orders, returns)


def _nothing_comes_back_twice(orders: list[PlannedOrder], returns: list[PlannedReturn]) -> None:
    bought = {(one.invoice, n): line for one in orders for n, line in enumerate(one.lines, 1)}
    back: dict[tuple[str, int], int] = {}
    for case in returns:
        for line in case.lines:
            key = case.order, line.line
            assert (line.sku, line.unit_price) == (bought[key].sku, bought[key].unit_price)
            back[key] = back.get(key, 0) + line.quantity
            assert back[key] <= bought[key].quantity

"""What comes back for units of an order: exactly what was paid, in whatever portions."""

from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasar.contexts.aftersales.contract import ReturnLine
from pasar.contexts.aftersales.worth import Bought, Taken, Worth, price, shared_points
from pasar.refusals import ReturnAboveBought

CASE = UUID(int=1)


def won(refund: int, platform: int = 0, points: int = 0, tax: int = 0) -> Worth:
    return Worth(refund=Decimal(refund), platform_part=Decimal(platform), points=points, tax=Decimal(tax))


def bought(id: str, quantity: int, worth: Worth) -> Bought:
    return Bought(line_id=id, sku=f"sku-{id}", store="s1", quantity=quantity, worth=worth)


def back(id: str, quantity: int) -> ReturnLine:
    return ReturnLine(line_id=id, quantity=quantity)


def test_two_of_three_units_and_then_the_last_come_to_all_that_was_paid() -> None:
    lines, freight = [bought("1", 3, won(100, platform=10, points=5))], won(30)
    first = price([back("1", 2)], lines, freight, [], "KRW", with_freight=True)
    assert [(one.refund, one.platform_part, one.points, one.bought) for one in first.lines] == [(66, 6, 3, 3)]
    assert first.freight == Worth()
    earlier = [Taken(lines=first.lines, freight=first.freight)]
    last = price([back("1", 1)], lines, freight, earlier, "KRW", with_freight=True)
    assert [(one.refund, one.platform_part, one.points) for one in last.lines] == [(34, 4, 2)]
    assert last.freight.refund == 30


def test_freight_stays_where_the_reason_does_not_allow_it() -> None:
    lines = [bought("1", 1, won(100))]
    assert price([back("1", 1)], lines, won(30), [], "KRW", with_freight=False).freight == Worth()


def test_no_line_gives_back_more_units_than_it_has_left() -> None:
    lines = [bought("1", 3, won(100))]
    earlier = [Taken(lines=price([back("1", 2)], lines, won(0), [], "KRW", with_freight=True).lines, freight=won(0))]
    for wish in ([back("1", 2)], [back("2", 1)], [back("1", 1), back("1", 1)]):
        with pytest.raises(ReturnAboveBought):
            price(wish, lines, won(0), earlier, "KRW", with_freight=True)


@given(
    units=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    paid=st.data(),
    currency=st.sampled_from(["KRW", "CNY"]),
)
def test_whatever_the_portions_all_that_was_paid_comes_back_and_never_more(
    units: list[int], paid: st.DataObject, currency: str
) -> None:
    places = 0 if currency == "KRW" else 2
    amount = st.integers(0, 100_000).map(lambda minor: Decimal(minor).scaleb(-places))
    worth = st.builds(Worth, refund=amount, platform_part=amount, points=st.integers(0, 99), tax=st.just(Decimal(0)))
    lines = [bought(str(n), quantity, paid.draw(worth)) for n, quantity in enumerate(units)]
    freight, earlier = paid.draw(worth), []
    singles = [line.line_id for line in lines for _ in range(line.quantity)]
    for id in paid.draw(st.permutations(singles)):
        case = price([back(id, 1)], lines, freight, earlier, currency, with_freight=True)
        earlier.append(Taken(lines=case.lines, freight=case.freight))
        for line in lines:
            took = [one for each in earlier for one in each.lines if one.line_id == line.line_id]
            assert sum(one.refund for one in took) <= line.worth.refund
    took = [one for each in earlier for one in each.lines]
    assert sum(one.refund for one in took) == sum(line.worth.refund for line in lines)
    assert sum(one.platform_part for one in took) == sum(line.worth.platform_part for line in lines)
    assert sum(one.points for one in took) == sum(line.worth.points for line in lines)
    assert sum((each.freight.refund for each in earlier), Decimal(0)) == freight.refund


@given(st.integers(0, 10_000), st.lists(st.integers(0, 1_000).map(Decimal), min_size=1, max_size=9))
def test_points_are_shared_out_to_the_last_one(points: int, weights: list[Decimal]) -> None:
    shares = shared_points(points, weights)
    assert sum(shares) == (points if sum(weights) else 0)
    assert min(shares) >= 0

"""What an order costs: coupons, points, freight and taxes, to the last unit."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasar.contexts.pricing.contract import Coupon
from pasar.contexts.pricing.quote import Basket, Item, Priced, Terms, insist, price
from pasar.kernel.money import digits, major, minor
from pasar.refusals import AmountTooLarge, CartIsEmpty, CouponNotApplicable, PointsRefused
from pasar.vocabulary import Period

NOW = datetime(2025, 9, 6, 12, tzinfo=UTC)
D = Decimal


def channel(currency: str = "KRW", **changes: Any) -> Terms:
    fields: dict[str, Any] = {
        "channel": "web", "currency": currency, "tax_rate": D("0.10"),
        "prices_include_tax": True, "freight": D(0), "free_freight_from": None,
    }  # fmt: skip
    return Terms(**fields | changes)


def coupon(code: str = "C", kind: Any = "percent", value: Any = 10, **changes: Any) -> Coupon:
    fields: dict[str, Any] = {
        "coupon": code, "kind": kind, "value": D(value), "currency": "KRW", "min_amount": D(0), "max_discount": None,
        "total_limit": None, "per_person": None, "period": Period(), "store": None, "channels": (),
        "stackable": False, "priority": 0,
    }  # fmt: skip
    return Coupon(**fields | changes)


def item(price: Any, quantity: int = 1, store: str = "s1", **changes: Any) -> Item:
    return Item("sku", quantity, D(price), "A thing", store, D("0.05"), **changes)


def basket(*items: Item, coupons: Any = (), at: datetime = NOW, points: int = 0, worth: Any = 1, **sale: Any) -> Basket:
    return Basket(channel(**sale), items, at, coupons, True, points, None if worth is None else D(worth))


def test_a_line_is_rounded_once() -> None:
    quote = price(basket(item("0.335", 3), currency="CNY")).quote
    assert quote.lines[0].amount == D("1.01")  # 1.005, not 3 x 0.34
    assert quote.total == D("1.01")


def test_a_percentage_is_shared_over_the_lines_to_the_last_unit() -> None:
    quote = price(basket(item(1000), item(1000), item(1000), coupons=[coupon(max_discount=D(100))])).quote
    assert [line.discount for line in quote.lines] == [34, 33, 33]
    assert quote.total == 2900


def test_an_amount_takes_no_more_than_the_goods_cost() -> None:
    quote = price(basket(item(1000), coupons=[coupon(kind="amount", value=5000)])).quote
    assert (quote.discounts, quote.total) == (1000, 0)


@pytest.mark.requirement("S1-200")
def test_ten_percent_from_an_order_amount_of_100_within_september_2025_and_no_second_coupon() -> None:
    september = Period(starts_at=datetime(2025, 9, 1, tzinfo=UTC), ends_at=datetime(2025, 10, 1, tzinfo=UTC))
    example = coupon("coupon_global_202509", currency="CNY", min_amount=D(100), period=september, priority=10)
    other = coupon("other", currency="CNY", stackable=True)
    at = {"currency": "CNY"}
    assert price(basket(item("100.00"), coupons=[example], **at)).quote.discounts == D("10.00")
    assert price(basket(item("99.99"), coupons=[example], **at)).quote.discounts == 0
    assert price(basket(item(100), coupons=[example], at=datetime(2025, 10, 1, tzinfo=UTC), **at)).quote.discounts == 0
    both = price(basket(item("100.00"), coupons=[other, example], **at))
    assert [(verdict.coupon, verdict.applied) for verdict in both.verdicts] == [
        ("coupon_global_202509", True), ("other", False),
    ]  # fmt: skip
    with pytest.raises(CouponNotApplicable, match="does not go together with coupon_global_202509"):
        insist(both.verdicts)


@pytest.mark.requirement("S0-075")
def test_each_kind_of_coupon_on_the_same_cart() -> None:
    def cost(one: Coupon) -> tuple[Decimal, Decimal, Decimal]:
        quote = price(basket(item(20_000), coupons=[one], freight=D(3000))).quote
        return quote.discounts, quote.freight_discount, quote.total

    assert cost(coupon(kind="percent", value=10)) == (2000, 0, 21_000)
    assert cost(coupon(kind="percent", value=10, max_discount=D(1500))) == (1500, 0, 21_500)
    assert cost(coupon(kind="amount", value=700)) == (700, 0, 22_300)
    assert cost(coupon(kind="free_freight", value=0)) == (3000, 3000, 20_000)
    assert cost(coupon(kind="free_freight", value=0, max_discount=D(1000))) == (1000, 1000, 22_000)
    assert cost(coupon(kind="amount", value=700, min_amount=D(20_001))) == (0, 0, 23_000)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"is_open": False}, "closed"),
        ({"period": Period(starts_at=NOW + timedelta(seconds=1))}, "not valid now"),
        ({"period": Period(ends_at=NOW)}, "not valid now"),
        ({"currency": "CNY"}, "in CNY"),
        ({"channels": ("app",)}, "does not count in web"),
        ({"store": "s2"}, "nothing here is of the store s2"),
        ({"min_amount": D(1001)}, "starts at 1001"),
        ({"value": D("0.01")}, "comes to nothing"),
    ],
)
def test_a_coupon_that_does_not_fit_says_why(wrong: dict[str, Any], reason: str) -> None:
    priced = price(basket(item(1000), coupons=[coupon(**wrong)]))
    assert priced.quote.total == 1000
    assert reason in priced.verdicts[0].reason
    with pytest.raises(CouponNotApplicable) as refused:
        insist(priced.verdicts)
    assert refused.value.facts["coupons"][0]["coupon"] == "C"


def test_a_coupon_of_the_store_takes_its_lines_only_and_the_platform_pays_for_its_own() -> None:
    own, ours = coupon("own", store="s1", stackable=True), coupon("ours", value=50, stackable=True)
    quote = price(basket(item(1000), item(1000, store="s2"), coupons=[ours, own])).quote
    assert [line.discount for line in quote.lines] == [550, 500]
    assert [line.platform_discount for line in quote.lines] == [450, 500]
    assert [(use.coupon, use.discount, use.platform_funded) for use in quote.coupons] == [
        ("own", 100, False), ("ours", 950, True),
    ]  # fmt: skip


def test_higher_priority_then_the_later_start_then_the_lower_code_comes_first() -> None:
    start = [Period(starts_at=NOW - timedelta(days=day)) for day in (1, 2)]
    coupons = [
        coupon("z", priority=1), coupon("b", period=start[0]), coupon("a", period=start[1]), coupon("d"), coupon("c"),
    ]  # fmt: skip
    verdicts = price(basket(item(1000), coupons=coupons)).verdicts
    assert [verdict.coupon for verdict in verdicts] == ["z", "b", "a", "c", "d"]
    assert [verdict.applied for verdict in verdicts] == [True, False, False, False, False]


def test_points_pay_for_goods_but_not_for_more() -> None:
    quote = price(basket(item(1000), item(500), points=150, freight=D(3000))).quote
    assert [line.points_discount for line in quote.lines] == [100, 50]
    assert (quote.points_amount, quote.total) == (150, 4350)
    with pytest.raises(PointsRefused, match="more than what is left"):
        price(basket(item(1000), coupons=[coupon()], points=901))


def test_points_are_refused_where_they_are_no_whole_amount_or_do_not_pay() -> None:
    with pytest.raises(PointsRefused, match="no whole amount"):
        price(basket(item(1000), points=3, worth="0.5"))
    with pytest.raises(PointsRefused, match="do not pay here"):
        price(basket(item(1000), points=3, worth=None))
    with pytest.raises(PointsRefused, match="sign in"):
        price(basket(item(1000), points=3)._replace(has_person=False))


def test_freight_is_free_from_a_sum_of_goods_less_coupons() -> None:
    rule = {"freight": D(3000), "free_freight_from": D(50_000)}
    assert price(basket(item(50_000), **rule)).quote.freight == 0
    assert price(basket(item(50_000), coupons=[coupon(value=1)], **rule)).quote.freight == 3000
    assert price(basket(item(10, is_digital=True), **rule)).quote.freight == 0


def test_freight_is_shared_by_store_and_a_stores_own_coupon_takes_from_its_share() -> None:
    free = coupon(kind="free_freight", value=0, store="s2")
    quote = price(basket(item(2000), item(1000, store="s2"), freight=D(1000), coupons=[free])).quote
    assert [(share.store, share.amount) for share in quote.freight_shares] == [("s1", 667), ("s2", 0)]
    assert (quote.freight, quote.freight_discount, quote.total) == (1000, 333, 3667)
    ours = price(basket(item(2000), freight=D(1000), coupons=[coupon(kind="free_freight", value=0)])).quote
    assert ours.freight_shares[0].amount == 1000  # The platform pays it.


def test_tax_is_contained_or_comes_on_top() -> None:
    contained = price(basket(item(1100))).quote
    assert (contained.taxes, contained.tax_added, contained.total) == (100, 0, 1100)
    added = price(basket(item("10.05"), currency="CNY", prices_include_tax=False)).quote
    assert (added.taxes, added.tax_added, added.total) == (D("1.01"), D("1.01"), D("11.06"))


def test_nothing_and_too_much_are_refused() -> None:
    with pytest.raises(CartIsEmpty):
        price(basket())
    with pytest.raises(AmountTooLarge):
        price(basket(item(999_999_999_999, 1_000_000_000)))
    with pytest.raises(AmountTooLarge):
        price(basket(*[item(999_999_999_999, 100)] * 10, currency="KWD"))


@st.composite
def baskets(draw: st.DrawFn) -> Basket:
    currency = draw(st.sampled_from(["KRW", "CNY", "KWD"]))
    amounts = st.decimals(0, 100_000, places=draw(st.sampled_from([0, digits(currency), 4, 6])))
    exact = st.integers(0, 10**7).map(lambda units: major(units, currency))
    stores, kinds = st.sampled_from(["s1", "s2", "s3"]), st.sampled_from(["percent", "amount", "free_freight"])
    items = draw(st.lists(
        st.builds(Item, st.just("sku"), st.integers(1, 50), amounts, st.just("t"), stores, st.just(D("0.05")),
                  is_digital=st.booleans()), min_size=1, max_size=6))  # fmt: skip
    coupons = [
        coupon(f"c{number}", kind, draw(exact if kind == "amount" else st.decimals("0.01", 100, places=2))
               if kind != "free_freight" else 0, currency=currency, stackable=draw(st.booleans()),
               store=draw(st.none() | stores), min_amount=draw(st.just(D(0)) | exact),
               max_discount=draw(st.none() | exact), priority=draw(st.integers(-2, 2)))
        for number, kind in enumerate(draw(st.lists(kinds, max_size=4)))
    ]  # fmt: skip
    return basket(
        *items, coupons=coupons, currency=currency, points=draw(st.integers(0, 500)), worth=major(1, currency),
        tax_rate=draw(st.decimals(0, 1, places=3)), prices_include_tax=draw(st.booleans()), freight=draw(exact),
        free_freight_from=draw(st.none() | exact),
    )  # fmt: skip


def priced_or_refused(of: Basket) -> Priced:
    try:
        return price(of)
    except PointsRefused:
        return price(of._replace(points=0))


@given(baskets())
def test_parts_always_add_up(of: Basket) -> None:
    quote, verdicts = priced_or_refused(of)
    lines, exact = quote.lines, [quote.goods, quote.discounts, quote.freight, quote.taxes, quote.total]
    assert quote.goods == sum(line.amount for line in lines)
    assert quote.discounts == sum(line.discount for line in lines) + quote.freight_discount
    assert quote.discounts == sum(use.discount for use in quote.coupons)
    assert quote.points_amount == sum(line.points_discount for line in lines)
    assert quote.taxes == sum(line.tax for line in lines)
    assert quote.total == (
        quote.goods - quote.discounts - quote.points_amount + quote.freight + quote.tax_added
    )  # fmt: skip
    assert quote.total >= 0
    assert 0 <= quote.freight_discount <= quote.freight
    for line in lines:
        assert 0 <= line.platform_discount <= line.discount
        assert 0 <= line.points_discount <= line.amount - line.discount
        exact += [line.amount, line.discount, line.platform_discount, line.points_discount, line.tax]
    for amount in exact:
        minor(amount, quote.currency)  # Refuses what has more digits.
    assert len(verdicts) == len(of.coupons)


@given(baskets())
def test_what_buyer_and_platform_pay_is_what_sellers_are_due(of: Basket) -> None:
    quote = priced_or_refused(of).quote
    platform = sum((use.discount for use in quote.coupons if use.platform_funded), quote.points_amount)
    due = sum(line.amount - line.discount + line.platform_discount for line in quote.lines)
    freight = sum(share.amount for share in quote.freight_shares)
    assert quote.total + platform == due + freight + quote.tax_added
    assert all(share.amount >= 0 for share in quote.freight_shares)

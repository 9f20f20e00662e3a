"""Rules of prices and coupons, without any I/O."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from pasar.accounts import coupon_issue, coupon_tickets
from pasar.contexts.pricing.contract import CloseCoupon, CouponClosed, CouponCreated, CreateCoupon, PriceSet, SetPrice
from pasar.contexts.pricing.price import price
from pasar.contexts.pricing.promotion import coupon
from pasar.kernel.testing import scenario
from pasar.refusals import CouponExists, CouponMalformed, CouponNotFound, PriceMalformed
from pasar.vocabulary import Period

D = Decimal
FIELDS: dict[str, Any] = {
    "coupon": "C", "kind": "percent", "value": D(10), "currency": "KRW", "min_amount": D(0), "max_discount": None,
    "total_limit": 5, "per_person": 1, "period": Period(), "store": None, "channels": (), "stackable": False,
    "priority": 0,
}  # fmt: skip
check = scenario(coupon)


def wish(**changes: Any) -> CreateCoupon:
    return CreateCoupon(**FIELDS | changes)


def fact(**changes: Any) -> CouponCreated:
    return CouponCreated(**FIELDS | changes)


def test_a_limited_coupon_is_given_its_tickets_once() -> None:
    books = check(given=[], when=wish(), then=[fact()])
    assert (books.balance(coupon_tickets("C")), books.balance(coupon_issue("C"))) == (5, -5)
    books = check(given=[fact()], when=wish(), then=[])
    assert books.balance(coupon_tickets("C")) == 5
    books = check(given=[], when=wish(total_limit=None), then=[fact(total_limit=None)])
    assert books.balance(coupon_tickets("C")) == 0


def test_a_code_is_one_coupons() -> None:
    check(given=[fact()], when=wish(value=D(20)), then=CouponExists)
    check(given=[fact(), CouponClosed(coupon="C")], when=wish(), then=[])


def test_a_coupon_is_closed_once() -> None:
    check(given=[fact()], when=CloseCoupon(coupon="C"), then=[CouponClosed(coupon="C")])
    check(given=[fact(), CouponClosed(coupon="C")], when=CloseCoupon(coupon="C"), then=[])
    check(given=[], when=CloseCoupon(coupon="C"), then=CouponNotFound)


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": D(0)},
        {"value": D("100.01")},
        {"kind": "amount", "value": D(0)},
        {"kind": "amount", "value": D("0.5")},
        {"kind": "free_freight", "value": D(5)},
        {"min_amount": D("0.5")},
        {"max_discount": D(0)},
        {"currency": "ZZZ"},
        {"period": Period(starts_at=datetime(2025, 9, 2, tzinfo=UTC), ends_at=datetime(2025, 9, 1, tzinfo=UTC))},
        {"period": Period(starts_at=datetime(2025, 9, 2))},
    ],
)
def test_a_coupon_that_nobody_could_understand_is_refused(wrong: dict[str, Any]) -> None:
    check(given=[], when=wish(**wrong), then=CouponMalformed)


def test_a_price_is_set_for_a_channel_and_a_repeat_changes_nothing() -> None:
    check = scenario(price)
    fields: dict[str, Any] = {"sku": "a", "channel": "web", "currency": "KRW", "price": D(5), "compare_at": None}
    check(given=[], when=SetPrice(**fields), then=[PriceSet(**fields)])
    check(given=[PriceSet(**fields)], when=SetPrice(**fields), then=[])
    app = {**fields, "channel": "app"}
    check(given=[PriceSet(**fields)], when=SetPrice(**app), then=[PriceSet(**app)])
    check(given=[], when=SetPrice(**{**fields, "compare_at": D(4)}), then=PriceMalformed)

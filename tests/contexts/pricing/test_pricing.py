"""Prices, coupons and quotes on PostgreSQL and over HTTP."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from contexts.selling import OWNER, START, Shop
from pasar.accounts import coupon_tickets
from pasar.contexts.catalog import facade as catalog
from pasar.contexts.platform.contract import CloseStore
from pasar.contexts.pricing import facade
from pasar.contexts.pricing.contract import CreateCoupon, QuoteFor, SetPrice, Wanted
from pasar.refusals import (
    ChannelNotFound,
    CouponExists,
    CouponNotApplicable,
    CouponNotFound,
    NotForSale,
    PriceNotFound,
)
from pasar.vocabulary import Period


def question(*skus: str, **more: Any) -> QuoteFor:
    return QuoteFor(channel="web", wanted=tuple(Wanted(sku=sku, quantity=2) for sku in skus), person=OWNER, **more)


async def test_a_quote_has_prices_titles_stores_and_commissions(shop: Shop) -> None:
    await shop.sell("apple", 1500)
    await shop.sell("pear", 700, "s2")
    quote = await facade.quote(shop.db, question("apple", "pear"), START)
    assert [(line.sku, line.title, line.store, line.amount) for line in quote.lines] == [
        ("apple", "Apple", "s1", 3000),
        ("pear", "Pear", "s2", 1400),
    ]
    assert quote.lines[0].commission_rate == Decimal("0.05")
    assert (quote.total, quote.taxes, quote.quoted_at) == (4400, 400, START)


async def test_a_quote_of_known_skus_takes_one_statement(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    await shop.sell("apple")
    await shop.sell("pear", 700, "s2")
    await shop.bus().send(CreateCoupon(coupon="ten", kind="percent", value=Decimal(10), currency="KRW"))
    wanted = question("apple", "pear", coupons=("ten",))
    first = await facade.quote(shop.db, wanted, START)
    statements: list[str] = []
    for pool in (shop.core.database.kernel, shop.db._pool):
        run = pool._run

        async def counted(method: str, sql: str, arguments: Any, run: Any = run) -> Any:
            statements.append(sql)
            return await run(method, sql, arguments)

        monkeypatch.setattr(pool, "_run", counted)
    assert await facade.quote(shop.db, wanted, START) == first
    assert len([sql for sql in statements if "u.known" in sql]) == 1
    assert not [sql for sql in statements if "kernel.claim" in sql or "kernel.event where tenant" in sql]


@pytest.mark.requirement("S2-015")
async def test_a_new_price_a_pause_and_a_closed_store_count_at_once(shop: Shop) -> None:
    product = await shop.sell("apple")
    await facade.quote(shop.db, question("apple"), START)
    await shop.bus().send(SetPrice(sku="apple", channel="web", currency="KRW", price=Decimal(900)))
    assert (await facade.quote(shop.db, question("apple"), START)).total == 1800
    await catalog.set_state(shop.bus(), product, "paused")
    with pytest.raises(NotForSale):
        await facade.quote(shop.db, question("apple"), START)
    await catalog.set_state(shop.bus(), product, "on_sale")
    await shop.bus().send(CloseStore(store="s1"))
    with pytest.raises(NotForSale) as refused:
        await facade.quote(shop.db, question("apple"), START)
    assert refused.value.facts == {"skus": ["apple"]}


async def test_what_does_not_exist_is_refused(shop: Shop) -> None:
    await shop.sell("apple")
    with pytest.raises(NotForSale):
        await facade.quote(shop.db, question("nothing"), START)
    with pytest.raises(CouponNotFound):
        await facade.quote(shop.db, question("apple", coupons=("none",)), START)
    with pytest.raises(ChannelNotFound):
        await facade.quote(shop.db, QuoteFor(channel="x", wanted=(Wanted(sku="apple", quantity=1),)), START)
    bus = shop.bus()
    await bus.send(CreateCoupon(coupon="late", kind="amount", value=Decimal(1), currency="KRW",
                                period=Period(starts_at=START + timedelta(days=1))))  # fmt: skip
    with pytest.raises(CouponNotApplicable, match="not valid now"):
        await facade.quote(shop.db, question("apple", coupons=("late",)), START)


async def test_a_sku_without_a_price_in_the_channel_is_refused(shop: Shop) -> None:
    await shop.sell("apple")
    admin = shop.token()
    await shop.ask("POST", "/api/v1/channels", {"channel": "app", "name": "App", "currency": "KRW"}, token=admin)
    wanted = QuoteFor(channel="app", wanted=(Wanted(sku="apple", quantity=1),))
    with pytest.raises(PriceNotFound):
        await facade.quote(shop.db, wanted, START)


@pytest.mark.requirement("S4-024")
async def test_one_sku_has_a_price_in_each_channel(shop: Shop) -> None:
    await shop.sell("apple", 1000)
    admin = shop.token()
    for code, price in (("mini", 900), ("taobao", 950)):
        body = {"channel": code, "name": code, "currency": "KRW"}
        assert (await shop.ask("POST", "/api/v1/channels", body, token=admin)).status == 201
        body = {"currency": "KRW", "price": price}
        assert (await shop.ask("PUT", f"/api/v1/prices/apple/{code}", body, token=admin)).status == 200
    shown = await shop.ask("GET", "/api/v1/prices/apple")
    assert {tag["channel"]: tag["price"] for tag in shown.json["prices"]} == {"web": 1000, "mini": 900, "taobao": 950}


async def test_a_limited_coupon_has_its_tickets_from_the_start(shop: Shop) -> None:
    limited = CreateCoupon(coupon="few", kind="amount", value=Decimal(100), currency="KRW", total_limit=7)
    await facade.create_coupon(shop.bus(), limited)
    assert await shop.db.balance(coupon_tickets("few")) == 7
    await facade.create_coupon(shop.bus(), limited)  # A repeat.
    assert await shop.db.balance(coupon_tickets("few")) == 7
    with pytest.raises(CouponExists):
        await facade.create_coupon(
            shop.bus(), CreateCoupon(coupon="few", kind="amount", value=Decimal(2), currency="KRW")
        )


async def test_sellers_price_their_own_skus_only(shop: Shop) -> None:
    await shop.sell("apple")
    price = {"currency": "KRW", "price": 5}
    theirs = await shop.ask("PUT", "/api/v1/prices/apple/web", price, token=shop.token("seller", "s2"))
    missing = await shop.ask("PUT", "/api/v1/prices/none/web", price, token=shop.token("seller", "s2"))
    assert (theirs.status, missing.status) == (404, 404)
    assert theirs.json["code"] == missing.json["code"] == 5004
    assert (await shop.ask("PUT", "/api/v1/prices/apple/web", price, token=shop.token("seller", "s1"))).status == 200
    wrong = {"currency": "CNY", "price": 5}
    assert (await shop.ask("PUT", "/api/v1/prices/apple/web", wrong, token=shop.token())).json["code"] == 5011
    assert (await shop.ask("PUT", "/api/v1/prices/apple/web", price)).status == 401
    assert (await shop.ask("PUT", "/api/v1/prices/apple/web", price, token=shop.token("member"))).status == 403


async def test_sellers_make_coupons_for_their_own_stores_only(shop: Shop) -> None:
    coupon = {"coupon": "c1", "kind": "percent", "value": 10, "currency": "KRW"}
    seller = shop.token("seller", "s1")
    assert (await shop.ask("POST", "/api/v1/coupons", coupon, token=seller)).status == 404
    assert (await shop.ask("POST", "/api/v1/coupons", {**coupon, "store": "s2"}, token=seller)).status == 404
    assert (await shop.ask("POST", "/api/v1/coupons", {**coupon, "store": "s1"}, token=seller)).status == 201
    other = shop.token("seller", "s2")
    assert (await shop.ask("GET", "/api/v1/coupons/c1", token=other)).status == 404
    assert (await shop.ask("POST", "/api/v1/coupons/c1/close", token=other)).status == 404
    assert (await shop.ask("POST", "/api/v1/coupons/c1/close", token=seller)).json["is_open"] is False
    assert [c["coupon"] for c in (await shop.ask("GET", "/api/v1/coupons", token=shop.token())).json["items"]] == ["c1"]
    assert (
        await shop.ask("POST", "/api/v1/coupons", {**coupon, "coupon": "c2", "value": 101}, token=shop.token())
    ).json["code"] == 6006


async def test_an_estimate_says_of_each_coupon_why(shop: Shop) -> None:
    await shop.sell("apple", 1000)
    for code, min_amount in (("ten", 0), ("big", 5000)):
        await shop.bus().send(CreateCoupon(coupon=code, kind="percent", value=Decimal(10), currency="KRW",
                                           min_amount=Decimal(min_amount), stackable=True))  # fmt: skip
    body = {"channel": "web", "items": [{"sku": "apple", "quantity": 2}], "coupons": ["ten", "big", "none"]}
    answer = (await shop.ask("POST", "/api/v1/pricing/estimates", body)).json
    assert answer["quote"]["total"] == 1800
    assert {verdict["coupon"]: verdict["reason"] for verdict in answer["coupons"]} == {
        "ten": "it takes goods off",
        "big": "it starts at 5000 KRW",
        "none": "there is no such coupon",
    }
    assert (await shop.ask("POST", "/api/v1/pricing/estimates", {**body, "items": []})).status == 400


async def test_quotes_asked_together_are_right(shop: Shop) -> None:
    await shop.sell("apple", 1000)
    await shop.sell("pear", 500)
    quotes = await asyncio.gather(
        *(facade.quote(shop.db, question("apple" if n % 2 else "pear"), START) for n in range(20))
    )
    assert [quote.total for quote in quotes] == [1000, 2000] * 10

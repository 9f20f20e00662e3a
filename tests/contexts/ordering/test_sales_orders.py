"""Orders that staff take for a buyer, at prices that were agreed."""

from typing import Any
from uuid import UUID

import pytest

from contexts.ordering.market import HOME, Market, item
from contexts.selling import START
from pasar.contexts.identity.contract import OpenGuest, StartSession

BUYER = UUID(int=301)


@pytest.fixture
async def buyer(market: Market) -> UUID:
    session = StartSession(
        account=BUYER, session=UUID(int=302), family_digest="f", refresh_digest="r", expires_at=START.replace(year=2030)
    )
    await market.shop.bus().send(OpenGuest(account=BUYER, session=session))
    return BUYER


async def take(market: Market, *items: dict[str, Any], kind: str = "admin", stores: tuple[str, ...] = (), **more: Any):
    body = {"buyer": str(BUYER), "items": items, "address": HOME, **more}
    token = market.shop.token(kind, *stores)
    return await market.say("POST", "/api/v1/staff/orders", body, token=token)


async def test_a_sku_may_stand_in_several_lines_each_at_its_own_price(market: Market, buyer: UUID) -> None:
    await market.stock("apple", 20, price=1_000)
    lines = [item("apple", 3, agreed_price=900), item("apple", 3, agreed_price=900), item("apple", 1)]
    answer = await take(market, *lines, metadata={"invoice": "489434"})
    assert answer.status == 200, answer.body
    seen = await market.say("GET", f"/api/v1/orders/{answer.json['order_no']}", token=market.token(buyer))
    assert [line["amount"] for line in seen.json["lines"]] == [2700, 2700, 1000]
    assert (seen.json["buyer"], seen.json["source"], seen.json["goods"]) == (str(buyer), "sales", 6400)
    assert await market.left("apple") == 13


async def test_an_agreed_price_of_three_decimals_is_rounded_once_a_line(market: Market, buyer: UUID) -> None:
    await market.stock("apple", 20, price=1_000)
    answer = await take(market, item("apple", 7, agreed_price=100.555))
    assert answer.json["total"] == 3000 + 704  # Freight, and 703.885 won.


async def test_shoppers_and_foreign_managers_take_no_orders(market: Market, buyer: UUID) -> None:
    await market.stock("apple", 20, price=1_000)
    shopper = await take(market, item("apple", agreed_price=1), kind="member")
    assert (shopper.status, shopper.json["code"]) == (403, 4003)
    foreign = await take(market, item("apple", agreed_price=1), kind="manager", stores=("s2",))
    assert (foreign.status, foreign.json["code"]) == (409, 1012)
    assert (await take(market, item("apple", agreed_price=900), kind="manager", stores=("s1",))).status == 200
    assert await market.left("apple") == 19


async def test_nobody_buys_who_is_not_there(market: Market) -> None:
    await market.stock("apple", 20, price=1_000)
    answer = await take(market, item("apple"))
    assert (answer.status, answer.json["code"]) == (404, 4007)


async def test_a_shoppers_order_names_no_price(market: Market) -> None:
    await market.stock("apple", 20, price=1_000)
    answer = await market.order(item("apple", agreed_price=1))
    assert (answer.status, answer.json["code"]) == (400, 3003)


async def test_a_wholesale_order_of_many_lines_is_one_order(market: Market, buyer: UUID) -> None:
    await market.stock("apple", 2_000, price=1_000)
    answer = await take(market, *[item("apple", agreed_price=10)] * 1_400)
    assert answer.status == 200, answer.body
    assert answer.json["total"] == 3_000 + 14_000
    assert (await take(market, *[item("apple")] * 2_001)).json["code"] == 3003

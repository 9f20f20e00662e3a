"""Carts over HTTP, on PostgreSQL."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from contexts.ordering.market import ANN, BOB, HOME, Market, counted, item
from contexts.selling import START
from pasar.contexts.catalog.contract import SetProductState
from pasar.contexts.checkout import facade
from pasar.contexts.checkout.contract import MAX_LINES, PutInCart
from pasar.contexts.inventory import facade as inventory
from pasar.contexts.pricing.contract import SetPrice

ITEMS = "/api/v1/cart/items"


async def put(market: Market, sku: str, units: int = 1, **more: Any) -> Any:
    return await market.say("POST", ITEMS, {"sku": sku, "quantity": units}, **more)


async def cart(market: Market, **more: Any) -> dict[str, int]:
    answer = await market.say("GET", "/api/v1/cart", **more)
    return {line["key"]: line["quantity"] for line in answer.json["lines"]}


@pytest.mark.requirement("S0-059", "S0-060", "S2-021")
async def test_what_is_put_in_is_there_for_its_owner_only(market: Market) -> None:
    await market.stock("apple", 9, price=1_000)
    await market.stock("pear", 9, price=500)
    await put(market, "apple", 2)
    assert (await put(market, "apple")).json["lines"] == [
        {"sku": "apple", "quantity": 3, "batch": None, "price_seen": None}
    ]
    await put(market, "pear")
    shown = (await market.say("GET", "/api/v1/cart")).json
    assert [(line["key"], line["quantity"], line["amount"]) for line in shown["lines"]] == [
        ("apple", 3, 3_000), ("pear", 1, 500),
    ]  # fmt: skip
    assert (shown["totals"]["goods"], shown["totals"]["freight"], shown["totals"]["total"]) == (3_500, 3_000, 6_500)
    assert shown["can_be_ordered"]
    assert await cart(market, who=BOB) == {}


async def test_lines_are_changed_and_taken_out(market: Market) -> None:
    await market.stock("apple", 9)
    await market.stock("pear", 9)
    await put(market, "apple", 2)
    assert (await market.say("PUT", f"{ITEMS}/apple", {"quantity": 5})).status == 200
    assert await cart(market) == {"apple": 5}
    for method, body in (("PUT", {"quantity": 1}), ("DELETE", b"")):
        answer = await market.say(method, f"{ITEMS}/pear", body)
        assert (answer.status, answer.json["code"]) == (404, 1016)
    await put(market, "pear")
    assert (await market.say("DELETE", f"{ITEMS}/apple")).status == 200
    assert await cart(market) == {"pear": 1}
    assert (await market.say("DELETE", "/api/v1/cart")).json["lines"] == []
    assert (await market.say("DELETE", "/api/v1/cart")).status == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"sku": "nothing"}, 1012), ({"sku": "apple", "quantity": 0}, 3003), ({"sku": "apple", "quantity": 1e9}, 3003),
        ({"sku": "no sku"}, 3003), ({}, 3003), ({"sku": "apple", "gift": True}, 3003),
    ],
)  # fmt: skip
async def test_what_cannot_be_put_in_is_refused(market: Market, body: dict[str, Any], code: int) -> None:
    await market.stock("apple", 9)
    answer = await market.say("POST", ITEMS, body)
    assert answer.json["code"] == code, answer.body
    assert await cart(market) == {}


async def test_a_cart_shows_what_changed_since(market: Market) -> None:
    product = await market.shop.sell("plum", 700)
    await market.stock("apple", 1, price=1_000)
    await market.stock("pear", 9, price=500)
    await market.say("POST", ITEMS, {"sku": "apple", "quantity": 2, "price_seen": 1_000})
    await market.say("POST", ITEMS, {"sku": "pear", "quantity": 1, "price_seen": 500})
    await put(market, "plum")
    bus = market.shop.bus()
    await bus.send(SetPrice(sku="pear", channel="web", currency="KRW", price=Decimal(450)))
    await bus.send(SetProductState(product=product, state="paused"))
    shown = (await market.say("GET", "/api/v1/cart")).json
    apple, pear, plum = shown["lines"]
    assert (apple["available"], apple["is_available"], apple["price_change"]) == (1, False, 0)
    assert (pear["unit_price"], pear["price_seen"], pear["price_change"]) == (450, 500, -50)
    assert (plum["is_for_sale"], plum["unit_price"], plum["amount"]) == (False, None, None)
    assert (shown["totals"]["goods"], shown["can_be_ordered"]) == (2_450, False)


@pytest.mark.requirement("S0-143", "S0-065")
async def test_a_cart_is_submitted_once_and_empties_in_the_same_change(market: Market) -> None:
    await market.stock("apple", 9, price=1_000)
    await market.stock("pear", 9, price=500)
    await put(market, "apple", 2)
    await put(market, "pear")
    some = await market.say("POST", "/api/v1/cart/submit", {"address": HOME, "skus": ["apple"]}, key="k")
    assert (some.status, some.json["status"], some.json["total"]) == (200, "CREATED", 5_000), some.body
    assert await cart(market) == {"pear": 1}
    again = await market.say("POST", "/api/v1/cart/submit", {"address": HOME, "skus": ["apple"]}, key="k")
    assert (again.status, again.body) == (some.status, some.body)
    assert await market.left("apple") == 7
    empty = await market.say("POST", "/api/v1/cart/submit", {"address": HOME}, who=BOB)
    assert (empty.status, empty.json["code"]) == (422, 1010)


async def test_a_cart_that_cannot_be_ordered_stays_as_it_is(market: Market) -> None:
    await market.stock("apple", 1)
    await put(market, "apple", 2)
    answer = await market.say("POST", "/api/v1/cart/submit", {"address": HOME})
    assert (answer.json["code"], await cart(market), await market.left("apple")) == (1001, {"apple": 2}, 1)
    await market.say("PUT", f"{ITEMS}/apple", {"quantity": 1, "price_seen": 1})
    changed = await market.say("POST", "/api/v1/cart/submit", {"address": HOME})
    assert (changed.json["code"], await cart(market)) == (1002, {"apple": 1})


async def test_a_cart_is_ordered_once_however_many_submit_it_at_the_same_time(market: Market) -> None:
    await market.stock("apple", 99)
    await put(market, "apple", 2)
    submits = [market.say("POST", "/api/v1/cart/submit", {"address": HOME}) for _ in range(16)]
    answers = await asyncio.gather(*submits)
    assert [answer.status for answer in answers].count(200) == 1
    assert {answer.json.get("code") for answer in answers} <= {None, 1010, 1016}
    assert (await market.left("apple"), await cart(market)) == (97, {})


async def test_an_order_may_take_its_lines_out_of_the_cart(market: Market) -> None:
    await market.stock("apple", 9)
    await put(market, "apple", 3)
    await market.order(item("apple", 1))
    assert await cart(market) == {"apple": 3}
    await market.order(item("apple", 2), cart=True)
    assert await cart(market) == {"apple": 1}


@pytest.mark.requirement("S0-061")
async def test_a_guests_cart_becomes_the_members_once_and_nothing_is_lost(market: Market) -> None:
    await market.stock("apple", 9)
    await market.stock("pear", 9)
    await put(market, "apple", 2, who=ANN)
    await put(market, "pear", 1, who=ANN)
    await put(market, "apple", 1, who=BOB)
    buses = [market.shop.bus() for _ in range(8)]
    await asyncio.gather(*(facade.merge_at_login(bus, ANN, BOB) for bus in buses))
    assert (await cart(market, who=BOB), await cart(market, who=ANN)) == ({"apple": 3, "pear": 1}, {})


async def test_what_does_not_fit_stays_with_the_guest(market: Market) -> None:
    bus = market.shop.bus()
    for n in range(MAX_LINES - 1):
        await bus.send(PutInCart(owner=BOB, channel="web", sku=f"sku-{n}", quantity=1))
    for sku in ("sku-1", "apple", "pear"):
        await bus.send(PutInCart(owner=ANN, channel="web", sku=sku, quantity=1))
    await facade.merge_at_login(bus, ANN, BOB)
    theirs, ours = await facade.cart(bus.db, ANN), await facade.cart(bus.db, BOB)
    assert [line.sku for line in theirs.lines] == ["pear"]
    assert len(ours.lines) == MAX_LINES
    assert ours.lines[1].quantity == 2


async def test_adding_to_a_cart_costs_two_statements(market: Market) -> None:
    """One says that the SKU is for sale, one commits."""
    await market.stock("apple", 9)
    await put(market, "apple")
    with counted() as statements:
        assert (await put(market, "apple")).status == 200
    assert len(statements) <= 2, statements


async def test_a_cart_that_keeps_units_keeps_them_from_others_until_it_is_ordered(holding_market: Market) -> None:
    market = holding_market
    await market.stock("apple", 3)
    assert (await put(market, "apple", 2)).status == 200
    assert await market.left("apple") == 1
    short = await put(market, "apple", 2, who=BOB)
    assert (short.json["code"], await cart(market, who=BOB)) == (1001, {})
    await put(market, "apple", 1)
    assert await market.left("apple") == 0
    answer = await market.say("POST", "/api/v1/cart/submit", {"address": HOME})
    assert answer.json["status"] == "CREATED", answer.body
    assert (await market.left("apple"), await cart(market)) == (0, {})
    states = [held.state for held in await inventory.holds_of(market.shop.db, ANN)]
    assert states == ["consumed", "released"]
    await market.say("POST", f"/api/v1/orders/{answer.json['order_no']}/cancel")
    assert await market.left("apple") == 3


async def test_what_a_cart_keeps_goes_back_when_it_is_taken_out_or_time_is_up(holding_market: Market) -> None:
    market = holding_market
    await market.stock("apple", 3)
    await market.stock("pear", 3)
    await put(market, "apple", 2)
    await put(market, "pear", 2)
    await market.say("PUT", f"{ITEMS}/apple", {"quantity": 1})
    assert await market.left("apple") == 2
    await market.say("DELETE", f"{ITEMS}/apple")
    assert await market.left("apple") == 3
    market.shop.clock.set(START + timedelta(minutes=15))
    for _ in range(1200):
        if await market.left("pear") == 3:
            break
        await asyncio.sleep(0.05)
    assert await market.left("pear") == 3
    answer = await market.say("POST", "/api/v1/cart/submit", {"address": HOME})
    assert (answer.json["status"], await market.left("pear")) == ("CREATED", 1)

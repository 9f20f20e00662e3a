"""Orders over HTTP, on PostgreSQL."""

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from contexts.ordering.market import ANN, BOB, HOME, Market, counted, item
from contexts.selling import START
from pasar.accounts import batch_pool, sold
from pasar.contexts.ordering.contract import CloseAfterSale, OpenAfterSale
from pasar.contexts.ordering.views import orders
from pasar.contexts.pricing.contract import CreateCoupon, SetPrice
from pasar.kernel.bus import Position
from pasar.kernel.view_tables import differs


async def reach(market: Market, answer: Any) -> None:
    """Until the views show a write."""
    bus = market.shop.bus()
    bus.position = Position(*map(int, answer.headers["x-pasar-position"].split(".")))
    await market.shop.views_reach(bus)


@pytest.mark.requirement("S1-007", "S1-080", "S1-213")
async def test_an_order_is_answered_as_s1_shows(market: Market) -> None:
    await market.stock("apple", 10, price=10_000)
    answer = await market.order(item("apple", 2, price_snapshot=10_000))
    assert answer.status == 200, answer.body
    assert answer.json == {
        "order_no": "202509060001",
        "status": "CREATED",
        "preview": {"freight": 3000, "discounts": 0, "taxes": 1818},
        "allocated_batches": [],
        "total": 23000,
        "currency": "KRW",
        "pay_until": "2025-09-06T12:30:00Z",
    }
    assert await market.left("apple") == 8
    assert (await market.order(item("apple"))).json["order_no"] == "202509060002"


@pytest.mark.requirement("S1-081")
async def test_a_key_is_needed_and_its_repeat_gets_the_same_answer(market: Market) -> None:
    await market.stock("apple", 10)
    body = {"uid": str(ANN), "items": [item("apple")], "address": HOME}
    keyless = await market.shop.ask("POST", "/api/v1/orders/create", body, token=market.token())
    assert (keyless.status, keyless.json["code"]) == (400, 3001)
    inside = {**body, "idempotency_key": "k1"}
    first = await market.shop.ask("POST", "/api/v1/orders/create", inside, token=market.token())
    again = await market.order(item("apple"), key="k1")
    assert (first.status, first.body) == (again.status, again.body)
    other = await market.order(item("apple", 2), key="k1")
    assert (other.status, other.json["code"]) == (422, 3001)
    unequal = await market.say("POST", "/api/v1/orders/create", inside, key="k2")
    assert unequal.json["code"] == 3001
    assert await market.left("apple") == 9


@pytest.mark.requirement("S1-082")
async def test_nobody_orders_for_somebody_else(market: Market) -> None:
    await market.stock("apple", 10)
    body = {"uid": str(BOB), "items": [item("apple")], "address": HOME}
    assert (await market.say("POST", "/api/v1/orders/create", body, who=ANN)).json["code"] == 4007
    for uid in ("", "no-uuid", None):
        answer = await market.say("POST", "/api/v1/orders/create", {**body, "uid": uid})
        assert (answer.status, answer.json["code"]) == (400, 3003)
    assert await market.left("apple") == 10


@pytest.mark.requirement("S1-089")
async def test_too_little_stock_is_1001_with_the_item_and_how_many_there_are(market: Market) -> None:
    await market.stock("apple", 3)
    await market.stock("pear", 3)
    answer = await market.order(item("pear"), item("apple", 4))
    assert (answer.status, answer.json["code"], answer.json["name"]) == (409, 1001, "INSUFFICIENT_STOCK")
    assert answer.json["short"] == [{"sku": "apple", "wanted": 4, "available": 3}]
    assert (await market.left("apple"), await market.left("pear")) == (3, 3)
    assert (await market.say("GET", "/api/v1/orders")).json["items"] == []


@pytest.mark.requirement("S1-090")
async def test_an_old_price_is_1002_with_the_difference(market: Market) -> None:
    await market.stock("apple", 3, price=1_000)
    await market.shop.bus().send(SetPrice(sku="apple", channel="web", currency="KRW", price=Decimal(1_200)))
    answer = await market.order(item("apple", 1, price_snapshot=1_000))
    assert (answer.status, answer.json["code"]) == (409, 1002)
    assert answer.json["differences"] == [{"sku": "apple", "seen": 1000, "price": 1200}]
    assert (await market.order(item("apple", 1, price_snapshot=1200.0))).status == 200


@pytest.mark.requirement("S0-109")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"items": []}, 3003),
        ({"items": [{"sku_id": "apple", "qty": 0}]}, 3003),
        ({"items": [{"sku_id": "apple", "qty": 1, "colour": "red"}]}, 3003),
        ({"items": [{"sku_id": "nothing", "qty": 1}]}, 1012),
        ({"coupon_ids": ["NONE"]}, 6001),
        ({"channel": "nowhere"}, 9103),
        ({"address": None}, 1017),
        ({"address": {**HOME, "planet": "Mars"}}, 3003),
        ({"metadata": {"note": "x" * 9_000}}, 3003),
        ({"surprise": 1}, 3003),
    ],
)
async def test_what_is_wrong_with_an_order_is_said_and_nothing_is_taken(
    market: Market, change: dict[str, Any], code: int
) -> None:
    await market.stock("apple", 3)
    body = {"uid": str(ANN), "items": [item("apple")], "address": HOME} | change
    answer = await market.say("POST", "/api/v1/orders/create", body)
    assert (answer.json["code"], answer.status < 500) == (code, True), answer.body
    assert await market.left("apple") == 3


@pytest.mark.requirement("S1-079", "S1-085")
async def test_a_quote_says_what_the_order_then_costs(market: Market) -> None:
    await market.stock("apple", 9, price=10_000)
    await market.shop.bus().send(
        CreateCoupon(coupon="SPRING", kind="percent", value=Decimal(10), currency="KRW", total_limit=1)
    )
    ask = {"items": [item("apple", 2)], "coupon_ids": ["SPRING"]}
    quoted = (await market.say("POST", "/api/v1/quotes", ask)).json
    placed = (await market.order(item("apple", 2), coupon_ids=["SPRING"])).json
    assert (quoted["preview"], quoted["total"]) == (placed["preview"], placed["total"])
    assert placed["preview"]["discounts"] == 2_000
    assert (await market.order(item("apple"), coupon_ids=["SPRING"])).json["code"] == 6002
    await market.say("POST", f"/api/v1/orders/{placed['order_no']}/cancel")
    assert (await market.order(item("apple"), coupon_ids=["SPRING"])).status == 200


@pytest.mark.requirement("S1-087")
async def test_a_buyer_sees_own_orders_at_once_and_no_others(market: Market) -> None:
    await market.stock("apple", 9)
    numbers = []
    for _ in range(3):
        market.shop.clock.advance(timedelta(seconds=1))
        numbers.append((await market.order(item("apple"), metadata={"note": "ring"})).json["order_no"])
    await market.order(item("apple"), who=BOB)
    first = (await market.say("GET", "/api/v1/orders?limit=2")).json
    rest = (await market.say("GET", f"/api/v1/orders?limit=2&cursor={first['next']}")).json
    assert [one["order_no"] for one in first["items"] + rest["items"]] == numbers[::-1]
    assert rest["next"] is None
    seen = (await market.say("GET", f"/api/v1/orders/{numbers[0]}?vocabulary=S2")).json
    assert (seen["status"], seen["shown_status"]) == ("PENDING_PAYMENT", "결제 진행")
    assert seen["address"]["recipient"] == "Ann Kim"
    assert seen["metadata"] == {"note": "ring"}
    for target in ("", "/timeline"):
        foreign = await market.say("GET", f"/api/v1/orders/{numbers[0]}{target}", who=BOB)
        missing = await market.say("GET", f"/api/v1/orders/202509069999{target}", who=BOB)
        assert (foreign.status, foreign.json["code"]) == (missing.status, missing.json["code"]) == (404, 1003)
    for wish in ("cancel", "confirm"):
        answer = await market.say("POST", f"/api/v1/orders/{numbers[0]}/{wish}", who=BOB)
        assert (answer.status, answer.json["code"]) == (404, 1003)


@pytest.mark.requirement("S0-110")
async def test_a_timeline_says_who_did_what_without_personal_values(market: Market) -> None:
    await market.stock("apple", 9, price=1_000)
    no = (await market.order(item("apple"))).json["order_no"]
    await market.say("POST", f"/api/v1/orders/{no}/cancel")
    answer = await market.say("GET", f"/api/v1/orders/{no}/timeline?vocabulary=S3")
    assert [(one["what"], one["by"], one["shown_status"], one["reason"]) for one in answer.json["moments"]] == [
        ("placed", "buyer", "pending", None), ("cancelled", "buyer", "cancelled", "buyer"),
    ]  # fmt: skip
    assert b"Ann" not in answer.body
    assert await market.left("apple") == 9


@pytest.mark.requirement("S1-093", "S2-030")
async def test_an_unpaid_order_cancels_itself_after_thirty_minutes(market: Market) -> None:
    await market.stock("apple", 9)
    no = (await market.order(item("apple", 4))).json["order_no"]
    market.shop.clock.set(START + timedelta(minutes=29, seconds=59))
    await asyncio.sleep(0.3)
    assert await market.left("apple") == 5
    market.shop.clock.set(START + timedelta(minutes=30))
    for _ in range(1200):
        if await market.left("apple") == 9:
            break
        await asyncio.sleep(0.05)
    seen = (await market.say("GET", f"/api/v1/orders/{no}")).json
    assert (seen["status"], seen["cancel_reason"]) == ("CANCELED", "unpaid")
    last = (await market.say("GET", f"/api/v1/orders/{no}/timeline")).json["moments"][-1]
    assert (last["by"], last["reason"]) == ("system", "unpaid")


@pytest.mark.requirement("S2-026")
async def test_a_paid_order_is_delivered_and_confirmed_by_its_buyer(market: Market) -> None:
    await market.stock("apple", 9, price=1_000)
    placed = (await market.order(item("apple", 2))).json
    no = placed["order_no"]
    await market.pay(no, Decimal(placed["total"]))
    assert (await market.say("POST", f"/api/v1/orders/{no}/confirm")).json["code"] == 1004
    await market.deliver(no)
    assert (await market.say("POST", f"/api/v1/orders/{no}/cancel")).json["code"] == 1004
    assert (await market.say("POST", f"/api/v1/orders/{no}/confirm")).json["status"] == "CONFIRMED"


async def test_sellers_find_orders_of_their_stores_and_see_only_their_lines(market: Market) -> None:
    await market.stock("apple", 9, price=1_000)
    await market.stock("pear", 9, price=2_000, store="s2")
    both = await market.order(item("apple", 2), item("pear"))
    market.shop.clock.advance(timedelta(seconds=1))
    pears = await market.order(item("pear"), who=BOB)
    await reach(market, pears)
    seller = market.shop.token("seller", "s1", id=uuid4())
    found = (await market.say("GET", "/api/v1/staff/orders", token=seller)).json["items"]
    assert [(one["order_no"], [line["sku"] for line in one["lines"]]) for one in found] == [
        (both.json["order_no"], ["apple"])
    ]
    seen = (await market.say("GET", f"/api/v1/orders/{both.json['order_no']}", token=seller)).json
    assert ([line["sku"] for line in seen["lines"]], seen["goods"]) == (["apple"], 2_000)
    hidden = await market.say("GET", f"/api/v1/orders/{pears.json['order_no']}", token=seller)
    assert (hidden.status, hidden.json["code"]) == (404, 1003)
    assert (await market.say("GET", "/api/v1/staff/orders?store=s2", token=seller)).json["items"] == []
    assert (await market.say("GET", "/api/v1/staff/orders")).status == 403


async def test_orders_of_one_store_come_page_by_page_each_once_whoever_asks(market: Market) -> None:
    """Also those of which several lines are of the store; with what they are filtered by besides."""
    for sku in ("apple", "plum"):
        await market.stock(sku, 9)
    await market.stock("pear", 9, store="s2")
    placed = []
    for _ in range(3):
        placed.insert(0, await market.order(item("apple"), item("plum"), item("pear")))
        market.shop.clock.advance(timedelta(seconds=1))
    await reach(market, await market.order(item("pear")))
    numbers = [one.json["order_no"] for one in placed]
    for who, query in (
        (market.shop.token("seller", "s1", id=uuid4()), "?limit=2"),
        (market.shop.token("seller", "s1", "s2", id=uuid4()), "?limit=2&store=s1"),
        (market.shop.token(), f"?limit=2&store=s1&state=PENDING_PAYMENT&buyer={ANN}&channel=web"),
    ):
        page = (await market.say("GET", f"/api/v1/staff/orders{query}", token=who)).json
        rest = (await market.say("GET", f"/api/v1/staff/orders{query}&cursor={page['next']}", token=who)).json
        found = [[one["order_no"] for one in part["items"]] for part in (page, rest)]
        assert found == [numbers[:2], numbers[2:]], query
        assert rest["next"] is None
    two_stores = market.shop.token("seller", "s1", "s2", id=uuid4())
    assert len((await market.say("GET", "/api/v1/staff/orders", token=two_stores)).json["items"]) == 4


async def test_staff_find_orders_by_what_they_know(market: Market) -> None:
    await market.stock("apple", 9, price=1_000)
    first = await market.order(item("apple"))
    market.shop.clock.advance(timedelta(minutes=1))
    second = await market.order(item("apple"), who=BOB)
    await reach(market, await market.say("POST", f"/api/v1/orders/{first.json['order_no']}/cancel"))
    admin, one, two = market.shop.token(), first.json["order_no"], second.json["order_no"]
    for query, numbers in {
        "": [two, one],
        "?state=CANCELED": [one],
        "?state=PENDING_PAYMENT": [two],
        f"?buyer={BOB}": [two],
        "?store=s2": [],
        "?channel=web&store=s1": [two, one],
        "?placed_from=2025-09-06T12:00:30Z": [two],
        "?placed_to=2025-09-06T12:00:30Z": [one],
        f"?order_no={one}": [one],
        "?order_no=20250906": [two, one],
        "?order_no=20250907": [],
        "?limit=1": [two],
    }.items():
        answer = await market.say("GET", f"/api/v1/staff/orders{query}", token=admin)
        assert [each["order_no"] for each in answer.json["items"]] == numbers, (query, answer.body)
    page = (await market.say("GET", "/api/v1/staff/orders?limit=1", token=admin)).json
    rest = (await market.say("GET", f"/api/v1/staff/orders?limit=1&cursor={page['next']}", token=admin)).json
    assert [each["order_no"] for each in rest["items"]] == [one]
    cancel = await market.say("POST", f"/api/v1/staff/orders/{two}/cancel", {"reason": "fraud"}, token=admin)
    assert cancel.json["status"] == "CANCELED"


@pytest.mark.requirement("S1-096", "S1-095")
async def test_staff_find_orders_by_their_after_sale_states(market: Market) -> None:
    await market.stock("apple", 9, price=1_000)
    placed = (await market.order(item("apple", 2))).json
    no, case, bus = placed["order_no"], uuid4(), market.shop.bus("system")
    await market.pay(no, Decimal(placed["total"]))
    await market.deliver(no)
    refund = CloseAfterSale(order_no=no, case=case, refunded=Decimal(1_000), returned=(("1", 1),))
    for command, status, s3 in (
        (OpenAfterSale(order_no=no, case=case), "AFTER_SALE_OPEN", "delivered"),
        (refund, "PARTIAL_REFUNDED", "delivered"),
        (OpenAfterSale(order_no=no, case=uuid4()), "AFTER_SALE_OPEN", "delivered"),
    ):
        await bus.send(command)
        await market.shop.views_reach(bus)
        target = f"/api/v1/staff/orders?state={status}&vocabulary=S3"
        found = (await market.say("GET", target, token=market.shop.token())).json["items"]
        assert [(one["order_no"], one["status"], one["shown_status"]) for one in found] == [(no, status, s3)]
    assert not await differs(market.shop.core.database, orders, market.shop.clock)


async def test_64_buyers_of_the_last_unit_and_one_gets_it(market: Market) -> None:
    await market.stock("apple", 1)
    await market.stock("pear", 100)
    await market.order(item("pear"), who=BOB)  # What is remembered between requests is.
    asked = [market.order(item("pear"), item("apple"), key=f"k{n}") for n in range(64)]
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status for answer in answers) == [200] + [409] * 63
    assert {answer.json.get("code") for answer in answers} == {None, 1001}
    assert (await market.left("apple"), await market.left("pear")) == (0, 98)
    rows = await market.shop.core.database.kernel.fetch(
        "select (select count(*) from kernel.stream where kind = 'ordering.order') as orders,"
        " (select count(*) from kernel.timer where kind = 'ordering.order') as timers,"
        " (select count(*) from kernel.transfer where debit = 'pool:apple' and phase = 1) as holds"
    )
    assert dict(rows[0]) == {"orders": 2, "timers": 2, "holds": 1}


@pytest.mark.requirement("S1-083")
async def test_a_chosen_batch_is_held_and_answered(market: Market) -> None:
    await market.stock("apple", 3, batch="b1", expires_on=date(2026, 1, 1))
    answer = await market.order(item("apple", 2, batch_id="b1"))
    assert answer.json["allocated_batches"] == [{"item_id": "1", "batch_id": "b1", "qty": 2}]
    assert await market.shop.db.balance(batch_pool("apple", "b1")) == 1
    assert (await market.order(item("apple", 2, batch_id="b1"))).json["code"] == 1001
    assert await market.shop.db.held(batch_pool("apple", "b1")) == 2
    assert await market.shop.db.balance(sold("apple")) == 0


async def test_a_traceable_shop_says_which_batches_would_come(tracing_market: Market) -> None:
    market = tracing_market
    await market.stock("apple", 3, batch="late", expires_on=date(2026, 5, 1))
    await market.stock("apple", 3, batch="soon", expires_on=date(2026, 1, 1))
    answer = await market.order(item("apple", 4))
    assert answer.json["allocated_batches"] == [
        {"item_id": "1", "batch_id": "soon", "qty": 3}, {"item_id": "1", "batch_id": "late", "qty": 1},
    ]  # fmt: skip


@pytest.mark.requirement("S1-084")
async def test_goods_go_to_an_address_of_the_buyers_book_and_to_no_others(market: Market) -> None:
    await market.stock("apple", 9)
    await market.live_at("home")
    for place in ("nowhere", "home"):
        foreign = await market.order(item("apple"), who=BOB, address=None, shipping_address_id=place)
        assert (foreign.status, foreign.json["code"]) == (404, 4009)
    both = await market.order(item("apple"), shipping_address_id="home")
    assert both.json["code"] == 1017
    answer = await market.order(item("apple"), address=None, shipping_address_id="home")
    seen = await market.say("GET", f"/api/v1/orders/{answer.json['order_no']}")
    assert seen.json["address"]["line1"] == "Road 1"
    stored = await market.shop.core.database.kernel.fetchval(
        "select count(*) from kernel.event where data::text like '%Ann Kim%' or data::text like '%Road 1%'"
    )
    assert stored == 0


async def test_a_known_buyer_of_known_goods_costs_two_statements(market: Market) -> None:
    """One loads what the quote rests on, one commits."""
    await market.stock("apple", 9)
    await market.stock("pear", 9)
    await market.live_at("home")
    home = {"address": None, "shipping_address_id": "home"}
    await market.order(item("apple"), item("pear"), **home)
    with counted() as statements:
        assert (await market.order(item("apple"), item("pear"), **home)).status == 200
    assert len(statements) == 2, statements

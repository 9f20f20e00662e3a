"""What an order may be refused for, to the letter of the document that names body, answer and codes (S1 §5.3, §8)."""

import asyncio
import re
import uuid
from decimal import Decimal

import pytest

from journeys.people import HOME, City, fresh, item, until


@pytest.mark.requirement("S1-007", "S1-080", "S1-083", "S1-088", "S1-213")
async def test_body_and_answer_are_those_of_the_document(city: City) -> None:
    member, sku = await city.member(), await city.sell(10)
    await member.post("/me/addresses", {"address": HOME, "address_id": "home"})
    body = {
        "idempotency_key": str(uuid.uuid4()),
        "uid": member.id,
        "items": [{"sku_id": sku, "qty": 2, "price_snapshot": 10_000}],
        "shipping_address_id": "home",
        "coupon_ids": [],
        "invoice_required": False,
        "metadata": {"gift": True},
    }
    placed = await member.post("/orders/create", body, key=body["idempotency_key"])
    assert re.fullmatch(rf"{city.town.clock.now():%Y%m%d}\d+", placed["order_no"])
    assert placed["status"] == "CREATED"
    assert set(placed["preview"]) == {"freight", "discounts", "taxes"}
    assert all(isinstance(value, int | Decimal) for value in placed["preview"].values())
    assert [(a["item_id"], a["qty"]) for a in placed["allocated_batches"]] in ([], [("1", 2)])
    assert placed["total"] == 20_000 + placed["preview"]["freight"]


@pytest.mark.requirement("S1-089")
async def test_more_than_there_is_is_1001_and_nothing_is_kept(city: City) -> None:
    guest, sku, other = await city.guest(), await city.sell(2), await city.sell(9)
    problem = (await guest.place(item(other, 1), item(sku, 3))).refused(409, 1001)
    assert problem["name"] == "INSUFFICIENT_STOCK"
    assert sku in str(problem)
    assert (await city.left(sku), await city.left(other)) == (2, 9)


@pytest.mark.requirement("S1-090")
async def test_another_price_than_seen_is_1002_with_the_difference(city: City) -> None:
    guest, sku = await city.guest(), await city.sell(2, 10_000)
    problem = (await guest.place(item(sku, price_snapshot=9_000))).refused(409, 1002)
    assert problem["name"] == "PRICE_CHANGED"
    assert problem["differences"] == [{"sku": sku, "seen": 9_000, "price": 10_000}]
    assert await city.left(sku) == 2


@pytest.mark.requirement("S1-214")
async def test_a_key_is_needed_and_names_one_body_only(city: City) -> None:
    guest, sku = await city.guest(), await city.sell(9)
    body = {"uid": guest.id, "items": [item(sku)], "address": HOME}
    signed_in = {"Authorization": f"Bearer {guest.token}"}
    (await city.ask("POST", "/api/v1/orders/create", body, signed_in)).refused(400, 3001)
    key = uuid.uuid4().hex
    first = await guest.ask("POST", "/orders/create", body, key=key)
    again = await guest.ask("POST", "/orders/create", body, key=key)
    assert (first.status, first.body) == (again.status, again.body)
    other = await guest.ask("POST", "/orders/create", {**body, "items": [item(sku, 2)]}, key=key)
    assert other.refused(422, 3001)["name"] == "INVALID_IDEMPOTENCY_KEY"
    assert await city.left(sku) == 8


async def test_twins_of_one_intent_make_one_order(city: City) -> None:
    guest, sku, key = await city.guest(), await city.sell(9), uuid.uuid4().hex
    body = {"uid": guest.id, "items": [item(sku)], "address": HOME}
    answers = await asyncio.gather(*(guest.ask("POST", "/orders/create", body, key=key) for _ in range(8)))
    made = {answer.json["order_no"] for answer in answers if answer.status == 200}
    assert len(made) == 1
    assert {answer.status for answer in answers} <= {200, 409}
    assert await city.left(sku) == 8


async def test_the_last_unit_is_the_last(city: City) -> None:
    one, two, sku = await city.guest(), await city.guest(), await city.sell(1)
    await one.placed(item(sku))
    (await two.place(item(sku))).refused(409, 1001)
    assert await city.left(sku) == 0


async def test_an_order_of_somebody_else_is_as_if_it_were_not_there(city: City) -> None:
    one, two, sku = await city.guest(), await city.guest(), await city.sell(1)
    order_no = (await one.placed(item(sku)))["order_no"]
    theirs = await two.ask("GET", f"/orders/{order_no}")
    none = await two.ask("GET", "/orders/209901010001")
    theirs.refused(404, 1003)
    assert {**theirs.json, **dict.fromkeys(("detail", "request_id"))} == {
        **none.json, **dict.fromkeys(("detail", "request_id"))
    }  # fmt: skip
    (await two.ask("POST", f"/orders/{order_no}/cancel")).refused(404, 1003)
    (await two.ask("POST", f"/orders/{order_no}/payments", {"gateway": "toss"})).refused(404, 1003)


async def test_somebody_else_cannot_be_made_to_buy(city: City) -> None:
    one, two, sku = await city.guest(), await city.guest(), await city.sell(1)
    assert (await one.place(item(sku), uid=two.id)).status in (403, 404)
    assert await city.left(sku) == 1


@pytest.mark.requirement("S0-078")
async def test_a_member_buys_from_the_cart_with_coupon_and_points(city: City) -> None:
    guest, sku = await city.guest(), await city.sell(9, 20_000)
    await guest.post("/cart/items", {"sku": sku, "quantity": 2, "price_seen": 20_000})
    member = await city.member(guest)

    async def came_along() -> bool:
        return [line["quantity"] for line in (await member.get("/cart"))["lines"]] == [2]

    await until(came_along, "the guest's cart")
    admin = await city.staff()
    coupon = fresh("TEN").upper()
    wish = {"coupon": coupon, "kind": "percent", "value": 10, "currency": "KRW", "total_limit": 1, "per_person": 1}
    await admin.post("/coupons", wish)
    await admin.post("/points/grants", {"account": member.id, "points": 500, "reason": "welcome"})
    points = await member.get("/me/points")
    assert points["available"] == 500
    placed = await member.post("/cart/submit", {"address": HOME, "coupon_ids": [coupon], "points": 500})
    discounts = placed["preview"]["discounts"]
    assert placed["total"] == 40_000 + placed["preview"]["freight"] - discounts
    assert discounts > 4_000  # Points come on top of the coupon.
    assert (await member.get("/cart"))["lines"] == []
    other = await city.member()
    (await other.place(item(sku), coupon_ids=[coupon])).refused(409, 6002)
    await member.post(f"/orders/{placed['order_no']}/cancel")
    assert (await member.get("/me/points"))["available"] == 500
    assert (await other.placed(item(sku), coupon_ids=[coupon]))["preview"]["discounts"] == 2_000

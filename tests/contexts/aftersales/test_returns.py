"""Who may ask for what back, until when, and who decides: over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from contexts.finance.mall import Mall, open_mall
from contexts.ordering.market import BOB, item
from pasar.accounts import returnable
from postgres import TestDatabase

LINE = {"line_id": "1", "quantity": 1}


@pytest_asyncio.fixture
async def mall(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Mall]:
    async with open_mall(database, tmp_path) as opened:
        yield opened


@pytest.mark.requirement("S0-117")
async def test_without_a_fault_goods_go_back_within_seven_days_with_one_within_thirty(mall: Mall) -> None:
    no = await mall.delivered(item("apple", 3))
    assert (await mall.ask_back(no, 1, reason_code="no_longer_wanted")).status == 201
    mall.shop.clock.advance(timedelta(days=7, seconds=1))
    late = (await mall.ask_back(no, 1, reason_code="no_longer_wanted")).json
    assert (late["code"], late["days"]) == (8009, 7)
    assert (await mall.ask_back(no, 1, reason_code="defective")).status == 201
    mall.shop.clock.advance(timedelta(days=23))
    assert (await mall.ask_back(no, 1, reason_code="defective")).json["code"] == 8009


async def test_freight_goes_back_with_the_last_unit_and_only_where_the_seller_is_at_fault(mall: Mall) -> None:
    one, two = await mall.delivered(item("apple")), await mall.delivered(item("apple"))
    asked = (await mall.ask_back(one, 1, reason_code="no_longer_wanted")).json
    assert (asked["refund"], asked["freight_refund"]) == (10_000, 0)
    asked = (await mall.ask_back(two, 1, reason_code="wrong_item")).json
    assert (asked["refund"], asked["freight_refund"]) == (13_000, 3_000)


async def test_wishes_at_the_same_moment_are_priced_one_after_the_other(mall: Mall) -> None:
    no = await mall.delivered(item("apple", 3))
    asked = await asyncio.gather(*(mall.ask_back(no, 1) for _ in range(6)))
    fine = [one.json for one in asked if one.status == 201]
    assert sorted(one.json["code"] for one in asked if one.status != 201) == [8006] * 3
    assert sorted(one["refund"] for one in fine) == [10_000, 10_000, 13_000]
    assert await mall.shop.db.balance(returnable(no, "1", limit=3)) == -3


async def test_a_repeat_with_the_same_key_is_the_same_case(mall: Mall) -> None:
    no = await mall.delivered(item("apple", 3))
    body = {"lines": [LINE], "reason_code": "damaged"}
    first = await mall.say("POST", f"/api/v1/orders/{no}/returns", body, key="one-wish")
    again = await mall.say("POST", f"/api/v1/orders/{no}/returns", body, key="one-wish")
    assert (again.status, again.body) == (201, first.body)
    assert len((await mall.say("GET", "/api/v1/returns")).json["items"]) == 1


async def test_what_is_withdrawn_can_be_asked_for_again(mall: Mall) -> None:
    no = await mall.delivered(item("apple"))
    case = (await mall.ask_back(no, 1)).json["case"]
    order = (await mall.say("GET", f"/api/v1/orders/{no}")).json
    assert order["status"] == "AFTER_SALE_OPEN"
    assert (await mall.say("POST", f"/api/v1/orders/{no}/confirm")).json["code"] == 1004
    assert (await mall.say("POST", f"/api/v1/returns/{case}/withdraw")).json["state"] == "WITHDRAWN"
    await mall.settled_down()
    assert (await mall.say("GET", f"/api/v1/orders/{no}")).json["status"] == "DELIVERED"
    assert (await mall.ask_back(no, 1)).json["refund"] == 13_000


async def test_others_orders_and_cases_look_like_missing_ones(mall: Mall) -> None:
    no = await mall.delivered(item("apple", 2))
    body = {"lines": [LINE], "reason_code": "damaged"}
    assert (await mall.say("POST", f"/api/v1/orders/{no}/returns", body, who=BOB)).json["code"] == 1003
    case = (await mall.ask_back(no, 1)).json["case"]
    for method, where in (("GET", ""), ("POST", "/withdraw")):
        assert (await mall.say(method, f"/api/v1/returns/{case}{where}", who=BOB)).json["code"] == 8004
    assert (await mall.say("GET", f"/api/v1/returns/{UUID(int=5)}")).json["code"] == 8004
    assert (await mall.say("GET", "/api/v1/returns", who=BOB)).json["items"] == []
    assert (await mall.say("POST", f"/api/v1/staff/returns/{case}/approve")).status == 403


async def test_staff_ask_on_the_buyers_word_for_goods_that_they_decide_on(mall: Mall) -> None:
    await mall.stock("pear", 9, price=5_000, store="s2")
    no = await mall.delivered(item("apple"), item("pear"))
    path, mine = f"/api/v1/orders/{no}/returns", mall.shop.token("seller", "s1", id=UUID(int=31))
    apple, pear = ({"lines": [LINE | {"line_id": id}], "reason_code": "damaged"} for id in "12")
    assert (await mall.say("POST", path, pear, token=mine)).json["code"] == 1003
    assert (await mall.say("POST", path, apple, token=mall.shop.token("warehouse"))).json["code"] == 1003
    asked = await mall.say("POST", path, apple, token=mine)
    assert (asked.status, asked.json["refund"]) == (201, 10_000)
    assert [one["case"] for one in (await mall.say("GET", "/api/v1/returns")).json["items"]] == [asked.json["case"]]
    assert (await mall.staff("POST", path, pear)).status == 201


async def test_sellers_see_and_decide_on_their_own_goods_only(mall: Mall) -> None:
    await mall.stock("pear", 9, price=5_000, store="s2")
    no = await mall.delivered(item("apple"), item("pear"))
    mine, theirs = (mall.shop.token("seller", store, id=UUID(int=n)) for n, store in ((31, "s1"), (32, "s2")))

    async def asks(token: str, case: str, wish: str, body: Any = b"") -> Any:
        return await mall.say("POST", f"/api/v1/staff/returns/{case}/{wish}", body, token=token)

    apple = (await mall.ask_back(no, 1)).json["case"]
    assert (await asks(theirs, apple, "approve")).json["code"] == 8004
    assert (await asks(mine, apple, "reject", {"reason": "it was fine"})).json["state"] == "REJECTED"
    body = {"lines": [LINE, {"line_id": "2", "quantity": 1}], "reason_code": "damaged"}
    both = (await mall.say("POST", f"/api/v1/orders/{no}/returns", body)).json
    assert (await asks(mine, both["case"], "approve")).json["code"] == 8004
    seen = (await mall.say("GET", f"/api/v1/returns/{both['case']}", token=mine)).json
    assert ([one["store"] for one in seen["lines"]], seen["refund"]) == (["s1"], 10_000)
    assert (await mall.staff("POST", f"/api/v1/staff/returns/{both['case']}/approve")).json[
        "state"
    ] == "REFUND_APPROVED"
    await mall.settled_down()
    where = "/api/v1/staff/returns"
    assert len((await mall.say("GET", where, token=mine)).json["items"]) == 2
    assert [one["case"] for one in (await mall.say("GET", where, token=theirs)).json["items"]] == [both["case"]]
    first = (await mall.staff("GET", f"{where}?limit=1")).json
    rest = (await mall.staff("GET", f"{where}?limit=1&cursor={first['next']}")).json
    assert [one["case"] for one in first["items"] + rest["items"]] == [both["case"], apple]
    assert (await mall.staff("GET", f"{where}?state=REJECTED&store=s2")).json["items"] == []
    receive = {"warehouse": "nowhere"}
    assert (await mall.staff("POST", f"{where}/{both['case']}/receive", receive)).json["code"] == 1014


async def test_malformed_wishes_are_refused_and_change_nothing(mall: Mall) -> None:
    no = await mall.delivered(item("apple", 2))
    good: dict[str, Any] = {"lines": [LINE], "reason_code": "damaged"}
    for wrong in (
        {"lines": []}, {"lines": [{"line_id": "1", "quantity": 0}]}, {"reason_code": "whim"}, {"kind": "cancel"},
        {"refund": 1_000_000},
    ):  # fmt: skip
        assert (await mall.say("POST", f"/api/v1/orders/{no}/returns", {**good, **wrong})).status == 400
    for lines in ([{"line_id": "7", "quantity": 1}], [{"line_id": "1", "quantity": 3}], [LINE, LINE]):
        answer = await mall.say("POST", f"/api/v1/orders/{no}/returns", {**good, "lines": lines})
        assert (answer.status, answer.json["code"]) == (422, 8006)
    assert (await mall.say("GET", f"/api/v1/orders/{no}")).json["status"] == "DELIVERED"

"""Inventory on PostgreSQL and over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from contexts.goods import ANN, BEN, Cancel, Goods, Pay, Place, line, open_goods
from kernel.running import caught_up, until
from pasar.accounts import hold_quota, pool, shortfall, stock
from pasar.contexts.inventory import facade
from pasar.contexts.inventory.module import module as inventory
from pasar.kernel.doctor import Patient, examine
from pasar.kernel.invariants import check_of
from pasar.refusals import InsufficientStock, NotThatMuchThere, StockIsAnother
from postgres import TestDatabase

API = "/api/v1/inventory"


@pytest_asyncio.fixture
async def goods(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Goods]:
    async with open_goods(database, tmp_path) as opened:
        yield opened


def receipt(units: int, **more: object) -> dict[str, object]:
    return {"warehouse": "near", "lines": [{"sku": "apple", "quantity": units, **more}]}


@pytest.mark.requirement("S0-045", "S2-044")
async def test_goods_are_received_over_http_and_can_be_sold_at_once(goods: Goods):
    url = f"{API}/receipts/{UUID(int=1)}"
    assert (await goods.ask("PUT", url, receipt(5)))[0] == 200
    assert (await goods.ask("PUT", url, receipt(5)))[0] == 200
    status, problem = await goods.ask("PUT", url, receipt(6))
    assert (status, problem["code"]) == (409, 1018)
    status, found = await goods.ask("GET", f"{API}/availability?sku=apple&sku=pear", kind="member")
    assert found == [{"sku": "apple", "available": 5}, {"sku": "pear", "available": 0}]
    await caught_up(goods.core)
    _, page = await goods.ask("GET", f"{API}/movements?sku=apple")
    assert [(each["kind"], each["quantity"], each["warehouse"]) for each in page["items"]] == [("purchase", 5, "near")]


async def test_what_is_wrong_is_refused_and_leaves_nothing(goods: Goods):
    url = f"{API}/receipts/{UUID(int=1)}"
    assert (await goods.ask("PUT", url, receipt(5), kind="member"))[0] == 403
    status, problem = await goods.ask("PUT", url, {**receipt(5), "warehouse": "nowhere"})
    assert (status, problem["code"]) == (422, 1014)
    for body in (receipt(0), receipt(5, colour="red"), receipt(5, expires_on="soon"), {"warehouse": "near"}):
        assert (await goods.ask("PUT", url, body))[0] in (400, 422)
    assert await goods.db.balance(pool("apple")) == 0


async def test_a_batch_of_a_sku_keeps_its_expiry(goods: Goods):
    may, june = date(2026, 5, 1), date(2026, 6, 1)
    await goods.receive("near", "apple", 5, batch="b1", expires_on=may)
    await goods.receive("far", "apple", 5, batch="b1")
    with pytest.raises(StockIsAnother):
        await goods.receive("far", "apple", 5, batch="b1", expires_on=june)
    places = await facade.places(goods.db, ["apple", "pear"])
    assert [(p.warehouse, p.batch, p.quantity, p.expires_on, p.free) for p in places] == [
        ("far", "b1", 5, may, 10), ("near", "b1", 5, may, 10),
    ]  # fmt: skip


async def test_of_two_first_receipts_of_a_batch_with_different_expiry_one_is_refused(goods: Goods):
    days = [date(2026, 5, day) for day in range(1, 9)]
    done = await asyncio.gather(
        *(goods.receive("near", "apple", 1, batch="b1", expires_on=day) for day in days), return_exceptions=True
    )
    assert sum(one is None for one in done) == 1
    assert all(one is None or isinstance(one, StockIsAnother) for one in done)
    assert await goods.db.balance(pool("apple")) == 1


@pytest.mark.requirement("S3-044", "S3-045")
async def test_holds_over_http(goods: Goods):
    await goods.receive("near", "apple", 12)
    member = {"kind": "member", "id": ANN}
    status, problem = await goods.ask("PUT", f"{API}/holds/{UUID(int=1)}", {"sku": "apple", "quantity": 13}, **member)
    assert (status, problem["code"], problem["available"]) == (409, 1001, 12)
    for number in range(10):
        url, body = f"{API}/holds/{UUID(int=number + 1)}", {"sku": "apple", "quantity": 1}
        assert (await goods.ask("PUT", url, body, **member))[0] == 200
    status, problem = await goods.ask("PUT", f"{API}/holds/{UUID(int=99)}", {"sku": "apple", "quantity": 1}, **member)
    assert (status, problem["code"]) == (409, 1008)
    assert await goods.db.balance(pool("apple")) == 2
    other = {"kind": "member", "id": BEN}
    assert (await goods.ask("GET", f"{API}/holds/{UUID(int=1)}", **other))[0] == 404
    assert (await goods.ask("DELETE", f"{API}/holds/{UUID(int=1)}", **other))[0] == 404
    assert (await goods.ask("DELETE", f"{API}/holds/{UUID(int=1)}", **member))[1]["state"] == "released"
    assert len((await goods.ask("GET", f"{API}/holds", **member))[1]) == 10
    assert await goods.db.balance(hold_quota(ANN, limit=10)) == -9


@pytest.mark.requirement("S3-041", "S3-048")
async def test_a_hold_ends_after_fifteen_minutes_or_when_its_extensions_end(goods: Goods):
    await goods.receive("near", "apple", 2)
    short, long = (f"{API}/holds/{UUID(int=n)}" for n in (1, 2))
    member = {"kind": "member", "id": ANN}
    for url in (short, long):
        await goods.ask("PUT", url, {"sku": "apple", "quantity": 1}, **member)
    assert (await goods.ask("POST", f"{long}/extend", **member))[1]["extensions"] == 1
    clock = goods.shop.clock

    async def available(units: int) -> bool:
        return await goods.db.balance(pool("apple")) == units

    clock.advance(timedelta(minutes=14, seconds=59))
    await asyncio.sleep(0.3)
    assert await available(0)
    clock.advance(timedelta(seconds=2))
    await until(lambda: available(1))
    assert (await goods.ask("GET", long, **member))[1]["state"] == "held"
    await goods.ask("POST", f"{long}/extend", **member)
    assert (await goods.ask("POST", f"{long}/extend", **member))[1]["code"] == 1031
    clock.advance(timedelta(minutes=31))
    await until(lambda: available(2))


@pytest.mark.requirement("S1-246", "S3-047")
async def test_a_hundred_people_who_want_ten_units_get_exactly_ten(goods: Goods):
    await goods.receive("near", "apple", 10)
    done = await asyncio.gather(
        *(facade.hold_stock(goods.shop.bus(), UUID(int=n), UUID(int=n + 500), "apple", 1) for n in range(1, 101)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, InsufficientStock) for one in done) == 90
    assert await goods.db.balance(pool("apple")) == 0
    assert await facade.unbalanced(goods.db) == []


async def test_a_loss_is_always_booked_and_new_goods_fill_it_first(goods: Goods):
    await goods.receive("near", "apple", 10)
    await goods.shop.bus().send(Place(order_no="202603010001", lines=(line("apple", 8),)))
    url, loss = f"{API}/adjustments/{UUID(int=1)}", {"warehouse": "near", "sku": "apple", "delta": -5, "reason": "mice"}
    status, found = await goods.ask("PUT", url, loss)
    assert (status, found["from_pool"], found["shortfall"]) == (200, 2, 3)
    assert (await goods.ask("PUT", url, loss))[1] == found
    _, counted = await goods.ask("GET", f"{API}/stock/apple")
    expected = {"stock": 5, "available": 0, "held": 8, "sold": 0, "shortfall": 3}
    assert {name: counted["total"][name] for name in expected} == expected
    await goods.receive("near", "apple", 4)
    assert await goods.db.balances([pool("apple"), shortfall("apple")]) == [1, 0]
    too_much = {**loss, "delta": -100}
    status, problem = await goods.ask("PUT", f"{API}/adjustments/{UUID(int=2)}", too_much)
    assert (status, problem["code"]) == (409, 1032)
    assert await facade.unbalanced(goods.db) == []


async def test_adjustments_that_race_with_orders_split_anew_until_they_fit(goods: Goods):
    await goods.receive("near", "apple", 60)
    bus = goods.shop.bus
    losses = [facade.adjust(bus(), UUID(int=n), "near", "apple", None, -3, "count") for n in range(1, 11)]
    takes = [bus().send(Place(order_no=f"2026030100{n:02}", lines=(line("apple", 4),))) for n in range(12)]
    done = await asyncio.gather(*losses, *takes, return_exceptions=True)
    assert not [one for one in done[:10] if isinstance(one, BaseException)]
    assert await goods.db.balance(stock("apple", "near", "-")) == 30
    assert await facade.unbalanced(goods.db) == []


async def test_goods_go_from_one_warehouse_to_another(goods: Goods):
    await goods.receive("near", "apple", 10, batch="b1")
    body = {"from_warehouse": "near", "to_warehouse": "far", "sku": "apple", "batch": "b1", "quantity": 4}
    assert (await goods.ask("PUT", f"{API}/transfers/{UUID(int=1)}", body))[0] == 200
    with pytest.raises(NotThatMuchThere):
        await facade.move(goods.shop.bus(), UUID(int=2), "near", "far", "apple", "b1", 7)
    assert await goods.db.balance(pool("apple")) == 10
    await caught_up(goods.core)
    _, page = await goods.ask("GET", f"{API}/warehouses/far/stock")
    assert [(each["sku"], each["batch"], each["quantity"]) for each in page["items"]] == [("apple", "b1", 4)]
    _, page = await goods.ask("GET", f"{API}/movements?sku=apple&limit=2")
    moves = [(each["kind"], each["quantity"], each["warehouse"]) for each in page["items"]]
    assert moves == [("transfer", -4, "near"), ("transfer", 4, "far")]
    _, rest = await goods.ask("GET", f"{API}/movements?sku=apple&limit=2&cursor={page['next']}")
    assert [each["kind"] for each in rest["items"]] == ["purchase"]


@pytest.mark.requirement("S0-045", "S2-028", "S2-046")
async def test_stock_leaves_the_shelf_after_payment_and_comes_back_with_a_cancellation(goods: Goods):
    await goods.receive("near", "apple", 10)
    bus = goods.shop.bus
    await bus().send(Place(order_no="202603010001", lines=(line("apple", 3),)))
    assert (await goods.db.balances([stock("apple", "near", "-"), pool("apple")])) == [10, 7]
    await bus().send(Pay(order_no="202603010001"))
    await caught_up(goods.core)
    assert (await goods.db.balances([stock("apple", "near", "-"), pool("apple")])) == [7, 7]
    await bus().send(Place(order_no="202603010002", lines=(line("apple", 3),)))
    await bus().send(Cancel(order_no="202603010002"))
    assert await goods.db.balance(pool("apple")) == 7
    assert await facade.unbalanced(goods.db) == []


async def test_what_does_not_add_up_is_found(goods: Goods, database: TestDatabase):
    await goods.receive("near", "apple", 10, batch="b1")
    assert await facade.unbalanced(goods.db) == []
    owner = await asyncpg.connect(database.dsn)
    await owner.execute("update kernel.account set balance = balance - 1 where id = 'pool:apple'")
    await owner.close()
    assert [(one.sku, one.batch, one.difference) for one in await facade.unbalanced(goods.db)] == [("apple", None, 1)]
    checks = tuple(check_of(each, goods.core.database) for each in inventory.invariants)
    doctors = await asyncpg.connect(database.dsn)
    symptoms = await examine(Patient(doctors, goods.shop.clock, checks=checks))
    await doctors.close()
    found = [each for each in symptoms if each.check == "stock"]
    assert [(each.severity, each.found) for each in found] == [
        ("critical", "tenant 1: apple: 10 in stock, but 9 in the pool + 0 in sales + 0 held + 0 sold − 0 short")
    ]

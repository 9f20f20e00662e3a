"""Fulfillment on PostgreSQL, from a paid order to a delivered parcel, over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from contexts.goods import ANN, BEN, Cancel, Goods, Pay, Place, address, line, open_goods
from kernel.running import caught_up, until
from pasar.accounts import batch_pool, blocked, pool, sold, stock
from pasar.contexts.fulfillment import facade
from pasar.contexts.fulfillment.contract import Deallocate
from pasar.contexts.fulfillment.fulfillment import fulfillment
from pasar.contexts.inventory import facade as inventory
from pasar.refusals import NotAllocatable
from postgres import TestDatabase

API = "/api/v1/fulfillment"
NO = "202603010001"


@pytest_asyncio.fixture
async def goods(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Goods]:
    async with open_goods(database, tmp_path) as opened:
        yield opened


@pytest.mark.requirement("S0-069", "S0-070", "S0-147", "S1-031", "S2-025", "S3-085", "S4-035")
async def test_a_paid_order_is_allocated_and_followed_to_its_buyer(goods: Goods):
    await goods.receive("near", "apple", 5)
    await goods.receive("far", "pear", 5)
    await goods.order(NO, line("apple", 2), line("pear", 1, id="2", store="s2"))
    _, page = await goods.ask("GET", f"{API}/parcels")
    assert [(p["parcel"], p["warehouse"], p["state"], p["stores"]) for p in page["items"]] == [
        ("1", "near", "waiting", ["s1"]), ("2", "far", "waiting", ["s2"]),
    ]  # fmt: skip
    for parcel in ("1", "2"):
        url = f"{API}/orders/{NO}/parcels/{parcel}"
        for step in ("prepare", "pick", "pack"):
            assert (await goods.ask("POST", f"{url}/{step}"))[0] == 200
        shipping = {"carrier": "cj", "tracking_no": f"T-00{parcel}"}
        assert (await goods.ask("POST", f"{url}/ship", shipping))[0] == 200
        assert (await goods.ask("POST", f"{url}/transit", {"place": "Hub"}))[0] == 200
        assert (await goods.ask("POST", f"{url}/deliver"))[0] == 200
    status, found = await goods.ask("GET", f"/api/v1/orders/{NO}/fulfillment", kind="member", id=ANN)
    assert status == 200
    assert [(p["state"], p["tracking_no"], len(p["times"])) for p in found["parcels"]] == [
        ("delivered", "T-001", 6), ("delivered", "T-002", 6),
    ]  # fmt: skip
    assert found["address"]["recipient"] == "Ann"
    await caught_up(goods.core)
    assert (await goods.ask("GET", f"{API}/parcels"))[1]["items"] == []
    assert len((await goods.ask("GET", f"{API}/parcels?state=delivered&limit=1"))[1]["items"]) == 1


async def test_nobody_sees_or_moves_what_is_not_theirs(goods: Goods):
    await goods.receive("near", "apple", 5)
    await goods.order(NO, line("apple", 2))
    tracking, step = f"/api/v1/orders/{NO}/fulfillment", f"{API}/orders/{NO}/parcels/1/prepare"
    own, other = {"kind": "seller", "stores": ("s1",)}, {"kind": "seller", "stores": ("s2",)}
    assert (await goods.ask("GET", tracking, kind="member", id=BEN))[0] == 404
    assert (await goods.ask("GET", tracking, **other))[0] == 404
    assert (await goods.ask("GET", tracking, **own))[0] == 200
    assert (await goods.ask("GET", f"{API}/parcels", **other))[1]["items"] == []
    assert len((await goods.ask("GET", f"{API}/parcels", **own))[1]["items"]) == 1
    assert (await goods.ask("GET", f"{API}/parcels", kind="member"))[0] == 403
    assert (await goods.ask("POST", step, **other))[0] == 404
    assert (await goods.ask("POST", step, kind="member", id=ANN))[0] == 403
    assert (await goods.ask("POST", step, **own))[0] == 200


async def test_a_pasted_list_ships_line_by_line_and_may_be_pasted_again(goods: Goods):
    await goods.receive("near", "apple", 5)
    for number in (1, 2):
        await goods.order(f"20260301000{number}", line("apple", 1))
        for step in ("pick", "pack"):
            await goods.ask("POST", f"{API}/orders/20260301000{number}/parcels/1/{step}")
    text = "202603010001\t1\tT-001\n\n202603010002, T-001\n202603010009 T-003\nnonsense\n"
    for _ in range(2):
        status, lines = await goods.ask("POST", f"{API}/shipments", {"carrier": "cj", "text": text})
        assert status == 200
        assert [(each["line"], each["shipped"], each["code"]) for each in lines] == [
            (1, True, None), (3, False, 8008), (4, False, 8002), (5, False, None),
        ]  # fmt: skip
    assert (await goods.ask("POST", f"{API}/orders/202603010002/parcels/1/ship",
                            {"carrier": "lotte", "tracking_no": "T-001"}))[0] == 200  # fmt: skip


async def test_what_cannot_be_sent_is_noted(goods: Goods):
    await goods.receive("near", "apple", 5, batch="old", expires_on=date(2025, 9, 6))
    await goods.shop.bus().send(Place(order_no=NO, lines=(line("apple", 2),)))
    goods.shop.clock.advance(timedelta(days=1))
    await goods.shop.bus().send(Pay(order_no=NO))
    await caught_up(goods.core)
    state = await goods.db.state(fulfillment, NO)
    assert state is not None
    assert state.state == "failed"

    async def is_blocked() -> bool:
        return await goods.db.balance(blocked("apple", "near", "old")) == 5

    await until(is_blocked)


@pytest.mark.requirement("S3-096", "S3-097")
async def test_rivals_for_the_last_pieces_plan_again_and_nothing_is_half_taken(goods: Goods):
    await goods.receive("near", "apple", 5)
    await goods.receive("far", "apple", 5)
    bus = goods.shop.bus
    orders = [f"2026030100{number:02}" for number in range(1, 8)]
    asks = [facade.plan_and_allocate(bus(), no, ANN, address(), (line("apple", 2),)) for no in orders]
    done = await asyncio.gather(*asks, return_exceptions=True)
    assert sum(isinstance(one, NotAllocatable) for one in done) >= 2
    taken = sum(pick.quantity for one in done if not isinstance(one, BaseException)
                for parcel in one.parcels for pick in parcel.picks)  # fmt: skip
    left = await goods.db.balances([stock("apple", "near", "-"), stock("apple", "far", "-")])
    assert taken == 10 - sum(left) == 10


async def test_who_named_a_batch_finds_it_whatever_others_took(goods: Goods):
    await goods.receive("near", "apple", 5, batch="b1", expires_on=date(2099, 1, 1))
    await goods.receive("far", "apple", 5)
    await goods.shop.bus().send(Place(order_no="202603010009", lines=(line("apple", 3, batch="b1"),)))
    await goods.order(NO, line("apple", 4))
    await goods.shop.bus().send(Pay(order_no="202603010009"))
    await caught_up(goods.core)
    named = await goods.db.state(fulfillment, "202603010009")
    assert named is not None
    assert [(p.warehouse, p.picks[0].batch) for p in named.parcels] == [("near", "b1")]
    assert await inventory.unbalanced(goods.db) == []


@pytest.mark.parametrize("cancel_first", [True, False])
async def test_an_allocated_order_that_is_cancelled_gives_everything_back(goods: Goods, cancel_first: bool):
    await goods.receive("near", "apple", 5, batch="b1")
    await goods.order(NO, line("apple", 2, batch="b1"))
    steps = [Cancel(order_no=NO), Deallocate(order_no=NO, reason="buyer")]
    for command in steps if cancel_first else reversed(steps):
        await goods.shop.bus().send(command)
        assert await inventory.unbalanced(goods.db) == []
    await caught_up(goods.core)
    accounts = [stock("apple", "near", "b1"), pool("apple"), batch_pool("apple", "b1"), sold("apple")]
    assert await goods.db.balances(accounts) == [5, 5, 5, 0]


async def test_a_digital_order_is_delivered_at_once(goods: Goods):
    await goods.order(NO, line("song", 1, is_digital=True))
    state = await goods.db.state(fulfillment, NO)
    assert state is not None
    assert [(parcel.state, parcel.digital) for parcel in state.parcels] == [("delivered", True)]

"""Goods past their last day: not sold, not promised, still counted."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from contexts.goods import ANN, Cancel, Goods, Place, line, open_goods
from kernel.running import caught_up, until
from pasar.accounts import batch_pool, batch_shortfall, blocked, pool, shortfall, stock
from pasar.contexts.fulfillment.contract import Deallocate
from pasar.contexts.inventory import facade
from pasar.contexts.inventory.batch import batch
from pasar.contexts.inventory.blocking import blocking
from pasar.contexts.inventory.contract import (
    BatchExpired,
    BatchOfSku,
    BatchRegistered,
    BlockStock,
    CoverShortfall,
    ExpireBatch,
    ReceivedLine,
    ReceiveStock,
    ShortfallCovered,
    StockBlocked,
    StockReceived,
)
from pasar.contexts.inventory.cover import cover
from pasar.contexts.inventory.receipt import receipt
from pasar.contexts.inventory.settings import InventorySettings
from pasar.kernel.testing import scenario
from pasar.refusals import InsufficientStock, ShortfallIsSmaller
from postgres import TestDatabase

DAY = date(2025, 9, 7)
MIDNIGHT_IN_SEOUL = datetime(2025, 9, 7, 15, tzinfo=UTC)
ID = UUID(int=1)
API = "/api/v1/inventory"
REGISTERED = BatchRegistered(sku="apple", batch="b1", expires_on=DAY, expires_at=MIDNIGHT_IN_SEOUL)
EXPIRED = BatchExpired(sku="apple", batch="b1")


@pytest_asyncio.fixture
async def goods(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Goods]:
    async with open_goods(database, tmp_path, **{"inventory.time_zone": "Asia/Seoul"}) as opened:
        yield opened


def test_a_batch_expires_once_by_a_deadline_at_the_end_of_its_last_day():
    check, expire = scenario(batch), ExpireBatch(batch_of="apple:b1")
    check(given=[REGISTERED], when=expire, then=[EXPIRED])
    check(given=[REGISTERED, EXPIRED], when=expire, then=[])
    check(given=[], when=expire, then=[])
    assert batch.timers is not None
    assert [(set.at, set.send) for set in batch.timers(REGISTERED)] == [(MIDNIGHT_IN_SEOUL, expire)]
    assert batch.timers(BatchRegistered(sku="apple", batch="b1", expires_on=None)) == []


def test_the_last_day_ends_at_midnight_where_the_shop_is():
    settings = InventorySettings(time_zone="Asia/Seoul")
    assert settings.end_of(DAY) == MIDNIGHT_IN_SEOUL
    assert settings.day_of(MIDNIGHT_IN_SEOUL - timedelta(microseconds=1)) == DAY
    assert settings.day_of(MIDNIGHT_IN_SEOUL) == DAY + timedelta(days=1)


def test_blocked_pieces_leave_stock_and_what_is_promised_of_them_is_short():
    opening = {stock("apple", "w", "b1"): 7, pool("apple"): 4, batch_pool("apple", "b1"): 5}
    what = {"blocking": ID, "warehouse": "w", "sku": "apple", "batch": "b1", "quantity": 7, "from_pool": 4}
    command, event = BlockStock(**what, from_batch_pool=5), StockBlocked(**what, from_batch_pool=5)
    books = scenario(blocking, opening)(given=[], when=command, then=[event])
    accounts = stock("apple", "w", "b1"), blocked("apple", "w", "b1"), pool("apple"), shortfall("apple")
    assert [books.balance(each) for each in accounts] == [0, 7, 0, 3]
    assert books.balance(batch_shortfall("apple", "b1")) == 2
    scenario(blocking, opening)(given=[event], when=BlockStock(**{**what, "quantity": 1}), then=[])
    scenario(blocking, opening)(given=[], when=BlockStock(**{**what, "from_pool": 5}), then=InsufficientStock)


def test_what_comes_back_to_a_pool_covers_its_shortfall():
    command = CoverShortfall(cover=ID, sku="apple", quantity=3)
    event = ShortfallCovered(cover=ID, sku="apple", batch=None, quantity=3)
    check = scenario(cover, {pool("apple"): 4, shortfall("apple"): 3})
    books = check(given=[], when=command, then=[event])
    assert (books.balance(pool("apple")), books.balance(shortfall("apple"))) == (1, 0)
    check(given=[event], when=command, then=[])
    scenario(cover, {pool("apple"): 4, shortfall("apple"): 2})(given=[], when=command, then=ShortfallIsSmaller)


def test_a_receipt_of_expired_goods_raises_no_pool():
    lines = (ReceivedLine(sku="apple", quantity=3, batch="b1"), ReceivedLine(sku="apple", quantity=2))
    what = {"receipt": ID, "warehouse": "w", "lines": lines, "origin": "purchase", "reference": ""}
    expired = (BatchOfSku(sku="apple", batch="b1"),)
    command, event = ReceiveStock(**what, expired=expired), StockReceived(**what, expired=expired)
    books = scenario(receipt)(given=[], when=command, then=[event])
    assert (books.balance(pool("apple")), books.balance(batch_pool("apple", "b1"))) == (2, 0)
    assert (books.balance(stock("apple", "w", "b1")), books.balance(blocked("apple", "w", "b1"))) == (0, 3)
    scenario(receipt)(given=[event], when=ReceiveStock(**what), then=[])


async def _counted(goods: Goods, of: str | None = None) -> tuple[int, int, int, int, int, int]:
    for one in await facade.overview(goods.db, "apple"):
        if one.batch == of:
            return one.stock, one.available, one.held, one.sold, one.shortfall, one.blocked
    return 0, 0, 0, 0, 0, 0


async def _to_midnight(goods: Goods) -> None:
    """Over the end of the day, until all that follows from it has happened."""
    goods.shop.clock.advance(MIDNIGHT_IN_SEOUL - goods.core.clock.now())
    await until(lambda: _is_expired(goods))
    await caught_up(goods.core)


async def _is_expired(goods: Goods) -> bool:
    found = await goods.db.state(batch, "apple:b1")
    return found is not None and found.expired


async def test_goods_are_sold_up_to_the_end_of_their_last_day_and_not_a_moment_longer(goods: Goods):
    await goods.receive("near", "apple", 5, batch="b1", expires_on=DAY)
    await goods.receive("far", "apple", 2, batch="b1")
    await goods.receive("far", "apple", 1)
    goods.shop.clock.advance(MIDNIGHT_IN_SEOUL - timedelta(seconds=1) - goods.core.clock.now())
    await goods.order("202603010001", line("apple", 1, batch="b1"))
    assert await _counted(goods) == (7, 7, 0, 0, 0, 0)
    await _to_midnight(goods)
    assert await _counted(goods) == (1, 1, 0, 0, 0, 6)
    assert await _counted(goods, "b1") == (0, 0, 0, 0, 0, 6)
    with pytest.raises(InsufficientStock):
        await goods.shop.bus().send(Place(order_no="202603010002", lines=(line("apple", 2),)))
    with pytest.raises(InsufficientStock):
        await goods.shop.bus().send(Place(order_no="202603010003", lines=(line("apple", 1, batch="b1"),)))
    assert await facade.unbalanced(goods.db) == []
    _, page = await goods.ask("GET", f"{API}/movements?sku=apple")
    gone = {(each["warehouse"], each["quantity"]) for each in page["items"] if each["kind"] == "expired"}
    assert sum(quantity for _, quantity in gone) == -6
    assert {warehouse for warehouse, _ in gone} == {"near", "far"}
    _, page = await goods.ask("GET", f"{API}/warehouses/far/stock")
    assert [(each["batch"], each["quantity"], each["blocked"]) for each in page["items"]][-1] == ("b1", 0, 2)


async def test_what_is_promised_when_goods_expire_is_short_and_new_goods_fill_it(goods: Goods):
    await goods.receive("near", "apple", 5, batch="b1", expires_on=DAY)
    await goods.shop.bus().send(Place(order_no="202603010001", lines=(line("apple", 3, batch="b1"),)))
    await _to_midnight(goods)
    assert await _counted(goods) == (0, 0, 3, 0, 3, 5)
    assert await _counted(goods, "b1") == (0, 0, 3, 0, 3, 5)
    await goods.receive("near", "apple", 4, batch="b2", expires_on=DAY + timedelta(days=9))
    assert await _counted(goods) == (4, 1, 3, 0, 0, 5)
    assert await facade.unbalanced(goods.db) == []


async def test_expired_goods_that_arrive_never_raise_a_pool(goods: Goods):
    await goods.receive("near", "apple", 5, batch="b1", expires_on=DAY)
    goods.shop.clock.advance(MIDNIGHT_IN_SEOUL - goods.core.clock.now())
    await goods.receive("near", "apple", 2, batch="b1")
    await goods.receive("near", "apple", 3, batch="old", expires_on=DAY - timedelta(days=30))
    assert await goods.db.balances([pool("apple"), batch_pool("apple", "old")]) != [10, 3]
    assert await goods.db.balances([blocked("apple", "near", "old"), stock("apple", "near", "old")]) == [3, 0]
    await _to_midnight(goods)
    assert await _counted(goods) == (0, 0, 0, 0, 0, 10)
    _, page = await goods.ask("GET", f"{API}/movements?sku=apple")
    assert sum(each["quantity"] for each in page["items"]) == 0
    assert await facade.unbalanced(goods.db) == []


async def test_pieces_that_come_back_after_their_day_are_blocked_and_not_sold_again(goods: Goods):
    await goods.receive("near", "apple", 5, batch="b1", expires_on=DAY)
    await goods.order("202603010001", line("apple", 2))
    await _to_midnight(goods)
    assert await _counted(goods) == (0, 0, 0, 0, 0, 3)
    await goods.shop.bus().send(Deallocate(order_no="202603010001"))
    await goods.shop.bus().send(Cancel(order_no="202603010001"))
    await facade.adjust(goods.shop.bus(), ID, "near", "apple", "b1", 1, "found")
    await caught_up(goods.core)
    assert (await _counted(goods))[0] == 0
    assert (await _counted(goods))[5] == 6
    assert await facade.unbalanced(goods.db) == []


async def test_a_cart_that_lets_go_of_expired_goods_does_not_bring_them_back_for_sale(goods: Goods):
    await goods.receive("near", "apple", 5, batch="b1", expires_on=DAY)
    goods.shop.clock.advance(MIDNIGHT_IN_SEOUL - timedelta(minutes=1) - goods.core.clock.now())
    await facade.hold_stock(goods.shop.bus(), ID, ANN, "apple", 2)
    await _to_midnight(goods)
    assert await _counted(goods) == (0, 0, 2, 0, 2, 5)
    await facade.release_hold(goods.shop.bus(), ANN, ID)
    await caught_up(goods.core)
    assert await _counted(goods) == (0, 0, 0, 0, 0, 5)

"""What a process knows without asking: ids that nobody made up, pages that have not changed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from contexts.ordering.market import Market, counted, open_market
from kernel.running import until
from pasar.contexts.catalog.contract import ChangeProduct, CreateProduct, SkuSpec
from pasar.contexts.catalog.facade_known import Known, hearing
from pasar.contexts.pricing.contract import SetPrice
from pasar.kernel.cache import cache_of
from pasar.kernel.tail import Tail
from postgres import TestDatabase
from servers import own_redis

MADE_UP = [UUID(int=10**9 + n) for n in range(1_000)]


@asynccontextmanager
async def listening(market: Market) -> AsyncIterator[Tail]:
    """As an API process does from its start."""
    core = market.shop.core
    tail = Tail(core.database.kernel, poll_s=0.05)
    tail.subscribe(hearing.on, partial(hearing.hear, core, tail))
    await tail.start()
    try:
        await core.tool(Known, Known).load(core, tail)
        yield tail
    finally:
        await tail.stop()


@pytest_asyncio.fixture
async def market(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Market]:
    async with open_market(database, tmp_path, **{"cache.ttl_strategy": "product:600000,missing:2000"}) as opened:
        yield opened


async def status(market: Market, product: UUID) -> int:
    return (await market.shop.ask("GET", f"/api/v1/products/{product}?channel=web")).status


@pytest.mark.requirement("S1-036")
async def test_made_up_ids_do_not_reach_the_database(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pasar.contexts.catalog.facade_known.FRESH_S", 60)
    there = [await market.shop.sell(f"sku-{n}") for n in range(5)]
    async with listening(market) as tail:
        with counted() as statements:
            assert [await status(market, product) for product in MADE_UP] == [404] * len(MADE_UP)
            assert len(statements) <= 20, "two in a hundred at most"
            del statements[:]
            for n in range(300):
                assert (await market.shop.ask("GET", f"/api/v1/prices/made-up-{n}")).json["code"] == 5010
            assert len(statements) <= 6
        assert [await status(market, product) for product in there] == [200] * 5
        assert (await market.shop.ask("GET", "/api/v1/prices/sku-3")).status == 200
        await tail.stop()
        tail.age = lambda: 61.0  # type: ignore[method-assign]  # Whoever does not hear of new ones asks.
        with counted() as statements:
            assert await status(market, UUID(int=5)) == 404
        assert statements != []


async def test_what_another_process_creates_is_known_though_it_was_missing(market: Market) -> None:
    async with listening(market):
        bus, product = market.shop.bus(), market.shop.core.ids.uuid()
        assert await status(market, product) == 404
        spec = SkuSpec(sku="pear")
        await bus.send(CreateProduct(product=product, store="s1", title="Pears", skus=(spec,), state="on_sale"))
        await until(lambda: _is(market, product, 200))
        known = market.shop.core.tool(Known)
        assert known.may_exist(1, "sku", "pear")
        assert not known.may_exist(2, "sku", "pear")


async def _is(market: Market, product: UUID, wanted: int) -> bool:
    return await status(market, product) == wanted


async def test_a_filter_that_is_full_is_made_anew_and_loses_nobody(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pasar.contexts.catalog.facade_known.LEAST", 8)
    async with listening(market):
        made = [await market.shop.sell(f"sku-{n}") for n in range(40)]
        known = market.shop.core.tool(Known)
        await until(lambda: _knows(known, made))
        assert not all(known.may_exist(1, "product", str(product)) for product in MADE_UP)


async def _knows(known: Known, made: list[UUID]) -> bool:
    assert all(known.may_exist(1, "product", str(product)) for product in made[:-1])
    return not known.is_full and known.may_exist(1, "product", str(made[-1])) and not known.may_exist(1, "sku", "?")


@pytest.mark.parametrize("shared", [False, True])
async def test_a_page_that_is_kept_for_minutes_changes_at_once(
    shared: bool, database: TestDatabase, tmp_path: Path
) -> None:
    """Title, price, goods received: the tail of the log tells, in the process and in Redis."""
    with own_redis(tmp_path) as redis:
        more = {"redis.url": redis.url} if shared else {}
        strategy = {"cache.ttl_strategy": "product:600000,missing:2000"}
        async with open_market(database, tmp_path, **strategy, **more) as market, listening(market):
            product = await market.shop.sell("apple", 1000)
            await until(lambda: _is(market, product, 200))
            bus = market.shop.bus()
            for command, wanted in (
                (ChangeProduct(product=product, title="Red apples"), b'"Red apples"'),
                (SetPrice(sku="apple", channel="web", currency="KRW", price=Decimal(1500)), b'"price":1500'),
            ):
                await market.shop.ask("GET", f"/api/v1/products/{product}?channel=web")
                await bus.send(command)
                await until(lambda wanted=wanted: _shows(market, product, wanted))
            await market.stock("apple", 7)
            await until(lambda: _shows(market, product, b'"available":7'))
            assert cache_of(market.shop.core).hits > 0


async def _shows(market: Market, product: UUID, wanted: bytes) -> bool:
    return wanted in (await market.shop.ask("GET", f"/api/v1/products/{product}?channel=web")).body

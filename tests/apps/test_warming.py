"""The first who ask find the page made: of a sale that begins soon, of what sells, of what is looked at."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from contexts.flash.bazaar import SALES, Bazaar, open_bazaar
from contexts.ordering.market import counted, item
from contexts.selling import START
from kernel.running import until
from pasar.apps.warming import WarmUp, warm
from pasar.kernel.cache import Cache, CacheSettings
from pasar.kernel.redis_link import RedisLink
from pasar.kernel.settings import load
from postgres import TestDatabase
from servers import own_redis

STRATEGY = {"cache.ttl_strategy": "product:600000,sale:600000,missing:2000"}


@asynccontextmanager
async def opened(shared: bool, database: TestDatabase, folder: Path) -> AsyncIterator[Bazaar]:
    with own_redis(folder) as redis:
        more: dict[str, Any] = {"redis.url": redis.url} if shared else {}
        async with open_bazaar(database, folder, **STRATEGY, **more) as bazaar:
            yield bazaar


def restarted(bazaar: Bazaar) -> None:
    """As another process has it: what is kept in this one is gone."""
    core = bazaar.shop.core
    chosen = load({}, None, dict(STRATEGY)).section(CacheSettings)
    url = core.settings.section("redis").url
    core.equip(Cache(chosen, core.tool(RedisLink, lambda: RedisLink(url)) if url else None))


async def asked(bazaar: Bazaar, *paths: str) -> list[str]:
    """The statements that requests took."""
    with counted() as statements:
        for path in paths:
            assert (await bazaar.shop.ask("GET", path)).status == 200
    return statements


@pytest.mark.requirement("S1-035")
@pytest.mark.parametrize("shared", [False, True])
async def test_the_pages_of_a_sale_are_made_before_it_begins(
    shared: bool, database: TestDatabase, tmp_path: Path
) -> None:
    async with opened(shared, database, tmp_path) as bazaar:
        core, at = bazaar.shop.core, START + timedelta(minutes=30)
        await bazaar.prepare(5, starts_at=at.isoformat())
        product = await _product(bazaar, "apple")
        paths = f"/api/v1/products/{product}?channel=web", f"{SALES}/noon"
        early = await warm(core, "worker")
        assert early == WarmUp(), "nothing sells, and the sale is half an hour away"
        bazaar.shop.clock.set(at - timedelta(minutes=5))
        assert (await warm(core, "worker")) == WarmUp(pages=((product, "web"),), sales=("noon",))
        if shared:
            await until(lambda: _in_redis(bazaar, product), 5)
            restarted(bazaar)
            assert await warm(core, "api") == WarmUp(pages=((product, "web"),), sales=("noon",))
        assert await asked(bazaar, *paths) == []
        restarted(bazaar)
        if shared:
            assert await asked(bazaar, paths[0]) == [], "also by a process that has just begun"
        else:
            assert await asked(bazaar, paths[0]) != []


async def _in_redis(bazaar: Bazaar, product: UUID) -> bool:
    return bool(await bazaar.shop.core.tool(RedisLink).do("EXISTS", f"pasar:cache:product:1:{product}"))


async def _product(bazaar: Bazaar, sku: str) -> UUID:
    return UUID((await bazaar.shop.db.claimed("sku", [sku]))[sku])


@pytest.mark.parametrize("shared", [False, True])
async def test_what_sells_and_what_is_looked_at_is_made_ahead(
    shared: bool, database: TestDatabase, tmp_path: Path
) -> None:
    async with opened(shared, database, tmp_path) as bazaar:
        core, products = bazaar.shop.core, {}
        for sku in ("apple", "pear", "plum"):
            await bazaar.stock(sku, 5)
            products[sku] = await _product(bazaar, sku)
        placed = (await bazaar.order(item("pear"))).json
        await bazaar.pay(placed["order_no"], placed["total"])
        await bazaar.shop.views_reach(bazaar.shop.bus())
        for _ in range(3):
            await asked(bazaar, f"/api/v1/products/{products['plum']}?channel=web")
        if shared:
            assert await warm(core, "api") == WarmUp()
            restarted(bazaar)
        await until(lambda: _sells(bazaar), 5)
        plan = await warm(core, "worker" if shared else "api")
        assert plan.pages == ((products["pear"], "web"), (products["plum"], "web"))
        assert await asked(bazaar, f"/api/v1/products/{products['pear']}?channel=web") == []


async def _sells(bazaar: Bazaar) -> bool:
    sold = "select count(*) from ordering.sold_lines where paid_at is not null"
    return bool(await bazaar.shop.core.database.kernel.fetchval(sold))

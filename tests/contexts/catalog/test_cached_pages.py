"""Pages of products that a shop lets be a little old: what shoppers see, what sellers see, what checkout asks."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from contexts.ordering.market import Market, counted, item, open_market
from pasar.contexts.catalog.contract import ChangeProduct
from pasar.contexts.pricing.contract import SetPrice
from postgres import TestDatabase


@pytest_asyncio.fixture
async def market(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Market]:
    async with open_market(database, tmp_path, **{"cache.ttl_strategy": "product:600000,missing:600000"}) as opened:
        yield opened


@pytest.mark.requirement("S1-037", "S3-142")
async def test_shoppers_see_a_kept_page_and_pay_the_price_of_now(market: Market) -> None:
    product = await market.shop.sell("apple", 1000)
    await market.stock("apple", 5)
    place = f"/api/v1/products/{product}?channel=web"
    first = await market.shop.ask("GET", place)
    assert first.headers["cache-control"] == "public, max-age=600"
    bus = market.shop.bus()
    await bus.send(SetPrice(sku="apple", channel="web", currency="KRW", price=Decimal(1500)))
    await bus.send(ChangeProduct(product=product, title="Red apples"))
    await market.shop.views_reach(bus)
    with counted() as statements:
        kept = await market.shop.ask("GET", place)
    assert (kept.body, statements) == (first.body, [])
    known = await market.shop.ask("GET", place, headers=[("If-None-Match", first.headers["etag"])])
    assert known.status == 304
    seller = await market.shop.ask("GET", place, token=market.shop.token("seller", "s1"))
    assert seller.json["product"]["title"] == "Red apples"
    assert seller.headers["cache-control"] == "private, no-cache"
    after = await market.shop.ask("GET", place, headers=[("X-Pasar-After", str(bus.position))])
    assert after.json["product"]["title"] == "Red apples"
    ordered = await market.order(item("apple"))
    assert ordered.json["total"] == 1500 + 3000
    nowhere = f"/api/v1/products/{UUID(int=99)}?channel=web"
    assert (await market.shop.ask("GET", nowhere)).status == 404
    with counted() as statements:
        assert (await market.shop.ask("GET", nowhere)).status == 404
    assert statements == []

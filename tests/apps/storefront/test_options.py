"""A product of several option combinations: each has its own price and its own stock."""

from decimal import Decimal

import pytest

from apps.pages.visitor import Visitor, site_of
from contexts.ordering.market import open_market
from contexts.selling import SHIRT
from pasar.contexts.pricing.contract import SetPrice
from postgres import TestDatabase

ADDRESS = {
    "recipient": "김민지", "phone": "010-1234-5678", "postal_code": "04524", "city": "서울", "line1": "세종대로 110",
    "mail": "guest@example.com",
}  # fmt: skip


@pytest.mark.requirement("S0-042", "S0-043")
async def test_each_combination_has_its_own_price_and_stock(database: TestDatabase, tmp_path) -> None:
    async with open_market(database, tmp_path) as market:
        bus = market.shop.bus()
        product = await market.shop.sell("shirt-red-S", 39_000, **{**SHIRT, "title": "Shirt"})
        dear = SetPrice(
            sku="shirt-blue-L", channel="web", currency="KRW", price=Decimal(42_000), compare_at=Decimal(50_000)
        )
        await bus.send(dear)
        await market.stock("shirt-red-S", 9)
        await market.stock("shirt-blue-L", 3)
        await market.shop.views_reach(bus)
        visitor, where = Visitor(site_of(market)), f"/p/{product}"
        assert "₩39,000 – ₩42,000" in (await visitor.get(where)).words
        small = (await visitor.get(f"{where}?pick=colour=red&pick=size=S")).words
        assert ("₩39,000" in small, "₩42,000" in small, "In stock" in small) == (True, False, True)
        large = (await visitor.get(f"{where}?pick=colour=blue&pick=size=L")).words
        assert ("₩42,000 ₩50,000" in large, "₩39,000" in large, "Only 3 left" in large) == (True, False, True)
        await visitor.send("/cart/add", quantity="2")
        await visitor.get("/checkout")
        assert "₩84,000" in visitor.page.words
        page = await visitor.send("/checkout", action="order", country="KR", **ADDRESS)
        assert "Almost yours" in page.words, page.words
        assert (await market.left("shirt-blue-L"), await market.left("shirt-red-S")) == (1, 9)
        assert "Only one left" in (await visitor.get(f"{where}?pick=colour=blue&pick=size=L")).words
        assert "In stock" in (await visitor.get(f"{where}?pick=colour=red&pick=size=S")).words

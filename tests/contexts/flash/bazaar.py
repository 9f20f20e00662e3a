"""A market with sales, for tests: real requests, a real database, a clock that is set."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from contexts.ordering.market import ANN, HOME, MODULES, Market
from contexts.selling import START, open_shop
from kernel.toy_web import Answered
from pasar.accounts import pool, sale_pool
from pasar.contexts.flash.module import module as flash
from pasar.contexts.ordering.contract import OrderPlaced
from pasar.kernel.messages import name_of
from postgres import TestDatabase

SALES = "/api/v1/flash/sales"


class Bazaar(Market):
    async def prepare(self, units: int = 10, *, sale: str = "noon", sku: str = "apple", **more: Any) -> Answered:
        """A SKU with some units more than the sale has, and a sale that runs for an hour from now."""
        await self.stock(sku, units + 3)
        body = {
            "title": "Apples at noon",
            "channel": "web",
            "currency": "KRW",
            "starts_at": START.isoformat(),
            "ends_at": (START + timedelta(hours=1)).isoformat(),
            "items": [{"sku": sku, "price": 900, "units": units}],
            **more,
        }
        return await self.shop.ask("PUT", f"/api/v1/staff/flash/sales/{sale}", body, token=self.shop.token("admin"))

    async def join(
        self, who: UUID = ANN, *, sale: str = "noon", sku: str = "apple", query: str = "", **more: Any
    ) -> Any:
        path = f"{SALES}/{sale}/queue/{sku}{query}"
        return await self.shop.ask("PUT", path, token=self.token(who), **more)

    async def place(self, who: UUID = ANN, *, sale: str = "noon", sku: str = "apple") -> Answered:
        return await self.shop.ask("GET", f"{SALES}/{sale}/queue/{sku}", token=self.token(who))

    async def take(
        self,
        ticket: str | None,
        who: UUID = ANN,
        *,
        sale: str = "noon",
        sku: str = "apple",
        units: int = 1,
        **more: Any,
    ) -> Any:
        """An order of the sale."""
        key, headers = more.pop("key", None), more.pop("headers", [])
        body = {"sku_id": sku, "qty": units, "address": HOME, **({"ticket": ticket} if ticket else {}), **more}
        named = [("X-Idempotency-Key", key or f"sale-{next(self._keys)}"), *headers]
        return await self.shop.ask("POST", f"{SALES}/{sale}/orders", body, token=self.token(who), headers=named)

    async def hand_in(
        self, ticket: str, who: UUID = ANN, *, sale: str = "noon", units: int = 1, address: str = "home"
    ) -> Answered:
        """An order that may wait in a broker."""
        body = {"sku_id": "apple", "qty": units, "ticket": ticket, "shipping_address_id": address}
        return await self.shop.ask("POST", f"{SALES}/{sale}/orders/buffered", body, token=self.token(who))

    async def result(self, ticket_id: str, who: UUID = ANN) -> Any:
        return (await self.shop.ask("GET", f"/api/v1/flash/orders/{ticket_id}", token=self.token(who))).json

    async def units(self, sale: str = "noon", sku: str = "apple") -> tuple[int, int]:
        """Left in the sale, and in the SKU's own pool."""
        left, free = await self.shop.db.balances([sale_pool(sku, sale), pool(sku)])
        return left, free

    async def placed(self) -> list[str]:
        """The numbers of the orders in the log."""
        rows = await self.shop.core.database.kernel.fetch(
            "select stream from kernel.event where type = $1 order by stream", name_of(OrderPlaced)
        )
        return [row["stream"] for row in rows]

    async def status(self, sale: str = "noon") -> Any:
        return (await self.shop.ask("GET", f"{SALES}/{sale}", token=self.token())).json


@asynccontextmanager
async def open_bazaar(database: TestDatabase, folder: Path, **options: object) -> AsyncIterator[Bazaar]:
    current = {"cache.ttl_strategy": "sale:0"}  # Tests look at a sale right after they changed it.
    async with open_shop(database, folder, (*MODULES, flash), **{**current, **options}) as shop:
        await shop.open()
        bazaar = Bazaar(shop)
        await bazaar.open()
        yield bazaar

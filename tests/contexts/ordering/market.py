"""A shop with stock, and people who order in it over HTTP."""

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from contexts.selling import MODULES as SELLING
from contexts.selling import Shop, open_shop
from kernel.toy_web import Answered
from pasar.accounts import pool
from pasar.contexts.checkout.module import module as checkout
from pasar.contexts.identity.contract import AddAddress, OpenGuest
from pasar.contexts.identity.module import module as identity
from pasar.contexts.inventory import facade as inventory
from pasar.contexts.inventory.contract import OpenWarehouse, ReceivedLine
from pasar.contexts.inventory.module import module as inventory_module
from pasar.contexts.ordering.contract import MarkAllocated, MarkPaid, MarkStage
from pasar.contexts.ordering.module import module as ordering
from pasar.contexts.platform.contract import ChangeChannel
from pasar.kernel.commit import Committer
from pasar.kernel.messages import decode_untrusted, encode
from pasar.kernel.pool import Pool
from pasar.vocabulary import Address
from postgres import TestDatabase

MODULES = (*SELLING, identity, inventory_module, checkout, ordering)
ANN, BOB = UUID(int=101), UUID(int=102)
HOME = {"recipient": "Ann Kim", "phone": "+821012345678", "line1": "Road 1", "city": "Seoul", "country": "KR"}


class Market:
    def __init__(self, shop: Shop) -> None:
        self.shop, self._keys = shop, itertools.count()

    async def open(self) -> None:
        bus = self.shop.bus()
        await bus.send(OpenWarehouse(warehouse="w1", name="West", country="KR"))
        await bus.send(ChangeChannel(channel="web", freight=Decimal(3_000)))

    async def stock(
        self, sku: str, units: int, *, batch: str | None = None, expires_on: date | None = None, **more: Any
    ) -> None:
        """A SKU on sale, or more of it."""
        if more or not await self.shop.db.claimed("sku", [sku]):
            await self.shop.sell(sku, **more)
        line = ReceivedLine(sku=sku, quantity=units, batch=batch, expires_on=expires_on)
        await inventory.receive(self.shop.bus(), self.shop.core.ids.uuid(), "w1", (line,))

    async def left(self, sku: str) -> int:
        return await self.shop.db.balance(pool(sku))

    async def live_at(self, address_id: str, who: UUID = ANN) -> None:
        """Somebody with an address in their book."""
        bus = self.shop.bus(str(who))
        await bus.send(OpenGuest(account=who))
        address = decode_untrusted(encode(HOME), Address)
        await bus.send(AddAddress(account=who, address_id=address_id, address=address))

    def token(self, who: UUID = ANN, kind: str = "guest") -> str:
        return self.shop.token(kind, id=who)

    async def say(
        self, method: str, target: str, body: Any = b"", *, who: UUID = ANN, key: str | None = None, **more: Any
    ) -> Answered:
        """A request; a write has a key of its own unless it is given."""
        headers = [] if method == "GET" else [("X-Idempotency-Key", key or f"key-{next(self._keys)}")]
        token = more.pop("token", None) or self.token(who)
        return await self.shop.ask(method, target, body, token=token, headers=headers)

    async def order(self, *items: dict[str, Any], who: UUID = ANN, key: str | None = None, **more: Any) -> Answered:
        body = {"uid": str(who), "items": items, "address": HOME, **more}
        return await self.say("POST", "/api/v1/orders/create", body, who=who, key=key)

    async def pay(self, order_no: str, total: Any) -> None:
        paid = MarkPaid(order_no=order_no, payment=UUID(int=7), gateway="toss", amount=total, currency="KRW")
        await self.shop.bus("system").send(paid)

    async def deliver(self, order_no: str) -> None:
        bus = self.shop.bus("system")
        await bus.send(MarkAllocated(order_no=order_no))
        await bus.send(MarkStage(order_no=order_no, stage="DELIVERED"))
        await self.shop.views_reach(bus)


@asynccontextmanager
async def open_market(database: TestDatabase, folder: Path, **settings: object) -> AsyncIterator[Market]:
    async with open_shop(database, folder, MODULES, **settings) as shop:
        await shop.open()
        market = Market(shop)
        await market.open()
        yield market


def item(sku: str, units: int = 1, **more: Any) -> dict[str, Any]:
    return {"sku_id": sku, "qty": units, **more}


_statements: ContextVar[list[str] | None] = ContextVar("statements", default=None)


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that what runs inside asks for, its commits included; not those of the worker beside it."""
    run, commit, statements = Pool._run, Committer.commit, []

    async def counting_run(self: Pool, method: str, sql: str, arguments: Any) -> Any:
        if (noted := _statements.get()) is not None:
            noted.append(sql)
        return await run(self, method, sql, arguments)

    async def counting_commit(self: Committer, change: Any) -> Any:
        if (noted := _statements.get()) is not None:
            noted.append("commit")
        return await commit(self, change)

    before = _statements.set(statements)
    Pool._run, Committer.commit = counting_run, counting_commit  # type: ignore[method-assign]
    try:
        yield statements
    finally:
        Pool._run, Committer.commit = run, commit  # type: ignore[method-assign]
        _statements.reset(before)

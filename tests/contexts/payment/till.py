"""A shop that takes money: PostgreSQL, its routes on a real port, a worker, and the simulated providers around it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import uvicorn

from contexts.selling import MODULES, Shop, open_shop
from kernel.toy_web import Answered
from pasar.accounts import liability
from pasar.contexts.checkout.module import module as checkout
from pasar.contexts.inventory.module import module as inventory
from pasar.contexts.ordering.contract import PlaceOrder
from pasar.contexts.ordering.module import module as ordering
from pasar.contexts.ordering.order import order as orders
from pasar.contexts.payment.attempt import Attempt
from pasar.contexts.payment.gateways import hub
from pasar.contexts.payment.module import module as payment_module
from pasar.contexts.payment.payment import payment as payments
from pasar.contexts.pricing.contract import Quote, QuotedLine
from pasar.kernel.clock import SystemClock
from pasar.kernel.module import Module
from pasar.kernel.private import Private
from pasar.kernel.process import module as process
from pasar.processes.pay_order import pay_order
from pasar.simulators.testing import World
from pasar.vocabulary import Address
from postgres import TestDatabase

ANN, BOB = UUID(int=1), UUID(int=2)
WITH_MONEY = (
    *MODULES,
    inventory,
    checkout,
    ordering,
    payment_module,
    Module("process", processes=(pay_order,)),
    process,
)


class Till:
    def __init__(self, shop: Shop, world: World, url: str) -> None:
        self.shop, self.world, self.url = shop, world, url
        self._number = 0

    async def order(self, total: str = "98.00", currency: str = "CNY", buyer: UUID = ANN) -> str:
        """A placed order of something digital."""
        self._number += 1
        order_no, now, nothing = f"20260301{self._number:04}", self.shop.clock.now(), Decimal(0)
        line = QuotedLine(
            line_id="1", sku="song", quantity=1, unit_price=Decimal(total), amount=Decimal(total), discount=nothing,
            platform_discount=nothing, points_discount=nothing, tax=nothing, title="A song", store="s1",
            commission_rate=Decimal("0.05"), is_digital=True,
        )  # fmt: skip
        quote = Quote(
            channel="web", currency=currency, lines=(line,), goods=Decimal(total), discounts=nothing, freight=nothing,
            freight_discount=nothing, freight_shares=(), taxes=nothing, tax_added=nothing, points=0,
            points_amount=nothing, total=Decimal(total), coupons=(), quoted_at=now,
        )  # fmt: skip
        home = Address(recipient=Private("Ann"), phone=Private("1"), line1=Private("Road 1"), country="KR")
        place = PlaceOrder(
            order_no=order_no, buyer=buyer, quote=quote, address=home, pay_until=now + timedelta(minutes=30),
            keep_until=now + timedelta(minutes=40), placed_at=now,
        )  # fmt: skip
        await self.shop.bus().send(place)
        return order_no

    async def pay(self, order_no: str, *, key: str | None = None, buyer: UUID = ANN, **body: Any) -> Answered:
        headers = [("Idempotency-Key", key or str(uuid4()))]
        token = self.shop.token("member", id=buyer)
        return await self.shop.ask("POST", f"/api/v1/orders/{order_no}/payments", body, token=token, headers=headers)

    async def started(self, order_no: str, **body: Any) -> UUID:
        answer = await self.pay(order_no, **body)
        assert answer.status == 201, answer.body
        return UUID(answer.json["payment"])

    async def seen(self, payment: UUID) -> Attempt:
        found = await self.shop.db.state(payments, payment)
        assert found is not None
        return found

    async def order_state(self, order_no: str) -> str:
        found = await self.shop.db.state(orders, order_no)
        assert found is not None
        return found.state

    async def owed(self, order_no: str, currency: str = "CNY") -> int:
        return await self.shop.db.balance(liability(order_no, unit=currency))

    async def until(self, true: Callable[[], Awaitable[bool]], timeout_s: int = 60) -> None:
        async with asyncio.timeout(timeout_s):
            while not await true():  # noqa: ASYNC110 - for tests
                await asyncio.sleep(0.02)

    async def until_state(self, payment: UUID, *states: str) -> Attempt:
        async def reached() -> bool:
            return (await self.seen(payment)).state in states

        await self.until(reached)
        return await self.seen(payment)

    async def events(self, payment: UUID) -> list[str]:
        rows = await self.shop.core.database.kernel.fetch(
            "select type from kernel.event where kind = 'payment.payment' and stream = $1 order by version",
            str(payment),
        )
        return [row["type"].partition(".")[2] for row in rows]


@asynccontextmanager
async def serving(app: Any, listener: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1, lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def open_till(
    database: TestDatabase, folder: Path, world: World, modules: Any = WITH_MONEY, **settings: object
) -> AsyncIterator[Till]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        given = {
            "payment.simulators": str(folder / "world"),
            "payment.simulators_url": world.url,
            "payment.notify_url": url,
            "payment.inline_timeout_s": 9,  # The most there is: tests look at what the request itself got.
            **settings,
        }
        async with open_shop(database, folder / "shop", modules, **given) as shop:
            # The providers live now.
            shop.clock.set(SystemClock().now())
            await world.put("toss/simulator/webhook", url=f"{url}/api/v1/payments/callback/toss")
            async with serving(shop.web, listener):
                yield Till(shop, world, url)
            await hub.close(shop.core.settings)

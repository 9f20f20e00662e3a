"""Units and tickets that might get lost on the way: as long as somebody wants one, every unit of a sale is sold, and
nobody is sent away for good while there is one."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from contexts.flash.bazaar import Bazaar, open_bazaar
from contexts.flash.test_lies import consuming, without_queues
from contexts.ordering.market import HOME
from kernel.running import until
from pasar.apps.lab.evidence import Evidence
from pasar.contexts.inventory.facade import unbalanced
from pasar.contexts.ordering import facade_sale
from pasar.kernel.redis_link import RedisLink
from postgres import TestDatabase
from servers import broker, own_redis

pytestmark = pytest.mark.slow
BUYERS = [UUID(int=9000 + n) for n in range(300)]
UNITS, TICKET_S = 50, 10


class Buyer:
    """Goes on until there is an order, or nothing to be had. By their numbers some never come with their first
    ticket, some name an address that nobody delivers to, some hang up while their order is under way."""

    def __init__(self, bazaar: Bazaar, number: int, *, buffered: bool) -> None:
        self.bazaar, self.number, self.buffered = bazaar, number, buffered
        self.who, self.outcome, self.handed = BUYERS[number], "", ""
        self.mishap = {0: "never comes", 1: "no address", 2: "hangs up"}.get(number % 10, "")

    async def step(self) -> None:
        if self.handed:
            return await self._result()
        place = (await self.bazaar.join(self.who)).json
        if place["state"] == "sold_out":
            assert (await self.bazaar.units())[0] == 0, "sent away while there are units"
            self.outcome = "sold out"
        elif place["state"] == "admitted":
            await self._order(place["ticket"])
        else:
            assert place["ask_again_s"] is not None

    async def _order(self, ticket: str) -> None:
        mishap, self.mishap = self.mishap, ""
        if mishap == "never comes":
            self.outcome = mishap
        elif mishap == "hangs up":
            with_ticket = asyncio.create_task(self.bazaar.take(ticket, self.who, key=f"once-{self.number}"))
            await asyncio.wait({with_ticket}, timeout=0.02 * (self.number % 7))
            with_ticket.cancel()
            self.outcome = mishap
        elif self.buffered:
            where = "nowhere" if mishap else "home"
            self.handed = (await self.bazaar.hand_in(ticket, self.who, address=where)).json["ticket_id"]
        else:
            address = {**HOME, "country": "XX"} if mishap else HOME
            answer = await self.bazaar.take(ticket, self.who, address=address)
            if answer.status == 200:
                self.outcome = answer.json["order_no"]

    async def _result(self) -> None:
        found = await self.bazaar.result(self.handed, self.who)
        if found["state"] == "placed":
            self.outcome = found["order"]["order_no"]
        elif found["state"] == "refused":
            self.handed = ""


@asynccontextmanager
async def kept_by(where: str, database: TestDatabase, folder: Path) -> AsyncIterator[Bazaar]:
    """A bazaar whose queues and orders wait in the process, in Redis, in RabbitMQ, or in both."""
    often = dict.fromkeys(("flash.joins_per_member_min", "flash.joins_per_address_min"), 100_000)
    settings: dict[str, Any] = {"flash.ticket_s": TICKET_S, "flash.buffer_s": TICKET_S, **often}
    async with AsyncExitStack() as stack:
        if "redis" in where:
            settings["redis.url"] = stack.enter_context(own_redis(folder)).url
        if "broker" in where:
            settings |= {"amqp.url": broker(), "amqp.prefix": f"test-{uuid4().hex}."}
        bazaar = await stack.enter_async_context(open_bazaar(database, folder, **settings))
        if "redis" in where:
            stack.push_async_callback(bazaar.shop.core.tool(RedisLink, lambda: RedisLink(settings["redis.url"])).close)
        if "broker" in where:
            stack.push_async_callback(without_queues, facade_sale.buffer(bazaar.shop.core.settings, bazaar.shop.core))
        yield bazaar


@pytest.mark.parametrize("where", ["process", "redis", "broker", "redis and broker"])
@pytest.mark.promise("A1", "B5")
async def test_every_unit_is_sold_though_tickets_lapse(
    where: str, database: TestDatabase, tmp_path: Path, proof: Evidence
) -> None:
    async with kept_by(where, database, tmp_path) as bazaar, consuming(bazaar):
        await bazaar.prepare(UNITS, limits={"per_member": 1})
        buffered = "broker" in where
        if buffered:
            await asyncio.gather(*(bazaar.live_at("home", who) for who in BUYERS))
        buyers = [Buyer(bazaar, number, buffered=buffered) for number in range(len(BUYERS))]

        async def everybody_knows() -> bool:
            await asyncio.gather(*(buyer.step() for buyer in buyers if not buyer.outcome))
            bazaar.shop.clock.advance(timedelta(seconds=1))
            return all(buyer.outcome for buyer in buyers)

        await until(everybody_knows, 120)
        outcomes = Counter(buyer.outcome for buyer in buyers)
        placed, won = await bazaar.placed(), [outcome for outcome in outcomes if outcome.isdigit()]
        assert len(placed) == UNITS, outcomes
        assert set(won) <= set(placed)
        assert len(placed) - len(won) <= outcomes["hangs up"]
        assert await bazaar.units() == (0, 3)
        assert await unbalanced(bazaar.shop.db) == []
    proof.attempt(len(buyers))
    for mishap in ("never comes", "hangs up"):
        proof.fault(mishap, outcomes[mishap])

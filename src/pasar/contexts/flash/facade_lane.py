"""What a process knows of the queues of sales that it serves: how many units are left, asked of the ledger a few times
a second however many come."""

import asyncio
import logging
import time

import asyncpg

from pasar.accounts import sale_pool
from pasar.kernel.bus import Bus
from pasar.kernel.pool import LOST, PoolExhausted
from pasar.kernel.rates import LocalRates, Rates, RedisRates
from pasar.kernel.redis_link import RedisLink

from . import facade
from .gateway import Line, Queue
from .gateways.memory import MemoryQueue
from .gateways.redis import RedisQueue
from .ticket import Ticket

log = logging.getLogger("pasar.flash")
PASSING = (*LOST, PoolExhausted, TimeoutError, asyncpg.PostgresError)
COUNT_MS = 100
"""How old the count of what is left may be."""
LINES = 10_000
TOLD_AT_ONCE = 200


class Lane:
    """What a process knows of the queues that it serves."""

    HANDED_IN = 20_000
    """Tickets whose orders wait in the broker, as far as they are remembered."""

    def __init__(self, queue: Queue, rates: Rates) -> None:
        self.queue, self.rates = queue, rates
        self.glance = facade.Glance()
        self.streams = 0
        self._handed_in: dict[str, Ticket] = {}
        self._counted: dict[Line, tuple[int, asyncio.Task[int | None]]] = {}
        self._watched: dict[Line, _Watch] = {}

    def handed_in(self, used: Ticket) -> None:
        self._handed_in[used.id] = used
        if len(self._handed_in) > self.HANDED_IN:
            del self._handed_in[next(iter(self._handed_in))]

    def taken_back(self, ticket_id: str) -> Ticket | None:
        return self._handed_in.pop(ticket_id, None)

    async def count(self, bus: Bus, line: Line, *, now: bool = False) -> int | None:
        """Tell the queue what the ledger says, unless that was done a moment ago. Nobody waits for it but who has to:
        of many who come at once, the first one's question serves all. Returns what is left, with `now`, where it
        could be counted."""
        at = time.monotonic_ns() // 1_000_000
        counted = self._counted.get(line)
        if counted is None or (at - counted[0] > COUNT_MS and counted[1].done()):
            if len(self._counted) > LINES:
                self._counted.clear()
            task = asyncio.create_task(self._count(bus, line))
            counted = self._counted[line] = at, task
        return await asyncio.shield(counted[1]) if now else None

    async def recount(self, bus: Bus, line: Line) -> None:
        """What is known may be wrong: ask again."""
        self._counted.pop(line, None)
        await self.count(bus, line, now=True)

    async def _count(self, bus: Bus, line: Line) -> int | None:
        try:
            mark = await self.queue.mark(line)
            left = await bus.db.balance(sale_pool(line.sku, line.sale))
            await self.queue.count(line, left, mark)
        except PASSING:
            log.warning("what is left of %s could not be counted", line)
            return None
        return left

    async def sold_out(self, bus: Bus, line: Line, within_ms: int) -> bool:
        """Wait for the ledger's word that nothing is left, for so long at most; whether it came. It is asked as long
        as somebody waits, once for all of them."""
        watch = self._watched.get(line)
        if watch is None or watch.task.done():
            watch = self._watched[line] = _Watch()
            watch.task = asyncio.create_task(self._watch(bus, line, watch))
        loop = asyncio.get_running_loop()
        word: asyncio.Future[bool] = loop.create_future()
        watch.waiting.add(word)
        timer = loop.call_later(within_ms / 1000, _say, word, False)
        try:
            return await word
        finally:
            timer.cancel()
            watch.waiting.discard(word)

    async def _watch(self, bus: Bus, line: Line, watch: "_Watch") -> None:
        """Until nothing is left, or nobody waits for it any more. Who has waited is told a part at a time: buyers who
        order meanwhile do not wait for all of them."""
        while await self.count(bus, line, now=True) != 0:
            await asyncio.sleep(COUNT_MS / 1000)
            if not watch.waiting:
                break
        self._watched.pop(line, None)
        for n, word in enumerate(list(watch.waiting)):
            _say(word, True)
            if n % TOLD_AT_ONCE == TOLD_AT_ONCE - 1:
                await asyncio.sleep(0)


class _Watch:
    """Who waits for the word that nothing is left."""

    task: asyncio.Task[None]

    def __init__(self) -> None:
        self.waiting: set[asyncio.Future[bool]] = set()


def _say(word: "asyncio.Future[bool]", what: bool) -> None:
    if not word.done():
        word.set_result(what)


def lane(bus: Bus) -> Lane:
    """This process's lane; with Redis, one that it shares."""

    def make() -> Lane:
        url = bus.settings.section("redis").url
        queue, rates = MemoryQueue(bus.ids.uuid), LocalRates()
        if not url:
            return Lane(queue, rates)
        link = bus.tool(RedisLink, lambda: RedisLink(url))
        return Lane(RedisQueue(link, queue, bus.ids.uuid), RedisRates(link, rates))

    return bus.tool(Lane, make)

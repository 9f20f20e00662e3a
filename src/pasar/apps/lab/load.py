"""Open-loop load: requests arrive by the clock, whether earlier ones were answered or not, as people do. Latency counts
from the instant at which a request was due, so that a stalled server cannot hide what it kept waiting (coordinated
omission). What counts is goodput: right answers in time."""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import NamedTuple
from urllib.parse import urlsplit

import httptools

IN_TIME_S = 2.0
"""An answer that comes later helps nobody."""
CONNECTIONS = 1500


class Answer(NamedTuple):
    """`due_s` after the start it should have been sent; `took_s` from then to its last byte."""

    kind: str
    due_s: float
    status: int
    took_s: float
    served_s: float
    """From its first byte out to its last byte in: what the server took, without the wait for a connection."""
    retry_after: bool

    @property
    def good(self) -> bool:
        return self.status < 400 and self.took_s <= IN_TIME_S

    @property
    def refused(self) -> bool:
        return self.status in (429, 503)


class Wanted(NamedTuple):
    """A kind of request, its share of all, and what makes the next one."""

    kind: str
    share: float
    make: Callable[[], bytes]


class _Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self) -> None:
        self.closed = False
        self._waiting: asyncio.Future[tuple[int, bool]] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._retry_after = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result((0, False))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._retry_after = self._retry_after or name.lower() == b"retry-after"

    def on_message_complete(self) -> None:
        status, waiting = self._parser.get_status_code(), self._waiting
        self._parser = httptools.HttpResponseParser(self)
        if waiting is not None and not waiting.done():
            waiting.set_result((status, self._retry_after))

    def send(self, data: bytes) -> "asyncio.Future[tuple[int, bool]]":
        self._retry_after = False
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(data)
        return self._waiting


class Load:
    """`run` at a rate for so long; all answers are kept."""

    def __init__(self, api: str, wanted: Sequence[Wanted], seed: int) -> None:
        where = urlsplit(api)
        self._address = where.hostname or "127.0.0.1", where.port or 80
        self._wanted, self._chance = wanted, random.Random(seed)
        self._free: deque[_Connection] = deque()
        self._open = 0
        self._queue: deque[asyncio.Future[_Connection]] = deque()
        self.answers: list[Answer] = []
        self.unsent = 0

    async def run(self, per_second: float, seconds: float, *, start_s: float = 0.0) -> None:
        """Poisson arrivals. `start_s` is added to when each was due, so that phases follow each other."""
        began, due, running = perf_counter(), 0.0, set[asyncio.Task[None]]()
        shares = [one.share for one in self._wanted]
        while (due := due + self._chance.expovariate(per_second)) < seconds:
            ahead = due - (perf_counter() - began)
            if ahead > 0.001:
                await asyncio.sleep(ahead)
            elif not int(due * per_second) % 50:
                await asyncio.sleep(0)
            one = self._chance.choices(self._wanted, shares)[0]
            task = asyncio.ensure_future(self._one(one, began, due, start_s))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)

    async def _one(self, wanted: Wanted, began: float, due: float, start_s: float) -> None:
        connection: _Connection | None = None
        try:
            async with asyncio.timeout(10):
                connection = await self._take()
                sent = perf_counter()
                status, retry_after = await connection.send(wanted.make())
        except (TimeoutError, OSError):
            if connection is not None:  # Its answer may still come: whoever is next takes a new one.
                connection.transport.abort()
                self._open -= 1
                await self._refill()
            self.answers.append(Answer(wanted.kind, start_s + due, 0, 10.0, 10.0, False))
            return
        now = perf_counter()
        self._give(connection)
        self.answers.append(Answer(wanted.kind, start_s + due, status, now - began - due, now - sent, retry_after))

    async def _take(self) -> _Connection:
        while self._free:
            connection = self._free.pop()
            if not connection.closed:
                return connection
            self._open -= 1
        if self._open < CONNECTIONS:
            self._open += 1
            _, connection = await asyncio.get_running_loop().create_connection(_Connection, *self._address)
            return connection
        waiting: asyncio.Future[_Connection] = asyncio.get_running_loop().create_future()
        self._queue.append(waiting)
        return await waiting

    async def _refill(self) -> None:
        """A new connection in place of one that was given up, if somebody waits for one."""
        if any(not waiting.done() for waiting in self._queue) and self._open < CONNECTIONS:
            self._open += 1
            try:
                _, connection = await asyncio.get_running_loop().create_connection(_Connection, *self._address)
            except OSError:
                self._open -= 1
                return
            self._give(connection)

    def _give(self, connection: _Connection) -> None:
        while self._queue:
            waiting = self._queue.popleft()
            if not waiting.done():
                waiting.set_result(connection)
                return
        self._free.append(connection)

    def close(self) -> None:
        for connection in self._free:
            connection.transport.abort()


def percentile(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


class Phase(NamedTuple):
    """What one phase came to. Rates are per second, times in seconds."""

    name: str
    offered: float
    good: float
    refused: float
    p50_s: float
    p99_s: float
    refusal_p50_s: float
    refusal_p99_s: float
    strange: dict[int, int]
    without_retry_after: int


def phase(name: str, answers: Sequence[Answer], first_s: float, last_s: float) -> Phase:
    """The answers that were due in a span."""
    own = [one for one in answers if first_s <= one.due_s < last_s]
    span = last_s - first_s
    good = [one for one in own if one.good]
    refused = [one for one in own if one.refused]
    strange = Counter(one.status for one in own if (one.status >= 400 and not one.refused) or one.status == 0)
    return Phase(
        name,
        len(own) / span,
        len(good) / span,
        len(refused) / span,
        percentile([one.took_s for one in good], 50),
        percentile([one.took_s for one in good], 99),
        percentile([one.served_s for one in refused], 50),
        percentile([one.served_s for one in refused], 99),
        dict(strange),
        sum(not one.retry_after for one in refused),
    )


async def capacity(api: str, wanted: Sequence[Wanted], seed: int, *, seconds: float = 3.0, clients: int = 24) -> float:
    """Right answers a second when so many clients ask one thing after the other: about what it can do."""
    load = Load(api, wanted, seed)
    shares, ends = [one.share for one in wanted], perf_counter() + seconds
    chance = random.Random(seed)

    async def client() -> None:
        while perf_counter() < ends:
            began = perf_counter()
            await load._one(chance.choices(wanted, shares)[0], began, 0.0, 0.0)

    await asyncio.gather(*(client() for _ in range(clients)))
    load.close()
    return sum(one.good for one in load.answers) / seconds

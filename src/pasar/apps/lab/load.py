"""Open-loop load: requests arrive by the clock, whether earlier ones were answered or not, as people do. Latency counts
from the instant at which a request was due, so that a stalled server cannot hide what it kept waiting (coordinated
omission). What counts is goodput: right answers in time."""

import asyncio
import gc
import random
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import NamedTuple
from urllib.parse import urlsplit

import httptools

IN_TIME_S = 2.0
"""An answer that comes later helps nobody."""
PATIENCE_S = 10.0
LOOK_S = 0.25
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


class _Request(NamedTuple):
    """`at` is the instant at which it is due, `due_s` the same after the start. `done` hears the answer."""

    wanted: Wanted
    at: float
    due_s: float
    done: "asyncio.Future[tuple[Answer, bytes]] | None"


class _Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time. No task waits for an answer: at ten times what a server can
    take, on the same cores, the load must cost next to nothing."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._parser = httptools.HttpResponseParser(self)
        self._retry_after = False
        self._body = b""
        self.closed = False
        self.request: _Request | None = None
        self.sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._load.lost(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._retry_after = self._retry_after or name.lower() == b"retry-after"

    def on_body(self, data: bytes) -> None:
        if self.request is not None and self.request.done is not None:
            self._body += data

    def on_message_complete(self) -> None:
        status, self._parser = self._parser.get_status_code(), httptools.HttpResponseParser(self)
        self._load.answered(self, status, self._retry_after, self._body)

    def send(self, request: _Request) -> None:
        self.request, self._retry_after, self._body, self.sent = request, False, b"", perf_counter()
        self.transport.write(request.wanted.make())


class Load:
    """`run` at a rate for so long; all answers are kept. Who finds no free connection waits for one, as long as people
    do; status 0 stands for no answer."""

    def __init__(self, api: str, wanted: Sequence[Wanted], seed: int) -> None:
        where = urlsplit(api)
        self._address = where.hostname or "127.0.0.1", where.port or 80
        self._wanted, self._chance = wanted, random.Random(seed)
        self._free: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._backlog: deque[_Request] = deque()
        self._open = self._left = 0
        self._none_left = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._patience: asyncio.Task[None] | None = None
        self.answers: list[Answer] = []

    async def run(self, per_second: float, seconds: float, *, start_s: float = 0.0) -> None:
        """Poisson arrivals. `start_s` is added to when each was due, so that phases follow each other."""
        kinds = self._chance.choices(self._wanted, [one.share for one in self._wanted], k=10_007)
        number = 0
        async for at, due_s in arrivals(self._chance, per_second, seconds):
            number += 1
            self._arrive(_Request(kinds[number % len(kinds)], at, start_s + due_s, None))
        while self._left:
            self._none_left.clear()
            await self._none_left.wait()

    async def ask(self, wanted: Wanted, due_s: float = 0.0) -> tuple[Answer, bytes]:
        """One request now: its answer, and the body of that."""
        done: asyncio.Future[tuple[Answer, bytes]] = asyncio.get_running_loop().create_future()
        self._arrive(_Request(wanted, perf_counter(), due_s, done))
        return await done

    def _arrive(self, request: _Request) -> None:
        self._patience = self._patience or asyncio.ensure_future(self._give_up())
        self._left += 1
        while self._free:
            connection = self._free.pop()
            if not connection.closed:
                self._busy.add(connection)
                connection.send(request)
                return
        self._backlog.append(request)
        self._open_one_more()

    def _open_one_more(self) -> None:
        if self._open < CONNECTIONS:
            self._open += 1
            task = asyncio.ensure_future(self._connect())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> None:
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: _Connection(self), *self._address
            )
        except OSError:
            self._open -= 1  # Tried again when the next request comes, or the next look finds somebody waiting.
            return
        self._next(connection)

    def _next(self, connection: _Connection) -> None:
        if self._backlog:
            self._busy.add(connection)
            connection.send(self._backlog.popleft())
        else:
            self._free.append(connection)

    def answered(self, connection: _Connection, status: int, retry_after: bool, body: bytes) -> None:
        """Called by the connection."""
        request, connection.request = connection.request, None
        self._busy.discard(connection)
        if request is not None:
            now = perf_counter()
            self._note(request, status, now - request.at, now - connection.sent, retry_after, body)
        if not connection.transport.is_closing():
            self._next(connection)

    def lost(self, connection: _Connection) -> None:
        """Called by the connection."""
        self._open -= 1
        self._busy.discard(connection)
        request, connection.request = connection.request, None
        if request is not None:
            self._note(request, 0, PATIENCE_S, PATIENCE_S, False)
        if self._backlog:
            self._open_one_more()

    def _note(
        self, request: _Request, status: int, took_s: float, served_s: float, retry_after: bool, body: bytes = b""
    ) -> None:
        answer = Answer(request.wanted.kind, request.due_s, status, took_s, served_s, retry_after)
        self.answers.append(answer)
        if request.done is not None and not request.done.done():
            request.done.set_result((answer, body))
        self._left -= 1
        if not self._left:
            self._none_left.set()

    async def _give_up(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            over = perf_counter() - PATIENCE_S
            while self._backlog and self._backlog[0].at < over:
                self._note(self._backlog.popleft(), 0, PATIENCE_S, PATIENCE_S, False)
            for connection in [one for one in self._busy if one.sent < over]:
                connection.transport.abort()  # Its answer may still come: whoever is next takes another one.
            if self._backlog:
                self._open_one_more()

    def close(self) -> None:
        """No more requests."""
        for task in (*self._tasks, *([self._patience] if self._patience else [])):
            task.cancel()
        for connection in (*self._free, *self._busy):
            connection.transport.abort()


@contextmanager
def uncollected() -> Iterator[None]:
    """While it measures: a walk through all that a long run remembers takes 0.3 s, which the server would be said to
    have taken."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def arrivals(chance: random.Random, per_second: float, seconds: float) -> AsyncIterator[tuple[float, float]]:
    """A Poisson process by the clock: of each arrival the instant, and seconds since the start."""
    began, due, number = perf_counter(), 0.0, 0
    while (due := due + chance.expovariate(per_second)) < seconds:
        number += 1
        ahead = due - (perf_counter() - began)
        if ahead > 0.001:
            await asyncio.sleep(ahead)
        elif not number % 20:
            await asyncio.sleep(0)
        yield began + due, due


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
            await load.ask(chance.choices(wanted, shares)[0])

    await asyncio.gather(*(client() for _ in range(clients)))
    load.close()
    return sum(one.good for one in load.answers) / seconds

"""How much a process takes on at once. What is refused is refused before it is read: that costs next to nothing.

Each lane has a most of its own, and is closed when the process as a whole has as much as `until` to do: so, under
load, jobs go first, then reports, browsing and carts, and checkout goes last.

How much is too much nobody can know beforehand. Where writes come to take longer than `Pace.TARGET_S`, all lanes close
earlier, for those who were let in to be served in time; when they are quick again, the lanes open step by step.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .web import Lane
from .web_refusals import Unavailable

TOO_MUCH = "too much to do just now; repeat the request in a second, with the same key"


@dataclass(slots=True)
class Gate:
    """One lane: how many requests may be in it, and at how many in the process it closes."""

    most: int
    until: int
    apart: bool = False
    """Whether it neither closes with the others nor counts for them."""
    running: int = 0
    refused: int = 0
    closes_at: int = 0
    """`until`, as far as the pace allows."""

    def __post_init__(self) -> None:
        self.closes_at = self.until


DEFAULTS: dict[Lane, tuple[int, int]] = {
    "checkout": (512, 768),
    "cart": (384, 640),
    "browse": (256, 512),
    "reports": (8, 384),
    "jobs": (8, 256),
    "queue": (12_000, 12_000),
}


class Pace:
    """What part of the places a process can fill and still answer in time: found by how long those writes take that
    wait for nobody outside (`gauge` of a route). `look` says when it has changed. Of each `EVERY_S` the upper quartile
    counts: some step of a purchase is the slowest, and whoever waits for it is lost. While next to nobody writes,
    nobody waits, and it rises."""

    TARGET_S = 0.3
    EVERY_S = 0.2
    FEWEST = 8
    """Fewer writes in a while tell nothing."""
    LEAST, LESS, MORE = 1 / 6, 0.7, 1 / 24

    def __init__(self) -> None:
        self.share = 1.0
        self._until = 0.0
        self._took: list[float] = []

    def note(self, took_s: float) -> None:
        """A write took so long."""
        self._took.append(took_s)

    def look(self, now: float) -> bool:
        """Something ended now, by the clock of the event loop."""
        if now < self._until:
            return False
        took, self._took, self._until, before = sorted(self._took), [], now + self.EVERY_S, self.share
        if len(took) >= self.FEWEST and took[len(took) * 3 // 4] > self.TARGET_S:
            self.share = max(self.LEAST, before * self.LESS)
        else:
            self.share = min(1.0, before + self.MORE)
        return self.share != before


class Lanes:
    """The lanes of one process."""

    def __init__(self, sizes: dict[Lane, tuple[int, int]] | None = None) -> None:
        chosen = {**DEFAULTS, **(sizes or {})}
        self.gates = {name: Gate(*size, apart=name == "queue") for name, size in chosen.items()}
        self.running = 0
        self._pace = Pace()

    def closed(self, gate: Gate) -> bool:
        """Whether a lane takes nobody now."""
        return gate.running >= gate.most or (self.running >= gate.closes_at and not gate.apart)

    def took(self, now: float, took_s: float, *, gauge: bool) -> None:
        """Something took so long; by writes that are a gauge it is found how much is too much."""
        if gauge:
            self._pace.note(took_s)
        if self._pace.look(now):
            for gate in self.gates.values():
                gate.closes_at = max(1, round(gate.until * self._pace.share))

    @property
    def any_closed(self) -> bool:
        return any(self.closed(gate) for gate in self.gates.values())

    def enter(self, gate: Gate) -> None:
        """Take a place, or refuse (9003) with Retry-After."""
        if self.closed(gate):
            gate.refused += 1
            raise Unavailable(TOO_MUCH)
        gate.running += 1
        self.running += not gate.apart

    def leave(self, gate: Gate) -> None:
        gate.running -= 1
        self.running -= not gate.apart

    @contextmanager
    def place(self, lane: Lane) -> Iterator[None]:
        """A place for as long as something lasts."""
        gate = self.gates[lane]
        self.enter(gate)
        try:
            yield
        finally:
            self.leave(gate)


class Turns:
    """So many requests that have a place in a lane begin in one round of the event loop, checkouts before others. When
    thousands come at once, what is under way, answers of the database, and whoever keeps this process informed
    (revocations, deadlines) are heard between them, not after. While `informed` says no, nothing begins, for `LOOKS`
    looks at most: a loop that was busy all the time has had no chance to become informed, so looks are counted, not
    time."""

    EACH = 64
    LOOKS = 150
    AGAIN_S = 0.01

    def __init__(self, informed: Callable[[], bool] = lambda: True) -> None:
        self._informed = informed
        self._begun = 0
        self._scheduled = False
        self._looks = 0
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()

    async def take(self, *, urgent: bool = False) -> None:
        """Returns when it is this request's turn; among equals in the order of arrival."""
        loop = asyncio.get_running_loop()
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._next, loop)
        if self._begun < self.EACH and not self._urgent and not self._others and self._informed():
            self._begun += 1
            return
        turn = loop.create_future()
        (self._urgent if urgent else self._others).append(turn)
        await turn

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        self._begun = 0
        if not self._urgent and not self._others:
            self._scheduled = False
            return
        self._looks = 0 if self._informed() else self._looks + 1
        if 0 < self._looks < self.LOOKS:
            loop.call_later(self.AGAIN_S, self._next, loop)
            return
        while self._begun < self.EACH and (self._urgent or self._others):
            turn = (self._urgent or self._others).popleft()
            if not turn.done():
                turn.set_result(None)
                self._begun += 1
        loop.call_soon(self._next, loop)


class Deadlines:
    """Ends requests that take longer than they may. A look at all of them every 25 ms costs less than a timer each."""

    EVERY_S = 0.025

    def __init__(self) -> None:
        self._until: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._looking = False

    def begin(self, seconds: float) -> asyncio.Task[Any]:
        """The running task ends in so many seconds, unless `end` comes first."""
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        self._until[task] = loop.time() + seconds
        if not self._looking:
            self._looking = True
            loop.call_later(self.EVERY_S, self._look, loop)
        return task

    def end(self, task: asyncio.Task[Any]) -> None:
        self._until.pop(task, None)
        self._late.discard(task)

    def was_late(self, task: asyncio.Task[Any]) -> bool:
        """Whether it was this that cancelled the task; the cancellation is then over."""
        if task not in self._late:
            return False
        self._late.discard(task)
        return task.uncancel() == 0

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task in [task for task, until in self._until.items() if until < now]:
            del self._until[task]
            self._late.add(task)
            task.cancel()
        self._looking = bool(self._until)
        if self._looking:
            loop.call_later(self.EVERY_S, self._look, loop)

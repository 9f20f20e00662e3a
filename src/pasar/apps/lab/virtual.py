"""An event loop whose time is virtual: whoever sleeps is woken at once, in the order of their instants. With one thread
and seeded chance, everything that happens follows from the seed."""

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")
START = datetime(2026, 3, 1, tzinfo=UTC)


class Stalled(AssertionError):
    """All wait, and nobody is to be woken."""


class _Selector(selectors.DefaultSelector):
    """Instead of waiting, it lets the time pass."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> Any:
        self.loop.turns += 1
        found = super().select(0)
        if not found:
            if timeout is None:
                raise Stalled("all wait, and nobody is to be woken")
            self.loop.passed_s += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """`turns` counts its steps: in each, all go on that are due at one instant."""

    def __init__(self) -> None:
        selector = _Selector()
        selector.loop = self
        self.passed_s, self.turns = 0.0, 0
        super().__init__(selector)
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self.passed_s


class NodeClock:
    """The time of one node: that of the loop, and wrong by `skew`. It never goes back by itself, as a clock that is
    kept by NTP; who sets `skew` may turn it back."""

    def __init__(self, loop: VirtualLoop, start: datetime = START) -> None:
        self._loop, self._start = loop, start
        self.skew = timedelta()

    def now(self) -> datetime:
        passed = timedelta(microseconds=round(self._loop.passed_s * 1_000_000))
        return self._start + passed + self.skew


def run(main: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    """Run to the end in virtual time; tasks that are left are cancelled."""
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        asyncio.set_event_loop(None)
        loop.close()

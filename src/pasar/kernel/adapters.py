"""Adapters to the outside in one role: who is well, who gets how much traffic, and who stands in.

A breaker counts failures in a row. When it opens, the adapter is left alone until its pause is over; then one call at
a time may try, and the first that succeeds closes it. What counts as failure is for the role to say: a provider's "no"
is an answer. `check` asks adapters that were not heard of for a while, in the background of whoever looks.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Generic, NamedTuple, TypeVar

import structlog

from .clock import Clock
from .metrics import counter, duration, gauge

A = TypeVar("A")
T = TypeVar("T")

healthy_gauge = gauge(
    "pasar_adapter_healthy", "1 while the adapter may be used", ["role", "adapter"], across_processes="livemin"
)
calls_counter = counter("pasar_adapter_calls_total", "Calls by how they ended", ["role", "adapter", "outcome"])
call_duration = duration("pasar_adapter_call_seconds", "How long calls take", ["role", "adapter"])
log = structlog.get_logger(__name__)


class AdapterDown(Exception):
    """The breaker is open: nothing was sent."""


class Health(NamedTuple):
    """What is known of an adapter. `share` is in percent of the traffic that reaches it."""

    name: str
    healthy: bool
    share: int
    failures: int
    asked_at: datetime | None


@dataclass
class _Entry(Generic[A]):
    name: str
    adapter: A
    share: int
    check: Callable[[], Awaitable[Any]] | None
    failures: int = 0
    open_until: datetime | None = None
    trying: bool = False
    asked_at: datetime | None = None
    checking: "asyncio.Task[None] | None" = field(default=None, repr=False)


class Adapters(Generic[A]):
    """All adapters of a role, in the order of preference. `trouble` are the exceptions that tell of a failure."""

    def __init__(
        self,
        role: str,
        clock: Clock,
        *,
        trouble: tuple[type[BaseException], ...],
        threshold: int = 5,
        pause: timedelta = timedelta(seconds=30),
        check_every: timedelta = timedelta(seconds=30),
    ) -> None:
        self.role, self._clock, self._trouble = role, clock, (*trouble, TimeoutError)
        self._threshold, self._pause, self._check_every = threshold, pause, check_every
        self._entries: dict[str, _Entry[A]] = {}

    def register(
        self, name: str, adapter: A, *, share: int = 100, check: Callable[[], Awaitable[Any]] | None = None
    ) -> None:
        """`share`: of the traffic that those before it have left, so many percent; 0 takes none but what names it."""
        if name in self._entries or not 0 <= share <= 100:
            raise ValueError(f"{self.role} {name}: registered before, or a share that is no percentage")
        self._entries[name] = _Entry(name, adapter, share, check)
        self._show(self._entries[name])

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> A:
        return self._entries[name].adapter

    def items(self) -> Iterable[tuple[str, A]]:
        return [(entry.name, entry.adapter) for entry in self._entries.values()]

    def is_healthy(self, name: str) -> bool:
        entry = self._entries[name]
        return entry.open_until is None or (self._clock.now() >= entry.open_until and not entry.trying)

    def health(self) -> list[Health]:
        return [
            Health(entry.name, self.is_healthy(entry.name), entry.share, entry.failures, entry.asked_at)
            for entry in self._entries.values()
        ]

    def candidates(
        self, key: str, fits: Callable[[A], bool] = lambda _: True, shares: Mapping[str, int] | None = None
    ) -> list[str]:
        """Whom to try, one after the other: chosen by share first, the others stand in. The same for the same key.
        `shares`: by name, in place of those that were registered."""
        share_of = {name: (shares or {}).get(name, entry.share) for name, entry in self._entries.items()}
        usable = [e for e in self._entries.values() if share_of[e.name] and self.is_healthy(e.name) and fits(e.adapter)]
        for entry in usable:
            if _draw(f"{self.role}/{entry.name}/{key}") < share_of[entry.name]:
                return [entry.name, *(other.name for other in usable if other is not entry)]
        return [entry.name for entry in usable]

    async def call(self, name: str, function: Callable[[A], Awaitable[T]], within: timedelta | None = None) -> T:
        """One call, counted. Raises `AdapterDown` without calling while the breaker is open."""
        entry = self._entries[name]
        if not self.is_healthy(name):
            raise AdapterDown(f"{self.role} {name} has failed {entry.failures} times in a row")
        half_open, entry.trying = entry.open_until is not None, entry.open_until is not None
        outcome = "cancelled"
        try:
            with call_duration.labels(self.role, name).time():
                async with asyncio.timeout(None if within is None else within.total_seconds()):
                    result = await function(entry.adapter)
            outcome = "ok"
            return result
        except self._trouble:
            outcome = "trouble"
            raise
        except Exception:
            outcome = "refused"
            raise
        finally:
            calls_counter.labels(self.role, name, outcome).inc()
            if half_open:
                entry.trying = False
            if outcome != "cancelled":
                self._note(entry, outcome != "trouble")

    def _note(self, entry: _Entry[A], worked: bool) -> None:
        entry.asked_at = self._clock.now()
        if worked:
            if entry.open_until is not None:
                log.info("adapter is back", role=self.role, adapter=entry.name)
            entry.failures, entry.open_until = 0, None
        else:
            entry.failures += 1
            if entry.failures >= self._threshold:
                if entry.open_until is None:
                    log.error("adapter is down", role=self.role, adapter=entry.name, failures=entry.failures)
                entry.open_until = entry.asked_at + self._pause
        self._show(entry)

    def _show(self, entry: _Entry[A]) -> None:
        healthy_gauge.labels(self.role, entry.name).set(0 if entry.open_until is not None else 1)

    async def check(self) -> None:
        """Ask those that were not heard of for `check_every`, and wait for their answers."""
        await asyncio.gather(*self._start_checks())

    def check_in_background(self) -> None:
        """The same, without waiting."""
        self._start_checks()

    def _start_checks(self) -> list["asyncio.Task[None]"]:
        now, tasks = self._clock.now(), []
        for entry in self._entries.values():
            if entry.check is None or (entry.asked_at is not None and now - entry.asked_at < self._check_every):
                continue
            if entry.checking is None or entry.checking.done():
                entry.checking = asyncio.create_task(self._check(entry))
            tasks.append(entry.checking)
        return tasks

    async def _check(self, entry: _Entry[A]) -> None:
        """A failed check is a failure like others, but it opens the breaker at once: nobody has to suffer first."""
        check = entry.check
        assert check is not None
        entry.asked_at = self._clock.now()
        try:
            async with asyncio.timeout(self._check_every.total_seconds()):
                await check()
        except self._trouble:
            entry.failures = max(entry.failures, self._threshold - 1)
            self._note(entry, False)
        except Exception:  # It answered.
            self._note(entry, True)
        else:
            self._note(entry, True)

    async def close(self) -> None:
        """End checks that are under way."""
        for entry in self._entries.values():
            if entry.checking is not None:
                entry.checking.cancel()
                with suppress(asyncio.CancelledError):
                    await entry.checking


def _draw(text: str) -> int:
    """0 to 99, evenly, and the same for the same text."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) % 100

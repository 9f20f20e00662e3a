"""Applies events to a view's table: rows and cursor in one transaction, in sets, never for long."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import asyncpg

from .clock import Clock
from .followers import Cursor, load_cursor, move_cursor, read_one
from .messages import Event
from .parking import BEHIND, Failure, Lane, due, first_of, park, parked_lanes, postpone, unpark
from .pool import LOST, Pool
from .store import Recorded
from .views import View, binder, poisoned, steps

OURS = (
    *LOST,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.InsufficientResourcesError,
    asyncpg.SyntaxOrAccessError,
)
"""What is not the event's fault: the server's state, or a statement that is wrong for every event."""

CHUNK_S = 0.1
"""A chunk should take half of the longest time that a transaction may hold other followers up (200 ms)."""


class StaleView(Exception):
    """The table was made by another definition of the view; it is rebuilt before this one follows it."""


def lane_of(recorded: Recorded) -> str:
    return f"{recorded.kind}-{recorded.stream}"


class Writer:
    """Runs a view's statements, on its table or on one beside it."""

    def __init__(self, view: View, table: str | None = None) -> None:
        self._view = view
        self._statements = view.statements(table)
        self._binders: dict[str, Callable[[Recorded], Sequence[Any]]] = {}

    async def apply(self, connection: Any, events: Sequence[Recorded], scope: int | None = None) -> None:
        """Within the caller's transaction, which has the tenant `scope`. Tenants never share a row, so each has its
        turn."""
        for tenant, group in groupby(sorted(events, key=lambda event: event.tenant), key=lambda event: event.tenant):
            if tenant != scope:
                await connection.execute("select set_config('pasar.tenant', $1, true)", str(tenant))
                scope = tenant
            for step in steps(self._view, list(group)):
                await self._run(connection, step.kind, step.events)

    async def _run(self, connection: Any, kind: type[Event], events: Sequence[Recorded]) -> None:
        for sql, parameters in self._statements[kind]:
            bind = self._binders.get(sql)
            if bind is None:
                prepared = await connection.prepare(sql)
                wanted = [parameter.name for parameter in prepared.get_parameters()]
                bind = self._binders[sql] = binder(parameters, wanted)
            if len(events) == 1:
                await connection.execute(sql, *bind(events[0]))
            else:
                await connection.executemany(sql, [bind(event) for event in events])


class Chunks:
    """How many events fit into one transaction, by how long the last ones took."""

    def __init__(self, size: int = 256, most: int = 4096) -> None:
        self.size, self._most = size, most

    def took(self, count: int, seconds: float) -> None:
        fitting = count * CHUNK_S / max(seconds, 1e-6)
        self.size = int(min(self._most, max(1, fitting), 2 * self.size))


class ViewFollower:
    """Feeds one view. What one event breaks is parked with its stream; other streams flow."""

    every = False

    def __init__(self, view: View, pool: Pool, clock: Clock, *, table: str | None = None) -> None:
        beside = table is not None and table != view.table
        self.view, self._pool, self._clock = view, pool, clock
        self._table = table or view.table
        self.name = f"view:{self._table}"
        self.types = view.types
        self._live = not beside
        self._chunks = Chunks()
        self._parked: set[Lane] = set()
        self.cursor = Cursor(0, 0, 0)

    async def begin(self) -> None:
        self._writer = Writer(self.view, self._table)
        self._parked = await parked_lanes(self._pool, self.name)
        self.cursor = await load_cursor(self._pool, self.name)
        if self._live:
            made_by = await self._pool.fetchval(
                "select definition from kernel.view_table where view = $1", self.view.table
            )
            if made_by != self.view.definition:
                raise StaleView(self.view.table)

    async def handle(self, events: Sequence[Recorded], old: Cursor, new: Cursor) -> Cursor:
        done = 0
        while done < len(events):
            part = events[done : done + self._chunks.size]
            done += len(part)
            end = new if done >= len(events) else Cursor(part[-1].epoch, part[-1].xid, part[-1].position)
            started = asyncio.get_running_loop().time()
            await self._chunk(part, old, end)
            self._chunks.took(len(part), asyncio.get_running_loop().time() - started)
            old = self.cursor = end
        return old

    async def _chunk(self, events: Sequence[Recorded], old: Cursor, new: Cursor) -> None:
        if not any(poisoned(event) or (event.tenant, lane_of(event)) in self._parked for event in events):
            try:
                # Rows and cursor are lost together or not at all, and what is lost is folded again.
                async with self._pool.repeatable(tenant := events[0].tenant) as connection:
                    await move_cursor(connection, self.name, old, new)
                    await self._writer.apply(connection, events, tenant)
                return
            except Exception as error:
                if not _is_poison(error):
                    raise
                # One of the events does it: find out which.
        async with self._pool.acquire() as connection, connection.transaction():
            await move_cursor(connection, self.name, old, new)
            failures = await self._one_by_one(connection, events)
            await park(connection, self.name, failures, self._clock.now())
        self._parked.update((failure.event.tenant, failure.lane) for failure in failures)

    async def _one_by_one(self, connection: Any, events: Sequence[Recorded]) -> list[Failure]:
        failures: list[Failure] = []
        stuck = set(self._parked)
        for event in events:
            lane = lane_of(event)
            if (event.tenant, lane) in stuck:
                failures.append(Failure(event, lane, BEHIND, attempts=0))
                continue
            reason = await self._try(connection, event)
            if reason is not None:
                stuck.add((event.tenant, lane))
                failures.append(Failure(event, lane, reason))
        return failures

    async def _try(self, connection: Any, event: Recorded) -> str | None:
        reason = poisoned(event)
        if reason is None:
            try:
                async with connection.transaction():
                    await self._writer.apply(connection, [event])
            except Exception as error:
                if not _is_poison(error):
                    raise
                reason = f"{error.__class__.__name__}: {error}"
        return reason

    async def again(self) -> bool:
        """Replays of parked lanes that people asked for, or that queued up while their lane became free."""
        if not self._parked:
            return False
        heads = await due(self._pool, self.name, self._clock.now())
        for head in heads:
            lane = head.tenant, head.lane
            parked: Any = head
            while parked is not None and await self._replay(parked):
                parked = await first_of(self._pool, self.name, lane)
            if parked is None:
                self._parked.discard(lane)
        return bool(heads)

    async def _replay(self, parked: Any) -> bool:
        event = await read_one(self._pool, parked.tenant, parked.kind, parked.stream, parked.version)
        async with self._pool.acquire() as connection, connection.transaction():
            await move_cursor(connection, self.name, self.cursor, self.cursor)
            reason = None if event is None else await self._try(connection, event)
            if reason is None:
                await unpark(connection, parked)
            else:
                await postpone(connection, parked, reason, None, self._clock.now())
        return reason is None


def _is_poison(error: Exception) -> bool:
    """Values that do not fit are refused by the driver with an error that also looks like a lost connection."""
    if isinstance(error, ValueError | TypeError | AttributeError | ArithmeticError):
        return True
    return isinstance(error, asyncpg.PostgresError) and not isinstance(error, OURS)

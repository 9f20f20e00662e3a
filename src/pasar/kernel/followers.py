"""Reading the log: in order, without gaps, from a place that is remembered, by one worker at a time.

Positions are given when an event is inserted and become visible when its transaction commits, so later positions can
be seen first. Followers therefore order by, and remember, the triple (epoch, xid, position), and stop at the oldest
transaction that still runs: nothing can appear below it any more.
"""

import asyncio
import hashlib
from bisect import bisect_right
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from .messages import Event, name_of
from .pool import Pool
from .store import Database, Recorded


class Cursor(NamedTuple):
    """A place in the log: everything up to and including it is done."""

    epoch: int
    xid: int
    position: int


START = Cursor(0, 0, 0)


class Fenced(Exception):
    """The cursor is not where this worker left it: another one follows now, or the view was swapped."""


class NotPrimary(Exception):
    """A replica has no horizon of its own: the log is followed on the primary only."""


class Batch(NamedTuple):
    """All that the log holds after `start` up to and including `end`; of types that nobody wants, nothing."""

    start: Cursor
    end: Cursor
    events: Sequence[Recorded]
    size: int


_COLUMNS = "tenant, kind, stream, version, type, data::text as data, meta::text as meta, at, epoch, xid, position"
READ = f"""
    select {_COLUMNS} from kernel.event
     where (epoch, xid, position) > ($1::smallint, $2::xid8, $3::bigint)
       and (epoch < (select epoch from kernel.cluster) or xid < pg_snapshot_xmin(pg_current_snapshot()))
     order by epoch, xid, position limit $4"""
_READ_TYPES = f"""
    select {_COLUMNS} from kernel.event
     where (epoch, xid, position) > ($1::smallint, $2::xid8, $3::bigint)
       and (epoch, xid, position) <= ($4::smallint, $5::xid8, $6::bigint) and type = any($7)
     order by epoch, xid, position limit $8"""
_END = """
    select epoch, xid, position from kernel.event
     where epoch < (select epoch from kernel.cluster) or xid < pg_snapshot_xmin(pg_current_snapshot())
     order by epoch desc, xid desc, position desc limit 1"""
_ONE = f"select {_COLUMNS} from kernel.event where (tenant, kind, stream, version) = ($1, $2, $3, $4)"


def stored_types(kinds: Collection[type[Event]]) -> frozenset[str]:
    """The names under which events of these classes are, or in older schemas were, stored."""
    names = set()
    for kind in kinds:
        base = name_of(kind).partition("@")[0]
        names.update(base if schema == 1 else f"{base}@{schema}" for schema in range(1, kind.schema + 1))
    return frozenset(names)


def recorded(row: Any) -> Recorded:
    """A row of the log."""
    return Recorded(*row.values())


def place(row: Any) -> Cursor:
    return Cursor(row["epoch"], row["xid"], row["position"])


async def read(pool: Pool, after: Cursor, types: frozenset[str], limit: int) -> Batch:
    """The next events in order, without those that are not of `types`."""
    rows = await pool.fetch(READ, *after, limit)
    end = place(rows[-1]) if rows else after
    return Batch(after, end, [recorded(row) for row in rows if row["type"] in types], len(rows))


async def read_types(pool: Pool, after: Cursor, end: Cursor, types: frozenset[str], limit: int) -> Batch:
    """Only events of `types`, up to a known end: for rebuilding."""
    rows = await pool.fetch(_READ_TYPES, *after, *end, list(types), limit)
    last = place(rows[-1]) if len(rows) == limit else end
    return Batch(after, last, [recorded(row) for row in rows], len(rows))


async def read_one(pool: Pool, tenant: int, kind: str, stream: str, version: int) -> Recorded | None:
    row = await pool.fetchrow(_ONE, tenant, kind, stream, version)
    return None if row is None else recorded(row)


async def end_of_log(pool: Any) -> Cursor:
    """The last event that followers may see by now."""
    row = await pool.fetchrow(_END)
    return START if row is None else place(row)


async def load_cursor(pool: Pool, follower: str) -> Cursor:
    """Where a follower is; a new one is at the start of the log."""
    row = await pool.fetchrow(
        """with made as (insert into kernel.cursor (follower) values ($1) on conflict do nothing
                         returning epoch, xid, position)
           select epoch, xid, position from made union all
           select epoch, xid, position from kernel.cursor where follower = $1""",
        follower,
    )
    return START if row is None else place(row)


async def move_cursor(connection: Any, follower: str, old: Cursor, new: Cursor) -> None:
    """The fence: in the transaction of the effects, and first in it, so that a rival waits here and then fails."""
    moved = await connection.fetchval(
        """update kernel.cursor set epoch = $5, xid = $6, position = $7, updated_at = clock_timestamp()
            where follower = $1 and (epoch, xid, position) = ($2, $3, $4) returning true""",
        *(follower, *old, *new),
    )
    if not moved:
        raise Fenced(follower)


class Feed:
    """Reads the log once for all followers of a worker and keeps its newest batches. Followers that are further back,
    all of them at the start of a new worker, share what one of them reads."""

    def __init__(self, pool: Pool, types: frozenset[str], *, limit: int = 1000, keep: int = 20) -> None:
        self._pool, self._types, self._limit, self._keep = pool, types, limit, keep
        self._batches: list[Batch] = []
        self._older: dict[Cursor, asyncio.Task[Batch]] = {}
        self._more = asyncio.Event()
        self.head = START
        self.full = False
        """Whether the last read brought as much as it may: there is more."""

    async def begin(self) -> None:
        self._batches.clear()
        self._older.clear()
        self.head = await end_of_log(self._pool)

    async def poll(self) -> int:
        """Read what is new; how many events that were."""
        batch = await read(self._pool, self.head, self._types, self._limit)
        self.full = batch.size == self._limit
        if batch.size:
            self._batches.append(batch)
            del self._batches[: -self._keep]
            self.head = batch.end
            self._more.set()
            self._more = asyncio.Event()
        return batch.size

    async def after(self, cursor: Cursor, timeout_s: float) -> Batch | None:
        """The batch that follows a cursor, None if there is none in time. It may begin before the cursor."""
        if cursor >= self.head:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._more.wait()
        if cursor >= self.head:
            return None
        no = bisect_right(self._batches, cursor, key=lambda batch: batch.start) - 1
        if no < 0:
            return await self._read_older(cursor)
        batch = self._batches[no]
        if batch.start == cursor:
            return batch
        rest = [event for event in batch.events if event.place > cursor]
        return Batch(cursor, batch.end, rest, batch.size)

    async def _read_older(self, cursor: Cursor) -> Batch:
        reading = self._older.get(cursor)
        if reading is None or (reading.done() and (reading.cancelled() or reading.exception() is not None)):
            while len(self._older) >= self._keep:
                del self._older[next(iter(self._older))]
            reading = asyncio.create_task(read(self._pool, cursor, self._types, self._limit))
            self._older[cursor] = reading
        return await asyncio.shield(reading)


LEASE_SETTINGS = {
    "application_name": "pasar leases",
    "tcp_keepalives_idle": "1",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "4000",
}
"""The server notices within seconds that a worker's machine is gone; a killed process it notices at once."""


def lock_number(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"pasar:{name}".encode(), digest_size=8).digest(), signed=True)


class Leases:
    """Which followers this worker has: locks of one connection of its own, free the moment that it is gone."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Any = None
        self._lock = asyncio.Lock()
        self.held: set[str] = set()

    async def _connected(self) -> Any:
        if self._connection is None or self._connection.is_closed():
            self.held.clear()
            connection = await self._database.connect(LEASE_SETTINGS)
            if await connection.fetchval("select pg_is_in_recovery()"):
                await connection.close()
                raise NotPrimary
            self._connection = connection
            return connection
        return self._connection

    async def take(self, names: Collection[str]) -> list[str]:
        """Those of `names` that were free, and now are ours. Also the heartbeat: raises when the connection is lost."""
        async with self._lock:
            connection = await self._connected()
            wanted = [name for name in names if name not in self.held]
            try:
                async with asyncio.timeout(3):
                    rows = await connection.fetch(
                        """select name, pg_try_advisory_lock(number) as got
                             from unnest($1::text[], $2::bigint[]) u (name, number)""",
                        *(wanted, [lock_number(name) for name in wanted]),
                    )
            except BaseException:
                self.lose()
                raise
            taken = [row["name"] for row in rows if row["got"]]
            self.held.update(taken)
            return taken

    async def give(self, name: str) -> None:
        async with self._lock:
            if name in self.held and self._connection is not None:
                self.held.discard(name)
                await self._connection.execute("select pg_advisory_unlock($1)", lock_number(name))

    def lose(self) -> None:
        """All at once: what is not certain is not ours."""
        self.held.clear()
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def close(self) -> None:
        self.held.clear()
        if self._connection is not None:
            with suppress(Exception):
                await self._connection.close(timeout=1)
            self._connection = None


class Follower(Protocol):
    """Whoever hears events: a view, a policy, a process, a reaction, the roll-up."""

    name: str
    types: frozenset[str]
    every: bool
    """Whether it is handed each batch, even one without events of its types."""
    cursor: Cursor
    """As it is stored."""

    async def begin(self) -> None:
        """Learn where it stopped."""
        ...

    async def handle(self, events: Sequence[Recorded], old: Cursor, new: Cursor) -> Cursor:
        """Do what these events ask for and move the cursor; where it is now. Raises `Fenced`."""
        ...

    async def again(self) -> bool:
        """Try what is due again; whether there was anything."""
        ...

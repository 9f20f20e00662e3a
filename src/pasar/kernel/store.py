"""What is stored, for reading: streams, events, claims and balances, by tenant."""

import asyncio
from collections.abc import AsyncIterator, Generator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from .commit import SETTINGS, Committer, event_id
from .decider import Decider
from .ledger import Account
from .messages import Event, Value, decode, decode_event
from .pool import LOST, Pool, Record
from .rows import row_to

S = TypeVar("S", bound=Value)
T = TypeVar("T")
StreamKey = tuple[int, str, str]


class Lookup(NamedTuple):
    """A statement that finds rows by their keys, whatever their values: it is planned once, not at every call. Planning
    costs more than such a statement itself."""

    sql: str


_PLANNED_ONCE = {"plan_cache_mode": "force_generic_plan"}


class Unreadable(msgspec.Struct, frozen=True):
    """Stands for an event that could not be decoded; whoever wanted it parks it with this reason."""

    reason: str


class Recorded:
    """An event as it stands in the log: what followers hear. Its data and meta are decoded when somebody first looks at
    them, once for all who hear it."""

    __slots__ = ("_event", "_meta", "at", "epoch", "kind", "position", "stream", "tenant", "type", "version", "xid")

    def __init__(
        self,
        tenant: int,
        kind: str,
        stream: str,
        version: int,
        type: str,
        event: Event | str,
        meta: dict[str, Any] | str,
        at: datetime,
        epoch: int,
        xid: int,
        position: int,
    ) -> None:
        self.tenant, self.kind, self.stream, self.version, self.type = tenant, kind, stream, version, type
        self._event, self._meta = event, meta
        self.at, self.epoch, self.xid, self.position = at, epoch, xid, position

    @property
    def event(self) -> Event:
        """The event; in place of one that cannot be decoded, its `Unreadable`."""
        event: Any = self._event
        if type(event) is str:
            try:
                event = decode_event(self.type, event)
            except Exception as error:  # Whatever is wrong with it, it must not stop the events of others.
                event = Unreadable(f"{error.__class__.__name__}: {error}")
            self._event = event
        return event

    @property
    def meta(self) -> dict[str, Any]:
        meta = self._meta
        if isinstance(meta, str):
            meta = self._meta = _meta(meta)
        return meta

    @property
    def place(self) -> tuple[int, int, int]:
        """Where it is in the log; later events have a greater one."""
        return self.epoch, self.xid, self.position

    @property
    def id(self) -> UUID:
        return event_id(self.tenant, self.kind, self.stream, self.version)


_meta = msgspec.json.Decoder(dict[str, Any]).decode


class Stored(NamedTuple, Generic[S]):
    """A stream's folded state at a version; version 0 has not begun."""

    version: int
    state: S
    owner: str | None = None


class Owned(NamedTuple, Generic[S]):
    id: str
    opened_at: datetime
    version: int
    state: S


class Closed(Exception):
    """The database is not open."""


class Streams:
    """Loads folded states: those asked for in one turn of the event loop by one statement, states that this process
    has already decoded only by their version. What it returns has been checked against the database, but for `peek`."""

    _SQL = """
        select u.no, s.version, s.state_schema, s.owner, case when s.version <> u.known then s.state::text end as state
          from unnest($1::int[], $2::text[], $3::text[], $4::int[]) with ordinality u (tenant, kind, id, known, no)
          join kernel.stream s on s.tenant = u.tenant and s.kind = u.kind and s.id = u.id"""

    def __init__(self, pool: Pool, *, capacity: int = 20_000, batch: int = 256) -> None:
        self._pool, self._capacity, self._batch = pool, capacity, batch
        self._known: dict[StreamKey, Stored[Any]] = {}
        self._asked: dict[StreamKey, tuple[Decider[Any], asyncio.Future[Stored[Any]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def peek(self, tenant: int, kind: str, id: str) -> Stored[Any] | None:
        """What this process last knew: good enough to try a commit with, which checks the version, never to refuse."""
        return self._known.get((tenant, kind, id))

    def remember(self, tenant: int, kind: str, id: str, stored: Stored[Any]) -> None:
        key = (tenant, kind, id)
        self._known.pop(key, None)
        self._known[key] = stored
        if len(self._known) > self._capacity:
            del self._known[next(iter(self._known))]

    def ask(self, tenant: int, decider: Decider[S], id: str) -> "asyncio.Future[Stored[S]]":
        """Ask for a state now, to be waited for later. The future is shared: shield it."""
        key = (tenant, decider.kind, id)
        asked = self._asked.get(key)
        if asked is None:
            loop = asyncio.get_running_loop()
            if not self._asked:
                loop.call_soon(self._start)
            asked = self._asked[key] = decider, loop.create_future()
        return asked[1]

    async def load(self, tenant: int, decider: Decider[S], id: str) -> Stored[S]:
        return await asyncio.shield(self.ask(tenant, decider, id))

    def _start(self) -> None:
        asked, self._asked = list(self._asked.items()), {}
        for i in range(0, len(asked), self._batch):
            task = asyncio.create_task(self._fetch(asked[i : i + self._batch]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _fetch(self, asked: list[tuple[StreamKey, tuple[Decider[Any], asyncio.Future[Stored[Any]]]]]) -> None:
        known = [self._known.get(key) for key, _ in asked]
        try:
            tenants, kinds, ids = zip(*(key for key, _ in asked), strict=True)
            rows = await retry_once(
                self._pool.fetch, self._SQL, tenants, kinds, ids, [stored.version if stored else 0 for stored in known]
            )
            found: dict[int, Record] = {row["no"] - 1: row for row in rows}
            for i, (key, (decider, waiting)) in enumerate(asked):
                stored = await self._stored(decider, key, known[i], found.get(i))
                self.remember(*key, stored)
                if not waiting.done():
                    waiting.set_result(stored)
        except BaseException as error:
            for _, (_, waiting) in asked:
                if not waiting.done():
                    waiting.set_exception(error)
                    waiting.exception()  # Whoever waits still gets it; nobody need be left.
            if not isinstance(error, Exception):
                raise

    async def _stored(
        self, decider: Decider[Any], key: StreamKey, known: Stored[Any] | None, row: Record | None
    ) -> Stored[Any]:
        if row is None:
            return Stored(0, decider.initial)
        if row["state"] is None and known is not None:
            return known
        if row["state_schema"] != decider.state_schema:
            return await self.refolded(decider, key, row["owner"])
        return Stored(row["version"], decode(row["state"], type(decider.initial)), row["owner"])

    async def refolded(self, decider: Decider[Any], key: StreamKey, owner: str | None) -> Stored[Any]:
        """A state whose shape has changed since it was stored: folded again from its events."""
        rows = await self._pool.fetch(
            """select version, type, data::text from kernel.event
                where (tenant, kind, stream) = ($1, $2, $3) order by version""",
            *key,
        )
        state = decider.fold(decider.initial, [decode_event(row["type"], row["data"]) for row in rows])
        return Stored(len(rows), state, owner)


async def retry_once(call: Any, *arguments: Any) -> Any:
    """Reads may be repeated: once, when the connection was lost (a restarted server, a failover)."""
    try:
        return await call(*arguments)
    except LOST:
        return await call(*arguments)


class Asked(Generic[S]):
    """States that were asked for; await it once for those of streams that have begun, by id."""

    __slots__ = ("_asked", "_keys")

    def __init__(self, keys: Sequence[str], asked: "Sequence[asyncio.Future[Stored[S]]]") -> None:
        self._keys, self._asked = keys, asked

    def __await__(self) -> Generator[Any, None, dict[str, S]]:
        found = {}
        for key, asked in zip(self._keys, self._asked, strict=True):
            stored = asked.result() if asked.done() else (yield from asyncio.shield(asked).__await__())
            if stored.version:
                found[key] = stored.state
        return found


class Reader:
    """Queries of one tenant. Row-level security hides all others, also from a statement that forgets to say so."""

    def __init__(self, tenant: int, pool: Pool, lookups: Pool, streams: Streams) -> None:
        self.tenant, self._pool, self._lookups, self._streams = tenant, pool, lookups, streams

    async def fetch(self, sql: str | Lookup, *arguments: Any) -> list[Record]:
        if isinstance(sql, Lookup):
            return await retry_once(self._lookups.fetch, sql.sql, *arguments)
        return await retry_once(self._pool.fetch, sql, *arguments)

    async def fetchrow(self, sql: str, *arguments: Any) -> Record | None:
        return await retry_once(self._pool.fetchrow, sql, *arguments)

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        return await retry_once(self._pool.fetchval, sql, *arguments)

    async def all(self, kind: type[T], sql: str | Lookup, *arguments: Any) -> list[T]:
        """Rows as values, by column name; jsonb columns are decoded into the field's type."""
        return [row_to(kind, row) for row in await self.fetch(sql, *arguments)]

    async def one(self, kind: type[T], sql: str, *arguments: Any) -> T | None:
        row = await self.fetchrow(sql, *arguments)
        return None if row is None else row_to(kind, row)

    async def stored(self, decider: Decider[S], id: object) -> Stored[S]:
        return await self._streams.load(self.tenant, decider, str(id))

    async def state(self, decider: Decider[S], id: object) -> S | None:
        """The folded state of a stream, as of now; None when it has not begun."""
        stored = await self.stored(decider, id)
        return stored.state if stored.version else None

    def states(self, decider: Decider[S], ids: Iterable[object]) -> "Asked[S]":
        """The folded states of those streams that have begun, in one statement. They are asked for at once, so calls
        that are made before the first is awaited share their statement without a task each."""
        keys = list(dict.fromkeys(str(id) for id in ids))
        return Asked(keys, [self._streams.ask(self.tenant, decider, key) for key in keys])

    async def owned(
        self, decider: Decider[S], owner: str, *, limit: int = 20, after: tuple[datetime, str] | None = None
    ) -> list[Owned[S]]:
        """An owner's streams, newest first, right the moment the command that changed them returned."""
        # With the limit as a parameter it would read all that an owner has.
        rows = await self.fetch(
            Lookup(f"{_OWNED} limit {int(limit)}"), self.tenant, decider.kind, owner, *(after or _END)
        )
        kind = type(decider.initial)
        return [
            Owned(
                row["id"],
                row["opened_at"],
                row["version"],
                decode(row["state"], kind)
                if row["state_schema"] == decider.state_schema
                else (await self._streams.refolded(decider, (self.tenant, decider.kind, row["id"]), owner)).state,
            )
            for row in rows
        ]

    async def every_owned(self, decider: Decider[S], owner: str, *, page: int = 100) -> AsyncIterator[Owned[S]]:
        """All of an owner's streams, newest first, read page by page."""
        after: tuple[datetime, str] | None = None
        while True:
            found = await self.owned(decider, owner, limit=page, after=after)
            for one in found:
                yield one
            if len(found) < page:
                return
            after = found[-1].opened_at, found[-1].id

    async def claimed(self, kind: str, keys: Sequence[str]) -> dict[str, str]:
        """Which streams have claimed these keys: key → stream id."""
        rows = await self.fetch(_CLAIMED, self.tenant, kind, list(keys))
        return {row["key"]: row["owner"] for row in rows}

    async def balances(self, accounts: Sequence[Account]) -> list[int]:
        """What may be taken from each: exact for accounts with a floor, rolled up a moment ago for others."""
        rows = await self.fetch(_BALANCES, self.tenant, [a.id for a in accounts], [a.unit for a in accounts])
        return [row["balance"] for row in rows]

    async def balance(self, account: Account) -> int:
        return (await self.balances([account]))[0]

    async def held(self, account: Account) -> int:
        """What is set aside from an account with a floor."""
        held = await self.fetchval(
            "select held from kernel.account where (tenant, id, unit) = ($1, $2, $3)",
            *(self.tenant, account.id, account.unit),
        )
        return held or 0


_OWNED = """
    select id, opened_at, version, state_schema, state::text from kernel.stream
     where tenant = $1 and kind = $2 and owner = $3 and (opened_at, id) < ($4, $5)
     order by opened_at desc, id desc"""
_CLAIMED = Lookup("select key, owner from kernel.claim where tenant = $1 and kind = $2 and key = any ($3)")
_BALANCES = Lookup("""
    select u.no, coalesce(a.balance, r.credits - r.debits, 0)::bigint as balance
      from unnest($2::text[], $3::text[]) with ordinality u (id, unit, no)
      left join kernel.account a on a.tenant = $1 and a.id = u.id and a.unit = u.unit
      left join kernel.rollup r on r.tenant = $1 and r.id = u.id and r.unit = u.unit
     order by u.no""")
_END = (datetime(9999, 1, 1, tzinfo=UTC), "")


class Database:
    """The connections of one process, by what they are for. `dsn` is that of the role that serves (`pasar_app`), or of
    one that may act as it: then `role` says so."""

    def __init__(
        self,
        dsn: str,
        *,
        size: int = 8,
        lanes: int = 2,
        group: int = 64,
        queue_limit: int = 2000,
        role: str | None = None,
        lasting: bool = True,
    ) -> None:
        """`lasting` False: what is committed may be lost with the machine, though never out of its order; for work
        that nobody was told of and that is done again."""
        self.dsn, self._size = dsn, size
        self._always = {"role": role} if role else {}
        if not lasting:
            self._always["synchronous_commit"] = "off"
        self.kernel = Pool(lambda: self.connect(_PLANNED_ONCE), size)
        self.streams = Streams(self.kernel)
        self.committer = Committer(lambda: self.connect(SETTINGS), lanes, group, queue_limit)
        self._readers: dict[int, tuple[Pool, Pool, Reader]] = {}

    async def connect(self, settings: dict[str, str] | None = None, *, tenant: str = "*") -> Any:
        """A connection of its own, outside the pools."""
        options = {
            "pasar.tenant": tenant,
            "timezone": "UTC",
            "application_name": "pasar",
            **self._always,
            **(settings or {}),
        }
        return await asyncpg.connect(self.dsn, server_settings=options, timeout=10)

    async def open(self) -> None:
        await retry_once(self.kernel.fetchval, "select 1")
        self.committer.start()

    async def close(self) -> None:
        await self.committer.close()
        await asyncio.gather(
            self.kernel.close(), *(pool.close() for *pools, _ in self._readers.values() for pool in pools)
        )

    def reader(self, tenant: int) -> Reader:
        found = self._readers.get(tenant)
        if found is None:
            pool = Pool(lambda: self.connect(tenant=str(tenant)), self._size)
            lookups = Pool(lambda: self.connect(_PLANNED_ONCE, tenant=str(tenant)), max(2, self._size // 2))
            found = self._readers[tenant] = pool, lookups, Reader(tenant, pool, lookups, self.streams)
        return found[2]

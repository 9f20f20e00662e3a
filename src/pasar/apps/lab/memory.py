"""A store in memory, for the simulation only. One contract suite holds it and the real one to the same verdicts.

It judges a change as `kernel.commit_changes` does, on copies, one after the other: key, versions, claims, postings.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from pasar.kernel.commit import Change, Deadline, Key, Posting, Result, Verdict
from pasar.kernel.decider import Decider
from pasar.kernel.ledger import Phase
from pasar.kernel.messages import decode, decode_event
from pasar.kernel.store import Recorded, Stored

StreamKey = tuple[int, str, str]
AccountKey = tuple[int, str, str]
Pause = Callable[[], Awaitable[None]]


class Row(NamedTuple):
    """An event as it is kept."""

    tenant: int
    kind: str
    stream: str
    version: int
    type: str
    data: str
    meta: str
    change: UUID
    at: datetime


class Kept(NamedTuple):
    version: int
    state: str
    owner: str | None


class Held(NamedTuple):
    debit: AccountKey
    credit: AccountKey
    remaining: int


class Books:
    """What postings change; copied for each change, so that a refused one leaves nothing."""

    def __init__(self) -> None:
        self.balances: Counter[AccountKey] = Counter()
        self.held: Counter[AccountKey] = Counter()
        self.holds: dict[UUID, Held] = {}
        self.floors: dict[AccountKey, int] = {}

    def post(self, tenant: int, posting: Posting) -> tuple[Verdict, str] | None:
        """None, or why not."""
        phase, _, debit, credit, amount = posting.transfer
        if debit is not None and credit is not None:
            source, target = (tenant, debit.id, debit.unit), (tenant, credit.id, credit.unit)
            for account, key in ((debit, source), (credit, target)):
                if account.floor is not None:
                    self.floors[key] = account.floor
            if source in self.floors and self.balances[source] - amount < self.floors[source]:
                return Verdict.INSUFFICIENT, debit.id
            self.balances[source] -= amount
            if phase is Phase.MOVE:
                self.balances[target] += amount
            else:
                self.holds[posting.id] = Held(source, target, amount)
                self.held[source] += amount
            return None
        hold = self.holds.get(posting.hold) if posting.hold is not None else None
        amount = amount or (hold.remaining if hold else 0)
        if hold is None or posting.hold is None or not 0 < amount <= hold.remaining:
            return Verdict.HOLD_IS_OVER, str(posting.hold)
        self.holds[posting.hold] = hold._replace(remaining=hold.remaining - amount)
        self.held[hold.debit] -= amount
        self.balances[hold.credit if phase is Phase.SETTLE else hold.debit] += amount
        return None

    def copy(self) -> "Books":
        made = Books()
        made.balances, made.held = self.balances.copy(), self.held.copy()
        made.holds, made.floors = self.holds.copy(), self.floors.copy()
        return made


class MemoryStore:
    """One per simulated deployment, shared by its nodes. `heard` is called with each change that was judged."""

    def __init__(self, heard: Callable[[Change, Verdict], None] = lambda change, verdict: None) -> None:
        self.log: list[Row] = []
        self.streams: dict[StreamKey, Kept] = {}
        self.claims: dict[tuple[int, str, str], str] = {}
        self.answers: dict[tuple[int, str, str, str], tuple[Key, UUID]] = {}
        self.timers: dict[tuple[int, str, str, str], Deadline] = {}
        self.attempts: Counter[tuple[int, str, str, str]] = Counter()
        self.books = Books()
        self._events: dict[tuple[int, str, str, int], Row] = {}
        self._heard = heard

    def commit(self, change: Change) -> Result:
        verdict, detail, key = self._judge(change)
        self._heard(change, verdict)
        position = len(self.log) if verdict is Verdict.OK and change.appends else None
        return Result(verdict, detail, position, key and key.status, key and key.body, len(self.log))

    def _judge(self, change: Change) -> tuple[Verdict, str | None, Key | None]:
        tenant = change.tenant
        if change.key is not None:
            known = self.answers.get((tenant, change.key.principal, change.key.route, change.key.key))
            if known is not None:
                same = known[0].hash == change.key.hash
                return (Verdict.REPLAY, None, known[0]) if same else (Verdict.KEY_REUSED, None, None)
        for append in change.appends:
            if self._version(tenant, append.kind, append.id) != append.expected:
                first = self._events.get((tenant, append.kind, append.id, append.expected + 1))
                if first is not None and first.change == change.id:
                    return Verdict.ALREADY, None, None
                return Verdict.VERSION_CONFLICT, f"{append.kind}-{append.id}", None
        claims = dict(self.claims)
        for append in change.appends:
            owner = f"{append.kind}-{append.id}"
            for kind, key, take in append.claims:
                if not take and claims.get((tenant, kind, key)) == owner:
                    del claims[tenant, kind, key]
                elif take and claims.setdefault((tenant, kind, key), owner) != owner:
                    return Verdict.CLAIMED, f"{kind}:{key}", None
        books = self.books.copy() if change.postings else self.books
        for posting in change.postings:
            if (why := books.post(tenant, posting)) is not None:
                return *why, None
        self.claims, self.books = claims, books
        self._write(change)
        return Verdict.OK, None, None

    def _version(self, tenant: int, kind: str, id: str) -> int:
        kept = self.streams.get((tenant, kind, id))
        return kept.version if kept else 0

    def _write(self, change: Change) -> None:
        tenant = change.tenant
        for append in change.appends:
            for version, (type, data) in enumerate(append.events, append.expected + 1):
                row = Row(tenant, append.kind, append.id, version, type, data, change.meta, change.id, change.at)
                self.log.append(row)
                self._events[tenant, append.kind, append.id, version] = row
            version = append.expected + len(append.events)
            self.streams[tenant, append.kind, append.id] = Kept(version, append.state, append.owner)
        for deadline in change.deadlines:
            place = (tenant, deadline.kind, deadline.stream, deadline.name)
            self.attempts.pop(place, None)
            if deadline.due is None:
                self.timers.pop(place, None)
            else:
                self.timers[place] = deadline
        if change.key is not None:
            place = (tenant, change.key.principal, change.key.route, change.key.key)
            self.answers[place] = change.key, change.id

    def recorded(self, position: int) -> Recorded:
        """The event at a place of the log, from 1, as followers hear it."""
        row = self.log[position - 1]
        event, meta = decode_event(row.type, row.data), decode(row.meta, dict[str, Any])
        return Recorded(row.tenant, row.kind, row.stream, row.version, row.type, event, meta, row.at, 1, 0, position)


class MemoryDatabase:
    """What one node has of the store: a memory of its own, and ways that take time. `pause` is awaited before each."""

    def __init__(self, store: MemoryStore, pause: Pause) -> None:
        self.store, self._pause = store, pause
        self.committer = self
        self.streams = self
        self.kernel = TimerTable(store, pause)
        self._known: dict[StreamKey, Stored[Any]] = {}

    async def commit(self, change: Change) -> Result:
        await self._pause()
        result = self.store.commit(change)
        await self._pause()
        return result

    def peek(self, tenant: int, kind: str, id: str) -> Stored[Any] | None:
        return self._known.get((tenant, kind, id))

    def remember(self, tenant: int, kind: str, id: str, stored: Stored[Any]) -> None:
        self._known[tenant, kind, id] = stored

    def forget(self) -> None:
        """What a restarted process knows."""
        self._known.clear()

    async def load(self, tenant: int, decider: Decider[Any], id: str) -> Stored[Any]:
        await self._pause()
        kept = self.store.streams.get((tenant, decider.kind, id))
        if kept is None:
            return Stored(0, decider.initial)
        stored = Stored(kept.version, decode(kept.state, type(decider.initial)), kept.owner)
        self.remember(tenant, decider.kind, id, stored)
        return stored

    def reader(self, tenant: int) -> "MemoryReader":
        return MemoryReader(tenant, self)


class MemoryReader:
    """Queries by name only. There is no SQL here but the one that looks an idempotency key up."""

    def __init__(self, tenant: int, database: MemoryDatabase) -> None:
        self.tenant, self._database = tenant, database

    async def stored(self, decider: Decider[Any], id: object) -> Stored[Any]:
        return await self._database.load(self.tenant, decider, str(id))

    async def state(self, decider: Decider[Any], id: object) -> Any:
        stored = await self.stored(decider, id)
        return stored.state if stored.version else None

    async def states(self, decider: Decider[Any], ids: Iterable[object]) -> dict[str, Any]:
        found = {str(id): await self.state(decider, id) for id in ids}
        return {id: state for id, state in found.items() if state is not None}

    async def fetchrow(self, sql: str, *arguments: Any) -> dict[str, Any] | None:
        if "kernel.answer" not in sql:
            raise LookupError(f"the store in memory does not read SQL: {sql}")
        known = self._database.store.answers.get(arguments)  # type: ignore[arg-type]
        return known and {"request_hash": known[0].hash, "status": known[0].status, "body": known[0].body}


class TimerTable:
    """The three statements of `kernel.timers`, told apart by what they ask for."""

    def __init__(self, store: MemoryStore, pause: Pause) -> None:
        self._store, self._pause = store, pause

    async def fetch(self, sql: str, now: datetime, limit: int) -> list[dict[str, Any]]:
        await self._pause()
        found = [(place, one) for place, one in self._store.timers.items() if one.due is not None and one.due <= now]
        found.sort(key=lambda item: (item[1].due, item[0]))
        names = ("tenant", "kind", "stream", "name")
        return [
            dict(zip(names, place, strict=True))
            | {"due_at": one.due, "command_type": one.type, "command": one.command}
            | {"attempts": self._store.attempts[place]}
            for place, one in found[:limit]
        ]

    async def fetchval(self, sql: str, tenant: int, kind: str, stream: str, name: str, due: datetime) -> bool:
        one = self._store.timers.get((tenant, kind, stream, name))
        return one is not None and one.due == due

    async def execute(self, sql: str, *arguments: Any) -> None:
        """A timer failed: it is tried again at `retry_at`, or never by itself."""
        *place, due, reason, retry_at = arguments
        key: Any = tuple(place)
        known = self._store.timers.get(key)
        if known is None or known.due != due:
            return
        if retry_at is None:
            raise AssertionError(f"a timer is given up: {place}: {reason}")
        self._store.attempts[key] += 1
        self._store.timers[key] = known._replace(due=retry_at)


def rows_of(store: MemoryStore, kind: str) -> Sequence[Row]:
    """The events of one kind of streams, in their order."""
    return [row for row in store.log if row.kind == kind]

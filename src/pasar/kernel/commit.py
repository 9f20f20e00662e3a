"""The group commit: what queues up while a lane is busy is its next group, so the price of a durable commit is shared.

There is no timer: an idle system adds no delay. A caller that is cancelled while queued takes its change back; once
sent, the change runs to its end unheard. A group that fails as a whole is sent again, then change by change; that is
safe, because every event carries its change's id and the server answers `already`.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from hashlib import blake2b
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from asyncpg.pgproto.pgproto import UUID as FastUUID

from .ledger import Account, Phase, Transfer
from .pool import LOST

RACE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)

SETTINGS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_bitmapscan": "off",
    "lock_timeout": "5s",
    "statement_timeout": "15s",
    "idle_in_transaction_session_timeout": "10s",
    "pasar.tenant": "*",
}
"""One plan for every size of group, by the primary keys: one made while tables are small would stay sequential."""


class Verdict(IntEnum):
    OK = 1
    VERSION_CONFLICT = 2
    INSUFFICIENT = 3
    HOLD_IS_OVER = 4
    REPLAY = 5
    KEY_REUSED = 6
    ALREADY = 7
    CLAIMED = 8


FULL_S = 1.0
"""After a write failed for want of room, none is tried for so long: each would use up some of what is left of the
write-ahead log, and without room for that the server ends, and reads with it."""


class Busy(Exception):
    """More is queued than can be committed in time, or there is no room on the disk: try again later."""


class Posting(NamedTuple):
    """A transfer of one event (its number in the change, from 1), with its identity."""

    event: int
    id: UUID
    transfer: Transfer
    hold: UUID | None


class Append(NamedTuple):
    kind: str
    id: str
    expected: int
    events: Sequence[tuple[str, str]]
    """Stored name and data of each event; data is JSON already."""
    state: str
    state_schema: int
    owner: str | None
    claims: Sequence[tuple[str, str, bool]]
    """Kind, key, and whether it is taken (else given back)."""


class Deadline(NamedTuple):
    """A timer to set, or with `due` None to clear."""

    kind: str
    stream: str
    name: str
    due: datetime | None
    type: str = ""
    command: str = "{}"


class Key(NamedTuple):
    """An idempotency key, the request that it stands for, and the answer to store."""

    principal: str
    route: str
    key: str
    hash: bytes
    status: int
    body: bytes


@dataclass(slots=True)
class Change:
    """Written whole or not at all. Its appends or its key tell a retry from a first try."""

    tenant: int
    id: UUID
    at: datetime
    meta: str
    appends: Sequence[Append] = ()
    postings: Sequence[Posting] = ()
    deadlines: Sequence[Deadline] = ()
    key: Key | None = None


class Result(NamedTuple):
    verdict: Verdict
    detail: str | None
    position: int | None
    status: int | None
    body: bytes | None
    xid: int


def _uuid(*parts: object) -> UUID:
    return FastUUID(blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).digest())


def event_id(tenant: int, kind: str, stream: str, version: int) -> UUID:
    """The identity of an event: a function of where it is in the log."""
    return _uuid("event", tenant, kind, stream, version)


def transfer_id(event: UUID, ordinal: int) -> UUID:
    """The identity of the n-th booking of an event, so that a fact is never booked twice."""
    return FastUUID(blake2b(event.bytes + ordinal.to_bytes(4, "big"), digest_size=16).digest())


def hold_id(tenant: int, kind: str, stream: str, name: str) -> UUID:
    """The identity of a stream's named hold."""
    return _uuid("hold", tenant, kind, stream, name)


_FAMILIES = 14, 8, 4, 11, 7, 5, 4
"""Columns of change, append, event, transfer, timer, claim and floored account: the parameters of commit_changes."""
CALL = "select * from kernel.commit_changes(" + ",".join(f"${i + 1}" for i in range(sum(_FAMILIES))) + ")"
_NO_KEY = None, None, None, None, None, None


def pack(group: Sequence[Change]) -> list[Any]:
    """Rows of seven families, turned into columns: arrays of simple types are what driver and server handle fastest.

    Accounts with a floor are numbered here: the server would need 15 us an order for what a dictionary does in one.
    """
    changes, appends, events, transfers, timers, claims = [], [], [], [], [], []
    floored: dict[tuple[int, str, str, int | None], int] = {(0, "", "", None): 1}

    def number(tenant: int, account: Account | None) -> int:
        if account is None or account.floor is None:
            return 1
        return floored.setdefault((tenant, account.id, account.unit, account.floor), len(floored) + 1)

    for no, change in enumerate(group, 1):
        tenant, events_before, claims_before = change.tenant, len(events), len(claims)
        for append in change.appends:
            appends.append(
                (
                    *(no, append.kind, append.id, append.expected, len(append.events)),
                    *(append.state, append.state_schema, append.owner),
                )
            )
            for version, (type_, data) in enumerate(append.events, append.expected + 1):
                events.append((len(appends), version, type_, data))
            for kind, key, take in append.claims:
                claims.append((no, len(appends), kind, key, take))
        for event, id_, transfer, hold in change.postings:
            phase, _, debit, credit, amount = transfer
            transfers.append(
                (
                    *(no, event, id_, phase, debit.id if debit else "", credit.id if credit else ""),
                    *(number(tenant, debit), number(tenant, credit), debit.unit if debit else "", amount, hold),
                )
            )
        for deadline in change.deadlines:
            timers.append((no, *deadline))
        changes.append(
            (
                *(tenant, change.id, change.at, len(change.appends), len(events) - events_before),
                *(len(change.postings), len(claims) - claims_before, *(change.key or _NO_KEY), change.meta),
            )
        )
    families = changes, appends, events, transfers, timers, claims, list(floored)
    return [
        column
        for rows, width in zip(families, _FAMILIES, strict=True)
        for column in (zip(*rows, strict=True) if rows else [()] * width)
    ]


@dataclass
class Committer:
    """`lanes` connections share the queue: while one group is in the server, the next is packed here."""

    connect: Callable[[], Awaitable[Any]]
    lanes: int = 2
    group: int = 64
    queue_limit: int = 2000
    groups: int = 0
    changes: int = 0
    retries: int = 0
    _queue: deque[tuple[Change, "asyncio.Future[Result]"]] = field(default_factory=deque)
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    _sleeping: deque["asyncio.Future[None]"] = field(default_factory=deque)
    _idle: int = 0
    _full_until: float = 0.0
    _closed: bool = False

    def start(self) -> None:
        self._idle = self.lanes
        self._tasks = [asyncio.create_task(self._lane(), name=f"commit lane {no}") for no in range(self.lanes)]

    async def commit(self, change: Change) -> Result:
        """The verdict on a change, once it is durable. Raises `Busy` when the queue or the disk is full."""
        if len(self._queue) >= self.queue_limit or self._closed:
            raise Busy("the commit queue is full")
        loop = asyncio.get_running_loop()
        if self._full_until > loop.time():
            raise Busy("the database server's disk is full")
        done: asyncio.Future[Result] = loop.create_future()
        self._queue.append((change, done))
        while self._sleeping:
            lane = self._sleeping.popleft()
            if not lane.done():
                lane.set_result(None)
                break
        return await done

    async def close(self) -> None:
        """Commits what is queued, then stops."""
        self._closed = True
        for lane in self._sleeping:
            if not lane.done():
                lane.set_result(None)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _lane(self) -> None:
        connection = None
        while True:
            while not self._queue:
                if self._closed:
                    if connection is not None:
                        await connection[0].close(timeout=2)
                    return
                sleeping: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._sleeping.append(sleeping)
                await sleeping
            size = min(self.group, max(8, -(-len(self._queue) // max(1, self._idle))))
            group = []
            while self._queue and len(group) < size:
                waiting = self._queue.popleft()
                if not waiting[1].done():
                    group.append(waiting)
            self._idle -= 1
            if group:
                connection = await self._flush(connection, group)
            self._idle += 1

    async def _flush(self, connection: Any, group: list[tuple[Change, "asyncio.Future[Result]"]]) -> Any:
        """Sends a group until it is answered. What was committed unheard says `already` or `replay`."""
        error: BaseException | None = None
        for attempt in range(12):
            try:
                if connection is None:
                    opened = await self.connect()
                    connection = opened, (await opened.prepare(CALL)).fetchrow
                row = await connection[1](*pack([change for change, _ in group]))
            except RACE as race:
                error = race
                self.retries += 1
                await asyncio.sleep(random.random() * 0.005 * attempt)
            except LOST as lost:
                error = lost
                self.retries += 1
                if connection is not None:
                    connection[0].terminate()
                connection = None
                await asyncio.sleep(random.random() * 0.02 * 2**attempt)
            except asyncio.CancelledError:
                raise
            except asyncpg.DiskFullError as full:
                self._put_off(group, full)
                return connection
            except Exception as malformed:
                error = malformed  # One change cannot be written: find it by sending them one by one.
                break
            else:
                self._answer(group, row)
                return connection
            if attempt > 2 and len(group) > 1:
                break
        if len(group) > 1:
            for one in group:
                connection = await self._flush(connection, [one])
        elif not group[0][1].done():
            group[0][1].set_exception(error or RuntimeError("no answer"))
        return connection

    def _put_off(self, group: list[tuple[Change, "asyncio.Future[Result]"]], full: asyncpg.DiskFullError) -> None:
        """No change is to blame: one by one they would fare no better."""
        self._full_until = asyncio.get_running_loop().time() + FULL_S
        for _, done in group:
            if not done.done():
                done.set_exception(Busy(str(full)))

    def _answer(self, group: list[tuple[Change, "asyncio.Future[Result]"]], row: Any) -> None:
        self.groups += 1
        self.changes += len(group)
        verdicts, details, positions, statuses, bodies, xid = row
        for i, (_, done) in enumerate(group):
            if not done.done():
                done.set_result(Result(Verdict(verdicts[i]), details[i], positions[i], statuses[i], bodies[i], xid))


def posting(event_no: int, of: UUID, ordinal: int, transfer: Transfer, tenant: int, kind: str, stream: str) -> Posting:
    """A transfer with its identity: a new hold's is that of its name, all others come from their event."""
    if transfer.phase is Phase.HOLD:
        return Posting(event_no, hold_id(tenant, kind, stream, transfer.name), transfer, None)
    target = hold_id(tenant, kind, stream, transfer.name) if transfer.name else None
    return Posting(event_no, transfer_id(of, ordinal), transfer, target)

"""Hands events to functions that send commands: policies, reactions and processes share this.

Events of different lanes run at the same time, those of one lane in their order, and the cursor moves after the batch.
A crash before that repeats the batch: every command has a key made of the event, so a repeat is answered from the
record. What fails for technical reasons is set aside with the time of its next try, so that neither the cursor nor
other lanes wait for it; what is refused, or has used up its budget of tries, waits for people.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import NamedTuple, TypeVar

from .bus import Contended, Context, Core
from .commit import Busy
from .followers import Cursor, load_cursor, move_cursor, read_one
from .messages import Command, Refusal, Refused, decode, encode
from .parking import BEHIND, Failure, Lane, Parked, due, first_of, park, parked_lanes, postpone, unpark
from .pool import LOST, PoolExhausted
from .store import Recorded, Unreadable

T = TypeVar("T")
CROWDED = (Contended, Busy, PoolExhausted, *LOST)
"""Passes by itself as a rule: worth a few tries at once."""
CHUNK = 256
IN_FLIGHT = 64


class Retry(Exception):
    """Could not be done now, for technical reasons: try again later."""

    def __init__(self, reason: str, *, after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Stuck(Exception):
    """Cannot go on without people."""


class Patience(NamedTuple):
    """How long a failing event is tried: `first`, doubled each time up to `most`, until `budget` is spent. One try may
    take `timeout_s`, for so long can it hold up the rest of its batch."""

    first: timedelta = timedelta(seconds=1)
    most: timedelta = timedelta(minutes=5)
    budget: timedelta = timedelta(hours=1)
    timeout_s: float = 10.0
    tries: int | None = None

    def delay(self, seed: str, attempts: int) -> timedelta:
        """Between half and the whole of the back-off; the same for the same try, as chance has no place here."""
        whole = min(self.most, self.first * 2 ** min(attempts - 1, 30))
        part = blake2b(f"{seed}:{attempts}".encode(), digest_size=4).digest()
        return whole * (0.5 + int.from_bytes(part) / 2**33)


async def settled(value: T | Awaitable[T]) -> T:
    """The result of a function that may be asynchronous."""
    return await value if inspect.isawaitable(value) else value  # type: ignore[return-value]


class Delivery:
    """A follower that hands events on. Subclasses say to which lane an event belongs and what to do with it."""

    types: frozenset[str]
    every = False

    def __init__(self, name: str, core: Core, patience: Patience) -> None:
        self.name, self.core, self.patience = name, core, patience
        self._pool = core.database.kernel
        self._parked: set[Lane] = set()
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self.cursor = Cursor(0, 0, 0)

    def lane(self, event: Recorded) -> str | None:
        """What must stay in order; None when the event is of no interest."""
        return f"{event.kind}-{event.stream}"

    async def deliver(self, event: Recorded, replays: int) -> None:
        """Do what the event asks for, in a way that bears repeating. `replays`: how often people let it go again."""
        raise NotImplementedError

    async def give_up(self, event: Recorded, reason: str) -> None:
        """The budget is used up: a last chance to do something else than to park the event."""
        raise Stuck(reason)

    async def begin(self) -> None:
        self._parked = await parked_lanes(self._pool, self.name)
        self.cursor = await load_cursor(self._pool, self.name)

    async def handle(self, events: Sequence[Recorded], old: Cursor, new: Cursor) -> Cursor:
        for start in range(0, len(events), CHUNK):
            part = events[start : start + CHUNK]
            last = start + CHUNK >= len(events)
            end = new if last else Cursor(part[-1].epoch, part[-1].xid, part[-1].position)
            await self._chunk(part, old, end)
            old = self.cursor = end
        return old

    async def _chunk(self, events: Sequence[Recorded], old: Cursor, new: Cursor) -> None:
        failures = await self.hand_on(events)
        async with self._pool.repeatable() as connection:
            await move_cursor(connection, self.name, old, new)
            if failures:
                await park(connection, self.name, failures, self.core.clock.now())
        self._parked.update((failure.event.tenant, failure.lane) for failure in failures)

    async def hand_on(self, events: Sequence[Recorded]) -> list[Failure]:
        """Deliver each event, lanes side by side; those that failed, in the order of the log."""
        lanes: dict[Lane, list[Recorded]] = {}
        for event in events:
            lane = self.lane(event)
            if lane is not None:
                lanes.setdefault((event.tenant, lane), []).append(event)
        if len(lanes) == 1:
            found = [await self._lane(*lanes.popitem())]
        else:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._lane(lane, of_lane)) for lane, of_lane in lanes.items()]
            found = [task.result() for task in tasks]
        return sorted((f for of_lane in found for f in of_lane), key=lambda failure: failure.event.place)

    async def _lane(self, lane: Lane, events: Sequence[Recorded]) -> list[Failure]:
        failures: list[Failure] = []
        async with self._slots:
            for event in events:
                if failures or lane in self._parked:
                    failures.append(Failure(event, lane[1], BEHIND, attempts=0))
                    continue
                failed = await self._try(event, 1, 0, None)
                if failed is not None:
                    failures.append(Failure(event, lane[1], *failed))
        return failures

    async def _try(
        self, event: Recorded, attempt: int, replays: int, since: datetime | None
    ) -> tuple[str, datetime | None] | None:
        """None when it is done, else why not and when to try again (None: people decide)."""
        try:
            await self._deliver(event, replays)
        except (Refused, Stuck) as error:
            if not isinstance(error, Refused) or error.status < 500:
                return _reason(error), None
            failure: Exception = error
        except Exception as error:  # Whatever it is, other lanes must flow; a corrected version may cure it.
            failure = error
        else:
            return None
        now = self.core.clock.now()
        delay = getattr(failure, "after", None) or self.patience.delay(str(event.id), attempt)
        tries_left = self.patience.tries is None or attempt < self.patience.tries
        if tries_left and (since is None or now + delay - since <= self.patience.budget):
            return _reason(failure), now + delay
        try:
            await self.give_up(event, _reason(failure))
        except Exception as error:
            return f"gave up after {attempt} tries: {_reason(error)}", None
        return None

    async def _deliver(self, event: Recorded, replays: int) -> None:
        if isinstance(event.event, Unreadable):
            raise Stuck(event.event.reason)
        for attempt in range(4):
            try:
                async with asyncio.timeout(self.patience.timeout_s):
                    return await self.deliver(event, replays)
            except CROWDED as error:
                if attempt == 3 or isinstance(error, TimeoutError):
                    raise
                await asyncio.sleep(0.05 * 4**attempt)

    async def again(self) -> bool:
        if not self._parked:
            return False
        heads = await due(self._pool, self.name, self.core.clock.now(), IN_FLIGHT)
        if heads:
            async with asyncio.TaskGroup() as group:
                for head in heads:
                    group.create_task(self._replay(head))
        return bool(heads)

    async def _replay(self, head: Parked) -> None:
        """A lane from its first parked event on, until one fails or all are done."""
        lane = head.tenant, head.lane
        parked: Parked | None = head
        async with self._slots:
            while parked is not None:
                event = await read_one(self._pool, parked.tenant, parked.kind, parked.stream, parked.version)
                since = parked.parked_at if parked.attempts else None
                failed = event and await self._try(event, parked.attempts + 1, parked.replays, since)
                if failed:
                    await postpone(self._pool, parked, *failed, self.core.clock.now())
                    return
                await unpark(self._pool, parked)
                parked = await first_of(self._pool, self.name, lane)
        self._parked.discard(lane)

    def context(self, event: Recorded, path: str | None) -> Context:
        """On whose behalf a command of this follower is sent, and the key that makes a repeat harmless."""
        meta, id = event.meta, str(event.id)
        return Context(
            tenant=event.tenant,
            principal=self.name,
            request_id=meta.get("request", ""),
            correlation_id=meta.get("correlation", "") or id,
            causation_id=id,
            route=self.name,
            key=None if path is None else f"{id}:{path}",
        )

    async def send(self, event: Recorded, command: Command, path: str, *, record: bool = False) -> None:
        """Send once and for all: a repeat that is refused, because the first time has changed the state, is answered by
        what the first time was. With `record` a refusal, too, stays what it was."""
        bus = self.core.bus(self.context(event, path))
        try:
            await bus.send(command)
        except Refused as refusal:
            if refusal.status >= 500:
                raise
            body = encode(Refusal.of(refusal))
            reply = await (bus.remember(refusal.status, body) if record else bus.recall())
            if reply is None:
                raise
            if reply.status >= 400:
                raise decode(reply.body, Refusal).error() from refusal


def _reason(error: Exception) -> str:
    name = f"{error.code} {error.name}" if isinstance(error, Refused) else error.__class__.__name__
    return f"{name}: {error}"[:2000]

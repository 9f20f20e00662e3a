"""The past, made in seconds: a clock on which each piece of work has its own instant, and followers that are run to
rest between two days.

Nothing else follows the log meanwhile: who plays holds the leases of these followers, and does not begin without them.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any

from pasar.kernel.bus import Core
from pasar.kernel.delivery import Delivery
from pasar.kernel.followers import Batch, Cursor, Follower, Leases, move_cursor, read
from pasar.kernel.module import Module
from pasar.kernel.policies import ReactionFollower
from pasar.kernel.process import ProcessFollower
from pasar.kernel.store import Recorded
from pasar.kernel.timers import Timers
from pasar.kernel.view_follower import ViewFollower

REACTION_TIME = timedelta(seconds=2)
BATCH = 4000
TRIES = 5
_MORE = "select exists (select from kernel.event where (epoch, xid, position) > ($1::smallint, $2::xid8, $3::bigint))"


class PastClock:
    """Shows each task the instant that was set for it, else the one that the clock stands at. So what happened at
    different hours of a day is committed together, each piece dated by its own hour."""

    def __init__(self, start: datetime) -> None:
        self._stands_at = start
        self._own: ContextVar[datetime | None] = ContextVar("own_instant", default=None)

    def now(self) -> datetime:
        return self._own.get() or self._stands_at

    def stand_at(self, at: datetime) -> None:
        """For everybody who has no instant of their own; whoever calls gives theirs up."""
        self._stands_at = at
        self._own.set(None)

    def is_for_me(self, at: datetime) -> None:
        """The instant of the task that calls, and of those that it starts from now on."""
        self._own.set(at)


class Failed(Exception):
    """The past has no people who could look at what went wrong."""


class _Prompt(Delivery):
    """Acts right after what it hears, by the clock of the past. How far it is, `Followers.save` stores from time to
    time: what is heard again after a crash is answered from the record."""

    async def handle(self, events: Sequence[Recorded], old: Cursor, new: Cursor) -> Cursor:
        reason = ""
        for _ in range(TRIES):
            failures = await self.hand_on(events)
            if not failures:
                return old
            events, reason = [failure.event for failure in failures], failures[0].reason
        raise Failed(f"{self.name}: {reason}")

    async def deliver(self, event: Recorded, replays: int) -> None:
        clock = self.core.clock
        assert isinstance(clock, PastClock)
        clock.is_for_me(event.at + REACTION_TIME)
        await super().deliver(event, replays)


class _PromptReaction(_Prompt, ReactionFollower):
    pass


class _PromptProcess(_Prompt, ProcessFollower):
    pass


class _PunctualTimers(Timers):
    """Fires at the instant that the deadline names, however late it looks."""

    async def _fire(self, row: Any) -> None:
        clock = self._core.clock
        assert isinstance(clock, PastClock)
        clock.is_for_me(row["due_at"])
        await super()._fire(row)


class LeasesTaken(Exception):
    """Somebody else follows this log."""


class Followers:
    """Those that shape what happens: policies, processes, reactions, and the views of `views_of`. The reactions of
    `outside` call other systems: they are left to the worker that comes after, which finds their work done."""

    def __init__(
        self, core: Core, modules: Iterable[Module], *, outside: frozenset[str], views_of: frozenset[str]
    ) -> None:
        self._core, self._pool = core, core.database.kernel
        self._followers: list[Follower] = []
        for module in modules:
            reactions = () if module.name in outside else module.reactions
            self._followers += [_PromptReaction(one, core) for one in (*module.policies, *reactions)]
            self._followers += [_PromptProcess(one, core) for one in module.processes]
            if module.name in views_of:
                self._followers += [ViewFollower(one, self._pool, core.clock) for one in module.views]
        self._types = frozenset[str]().union(*(one.types for one in self._followers))
        self._timers = _PunctualTimers(core)
        self._leases = Leases(core.database)
        self._at = Cursor(0, 0, 0)

    async def __aenter__(self) -> "Followers":
        """Raises `LeasesTaken`."""
        names = {*(one.name for one in self._followers), Timers.lease}
        if set(await self._leases.take(names)) != names:
            await self._leases.close()
            raise LeasesTaken("a worker follows this log already")
        await asyncio.gather(*(one.begin() for one in self._followers))
        self._at = min(one.cursor for one in self._followers)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._leases.close()

    async def settle(self, until: datetime) -> None:
        """Until nobody has anything to do any more up to that instant; then the clock stands there."""
        while await self._hear() or await self._fire(until):
            pass

    async def _hear(self) -> bool:
        """One round: everybody hears what is new. False: there was nothing."""
        batch = await read(self._pool, self._at, self._types, BATCH)
        while not batch.size:
            if not await self._pool.fetchval(_MORE, *self._at):
                return False
            await asyncio.sleep(0.002)  # A transaction that began earlier holds the horizon back, of a vacuum perhaps.
            batch = await read(self._pool, self._at, self._types, BATCH)
        await asyncio.gather(*(self._tell(one, batch) for one in self._followers))
        self._at = batch.end
        return True

    @staticmethod
    async def _tell(follower: Follower, batch: Batch) -> None:
        events: Sequence[Recorded] = [
            event for event in batch.events if event.type in follower.types and event.place > follower.cursor
        ]
        if events:
            follower.cursor = await follower.handle(events, follower.cursor, batch.end)

    async def _fire(self, until: datetime) -> bool:
        clock = self._core.clock
        assert isinstance(clock, PastClock)
        clock.stand_at(until)
        return bool(await self._timers.fire())

    async def save(self) -> None:
        """Remember how far everybody is: who heard nothing of late has nothing stored."""
        async with self._pool.acquire() as connection, connection.transaction():
            for one in self._followers:
                if one.cursor < self._at:
                    await move_cursor(connection, one.name, one.cursor, self._at)
                    one.cursor = self._at

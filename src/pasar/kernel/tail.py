"""Events as they happen, for what a process keeps in memory: caches to empty, tokens that are revoked.

Nothing is remembered: a tail begins now. It hands each event on once, and at once: unlike a follower it does not wait
for older transactions, so events of different streams may come in another order, but none is held back by a stall.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .delivery import settled
from .followers import recorded, stored_types
from .messages import Event
from .pool import Pool
from .store import Recorded

if TYPE_CHECKING:
    from .bus import Core

Hear = Callable[[Recorded], Any | Awaitable[Any]]

_READ = """
    select tenant, kind, stream, version, type, data::text as data, meta::text as meta, at, epoch, xid, position
      from kernel.event where (epoch, xid) >= ($1::smallint, $2::xid8) and type = any($3)
     order by epoch, xid, position"""
_HORIZON = "select epoch, pg_snapshot_xmin(pg_current_snapshot()) as xid from kernel.cluster"

log = logging.getLogger(__name__)


class Tail:
    """One per process. Subscribe before it starts; `age()` says how old what it knows may be."""

    def __init__(self, pool: Pool, *, poll_s: float = 0.1) -> None:
        self._pool, self._poll_s = pool, poll_s
        self._heard: dict[str, list[Hear]] = {}
        self._horizon: tuple[int, int] | None = None
        self._seen: set[tuple[int, int]] = set()
        self._polled_at: float | None = None
        self._task: asyncio.Task[None] | None = None

    def subscribe(self, kinds: Collection[type[Event]], hear: Hear) -> None:
        """Call `hear` with every event of these types. It must bear to hear one twice after a lost connection."""
        for name in stored_types(kinds):
            self._heard.setdefault(name, []).append(hear)

    async def start(self) -> None:
        """Returns once it listens: what is committed from then on is heard."""
        await self.poll()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def age(self) -> float:
        """Seconds since it last knew all: who relies on it fails closed when that is too long ago."""
        return float("inf") if self._polled_at is None else asyncio.get_running_loop().time() - self._polled_at

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                async with asyncio.timeout(2):
                    await self.poll()
            except Exception as error:  # `age` tells; the next poll makes up for it.
                log.warning("the tail of the log could not be read: %s: %s", error.__class__.__name__, error)

    async def poll(self) -> None:
        """Read once and hand on what is new. A failing callback counts as a failed poll and hears the event again."""
        asked_at = asyncio.get_running_loop().time()
        # The horizon first: what is below it is final, so that the next poll need not look there again.
        row = await self._pool.fetchrow(_HORIZON)
        assert row is not None, "kernel.cluster has one row"
        horizon = row["epoch"], row["xid"]
        if self._horizon is not None and self._heard:
            for found in await self._pool.fetch(_READ, *self._horizon, list(self._heard)):
                place = found["xid"], found["position"]
                if place in self._seen:
                    continue
                event = recorded(found)
                for hear in self._heard[event.type]:
                    await settled(hear(event))
                self._seen.add(place)
        self._seen = {place for place in self._seen if place[0] >= horizon[1]}
        self._horizon = horizon
        self._polled_at = asked_at


@dataclass(frozen=True)
class Hearing:
    """What every API process of a deployment keeps in memory of a context: `hear` is told of each of these events as it
    happens, `begin` once, when the process has begun to listen."""

    on: tuple[type[Event], ...]
    hear: "Callable[[Core, Tail, Recorded], Any]"
    begin: "Callable[[Core, Tail], None]"

"""Runs one follower for as long as this worker has its lease."""

import asyncio
from contextlib import suppress

import structlog

from .followers import START, Cursor, Feed, Fenced, Follower
from .metrics import counter
from .pool import LOST, PoolExhausted
from .view_follower import StaleView

AGAIN_S = 0.25
WAIT_S = 0.25
LONGEST_PAUSE_S = 5.0

events_total = counter("pasar_follower_events_total", "Events that followers have dealt with", ["follower"])
failures_total = counter("pasar_follower_failures_total", "Batches that a follower could not finish", ["follower"])
log = structlog.get_logger(__name__)


class Runner:
    """Takes batches from the feed to the follower. Batches without anything for it move its cursor only in memory: the
    worker saves the cursors of all such followers together."""

    def __init__(self, follower: Follower, feed: Feed) -> None:
        self.follower, self._feed = follower, feed
        self.lock = asyncio.Lock()
        """Held while the follower works or its cursor is saved."""
        self.cursor: Cursor = START
        self.begun = False
        self.fenced = False
        """Its cursor in the database is elsewhere: another worker follows, or a crash took the last moves."""
        self._stopping = False
        self._again_at = 0.0

    @property
    def unsaved(self) -> bool:
        return self.begun and self.cursor > self.follower.cursor

    def stop(self) -> None:
        """After the batch at hand."""
        self._stopping = True

    async def run(self) -> None:
        """Until stopped or fenced; what fails is begun anew after a pause, from the cursor that is stored."""
        pause = 0.1
        while not self._stopping:
            try:
                await self._begin()
                while not self._stopping:
                    await self._step()
                    pause = 0.1
            except (Fenced, StaleView):
                raise
            except Exception as error:  # A follower that breaks must neither end nor stop the others.
                self.begun = False
                failures_total.labels(self.follower.name).inc()
                known = isinstance(error, (*LOST, PoolExhausted))
                log.error(
                    "follower failed", follower=self.follower.name, pause_s=pause, exc_info=not known, error=str(error)
                )
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE_S, pause * 2)

    async def _begin(self) -> None:
        await self.follower.begin()
        self.cursor = self.follower.cursor
        self.begun = True

    async def _step(self) -> None:
        if self.fenced:
            raise Fenced(self.follower.name)
        now = asyncio.get_running_loop().time()
        if now >= self._again_at:
            self._again_at = now + AGAIN_S
            async with self.lock:
                await self.follower.again()
        batch = await self._feed.after(self.cursor, WAIT_S)
        if batch is None:
            return
        types = self.follower.types
        events = [event for event in batch.events if event.type in types]
        async with self.lock:
            if events or self.follower.every:
                self.cursor = await self.follower.handle(events, self.follower.cursor, batch.end)
                events_total.labels(self.follower.name).inc(len(events))
            else:
                self.cursor = batch.end

    async def finish(self, task: "asyncio.Task[None]", timeout_s: float) -> None:
        """Let the batch at hand end, or break it off: it is repeated then."""
        self.stop()
        if not self.lock.locked():  # It only waits for what comes next.
            task.cancel()
        done, _ = await asyncio.wait([task], timeout=timeout_s)
        if not done:
            task.cancel()
        with suppress(BaseException):
            await task

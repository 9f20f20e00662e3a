"""What has to be done once a day, by one worker of all: forgetting what may not be kept any longer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import structlog

from .clock import Clock

EVERY = timedelta(days=1)
LOOK_S = 1.0
RETRY = timedelta(minutes=10)
Task = Callable[[], Awaitable[object]]
log = structlog.get_logger(__name__)


class Upkeep:
    """Of all workers, the one that has the lease does it: when it begins, and then every day by the clock of the
    deployment. Tasks may be repeated; one that fails is tried again within minutes and keeps no other from its turn."""

    lease = "upkeep"

    def __init__(self, clock: Clock, tasks: Sequence[Task]) -> None:
        self._clock, self._due = clock, dict.fromkeys(tasks, datetime.min.replace(tzinfo=clock.now().tzinfo))

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Do what is due."""
        now = self._clock.now()
        for task in [task for task, due in self._due.items() if due <= now]:
            self._due[task] = now + EVERY
            try:
                done = await task()
            except Exception as error:
                self._due[task] = now + RETRY
                log.error("upkeep failed", task=task.__qualname__, error=f"{type(error).__name__}: {error}")
            else:
                log.info("upkeep", task=task.__qualname__, done=done if isinstance(done, int) else len(done or ()))  # type: ignore[arg-type]

"""How often something happened on a day that is no event: visits. Added up in the process and written now and then, so
that it costs what it tells of nothing. What a process has not written yet is lost when it is killed."""

import asyncio
from collections import Counter
from datetime import date
from typing import NamedTuple

import structlog

from .pool import Pool
from .store import Reader

EVERY_S = 5.0
log = structlog.get_logger(__name__)


class _Of(NamedTuple):
    tenant: int
    name: str
    day: date


class Tallies:
    """The tallies of one process."""

    def __init__(self, pool: Pool, every_s: float = EVERY_S) -> None:
        self._pool, self._every_s = pool, every_s
        self._seen: Counter[_Of] = Counter()
        self._writing: asyncio.Task[None] | None = None

    def add(self, tenant: int, name: str, day: date, times: int = 1) -> None:
        self._seen[_Of(tenant, name, day)] += times
        if self._writing is None:
            self._writing = asyncio.create_task(self._later())

    async def _later(self) -> None:
        await asyncio.sleep(self._every_s)
        self._writing = None
        try:
            await self.write()
        except Exception as error:  # The next one who adds tries again.
            log.warning("tallies are not written yet", error=f"{type(error).__name__}: {error}")

    async def write(self) -> None:
        """Write what was seen; what cannot be written is kept."""
        seen, self._seen = self._seen, Counter()
        if not seen:
            return
        of = [list(column) for column in zip(*seen, strict=True)]
        try:
            await self._pool.execute("select kernel.tally_add($1, $2, $3, $4)", *of, list(seen.values()))
        except BaseException:
            self._seen.update(seen)
            raise

    async def close(self) -> None:
        """Write the last."""
        if self._writing is not None:
            self._writing.cancel()
        await self.write()


async def times(db: Reader, prefix: str, since: date) -> dict[tuple[str, date], int]:
    """How often things happened, by name (those that begin so) and day."""
    rows = await db.fetch(
        "select name, day, times from kernel.tally where tenant = $1 and starts_with(name, $2) and day >= $3",
        *(db.tenant, prefix, since),
    )
    return {(row["name"], row["day"]): row["times"] for row in rows}

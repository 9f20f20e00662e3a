"""What was read a moment ago: all who ask for the same within it share one reading."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from .visit import Visit

T = TypeVar("T")
MOST = 500


class _Reading(NamedTuple):
    began: float
    found: asyncio.Future[Any]

    def is_good(self, fresh_s: float) -> bool:
        """Whether it is under way, or what it found may be shown still."""
        if not self.found.done():
            return True
        return not _failed(self.found) and monotonic() < self.began + fresh_s


class Recent:
    """The readings of one process. One that failed is not kept."""

    def __init__(self) -> None:
        self._read: OrderedDict[Hashable, _Reading] = OrderedDict()

    async def get(
        self, key: Hashable, fresh_s: float, read: Callable[[], Awaitable[T]], *, since: float | None = None
    ) -> T:
        """What `read` finds now, or found for somebody less than so many seconds ago. `since`: only what was begun
        after that; while an older reading is under way, all who want a newer one wait for it and share the next."""
        while True:
            known = self._read.get(key)
            if known is None or not known.is_good(fresh_s):
                known = self._begin(key, read)
            if since is None or known.began >= since:
                return await asyncio.shield(known.found)
            if known.found.done():
                del self._read[key]
            else:
                await asyncio.wait([known.found])

    def _begin(self, key: Hashable, read: Callable[[], Awaitable[Any]]) -> _Reading:
        while len(self._read) >= MOST:
            self._read.popitem(last=False)
        self._read.pop(key, None)
        made = self._read[key] = _Reading(monotonic(), asyncio.ensure_future(read()))
        made.found.add_done_callback(_failed)
        return made


def _failed(read: "asyncio.Future[Any]") -> bool:
    """Looking at a failure also says that it was seen: nobody may wait for it any more."""
    return read.cancelled() or read.exception() is not None


async def recent(visit: Visit, key: Hashable, fresh_s: float, read: Callable[[], Awaitable[T]]) -> T:
    """For a page. `key` names all that the reading depends on, rights too. Who has just written sees what is now."""
    if not fresh_s:
        return await read()
    since = monotonic() if visit.has_written else None
    return await visit.core.tool(Recent, Recent).get(key, fresh_s, read, since=since)

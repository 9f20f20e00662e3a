"""Bounded guessing of passwords and codes, without ever locking an owner out.

Who guesses waits, ever longer, before the next guess is looked at. That counts per login *and* place that asks; and all
places from which the login was never right share one row of slots, which is what bounds a guesser with thousands of
addresses: after some hundred wrong guesses there is one every five seconds, from wherever. A place that was right
within 90 days does not stand in that row. Nothing says whether the login exists. The counts are the database's, so that
all processes share them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from pasar.refusals import TooManyGuesses

AT_ONCE = 3
RETRY_AFTER_S = 30


class Counts(Protocol):
    """`kernel.throttle`."""

    async def begin(self, tenant: int, subject: str, place: str) -> int: ...

    async def right(self, tenant: int, subject: str, place: str) -> None: ...


class Guesses:
    """`sleep` is that of the event loop."""

    def __init__(self, counts: Counts, sleep: Callable[..., Awaitable[object]] = asyncio.sleep) -> None:
        self._counts, self._sleep = counts, sleep
        self._waiting: dict[tuple[int, str, str], int] = {}

    @asynccontextmanager
    async def one(self, tenant: int, login: str, place: str) -> AsyncIterator[None]:
        """Around one guess; it was right unless an exception leaves. Waits as long as earlier guesses demand, and
        refuses (4015) more than a few at once: of one place in this process, and of all strange ones everywhere."""
        key = tenant, login, place
        if self._waiting.get(key, 0) >= AT_ONCE:
            raise TooManyGuesses(retry_after_s=RETRY_AFTER_S)
        self._waiting[key] = self._waiting.get(key, 0) + 1
        try:
            wait_ms = await self._counts.begin(*key)
            if wait_ms < 0:
                raise TooManyGuesses(retry_after_s=RETRY_AFTER_S)
            if wait_ms:
                await self._sleep(wait_ms / 1000)
            yield
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]
        await self._counts.right(*key)

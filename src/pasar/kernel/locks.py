"""Locks that save work. None of them guards anything: a lock can be held by two (it expired, its keeper forgot, the
holder was paused), and what must not happen twice is refused by the commit, by version, floor or claim.

Each holding has a fence, a number that only grows: who writes somewhere that compares fences cannot undo a later one.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol
from uuid import UUID

from .pool import LOST
from .redis_link import RedisAway, RedisLink, Script

TENANT = 1
"""Under which fences are drawn; locks are the deployment's, not a tenant's."""


class LockPort(Protocol):
    def attempt(self, name: str) -> AbstractAsyncContextManager[int | None]:
        """The fence of a lock that is held inside the block; None when somebody else has it. Nobody waits."""
        ...


class PostgresLocks:
    """Advisory locks of a session of their own: who loses the connection loses the lock."""

    def __init__(self, connect: Callable[[], Awaitable[Any]]) -> None:
        self._connect = connect

    @contextlib.asynccontextmanager
    async def attempt(self, name: str) -> AsyncIterator[int | None]:
        connection = await self._connect()
        try:
            if not await connection.fetchval("select pg_try_advisory_lock(hashtextextended($1, 0))", name):
                yield None
                return
            yield await connection.fetchval("select kernel.take_block($1, $2, 1)", TENANT, f"fence:{name}")
        finally:
            with contextlib.suppress(*LOST, TimeoutError):
                await connection.close(timeout=2)


_TAKE = Script("""
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return redis.call('INCR', KEYS[2]) end
return 0
""")
_GIVE = Script("""
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
""")


class RedisLocks:
    """Locks that expire after `seconds`, whatever became of the holder. While Redis is away nobody gets one."""

    def __init__(self, link: RedisLink, draw: Callable[[], UUID], *, seconds: int = 30) -> None:
        self._link, self._draw, self._ms = link, draw, seconds * 1000

    @contextlib.asynccontextmanager
    async def attempt(self, name: str) -> AsyncIterator[int | None]:
        keys, mine = [f"pasar:lock:{{{name}}}", f"pasar:lock:{{{name}}}:fence"], str(self._draw())
        try:
            fence = int(await self._link.run(_TAKE, keys, mine, self._ms))
        except (RedisAway, ValueError, TypeError):
            fence = 0
        try:
            yield fence or None
        finally:
            if fence:
                with contextlib.suppress(RedisAway):
                    await asyncio.shield(self._link.run(_GIVE, keys[:1], mine))

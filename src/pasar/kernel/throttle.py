"""Bounded guessing of secrets, counted in the database: one count over all processes, which survives restarts."""

from hashlib import blake2b

from .clock import Clock
from .pool import Pool


class Throttle:
    """`clock` is that of the real world, whatever clock a deployment goes by: attackers live there."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool, self._clock = pool, clock

    async def begin(self, tenant: int, subject: str, place: str) -> int:
        """Count a guess at a subject's secret that comes from a place. The milliseconds that it has to wait before
        anybody looks at it; -1: too many wait already."""
        keys = _key(subject), _key(subject, place)
        return await self._pool.fetchval(
            "select kernel.throttle_begin($1, $2, $3, $4)", tenant, *keys, self._clock.now()
        )

    async def right(self, tenant: int, subject: str, place: str) -> None:
        """It was right: the place is the owner's."""
        keys = _key(subject), _key(subject, place)
        await self._pool.execute("select kernel.throttle_right($1, $2, $3, $4)", tenant, *keys, self._clock.now())

    async def forget(self) -> int:
        """Delete what is too old to matter; how many."""
        return await self._pool.fetchval("select kernel.throttle_forget($1)", self._clock.now())


def _key(*parts: str) -> bytes:
    return blake2b("\x1f".join(parts).encode(), digest_size=16).digest()

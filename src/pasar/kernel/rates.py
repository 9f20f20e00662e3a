"""Token buckets: how much somebody may do in a while. In the process, or in Redis for all processes together."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from .redis_link import RedisAway, RedisLink, Script

BUCKETS = 100_000
"""Buckets that a process remembers; a forgotten one is full again, so the one used longest ago goes first."""


class Rate(NamedTuple):
    """`per_s` on average, `burst` at once."""

    per_s: float
    burst: int


class Rates(Protocol):
    async def take(self, wanted: Mapping[str, Rate]) -> float:
        """Take one from each bucket, by its name; seconds to wait when one is empty, else 0."""
        ...


class LocalRates:
    """Buckets of this process."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._buckets: dict[str, tuple[float, float]] = {}

    def take_now(self, wanted: Mapping[str, Rate]) -> float:
        now = self._monotonic()
        return max((self._one(name, rate, now) for name, rate in wanted.items()), default=0.0)

    def _one(self, name: str, rate: Rate, now: float) -> float:
        level, at = self._buckets.pop(name, (float(rate.burst), now))
        level = min(rate.burst, level + (now - at) * rate.per_s)
        wait = 0.0 if level >= 1 else (1 - level) / rate.per_s
        self._buckets[name] = (level if wait else level - 1, now)
        if len(self._buckets) > BUCKETS:
            del self._buckets[next(iter(self._buckets))]
        return wait

    async def take(self, wanted: Mapping[str, Rate]) -> float:
        return self.take_now(wanted)


_TAKE = Script("""
local time = redis.call('TIME')
local now, longest = time[1] + time[2] / 1000000, 0
for n, key in ipairs(KEYS) do
    local per_s, burst = tonumber(ARGV[2 * n - 1]), tonumber(ARGV[2 * n])
    local kept = redis.call('HMGET', key, 'level', 'at')
    local level, at = tonumber(kept[1]) or burst, tonumber(kept[2]) or now
    level = math.min(burst, level + math.max(0, now - at) * per_s)
    local wait = 0
    if level >= 1 then level = level - 1 else wait = (1 - level) / per_s end
    redis.call('HSET', key, 'level', string.format('%.6f', level), 'at', string.format('%.6f', now))
    redis.call('EXPIRE', key, math.ceil(burst / per_s) + 1)
    longest = math.max(longest, wait)
end
return string.format('%.6f', longest)
""")


class RedisRates:
    """Buckets that all processes share. While Redis is away each counts for itself."""

    def __init__(self, link: RedisLink, spare: LocalRates) -> None:
        self._link, self._spare = link, spare

    async def take(self, wanted: Mapping[str, Rate]) -> float:
        rates = [number for rate in wanted.values() for number in rate]
        try:
            return float(await self._link.run(_TAKE, [f"pasar:rate:{name}" for name in wanted], *rates))
        except (RedisAway, ValueError, TypeError):  # It is away, or says what it cannot mean.
            return self._spare.take_now(wanted)

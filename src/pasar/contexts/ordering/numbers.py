"""Order numbers: the day and a number from a block that this process has drawn for that day; gaps are allowed."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date

BLOCK = 100
Draw = Callable[[str, int], Awaitable[int]]
"""(name of the series, size of the block) → the block's first number."""


class Numbers:
    """Gives out each number once, to whatever asks at the same time. Most calls wait for nothing."""

    def __init__(self, draw: Draw, block: int = BLOCK) -> None:
        self._draw, self._block = draw, block
        self._lock = asyncio.Lock()
        self._day: date | None = None
        self._next = self._end = 0

    async def next(self, day: date) -> str:
        number = self._left(day)
        while number is None:
            async with self._lock:
                number = self._left(day)  # Whoever had the lock before has drawn for all who waited.
                if number is None:
                    first = await self._draw(f"order-{day:%Y%m%d}", self._block)
                    self._day, self._next, self._end = day, first, first + self._block
                    number = self._left(day)
        return f"{day:%Y%m%d}{number:04d}"

    def _left(self, day: date) -> int | None:
        if day != self._day or self._next >= self._end:
            return None
        self._next += 1
        return self._next - 1

"""Readings that are shared."""

import asyncio
from time import monotonic

import pytest

from pasar.apps.pages.recent import MOST, Recent


class Slow:
    """Counts how often it was read; each reading takes a moment and finds its number."""

    def __init__(self) -> None:
        self.times, self.fails = 0, False

    async def read(self) -> int:
        self.times += 1
        number = self.times
        await asyncio.sleep(0.02)
        if self.fails:
            raise OSError("away")
        return number


async def test_who_comes_while_it_is_read_or_soon_after_shares_it() -> None:
    recent, slow = Recent(), Slow()
    assert await asyncio.gather(*(recent.get("a", 9, slow.read) for _ in range(50))) == [1] * 50
    assert await recent.get("a", 9, slow.read) == 1
    assert await recent.get("b", 9, slow.read) == 2
    assert await recent.get("a", 0.01, slow.read) == 3, "the reading itself took longer than it stays fresh"


async def test_who_has_written_gets_what_was_begun_afterwards_and_shares_that() -> None:
    recent, slow = Recent(), Slow()
    first = asyncio.create_task(recent.get("a", 9, slow.read))
    await asyncio.sleep(0.005)
    writers = [recent.get("a", 9, slow.read, since=monotonic()) for _ in range(20)]
    assert await asyncio.gather(*writers) == [2] * 20
    assert await first == 1
    assert await recent.get("a", 9, slow.read, since=monotonic()) == 3
    assert await recent.get("a", 9, slow.read) == 3


async def test_a_failure_is_told_to_those_who_waited_and_not_kept() -> None:
    recent, slow = Recent(), Slow()
    slow.fails = True
    found = await asyncio.gather(*(recent.get("a", 9, slow.read) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in found] == [OSError] * 3
    assert slow.times == 1
    slow.fails = False
    assert await recent.get("a", 9, slow.read) == 2


async def test_who_goes_away_takes_nothing_from_the_others() -> None:
    recent, slow = Recent(), Slow()
    first = asyncio.create_task(recent.get("a", 9, slow.read))
    await asyncio.sleep(0.005)
    second = asyncio.create_task(recent.get("a", 9, slow.read))
    first.cancel()
    assert await second == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_no_more_is_kept_than_there_is_room_for() -> None:
    recent, slow = Recent(), Slow()
    await asyncio.gather(*(recent.get(number, 99, slow.read) for number in range(MOST + 1)))
    assert len(recent._read) == MOST

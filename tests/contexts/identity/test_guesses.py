"""Guessing is slowed down over all processes, and its victim is not locked out."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from pasar.apps.lab.evidence import Evidence
from pasar.contexts.identity.guesses import AT_ONCE, Guesses
from pasar.kernel.clock import SettableClock
from pasar.kernel.store import Database
from pasar.kernel.throttle import Throttle
from pasar.refusals import BadCredentials, TooManyGuesses
from postgres import TestDatabase

FREE, LONGEST_S = 3, 5


class Processes:
    """Several processes on one database. Sleeping passes at once, and is noted."""

    def __init__(self, pool: Database) -> None:
        self.clock, self.slept = SettableClock(datetime(2026, 3, 1, tzinfo=UTC)), list[float]()
        self.throttle = Throttle(pool.kernel, self.clock)
        self.all = [Guesses(self.throttle, self.sleep) for _ in range(3)]
        self._turn = 0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def guess(self, place: str, times: int = 1, *, right: bool = False) -> float:
        """Each time in another process; how long it waited in all."""
        self.slept.clear()
        for _ in range(times):
            self._turn += 1
            try:
                async with self.all[self._turn % len(self.all)].one(1, "kim", place):
                    if not right:
                        raise BadCredentials
            except BadCredentials:
                pass
        return sum(self.slept)


@pytest_asyncio.fixture
async def processes(database: TestDatabase) -> AsyncIterator[Processes]:
    pool = Database(database.app_dsn, size=4)
    await pool.open()
    yield Processes(pool)
    await pool.close()


@pytest.mark.promise("D8")
async def test_each_guess_waits_longer_up_to_an_end_in_whatever_process(processes: Processes) -> None:
    assert await processes.guess("attacker", FREE) == 0
    waits = [await processes.guess("attacker") for _ in range(12)]
    assert waits == sorted(waits)
    assert waits[0] > 0
    assert waits[-1] == LONGEST_S


@pytest.mark.promise("D8")
async def test_the_owner_at_home_does_not_wait_for_what_strangers_do(processes: Processes) -> None:
    await processes.guess("home", right=True)
    for number in range(150):
        await _or_refused(processes, f"robot {number}")
    assert await processes.guess("home", right=True) == 0


async def _or_refused(processes: Processes, place: str) -> bool:
    try:
        await processes.guess(place)
    except TooManyGuesses:
        return False
    return True


@pytest.mark.promise("D8")
async def test_ten_thousand_addresses_get_one_guess_every_few_seconds(processes: Processes, proof: Evidence) -> None:
    """However many ask, and however they are spread; a slot is never far away for an owner who travels."""
    looked_at, seconds = 0, proof.number(1_000, 60)
    for second in range(seconds):
        for robot in range(10):
            looked_at += await _or_refused(processes, f"robot {second}-{robot}")
            proof.attempt()
        processes.clock.advance(timedelta(seconds=1))
    proof.figure("guesses that were looked at", looked_at)
    assert looked_at < 100 + seconds / LONGEST_S + 10
    processes.clock.advance(timedelta(seconds=40))
    assert await processes.guess("hotel", right=True) <= LONGEST_S


async def test_success_starts_a_place_anew_and_time_forgets(processes: Processes) -> None:
    await processes.guess("home", FREE + 2)
    await processes.guess("home", right=True)
    assert await processes.guess("home") == 0
    await processes.guess("home", 10)
    processes.clock.advance(timedelta(minutes=16))
    assert await processes.guess("home") == 0
    processes.clock.advance(timedelta(days=2))
    assert await processes.throttle.forget() == 1  # The login; the place is known for longer.
    processes.clock.advance(timedelta(days=90))
    assert await processes.throttle.forget() == 1


@pytest.mark.promise("D8")
async def test_guesses_at_the_same_instant_do_not_all_count_as_the_first(processes: Processes) -> None:
    all_begun = asyncio.Barrier(9)

    async def guess(number: int) -> None:
        async with processes.all[number % 3].one(1, "kim", "attacker"):
            await all_begun.wait()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(9):
            group.create_task(guess(number))
    assert len(processes.slept) == 9 - FREE


async def test_only_a_few_guesses_of_one_place_are_looked_at_at_once(processes: Processes) -> None:
    guesses, begun, go_on = processes.all[0], asyncio.Barrier(AT_ONCE + 1), asyncio.Event()

    async def one() -> None:
        async with guesses.one(1, "kim", "attacker"):
            if not go_on.is_set():
                await begun.wait()
            await go_on.wait()

    running = [asyncio.create_task(one()) for _ in range(AT_ONCE)]
    async with asyncio.timeout(60):
        await begun.wait()
    with pytest.raises(TooManyGuesses):
        await one()
    async with guesses.one(1, "kim", "home"):
        pass
    go_on.set()
    await asyncio.gather(*running)
    await one()

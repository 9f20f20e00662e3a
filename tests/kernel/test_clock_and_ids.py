"""Time and ids: in UTC, ordered, unique, repeatable from a seed."""

import multiprocessing
import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import msgspec
import pytest

from pasar.kernel.clock import SettableClock, SystemClock
from pasar.kernel.ids import SeededIds, SystemIds

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_systems_time_is_in_utc() -> None:
    assert SystemClock().now().tzinfo is UTC
    assert abs(SystemClock().now().timestamp() - time.time()) < 5


def test_a_settable_clock_stands_until_it_is_moved() -> None:
    clock = SettableClock(START.astimezone(timezone(timedelta(hours=9))))
    assert clock.now() == START
    assert clock.now().tzinfo is UTC
    assert clock.advance(timedelta(minutes=30)) == clock.now() == START + timedelta(minutes=30)
    clock.set(START + timedelta(days=1))
    assert clock.now() == START + timedelta(days=1)


def test_it_goes_backwards_only_when_told() -> None:
    clock = SettableClock(START)
    with pytest.raises(ValueError, match="does not go back"):
        clock.set(START - timedelta(seconds=1))
    with pytest.raises(ValueError, match="does not advance"):
        clock.advance(timedelta(seconds=-1))
    assert clock.now() == START
    clock.set(START - timedelta(seconds=1), backwards=True)
    assert clock.now() < START


def test_an_instant_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        SettableClock(START.replace(tzinfo=None))


def test_threads_lose_no_step_of_the_clock() -> None:
    clock = SettableClock(START)
    threads = [
        threading.Thread(target=lambda: [clock.advance(timedelta(seconds=1)) for _ in range(500)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.now() == START + timedelta(seconds=4000)


@pytest.mark.parametrize("ids", [SystemIds(), SeededIds(1)])
def test_ids_are_of_version_7_unique_and_grow(ids: SystemIds | SeededIds) -> None:
    drawn = [ids.uuid() for _ in range(20_000)]
    assert drawn == sorted(drawn)
    assert len(set(drawn)) == len(drawn)
    assert all((one.version, one.variant) == (7, UUID(int=0x8 << 60).variant) for one in drawn[:1000])
    assert isinstance(drawn[0], UUID)
    assert UUID(str(drawn[0])) == drawn[0]
    assert msgspec.json.decode(msgspec.json.encode(drawn[0]), type=UUID) == drawn[0]


def test_an_id_tells_its_millisecond() -> None:
    before = time.time_ns() // 1_000_000
    drawn = SystemIds().uuid()
    assert before <= drawn.int >> 80 <= time.time_ns() // 1_000_000


def test_threads_never_share_an_id() -> None:
    ids = SystemIds()
    drawn: list[list[UUID]] = [[] for _ in range(8)]
    threads = [
        threading.Thread(target=lambda mine: mine.extend(ids.uuid() for _ in range(2000)), args=[d]) for d in drawn
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one for mine in drawn for one in mine}) == 16_000


def test_a_forked_process_draws_other_ids() -> None:
    ids = SystemIds()
    ids.uuid()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: queue.put([ids.uuid().int & (1 << 62) - 1 for _ in range(10)]))
    child.start()
    ours = [ids.uuid().int & (1 << 62) - 1 for _ in range(10)]
    theirs = queue.get()
    child.join()
    assert set(ours).isdisjoint(theirs)


def test_the_same_seed_gives_the_same_ids_and_tokens() -> None:
    def draw(seed: int) -> list[object]:
        ids = SeededIds(seed)
        return [ids.uuid(), ids.token(), ids.uuid(), ids.token(8)]

    assert draw(7) == draw(7)
    assert draw(7) != draw(8)


def test_tokens_have_the_size_asked_for() -> None:
    for ids in (SystemIds(), SeededIds(1)):
        assert len(ids.token()) == 43
        assert len(ids.token(16)) == 22
        assert ids.token() != ids.token()

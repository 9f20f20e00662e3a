"""The queue's rules, the same in the process and in Redis; and what the keeping place may forget."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from kernel.running import until
from pasar.contexts.flash.gateway import UNKNOWN, Line, Queue, Rules
from pasar.contexts.flash.gateways.memory import MemoryQueue
from pasar.contexts.flash.gateways.redis import RedisQueue
from pasar.kernel.rates import LocalRates, Rate, Rates, RedisRates
from pasar.kernel.redis_link import RedisAway, RedisLink
from servers import OwnRedis, own_redis

LINE = Line(1, "noon", "apple")
RULES = Rules(admit_per_s=1000, ticket_ms=10_000, place_ms=30_000, waiting_most=3)
NOW = 1_772_366_400_000


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    with own_redis(Path(tmp_path_factory.mktemp("redis"))) as server:
        yield server


@pytest.fixture(scope="module")
def redis_url(redis: OwnRedis) -> str:
    return redis.url


@pytest_asyncio.fixture(params=["memory", "redis"])
async def queue(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Queue]:
    if request.param == "memory":
        yield MemoryQueue(uuid4)
        return
    monkeypatch.setattr("pasar.kernel.redis_link.TIMEOUT_S", 20.0)  # A Redis that is slow counts as away.
    link = RedisLink(request.getfixturevalue("redis_url"))
    await link.do("FLUSHALL")
    yield RedisQueue(link, MemoryQueue(uuid4), uuid4)
    await link.close()


async def states(queue: Queue, *members: str, at: int = NOW, rules: Rules = RULES) -> list[tuple[str, int]]:
    found = [await queue.join(LINE, member, 1, at, rules) for member in members]
    return [(standing.state, standing.position) for standing in found]


async def test_nothing_is_said_before_somebody_has_counted(queue: Queue) -> None:
    assert await states(queue, "a") == [("uncounted", 0)]
    assert (await queue.look(LINE, "a", NOW, RULES) or 1).state == "uncounted"  # type: ignore[union-attr]


async def test_as_many_are_admitted_as_there_are_units_in_the_order_of_arrival(queue: Queue) -> None:
    await queue.count(LINE, 2, await queue.mark(LINE))
    admitted, waiting = ("admitted", 0), "waiting"
    wanted = [admitted, admitted, (waiting, 1), (waiting, 2), (waiting, 3), ("full", 0)]
    assert await states(queue, *"abcdef") == wanted
    assert await states(queue, *"abcde") == wanted[:5], "asking again changes nothing"
    assert await queue.look(LINE, "f", NOW, RULES) is None
    first = await queue.join(LINE, "a", 1, NOW, RULES)
    await queue.done(LINE, "a", first.ticket, sold=True)
    assert await states(queue, "c") == [(waiting, 1)]
    second = await queue.join(LINE, "b", 1, NOW, RULES)
    await queue.done(LINE, "b", "another's", sold=False)
    assert await states(queue, "c") == [(waiting, 1)]
    await queue.done(LINE, "b", second.ticket, sold=False)
    assert await states(queue, "c", "d") == [admitted, (waiting, 1)]
    third = await queue.join(LINE, "c", 1, NOW, RULES)
    await queue.done(LINE, "c", third.ticket, sold=True)
    assert await states(queue, "d", "e", "f") == [(waiting, 1), (waiting, 2), (waiting, 3)], "the ledger was not asked"
    await queue.count(LINE, 0, await queue.mark(LINE))
    assert await states(queue, "d", "e") == [("sold_out", 1), ("sold_out", 2)]
    assert await states(queue, "g") == [("sold_out", 0)]
    await queue.count(LINE, 1, await queue.mark(LINE))
    assert await states(queue, "d", "e") == [admitted, (waiting, 1)], "a unit came back"


async def test_tickets_lapse_unless_their_order_is_under_way(queue: Queue) -> None:
    await queue.count(LINE, 2, await queue.mark(LINE))
    await states(queue, *"abcd")
    kept = await queue.join(LINE, "b", 1, NOW, RULES)
    await queue.keep(LINE, "b", kept.ticket, NOW + 20_000)
    later = NOW + 10_000
    assert await states(queue, "c", "d", at=later) == [("admitted", 0), ("waiting", 1)]
    assert await states(queue, "d", at=NOW + 20_000) == [("admitted", 0)]


async def test_a_ticket_that_is_kept_for_long_holds_back_no_other(queue: Queue) -> None:
    await queue.count(LINE, 2, await queue.mark(LINE))
    await states(queue, *"abcd")
    kept = await queue.join(LINE, "a", 1, NOW, RULES)
    await queue.keep(LINE, "a", kept.ticket, NOW + 60_000)
    assert await states(queue, "c", "d", at=NOW + 10_000) == [("admitted", 0), ("waiting", 1)]
    assert await states(queue, "d", at=NOW + 20_000) == [("admitted", 0)]


async def test_a_place_that_nobody_asks_for_is_given_up(queue: Queue) -> None:
    await queue.count(LINE, 1, await queue.mark(LINE))
    await states(queue, *"abcd")
    assert await states(queue, "c", at=NOW + 9_000) == [("waiting", 2)]
    assert await states(queue, "c", at=NOW + 38_000) == [("admitted", 0)]
    assert await queue.look(LINE, "b", NOW + 38_000, RULES) is None


async def test_admission_goes_at_its_rate(queue: Queue) -> None:
    slow = RULES._replace(admit_per_s=2, waiting_most=100)
    await queue.count(LINE, 100, await queue.mark(LINE))
    got = await states(queue, *"abcdef", rules=slow)
    assert got == [("admitted", 0), *(("waiting", n) for n in range(1, 6))]
    assert (await queue.join(LINE, "f", 1, NOW, slow)).wait_s == 3
    after = await states(queue, *"bcd", at=NOW + 500, rules=slow)
    assert after == [("admitted", 0), ("waiting", 1), ("waiting", 2)]


async def test_a_ticket_may_be_for_several_units(queue: Queue) -> None:
    await queue.count(LINE, 5, await queue.mark(LINE))
    three = await queue.join(LINE, "a", 3, NOW, RULES)
    assert (three.state, three.units) == ("admitted", 3)
    assert (await queue.join(LINE, "b", 3, NOW, RULES)).state == "waiting"
    await queue.done(LINE, "a", three.ticket, sold=False)
    assert (await queue.join(LINE, "b", 3, NOW, RULES)).state == "admitted"


async def test_a_count_that_is_older_than_a_sale_gives_no_ticket_too_many(queue: Queue) -> None:
    await queue.count(LINE, 1, await queue.mark(LINE))
    only = await queue.join(LINE, "a", 1, NOW, RULES)
    mark, read = await queue.mark(LINE), 1  # The ledger was asked, then the order came, then the answer.
    await queue.done(LINE, "a", only.ticket, sold=True)
    await queue.count(LINE, read, mark)
    assert await states(queue, "b") == [("waiting", 1)], "nor does it send away anybody"
    await queue.count(LINE, 0, await queue.mark(LINE))
    assert await states(queue, "b") == [("sold_out", 1)]
    await queue.count(LINE, 1, await queue.mark(LINE))  # Now one has come back.
    assert await states(queue, "b") == [("admitted", 0)]


async def test_tickets_of_a_queue_that_was_forgotten_are_not_given_out_again(redis_url: str) -> None:
    link = RedisLink(redis_url)
    queue = RedisQueue(link, MemoryQueue(uuid4), uuid4)
    seen = set()
    for _ in range(3):
        await link.do("FLUSHALL")
        await queue.count(LINE, 1, await queue.mark(LINE))
        seen.add((await queue.join(LINE, "a", 1, NOW, RULES)).ticket)
    assert len(seen) == 3
    await link.close()


async def test_what_redis_did_not_hear_is_said_again(redis: OwnRedis) -> None:
    """Else the unit of a ticket that was given back would be kept from others until it lapses."""
    link = RedisLink(redis.url)
    await link.do("FLUSHALL")
    queue = RedisQueue(link, MemoryQueue(uuid4), uuid4)
    await queue.count(LINE, 1, await queue.mark(LINE))
    only = await queue.join(LINE, "a", 1, NOW, RULES)
    assert await states(queue, "b") == [("waiting", 1)]
    with redis.paused():
        assert (await queue.mark(LINE))[0] == UNKNOWN
    await queue.done(LINE, "a", only.ticket, sold=False)  # It is left alone for a second.
    await until(lambda: _answers(link), 10)
    await queue.count(LINE, 1, (UNKNOWN, 0))
    assert await states(queue, "b") == [("waiting", 1)], "a count without a mark is worth nothing"
    await queue.count(LINE, 1, await queue.mark(LINE))
    assert await states(queue, "b") == [("admitted", 0)]
    await link.close()


async def _answers(link: RedisLink) -> bool:
    try:
        return bool(await link.do("PING"))
    except RedisAway:
        return False


async def test_buckets_of_redis_and_of_the_process_say_the_same(redis_url: str) -> None:
    link, moment = RedisLink(redis_url), [0.0]
    local = LocalRates(lambda: moment[0])
    both: list[Rates] = [local, RedisRates(link, local)]
    for number, rates in enumerate(both):
        waits = [await rates.take({f"x{number}": Rate(0.001, 3), "all": Rate(1, 100)}) for _ in range(4)]
        assert waits[:3] == [0, 0, 0]
        assert 900 < waits[3] <= 1000
        assert await rates.take({f"y{number}": Rate(0.001, 3)}) == 0
    moment[0] = 2000.0
    assert await local.take({"x0": Rate(0.001, 3)}) == 0
    await link.close()

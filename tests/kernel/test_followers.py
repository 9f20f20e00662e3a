"""The log cannot be skipped: not by slow transactions, nor by those that fail, nor by ones that are forgotten."""

import asyncio
import random
from typing import Any

import asyncpg
import pytest

from kernel.jar import CoinsPut, Put, contents, diary, module, opened, prepare
from kernel.running import caught_up, readable, until, working
from pasar.kernel.followers import START, Cursor, Feed, Leases, read
from pasar.kernel.messages import encode
from pasar.kernel.pool import Pool
from pasar.kernel.tail import Tail
from postgres import TestDatabase

jar = module(views=(contents, diary))
TYPES = frozenset({"jar.CoinsPut"})


async def append(connection: Any, stream: str, version: int) -> None:
    """An event as the commit writes it, by a transaction whose end is up to the caller."""
    await connection.execute(
        """insert into kernel.event (tenant, kind, stream, version, type, data, meta, change, at, epoch)
           values (1, 'jar.jar', $1, $2, 'jar.CoinsPut', $3, '{"by": "test"}', gen_random_uuid(), now(), 1)""",
        *(stream, version, encode(CoinsPut(jar=stream, coins=1)).decode()),
    )


async def unruly_writer(dsn: str, name: str, seed: int, count: int) -> set[tuple[str, int]]:
    """Commits after a while, or not at all; what it committed."""
    chance, kept = random.Random(seed), set()
    connection = await asyncpg.connect(dsn)
    for version in range(1, count + 1):
        transaction = connection.transaction()
        await transaction.start()
        await append(connection, name, version)
        await asyncio.sleep(chance.choice((0, 0, 0.001, 0.004, 0.015)))
        if chance.random() < 0.2:
            await transaction.rollback()
        else:
            await transaction.commit()
            kept.add((name, version))
    await connection.close()
    return kept


class Ours:
    """The reader that followers use."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self._cursor = pool, START

    async def more(self) -> list[tuple[str, int]]:
        batch = await read(self.pool, self._cursor, TYPES, 7)
        self._cursor = batch.end
        return [(event.stream, event.version) for event in batch.events]


class PositionOnly:
    """Known to be bad: takes the number for the order."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self._position = pool, 0

    async def more(self) -> list[tuple[str, int]]:
        rows = await self.pool.fetch(
            "select stream, version, position from kernel.event where position > $1 order by position limit 7",
            self._position,
        )
        if rows:
            self._position = rows[-1]["position"]
        return [(row["stream"], row["version"]) for row in rows]


async def skipped_by(reader: Any, database: TestDatabase) -> int:
    """How many committed events a reader did not see; it sees none twice."""
    owner_dsn = database.dsn
    writers = asyncio.gather(*(unruly_writer(owner_dsn, f"w{n}", n, 60) for n in range(8)))
    seen: list[tuple[str, int]] = []
    while not writers.done():
        seen += await reader.more()
    written = await writers
    await readable(reader.pool)
    while more := await reader.more():
        seen += more
    assert len(seen) == len(set(seen)), "an event was seen twice"
    return len(set[tuple[str, int]]().union(*written) - set(seen))


@pytest.mark.promise("B8")
async def test_no_event_is_skipped_while_slow_and_failing_transactions_write(database: TestDatabase) -> None:
    async with opened(database, jar) as core:
        assert await skipped_by(Ours(core.database.kernel), database) == 0


async def test_the_generator_of_gaps_convicts_a_reader_by_position_only(database: TestDatabase) -> None:
    async with opened(database, jar) as core:
        assert await skipped_by(PositionOnly(core.database.kernel), database) > 0


async def test_events_of_a_stream_are_read_in_their_order(database: TestDatabase) -> None:
    async with opened(database, jar) as core:
        await asyncio.gather(*(core.bus().send(Put(jar=f"j{n % 50}", coins=1)) for n in range(200)))
        batch = await read(core.database.kernel, START, TYPES, 1000)
        for stream in {event.stream for event in batch.events}:
            versions = [event.version for event in batch.events if event.stream == stream]
            assert versions == list(range(1, len(versions) + 1))


async def test_an_event_that_cannot_be_decoded_stops_nobody(database: TestDatabase) -> None:
    await prepare(database, jar)
    connection = await asyncpg.connect(database.dsn)
    async with opened(database, jar) as core, working(core, jar):
        await connection.execute(
            """insert into kernel.event (tenant, kind, stream, version, type, data, meta, change, at, epoch)
               values (1, 'jar.jar', 'odd', 1, 'jar.CoinsPut', '{"jar": 5}', '{}', gen_random_uuid(), now(), 1)"""
        )
        await connection.close()
        await core.bus().send(Put(jar="even", coins=1))
        reader = core.database.reader(1)
        await until(lambda: reader.fetchval("select count(*) = 1 from jar.contents"))
        await caught_up(core)
        reasons = await core.database.kernel.fetch("select follower, stream, reason from kernel.parked order by 1")
        assert [(row["follower"], row["stream"]) for row in reasons] == [
            ("view:jar.contents", "odd"),
            ("view:jar.diary", "odd"),
        ]
        assert "ValidationError" in reasons[0]["reason"]


@pytest.mark.promise("B8")
async def test_a_forgotten_transaction_is_named(database: TestDatabase) -> None:
    await prepare(database, jar)
    async with opened(database, jar) as core, working(core, jar, stall_s=0.4) as worker:
        forgotten = await asyncpg.connect(database.dsn, server_settings={"application_name": "forgetful"})
        await forgotten.execute("begin")
        await append(forgotten, "late", 1)
        await core.bus().send(Put(jar="a", coins=1))

        async def stalled() -> bool:
            return worker.stall is not None

        await until(stalled)
        assert worker.stall is not None
        assert worker.stall.pid == await forgotten.fetchval("select pg_backend_pid()")
        assert await core.database.reader(1).fetchval("select count(*) from jar.contents") == 0
        await forgotten.execute("commit")
        await forgotten.close()
        await caught_up(core)

        async def flows() -> bool:
            return worker.stall is None

        await until(flows)
        assert await core.database.reader(1).fetchval("select count(*) from jar.contents") == 2


async def test_one_read_feeds_all_and_who_is_behind_reads_for_itself(database: TestDatabase) -> None:
    async with opened(database, jar) as core:
        for n in range(3):
            await core.bus().send(Put(jar="a", coins=n + 1))
        feed = Feed(core.database.kernel, TYPES, limit=2, keep=2)
        await feed.begin()
        for n in range(6):
            await core.bus().send(Put(jar="a", coins=n + 4))
        await readable(core.database.kernel)
        while await feed.poll():
            pass
        cursor, seen = START, []
        while (batch := await feed.after(cursor, 0)) is not None:
            seen += [event.version for event in batch.events]
            cursor = batch.end
        assert seen == list(range(1, 10))
        assert await feed.after(Cursor(*cursor), 0) is None


async def test_a_lease_is_one_workers_until_its_connection_ends(database: TestDatabase) -> None:
    async with opened(database, jar) as core:
        one, other = Leases(core.database), Leases(core.database)
        assert await one.take(["a", "b"]) == ["a", "b"]
        assert await other.take(["a", "b", "c"]) == ["c"]
        await one.give("a")
        assert await other.take(["a", "b"]) == ["a"]
        one.lose()
        assert await until(lambda: other.take(["b"])) == ["b"]
        await other.close()


async def test_a_tail_hears_what_happens_from_now_on_even_during_a_stall(database: TestDatabase) -> None:
    async with opened(database, jar) as core:
        await core.bus().send(Put(jar="before", coins=1))
        heard: list[str] = []
        tail = Tail(core.database.kernel, poll_s=0.02)
        assert tail.age() == float("inf")
        tail.subscribe((CoinsPut,), lambda event: heard.append(event.event.jar))
        await tail.start()
        forgotten = await asyncpg.connect(database.dsn)
        await forgotten.execute("begin")
        await append(forgotten, "late", 1)
        for n in range(5):
            await core.bus().send(Put(jar=f"after{n}", coins=1))
        await until(lambda: _is(len(heard) == 5))
        await forgotten.execute("commit")
        await forgotten.close()
        await until(lambda: _is(len(heard) == 6))
        await asyncio.sleep(0.1)
        assert heard == [*(f"after{n}" for n in range(5)), "late"]
        assert tail.age() < 10
        await tail.stop()
        aged = tail.age()
        await asyncio.sleep(0.05)
        assert tail.age() >= aged + 0.05


async def _is(value: bool) -> bool:
    return value


async def test_cursors_that_a_crash_threw_back_are_begun_again(database: TestDatabase) -> None:
    """Moves are saved without waiting for the disk: a server that crashed may have lost the last."""
    await prepare(database, jar)
    async with opened(database, jar) as core, working(core, jar):
        await core.bus().send(Put(jar="one", coins=1))
        await until(lambda: core.database.kernel.fetchval("select count(*) > 2 from kernel.cursor"))
        await caught_up(core)
        connection = await asyncpg.connect(database.dsn)
        await connection.execute("update kernel.cursor set xid = '0', position = 0")
        await connection.close()
        await core.bus().send(Put(jar="one", coins=2))
        await caught_up(core)

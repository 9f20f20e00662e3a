"""Very many commits by backends that are slow, fail and overtake each other, made inside the database; readers see each
committed event once, in the order of its stream; and one that trusts in numbers does not."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from kernel.jar import module, opened, prepare
from kernel.running import readable
from pasar.apps.lab.evidence import Evidence
from pasar.kernel.followers import START, Cursor, read
from pasar.kernel.pool import Pool
from postgres import TestDatabase

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

TYPES = frozenset({"jar.CoinsPut"})
WRITERS = 6
READERS = 2
PATCH = 5_000

# A version counts only when it was committed; so a reader that gets each stream's versions in turn has missed nothing.
WRITER = """
create procedure unruly(name text, first int, wanted int, seed float8) language plpgsql as $$
declare
    done int := first - 1;
begin
    perform setseed(seed);
    set synchronous_commit = off;
    while done < first + wanted - 1 loop
        insert into kernel.event (tenant, kind, stream, version, type, data, meta, change, at, epoch)
        values (1, 'jar.jar', name, done + 1, 'jar.CoinsPut', jsonb_build_object('jar', name, 'coins', 1),
                '{"by": "test"}', gen_random_uuid(), clock_timestamp(), 1);
        if random() < 0.002 then
            perform pg_sleep(random() * 0.01);
        end if;
        if random() < 0.1 then
            rollback;
        else
            commit;
            done := done + 1;
        end if;
    end loop;
end $$"""


class Follower:
    """Reads as followers do, and holds on to nothing but how far each stream has come."""

    def __init__(self, pool: Pool, limit: int) -> None:
        self.pool, self._limit, self._cursor = pool, limit, START
        self.seen: Counter[str] = Counter()
        self.events = 0

    async def more(self) -> int:
        batch = await read(self.pool, self._cursor, TYPES, self._limit)
        for event in batch.events:
            assert event.version == self.seen[event.stream] + 1, f"{event.stream} {event.version} out of turn"
            self.seen[event.stream] += 1
        self._cursor = Cursor(*batch.end)
        self.events += len(batch.events)
        return batch.size


class ByNumber(Follower):
    """Known to be bad: takes the number for the order."""

    _position = 0

    async def more(self) -> int:
        rows = await self.pool.fetch(
            "select stream, position from kernel.event where position > $1 order by position limit $2",
            *(self._position, self._limit),
        )
        for row in rows:
            self.seen[row["stream"]] += 1
            self._position = row["position"]
        self.events += len(rows)
        return len(rows)


@asynccontextmanager
async def writing(database: TestDatabase, each: int, seed: int) -> AsyncIterator["asyncio.Future[Any]"]:
    """So many commits by each writer, while the block runs. Long calls are made of patches: a procedure keeps nothing
    back between its transactions, but its first snapshot."""
    chance = random.Random(seed)
    owners = [await asyncpg.connect(database.dsn) for _ in range(WRITERS)]
    await owners[0].execute(WRITER)

    async def write(number: int) -> None:
        for first in range(1, each + 1, PATCH):
            call = f"call unruly('w{number}', {first}, {min(PATCH, each + 1 - first)}, {chance.uniform(-1, 1)})"
            await owners[number].execute(call)

    yield asyncio.gather(*(write(number) for number in range(WRITERS)))
    for owner in owners:
        await owner.close()


async def follow(readers: Sequence[Follower], writers: "asyncio.Future[Any]") -> None:
    async def one(reader: Follower) -> None:
        while not writers.done():
            await reader.more()
        await readable(reader.pool)
        while await reader.more():
            pass

    await asyncio.gather(*(one(reader) for reader in readers))
    await writers


@pytest.mark.promise("B8")
async def test_no_event_is_skipped_or_seen_twice_in_very_many_commits(database: TestDatabase, proof: Evidence) -> None:
    jar, each = module(), proof.number(1_000_000) // WRITERS + 1
    await prepare(database, jar)
    async with opened(database, jar) as core, writing(database, each, proof.seed(81)) as writers:
        readers = [Follower(core.database.kernel, 500 * (number + 1)) for number in range(READERS)]
        await follow(readers, writers)
        for reader in readers:
            assert reader.seen == {f"w{number}": each for number in range(WRITERS)}
        proof.attempt(each * WRITERS)
        numbers = await core.database.kernel.fetchval("select max(position) from kernel.event")
        proof.fault("transactions rolled back", numbers - each * WRITERS)


async def test_a_reader_by_number_skips(database: TestDatabase) -> None:
    jar, each = module(), 3_000
    await prepare(database, jar)
    async with opened(database, jar) as core, writing(database, each, 82) as writers:
        reader = ByNumber(core.database.kernel, 500)
        await follow([reader], writers)
        assert reader.events < each * WRITERS

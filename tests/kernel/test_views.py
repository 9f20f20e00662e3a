"""Views are folds of the log: the same rows however often, and in whatever portions, they are folded."""

import asyncio

import asyncpg
import pytest

from kernel.jar import START, CoinsPut, Put, Smash, Tag, Take, contents, diary, module, opened, prepare
from kernel.running import caught_up, until, working
from pasar.kernel.bus import Context, Core
from pasar.kernel.parking import list_parked, replay_parked
from pasar.kernel.pool import Pool
from pasar.kernel.view_tables import RebuildStopped, differs, fingerprint, rebuild, rebuilding, stop_rebuild
from pasar.kernel.views import View
from pasar.kernel.worker import wait_for
from postgres import TestDatabase

jar = module(views=(contents, diary))


async def fill(core: Core, jars: int = 20, rounds: int = 10) -> None:
    async def one(number: int) -> None:
        bus = core.bus(Context(principal=f"member:{number}"))
        for size in range(1, rounds + 1):
            await bus.send(Put(jar=f"j{number}", coins=size, tag=Tag(colour="red", words=("a", 'b"'))))
            if size % 4 == 0:
                await bus.send(Take(jar=f"j{number}", coins=2))
        if number % 7 == 6:
            await bus.send(Smash(jar=f"j{number}"))

    await asyncio.gather(*(one(number) for number in range(jars)))


async def rows(core: Core, sql: str, tenant: int = 1) -> list[tuple]:
    return [tuple(row) for row in await core.database.reader(tenant).fetch(sql)]


async def test_a_view_shows_what_was_written(database: TestDatabase) -> None:
    await prepare(database, jar)
    async with opened(database, jar) as core, working(core, jar):
        bus = core.bus(Context(principal="member:1"))
        await bus.send(Put(jar="a", coins=5, tag=Tag(colour="red", words=("x",))))
        await bus.send(Put(jar="a", coins=4))
        await bus.send(Take(jar="a", coins=2))
        assert await wait_for(core.database.kernel, contents, bus.position, timeout_s=60)
        assert await rows(core, "select * from jar.contents") == [(1, "a", 7, 2, None, None, START, "member:1")]
        await bus.send(Put(jar="a", coins=1, tag=Tag(colour="blue", words=("x",))))
        assert await wait_for(core.database.kernel, contents, bus.position, timeout_s=60)
        assert await rows(core, "select colour, tag->'words'->>0 from jar.contents") == [("blue", "x")]


async def test_rows_of_other_tenants_are_neither_seen_nor_changed(database: TestDatabase) -> None:
    await prepare(database, jar)
    async with opened(database, jar) as core, working(core, jar):
        for tenant in (1, 2):
            await core.bus(Context(tenant=tenant)).send(Put(jar="a", coins=tenant))
        await core.bus(Context(tenant=1)).send(Smash(jar="a"))
        await caught_up(core)
        assert await rows(core, "select tenant, coins from jar.contents", tenant=1) == []
        assert await rows(core, "select tenant, coins from jar.contents", tenant=2) == [(2, 2)]


@pytest.mark.requirement("S0-105", "S1-028", "S1-029", "S1-277", "S2-117")
@pytest.mark.promise("B7")
async def test_a_rebuilt_view_is_the_live_one_byte_for_byte_while_events_flow(database: TestDatabase) -> None:
    await prepare(database, jar)
    async with opened(database, jar) as core, working(core, jar):
        flow = asyncio.create_task(fill(core, jars=30, rounds=40))
        reads: list[int] = []

        async def look_on() -> None:
            while not flow.done():
                reads.append(len(await rows(core, "select jar from jar.contents where jar not in ('j6')")))
                await asyncio.sleep(0.005)

        looking = asyncio.create_task(look_on())
        await until(lambda: _true(bool(reads) and reads[-1] > 20))
        for _ in range(3):
            await rebuild(core.database, contents, core.clock)
        await asyncio.gather(flow, looking)
        assert min(reads[reads.index(max(reads)) :]) >= max(reads) - 5, "readers saw a gap"
        await caught_up(core)
        async with core.database.kernel.acquire() as connection:
            live = await fingerprint(connection, contents)
        await rebuild(core.database, contents, core.clock)
        async with core.database.kernel.acquire() as connection:
            assert await fingerprint(connection, contents) == live
        assert not await differs(core.database, diary, core.clock)
        folded = await rows(
            core,
            """select stream, sum(case when type = 'jar.CoinsPut' then (data->>'coins')::int
                                       when type = 'jar.CoinsTaken' then -(data->>'coins')::int end)::int
                 from kernel.event where kind = 'jar.jar' group by stream
               having bool_and(type <> 'jar.JarSmashed') order by stream collate "C" """,
        )
        assert await rows(core, 'select jar, coins from jar.contents order by jar collate "C"') == folded


async def test_a_rebuild_is_stopped_from_another_process(database: TestDatabase) -> None:
    await prepare(database, jar)
    async with opened(database, jar) as core, opened(database, jar) as other:
        async with working(core, jar):
            await fill(core, jars=30, rounds=40)
            await caught_up(core)
        async with core.database.kernel.acquire() as connection:
            live = await fingerprint(connection, contents)
        pool = other.database.kernel
        assert await rebuilding(pool, [contents, diary]) == {}
        assert not await stop_rebuild(pool, contents)
        owner = await asyncpg.connect(database.dsn)
        await owner.execute("create table jar.contents__next (like jar.contents including all)")
        await owner.execute("alter table jar.contents__next owner to pasar_owner")
        await owner.execute("select kernel.fence_view('jar', 'contents__next')")
        async with owner.transaction():
            await owner.execute("lock table jar.contents__next in share mode")
            work = asyncio.create_task(rebuild(core.database, contents, core.clock))
            await until(lambda: _is_seen(pool, contents, 0))
            await until(lambda: stop_rebuild(pool, contents))  # Before it has begun to fold.
        with pytest.raises(RebuildStopped):
            await work
        await owner.execute(
            """create function jar.slowly() returns trigger language plpgsql as
               $$ begin perform pg_sleep(0.002); return new; end $$"""
        )
        await owner.execute(
            """create trigger slowly before insert or update on jar.contents__next
               for each row execute function jar.slowly()"""
        )
        work = asyncio.create_task(rebuild(core.database, contents, core.clock))
        await until(lambda: _is_seen(pool, contents, 1))
        assert await stop_rebuild(pool, contents)  # In the midst of it.
        with pytest.raises(RebuildStopped):
            await work
        await owner.execute("drop trigger slowly on jar.contents__next")
        await owner.close()
        assert await rebuilding(pool, [contents, diary]) == {}
        async with core.database.kernel.acquire() as connection:
            assert await fingerprint(connection, contents) == live
        assert await rebuild(other.database, contents, other.clock) > 256
        async with core.database.kernel.acquire() as connection:
            assert await fingerprint(connection, contents) == live


async def _is_seen(pool: Pool, view: View, percent: int) -> bool:
    """Whether another process sees that it is being rebuilt, and so far."""
    return (await rebuilding(pool, [view, diary])).get(view.table, -1) >= percent


async def _true(value: bool) -> bool:
    return value


async def test_a_row_changed_by_hand_is_found(database: TestDatabase) -> None:
    await prepare(database, jar)
    async with opened(database, jar) as core, working(core, jar):
        await fill(core, jars=3, rounds=4)
        await caught_up(core)
        assert not await differs(core.database, contents, core.clock)
        async with core.database.kernel.acquire() as connection, connection.transaction():
            await connection.execute("set local pasar.tenant = '1'")
            assert await connection.execute("update jar.contents set coins = coins + 1 where jar = 'j1'") == "UPDATE 1"
        assert await differs(core.database, contents, core.clock)


@pytest.mark.promise("C4")
async def test_a_poison_event_parks_only_its_stream_and_replays_in_order(database: TestDatabase) -> None:
    await prepare(database, jar)
    async with opened(database, jar) as core:
        bus, pool = core.bus(), core.database.kernel
        async with working(core, jar):
            for name, size in (("ill", 1), ("well", 2), ("ill", 40_000), ("well", 3), ("ill", 4)):
                await bus.send(Put(jar=name, coins=size))
            await caught_up(core)
            await bus.send(Put(jar="ill", coins=5))
            await caught_up(core)
            seen = "select jar, version, size from jar.diary order by jar, version"
            assert await rows(core, seen) == [("ill", 1, 1), ("well", 1, 2), ("well", 2, 3)]
            (parked,) = await list_parked(pool)
            assert (parked.follower, parked.lane, parked.version) == ("view:jar.diary", "jar.jar-ill", 2)
            assert "smallint" in parked.reason or "int16" in parked.reason
            assert not await differs(core.database, diary, core.clock), "a rebuild parks the same"
    owner = await asyncpg.connect(database.dsn)
    await owner.execute("alter table jar.diary alter column size type int")
    await owner.close()
    async with opened(database, jar) as core:
        bus, pool = core.bus(), core.database.kernel
        async with working(core, jar):
            assert await replay_parked(pool, "view:jar.diary", 1, "jar.jar-ill", core.clock.now())
            await until(lambda: _nothing_parked(core))
            await bus.send(Put(jar="ill", coins=6))
            await caught_up(core)
            assert [row[2] for row in await rows(core, seen) if row[0] == "ill"] == [1, 40_000, 4, 5, 6]


async def _nothing_parked(core: Core) -> bool:
    return not await core.database.kernel.fetchval("select count(*) from kernel.parked")


async def test_a_changed_definition_is_built_and_swapped_when_a_worker_starts(database: TestDatabase) -> None:
    await prepare(database, jar)
    async with opened(database, jar) as core:
        async with working(core, jar):
            await fill(core, jars=5, rounds=3)
            await caught_up(core)
        newer = View(
            table="jar.contents",
            key="jar",
            columns="jar text, coins bigint not null",
            on={
                CoinsPut: """insert into jar.contents as c (jar, coins) values (%(jar)s, %(coins)s)
                                 on conflict (tenant, jar) do update set coins = c.coins + excluded.coins""",
            },
        )
        changed = module(views=(newer, diary))
        assert await prepare(database, changed) == ["jar.contents"]
        assert len(await rows(core, "select puts from jar.contents")) == 5, "the old one is read until then"
        async with working(core, changed):
            await core.bus().send(Put(jar="j0", coins=10))

            async def swapped() -> bool:
                found = await rows(core, "select coins from jar.contents where jar = 'j0'")
                return found == [(16,)]

            await until(swapped)
            columns = await rows(core, "select * from jar.contents where jar = 'j0'")
            assert columns == [(1, "j0", 16)]
        assert await prepare(database, changed) == []


def test_a_parameter_that_the_event_does_not_have_stops_the_start() -> None:
    with pytest.raises(TypeError, match=r"CoinsPut has no tag\.shade"):
        View(table="jar.x", key="jar", columns="jar text", on={CoinsPut: "insert into jar.x values (%(tag.shade)s)"})

"""Workers share the followers, take over from each other, and lose or double nothing."""

import asyncio
import os
import signal
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from kernel.jar import (
    START,
    Free,
    Keep,
    Promise,
    Put,
    Smash,
    Take,
    coins,
    contents,
    diary,
    letters,
    mint,
    module,
    opened,
    prepare,
    spent,
)
from kernel.running import caught_up, readable, until, working
from kernel.test_policies import thanks
from pasar.kernel.bus import Core
from pasar.kernel.clock import SystemClock
from pasar.kernel.followers import START as FIRST
from pasar.kernel.followers import Fenced, end_of_log, load_cursor, move_cursor, read
from pasar.kernel.module import check_modules
from pasar.kernel.timers import Timers
from pasar.kernel.view_follower import ViewFollower
from pasar.kernel.view_tables import differs
from pasar.kernel.worker import lag, wait_for
from postgres import TestDatabase

jar = module(views=(contents, diary), policies=(thanks,))


async def start_worker(database: TestDatabase) -> asyncio.subprocess.Process:
    tests = Path(__file__).parent.parent
    path = os.pathsep.join([str(tests.parent / "src"), str(tests)])
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, str(tests / "kernel" / "worker_process.py"), database.app_dsn),
        env={**os.environ, "PYTHONPATH": path},
        stdout=asyncio.subprocess.PIPE,
    )
    assert worker.stdout is not None
    assert await worker.stdout.readline() == b"ready\n"
    return worker


@pytest.mark.requirement("S1-025", "S4-018")
@pytest.mark.slow
@pytest.mark.promise("B8")
async def test_a_killed_worker_is_taken_over_from_and_nothing_is_lost_or_doubled(database: TestDatabase) -> None:
    await prepare(database, jar)
    async with opened(database, jar, clock=SystemClock()) as core:
        workers = [await start_worker(database), await start_worker(database)]
        puts = Counter[str]()
        stop = asyncio.Event()

        async def buyer(number: int) -> None:
            while not stop.is_set():
                await core.bus().send(Put(jar=f"j{number}", coins=1 + puts[f"j{number}"] % 9))
                puts[f"j{number}"] += 1
                await asyncio.sleep(0.01)

        buyers = [asyncio.create_task(buyer(number)) for number in range(6)]
        loop, longest = asyncio.get_running_loop(), 0.0
        try:
            for turn in range(4):
                await asyncio.sleep(0.7)
                victim = workers.pop(0)
                victim.send_signal(signal.SIGKILL)
                await victim.wait()
                killed_at = loop.time()
                bus = core.bus()
                await bus.send(Put(jar=f"mark{turn}", coins=1))
                assert await wait_for(core.database.kernel, contents, bus.position, timeout_s=60)
                longest = max(longest, loop.time() - killed_at)
                workers.append(await start_worker(database))
            stop.set()
            await asyncio.gather(*buyers)
            await caught_up(core)
        finally:
            for worker in workers:
                worker.kill()
                await worker.wait()
        assert longest < 30, "seconds, not minutes; how many depends on what else the machine does"
        reader = core.database.reader(1)
        assert min(puts.values()) > 20
        rows = await reader.fetch("select jar, puts from jar.contents where starts_with(jar, 'j')")
        assert dict(rows) == dict(puts)
        for name, count in puts.items():
            state = await reader.state(letters, name)
            assert state is not None
            written = [text for text in state.texts if text != "13 coins"]
            assert written == [f"{1 + n % 9} coins" for n in range(count)]
        assert not await differs(core.database, contents, core.clock)


@pytest.mark.promise("B9")
async def test_two_workers_fire_each_timer_once(database: TestDatabase) -> None:
    plain = module()
    async with opened(database, plain) as core, opened(database, plain, clock=core.clock) as other:
        clock: Any = core.clock
        for n in range(60):
            await core.bus().send(Put(jar=f"j{n}", coins=10))
            until_at = START + timedelta(minutes=30)
            await core.bus().send(Promise(jar=f"j{n}", promise="p", coins=4, until=until_at))
        await core.bus().send(Keep(jar="j7", promise="p"))
        pool = core.database.kernel
        assert await pool.fetchval("select count(*) from kernel.timer") == 59
        rivals = [Timers(core), Timers(other)]  # As if a lease had been lost and the loser did not know.
        clock.advance(timedelta(minutes=29))
        assert await rivals[0].fire() == 0
        clock.advance(timedelta(minutes=1))
        await asyncio.gather(*(rival.fire() for rival in rivals))
        assert await pool.fetchval("select count(*) from kernel.timer") == 0
        assert await pool.fetchval("select count(*) from kernel.event where type = 'jar.PromiseFreed'") == 59
        assert await core.database.reader(1).balance(coins("j1")) == 10
        assert await core.database.reader(1).balance(coins("j7")) == 6


async def test_a_timer_that_is_refused_is_tried_less_and_less_and_parked_at_last(database: TestDatabase) -> None:
    plain = module()
    async with opened(database, plain) as core, working(core, plain):
        clock: Any = core.clock
        await core.bus().send(Put(jar="a", coins=10))
        await core.bus().send(Promise(jar="a", promise="p", coins=4, until=START + timedelta(minutes=30)))
        await core.bus().send(Smash(jar="a"))
        pool = core.database.kernel

        async def parked() -> Any:
            clock.advance(timedelta(minutes=5))
            return await pool.fetchrow("select attempts, failure from kernel.timer where parked")

        row = await until(parked)
        assert row["attempts"] == 12
        assert row["failure"].startswith("JarIsSmashed")


async def test_the_roll_up_is_the_sum_of_the_journal(database: TestDatabase) -> None:
    plain = module()
    async with opened(database, plain) as core, working(core, plain):
        bus = core.bus()

        async def one(n: int) -> None:
            await core.bus().send(Put(jar=f"j{n}", coins=10))
            await core.bus().send(Take(jar=f"j{n}", coins=1))
            await core.bus().send(Promise(jar=f"j{n}", promise="p", coins=5))
            await core.bus().send((Keep if n % 3 else Free)(jar=f"j{n}", promise="p"))
            await core.bus().send(Promise(jar=f"j{n}", promise="still open", coins=2))

        await asyncio.gather(*(one(n) for n in range(30)))
        await caught_up(core)
        reader = core.database.reader(1)
        found = await reader.balances([mint("royal"), spent("shop"), spent("promise"), coins("j1")])
        assert found == [-300, 30, 20 * 5, 2]
        journal = await core.database.kernel.fetch(
            """select id, sum(amount)::int from (
                   select debit as id, -amount as amount from kernel.transfer where phase in (2, 4) union all
                   select credit, amount from kernel.transfer where phase in (2, 4)) x
                where not starts_with(id, 'coins:') group by id order by id"""
        )
        rolled = await core.database.kernel.fetch("select id, (credits - debits)::int from kernel.rollup order by id")
        assert [tuple(row) for row in rolled] == [tuple(row) for row in journal]
        assert bus.position is None


@pytest.mark.requirement("S0-105")
async def test_views_follow_within_a_quarter_of_a_second(database: TestDatabase) -> None:
    await prepare(database, jar)
    async with opened(database, jar) as core, working(core, jar):
        await core.bus().send(Put(jar="a", coins=1))
        await caught_up(core)
        loop, waits = asyncio.get_running_loop(), []
        for n in range(40):
            bus = core.bus()
            await bus.send(Put(jar=f"j{n}", coins=1) if n % 2 else Smash(jar=f"s{n}"))
            started = loop.time()
            assert await wait_for(core.database.kernel, contents, bus.position, timeout_s=60)
            waits.append(loop.time() - started)
            await asyncio.sleep(0.02)
        # A busy machine makes many wait; one that polls too seldom, all.
        assert sorted(waits)[len(waits) // 4] < 0.25


async def test_lag_says_how_far_everybody_is(database: TestDatabase) -> None:
    await prepare(database, jar)
    async with opened(database, jar) as core:
        async with working(core, jar):
            await core.bus().send(Put(jar="a", coins=1))
            await caught_up(core)
        await core.bus().send(Put(jar="a", coins=1))
        clock: Any = core.clock
        clock.advance(timedelta(seconds=90))
        found = {one.follower: one for one in await lag(core.database.kernel, clock.now())}
        assert set(found) == {"view:jar.contents", "view:jar.diary", "policy:jar.thanks", "rollup"}
        assert found["view:jar.contents"].seconds == 90
        assert not await wait_for(core.database.kernel, contents, await _position(core), timeout_s=0.05)


async def _position(core: Core) -> Any:
    bus = core.bus()
    await bus.send(Put(jar="b", coins=1))
    return bus.position


async def test_who_lost_its_lease_is_fenced_off(database: TestDatabase) -> None:
    await prepare(database, jar)
    async with opened(database, jar) as core:
        await core.bus().send(Put(jar="a", coins=1))
        pool = core.database.kernel
        slow, fast = (ViewFollower(contents, pool, core.clock) for _ in range(2))
        for follower in (slow, fast):
            await follower.begin()
        await readable(pool)
        batch = await read(pool, FIRST, contents.types, 10)
        assert await fast.handle(batch.events, FIRST, batch.end) == await end_of_log(pool)
        with pytest.raises(Fenced):
            await slow.handle(batch.events, FIRST, batch.end)
        assert await core.database.reader(1).fetchval("select coins from jar.contents") == 1
        assert await load_cursor(pool, contents.follower) == batch.end
        with pytest.raises(Fenced):
            async with pool.acquire() as connection, connection.transaction():
                await move_cursor(connection, contents.follower, FIRST, batch.end)


async def test_moves_that_a_crash_took_back_are_made_again(database: TestDatabase) -> None:
    """Cursors that move without effects are saved without waiting for the disk: a crash may take the last moves back
    behind the worker's back, who must then look anew, or that follower never moves again."""
    plain = module(views=(contents, diary))
    await prepare(database, plain)
    async with opened(database, plain) as core, working(core, plain):
        pool = core.database.kernel
        await core.bus().send(Put(jar="a", coins=1))
        await caught_up(core)
        before = await load_cursor(pool, diary.follower)
        await core.bus().send(Smash(jar="a"))  # Nothing for the diary.
        await caught_up(core)
        assert await load_cursor(pool, diary.follower) > before
        await pool.execute(
            "update kernel.cursor set epoch = $2, xid = $3::xid8, position = $4 where follower = $1",
            *(diary.follower, before.epoch, before.xid, before.position),
        )
        await core.bus().send(Smash(jar="b"))
        await caught_up(core)
        await core.bus().send(Put(jar="c", coins=2))
        await caught_up(core)
        assert [tuple(row) for row in await pool.fetch("select jar, size from jar.diary order by jar")] == [
            ("a", 1),
            ("c", 2),
        ]


async def test_a_lost_database_connection_is_overcome(database: TestDatabase) -> None:
    await prepare(database, jar)
    async with opened(database, jar) as core, working(core, jar) as worker:
        await core.bus().send(Put(jar="a", coins=1))
        await caught_up(core)
        superuser = await asyncpg.connect(database.dsn)
        await superuser.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        await superuser.close()
        await until(lambda: _sends(core))
        await caught_up(core)
        assert worker.held >= {"view:jar.contents", "timers", "rollup"}


async def _sends(core: Core) -> bool:
    try:
        await core.bus().send(Put(jar="a", coins=1))
    except Exception:
        return False
    return True


def test_two_parts_of_one_name_stop_the_start() -> None:
    with pytest.raises(TypeError, match="wired twice"):
        check_modules([jar, module()])

"""Verify beside a running worker: views, processes and timers, healthy all the while; and a view that was changed."""

import asyncio
from datetime import timedelta
from pathlib import Path

import asyncpg

from kernel.jar import START, Promise, Put, contents, diary, module, opened, prepare
from kernel.running import caught_up, working
from kernel.test_process import Care
from pasar.kernel.bus import Core
from pasar.kernel.seal import AnchorFile, Sealer
from pasar.kernel.verify import verify
from pasar.kernel.verify_views import views_against_log
from postgres import TestDatabase


async def test_a_working_system_is_clean_and_a_changed_view_is_named(database: TestDatabase, tmp_path: Path):
    jar = module(views=(contents, diary), processes=(Care().process,))
    await prepare(database, jar)
    async with opened(database, jar) as core:
        anchors, stop = AnchorFile(tmp_path / "anchors"), asyncio.Event()
        sealing = asyncio.create_task(Sealer(core.database.kernel, core.clock, anchors).run(stop))
        views = views_against_log(core.database, [contents, diary], core.clock)

        async def check() -> dict[str, int]:
            async with core.database.kernel.acquire() as connection:
                report = await verify(
                    connection, core.deciders.values(), now=core.clock.now(), anchors=anchors, view_checks=[views]
                )
            assert report.findings == found
            return report.checked

        found: list = []
        async with working(core, jar):
            writing = asyncio.create_task(write(core))
            while not writing.done():
                await check()
            await writing
            await caught_up(core)
            checked = await check()
        stop.set()
        await sealing
        assert checked["views"] == 2
        assert checked["log"] > 100
        assert checked["timers"] > 0
        connection = await asyncpg.connect(database.dsn)
        await connection.execute("update jar.contents set coins = coins + 1 where jar = 'j3'")
        await connection.close()
        async with core.database.kernel.acquire() as connection:
            report = await verify(connection, core.deciders.values(), now=core.clock.now(), view_checks=[views])
        assert [(finding.check, finding.where) for finding in report.findings] == [("views", "view jar.contents")]


async def write(core: Core) -> None:
    async def one(number: int) -> None:
        bus = core.bus()
        for round_ in range(4):
            await bus.send(Put(jar=f"j{number}", coins=20))
            later = START + timedelta(minutes=30 * (number + 1))
            await bus.send(Promise(jar=f"j{number}", promise=f"p{round_}", coins=1, until=later))
            core.clock.advance(timedelta(minutes=1))  # type: ignore[attr-defined]

    await asyncio.gather(*(one(number) for number in range(12)))

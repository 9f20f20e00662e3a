"""A view of very many events, dropped and made again from the log: the live one byte for byte, while others read it."""

import asyncio
from time import monotonic

import asyncpg
import pytest

from kernel.jar import contents, diary, module, opened, prepare
from kernel.running import caught_up, working
from pasar.apps.lab.evidence import Evidence
from pasar.kernel.view_tables import fingerprint, rebuild
from postgres import TestDatabase

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

JARS = 2_000
MILLION_S = 300.0
FILL = """
insert into kernel.event (tenant, kind, stream, version, type, data, meta, change, at, epoch)
select 1, 'jar.jar', stream, version, type,
       case type when 'jar.JarSmashed' then jsonb_build_object('jar', stream)
                 else jsonb_build_object('jar', stream, 'coins', coins) end,
       '{"by": "test"}', gen_random_uuid(), now(), 1
  from (select 'j' || n % $1 as stream, (n / $1 + 1)::int as version, (1 + n * 7919 % 9)::int as coins,
               case when n * 31 % 4001 = 0 then 'jar.JarSmashed' when n % 5 = 0 then 'jar.CoinsTaken'
                    else 'jar.CoinsPut' end as type
          from generate_series($2::bigint, $3::bigint - 1) n) made"""


@pytest.mark.promise("B7")
async def test_views_of_very_many_events_are_made_again_as_they_were(database: TestDatabase, proof: Evidence) -> None:
    """Half of the log before, half while the live views follow; then each is made again."""
    jar, events = module(views=(contents, diary)), proof.number(1_000_000)
    await prepare(database, jar)
    owner = await asyncpg.connect(database.dsn)
    async with opened(database, jar) as core, working(core, jar):
        for start in range(0, events, 20_000):
            await owner.execute(FILL, JARS, start, min(start + 20_000, events))
        await caught_up(core, 1200)
        for view in (contents, diary):
            async with core.database.kernel.acquire() as connection:
                live = await fingerprint(connection, view)
            rows = await core.database.reader(1).fetchval(f"select count(*) from {view.table}")
            began, building = monotonic(), asyncio.create_task(rebuild(core.database, view, core.clock))
            while not building.done():  # The old rows are read until the new ones are there.
                assert await core.database.reader(1).fetchval(f"select count(*) from {view.table}") == rows
                await asyncio.sleep(0.05)
            took = monotonic() - began
            folded = await building
            async with core.database.kernel.acquire() as connection:
                assert await fingerprint(connection, view) == live
            proof.attempt(folded)
            proof.figure(f"{view.table}: rows", rows)
            proof.figure(f"{view.table}: events a second", f"{folded / took:,.0f}")
            assert took < max(30.0, MILLION_S * events / 1_000_000), f"{took:.0f} s for {folded} events"
    await owner.close()

"""Poison among very many messages: each poisoned stream is parked with its cause, all others flow, and one command lets
a stream go on where it stood, in its order."""

import random
from collections import defaultdict

import asyncpg
import pytest

from kernel.jar import CoinsPut, NobodyReads, Put, WriteLetter, diary, letters, module, opened, prepare
from kernel.running import caught_up, until, working
from pasar.apps.lab.evidence import Evidence
from pasar.kernel.bus import Core
from pasar.kernel.messages import Command
from pasar.kernel.parking import list_parked, replay_parked
from pasar.kernel.policies import Policy
from pasar.kernel.store import Reader, Recorded
from postgres import TestDatabase

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TOO_MANY = 40_000
"""More than the diary's column holds: a view that cannot digest it; and a letter that is refused."""


def thank(event: Recorded, ask: Reader) -> list[Command]:
    text = "unreadable" if event.event.coins == TOO_MANY else f"{event.event.coins} coins"
    return [WriteLetter(letter=event.stream, text=text)]


thanks = Policy("jar.thanks", on={CoinsPut: thank})
lenient = Policy("jar.thanks", on={CoinsPut: thank}, ignore=(NobodyReads,))


@pytest.mark.promise("C4")
async def test_poison_parks_its_own_stream_and_a_command_replays_it(database: TestDatabase, proof: Evidence) -> None:
    """Each poisoned message is one for a view and for a policy, and has a healthy stream beside it."""
    chance, ill = random.Random(proof.seed(44)), [f"ill{number}" for number in range(proof.number(100, 4))]
    well = [f"well{number}" for number in range(len(ill))]
    jar = module(views=(diary,), policies=(thanks,))
    await prepare(database, jar)
    sizes: dict[str, list[int]] = defaultdict(list)
    for name in (*ill, *well):
        sizes[name] = [chance.randint(1, 9) for _ in range(6)]
        if name in ill:
            sizes[name][chance.randrange(6)] = TOO_MANY
    async with opened(database, jar) as core, working(core, jar):
        for turn in range(6):
            for name in (*ill, *well):
                await core.bus().send(Put(jar=name, coins=sizes[name][turn]))
        await caught_up(core, 300)
        found = await list_parked(core.database.kernel, limit=1000)
        parked = {(one.follower, one.lane): one for one in found}
        for name in ill:
            version = 1 + sizes[name].index(TOO_MANY)
            for follower, cause in (("view:jar.diary", "int16"), ("policy:jar.thanks", "90103")):
                one = parked[follower, f"jar.jar-{name}"]
                assert one.version == version
                assert cause in one.reason or "smallint" in one.reason
                proof.attempt()
                proof.fault(f"poison for {follower}")
        assert len({lane for _, lane in parked}) == len(ill), "a healthy stream was parked"
        for name in well:
            assert await diary_of(core, name) == sizes[name]
            assert await letters_of(core, name) == sizes[name]
    owner = await asyncpg.connect(database.dsn)
    await owner.execute("alter table jar.diary alter column size type int")
    await owner.close()
    mended = module(views=(diary,), policies=(lenient,))
    async with opened(database, mended) as core, working(core, mended):
        for name in ill:
            for follower in ("view:jar.diary", "policy:jar.thanks"):
                assert await replay_parked(core.database.kernel, follower, 1, f"jar.jar-{name}", core.clock.now())
        await until(lambda: nothing_is_parked(core), 300)
        for name in ill:
            assert await diary_of(core, name) == sizes[name]
            assert await letters_of(core, name) == [size for size in sizes[name] if size != TOO_MANY]


async def diary_of(core: Core, name: str) -> list[int]:
    rows = await core.database.reader(1).fetch("select size from jar.diary where jar = $1 order by version", name)
    return [row["size"] for row in rows]


async def letters_of(core: Core, name: str) -> list[int]:
    state = await core.database.reader(1).state(letters, name)
    return [int(text.partition(" ")[0]) for text in state.texts] if state else []


async def nothing_is_parked(core: Core) -> bool:
    return not await core.database.kernel.fetchval("select count(*) from kernel.parked")

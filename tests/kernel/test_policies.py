"""A policy or reaction acts once for each event, in the order of each stream, whatever fails."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from kernel.jar import (
    CoinsPut,
    CoinsTaken,
    JarSmashed,
    NobodyReads,
    Put,
    Smash,
    Take,
    WriteLetter,
    letters,
    module,
    opened,
)
from kernel.running import caught_up, readable, skip_to_next_try, until, working
from pasar.kernel.bus import Bus, Core
from pasar.kernel.delivery import Patience, Retry
from pasar.kernel.followers import START, read
from pasar.kernel.messages import Command
from pasar.kernel.module import Module
from pasar.kernel.parking import list_parked, replay_parked
from pasar.kernel.policies import Policy, Reaction, ReactionFollower
from pasar.kernel.store import Reader, Recorded
from postgres import TestDatabase


def thank(event: Recorded, ask: Reader) -> list[Command]:
    text = "unreadable" if event.event.coins == 13 else f"{event.event.coins} coins"
    return [WriteLetter(letter=event.stream, text=text)]


async def lament(event: Recorded, ask: Reader) -> Sequence[Command]:
    state = await ask.state(letters, event.stream)
    return [WriteLetter(letter=event.stream, text=f"farewell after {len(state.texts) if state else 0}")]


thanks = Policy("jar.thanks", on={CoinsPut: thank, JarSmashed: lament})


async def texts(core: Core, jar: str) -> tuple[str, ...]:
    state = await core.database.reader(1).state(letters, jar)
    return state.texts if state else ()


async def test_a_policy_answers_each_event_once_and_in_order(database: TestDatabase) -> None:
    jar = module(policies=(thanks,))
    async with opened(database, jar) as core, working(core, jar):
        for size in (1, 2, 3):
            await asyncio.gather(*(core.bus().send(Put(jar=f"j{n}", coins=size)) for n in range(40)))
        await core.bus().send(Smash(jar="j0"))
        await caught_up(core)
        await until(lambda: _has(core, "j0", 4))
        assert await texts(core, "j0") == ("1 coins", "2 coins", "3 coins", "farewell after 3")
        for n in range(1, 40):
            assert await texts(core, f"j{n}") == ("1 coins", "2 coins", "3 coins")
        meta = await core.database.kernel.fetchval(
            "select meta->>'by' from kernel.event where kind = 'jar.letter' limit 1"
        )
        assert meta == "policy:jar.thanks"


async def _has(core: Core, jar: str, count: int) -> bool:
    return len(await texts(core, jar)) >= count


async def test_a_batch_that_is_repeated_after_a_crash_is_answered_from_the_record(database: TestDatabase) -> None:
    jar = module(policies=(thanks,))
    async with opened(database, jar) as core:
        for size in (1, 2):
            await core.bus().send(Put(jar="a", coins=size))
        pool = core.database.kernel
        for _ in range(3):
            async with working(core, jar):
                await caught_up(core)
                await until(lambda: _has(core, "a", 2))
            await pool.execute(
                "update kernel.cursor set epoch = 0, xid = '0', position = 0 where follower like 'policy%'"
            )
        assert await texts(core, "a") == ("1 coins", "2 coins")


@pytest.mark.promise("C4")
async def test_a_refusal_parks_the_stream_and_others_flow(database: TestDatabase) -> None:
    jar = module(policies=(thanks,))
    async with opened(database, jar) as core, working(core, jar):
        pool = core.database.kernel
        for size in (1, 13, 2):
            await core.bus().send(Put(jar="ill", coins=size))
        await core.bus().send(Put(jar="well", coins=7))
        await until(lambda: _has(core, "well", 1))
        await caught_up(core)
        await core.bus().send(Put(jar="ill", coins=3))
        await caught_up(core)
        assert await texts(core, "ill") == ("1 coins",)
        (parked,) = await list_parked(pool)
        assert (parked.version, parked.reason) == (2, "90103 NOBODY_READS: Nobody would read this letter.")
        assert await pool.fetchval("select count(*) from kernel.parked") == 3
    # People change the rule (here: what nobody would read is ignored) and let it go on.
    lenient = module(policies=(Policy("jar.thanks", on=thanks.on, ignore=(NobodyReads,)),))
    async with opened(database, lenient) as core, working(core, lenient):
        assert await replay_parked(core.database.kernel, "policy:jar.thanks", 1, "jar.jar-ill", core.clock.now())
        await until(lambda: _has(core, "ill", 3))
        await core.bus().send(Put(jar="ill", coins=4))
        await until(lambda: _has(core, "ill", 4))
        assert await texts(core, "ill") == ("1 coins", "2 coins", "3 coins", "4 coins")
        assert await core.database.kernel.fetchval("select count(*) from kernel.parked") == 0


class Outside:
    """A gateway's other side: out of order for some, and it knows a call that it has had before."""

    def __init__(self, down: set[str]) -> None:
        self.down, self.calls, self.done = down, 0, {}

    async def call(self, event: Recorded, bus: Bus) -> list[Command]:
        self.calls += 1
        if event.stream in self.down:
            raise Retry("the line is dead")
        self.done.setdefault(event.id, event.event.coins)
        return [WriteLetter(letter=event.stream, text=f"took {event.event.coins}")]


async def test_what_cannot_be_done_now_is_tried_later_without_holding_up_others(database: TestDatabase) -> None:
    outside = Outside({"far"})
    jar = module(reactions=(Reaction("jar.shop", on={CoinsTaken: outside.call}),))
    async with opened(database, jar) as core, working(core, jar):
        clock: Any = core.clock
        for name in ("far", "near"):
            await core.bus().send(Put(jar=name, coins=10))
        for size in (1, 2):
            await core.bus().send(Take(jar="far", coins=size))
            await core.bus().send(Take(jar="near", coins=size))
        await until(lambda: _has(core, "near", 2))
        await caught_up(core)
        assert await texts(core, "far") == ()
        for _ in range(4):
            calls = outside.calls
            clock.advance(timedelta(minutes=30))
            await until(lambda: _is(outside.calls > calls))  # noqa: B023
        outside.down.clear()
        clock.advance(timedelta(minutes=30))
        await until(lambda: _has(core, "far", 2))
        assert await texts(core, "far") == ("took 1", "took 2")
        assert sorted(outside.done.values()) == [1, 1, 2, 2]


async def _is(value: bool) -> bool:
    return value


@pytest.mark.requirement("S4-018")
async def test_when_the_budget_is_used_up_people_are_asked(database: TestDatabase) -> None:
    outside = Outside({"far"})
    patience = Patience(timedelta(minutes=1), timedelta(minutes=1), timedelta(minutes=5))
    jar = module(reactions=(Reaction("jar.shop", on={CoinsTaken: outside.call}, patience=patience),))
    async with opened(database, jar) as core, working(core, jar):
        clock: Any = core.clock
        await core.bus().send(Put(jar="far", coins=10))
        await core.bus().send(Take(jar="far", coins=1))

        async def given_up() -> list:
            await skip_to_next_try(core)
            return await list_parked(core.database.kernel)

        (parked,) = await until(given_up)
        assert parked.reason.startswith("gave up after")
        assert "the line is dead" in parked.reason
        assert 5 <= outside.calls <= 11
        outside.down.clear()
        assert await replay_parked(core.database.kernel, "reaction:jar.shop", 1, "jar.jar-far", clock.now())
        await until(lambda: _has(core, "far", 1))


async def test_a_policy_that_commands_another_context_is_stopped(database: TestDatabase) -> None:
    with pytest.raises(TypeError, match="own context"):
        Module("bank", policies=(thanks,))
    strange = Policy("bank.thanks", on=thanks.on)
    jar = module()
    async with opened(database, jar) as core:
        await core.bus().send(Put(jar="a", coins=1))
        follower = ReactionFollower(strange, core)
        await follower.begin()
        with pytest.raises(TypeError, match="another context"):
            await follower.deliver((await _events(core))[0], 0)
        assert await texts(core, "a") == ()


async def _events(core: Core) -> Sequence[Recorded]:
    await readable(core.database.kernel)
    return (await read(core.database.kernel, START, frozenset({"jar.CoinsPut"}), 10)).events

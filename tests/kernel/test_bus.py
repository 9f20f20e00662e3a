"""From a command to a durable change, on PostgreSQL: answers, refusals, keys, races, deadlines, claims."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import pytest_asyncio

from kernel.shelf import Fill, InBasket, IsOver, Keep, NameTaken, Pick, PutBack, TooFew, baskets, filling, names, shelf
from pasar.kernel.bus import Context, Core, KeyReused
from pasar.kernel.clock import SettableClock
from pasar.kernel.ids import SeededIds
from pasar.kernel.messages import Refusal, encode
from pasar.kernel.store import Database
from postgres import TestDatabase

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class NothingPrivate:
    def has_private(self, kind: type) -> bool:
        return False


async def open_core(database: TestDatabase, seed: int = 1) -> Core:
    opened = Database(database.app_dsn, size=4)
    await opened.open()
    return Core(opened, [filling, baskets], clock=SettableClock(NOON), ids=SeededIds(seed), keys=NothingPrivate())


@pytest_asyncio.fixture
async def core(database: TestDatabase) -> AsyncIterator[Core]:
    core = await open_core(database)
    await core.bus().send(Fill(shelf="a", things=10))
    yield core
    await core.database.close()


def keyed(core: Core, key: str, principal: str = "ann", request: bytes = b"1"):
    return core.bus(Context(principal=principal, route="pick", key=key, request_hash=request, success_status=201))


async def balance(core: Core) -> int:
    return await core.database.reader(1).balance(shelf("a"))


async def test_a_command_becomes_events_state_transfers_and_an_answer(core: Core):
    bus = core.bus()
    assert await bus.send(Pick(basket="b", shelf="a", things=3)) == InBasket(state="picked", things=3)
    assert await balance(core) == 7
    assert bus.position is not None
    assert await core.bus().send(Keep(basket="b")) == InBasket(state="kept", things=3)
    rows = await core.database.kernel.fetch(
        "select type, version from kernel.event where stream = 'b' order by version"
    )
    assert [tuple(row) for row in rows] == [("shelf.Picked", 1), ("shelf.Kept", 2)]
    assert await core.database.reader(1).held(shelf("a")) == 0


async def test_the_floor_refuses_and_nothing_is_half_done(core: Core):
    with pytest.raises(TooFew):
        await core.bus().send(Pick(basket="b", shelf="a", things=11, name="n"))
    assert await balance(core) == 10
    assert await core.database.kernel.fetchval("select count(*) from kernel.event where stream = 'b'") == 0
    assert await core.database.reader(1).claimed("name", ["n"]) == {}


async def test_a_repeat_of_a_key_gets_the_first_answer_byte_for_byte(core: Core):
    first, again = keyed(core, "k"), keyed(core, "k")
    await first.send(Pick(basket="b", shelf="a", things=3))
    await core.bus().send(Keep(basket="b"))
    try:
        assert await again.send(Pick(basket="b", shelf="a", things=3)) == InBasket(state="picked", things=3)
    except IsOver as refused:
        pytest.fail(f"it was decided again: {refused}")
    assert again.replayed
    assert again.reply == first.reply == (201, b'{"state":"picked","things":3}')
    assert await balance(core) == 7


async def test_a_key_is_good_for_one_request_of_one_person(core: Core):
    await keyed(core, "k").send(Pick(basket="b", shelf="a", things=3))
    with pytest.raises(KeyReused):
        await keyed(core, "k", request=b"2").send(Pick(basket="c", shelf="a", things=4))
    await keyed(core, "k", principal="bob", request=b"2").send(Pick(basket="c", shelf="a", things=4))
    assert await balance(core) == 3


async def test_a_stored_refusal_is_the_answer_of_a_late_repeat(core: Core):
    bus = keyed(core, "k")
    with pytest.raises(TooFew) as refused:
        await bus.send(Pick(basket="b", shelf="a", things=11))
    assert await bus.recall() is None
    refusal = encode(Refusal.of(refused.value))
    assert await bus.remember(409, refusal) == (409, refusal)
    await core.bus().send(Fill(shelf="a", things=10))
    with pytest.raises(TooFew):
        await keyed(core, "k").send(Pick(basket="b", shelf="a", things=11))
    assert await keyed(core, "k").recall() == (409, refusal)


@pytest.mark.promise("A6")
async def test_twins_of_two_processes_meet_in_the_commit(core: Core, database: TestDatabase):
    other = await open_core(database, seed=2)
    buses = [keyed(each, f"k{i}") for i in range(30) for each in (core, other)]
    picks = [bus.send(Pick(basket=f"b{i // 2}", shelf="a", things=1)) for i, bus in enumerate(buses)]
    answers = await asyncio.gather(*picks, return_exceptions=True)
    await other.database.close()
    for mine, theirs in zip(answers[::2], answers[1::2], strict=True):
        assert isinstance(mine, TooFew) or mine == theirs == InBasket(state="picked", things=1)
    sold = sum(isinstance(answer, InBasket) for answer in answers[::2])
    assert sold == 10
    assert await balance(core) == 0


@pytest.mark.promise("A1")
async def test_64_buyers_of_one_thing_and_one_gets_it(core: Core):
    await core.bus().send(Fill(shelf="last", things=1))
    picks = [core.bus().send(Pick(basket=f"x{i}", shelf="last", things=1)) for i in range(64)]
    answers = await asyncio.gather(*picks, return_exceptions=True)
    assert sum(isinstance(answer, InBasket) for answer in answers) == 1
    assert sum(isinstance(answer, TooFew) for answer in answers) == 63


async def test_a_stale_memory_refuses_nobody(core: Core, database: TestDatabase):
    """What this process last knew may serve to try, never to say no."""
    other = await open_core(database, seed=2)
    await core.bus().send(Pick(basket="b", shelf="a", things=3))
    await other.bus().send(PutBack(basket="b"))
    with pytest.raises(IsOver):  # Decided on `picked`, refused by the commit, decided again.
        await core.bus().send(Keep(basket="b"))
    await core.bus().send(Pick(basket="c", shelf="a", things=3))
    await other.bus().send(Keep(basket="c"))
    assert await core.bus().send(PutBack(basket="c")) == InBasket(state="kept", things=3)
    await other.database.close()


async def test_several_streams_all_or_none_in_their_order(core: Core):
    await core.bus().send(Pick(basket="old", shelf="a", things=10))
    await core.bus().send_together(PutBack(basket="old"), Pick(basket="new", shelf="a", things=10))
    with pytest.raises(TooFew):
        await core.bus().send_together(Fill(shelf="b", things=1), Pick(basket="more", shelf="a", things=1))
    assert await core.database.reader(1).balance(shelf("b")) == 0


async def test_a_name_belongs_to_one_stream_until_it_is_given_back(core: Core):
    await core.bus().send(Pick(basket="b", shelf="a", things=1, name="best"))
    with pytest.raises(NameTaken):
        await core.bus().send(Pick(basket="c", shelf="a", things=1, name="best"))
    await core.bus().send(PutBack(basket="b"))
    await core.bus().send(Pick(basket="c", shelf="a", things=1, name="best"))
    assert await core.database.reader(1).claimed(names.kind, ["best", "other"]) == {"best": "c"}


async def test_a_deadline_is_set_cleared_and_fired_once(core: Core):
    pool = core.database.kernel
    await core.bus().send(Pick(basket="b", shelf="a", things=1, until=NOON + timedelta(minutes=30)))
    await core.bus().send(Pick(basket="c", shelf="a", things=1, until=NOON + timedelta(minutes=30)))
    await core.bus().send(Keep(basket="c"))
    timers = await pool.fetch("select kind, stream, name, command_type, command::text from kernel.timer")
    assert [timer["stream"] for timer in timers] == ["b"]
    command = core.command(timers[0]["command_type"], timers[0]["command"])
    for _ in range(2):
        await core.bus().fire(command, timers[0]["kind"], timers[0]["stream"], timers[0]["name"])
    assert await pool.fetchval("select count(*) from kernel.timer") == 0
    assert await balance(core) == 9


async def test_states_load_in_one_statement_and_are_checked(core: Core, database: TestDatabase):
    other = await open_core(database, seed=2)
    for i in range(5):
        await core.bus().send(Pick(basket=f"b{i}", shelf="a", things=1))
    assert len(await other.database.reader(1).states(baskets, [f"b{i}" for i in range(7)])) == 5
    await core.bus().send(Keep(basket="b3"))
    state = await other.database.reader(1).state(baskets, "b3")
    assert state is not None
    assert state.state == "kept"
    await other.database.close()


async def test_a_lost_server_connection_is_mended(core: Core, database: TestDatabase):
    superuser = await asyncpg.connect(database.dsn)
    for i in range(3):
        await superuser.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = 'pasar_app' and datname = current_database()"
        )
        await core.bus().send(Pick(basket=f"b{i}", shelf="a", things=1))
    await superuser.close()
    assert await balance(core) == 7

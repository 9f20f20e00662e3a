"""The store in memory: it judges as a model of a few lines, over very many random operations, and as the real one."""

import random
from collections import Counter

import asyncpg
import pytest

from kernel.actor import POOLS, Actor, Model
from pasar.apps.lab.evidence import Evidence
from pasar.apps.lab.memory import MemoryStore
from pasar.kernel.commit import CALL, SETTINGS, Verdict, pack
from postgres import TestDatabase

pytestmark = pytest.mark.slow
HISTORY = 500
"""Changes of one history; books are copied for each, so that long ones cost more than they show."""


@pytest.mark.promise("A4")
@pytest.mark.timeout(1200)
def test_books_in_memory_are_those_of_a_sequential_model(proof: Evidence) -> None:
    chance, met = random.Random(proof.seed(41)), Counter[Verdict]()
    for _ in range(proof.number(1_000_000) // HISTORY):
        actor, model, memory = Actor(1, chance.randrange(10**9)), Model(), MemoryStore()
        for _ in range(HISTORY):
            change = actor.change()
            result = memory.commit(change)
            judged = (result.verdict, result.detail, result.body if result.verdict is Verdict.REPLAY else None)
            assert judged == model.judge(change), change
            actor.learn(change, result.verdict)
            met[result.verdict] += 1
        proof.attempt(HISTORY)
        _in_balance(memory)
    assert set(met) == set(Verdict) - {Verdict.ALREADY}, "the actor no longer tries everything"


def _in_balance(memory: MemoryStore) -> None:
    books = memory.books
    assert sum(books.balances.values()) + sum(books.held.values()) == 0, "units were made or lost"
    for account, floor in books.floors.items():
        assert books.balances[account] >= floor, account
    held = Counter[tuple[int, str, str]]()
    for hold in books.holds.values():
        held[hold.debit] += hold.remaining
    assert +held == +books.held


@pytest.mark.promise("A4", "F")
@pytest.mark.parametrize("seed", [1, 2])
async def test_the_store_in_memory_judges_as_the_real_one(database: TestDatabase, proof: Evidence, seed: int) -> None:
    actor, memory = Actor(1, proof.seed(seed)), MemoryStore()
    connection = await asyncpg.connect(database.app_dsn, server_settings=SETTINGS)
    commit = (await connection.prepare(CALL)).fetchrow
    met = set()
    for _ in range(60):
        group = [actor.change() for _ in range(20)]
        row = await commit(*pack(group))
        assert row is not None
        for change, verdict, detail, body in zip(group, row["verdict"], row["detail"], row["body"], strict=True):
            judged = memory.commit(change)
            assert (judged.verdict, judged.detail, judged.body) == (verdict, detail, body), change
            met.add(judged.verdict)
            actor.learn(change, judged.verdict)
            proof.attempt()
        actor.versions = {id: kept.version for (_, _, id), kept in memory.streams.items()}
    await connection.close()
    assert met >= set(Verdict) - {Verdict.ALREADY}
    await _same(database, memory)


async def _same(database: TestDatabase, memory: MemoryStore) -> None:
    """Both stores hold the same."""
    connection = await asyncpg.connect(database.dsn, server_settings={"pasar.tenant": "*"})
    accounts = await connection.fetch("select id, unit, balance, held from kernel.account where floor is not null")
    held = {(1, row["id"], row["unit"]): (row["balance"], row["held"]) for row in accounts}
    for pool in POOLS:
        key = (1, pool.id, pool.unit)
        assert held.get(key, (0, 0)) == (memory.books.balances[key], memory.books.held[key])
    events = await connection.fetch("select kind, stream, version, type from kernel.event order by 1, 2, 3")
    assert [tuple(row) for row in events] == sorted((r.kind, r.stream, r.version, r.type) for r in memory.log)
    timers = await connection.fetch("select tenant, kind, stream, name, due_at from kernel.timer")
    assert {tuple(row)[:4]: row["due_at"] for row in timers} == {p: one.due for p, one in memory.timers.items()}
    claims = await connection.fetch("select tenant, kind, key from kernel.claim")
    assert {tuple(row) for row in claims} == set(memory.claims)
    await connection.close()

"""Histories of the real bus have no anomaly; known-bad stores and made-up histories are rejected, one for each kind."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from pasar.apps.lab import domain
from pasar.apps.lab.bank import Bank, ListWorkload, SumChanged, audit
from pasar.apps.lab.evidence import Evidence, scale
from pasar.apps.lab.history import Anomaly, Operation, judge
from postgres import TestDatabase

NARROW, WIDE = (8, 16, 1_000), (32, 64, 4_000)
"""Lists, clients that read and append at once, and operations of a history."""


@pytest.mark.timeout(1000 if scale() >= 1 else 120)
@pytest.mark.promise("A11")
@pytest.mark.parametrize("seed", [1, 2])
async def test_histories_have_no_anomaly(database: TestDatabase, tmp_path: Path, proof: Evidence, seed: int) -> None:
    async with domain.opened(database.app_dsn, tmp_path, cores=2) as cores:
        for part in range(proof.number(170, 1)):
            lists, clients, operations = WIDE if part % 3 else NARROW
            workload = ListWorkload(cores, proof.seed(seed * 1000 + part), lists=lists)
            history = await workload.run(operations, clients=clients)
            proof.attempt(judge(history, await workload.final()))
            assert {operation.outcome for operation in history} <= {"ok", "fail"}


@pytest.mark.promise("A3")
async def test_the_sum_is_the_same_in_every_read(database: TestDatabase, tmp_path: Path, proof: Evidence) -> None:
    async with domain.opened(database.app_dsn, tmp_path, cores=2) as cores:
        bank = Bank(cores, proof.seed(5))
        await bank.fill()
        await bank.run(proof, proof.number(100_000, 1_000))
        proof.figure("reads", bank.reads)
        proof.figure("refused", bank.refused)
        assert bank.reads > 20
        assert bank.refused > 0, "nobody ever had too little: nothing was tried"


def op(id: int, began: float, ended: float, wrote: Mapping[str, int] = {}, **more: Any) -> Operation:
    return Operation(id, began, ended, more.pop("outcome", "ok"), wrote, more.pop("read", {}))


GOOD = [
    op(1, 0, 2, {"a": 1}),
    op(2, 1, 3, {"a": 2, "b": 2}),
    op(3, 1, 4, read={"a": (1,), "b": ()}),
    op(4, 5, 6, read={"a": (1, 2), "b": (2,)}),
    op(5, 5, 7, {"b": 3}, outcome="unknown"),
]


def test_a_history_that_can_be_put_in_order_passes() -> None:
    assert judge(GOOD, {"a": (1, 2), "b": (2,)}) == 5
    assert judge(GOOD, {"a": (1, 2), "b": (2, 3)}) == 5


BAD: dict[str, tuple[list[Operation], dict[str, tuple[int, ...]], str]] = {
    "lost update": ([op(1, 0, 1, {"a": 1}), op(2, 0, 1, {"a": 2})], {"a": (2,)}, "accepted and lost"),
    "doubled effect": ([op(1, 0, 1, {"a": 1})], {"a": (1, 1)}, "twice"),
    "dirty read": ([op(1, 0, 1, {"a": 1}, outcome="fail"), op(2, 0, 1, read={"a": (1,)})], {"a": ()}, "told that"),
    "out of thin air": ([op(1, 0, 1, read={"a": (7,)})], {"a": ()}, "nobody wrote"),
    "two orders": (
        [op(1, 0, 1, {"a": 1}), op(2, 0, 1, {"a": 2}), op(3, 2, 3, read={"a": (2,)})],
        {"a": (1, 2)},
        "was read as",
    ),
    "half done": ([op(1, 0, 1, {"a": 1, "b": 1}, outcome="unknown")], {"a": (1,), "b": ()}, "half done"),
    "fractured read": (
        [op(1, 0, 5, {"a": 1, "b": 1}), op(2, 1, 4, read={"a": (1,), "b": ()})],
        {"a": (1,), "b": (1,)},
        "circle of 2",
    ),
    "stale read": ([op(1, 0, 1, {"a": 1}), op(2, 2, 3, read={"a": ()})], {"a": (1,)}, "circle"),
    "write skew": (
        [op(1, 0, 5, {"a": 1}, read={"b": ()}), op(2, 0, 5, {"b": 2}, read={"a": ()})],
        {"a": (1,), "b": (2,)},
        "circle of 2",
    ),
    "long fork": (
        [
            op(1, 0, 9, {"a": 1}), op(2, 0, 9, {"b": 2}),
            op(3, 1, 8, read={"a": (1,), "b": ()}), op(4, 1, 8, read={"a": (), "b": (2,)}),
        ],
        {"a": (1,), "b": (2,)},
        "circle of 4",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", list(BAD))
def test_each_anomaly_is_found(kind: str) -> None:
    history, final, told = BAD[kind]
    with pytest.raises(Anomaly, match=told):
        judge(history, final)


class NaiveLists:
    """What must not be: it reads a list, then writes the longer one; and reads lists one by one."""

    def __init__(self, pool: Any) -> None:
        self._pool, self._next, self.history = pool, iter(range(10_000)), list[Operation]()

    async def client(self, names: tuple[str, ...]) -> None:
        clock = asyncio.get_running_loop().time
        for id in self._next:
            began = clock()
            seen = {name: tuple(await self._read(name)) for name in names}
            if id % 2:
                self.history.append(op(id, began, clock(), read=seen))
                continue
            name = names[0]
            await self._pool.execute("update naive set items = $2 where name = $1", name, [*seen[name], id])
            self.history.append(op(id, began, clock(), {name: id}))
            if id > 200:
                return

    async def _read(self, name: str) -> list[int]:
        return await self._pool.fetchval("select items from naive where name = $1", name)


async def test_a_store_that_reads_and_then_writes_is_found(database: TestDatabase) -> None:
    async with asyncpg.create_pool(database.dsn, min_size=4, max_size=8) as pool:
        await pool.execute("create table naive (name text primary key, items int[] not null default '{}')")
        await pool.execute("insert into naive (name) values ('a'), ('b')")
        store = NaiveLists(pool)
        await asyncio.gather(*(store.client(("a", "b") if n % 2 else ("b", "a")) for n in range(6)))
        final = {name: tuple(await pool.fetchval("select items from naive where name = $1", name)) for name in "ab"}
    with pytest.raises(Anomaly):
        judge(store.history, final)


async def test_a_bank_that_moves_in_two_transactions_is_found(database: TestDatabase) -> None:
    done = asyncio.Event()
    async with asyncpg.create_pool(database.dsn, min_size=2, max_size=4) as pool:
        await pool.execute("create table purse (name text, coins bigint)")
        await pool.execute("insert into purse values ('a', 1000), ('b', 1000)")

        async def trade() -> None:
            for _ in range(200):
                await pool.execute("update purse set coins = coins - 1 where name = 'a'")
                await pool.execute("update purse set coins = coins + 1 where name = 'b'")
            done.set()

        async def read() -> tuple[int, int]:
            return tuple(await pool.fetchrow("select sum(coins)::bigint, min(coins) from purse"))

        trading = asyncio.create_task(trade())
        with pytest.raises(SumChanged):
            await audit(read, 2000, done)
        await trading


async def test_an_auditor_who_reads_one_purse_after_another_is_found(database: TestDatabase, tmp_path: Path) -> None:
    """The bank is right, the reader is not: a sum over several statements is no sum."""
    done = asyncio.Event()
    async with domain.opened(database.app_dsn, tmp_path) as (core,):
        bank = Bank([core], 6, purses=6)
        await bank.fill()
        reader = core.database.reader(1)

        async def read() -> tuple[int, int]:
            sql = "select balance + held from kernel.account where tenant = 1 and id = $1"
            found = [await reader.fetchval(sql, domain.purse(f"6-{number}").id) for number in range(6)]
            return sum(found), min(found)

        trading = asyncio.create_task(bank.run(Evidence("twin", ()), 2_000))
        trading.add_done_callback(lambda _: done.set())
        with pytest.raises(SumChanged):
            await audit(read, bank.total, done)
        await trading

"""Workloads for the judges: clients that append to lists and read several at once; a bank whose sum never changes."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from time import monotonic
from typing import Any

from pasar.kernel.bus import Contended, Context, Core
from pasar.kernel.commit import Busy
from pasar.kernel.messages import Refused
from pasar.kernel.pool import LOST, PoolExhausted

from . import domain
from .evidence import Evidence
from .history import Operation, Outcome

UNSURE = (Busy, Contended, PoolExhausted, TimeoutError, *LOST)


class SumChanged(AssertionError):
    """A read of all balances did not come to what was put in."""


class ListWorkload:
    """`run` it for a history; `final` reads all lists afterwards. Each client keeps to one core."""

    def __init__(self, cores: Sequence[Core], seed: int, *, lists: int = 8) -> None:
        self._cores, self._chance = cores, random.Random(seed)
        self._names = [f"{seed}-{number}" for number in range(lists)]
        self._values = count(1)
        self.history: list[Operation] = []

    async def run(self, operations: int, *, clients: int = 16) -> list[Operation]:
        numbers = iter(range(operations))

        async def client(core: Core) -> None:
            for number in numbers:
                self.history.append(await self._one(core, number))

        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(client(self._cores[number % len(self._cores)]))
        return self.history

    async def _one(self, core: Core, number: int) -> Operation:
        picked = self._chance.sample(self._names, self._chance.choice((1, 1, 2, 3)))
        if self._chance.random() < 0.5:
            began = monotonic()
            seen = await read_lists(core, picked)
            return Operation(number, began, monotonic(), "ok", read=seen)
        wrote = {name: next(self._values) for name in picked}
        began, outcome = monotonic(), "ok"
        try:
            await core.bus(Context(principal="lab")).send_together(
                *(domain.AppendValue(list=name, value=value) for name, value in wrote.items())
            )
        except Contended:
            outcome = "fail"
        except UNSURE:
            outcome = "unknown"
        return Operation(number, began, monotonic(), _outcome(outcome), wrote=wrote)

    async def final(self) -> dict[str, tuple[int, ...]]:
        return await read_lists(self._cores[0], self._names)


def _outcome(text: str) -> Outcome:
    return "ok" if text == "ok" else "fail" if text == "fail" else "unknown"


async def read_lists(core: Core, names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    found = await core.database.reader(1).states(domain.lists, names)
    return {name: found[name].values if name in found else () for name in names}


_SUM = """
    select coalesce(sum(balance + held), 0)::bigint as total, coalesce(min(balance), 0)::bigint as least
      from kernel.account where tenant = 1 and id = any ($1)"""


class Bank:
    """Purses of coins. `trade` moves them about, at once and in two steps, while `audit` reads all of them."""

    def __init__(self, cores: Sequence[Core], seed: int, *, purses: int = 20, coins: int = 50) -> None:
        self._cores, self._chance = cores, random.Random(seed)
        self._seed = seed
        self._names = [f"{seed}-{number}" for number in range(purses)]
        self._ids = [domain.purse(name).id for name in self._names]
        self.total, self._coins = purses * coins, coins
        self.refused, self.reads = 0, 0

    async def fill(self) -> None:
        for name in self._names:
            await self._cores[0].bus().send(domain.Fill(payment=f"fill-{name}", purse=name, coins=self._coins))

    async def run(self, evidence: Evidence, payments: int, *, clients: int = 12) -> None:
        """Raises `SumChanged` at the first read that does not come out."""
        numbers, done = iter(range(payments)), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            auditors = [group.create_task(self._audit(core, done)) for core in self._cores]
            async with asyncio.TaskGroup() as trading:
                for number in range(clients):
                    trading.create_task(self._trade(self._cores[number % len(self._cores)], numbers, evidence))
            done.set()
        self.reads = sum(task.result() for task in auditors)

    async def _trade(self, core: Core, numbers: Any, evidence: Evidence) -> None:
        for number in numbers:
            evidence.attempt()
            payer, payee = self._chance.sample(self._names, 2)
            two, back = self._chance.random() < 0.5, self._chance.random() < 0.3
            id, coins = f"{self._seed}-{number}", self._chance.randint(1, 40)
            bus = core.bus(Context(principal="lab"))
            try:
                await bus.send(domain.Pay(payment=id, payer=payer, payee=payee, coins=coins, in_two_steps=two))
            except Refused:
                self.refused += 1
                continue
            if two:
                await bus.send(domain.Conclude(payment=id, goes_back=back))

    async def _audit(self, core: Core, done: asyncio.Event) -> int:
        async def read() -> tuple[int, int]:
            row = await core.database.reader(1).fetchrow(_SUM, self._ids)
            assert row is not None
            return row["total"], row["least"]

        return await audit(read, self.total, done)


async def audit(read: Callable[[], Awaitable[tuple[int, int]]], total: int, done: asyncio.Event) -> int:
    """Read sum and least balance until `done`; how often. Raises `SumChanged`."""
    reads = 0
    while not done.is_set() or reads == 0:
        found, least = await read()
        reads += 1
        if found != total or least < 0:
            raise SumChanged(f"{found} in all instead of {total}, the least balance is {least}")
        await asyncio.sleep(0)
    return reads

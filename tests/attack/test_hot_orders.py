"""Very many orders for the last units and the last uses of coupons, by several processes, one of which is killed again
and again: what is there is granted exactly, whatever dies."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from attack import order_process
from attack.order_process import PEOPLE
from pasar.accounts import coupon_tickets, pool
from pasar.apps import wiring
from pasar.apps.deployment import read_settings
from pasar.apps.lab.evidence import Evidence
from pasar.apps.lab.rush import judge
from pasar.apps.lab.simulation import NoSeals
from pasar.contexts.inventory.contract import ReceivedLine, ReceiveStock
from pasar.contexts.ordering.contract import CancelOrder
from pasar.contexts.pricing.contract import CreateCoupon
from pasar.kernel.bus import Core
from pasar.kernel.clock import SystemClock
from pasar.kernel.ids import SystemIds
from pasar.kernel.store import Database
from pasar.kernel.verify import verify
from postgres import TestDatabase

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

PROCESS = Path(__file__).with_name("order_process.py")
SEEDS = (1, 2)
VICTIMS = 20
EACH = 16
"""Attempts of each process for each thing: of two that live together more than there is of any."""
LIFE_LINES = 1_000


class Shop:
    """A core that stocks, cancels and judges, and the processes that order."""

    def __init__(self, database: TestDatabase, core: Core, folder: Path) -> None:
        self.database, self.core, self._folder = database, core, folder
        self.kills, self._wave = 0, 0

    async def order(self, what: str, size: int, victims: int = 0) -> list[tuple[str, str]]:
        """Two processes to the end, and beside them one after the other that is killed when it has done something:
        each attempt that one of them has heard of, with the order's number or a dash."""
        self._wave += 100  # Numbers of orders are made of it.
        seeds = [self._wave + seed for seed in SEEDS]
        steady = [await self._start(seed, what, size) for seed in seeds]
        working = asyncio.gather(*(process.communicate() for process in steady))
        files = [self._file(what, seed) for seed in seeds]
        for seed in range(self._wave + 11, self._wave + 11 + victims):
            victim, file = await self._start(seed, what, size), self._file(what, seed)
            files.append(file)
            while not working.done() and victim.returncode is None and lines_of(file) < LIFE_LINES:
                await asyncio.wait([working], timeout=0.05)
            if victim.returncode is None:
                victim.kill()
                await victim.wait()
                self.kills += 1
            if working.done():
                break
        for process, (_, errors) in zip(steady, await working, strict=True):
            assert process.returncode == 0, errors.decode()[-3000:]
        heard = [line.split(" ") for file in files if file.exists() for line in file.read_text().split("\n")[:-1]]
        for file in files:
            file.unlink(missing_ok=True)
        return [(thing, number) for thing, number in heard]

    def _file(self, what: str, seed: int) -> Path:
        return self._folder / f"{what}-{seed}"

    async def _start(self, seed: int, what: str, size: int) -> asyncio.subprocess.Process:
        path = os.pathsep.join([str(PROCESS.parents[1]), *sys.path])
        words = (self.database.app_dsn, seed, what, size, EACH, self._file(what, seed))
        return await asyncio.create_subprocess_exec(
            *(sys.executable, str(PROCESS), *map(str, words)),
            env={**os.environ, "PYTHONPATH": path},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def placed(self, field: str) -> list[tuple[str, str]]:
        """What stands in the log: thing and order number."""
        rows = await self.core.database.kernel.fetch(
            f"select {field} as thing, stream from kernel.event where type = 'ordering.OrderPlaced'"
        )
        return [(row["thing"], row["stream"]) for row in rows]

    async def balances(self, accounts: Sequence[Any]) -> list[int]:
        return list(await self.core.database.reader(1).balances(accounts))

    async def is_clean(self) -> None:
        deciders = [decider for module in wiring.modules(self.core.settings) for decider in module.deciders]
        async with self.core.database.kernel.acquire() as connection:
            report = await verify(connection, deciders, now=self.core.clock.now())
        assert report.findings == []


def lines_of(file: Path) -> int:
    return file.stat().st_size // 20 if file.exists() else 0


@asynccontextmanager
async def shop_on(database: TestDatabase, folder: Path) -> AsyncIterator[Shop]:
    settings = read_settings()
    deciders = [decider for module in wiring.modules(settings) for decider in module.deciders]
    opened = Database(database.app_dsn, size=4)
    await opened.open()
    core = Core(opened, deciders, clock=SystemClock(), ids=SystemIds(), keys=NoSeals(), settings=settings)  # type: ignore[arg-type]
    yield Shop(database, core, folder)
    await opened.close()


@pytest.mark.promise("A1")
async def test_the_last_units_are_sold_once_while_processes_die(
    database: TestDatabase, proof: Evidence, tmp_path: Path
) -> None:
    stock = {f"units-{number}": 1 + number % 7 for number in range(proof.number(1_000_000) // (2 * EACH))}
    async with shop_on(database, tmp_path) as shop:
        skus = list(stock)
        for start in range(0, len(skus), 500):
            lines = tuple(ReceivedLine(sku=sku, quantity=stock[sku]) for sku in skus[start : start + 500])
            await shop.core.bus().send(ReceiveStock(receipt=UUID(int=start + 1), warehouse="icheon", lines=lines))
        heard = await shop.order("units", len(skus), proof.number(VICTIMS))
        proof.attempt(len(heard))
        proof.fault("processes killed", shop.kills)
        assert shop.kills > 0
        sold = await shop.placed("data -> 'lines' -> 0 ->> 'sku'")
        judge(stock, sold, dict(zip(skus, await shop.balances([pool(sku) for sku in skus]), strict=True)))
        accepted = [(sku, number) for sku, number in heard if number != "-"]
        assert len(accepted) == len(set(accepted))
        assert set(accepted) <= set(sold), "an order was accepted that is not there"
        await shop.is_clean()


@pytest.mark.promise("A2")
async def test_the_last_uses_of_coupons_are_granted_once_while_processes_die(
    database: TestDatabase, proof: Evidence, tmp_path: Path
) -> None:
    """Each coupon has fewer uses than there are people, each of whom may use it once; then a use is given back."""
    limits = {f"coupons-{number}": 1 + number % (PEOPLE - 1) for number in range(proof.number(100_000) // (4 * EACH))}
    async with shop_on(database, tmp_path) as shop:
        for code, limit in limits.items():
            fields = {"kind": "percent", "value": Decimal(10), "currency": "KRW", "total_limit": limit, "per_person": 1}
            await shop.core.bus().send(CreateCoupon(coupon=code, **fields))
        proof.attempt(len(await shop.order("coupons", len(limits), proof.number(VICTIMS))))
        used = await shop.placed("data -> 'coupons' -> 0 ->> 'coupon'")
        assert Counter(code for code, _ in used) == limits
        await _nobody_twice(shop)
        for order_no in dict(used).values():
            for _ in range(2):  # A repeat gives nothing back.
                await shop.core.bus().send(CancelOrder(order_no=order_no, reason="buyer"))
            proof.fault("cancelled uses")
        tickets = [coupon_tickets(code) for code in limits]
        assert await shop.balances(tickets) == [1] * len(limits)
        proof.attempt(len(await shop.order("coupons", len(limits))))
        used = await shop.placed("data -> 'coupons' -> 0 ->> 'coupon'")
        assert Counter(code for code, _ in used) == {code: limit + 1 for code, limit in limits.items()}
        assert await shop.balances(tickets) == [0] * len(limits)
        proof.fault("processes killed", shop.kills)
        await shop.is_clean()


async def _nobody_twice(shop: Shop) -> None:
    rows = await shop.core.database.kernel.fetch(
        """select data -> 'coupons' -> 0 ->> 'coupon' as coupon, data ->> 'buyer' as buyer from kernel.event
            where type = 'ordering.OrderPlaced' group by 1, 2 having count(*) > 1"""
    )
    assert rows == [], "somebody used a coupon twice"


async def test_a_unit_sold_twice_behind_the_ledger_is_found(database: TestDatabase, tmp_path: Path) -> None:
    """The twin: somebody lowers the floor of a pool, as a shop that does not look at it."""
    async with shop_on(database, tmp_path) as shop:
        lines = (ReceivedLine(sku="units-0", quantity=1),)
        await shop.core.bus().send(ReceiveStock(receipt=UUID(int=1), warehouse="icheon", lines=lines))
        owner = await asyncpg.connect(database.dsn)
        changed = "update kernel.account set floor = -5 where id = $1"
        assert await owner.execute(changed, pool("units-0").id) == "UPDATE 1"
        await owner.close()
        await order_process.main(database.app_dsn, 1, "units", 1, 4, str(tmp_path / "heard"))
        sold = await shop.placed("data -> 'lines' -> 0 ->> 'sku'")
        with pytest.raises(AssertionError, match="sold of 1"):
            judge({"units-0": 1}, sold, {"units-0": 0})

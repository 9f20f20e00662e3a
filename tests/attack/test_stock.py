"""Many buyers for few units: exactly what is there is sold, once; and the judge of it finds a shop that oversells."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from journeys.people import City, item, until
from pasar.apps.lab.evidence import Evidence
from pasar.apps.lab.rush import SoldWrongly, judge, rush
from postgres import TestDatabase

PROCESS = Path(__file__).with_name("buyer_process.py")


@pytest.mark.requirement("S2-049")
async def test_64_buyers_and_one_unit(city: City) -> None:
    sku = await city.sell(1)
    guests = await asyncio.gather(*(city.guest() for _ in range(64)))
    answers = await asyncio.gather(*(guest.place(item(sku)) for guest in guests))
    sold = [(sku, answer.json["order_no"]) for answer in answers if answer.status == 200]
    for answer in answers:
        if answer.status != 200:
            answer.refused(409, 1001)
    judge({sku: 1}, sold, {sku: await city.left(sku)})


async def _rush_in_processes(city: City, stock: dict[str, int], attempts: int) -> list[tuple[str, str]]:
    """Half of the attempts in each of two processes."""
    town, tests = city.town, str(PROCESS.parents[1])
    environment = {**os.environ, **town.environment, "PYTHONPATH": os.pathsep.join([tests, *sys.path])}
    addresses = (town.addresses.owner, town.addresses.app)
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, str(PROCESS), *addresses, str(seed), str(attempts // 2), *stock),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for seed in (1, 2)
    ]
    sold: list[tuple[str, str]] = []
    for process, (output, errors) in zip(
        processes, await asyncio.gather(*(p.communicate() for p in processes)), strict=True
    ):
        assert process.returncode == 0, errors.decode()[-3000:]
        sold += msgspec.json.decode(output, type=list[tuple[str, str]])
    return sold


async def _attack(city: City, attempts: int) -> None:
    stock = {await city.sell(units): units for units in (1, attempts // 50, attempts // 20, attempts // 10)}
    sold = await _rush_in_processes(city, stock, attempts)
    judge(stock, sold, {sku: await city.left(sku) for sku in stock})
    admin = await city.staff()

    async def seen() -> bool:
        return (await admin.ask("GET", f"/staff/orders?order_no={sold[-1][1]}")).json["items"] != []

    await until(seen, "the last order in the view")
    done = await asyncio.to_thread(city.town.command, "verify")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.promise("A1")
async def test_a_thousand_attempts_by_two_processes(city: City, proof: Evidence) -> None:
    """With prices, numbers and addresses as the facade asks for them; `test_hot_orders.py` has the large number."""
    await _attack(city, 1_000)
    proof.attempt(1_000)


class NaiveShop:
    """What must not be: it looks, thinks, then writes."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def open(self, stock: dict[str, int]) -> None:
        await self._pool.execute("create table naive_stock (sku text primary key, units int not null)")
        await self._pool.executemany("insert into naive_stock values ($1, $2)", list(stock.items()))
        await self._pool.execute("create table naive_sale (id bigserial, sku text not null)")

    async def buy(self, sku: str) -> str | None:
        units = await self._pool.fetchval("select units from naive_stock where sku = $1", sku)
        if units < 1:
            return None
        await self._pool.execute("update naive_stock set units = $2 where sku = $1", sku, units - 1)
        return str(await self._pool.fetchval("insert into naive_sale (sku) values ($1) returning id", sku))

    async def left(self) -> dict[str, int]:
        return {row["sku"]: row["units"] for row in await self._pool.fetch("select sku, units from naive_stock")}


async def test_the_judge_finds_a_shop_that_looks_and_then_writes(database: TestDatabase) -> None:
    stock = {"a": 1, "b": 20, "c": 50}
    async with asyncpg.create_pool(database.dsn, min_size=16, max_size=16) as pool:
        shop = NaiveShop(pool)
        await shop.open(stock)
        sold = await rush(shop.buy, list(stock), 1_000, 64, seed=1)
        with pytest.raises(SoldWrongly, match="sold of"):
            judge(stock, sold, await shop.left())


def test_the_judge_finds_what_was_lost_and_what_was_said_twice() -> None:
    judge({"a": 2}, [("a", "1"), ("a", "2")], {"a": 0})
    with pytest.raises(SoldWrongly, match="1 sold of 2"):
        judge({"a": 2}, [("a", "1")], {"a": 0})
    with pytest.raises(SoldWrongly, match="are left"):
        judge({"a": 1}, [("a", "1")], {"a": 1})
    with pytest.raises(SoldWrongly, match="twice"):
        judge({"a": 2}, [("a", "1"), ("a", "1")], {"a": 0})

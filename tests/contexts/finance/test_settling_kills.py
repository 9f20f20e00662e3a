"""Settlement runs whose workers die at any commit, two at a time: each line is paid once, to whom it is due."""

import asyncio
import random
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from contexts.finance.mall import Mall, open_mall
from contexts.selling import OWNER
from kernel.running import until
from lab.test_proxies import cutting
from pasar.accounts import payable
from pasar.apps.lab.commit_proxy import CommitProxy
from pasar.apps.lab.evidence import Evidence
from pasar.contexts.finance.contract import RecognizeRevenue, Share
from pasar.contexts.payment.contract import Capture, StartPayment
from pasar.contexts.platform.contract import OpenStore
from pasar.kernel.bus import Core
from pasar.kernel.store import Database
from pasar.kernel.worker import Worker
from postgres import TestDatabase

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

EACH = 10
"""Orders of a store: so many lines of each settlement."""
GROSS, COMMISSION = Decimal(20_000), Decimal(1_000)
LIVES = 400


async def earn(mall: Mall, store: str, order_no: str) -> None:
    """An order that was paid and confirmed: its money is shared out."""
    bus, now = mall.shop.bus(), mall.shop.clock.now()
    payment, what = UUID(int=int(order_no)), {"amount": GROSS, "currency": "KRW", "gateway": "toss"}
    ends = now + timedelta(minutes=10)
    await bus.send(
        StartPayment(payment=payment, order_no=order_no, buyer=OWNER, title="order", expires_at=ends, **what)
    )
    await bus.send(Capture(payment=payment, provider_ref=f"ref-{order_no}", **what))
    share = Share(store=store, gross=GROSS, commission=COMMISSION, seller=GROSS - COMMISSION)
    await bus.send(RecognizeRevenue(order_no=order_no, currency="KRW", shares=(share,), confirmed_at=now))


async def stores_earn(mall: Mall, number: int) -> dict[tuple[str, str], Decimal]:
    """Stores with orders that are due: what each line of the settlement has to be."""
    due = {}
    for place in range(number):
        store = f"t{place:03}"
        await mall.shop.bus().send(OpenStore(store=store, name=store, owner=OWNER))
        for line in range(EACH):
            order_no = f"20250906{1000 + place * EACH + line}"
            await earn(mall, store, order_no)
            due[store, order_no] = GROSS - COMMISSION
    return due


async def short_life(mall: Mall, dsn: str, proxy: CommitProxy, lives_s: float) -> None:
    """A worker in a process of its own would be killed; here its connections end with it, and its memory is lost."""
    database = Database(dsn, size=3, lanes=1)
    core = Core(
        database, mall.shop.core.deciders.values(), clock=mall.shop.clock, ids=mall.shop.core.ids,
        keys=mall.shop.core.keys, settings=mall.shop.core.settings,
    )  # fmt: skip
    with suppress(OSError, TimeoutError):
        await database.open()
        running = asyncio.create_task(Worker(mall.shop.modules, core, poll_s=0.01).run())
        await asyncio.sleep(lives_s)
        await proxy.cut_all()
        running.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await running
    with suppress(Exception):
        await database.close()


async def state_of(mall: Mall, run: str) -> str:
    return (await mall.staff("GET", f"/api/v1/finance/runs/{run}", kind="finance")).json["state"]


@pytest.mark.promise("A10")
async def test_a_run_whose_workers_die_at_any_commit_pays_each_line_once(
    database: TestDatabase, tmp_path: Path, proof: Evidence
) -> None:
    chance = random.Random(proof.seed(61))
    async with open_mall(database, tmp_path) as mall:
        await mall.seller()
        due = await stores_earn(mall, proof.number(1_000, 40) // EACH)
        await mall.settled_down()
        run = await proposed(mall)
        await mall.shop.end_work()
        assert (await mall.staff("POST", f"/api/v1/finance/runs/{run}/approve", kind="finance")).status == 200
        async with cutting(database.app_dsn, chance.randrange(10**6), 0.3, moments=("before", "halfway", "after")) as (
            proxy,
            dsn,
        ):
            for _ in range(LIVES):
                lives = [short_life(mall, dsn, proxy, chance.uniform(0.2, 0.8)) for _ in range(chance.choice((1, 2)))]
                await asyncio.gather(*lives)
                proof.fault("workers killed", len(lives))
                if await state_of(mall, run) == "paid":
                    break
            for moment, number in proxy.cuts.items():
                proof.fault(f"commits cut {moment}", number)
            assert proxy.cuts, "no commit was cut: nothing was tried"
        await mall.shop.begin_work()
        await until(lambda: _is_paid(mall, run))
        await mall.settled_down()
        await judge(mall, due)
        proof.attempt(len(due))


async def proposed(mall: Mall) -> str:
    """The run that has all of it, proposed by the calendar on the second Monday; asking for it again adds nothing."""
    for _ in range(2):
        known = len(await runs(mall))
        await mall.to_monday()
        await until(lambda known=known: _more_runs(mall, known))
    again = [mall.staff("POST", "/api/v1/finance/runs", {}, kind="finance", by=by) for by in (1, 2)]
    answers = await asyncio.gather(*again)
    assert {answer.json["run"] for answer in answers} == {(await runs(mall))[0]["run"]}
    return (await runs(mall))[0]["run"]


async def runs(mall: Mall) -> list[Any]:
    return (await mall.staff("GET", "/api/v1/finance/runs", kind="finance")).json["items"]


async def _more_runs(mall: Mall, known: int) -> bool:
    return len(await runs(mall)) > known


async def _is_paid(mall: Mall, run: str) -> bool:
    return await state_of(mall, run) == "paid"


async def judge(mall: Mall, due: dict[tuple[str, str], Decimal]) -> None:
    rows = await mall.shop.core.database.kernel.fetch(
        """select data ->> 'store' as store, line ->> 'order_no' as order_no, (line ->> 'amount')::numeric as amount
             from kernel.event, jsonb_array_elements(data -> 'orders') line where type = 'finance.SellerSettled'"""
    )
    paid = Counter((row["store"], row["order_no"]) for row in rows)
    assert set(paid) == set(due)
    assert max(paid.values()) == 1, "a line was paid twice"
    assert {(row["store"], row["order_no"]): row["amount"] for row in rows} == due
    left = await mall.shop.db.balances([payable(store, no, unit="KRW") for store, no in due])
    assert not any(left)

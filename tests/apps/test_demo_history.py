"""The demo mall and its last sixty days: made by the shop's commands, in order, and to be gone on with after a kill."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from pasar.apps.demo import load_demo, skus_of
from pasar.apps.demo_data import goods
from pasar.apps.demo_history import load_history
from pasar.apps.demo_plan import DAYS, Step, midnight, plan
from pasar.apps.deployment import Addresses, opened, prepare, read_settings
from pasar.apps.wiring import modules
from pasar.kernel.settings import Settings
from pasar.kernel.verify import verify
from postgres import TestDatabase

STARTS = midnight(datetime(2026, 11, 29, 12, tzinfo=UTC), DAYS)


def steps() -> list[Step]:
    return plan(STARTS, goods(), {code: [sku for sku, _ in skus_of(one)] for code, one in goods().items()})


def test_two_demos_have_the_same_past() -> None:
    assert steps() == steps()


def test_each_step_follows_a_day_after_what_it_rests_on() -> None:
    lives: dict[int, list[Step]] = {}
    for step in steps():
        lives.setdefault(step.order.number, []).append(step)
    for life in lives.values():
        days = [(step.at - STARTS) // timedelta(days=1) for step in life if step.what not in ("place", "pay", "fail")]
        assert days == sorted(set(days)), life


def test_what_is_planned_is_of_every_kind() -> None:
    fates = Counter(step.order.fate for step in steps() if step.what == "place")
    assert set(fates) == {"kept", "unpaid", "canceled", "returned"}
    assert fates["kept"] > 0.7 * sum(fates.values())


class Cut(Exception):
    pass


@pytest_asyncio.fixture
async def mall(database: TestDatabase, tmp_path: Path) -> AsyncIterator[tuple[Settings, Addresses]]:
    settings = read_settings({"data_dir": str(tmp_path), "payment.simulators": str(tmp_path)})
    addresses = Addresses(database.dsn, database.app_dsn)
    await prepare(addresses, modules(settings))
    yield settings, addresses


@pytest.mark.slow
async def test_the_past_is_whole_after_a_load_that_was_cut_short(
    mall: tuple[Settings, Addresses], database: TestDatabase
) -> None:
    settings, addresses = mall
    await load_demo(settings, addresses, with_history=True)

    def cut(day: int) -> None:
        if day == 25:
            raise Cut

    with pytest.raises(Cut):
        await load_history(settings, addresses, cut)
    refused = await load_history(settings, addresses)
    assert refused <= 5
    assert await load_history(settings, addresses) == 0  # A repeat changes nothing.

    connection = await asyncpg.connect(database.dsn)
    try:
        rows = await connection.fetch(
            "select type, count(*) as n, min(at) as first, max(at) as last from kernel.event group by 1"
        )
        found = {row["type"]: row for row in rows}
        planned = [step for step in steps() if step.what == "place"]
        assert abs(found["ordering.OrderPlaced"]["n"] - len(planned)) <= 0.1 * len(planned)
        for kind in (
            "ordering.OrderCanceled", "ordering.OrderConfirmed", "ordering.OrderCompleted", "payment.PaymentFailed",
            "payment.RefundCompleted", "aftersales.CaseRefunded", "finance.RunPaid", "finance.SellerSettled",
            "inventory.StockBlocked", "inventory.StockAdjusted", "wallet.PointsEarned", "notification.MailSent",
        ):  # fmt: skip
            assert found[kind]["n"] > 0, kind
        assert max(row["last"] for row in rows) <= datetime.now(UTC)
        assert datetime.now(UTC) - found["ordering.OrderPlaced"]["first"] > timedelta(days=DAYS - 7)
        approved = await connection.fetch(
            """select p.at as proposed, a.at as approved from kernel.event p join kernel.event a using (kind, stream)
                where p.type = 'finance.RunProposed' and a.type = 'finance.RunApproved'"""
        )
        assert approved
        assert all(timedelta() < row["approved"] - row["proposed"] < timedelta(days=2) for row in approved)
        assert await connection.fetchval("select count(*) from kernel.parked") == 0
        async with opened(settings, addresses) as deployment:
            core = deployment.core
            report = await verify(connection, core.deciders.values(), now=core.clock.now())
        assert report.findings == []
    finally:
        await connection.close()

"""Points over HTTP, with a worker: earned, spent, taken back, lapsed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from contexts.selling import MODULES, Shop, open_shop
from pasar.accounts import points
from pasar.contexts.aftersales.contract import CaseRefunded
from pasar.contexts.ordering.contract import OrderCanceled, OrderCompleted, OrderPaid
from pasar.contexts.wallet import facade
from pasar.contexts.wallet.module import module as wallet
from pasar.kernel.decider import Decider
from pasar.kernel.messages import Command, Value
from pasar.kernel.module import Module
from pasar.kernel.private import Private
from pasar.vocabulary import Address
from postgres import TestDatabase

ANN, BOB = UUID(int=1), UUID(int=2)


class Say(Command):
    """Lets a stream of these tests tell what orders and cases tell in the shop."""

    stream: str
    completed: OrderCompleted | None = None
    refunded: CaseRefunded | None = None
    paid: OrderPaid | None = None
    canceled: OrderCanceled | None = None


Told = OrderCompleted | CaseRefunded | OrderPaid | OrderCanceled


class Said(Value):
    times: int = 0


def decide(command: Say, said: Said) -> list[Told]:
    told = (command.completed, command.refunded, command.paid, command.canceled)
    return [event for event in told if event is not None]


def evolve(said: Said, event: Told) -> Said:
    return Said(times=said.times + 1)


TELLER = Module("teller", deciders=(Decider("teller.said", "stream", Said(), decide, evolve),))


@pytest_asyncio.fixture
async def shop(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(database, tmp_path, (*MODULES, wallet, TELLER)) as opened:
        yield opened


async def completed(shop: Shop, order_no: str, paid: str) -> None:
    event = OrderCompleted(order_no=order_no, buyer=ANN, currency="CNY", paid_amount=Decimal(paid), refunded=Decimal(0))
    await shop.bus().send(Say(stream=order_no, completed=event))


async def refunded(shop: Shop, order_no: str, amount: str) -> None:
    event = CaseRefunded(
        case=uuid4(), order_no=order_no, buyer=ANN, currency="CNY", refund=Decimal(amount), points=0, lines=()
    )
    await shop.bus().send(Say(stream=order_no, refunded=event))


async def shown(shop: Shop, path: str = "/api/v1/me/points") -> Any:
    answer = await shop.ask("GET", path, token=shop.token("member", id=ANN))
    assert answer.status == 200, answer.body
    return answer.json


async def until(shop: Shop, available: int, debt: int = 0) -> None:
    async with asyncio.timeout(60):
        while (found := await shown(shop))["available"] != available or found["debt"] != debt:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.mark.requirement("S1-050", "S1-054", "S0-082")
async def test_a_completed_order_earns_and_its_refund_takes_back_even_into_debt(shop: Shop) -> None:
    await completed(shop, "202603010001", "98.00")
    await until(shop, 98)
    await refunded(shop, "202603010001", "30.00")
    await until(shop, 68)
    # Sixty are spent elsewhere, as an order would.
    bus = shop.bus()
    await bus.send(facade.TakeBackPoints(
        wallet=f"points:{ANN}", account=ANN, case=uuid4(), order_no="202603019999", points=60, from_balance=60
    ))  # fmt: skip
    await refunded(shop, "202603010001", "68.00")
    await until(shop, 0, debt=60)
    await completed(shop, "202603010002", "100.00")
    await until(shop, 40)


@pytest.mark.requirement("S1-053", "S0-083")
async def test_points_lapse_after_twelve_months_the_oldest_first(shop: Shop) -> None:
    await completed(shop, "202603010001", "100.00")
    await until(shop, 100)
    shop.clock.advance(timedelta(days=30))
    await completed(shop, "202603010002", "50.00")
    await until(shop, 150)
    shop.clock.advance(timedelta(days=336))
    await until(shop, 50)
    shop.clock.advance(timedelta(days=30))
    await until(shop, 0)
    async with asyncio.timeout(60):
        while len(items := (await shown(shop, "/api/v1/me/points/statement"))["items"]) < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert [(one["kind"], one["points"]) for one in items] == [
        ("lapsed", -50), ("lapsed", -100), ("earned", 50), ("earned", 100),
    ]  # fmt: skip


async def test_a_gift_is_given_once_and_only_by_staff(shop: Shop) -> None:
    body = {"account": str(ANN), "points": 500, "reason": "late parcel"}
    headers = [("Idempotency-Key", "gift-1")]
    path = "/api/v1/points/grants"
    for _ in range(2):
        answer = await shop.ask("POST", path, body, token=shop.token("admin"), headers=headers)
        assert answer.status == 204, answer.body
    await until(shop, 500)
    refused = await shop.ask("POST", path, body, token=shop.token("member"), headers=headers)
    assert refused.status == 403
    assert await shop.db.balance(points("points", ANN)) == 500


async def test_a_statement_comes_in_pages_and_is_ones_own(shop: Shop) -> None:
    for number in range(5):
        await completed(shop, f"20260301{number:04}", "10.00")
    await until(shop, 50)
    seen: list[str] = []
    async with asyncio.timeout(60):
        while len((await shown(shop, "/api/v1/me/points/statement"))["items"]) < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    path = "/api/v1/me/points/statement?limit=2"
    page = await shown(shop, path)
    seen += [one["reference"] for one in page["items"]]
    while page["next"]:
        page = await shown(shop, f"{path}&cursor={page['next']}")
        seen += [one["reference"] for one in page["items"]]
    assert sorted(seen) == [f"20260301{number:04}" for number in range(5)]
    other = await shop.ask("GET", path, token=shop.token("member", id=BOB))
    assert other.json["items"] == []


async def test_what_orders_spend_and_give_back_is_in_the_statement(shop: Shop) -> None:
    nothing = Decimal(0)
    home = Address(recipient=Private("Ann"), phone=Private("1"), line1=Private("Road 1"), country="KR")
    for order_no, spent in (("202603010001", 30), ("202603010002", 0)):
        paid = OrderPaid(
            order_no=order_no, buyer=ANN, channel="web", currency="CNY", total=Decimal(10), payment=uuid4(),
            gateway="wechat", lines=(), freight_shares=(), platform_paid=nothing, coupons=(), points=spent,
            programme="points", address=home,
        )  # fmt: skip
        await shop.bus().send(Say(stream=order_no, paid=paid))
    for order_no, was_paid in (("202603010001", True), ("202603010003", False)):
        canceled = OrderCanceled(
            order_no=order_no, buyer=ANN, reason="out_of_stock", was_paid=was_paid, payment=None, currency="CNY",
            total=Decimal(10), lines=(), coupons=(), points=30, programme="points", platform_paid=nothing,
        )  # fmt: skip
        await shop.bus().send(Say(stream=order_no, canceled=canceled))
    await completed(shop, "202603010004", "5.00")
    async with asyncio.timeout(60):
        while len(items := (await shown(shop, "/api/v1/me/points/statement"))["items"]) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert sorted((one["kind"], one["points"], one["reference"]) for one in items) == [
        ("earned", 5, "202603010004"), ("given_back", 30, "202603010001"), ("spent", -30, "202603010001"),
    ]  # fmt: skip

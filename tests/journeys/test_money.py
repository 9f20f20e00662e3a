"""Money that comes too late, in the wrong amount or twice; and its way to the seller."""

import asyncio
import csv
import io
import sqlite3
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest

from journeys.people import City, Person, item, until
from journeys.town import Town

OPEN = ("CREATED", "PENDING_PAYMENT", "PAYMENT_PROCESSING")


@pytest.fixture(scope="module")
def town(own_town: Town) -> Town:
    """Weeks pass here."""
    return own_town


async def _payment(city: City, payment: dict[str, Any]) -> dict[str, Any]:
    return await (await city.staff("finance")).get(f"/payments/{payment['payment']}")


async def _bought(city: City, sku: str, units: int = 1, **more: Any) -> tuple[Person, str, dict[str, Any]]:
    """A guest whose order is paid and delivered."""
    guest = await city.guest()
    placed = await guest.placed(item(sku, units), **more)
    payment = await guest.pay(placed["order_no"])
    await guest.sees(placed["order_no"], "ALLOCATED")
    await city.deliver(placed["order_no"])
    await guest.sees(placed["order_no"], "DELIVERED")
    return guest, placed["order_no"], payment


async def test_wechat_pays_by_notice(city: City) -> None:
    guest, sku = await city.guest(), await city.sell(3)
    placed = await guest.placed(item(sku), channel="wechat")
    assert placed["currency"] == "CNY"
    payment = await guest.pay_by_wechat(placed["order_no"])
    await guest.sees(placed["order_no"], "PAID", "ALLOCATED")
    paid = await _payment(city, payment)
    assert (paid["state"], paid["amount"]) == ("captured", placed["total"])


async def test_an_order_that_nobody_pays_gives_everything_back(city: City) -> None:
    guest, sku = await city.guest(), await city.sell(3)
    order_no = (await guest.placed(item(sku, 3)))["order_no"]
    assert await city.left(sku) == 0
    city.town.jump(minutes=29)
    await city.at_rest()
    assert (await guest.order(order_no))["status"] in OPEN
    city.town.jump(minutes=2)
    await guest.sees(order_no, "CANCELLED", "CANCELED")
    assert await city.left(sku) == 3


@pytest.mark.requirement("S2-029")
async def test_an_open_attempt_keeps_the_order_ten_minutes_longer_at_most(city: City) -> None:
    guest, sku = await city.guest(), await city.sell(1)
    order_no = (await guest.placed(item(sku)))["order_no"]
    city.town.jump(minutes=28)
    await guest.begin(order_no)
    city.town.jump(minutes=4)
    await city.at_rest()
    assert (await guest.order(order_no))["status"] in OPEN
    city.town.jump(minutes=10)
    await guest.sees(order_no, "CANCELLED", "CANCELED")
    assert await city.left(sku) == 1


@pytest.mark.requirement("S2-041")
async def test_money_that_comes_after_the_end_is_booked_and_returned_once(city: City) -> None:
    guest, sku = await city.guest(), await city.sell(1)
    order_no = (await guest.placed(item(sku), channel="wechat"))["order_no"]
    payment = await guest.begin(order_no, "wechat")
    deaf = [{"endpoint": name, "status": 500} for name in ("query", "close")]
    await city.chaos("wechat", endpoints=deaf, notices={"drop": True}, retry_scale=0.01)
    await guest.agree(payment)
    for _ in range(5):
        city.town.jump(minutes=10)
        await asyncio.sleep(0.3)
    await guest.sees(order_no, "CANCELLED", "CANCELED")
    assert await city.left(sku) == 1
    await city.chaos("wechat", notices={"copies": 3}, retry_scale=0.01)

    async def given_back() -> Any:
        found = await _payment(city, payment)
        return found if [refund["state"] for refund in found["refunds"]] == ["completed"] else None

    found = await until(given_back, "the refund of the late money")
    assert found["refunded"] == found["amount"]
    city.town.jump(minutes=60)
    await city.at_rest()
    assert len((await _payment(city, payment))["refunds"]) == 1
    assert (await guest.order(order_no))["status"] in ("CANCELLED", "CANCELED")


async def test_genuine_money_of_a_wrong_amount_is_parked(city: City) -> None:
    guest, sku = await city.guest(), await city.sell(1)
    order_no = (await guest.placed(item(sku), channel="wechat"))["order_no"]
    payment = await guest.begin(order_no, "wechat")
    with closing(sqlite3.connect(city.town.folder / "simulators" / "wechat.sqlite", timeout=30)) as provider:
        number = payment["payment"].replace("-", "")
        changed = provider.execute("update trade set total = total - 100 where out_trade_no = ?", [number])
        assert changed.rowcount == 1
        provider.commit()
    await city.agree(payment)
    finance = await city.staff("finance")

    async def parked() -> Any:
        found = (await finance.get("/payments/parked?limit=100"))["items"]
        return [money for money in found if money["payment"] == payment["payment"]]

    (money,) = await until(parked, "parked money")
    assert money["reason"] == "wrong_amount"
    assert (await guest.order(order_no))["status"] in OPEN


async def test_the_seller_is_paid_95_percent_by_a_run_that_a_second_person_approved(city: City) -> None:
    store, finance, admin = "volt", await city.staff("finance"), await city.staff()
    before = await finance.get(f"/stores/{store}/balance?currency=KRW")
    sku = await city.sell(9, 30_000, store=store)
    guest, order_no, _ = await _bought(city, sku, 2)
    await guest.post(f"/orders/{order_no}/confirm")

    async def shared() -> Any:
        found = await finance.get(f"/stores/{store}/balance?currency=KRW")
        return found if found["payable"] > before["payable"] else None

    after = await until(shared, "revenue")
    order = await guest.order(order_no)
    commission = Decimal(60_000) * 5 / 100
    assert after["payable"] - before["payable"] == order["total"] - commission
    city.town.jump(days=15)

    run = await until(lambda: _run_with(finance, order_no), "a run that the calendar proposed")
    await finance.post(f"/finance/runs/{run}/approve")

    async def paid() -> Any:
        return (await finance.get(f"/finance/runs/{run}"))["state"] == "paid"

    await until(paid, "a paid run")
    settled = await admin.get(f"/stores/{store}/settlements/{run}")
    assert order_no in str(settled)
    file = await finance.ask("GET", f"/finance/runs/{run}/payout-file?format=csv")
    assert file.status == 200, file.body
    amounts = [Decimal(row["amount"]) for row in csv.DictReader(io.StringIO(file.body.decode("utf-8-sig")))]
    settlements = (await finance.get(f"/finance/runs/{run}"))["settlements"]
    assert sum(amounts) == sum(entry["amount"] for entry in settlements if not entry["held_back"])
    left = await finance.get(f"/stores/{store}/balance?currency=KRW")
    # Meanwhile orders of others may have been confirmed by time.
    assert left["payable"] < after["payable"], "what was paid is still owed"


async def test_who_proposed_a_run_does_not_approve_it(city: City) -> None:
    finance, admin = await city.staff("finance"), await city.staff()
    sku = await city.sell(9, 30_000, store="atelier")
    guest, order_no, _ = await _bought(city, sku)
    await guest.post(f"/orders/{order_no}/confirm")
    await city.at_rest()
    city.town.jump(days=14)  # Two runs of the calendar, whatever day it is: none comes after them.
    run = await until(lambda: _proposed(finance), "a run that the calendar proposed")
    await admin.post(f"/finance/runs/{run}/reject", {"reason": "look again"})
    again = await finance.post("/finance/runs", {"currency": "KRW"})
    (await finance.ask("POST", f"/finance/runs/{again['run']}/approve")).refused(403, 7004)
    await admin.post(f"/finance/runs/{again['run']}/approve")


async def _run_with(finance: Person, order_no: str) -> str | None:
    """The first run that would pay this order."""
    runs = (await finance.get("/finance/runs?limit=100"))["items"]
    for run in sorted(run["run"] for run in runs if run["state"] == "proposed"):
        if order_no in str(await finance.get(f"/finance/runs/{run}")):
            return run
    return None


async def _proposed(finance: Person) -> str | None:
    runs = (await finance.get("/finance/runs?limit=100"))["items"]
    return next((run["run"] for run in runs if run["state"] == "proposed" and run["currency"] == "KRW"), None)


@pytest.mark.parametrize("units", [1, 3], ids=["a part", "the whole"])
async def test_a_return_gives_back_what_was_paid_for_it(city: City, units: int) -> None:
    sku = await city.sell(3, 10_000)
    guest, order_no, payment = await _bought(city, sku, 3)
    wish = {"kind": "return", "lines": [{"line_id": "1", "quantity": units}], "reason_code": "damaged"}
    case = await guest.post(f"/orders/{order_no}/returns", wish)
    path = f"/staff/returns/{case['case']}"
    admin = await city.staff()
    await admin.post(f"{path}/approve")
    await admin.post(f"{path}/receive", {"warehouse": "icheon", "restock": True})

    async def refunded() -> Any:
        found = await guest.get(f"/returns/{case['case']}")
        return found if found["state"] == "REFUNDED" else None

    assert (await until(refunded, "a refund"))["refund"] == case["refund"]
    paid = await _payment(city, payment)
    assert paid["refunded"] == case["refund"]
    assert case["refund"] == (paid["amount"] if units == 3 else 10_000)
    assert await city.left(sku) == units
    expected = ("REFUNDED",) if units == 3 else ("PARTIAL_REFUNDED",)
    await guest.sees(order_no, *expected)


@pytest.mark.requirement("S0-068")
async def test_a_paid_order_that_has_not_left_is_cancelled_by_a_refund(city: City) -> None:
    guest, sku = await city.guest(), await city.sell(2)
    order_no = (await guest.placed(item(sku, 2)))["order_no"]
    payment = await guest.pay(order_no)
    await guest.sees(order_no, "ALLOCATED")
    await guest.post(f"/orders/{order_no}/cancel")

    async def back() -> Any:
        paid = await _payment(city, payment)
        return paid["refunded"] == paid["amount"]

    await until(back, "the money")
    await until(lambda: _has(city, sku, 2), "the goods")


async def _has(city: City, sku: str, units: int) -> bool:
    return await city.left(sku) == units


@pytest.mark.promise("B7")
async def test_at_the_end_of_it_all_the_books_are_clean(city: City) -> None:
    """Runs last in this file: after every journey of this process, all follows from the log."""
    city.town.jump(days=40)
    await city.at_rest()
    done = await asyncio.to_thread(city.town.command, "verify")
    assert done.returncode == 0, done.stdout + done.stderr

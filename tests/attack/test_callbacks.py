"""Notices of providers that come twice, in the wrong order, late, or from somebody else."""

import asyncio
from typing import Any

import pytest

from journeys.people import City, Person, item, until

PAID = ("PAID", "ALLOCATED")


async def _wechat_order(city: City, sku: str) -> tuple[Person, dict[str, Any], dict[str, Any]]:
    guest = await city.guest()
    placed = await guest.placed(item(sku), channel="wechat")
    return guest, placed, await guest.begin(placed["order_no"], "wechat")


async def _paid_once(city: City, payment: dict[str, Any]) -> None:
    finance = await city.staff("finance")
    found = await finance.get(f"/payments/{payment['payment']}")
    assert (found["state"], found["refunded"], found["refunds"]) == ("captured", 0, [])


@pytest.mark.parametrize(
    "misbehaviour",
    [
        {"copies": 5},
        {"delay_ms": 700},
        {"delay_ms": 500, "reorder": True, "copies": 2},
        {"drop": True, "times": 3},
    ],
    ids=["doubled", "delayed", "reordered", "lost at first"],
)
@pytest.mark.promise("A7")
async def test_whatever_the_provider_does_it_is_paid_once(city: City, misbehaviour: dict[str, Any]) -> None:
    sku = await city.sell(9)
    orders = [await _wechat_order(city, sku) for _ in range(3)]
    await city.chaos("wechat", notices=misbehaviour, retry_scale=0.02)
    await asyncio.gather(*(guest.agree(payment) for guest, _, payment in orders))
    for guest, placed, payment in orders:
        await guest.sees(placed["order_no"], *PAID)
        await _paid_once(city, payment)
    assert await city.left(sku) == 6


@pytest.mark.promise("A8")
async def test_confirmation_and_notice_at_once_capture_once(city: City) -> None:
    sku, guest = await city.sell(3), await city.guest()
    placed = await guest.placed(item(sku))
    payment = await guest.begin(placed["order_no"])
    await city.chaos("toss", notices={"copies": 3})
    back = await guest.agree(payment)
    wish = {"payment_key": back["paymentKey"], "order_id": back["orderId"], "amount": int(back["amount"])}
    path = f"/payments/{payment['payment']}/confirm"
    answers = await asyncio.gather(*(guest.ask("POST", path, wish) for _ in range(6)))
    assert {answer.status for answer in answers} <= {200, 409}
    await guest.sees(placed["order_no"], *PAID)
    await city.at_rest()
    await _paid_once(city, payment)


@pytest.mark.promise("D9")
async def test_a_notice_with_a_wrong_signature_is_not_believed(city: City) -> None:
    sku = await city.sell(2)
    guest, placed, payment = await _wechat_order(city, sku)
    blind = [{"endpoint": "query", "status": 500}]  # Nor can the shop find out by asking.
    await city.chaos("wechat", notices={"wrong_signature": True}, endpoints=blind)
    await guest.agree(payment)

    async def answered() -> Any:
        notices = (await city.outside("GET", "/wechat/simulator/notices")).json
        return notices[0]["answer"]

    assert await until(answered, "the shop's answer to a forged notice") in (400, 401)
    await city.at_rest()
    assert (await guest.order(placed["order_no"]))["status"] not in PAID


@pytest.mark.promise("D9")
async def test_a_notice_of_an_old_time_is_not_believed(city: City) -> None:
    sku = await city.sell(2)
    guest, placed, payment = await _wechat_order(city, sku)
    blind = [{"endpoint": "query", "status": 500}]
    await city.chaos("wechat", notices={"clock_skew_s": -3600}, endpoints=blind)
    await guest.agree(payment)

    async def answered() -> Any:
        return (await city.outside("GET", "/wechat/simulator/notices")).json[0]["answer"]

    assert await until(answered, "the shop's answer to an old notice") in (400, 401)
    await city.at_rest()
    assert (await guest.order(placed["order_no"]))["status"] not in PAID


@pytest.mark.promise("D9")
async def test_who_merely_says_that_toss_was_paid_is_not_believed(city: City) -> None:
    """Nothing signs these notices, so the shop asks Toss; that payment was never made there."""
    sku, guest = await city.sell(2), await city.guest()
    placed = await guest.placed(item(sku))
    payment = await guest.begin(placed["order_no"])
    claim = {
        "eventType": "PAYMENT_STATUS_CHANGED",
        "createdAt": "2026-03-01T12:00:00.000000",
        "data": {
            "paymentKey": "tgen_forged", "orderId": payment["payment"], "status": "DONE", "totalAmount": 13_000,
            "currency": "KRW", "balanceAmount": 13_000, "mId": "tosspayments",
        },
    }  # fmt: skip
    for path in ("/api/v1/payments/callback", "/api/v1/payments/callback/toss"):
        assert (await city.ask("POST", path, claim)).status < 500
    await city.at_rest()
    assert (await guest.order(placed["order_no"]))["status"] not in PAID


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 5000])
async def test_rubbish_is_refused_and_breaks_nothing(city: City, body: bytes) -> None:
    for path in ("/api/v1/payments/callback", "/api/v1/payments/callback/toss", "/api/v1/payments/callback/wechat"):
        answer = await city.ask("POST", path, body)
        assert 400 <= answer.status < 500, (path, answer.status, answer.body)

"""Crashes, silence, lost notices and deadlines: what the request did not do, a worker does."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from contexts.payment.till import ANN, BOB, Till, open_till
from pasar.contexts.ordering.contract import BeginPayment
from pasar.contexts.payment.contract import StartPayment
from pasar.simulators.testing import World
from postgres import TestDatabase


async def test_an_attempt_that_was_committed_and_not_opened_is_opened_by_the_worker(till: Till) -> None:
    """As if the process had died between the commit and the call."""
    order_no, payment, bus = await till.order(), uuid4(), till.shop.bus()
    ends = bus.now() + timedelta(minutes=10)
    start = StartPayment(
        payment=payment, order_no=order_no, buyer=ANN, gateway="wechat", amount=Decimal("98.00"), currency="CNY",
        title="A song", expires_at=ends,
    )  # fmt: skip
    await bus.send_together(start, BeginPayment(order_no=order_no, payment=payment, until=ends))

    async def opened() -> bool:
        return bool((await till.seen(payment)).fields)

    await till.until(opened)
    await till.world.pay("wechat", payment_id=str(payment))
    await till.until_state(payment, "captured")
    assert await till.order_state(order_no) == "PAID"


async def test_a_provider_that_is_slow_is_asked_again_by_the_worker(till: Till) -> None:
    await till.world.put_chaos("wechat", endpoints=[{"endpoint": "prepay", "status": 500}])
    order_no = await till.order()
    answer = await till.pay(order_no)
    assert (answer.status, answer.json["state"], answer.json["fields"]) == (201, "started", {})
    payment = UUID(answer.json["payment"])
    await till.world.put_chaos("wechat")

    async def opened() -> bool:
        till.shop.clock.advance(timedelta(milliseconds=300))
        return bool((await till.seen(payment)).fields)

    await till.until(opened)
    assert await till.events(payment) == ["PaymentStarted", "PaymentOpened"]


async def test_a_payment_whose_notice_was_lost_is_found_by_asking(till: Till) -> None:
    order_no = await till.order()
    payment = await till.started(order_no)
    await till.world.put_chaos("wechat", notices={"drop": True})
    await till.world.pay("wechat", payment_id=str(payment))
    till.shop.clock.advance(timedelta(minutes=5, seconds=1))
    await till.until_state(payment, "captured")
    assert "PaymentChecked" in await till.events(payment)
    assert await till.order_state(order_no) == "PAID"


@pytest.mark.requirement("S2-041")
async def test_an_attempt_ends_after_its_time_at_the_provider_too(till: Till) -> None:
    order_no = await till.order()
    payment = await till.started(order_no)
    till.shop.clock.advance(timedelta(minutes=10, seconds=1))
    await till.until_state(payment, "expired")

    async def waits() -> bool:
        return await till.order_state(order_no) == "PENDING_PAYMENT"

    await till.until(waits)
    with pytest.raises(AssertionError, match="ORDER_CLOSED"):
        await till.world.pay("wechat", payment_id=str(payment))


async def test_an_attempt_does_not_end_while_the_provider_is_silent(till: Till) -> None:
    order_no = await till.order()
    payment = await till.started(order_no)
    await till.world.put_chaos("wechat", endpoints=[{"status": 500}], notices={"drop": True})
    await till.world.pay("wechat", payment_id=str(payment))
    till.shop.clock.advance(timedelta(minutes=10, seconds=1))

    async def asked() -> bool:
        return "PaymentChecked" in await till.events(payment)

    await till.until(asked)
    assert (await till.seen(payment)).state == "started"
    await till.world.put_chaos("wechat")

    async def captured() -> bool:
        till.shop.clock.advance(timedelta(minutes=1))
        return (await till.seen(payment)).state == "captured"

    await till.until(captured)
    assert await till.order_state(order_no) == "PAID"


async def test_a_refund_whose_answer_and_notice_were_lost_is_asked_for_and_given_once(till: Till) -> None:
    order_no = await till.order()
    payment = await till.started(order_no)
    await till.world.pay("wechat", payment_id=str(payment))
    await till.until_state(payment, "captured")
    # It is done there, and the answer is lost on its way; so are the notices.
    hang = {"endpoint": "refund", "wrong_signature": True, "times": 1}
    await till.world.put_chaos("wechat", endpoints=[hang], notices={"drop": True})
    headers = [("Idempotency-Key", str(uuid4()))]
    path = f"/api/v1/payments/{payment}/refunds"
    await till.shop.ask("POST", path, {"reason": "broken"}, token=till.shop.token("finance"), headers=headers)

    async def refunded() -> bool:
        till.shop.clock.advance(timedelta(seconds=1))
        return (await till.seen(payment)).state == "refunded"

    await till.until(refunded)
    assert (await till.events(payment)).count("RefundCompleted") == 1
    assert await till.owed(order_no) == 0


async def test_one_attempt_at_a_time_unless_it_is_replaced(till: Till) -> None:
    order_no = await till.order()
    first = await till.started(order_no)
    second = await till.pay(order_no)
    assert (second.status, second.json["code"]) == (409, 2008)
    replaced = await till.started(order_no, replace=True)
    assert replaced != first
    assert (await till.seen(first)).state == "failed"
    with pytest.raises(AssertionError, match="ORDER_CLOSED"):
        await till.world.pay("wechat", payment_id=str(first))
    await till.world.pay("wechat", payment_id=str(replaced))
    await till.until_state(replaced, "captured")
    paid = await till.pay(order_no, replace=True)
    assert (paid.status, paid.json["code"]) == (409, 2007)


async def test_a_repeated_request_gets_the_same_answer_also_after_the_payment(till: Till) -> None:
    order_no = await till.order()
    first = await till.pay(order_no, key="once")
    again = await till.pay(order_no, key="once")
    assert (again.status, again.body) == (first.status, first.body) == (201, first.body)
    await till.world.pay("wechat", payment_id=first.json["payment"])
    await till.until_state(UUID(first.json["payment"]), "captured")
    assert (await till.pay(order_no, key="once")).body == first.body


@pytest.mark.requirement("S2-031")
async def test_orders_and_payments_of_others_do_not_exist(till: Till) -> None:
    order_no = await till.order()
    payment = await till.started(order_no)
    stranger = await till.pay(order_no, buyer=BOB)
    assert (stranger.status, stranger.json["code"]) == (404, 1003)
    seen = await till.shop.ask("GET", f"/api/v1/payments/{payment}", token=till.shop.token("member", id=BOB))
    assert (seen.status, seen.json["code"]) == (404, 2002)
    assert (await till.shop.ask("GET", "/api/v1/payments", token=till.shop.token("member"))).status == 403


@pytest.mark.requirement("S1-091", "S1-112")
async def test_with_all_providers_down_no_payment_channel_is_available(till: Till) -> None:
    for provider in ("wechat", "toss"):
        await till.world.put_chaos(provider, endpoints=[{"status": 500}])
    answer = await till.shop.ask("GET", "/api/v1/payments/gateways")
    assert {one["gateway"]: one["healthy"] for one in answer.json} == {"toss": False, "wechat": False}
    answer = await till.pay(await till.order())
    assert (answer.status, answer.json["code"]) == (503, 2001)


async def test_no_provider_takes_every_currency(till: Till) -> None:
    answer = await till.pay(await till.order("10.00", "USD"))
    assert (answer.status, answer.json["code"]) == (503, 2001)
    answer = await till.pay(await till.order("98.00", "CNY"), gateway="toss")
    assert (answer.status, answer.json["code"]) == (503, 2001)


@pytest.fixture
async def empty_till(database: TestDatabase, tmp_path: Path, world: World) -> AsyncIterator[Till]:
    async with open_till(database, tmp_path, world, **{"payment.simulators": ""}) as till:
        yield till


async def test_without_a_configured_provider_nothing_can_be_paid(empty_till: Till) -> None:
    assert (await empty_till.shop.ask("GET", "/api/v1/payments/gateways")).json == []
    answer = await empty_till.pay(await empty_till.order())
    assert (answer.status, answer.json["code"]) == (503, 2001)


async def test_staff_find_payments_by_state_in_pages(till: Till) -> None:
    payments = [await till.started(await till.order()) for _ in range(3)]
    await till.world.pay("wechat", payment_id=str(payments[0]))
    await till.until_state(payments[0], "captured")
    token, seen = till.shop.token("finance"), []

    async def listed() -> bool:
        answer = await till.shop.ask("GET", "/api/v1/payments?state=captured", token=token)
        return [one["payment"] for one in answer.json["items"]] == [str(payments[0])]

    await till.until(listed)
    cursor = ""
    while cursor is not None:
        target = "/api/v1/payments?limit=2" + (f"&cursor={cursor}" if cursor else "")
        page = (await till.shop.ask("GET", target, token=token)).json
        seen += [one["payment"] for one in page["items"]]
        cursor = page["next"]
    assert sorted(seen) == sorted(map(str, payments))


@pytest.fixture
async def strict_till(database: TestDatabase, tmp_path: Path, world: World) -> AsyncIterator[Till]:
    async with open_till(
        database, tmp_path, world, **{"payment.refund_budget_h": 5, "payment.breaker_failures": 1000}
    ) as till:
        yield till


async def test_a_refund_is_asked_for_over_hours_then_waits_for_people_and_is_never_given_twice(
    strict_till: Till,
) -> None:
    till = strict_till
    payment = await till.started(await till.order())
    await till.world.pay("wechat", payment_id=str(payment))
    await till.until_state(payment, "captured")
    await till.world.put_chaos("wechat", endpoints=[{"status": 500}])
    path, token = f"/api/v1/payments/{payment}/refunds", till.shop.token("finance")
    headers = [("Idempotency-Key", str(uuid4()))]
    answer = await till.shop.ask("POST", path, {"reason": "broken"}, token=token, headers=headers)
    refund, tries = answer.json["refunds"][0]["refund"], set[int]()

    async def stalled() -> bool:
        rows = await till.shop.core.database.kernel.fetch(
            "select attempts, retry_at from kernel.parked where follower = 'reaction:payment.refund'"
        )
        tries.update(row["attempts"] for row in rows)
        if rows and rows[0]["retry_at"] is not None:
            till.shop.clock.set(rows[0]["retry_at"])
        return (await till.seen(payment)).refunds[refund].state == "stalled"

    begun = till.shop.clock.now()
    await till.until(stalled, 60)
    assert timedelta(hours=3) < till.shop.clock.now() - begun <= timedelta(hours=6)
    assert max(tries) >= 12
    assert (await till.seen(payment)).promised_back == Decimal("98.00")
    assert await till.owed((await till.seen(payment)).started.order_no) == 0
    token = till.shop.token("finance")

    async def listed() -> bool:
        page = await till.shop.ask("GET", "/api/v1/payments?failed_refunds=true", token=token)
        return [one["failed_refunds"] for one in page.json["items"]] == [[refund]]

    await till.until(listed)
    await till.world.put_chaos("wechat")
    headers = [("Idempotency-Key", str(uuid4()))]
    again = await till.shop.ask("POST", f"{path}/{refund}/retry", b"", token=token, headers=headers)
    assert (again.json["refunds"][0]["state"], again.json["refunds"][0]["attempt"]) == ("requested", 1)

    async def refunded() -> bool:
        till.shop.clock.advance(timedelta(seconds=1))
        return (await till.seen(payment)).state == "refunded"

    await till.until(refunded)
    assert (await till.events(payment))[-3:] == ["RefundStalled", "RefundRetried", "RefundCompleted"]

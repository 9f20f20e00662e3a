"""Orders are paid and money goes back: PostgreSQL, routes and providers on real sockets, a worker."""

import asyncio
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from contexts.payment.till import ANN, BOB, Till, open_till
from pasar.accounts import late_money
from pasar.contexts.ordering.contract import CancelOrder
from pasar.contexts.payment import facade
from pasar.contexts.payment.gateway import Facts
from pasar.simulators.testing import World
from postgres import TestDatabase

WECHAT_NOTICES = "/api/v1/payments/callback/wechat"


async def paid(till: Till, total: str = "98.00") -> tuple[str, UUID]:
    order_no = await till.order(total)
    payment = await till.started(order_no)
    await till.world.pay("wechat", payment_id=str(payment))
    await till.until_state(payment, "captured")
    return order_no, payment


@pytest.mark.requirement("S0-144", "S0-145", "S1-118", "S1-215", "S2-023", "S3-080")
async def test_an_order_is_paid_by_a_notice_of_wechat(till: Till) -> None:
    order_no = await till.order()
    answer = await till.pay(order_no, return_url="http://shop.test/paid")
    assert answer.status == 201
    assert answer.json["state"] == "started"
    assert answer.json["fields"]["code_url"].startswith("weixin://")
    assert await till.order_state(order_no) == "PAYMENT_PROCESSING"
    payment = UUID(answer.json["payment"])
    await till.world.pay("wechat", payment_id=str(payment))
    await till.until_state(payment, "captured")
    assert await till.order_state(order_no) == "PAID"
    assert await till.owed(order_no) == 9800
    assert await till.events(payment) == ["PaymentStarted", "PaymentOpened", "PaymentCaptured"]
    shown = await till.shop.ask("GET", f"/api/v1/payments/{payment}", token=till.shop.token("member", id=ANN))
    assert (shown.status, shown.json["state"]) == (200, "captured")


async def confirm(till: Till, payment: UUID, back: dict[str, str], **changes: object) -> object:
    body = {"payment_key": back["paymentKey"], "order_id": back["orderId"], "amount": int(back["amount"]), **changes}
    token = till.shop.token("member", id=ANN)
    return await till.shop.ask("POST", f"/api/v1/payments/{payment}/confirm", body, token=token)


async def at_toss(till: Till, outcome: str = "approve") -> tuple[str, UUID, dict[str, str]]:
    order_no = await till.order("49000", "KRW")
    answer = await till.pay(order_no, return_url="http://shop.test/paid")
    payment = UUID(answer.json["payment"])
    await till.world.open(answer.json["pay_url"])
    return order_no, payment, await till.world.pay("toss", outcome, payment_id=str(payment))


@pytest.mark.requirement("S2-034")
async def test_an_order_is_paid_by_confirming_at_toss(till: Till) -> None:
    order_no, payment, back = await at_toss(till)
    answer = await confirm(till, payment, back)
    assert (answer.status, answer.json["state"]) == (200, "captured")
    assert await till.order_state(order_no) == "PAID"
    assert await till.owed(order_no, "KRW") == 49000
    again = await confirm(till, payment, back)
    assert (again.status, again.json["state"]) == (200, "captured")
    assert (await till.events(payment)).count("PaymentCaptured") == 1


@pytest.mark.requirement("S0-109")
async def test_what_the_browser_brings_is_compared_before_anything_is_taken(till: Till) -> None:
    order_no, payment, back = await at_toss(till)
    for changes in ({"amount": 1}, {"order_id": str(uuid4())}):
        answer = await confirm(till, payment, back, **changes)
        assert (answer.status, answer.json["code"]) == (409, 2003)
    assert await till.events(payment) == ["PaymentStarted", "PaymentOpened"]
    stranger = await till.shop.ask(
        *("POST", f"/api/v1/payments/{payment}/confirm"),
        {"payment_key": back["paymentKey"], "order_id": back["orderId"], "amount": 49000},
        token=till.shop.token("member", id=BOB),
    )
    assert (stranger.status, stranger.json["code"]) == (404, 2002)
    assert await till.order_state(order_no) == "PAYMENT_PROCESSING"


@pytest.mark.requirement("S2-034")
async def test_a_card_that_is_refused_fails_the_attempt_and_the_order_waits(till: Till) -> None:
    order_no, payment, back = await at_toss(till, "reject")
    answer = await confirm(till, payment, back)
    assert (answer.status, answer.json["state"]) == (200, "failed")
    assert "REJECT_CARD_COMPANY" in answer.json["failure"]
    assert await till.order_state(order_no) == "PENDING_PAYMENT"
    assert (await till.pay(order_no)).status == 201


async def test_a_confirmation_without_an_answer_is_asked_for_again(
    database: TestDatabase, tmp_path: Path, world: World
) -> None:
    async with open_till(database, tmp_path, world, **{"payment.inline_timeout_s": 1}) as till:
        order_no, payment, back = await at_toss(till)
        await till.world.put_chaos("toss", endpoints=[{"endpoint": "confirm", "hang": True, "times": 1}])
        answer = await confirm(till, payment, back)
        assert answer.json["state"] in ("confirming", "captured")
        await till.until_state(payment, "captured")
        assert await till.order_state(order_no) == "PAID"
        assert await till.owed(order_no, "KRW") == 49000


@pytest.mark.requirement("S1-117")
@pytest.mark.promise("A7")
async def test_the_same_notice_ten_times_at_once_is_booked_once(till: Till) -> None:
    order_no = await till.order()
    payment = await till.started(order_no)
    await till.world.put_chaos("wechat", notices={"copies": 10})
    await till.world.pay("wechat", payment_id=str(payment))
    await till.until_state(payment, "captured")
    gateway = facade.Hub.of(till.shop.bus())["wechat"]
    facts = await gateway.query(str(payment), None)
    await asyncio.gather(*(facade.apply_facts(till.shop.bus(), "wechat", facts) for _ in range(10)))
    assert (await till.events(payment)).count("PaymentCaptured") == 1
    assert await till.owed(order_no) == 9800


@pytest.mark.requirement("S1-116")
@pytest.mark.promise("D9")
async def test_a_forged_notice_is_refused_and_changes_nothing(till: Till) -> None:
    order_no = await till.order()
    payment = await till.started(order_no)
    await till.world.put_chaos("wechat", notices={"wrong_signature": True, "times": 1}, retry_scale=0)
    before = await till.events(payment)
    forged = await till.shop.ask("POST", WECHAT_NOTICES, {"id": "x", "event_type": "TRANSACTION.SUCCESS"})
    assert (forged.status, forged.json["code"]) == (400, 2005)
    assert await till.events(payment) == before
    await till.world.pay("wechat", payment_id=str(payment))
    await till.until_state(payment, "captured")  # The second delivery is signed as it should be.
    assert (await till.events(payment)).count("PaymentCaptured") == 1


@pytest.mark.promise("D9")
async def test_notices_of_nobody_are_refused(till: Till) -> None:
    for path in ("/api/v1/payments/callback", "/api/v1/payments/callback/paypal"):
        for body in (b"", b"{}", b"\xff", b'{"id":1}', b"[" * 10_000):
            answer = await till.shop.ask("POST", path, body)
            assert (answer.status, answer.json["code"]) == (400, 2005)


@pytest.mark.requirement("S0-067")
async def test_the_common_path_knows_whose_notice_it_is(till: Till) -> None:
    await till.world.put("toss/simulator/webhook", url=f"{till.url}/api/v1/payments/callback")
    order_no, payment, back = await at_toss(till, "deposit")
    assert (await confirm(till, payment, back)).json["state"] == "confirming"
    await till.world.deposit(str(payment))
    await till.until_state(payment, "captured")
    assert await till.order_state(order_no) == "PAID"


async def test_money_for_a_cancelled_order_goes_back_once(till: Till) -> None:
    order_no = await till.order()
    payment = await till.started(order_no)
    await till.shop.bus().send(CancelOrder(order_no=order_no, reason="buyer"))
    await till.world.put_chaos("wechat", notices={"copies": 3})
    await till.world.pay("wechat", payment_id=str(payment))
    attempt = await till.until_state(payment, "refunded")
    assert attempt.late
    assert await till.order_state(order_no) == "CANCELED"
    assert await till.owed(order_no) == 0
    assert await till.shop.db.balance(late_money(payment, unit="CNY")) == 0
    assert await till.events(payment) == [
        "PaymentStarted", "PaymentOpened", "PaymentCapturedLate", "RefundRequested", "RefundCompleted",
    ]  # fmt: skip


async def test_an_order_that_is_paid_twice_gives_the_second_payment_back(till: Till) -> None:
    order_no = await till.order()
    first = await till.started(order_no)
    bus = till.shop.bus()
    await facade.end(bus, first, order_no, facade.Fail(payment=first, reason="given up too early"))
    second = await till.started(order_no)
    for payment in (second, first):
        await till.world.pay("wechat", payment_id=str(payment))
        await till.until_state(payment, "captured", "refunded")
    assert (await till.until_state(first, "refunded")).late
    assert (await till.seen(second)).state == "captured"
    assert await till.owed(order_no) == 9800


async def told(till: Till, payment: UUID | str, **changes: object) -> None:
    """As if the provider had said so, verified."""
    fields = {"kind": "captured", "payment_id": str(payment), "provider_ref": "T1", "amount": Decimal("98.00")}
    receiver = facade.Hub.of(till.shop.bus())["wechat"].receiver
    facts = Facts(**{**fields, "currency": "CNY", "receiver": receiver, **changes})
    await facade.apply_facts(till.shop.bus(), "wechat", facts)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"amount": Decimal("0.01")}, "wrong_amount"),
        ({"currency": "USD"}, "wrong_currency"),
        ({"receiver": "somebody"}, "wrong_receiver"),
        ({"payment_id": str(UUID(int=99))}, "unknown_payment"),
        ({"payment_id": "not-ours"}, "unknown_payment"),
    ],
)
async def test_money_that_fits_nothing_is_parked_for_a_person(
    till: Till, changes: dict[str, object], reason: str
) -> None:
    order_no = await till.order()
    payment = await till.started(order_no)
    await told(till, payment, **changes)
    await told(till, payment, **changes)
    assert await till.order_state(order_no) == "PAYMENT_PROCESSING"
    assert await till.owed(order_no) == 0
    token = till.shop.token("finance")

    async def listed() -> bool:
        answer = await till.shop.ask("GET", "/api/v1/payments/parked", token=token)
        return [one["reason"] for one in answer.json["items"]] == [reason]

    await till.until(listed)
    assert (await till.shop.ask("GET", "/api/v1/payments/parked", token=till.shop.token("member"))).status == 403


async def test_a_second_capture_of_a_payment_is_parked_and_the_order_hears_nothing(till: Till) -> None:
    order_no, payment = await paid(till)
    await told(till, payment, provider_ref="another")
    assert (await till.events(payment))[-1] == "PaymentParked"
    assert (await till.seen(payment)).state == "captured"
    assert await till.owed(order_no) == 9800


async def give_back(till: Till, payment: UUID, **body: object) -> object:
    headers = [("Idempotency-Key", str(uuid4()))]
    path = f"/api/v1/payments/{payment}/refunds"
    return await till.shop.ask(
        "POST", path, {"reason": "broken", **body}, token=till.shop.token("finance"), headers=headers
    )


@pytest.mark.promise("A5")
async def test_money_goes_back_in_parts_and_never_more_than_came_in(till: Till) -> None:
    order_no, payment = await paid(till)
    answer = await give_back(till, payment, amount=30)
    assert (answer.status, answer.json["refunds"][0]["state"]) == (200, "requested")
    above = await give_back(till, payment, amount=68.01)
    assert (above.status, above.json["code"]) == (409, 2006)
    assert (await give_back(till, payment)).status == 200
    attempt = await till.until_state(payment, "refunded")
    assert attempt.given_back == Decimal("98.00")
    assert await till.owed(order_no) == 0
    assert (await give_back(till, payment, amount=1)).json["code"] == 2006


@pytest.mark.promise("A5")
async def test_many_refunds_at_once_give_no_more_than_came_in(till: Till) -> None:
    order_no, payment = await paid(till, "10.00")
    answers = await asyncio.gather(*(give_back(till, payment, amount=3) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] * 3 + [409] * 5
    assert await till.owed(order_no) == 100


async def test_a_refund_whose_answer_was_lost_is_asked_for_and_given_once(till: Till) -> None:
    order_no, payment = await paid(till)
    await till.world.put_chaos(
        "wechat", endpoints=[{"endpoint": "refund", "hang": True, "times": 1}], refund_delay_ms=1
    )
    await give_back(till, payment)
    await till.until_state(payment, "refunded")
    assert (await till.events(payment)).count("RefundCompleted") == 1
    number = (await till.seen(payment)).refunds
    assert len(number) == 1
    assert await till.owed(order_no) == 0


async def test_a_refund_that_the_provider_refuses_stays_owed_until_a_retry(till: Till) -> None:
    order_no, payment = await paid(till)
    await till.world.put_chaos("wechat", refund_state="CLOSED")
    answer = await give_back(till, payment, amount=30)
    refund = answer.json["refunds"][0]["refund"]

    async def failed() -> bool:
        return (await till.seen(payment)).refunds[refund].state == "failed"

    await till.until(failed)
    assert await till.owed(order_no) == 6800
    await till.world.put_chaos("wechat")
    headers = [("Idempotency-Key", str(uuid4()))]
    path = f"/api/v1/payments/{payment}/refunds/{refund}/retry"
    await till.shop.ask("POST", path, token=till.shop.token("finance"), headers=headers)

    async def completed() -> bool:
        return (await till.seen(payment)).refunds[refund].state == "completed"

    await till.until(completed)
    assert await till.owed(order_no) == 6800
    assert (await till.events(payment))[-3:] == ["RefundFailed", "RefundRetried", "RefundCompleted"]

"""Parked money: returned to who paid it, or attached to an order by two people; booked once."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from contexts.payment.till import Till
from kernel.toy_web import Answered
from pasar.accounts import clearing, liability, unclear_money
from pasar.contexts.ordering.contract import CancelOrder
from pasar.contexts.payment.contract import PaymentCaptured, PaymentParked, PaymentStarted
from pasar.contexts.payment.contract_staff import (
    AttachParked,
    CaptureParked,
    NoteReturned,
    NoteReturnFailed,
    NoteReturnStalled,
    ParkedAttached,
    ParkedAttachProposed,
    ParkedOpened,
    ParkedReturned,
    ParkedReturnFailed,
    ParkedReturnRequested,
    ParkedReturnStalled,
    ProposeAttach,
    ReturnParked,
)
from pasar.contexts.payment.gateway import PaymentIntent
from pasar.contexts.payment.gateways.wechat import WechatPay
from pasar.contexts.payment.parked import parked
from pasar.contexts.payment.payment import payment as payments
from pasar.kernel.testing import scenario
from pasar.refusals import ParkedNotFound, PaymentStateForbids, SecondPersonNeeded

CASE, PAYMENT, BUYER = (UUID(int=number) for number in (1, 2, 3))
FACTS = {"parked": CASE, "payment": PAYMENT, "gateway": "wechat", "provider_ref": "T1"}
MONEY = {"amount": Decimal("98.00"), "currency": "CNY"}
OPENED = ParkedOpened(**FACTS, **MONEY, told_as="theirs", reason="unknown_payment")
ORDER = "202603010001"
UNCLEAR, CLEARING = unclear_money("wechat", unit="CNY"), clearing("wechat", unit="CNY")
check = scenario(parked, {UNCLEAR: 9800})


def asked(attempt: int = 1, *, again: bool = False) -> ParkedReturnRequested:
    return ParkedReturnRequested(**FACTS, **MONEY, told_as="theirs", by="ann", attempt=attempt, again=again)


def test_a_return_is_held_and_leaves_when_the_provider_has_given_it() -> None:
    books = check(given=[OPENED], when=ReturnParked(parked=CASE, by="ann"), then=[asked()])
    assert (books.balance(UNCLEAR), books.balance(CLEARING)) == (0, 0)
    done = NoteReturned(parked=CASE, attempt=1)
    books = check(given=[OPENED, asked()], when=done, then=[ParkedReturned(parked=CASE, attempt=1)])
    assert (books.balance(UNCLEAR), books.balance(CLEARING)) == (0, 9800)
    over = [OPENED, asked(), ParkedReturned(parked=CASE, attempt=1)]
    for repeat in (done, ReturnParked(parked=CASE, by="bob"), NoteReturnFailed(parked=CASE, attempt=1, reason="no")):
        check(given=over, when=repeat, then=[])
    check(given=over, when=ProposeAttach(parked=CASE, order_no=ORDER, by="ann"), then=PaymentStateForbids)
    check(given=[], when=ReturnParked(parked=CASE, by="ann"), then=ParkedNotFound)


def test_a_return_that_was_refused_is_tried_under_a_new_number_or_attached() -> None:
    failed = ParkedReturnFailed(parked=CASE, attempt=1, reason="no account")
    note = NoteReturnFailed(parked=CASE, attempt=1, reason="no account")
    books = check(given=[OPENED, asked()], when=note, then=[failed])
    assert books.balance(UNCLEAR) == 9800
    check(given=[OPENED, asked(), failed], when=ReturnParked(parked=CASE, by="ann"), then=[asked(2)])
    check(given=[OPENED, asked(), failed, asked(2)], when=note, then=[])
    proposed = ParkedAttachProposed(parked=CASE, order_no=ORDER, by="ann")
    propose = ProposeAttach(parked=CASE, order_no=ORDER, by="ann")
    check(given=[OPENED, asked(), failed], when=propose, then=[proposed])


def test_a_return_of_which_nobody_knows_is_asked_for_under_the_same_number_and_never_attached() -> None:
    stalled = ParkedReturnStalled(parked=CASE, attempt=1, reason="silence")
    note = NoteReturnStalled(parked=CASE, attempt=1, reason="silence")
    check(given=[OPENED, asked()], when=note, then=[stalled])
    given = [OPENED, asked(), stalled]
    check(given=given, when=note, then=[])
    check(given=given, when=ProposeAttach(parked=CASE, order_no=ORDER, by="ann"), then=PaymentStateForbids)
    books = check(given=given, when=ReturnParked(parked=CASE, by="ann"), then=[asked(again=True)])
    assert books.held(str(CASE), "return-1") == 9800
    done = NoteReturned(parked=CASE, attempt=1)
    check(given=given, when=done, then=[ParkedReturned(parked=CASE, attempt=1)])


def test_two_people_attach_it() -> None:
    proposed = ParkedAttachProposed(parked=CASE, order_no=ORDER, by="ann")
    attach = AttachParked(parked=CASE, order_no=ORDER, by="bob")
    attached = ParkedAttached(
        parked=CASE, payment=PAYMENT, gateway="wechat", **MONEY, order_no=ORDER, proposed_by="ann", by="bob"
    )
    check(given=[OPENED], when=attach, then=PaymentStateForbids)
    alone = AttachParked(parked=CASE, order_no=ORDER, by="ann")
    check(given=[OPENED, proposed], when=alone, then=SecondPersonNeeded)
    other = AttachParked(parked=CASE, order_no="202603010002", by="bob")
    check(given=[OPENED, proposed], when=other, then=PaymentStateForbids)
    books = check(given=[OPENED, proposed], when=attach, then=[attached])
    assert (books.balance(UNCLEAR), books.balance(CLEARING)) == (0, 9800)
    check(given=[OPENED, proposed, attached], when=attach, then=[])
    check(given=[OPENED, proposed], when=ReturnParked(parked=CASE, by="ann"), then=[asked()])


def test_a_payment_captures_what_is_parked_at_it_and_nothing_else() -> None:
    told = {"payment": PAYMENT, "gateway": "wechat", **MONEY}
    was_parked = PaymentParked(**told, provider_ref="T1", reason="unknown_payment", told_as="theirs")
    at = datetime(2026, 3, 1, tzinfo=UTC)
    command = CaptureParked(**told, order_no=ORDER, buyer=BUYER, provider_ref="T1", title="apples", at=at)
    started = PaymentStarted(
        **told, order_no=ORDER, buyer=BUYER, title="apples", return_url="", receiver=None, expires_at=at, check_at=None
    )
    captured = PaymentCaptured(**told, order_no=ORDER, buyer=BUYER, provider_ref="T1", occurred_at=at)
    books = scenario(payments)(given=[was_parked], when=command, then=[started, captured])
    assert books.balance(liability(ORDER, unit="CNY")) == 9800
    scenario(payments)(given=[was_parked, started, captured], when=command, then=[])
    scenario(payments)(given=[], when=command, then=PaymentStateForbids)
    other = PaymentStarted(
        **{**told, "amount": Decimal(5)}, order_no=ORDER, buyer=BUYER, title="", return_url="", receiver=None,
        expires_at=at, check_at=None,
    )  # fmt: skip
    misfit = PaymentParked(**told, provider_ref="T1", reason="wrong_amount")
    scenario(payments)(given=[other, misfit], when=command, then=PaymentStateForbids)


async def ask(till: Till, path: str, who: UUID, kind: str = "finance", **body: Any) -> Answered:
    headers = [("Idempotency-Key", str(uuid4()))]
    token = till.shop.token(kind, id=who)
    return await till.shop.ask("POST", f"/api/v1/payments/parked/{path}", body or b"", token=token, headers=headers)


async def found(till: Till, state: str = "") -> list[dict[str, Any]]:
    target = "/api/v1/payments/parked" + (f"?state={state}" if state else "")
    return (await till.shop.ask("GET", target, token=till.shop.token("finance"))).json["items"]


@pytest.fixture
async def strange(till: Till, wechat: WechatPay, intend: Callable[..., PaymentIntent]) -> str:
    """Genuine money for a payment that we never heard of: its case."""
    intent = intend("98.00", "CNY", notify_url=f"{till.url}/api/v1/payments/callback/wechat")
    await wechat.start(intent)
    await till.world.pay("wechat", payment_id=intent.payment_id)

    async def listed() -> bool:
        return len(await found(till)) == 1

    await till.until(listed)
    (one,) = await found(till)
    assert (one["state"], one["reason"], one["amount"]) == ("open", "unknown_payment", 98.0)
    return one["parked"]


async def books(till: Till) -> list[int]:
    core = till.shop.core
    await till.until(lambda: _rolled_up(till))
    rows = await core.database.kernel.fetch(
        "select id, credits - debits as n from kernel.rollup where unit = 'CNY' and id like any ($1)",
        ["clearing:%", "unclear_money:%"],
    )
    return [sum(row["n"] for row in rows if row["id"].startswith(name)) for name in ("clearing", "unclear_money")]


async def _rolled_up(till: Till) -> bool:
    return await till.shop.core.database.kernel.fetchval(
        """select not exists (select from kernel.event e, kernel.cursor c
            where c.follower = 'rollup' and (e.epoch, e.xid, e.position) > (c.epoch, c.xid, c.position))"""
    )


async def test_money_that_is_not_ours_goes_back_to_who_paid_it(till: Till, strange: str) -> None:
    assert (await ask(till, f"{strange}/return", UUID(int=7), "member")).status == 403
    answer = await ask(till, f"{strange}/return", UUID(int=7))
    assert (answer.status, answer.json["state"]) == (200, "returning")

    async def returned() -> bool:
        till.shop.clock.advance(timedelta(seconds=1))
        return [one["parked"] for one in await found(till, "returned")] == [strange]

    await till.until(returned)
    assert await found(till) == []
    assert await books(till) == [0, 0]
    again = await ask(till, f"{strange}/return", UUID(int=7))
    assert (again.status, again.json["state"]) == (200, "returned")
    unknown = await ask(till, f"{UUID(int=99)}/return", UUID(int=7))
    assert (unknown.status, unknown.json["code"]) == (404, 2009)


async def test_money_that_belongs_to_an_order_pays_it_when_two_people_say_so(till: Till, strange: str) -> None:
    dear, order_no = await till.order("99.00"), await till.order("98.00")
    ann, bob = UUID(int=7), UUID(int=8)
    for wrong in (dear, "209901010001"):
        proposed = await ask(till, f"{strange}/attach", ann, order_no=wrong)
        assert proposed.status == (200 if wrong == dear else 404)
    refused = await ask(till, f"{strange}/attach/approve", bob, order_no=dear)
    assert (refused.status, refused.json["code"]) == (409, 2003)
    assert (await ask(till, f"{strange}/attach", ann, order_no=order_no)).json["state"] == "attach_proposed"
    alone = await ask(till, f"{strange}/attach/approve", ann, order_no=order_no)
    assert (alone.status, alone.json["code"]) == (403, 7004)
    assert await till.order_state(order_no) == "PENDING_PAYMENT"
    done = await ask(till, f"{strange}/attach/approve", bob, order_no=order_no)
    assert (done.status, done.json["state"], done.json["order_no"]) == (200, "attached", order_no)
    assert (await till.order_state(order_no), await till.owed(order_no)) == ("PAID", 9800)
    assert await books(till) == [-9800, 0]
    assert (await ask(till, f"{strange}/return", ann)).json["code"] == 2003
    payment = UUID(done.json["payment"])
    headers = [("Idempotency-Key", str(uuid4()))]
    path, token = f"/api/v1/payments/{payment}/refunds", till.shop.token("finance")
    assert (await till.shop.ask("POST", path, {"reason": "x"}, token=token, headers=headers)).status == 200

    async def refunded() -> bool:
        till.shop.clock.advance(timedelta(seconds=1))
        return (await till.seen(payment)).state == "refunded"

    await till.until(refunded)


async def test_a_cancelled_order_takes_no_parked_money(till: Till, strange: str) -> None:
    order_no = await till.order("98.00")
    await ask(till, f"{strange}/attach", UUID(int=7), order_no=order_no)
    await till.shop.bus().send(CancelOrder(order_no=order_no, reason="buyer"))
    refused = await ask(till, f"{strange}/attach/approve", UUID(int=8), order_no=order_no)
    assert refused.status == 409

    async def shown() -> bool:  # The list follows the log.
        return [one["state"] for one in await found(till)] == ["attach_proposed"]

    await till.until(shown)
    assert await books(till) == [-9800, 9800]

"""Toss Payments through the port, against the simulator on a real socket."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import msgspec
import pytest

from pasar.contexts.payment.gateway import GatewayRefused, GatewayUnavailable, NoticeForged, PaymentIntent
from pasar.contexts.payment.gateways.toss import Toss
from pasar.contexts.payment.gateways.wechat import WechatPay
from pasar.simulators.testing import Clock, World

DEEP = b'{"a":' + b"[" * 100_000
Intend = Callable[..., PaymentIntent]


async def agreed(world: World, toss: Toss, intent: PaymentIntent, outcome: str = "approve") -> str:
    """The buyer opens the window and answers; gives the key of the payment from the address of the return."""
    started = await toss.start(intent)
    assert started.pay_url is not None
    assert "<form" in await world.open(started.pay_url)
    back = await world.pay("toss", outcome, payment_id=intent.payment_id)
    assert back["orderId"] == intent.payment_id
    return back["paymentKey"]


async def paid(world: World, toss: Toss, intent: PaymentIntent) -> str:
    key = await agreed(world, toss, intent)
    await toss.confirm(intent.payment_id, key, intent.amount, intent.currency, intent.attempt_key)
    return key


@pytest.mark.requirement("S2-075")
async def test_80000_won_go_out_and_come_back_exactly(world: World, toss: Toss, intend: Intend):
    intent = intend("80000", "KRW")
    key = await agreed(world, toss, intent)
    assert (await toss.query(intent.payment_id, key)).kind == "pending"

    facts = await toss.confirm(intent.payment_id, key, Decimal(80000), "KRW", intent.attempt_key)
    assert (facts.kind, facts.amount, facts.currency) == ("captured", Decimal("80000"), "KRW")
    assert (facts.payment_id, facts.provider_ref, facts.receiver) == (intent.payment_id, key, toss.receiver)
    assert facts.occurred_at is not None
    assert await toss.query(intent.payment_id, None) == facts

    parts = [Decimal(30000), Decimal(50000)]
    for number, amount in enumerate(parts):
        given = await toss.refund(intent.payment_id, key, f"refund-{number}", amount, "KRW", Decimal(80000), "변심")
        assert (given.kind, given.amount, given.currency) == ("refunded", amount, "KRW")
        assert given.refund_ref
        assert await toss.query_refund(intent.payment_id, key, f"refund-{number}") == given
    assert (await toss.query(intent.payment_id, key)).kind == "captured"  # It was, and stays so.


async def test_the_provider_refuses_another_amount_and_still_takes_the_right_one(
    world: World, toss: Toss, intend: Intend
):
    intent = intend("80000", "KRW")
    key = await agreed(world, toss, intent)
    with pytest.raises(GatewayRefused, match="FORBIDDEN_REQUEST"):
        await toss.confirm(intent.payment_id, key, Decimal(1), "KRW", "a-tampered-amount")
    assert (await toss.query(intent.payment_id, key)).kind == "pending"
    facts = await toss.confirm(intent.payment_id, key, Decimal(80000), "KRW", intent.attempt_key)
    assert facts.kind == "captured"


@pytest.mark.parametrize("same_key", [True, False])
async def test_confirming_twice_takes_once(world: World, toss: Toss, intend: Intend, same_key: bool):
    intent = intend("12000", "KRW")
    key = await agreed(world, toss, intent)
    first = await toss.confirm(intent.payment_id, key, intent.amount, "KRW", "key-one")
    second = await toss.confirm(intent.payment_id, key, intent.amount, "KRW", "key-one" if same_key else "key-two")
    assert second == first


async def test_a_key_that_was_used_for_another_payment_does_not_pass_for_this_one(
    world: World, toss: Toss, intend: Intend
):
    one, other = intend("1000", "KRW"), intend("2000", "KRW")
    first, second = await agreed(world, toss, one), await agreed(world, toss, other)
    await toss.confirm(one.payment_id, first, one.amount, "KRW", "the-same-key")
    with pytest.raises(GatewayUnavailable, match=one.payment_id):
        await toss.confirm(other.payment_id, second, other.amount, "KRW", "the-same-key")
    assert (await toss.query(other.payment_id, second)).kind == "pending"


@pytest.mark.parametrize("days_later", [0, 16])
async def test_a_repeated_refund_gives_once_even_when_the_key_is_forgotten(
    world: World, toss: Toss, intend: Intend, provider_clock: Clock, days_later: int
):
    intent = intend("80000", "KRW")
    key = await paid(world, toss, intent)
    refund = (intent.payment_id, key, "refund-1", Decimal(30000), "KRW", Decimal(80000), "one jar broke")
    first = await toss.refund(*refund)
    provider_clock.ahead = timedelta(days=days_later)
    assert await toss.refund(*refund) == first
    rest = await toss.refund(intent.payment_id, key, "refund-2", Decimal(50000), "KRW", Decimal(80000), "")
    assert rest.kind == "refunded"


async def test_one_refund_asked_for_eight_times_at_once_gives_once(world: World, toss: Toss, intend: Intend):
    intent = intend("80000", "KRW")
    key = await paid(world, toss, intent)
    refund = (intent.payment_id, key, "refund-1", Decimal(50000), "KRW", Decimal(80000), "")
    answers = await asyncio.gather(*(toss.refund(*refund) for _ in range(8)), return_exceptions=True)
    given = await toss.query_refund(intent.payment_id, key, "refund-1")
    assert given.kind == "refunded"
    assert given in answers
    assert all(answer == given or isinstance(answer, GatewayUnavailable) for answer in answers)
    letter = (await world.inbox.wait_for(1))[0]
    told = await toss.read_notice(letter.headers, letter.body)
    assert [facts.amount for facts in told if facts.kind == "refunded"] == [Decimal(50000)]


async def test_more_than_the_balance_is_not_refunded(world: World, toss: Toss, intend: Intend):
    intent = intend("80000", "KRW")
    key = await paid(world, toss, intent)
    await toss.refund(intent.payment_id, key, "refund-1", Decimal(79999), "KRW", Decimal(80000), "")
    with pytest.raises(GatewayRefused, match="NOT_CANCELABLE_AMOUNT"):
        await toss.refund(intent.payment_id, key, "refund-2", Decimal(2), "KRW", Decimal(80000), "")
    assert (await toss.query_refund(intent.payment_id, key, "refund-2")).kind == "unknown"


async def test_a_lost_answer_of_a_confirmation_is_unknown_until_asked(
    world: World, toss: Toss, hasty_toss: Toss, intend: Intend
):
    intent = intend("80000", "KRW")
    key = await agreed(world, toss, intent)
    await world.put_chaos("toss", endpoints=[{"endpoint": "confirm", "hang": True, "times": 1}])
    with pytest.raises(GatewayUnavailable):
        await hasty_toss.confirm(intent.payment_id, key, intent.amount, "KRW", intent.attempt_key)
    facts = await toss.query(intent.payment_id, key)
    assert (facts.kind, facts.amount) == ("captured", Decimal(80000))


async def test_a_lost_answer_of_a_refund_is_found_again(world: World, toss: Toss, hasty_toss: Toss, intend: Intend):
    intent = intend("80000", "KRW")
    key = await paid(world, toss, intent)
    await world.put_chaos("toss", endpoints=[{"endpoint": "cancel", "hang": True, "times": 1}])
    with pytest.raises(GatewayUnavailable):
        await hasty_toss.refund(intent.payment_id, key, "refund-1", Decimal(500), "KRW", Decimal(80000), "")
    assert (await toss.query_refund(intent.payment_id, key, "refund-1")).kind == "refunded"


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_an_answer_that_tells_nothing_is_not_a_refusal(world: World, toss: Toss, intend: Intend, status: int):
    intent = intend("80000", "KRW")
    key = await agreed(world, toss, intent)
    await world.put_chaos("toss", endpoints=[{"endpoint": "confirm", "status": status, "times": 1}])
    with pytest.raises(GatewayUnavailable):
        await toss.confirm(intent.payment_id, key, intent.amount, "KRW", intent.attempt_key)
    assert (await toss.query(intent.payment_id, key)).kind == "pending"
    facts = await toss.confirm(intent.payment_id, key, intent.amount, "KRW", intent.attempt_key)
    assert facts.kind == "captured"


async def test_a_rejected_card_ends_the_payment(world: World, toss: Toss, intend: Intend):
    intent = intend("80000", "KRW")
    key = await agreed(world, toss, intent, "reject")
    with pytest.raises(GatewayRefused, match="REJECT_CARD_COMPANY"):
        await toss.confirm(intent.payment_id, key, intent.amount, "KRW", intent.attempt_key)
    facts = await toss.query(intent.payment_id, key)
    assert (facts.kind, facts.reason) == ("failed", "REJECT_CARD_COMPANY")


async def test_a_buyer_who_turns_back_ends_the_payment(world: World, toss: Toss, intend: Intend):
    intent = intend("80000", "KRW")
    await toss.start(intent)
    started = await toss.start(intent)
    await world.open(started.pay_url or "")
    back = await world.pay("toss", "decline", payment_id=intent.payment_id)
    assert back == {"code": "PAY_PROCESS_CANCELED", "orderId": intent.payment_id, "message": back["message"]}
    assert (await toss.query(intent.payment_id, None)).kind == "failed"


async def test_an_agreement_lapses_after_ten_minutes(world: World, toss: Toss, intend: Intend, provider_clock: Clock):
    intent = intend("80000", "KRW")
    key = await agreed(world, toss, intent)
    provider_clock.ahead = timedelta(minutes=11)
    with pytest.raises(GatewayRefused, match="NOT_FOUND_PAYMENT_SESSION"):
        await toss.confirm(intent.payment_id, key, intent.amount, "KRW", intent.attempt_key)


@pytest.mark.parametrize("amount", ["0", "-1", "0.5", "80000.01", "NaN", "Infinity"])
async def test_an_amount_that_is_no_whole_number_of_won_is_never_sent(toss: Toss, intend: Intend, amount: str):
    with pytest.raises(GatewayRefused, match="INVALID_AMOUNT"):
        await toss.start(intend(amount, "KRW"))


async def test_another_currency_is_never_sent(toss: Toss, intend: Intend):
    with pytest.raises(GatewayRefused, match="INVALID_CURRENCY"):
        await toss.start(intend("10.00", "CNY"))


@pytest.mark.parametrize("key", ["", "..", "no-such-key", "orders/{}", "../payments/orders/{}", "{}?a#b"])
async def test_a_key_from_the_browser_leads_nowhere_else(world: World, toss: Toss, intend: Intend, key: str):
    intent = intend("80000", "KRW")
    await paid(world, toss, intent)
    key = key.format(intent.payment_id)
    assert (await toss.query(str(uuid4()), key)).kind == "unknown"
    with pytest.raises(GatewayRefused, match="NOT_FOUND_PAYMENT"):
        await toss.refund(intent.payment_id, key, "refund-1", Decimal(1), "KRW", Decimal(80000), "")


async def test_a_wrong_key_of_ours_is_a_refusal(world: World, toss: Toss):
    stranger = Toss(msgspec.structs.replace(toss.config, secret_key="test_sk_wrong"), toss.client)
    with pytest.raises(GatewayRefused, match="UNAUTHORIZED_KEY"):
        await stranger.query(str(uuid4()), None)


@pytest.mark.requirement("S2-075")
async def test_a_notice_is_a_hint_to_read_the_payment(world: World, toss: Toss, intend: Intend):
    intent = intend("80000", "KRW")
    await paid(world, toss, intent)
    (letter,) = await world.inbox.wait_for(1)
    assert toss.claims(letter.headers, letter.body)

    lie = letter.body.replace(b'"totalAmount":80000', b'"totalAmount":1')
    assert lie != letter.body
    for body in (letter.body, lie, letter.body):  # A repeat tells the same.
        (facts,) = await toss.read_notice(letter.headers, body)
        assert (facts.kind, facts.amount, facts.payment_id) == ("captured", Decimal(80000), intent.payment_id)
    assert toss.acknowledge(True).status == 200
    assert toss.acknowledge(False).status != 200


async def test_a_notice_tells_refunds_made_elsewhere(world: World, toss: Toss, intend: Intend):
    intent = intend("80000", "KRW")
    key = await paid(world, toss, intent)
    await toss.refund(intent.payment_id, key, "refund-1", Decimal(1000), "KRW", Decimal(80000), "ours")
    await toss._call("POST", f"/v1/payments/{key}/cancel", {"cancelReason": "in the console", "cancelAmount": 500})
    letters = await world.inbox.wait_for(3)
    facts = await toss.read_notice(letters[-1].headers, letters[-1].body)
    told = [(each.kind, each.amount, each.refund_id) for each in facts]
    assert told == [("captured", 80000, None), ("refunded", 1000, "refund-1"), ("refunded", 500, None)]


async def test_forged_notices_are_rejected(world: World, toss: Toss, intend: Intend):
    one, other = intend("80000", "KRW"), intend("10", "KRW")
    key, other_key = await paid(world, toss, one), await agreed(world, toss, other)

    def notice(payment_key: str, order_id: str) -> bytes:
        data = {"paymentKey": payment_key, "orderId": order_id, "status": "DONE", "totalAmount": 80000}
        return msgspec.json.encode({"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": "", "data": data})

    for body in (notice("invented", one.payment_id), notice(key, other.payment_id), b"", b"[1]", b"{", b"\xff", DEEP):
        with pytest.raises(NoticeForged):
            await toss.read_notice({}, body)
    (facts,) = await toss.read_notice({}, notice(other_key, other.payment_id))
    assert (facts.kind, facts.amount) == ("pending", Decimal(10))  # A lie about the state changes nothing.


async def test_a_payout_notice_must_be_signed(toss: Toss):
    body = b'{"eventType":"payout.changed","createdAt":"2026-01-05T12:19:21+09:00","data":{}}'
    headers = {"tosspayments-webhook-transmission-time": "2026-01-05T12:19:21+09:00"}
    assert toss.claims(headers, body)
    for wrong in ({}, headers, {**headers, "tosspayments-webhook-signature": "v1:AAAA,%%%"}):
        with pytest.raises(NoticeForged):
            await toss.read_notice(wrong, body)


@pytest.mark.requirement("S0-067", "S2-037")
async def test_a_deposit_is_captured_when_it_comes_and_its_notice_knows_the_secret(
    world: World, toss: Toss, intend: Intend
):
    intent = intend("80000", "KRW")
    key = await agreed(world, toss, intent, "deposit")
    facts = await toss.confirm(intent.payment_id, key, intent.amount, "KRW", intent.attempt_key)
    assert facts.kind == "pending"
    assert (await toss.confirm(intent.payment_id, key, intent.amount, "KRW", "another-key")).kind == "pending"
    await world.deposit(intent.payment_id)

    letters = await world.inbox.wait_for(3)
    deposits = [letter for letter in letters if b"eventType" not in letter.body]
    assert len(deposits) == 1
    for letter in letters:  # The one of the account is late news by now.
        assert toss.claims(letter.headers, letter.body)
        (told,) = await toss.read_notice(letter.headers, letter.body)
        assert (told.kind, told.amount) == ("captured", Decimal(80000))
    notice = msgspec.json.decode(deposits[0].body)
    for change in ({"secret": "ps_guessed"}, {"secret": ""}, {"orderId": str(uuid4())}):
        with pytest.raises(NoticeForged):
            await toss.read_notice({}, msgspec.json.encode({**notice, **change}))
    with pytest.raises(GatewayRefused, match="INVALID_REFUND_ACCOUNT_INFO"):  # The port knows no bank account.
        await toss.refund(intent.payment_id, key, "refund-1", Decimal(1), "KRW", Decimal(80000), "")


async def test_an_account_that_waits_for_a_deposit_can_be_closed(world: World, toss: Toss, intend: Intend):
    intent, late = intend("80000", "KRW"), intend("500", "KRW")
    key = await agreed(world, toss, intent, "deposit")
    await toss.confirm(intent.payment_id, key, intent.amount, "KRW", intent.attempt_key)
    assert (await toss.close(intent.payment_id, key)).kind == "failed"
    with pytest.raises(AssertionError, match="ALREADY_PROCESSED_PAYMENT"):
        await world.deposit(intent.payment_id)
    assert (await toss.close(intent.payment_id, key)).kind == "failed"
    await paid(world, toss, late)
    assert (await toss.close(late.payment_id, None)).kind == "captured"


async def test_a_notice_that_names_no_payment_is_no_news(toss: Toss):
    for body in (
        b'{"eventType":"CANCEL_STATUS_CHANGED","createdAt":"","data":{"transactionKey":"x"}}',
        b'{"eventType":"METHOD_UPDATED","createdAt":"","data":{}}',
        b'{"eventType":"PAYMENT_STATUS_CHANGED","createdAt":"","data":null}',
    ):
        assert await toss.read_notice({}, body) == []


def test_settings_do_not_show_their_keys(toss: Toss, wechat: WechatPay):
    shown = repr(toss.config) + repr(wechat.config) + str(toss.config)
    for secret in (toss.config.secret_key, wechat.config.apiv3_key, "PRIVATE KEY"):
        assert secret not in shown

"""WeChat Pay through the port, against the simulator on a real socket."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from pasar.apps.lab.evidence import Evidence
from pasar.contexts.payment.gateway import GatewayRefused, GatewayUnavailable, NoticeForged, PaymentIntent
from pasar.contexts.payment.gateways import wechat_signing as signing
from pasar.contexts.payment.gateways.wechat import WechatPay
from pasar.simulators.testing import World

Intend = Callable[..., PaymentIntent]
MakeWechat = Callable[..., WechatPay]


async def paid(world: World, wechat: WechatPay, intent: PaymentIntent) -> str:
    started = await wechat.start(intent)
    await world.pay("wechat", code_url=started.fields["code_url"])
    facts = await wechat.query(intent.payment_id, None)
    assert facts.kind == "captured"
    return facts.provider_ref


@pytest.mark.requirement("S2-033")
async def test_a_qr_code_is_paid_noticed_and_refunded_to_the_fen(world: World, wechat: WechatPay, intend: Intend):
    intent = intend("288.05", "CNY")
    started = await wechat.start(intent)
    assert started.fields["code_url"].startswith("weixin://wxpay/bizpayurl?pr=")
    assert (await wechat.query(intent.payment_id, None)).kind == "pending"
    await world.pay("wechat", payment_id=intent.payment_id)

    (letter,) = await world.inbox.wait_for(1)
    assert wechat.claims(letter.headers, letter.body)
    (facts,) = await wechat.read_notice(letter.headers, letter.body)
    assert (facts.kind, facts.amount, facts.currency) == ("captured", Decimal("288.05"), "CNY")
    assert (facts.payment_id, facts.receiver) == (intent.payment_id, wechat.receiver)
    assert await wechat.confirm(intent.payment_id, facts.provider_ref, intent.amount, "CNY", "any") == facts

    refund_id, part = str(uuid4()), Decimal("0.05")
    refund = (intent.payment_id, facts.provider_ref, refund_id, part, "CNY", intent.amount, "化了")
    given = await wechat.refund(*refund)
    assert (given.kind, given.amount, given.refund_id) == ("pending", part, refund_id)
    letters = await world.inbox.wait_for(2)
    (done,) = await wechat.read_notice(letters[1].headers, letters[1].body)
    assert (done.kind, done.amount, done.currency, done.refund_id) == ("refunded", part, "CNY", refund_id)
    assert (await wechat.query_refund(intent.payment_id, facts.provider_ref, refund_id)).kind == "refunded"
    assert (await wechat.refund(*refund)).kind == "refunded"  # A repeat gives nothing more.
    rest = (intent.payment_id, facts.provider_ref, str(uuid4()), Decimal("288.00"), "CNY", intent.amount, "")
    assert (await wechat.refund(*rest)).kind == "pending"
    assert (await wechat.query(intent.payment_id, None)).kind == "captured"


async def test_the_h5_page_leads_back_to_the_shop(world: World, make_wechat: MakeWechat, intend: Intend):
    wechat = make_wechat(product="h5")
    intent = intend("1.00", "CNY", payer_ip="203.0.113.9", return_url="http://shop.test/paid?order=7")
    started = await wechat.start(intent)
    assert started.pay_url is not None
    page = await world.open(started.pay_url)
    assert "¥ 1.00" in page
    assert "http://shop.test/paid?order=7" in page
    form = {"payment_id": intent.payment_id, "redirect_url": intent.return_url, "outcome": "approve"}
    async with world.session.post(f"{world.url}/wechat/simulator/pay", data=form, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (303, intent.return_url)
    assert (await wechat.query(intent.payment_id, None)).kind == "captured"


async def test_a_payment_inside_wechat_gets_a_signed_script(world: World, make_wechat: MakeWechat, intend: Intend):
    wechat = make_wechat(product="jsapi")
    with pytest.raises(GatewayRefused, match="PAYER_MISSING"):
        await wechat.start(intend("1.00", "CNY"))
    fields = (await wechat.start(intend("1.00", "CNY", payer="oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"))).fields
    text = signing.pay_text(fields["appId"], fields["timeStamp"], fields["nonceStr"], fields["package"])
    merchant = signing.public_key(world.keys.provider.merchant_public_key)
    assert signing.verify(merchant, text, fields["paySign"])


async def test_starting_again_gives_the_same_code_but_not_for_another_amount(wechat: WechatPay, intend: Intend):
    intent = intend("1.00", "CNY")
    assert await wechat.start(intent) == await wechat.start(intent)
    with pytest.raises(GatewayRefused, match="OUT_TRADE_NO_USED"):
        await wechat.start(intend("2.00", "CNY", payment_id=intent.payment_id, expires_at=intent.expires_at))


async def test_a_paid_order_is_not_started_again(world: World, wechat: WechatPay, intend: Intend):
    intent = intend("1.00", "CNY")
    await paid(world, wechat, intent)
    with pytest.raises(GatewayRefused, match="ORDERPAID"):
        await wechat.start(intent)


async def test_a_closed_payment_cannot_be_paid_and_a_paid_one_not_closed(
    world: World, wechat: WechatPay, intend: Intend
):
    closed, done = intend("1.00", "CNY"), intend("1.00", "CNY")
    await wechat.start(closed)
    facts = await wechat.close(closed.payment_id, None)
    assert (facts.kind, facts.reason) == ("failed", "CLOSED")
    with pytest.raises(AssertionError, match="ORDER_CLOSED"):
        await world.pay("wechat", payment_id=closed.payment_id)
    await paid(world, wechat, done)
    assert (await wechat.close(done.payment_id, None)).kind == "captured"
    assert (await wechat.close(str(uuid4()), None)).kind == "unknown"


async def test_a_payment_that_nobody_made_in_time_has_failed(wechat: WechatPay, intend: Intend, provider_clock, clock):
    intent = intend("1.00", "CNY")
    await wechat.start(intent)
    provider_clock.ahead = clock.ahead = timedelta(minutes=31)
    assert (await wechat.query(intent.payment_id, None)).kind == "failed"


async def test_a_refund_must_fit_the_payment(world: World, wechat: WechatPay, intend: Intend):
    intent = intend("10.00", "CNY")
    ref = await paid(world, wechat, intent)
    for amount, total in (("10.01", "10.00"), ("1.00", "9.99")):
        with pytest.raises(GatewayRefused, match="INVALID_REQUEST"):
            await wechat.refund(intent.payment_id, ref, str(uuid4()), Decimal(amount), "CNY", Decimal(total), "")
    await wechat.refund(intent.payment_id, ref, str(uuid4()), Decimal("9.99"), "CNY", Decimal("10.00"), "")
    with pytest.raises(GatewayRefused, match="INVALID_REQUEST"):
        await wechat.refund(intent.payment_id, ref, str(uuid4()), Decimal("0.02"), "CNY", Decimal("10.00"), "")


@pytest.mark.parametrize("result", ["CLOSED", "ABNORMAL"])
async def test_a_refund_can_fail(world: World, wechat: WechatPay, intend: Intend, result: str):
    intent = intend("10.00", "CNY")
    ref = await paid(world, wechat, intent)
    await world.put_chaos("wechat", refund_state=result)
    await wechat.refund(intent.payment_id, ref, "refund-1", intent.amount, "CNY", intent.amount, "")
    letters = await world.inbox.wait_for(2)
    (facts,) = await wechat.read_notice(letters[1].headers, letters[1].body)
    assert (facts.kind, facts.reason, facts.refund_id) == ("refund_failed", result, "refund-1")


async def test_a_lost_answer_of_a_refund_is_found_again(
    world: World, make_wechat: Callable[..., WechatPay], intend: Intend
):
    wechat, intent = make_wechat(), intend("10.00", "CNY")
    ref = await paid(world, wechat, intent)
    await world.put_chaos("wechat", endpoints=[{"endpoint": "refund", "hang": True, "times": 1}])
    with pytest.raises(GatewayUnavailable):
        await make_wechat(timeout_s=1).refund(
            intent.payment_id, ref, "refund-1", intent.amount, "CNY", intent.amount, ""
        )
    assert (await wechat.query_refund(intent.payment_id, ref, "refund-1")).kind in ("pending", "refunded")
    assert (await wechat.query_refund(intent.payment_id, ref, "refund-2")).kind == "unknown"


@pytest.mark.parametrize(
    "fault",
    # The answer is read a moment after it was written: 301 s ahead could be 300 by then, which is allowed.
    [{"wrong_signature": True}, {"clock_skew_s": 310}, {"clock_skew_s": -301}, {"status": 429}, {"status": 500}],
)
async def test_an_answer_that_cannot_be_trusted_tells_nothing(
    world: World, wechat: WechatPay, intend: Intend, fault: dict[str, object]
):
    intent = intend("10.00", "CNY")
    await paid(world, wechat, intent)
    await world.put_chaos("wechat", endpoints=[{"endpoint": "query", "times": 1, **fault}])
    with pytest.raises(GatewayUnavailable):
        await wechat.query(intent.payment_id, None)
    assert (await wechat.query(intent.payment_id, None)).kind == "captured"


@pytest.mark.promise("D9")
async def test_forged_stale_and_unsigned_notices_are_rejected(
    world: World, wechat: WechatPay, intend: Intend, clock, proof: Evidence
):
    await paid(world, wechat, intend("10.00", "CNY"))
    (letter,) = await world.inbox.wait_for(1)
    headers, body = letter.headers, letter.body
    forgeries = [
        ({name: value for name, value in headers.items() if not name.startswith("wechatpay-")}, body),
        (headers, body.replace(b"TRANSACTION.SUCCESS", b"TRANSACTION.Success")),
        (headers, body + b" "),
        (headers, b"\xff"),
        ({**headers, "wechatpay-serial": "PUB_KEY_ID_of_somebody"}, body),
        ({**headers, "wechatpay-nonce": "another"}, body),
        ({**headers, "wechatpay-timestamp": "later"}, body),
        ({**headers, "wechatpay-signature-type": "WECHATPAY2-SM2-WITH-SM3"}, body),
        ({**headers, "wechatpay-signature": "WECHATPAY/SIGNTEST/" + headers["wechatpay-signature"]}, body),
    ]
    chance = random.Random(proof.seed(91))
    for _ in range(proof.number(1_000, 40)):  # What somebody on the way may change: one bit of what is signed.
        name = chance.choice(("", "wechatpay-nonce", "wechatpay-timestamp"))
        place = chance.randrange(8 * len(headers[name] if name else body))
        if name:
            text = headers[name]
            turned = chr(ord(text[place // 8]) ^ (1 << place % 7))
            forgeries.append(({**headers, name: text[: place // 8] + turned + text[place // 8 + 1 :]}, body))
        else:
            turned = bytes([body[place // 8] ^ (1 << place % 8)])
            forgeries.append((headers, body[: place // 8] + turned + body[place // 8 + 1 :]))
    for forged_headers, forged_body in forgeries:
        proof.attempt()
        with pytest.raises(NoticeForged):
            await wechat.read_notice(forged_headers, forged_body)
    for minutes in (6, -6):
        clock.ahead = timedelta(minutes=minutes)
        with pytest.raises(NoticeForged):
            await wechat.read_notice(headers, body)
    clock.ahead = timedelta()
    first, second = [await wechat.read_notice(headers, body) for _ in range(2)]
    assert first == second


async def test_an_unsigned_notice_is_still_recognised_as_ours_to_reject(
    world: World, wechat: WechatPay, intend: Intend
):
    await paid(world, wechat, intend("10.00", "CNY"))
    (letter,) = await world.inbox.wait_for(1)
    assert wechat.claims({}, letter.body)
    assert not wechat.claims({}, b'{"eventType": "PAYMENT_STATUS_CHANGED"}')
    for body in (b"", b"\xff", b'{"a":' + b"[" * 100_000):
        assert not wechat.claims({}, body)


async def test_a_wrongly_signed_delivery_is_followed_by_a_right_one(world: World, wechat: WechatPay, intend: Intend):
    await world.put_chaos("wechat", retry_scale=0.001, notices={"wrong_signature": True, "times": 1})
    world.inbox.answers = [401]
    await paid(world, wechat, intend("10.00", "CNY"))
    wrong, right = await world.inbox.wait_for(2)
    with pytest.raises(NoticeForged):
        await wechat.read_notice(wrong.headers, wrong.body)
    assert [facts.kind for facts in await wechat.read_notice(right.headers, right.body)] == ["captured"]


async def test_wrong_keys_of_ours_are_a_refusal(make_wechat: MakeWechat):
    with pytest.raises(GatewayRefused, match="SIGN_ERROR"):
        await make_wechat(serial_no="0" * 40).query(str(uuid4()), None)


async def test_a_clock_that_is_wrong_is_a_refusal(wechat: WechatPay, clock, provider_clock, intend: Intend):
    provider_clock.ahead = timedelta(minutes=6)
    with pytest.raises((GatewayRefused, GatewayUnavailable)):
        await wechat.start(intend("1.00", "CNY"))


@pytest.mark.parametrize("payment_id", ["short", "0" * 32, "x" * 33, "a/b/c/d", "6AE3336F-9CF0-44EC-8E76-FD5621FB13A7"])
async def test_an_id_that_would_not_come_back_the_same_is_never_sent(
    wechat: WechatPay, intend: Intend, payment_id: str
):
    with pytest.raises(GatewayRefused, match="INVALID_PAYMENT_ID"):
        await wechat.start(intend("1.00", "CNY", payment_id=payment_id))


@pytest.mark.parametrize("amount", ["0", "-1.00", "0.001", "NaN"])
async def test_a_part_of_a_fen_is_never_sent(wechat: WechatPay, intend: Intend, amount: str):
    with pytest.raises(GatewayRefused, match="INVALID_AMOUNT"):
        await wechat.start(intend(amount, "CNY"))


async def test_an_expired_intent_is_refused_by_the_provider(wechat: WechatPay, intend: Intend):
    with pytest.raises(GatewayRefused, match="PARAM_ERROR"):
        await wechat.start(intend("1.00", "CNY", expires_at=datetime.now(UTC) - timedelta(seconds=2)))

"""An independent client library, unchanged, against the simulated WeChat Pay. It blocks, so it runs in a thread."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from wechatpayv3 import WeChatPay, WeChatPayType

from pasar.simulators.testing import Clock, World
from pasar.simulators.wechat_crypto import encrypt


@pytest.fixture
def client(world: World) -> WeChatPay:
    merchant = world.keys.wechat
    ((key_id, public_key),) = merchant.platform_keys.items()
    client = WeChatPay(
        wechatpay_type=WeChatPayType.NATIVE,
        mchid=merchant.merchant_id,
        private_key=merchant.private_key,
        cert_serial_no=merchant.serial_no,
        appid=merchant.appid,
        apiv3_key=merchant.apiv3_key,
        notify_url=world.inbox.url,
        public_key=public_key,
        public_key_id=key_id,
        timeout=(30, 30),
    )
    client._core._gate_way = f"{world.url}/wechat"
    return client


async def ask(call: Callable[..., tuple[int, str]], **fields: Any) -> tuple[int, dict[str, Any]]:
    status, text = await asyncio.to_thread(call, **fields)
    return status, json.loads(text) if text else {}


async def order(client: WeChatPay, number: str = "order-0001", total: int = 8800) -> dict[str, Any]:
    status, answer = await ask(client.pay, description="김치", out_trade_no=number, amount={"total": total})
    assert status == 200, answer
    return answer


async def test_a_payment_from_the_code_to_the_refund(world: World, client: WeChatPay):
    code = (await order(client))["code_url"]
    status, trade = await ask(client.query, out_trade_no="order-0001")
    assert (status, trade["trade_state"]) == (200, "NOTPAY")
    await world.pay("wechat", code_url=code)

    (letter,) = await world.inbox.wait_for(1)
    notice = client.callback(letter.headers, letter.body)
    assert notice["event_type"] == "TRANSACTION.SUCCESS"
    told = notice["resource"]
    assert (told["out_trade_no"], told["trade_state"], told["amount"]["total"]) == ("order-0001", "SUCCESS", 8800)
    status, trade = await ask(client.query, transaction_id=told["transaction_id"])
    assert (status, trade) == (200, told)

    wish = {"out_refund_no": "r-1", "amount": {"refund": 800, "total": 8800, "currency": "CNY"}}
    status, refund = await ask(client.refund, out_trade_no="order-0001", **wish)
    assert (status, refund["status"], refund["amount"]["refund"]) == (200, "PROCESSING", 800)
    letters = await world.inbox.wait_for(2)
    done = client.callback(letters[1].headers, letters[1].body)
    assert (done["event_type"], done["resource"]["refund_status"]) == ("REFUND.SUCCESS", "SUCCESS")
    status, refund = await ask(client.query_refund, out_refund_no="r-1")
    assert (status, refund["status"]) == (200, "SUCCESS")


async def test_a_forged_notice_does_not_pass_the_client(world: World, client: WeChatPay):
    await world.put_chaos("wechat", notices={"wrong_signature": True})
    await world.pay("wechat", code_url=(await order(client))["code_url"])
    letters = await world.inbox.wait_for(1)
    assert client.callback(letters[0].headers, letters[0].body) is None


async def test_an_order_can_be_closed(client: WeChatPay):
    await order(client)
    assert await ask(client.close, out_trade_no="order-0001") == (204, {})
    status, answer = await ask(client.pay, description="김치", out_trade_no="order-0001", amount={"total": 8800})
    assert (status, answer["code"]) == (400, "ORDER_CLOSED")


async def test_errors_have_the_providers_shape(world: World, client: WeChatPay):
    assert (await ask(client.query, out_trade_no="never-made"))[1]["code"] == "ORDER_NOT_EXIST"
    assert (await ask(client.query_refund, out_refund_no="never-made"))[1]["code"] == "RESOURCE_NOT_EXISTS"
    status, answer = await ask(client.pay, description="x", out_trade_no="short", amount={"total": 1})
    assert (status, answer["code"], answer["detail"]["field"]) == (400, "PARAM_ERROR", "/out_trade_no")
    status, answer = await ask(client.pay, description="x", out_trade_no="order-1", amount={"total": "1"})
    assert (status, answer["code"]) == (400, "PARAM_ERROR")
    status, answer = await ask(client.pay, description="x", out_trade_no="order-1", amount={"total": 1}, appid="wx0")
    assert (status, answer["code"]) == (400, "APPID_MCHID_NOT_MATCH")
    await order(client)
    refund = {"out_refund_no": "r-1", "amount": {"refund": 1, "total": 8800, "currency": "CNY"}}
    status, answer = await ask(client.refund, out_trade_no="order-0001", **refund)
    assert (status, answer["code"]) == (400, "INVALID_REQUEST")  # Not paid yet.


async def test_requests_that_the_merchant_did_not_sign_now_are_refused(world: World, client: WeChatPay, clock: Clock):
    right = client._core._cert_serial_no
    client._core._cert_serial_no = "F" * 40
    assert (await ask(client.query, out_trade_no="order-0001"))[1]["code"] == "SIGN_ERROR"
    client._core._cert_serial_no = right
    ours, stranger = client._core._private_key, rsa.generate_private_key(public_exponent=65537, key_size=2048)
    client._core._private_key = stranger
    assert (await ask(client.query, out_trade_no="order-0001"))[1]["code"] == "SIGN_ERROR"
    client._core._private_key = ours
    clock.ahead = timedelta(seconds=310)
    assert (await ask(client.query, out_trade_no="order-0001"))[0] == 401
    clock.ahead = timedelta(seconds=290)
    assert (await ask(client.query, out_trade_no="order-0001"))[0] == 404
    for header in (None, "Basic YTo=", 'WECHATPAY2-SHA256-RSA2048 mchid="1900009191"'):
        headers = {} if header is None else {"Authorization": header}
        url = f"{world.url}/wechat/v3/pay/transactions/out-trade-no/order-0001?mchid=1900009191"
        async with world.session.get(url, headers=headers) as response:
            assert (response.status, (await response.json())["code"]) == (401, "SIGN_ERROR")


async def test_the_client_trusts_the_downloaded_certificate_as_well(world: World, client: WeChatPay):
    await order(client)
    core = client._core
    core._public_key = core._public_key_id = None  # Before public keys, the only way.
    await asyncio.to_thread(core._update_certificates)
    assert len(core._certificates) == 1
    assert (await ask(client.query, out_trade_no="order-0001"))[1]["trade_state"] == "NOTPAY"


def test_the_encryption_gives_the_published_answer():
    # The published test of the provider's Java client.
    sealed = encrypt("a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gb", "uluk4a9R25RW", "associatedData", b"message")
    assert sealed == "ulwSiIajGClcvcOYvOQ7+l+0PAbzzwI="

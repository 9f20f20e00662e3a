"""Payments of a shop's past, as its providers remember them: asked for and given back like those of today."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import msgspec

from pasar.contexts.payment.gateways.toss import Toss, TossConfig
from pasar.contexts.payment.gateways.wechat import WechatConfig, WechatPay
from pasar.kernel.clock import SystemClock
from pasar.kernel.outgoing import Outgoing
from pasar.simulators.past import PastPayment, PastRefund, remember
from pasar.simulators.testing import simulated

PAID = datetime(2026, 3, 1, 12, tzinfo=UTC)
WON = PastPayment(
    payment=str(UUID(int=1)), reference="demo-0001", title="Tea", amount=Decimal(49_000), currency="KRW", paid_at=PAID,
    refunds=(PastRefund(str(UUID(int=9)), Decimal(9_000)),),
)  # fmt: skip
YUAN = PastPayment(
    payment=str(UUID(int=2)), reference="demo-0002", title="Tea", amount=Decimal("98.50"), currency="CNY", paid_at=PAID,
    refunds=(PastRefund(str(UUID(int=8)), Decimal("8.50")),),
)  # fmt: skip


async def test_a_past_payment_is_known_and_given_back(data: Path) -> None:
    now = SystemClock().now
    assert remember(data, now(), [WON, YUAN]) == 2
    assert remember(data, now(), [WON, YUAN]) == 0  # A repeat changes nothing.
    async with simulated(data, now) as world:
        client = Outgoing([urlsplit(world.url).netloc])
        given = {**msgspec.to_builtins(world.keys.toss), "base_url": f"{world.url}/toss"}
        toss = Toss(msgspec.convert(given, TossConfig), client)
        given = {**msgspec.to_builtins(world.keys.wechat), "base_url": f"{world.url}/wechat"}
        wechat = WechatPay(msgspec.convert(given, WechatConfig), client, now, lambda: uuid4().hex)
        for gateway, past, rest in ((toss, WON, "40000"), (wechat, YUAN, "90")):
            facts = await gateway.query(past.payment, past.reference)
            assert (facts.kind, facts.amount, facts.provider_ref) == ("captured", past.amount, past.reference)
            assert facts.occurred_at == PAID
            back = await gateway.query_refund(past.payment, past.reference, past.refunds[0].refund)
            assert (back.kind, back.amount) == ("refunded", past.refunds[0].amount)
            wish = past.payment, past.reference, str(uuid4()), Decimal(rest), past.currency, past.amount, "broken"
            done = await gateway.refund(*wish)
            assert done.kind in ("refunded", "pending")
        await client.close()

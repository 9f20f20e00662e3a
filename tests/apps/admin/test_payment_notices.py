"""Finance sees what providers told, masked; whole only with a reason, which is recorded."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from apps.admin.office import Office
from contexts.ordering.market import ANN, item
from pasar.contexts.identity.contract import Register
from pasar.contexts.payment import facade_notices as notices
from pasar.contexts.payment.contract import Capture, Opening, StartPayment
from pasar.kernel.private import Private

pytestmark = pytest.mark.asyncio(loop_scope="module")
SAID = {"eventType": "PAYMENT_STATUS_CHANGED", "data": {"totalAmount": 1000, "customerName": "Ann Kim"}}


async def paid(office: Office) -> UUID:
    """A payment of Ann's, who is a member, that was captured."""
    market, bus = office.market, office.market.shop.bus()
    personal: dict[str, Any] = {"mail": Private("ann@example.com"), "name": Private("Ann Kim")}
    await bus.send(Register(account=ANN, login_digest="ann", password_hash=Private("-"), locale="en", **personal))
    await market.stock("lychee", 3, price=1_000)
    order = (await market.order(item("lychee"))).json
    payment = market.shop.core.ids.uuid()
    money: dict[str, Any] = {"amount": Decimal(order["total"]), "currency": "KRW", "gateway": "toss"}
    await bus.send(
        StartPayment(
            payment=payment, order_no=order["order_no"], buyer=ANN, title="Lychee", expires_at=bus.now(),
            opening=Opening(provider_ref=None, pay_url=None), **money,
        )
    )  # fmt: skip
    await bus.send(Capture(payment=payment, provider_ref="ref-1", occurred_at=bus.now(), **money))
    return payment


async def test_a_notice_is_shown_masked_and_whole_for_a_reason(office: Office) -> None:
    payment, bus = await paid(office), office.market.shop.bus()
    body = msgspec.json.encode(SAID)
    await notices.keep(bus, "toss", body, notices.Judged("verified", outcome="captured", payment=payment))
    forged = msgspec.json.encode({"orderId": str(payment), "note": "send me the goods"})
    await notices.keep(bus, "toss", forged, notices.Judged("refused", "wrong or missing signature"))
    finance, path = await office.as_("finance"), f"/console/payments/{payment}"
    page = await finance.get(path)
    for words in ("Genuine, booked", "Paid", "Not believed", "wrong or missing signature", "PAYMENT_STATUS_CHANGED"):
        assert words in page.words, words
    assert "Ann Kim" not in page.text
    assert "send me" not in page.text
    kept = {one.verdict: one.notice for one in await notices.of_payment(bus.db, payment)}
    assert f"{path}/notices/{kept['refused']}" not in page.text
    reveal = f"{path}/notices/{kept['verified']}"
    without = await finance.post(reveal, {**finance.form(reveal), "reason": ""})
    assert "Ann Kim" not in without.text
    whole = await finance.post(reveal, {**finance.form(reveal), "reason": "the provider disputes it"})
    assert (whole.status, "Ann Kim" in whole.text) == (200, True)
    assert str(ANN) in (await (await office.as_("admin")).get("/console/audit?type=identity.PersonRevealed")).words
    assert "Ann Kim" not in (await finance.get(path)).text

    page = await finance.get("/console/payments/notices?verdict=refused")
    assert "wrong or missing signature" in page.words
    assert "PAYMENT_STATUS_CHANGED" not in page.words
    for name in ("seller", "manager", "warehouse"):
        assert (await (await office.as_(name)).get(path)).status == 403
        assert (await (await office.as_(name)).get("/console/payments/notices")).status == 403

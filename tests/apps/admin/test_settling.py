"""Runs of the settlement, as finance lets them be paid."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.admin.office import PASSWORD, Office
from contexts.ordering.market import item
from contexts.selling import OWNER
from kernel.running import caught_up
from pasar.contexts.finance.contract import RecognizeRevenue, Share
from pasar.contexts.identity.contract import DecideKyc, Register, SubmitKyc
from pasar.contexts.ordering.contract import MarkPaid
from pasar.contexts.payment.contract import Capture, StartPayment
from pasar.kernel.private import Private

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def due(office: Office) -> None:
    """A verified seller is due 47,500 of an order that was confirmed long enough ago."""
    market, bus = office.market, office.market.shop.bus()
    await market.stock("olives", 3, price=50_000)
    placed = (await market.order(item("olives"))).json
    money: dict[str, Any] = {"amount": Decimal(placed["total"]), "currency": "KRW", "gateway": "toss"}
    order_no, payment = placed["order_no"], market.shop.core.ids.uuid()
    until, buyer = bus.now() + timedelta(minutes=9), office.accounts["member"]
    await bus.send(
        StartPayment(payment=payment, order_no=order_no, buyer=buyer, title="Olives", expires_at=until, **money)
    )
    capture = Capture(payment=payment, provider_ref="ref-o", **money)
    await bus.send_together(capture, MarkPaid(order_no=order_no, payment=payment, **money))
    gross, commission = Decimal(placed["total"]), Decimal(5_500)
    share = Share(store="s1", gross=gross, commission=commission, seller=gross - commission)
    await bus.send(
        RecognizeRevenue(order_no=order_no, currency="KRW", shares=(share,), confirmed_at=market.shop.clock.now())
    )
    personal: dict[str, Any] = {"mail": Private("owner@example.com"), "name": Private("Owner")}
    await bus.send(Register(account=OWNER, login_digest="owner", password_hash=Private("-"), locale="en", **personal))
    known = {"business_number": "123-45-67890", "legal_name": "Owner & Co", "bank_account": "110-234-567890"}
    await bus.send(SubmitKyc(account=OWNER, **{name: Private(text) for name, text in known.items()}))
    await bus.send(DecideKyc(account=OWNER, verified=True))
    market.shop.clock.advance(timedelta(days=15))
    await caught_up(market.shop.core)


async def test_a_run_that_pays_nobody_says_so_and_waits_for_nobody(office: Office) -> None:
    finance = await office.as_("finance")
    await finance.get("/console/settlement")
    page = await finance.send("/console/settlement", currency="KRW")
    assert "Nobody is to be paid: the run ends by itself." in page.text
    assert "Nothing to pay" in page.words
    assert "Approve" not in page.words
    words = (await (await office.as_("second")).get("/console")).words
    assert "waits for approval" not in words


async def test_a_second_person_approves_a_run(office: Office) -> None:
    await due(office)
    finance, second = await office.as_("finance"), await office.as_("second")
    await finance.get("/console/settlement")
    page = await finance.send("/console/settlement", currency="KRW")
    run = page.words.split("Run ")[1].split()[0]
    path = f"/console/settlement/{run}"
    if "somebody else has to approve" not in page.words:  # Monday's, which nobody in person has proposed.
        await finance.send(path, act="reject", reason="look again")
        await finance.get("/console/settlement")
        page = await finance.send("/console/settlement", currency="KRW")
        run = page.words.split("Run ")[1].split()[0]
        path = f"/console/settlement/{run}"
    assert "somebody else has to approve" in page.words
    fields = {**finance.form(path), "act": "approve", "again_password": PASSWORD}
    await finance.post(path, fields)
    await caught_up(office.market.shop.core)
    assert "Waits for approval" in (await finance.get(path)).words
    assert f"Run {run} waits for approval" in (await second.get("/console")).words
    await second.get(path)
    page = await second.send(path, act="approve")
    assert "Your password" in page.text
    page = await second.send(path, again_password=PASSWORD)
    assert "Waits for approval" not in page.words
    await caught_up(office.market.shop.core)
    assert "Paid out" in (await second.get(path)).words

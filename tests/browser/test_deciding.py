"""What people decide in the console, in a real browser: money that fits nothing, returns, and who may sign in."""

import re
from base64 import b32decode
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
import pytest

from browser.conftest import MakeShopper, outside
from browser.shopper import PHONE, Shopper
from browser.test_console import again, sign_in
from journeys.people import City, item, until
from journeys.town import Town
from pasar.apps.demo import PASSWORD
from pasar.contexts.identity.second_factor import STEP_S, code_of
from pasar.contexts.payment.gateway import PaymentIntent
from pasar.contexts.payment.gateways.wechat import WechatConfig, WechatPay
from pasar.kernel.clock import SystemClock
from pasar.kernel.outgoing import Outgoing

pytestmark = pytest.mark.slow


async def _parked(city: City) -> tuple[str, str]:
    """Genuine money that fits no order, because the shop never asked for it: how the provider calls it, and an order
    that waits for just as much."""
    guest, sku = await city.guest(), await city.sell(1, 7_000)
    waiting = (await guest.placed(item(sku), channel="wechat"))["order_no"]
    total, now = (await guest.order(waiting))["total"], SystemClock().now
    keys = msgspec.json.decode((city.town.folder / "simulators" / "merchant" / "wechat.json").read_bytes())
    config = msgspec.convert({**keys, "base_url": f"{city.town.simulators}/wechat"}, WechatConfig)
    client, payment = Outgoing([urlsplit(city.town.simulators).netloc]), str(uuid4())
    intent = PaymentIntent(
        payment_id=payment, order_no="1", amount=Decimal(total), currency="CNY", title="Tea", return_url=city.town.api,
        notify_url=f"{city.town.api}/api/v1/payments/callback/wechat", expires_at=now() + timedelta(minutes=9),
        attempt_key=payment,
    )  # fmt: skip
    await WechatPay(config, client, now, lambda: uuid4().hex).start(intent)
    await client.close()
    finance = await city.staff("finance")

    async def listed() -> set[str]:
        return {one["provider_ref"] for one in (await finance.get("/payments/parked?limit=100"))["items"]}

    before = await listed()
    await city.agree({"pay_url": "", "payment": payment, "gateway": "wechat"})

    async def there() -> str | None:
        return next(iter(await listed() - before), None)

    return await until(there, "parked money"), waiting


def _row(one: Shopper, reference: str) -> Any:
    one.open("/console/payments/parked")
    one.check()
    return one.page.locator("tr", has_text=reference)


def test_parked_money_pays_an_order_when_two_people_agree(shopper: MakeShopper, town: Town) -> None:
    reference, waiting = outside(town, _parked)
    finance, admin = sign_in(shopper("en"), "finance"), sign_in(shopper("zh", size=PHONE), "admin")
    row = _row(finance, reference)
    row.locator("input[name=order_no]").fill(waiting)
    row.locator("button[value=propose]").click()
    finance.page.get_by_text("Proposed. A second person has to agree.").wait_for()
    outside(town, lambda city: city.at_rest())
    row = _row(finance, reference)
    row.get_by_text("Waits for a second person").wait_for()
    assert row.locator("button[value=attach]").count() == 0  # Not by who has proposed it.
    _row(admin, reference).locator("button[value=attach]").click()
    again(admin)
    admin.page.locator(".said").wait_for()
    admin.check()
    outside(town, lambda city: city.at_rest())
    assert _row(admin, reference).count() == 0
    finance.open(f"/console/orders/{waiting}")
    finance.page.get_by_text("Payment received").first.wait_for()
    finance.check()


def test_parked_money_goes_back_after_the_password(shopper: MakeShopper, town: Town) -> None:
    reference, waiting = outside(town, _parked)
    finance = sign_in(shopper("en"), "finance")
    _row(finance, reference).locator("button[value=return]").click()
    finance.page.locator("#again_password").fill("not it at all")
    finance.page.locator("main form .button-bad").click()
    finance.page.get_by_text("Login or password is wrong.").wait_for()
    finance.problems.clear()  # The refusal was answered with 422.
    again(finance)
    finance.page.get_by_text("The refund is on its way.").wait_for()
    finance.check()

    async def gone(city: City) -> Any:
        staff = await city.staff("finance")

        async def look() -> bool:
            found = (await staff.get("/payments/parked?limit=100"))["items"]
            return all(one["provider_ref"] != reference for one in found)

        return await until(look, "the money to be back")

    outside(town, gone)
    assert _row(finance, reference).count() == 0
    finance.open(f"/console/orders/{waiting}")
    assert "Payment received" not in finance.page.locator("main").inner_text()


async def _asked_back(city: City, sku: str) -> tuple[str, str]:
    """A guest's order that was delivered and is to go back: its number, and the case."""
    guest = await city.guest()
    number = (await guest.placed(item(sku, 1)))["order_no"]
    await guest.pay(number)
    await guest.sees(number, "ALLOCATED")
    await city.deliver(number)
    await guest.sees(number, "DELIVERED")
    wish = {"kind": "return", "lines": [{"line_id": "1", "quantity": 1}], "reason_code": "damaged", "reason": "a crack"}
    case = (await guest.post(f"/orders/{number}/returns", wish))["case"]
    await city.at_rest()
    return number, case


def test_a_seller_accepts_one_return_and_declines_another(shopper: MakeShopper, town: Town) -> None:
    sku = outside(town, lambda city: city.sell(4, 12_000, store="volt"))
    accepted, case = outside(town, lambda city: _asked_back(city, sku))
    _, other = outside(town, lambda city: _asked_back(city, sku))
    seller = sign_in(shopper("en"), "engineer")
    seller.open("/console/returns")
    seller.check()
    seller.page.get_by_role("link", name=accepted).click()
    seller.page.get_by_text("a crack").wait_for()
    seller.page.locator("button[value=approve]").click()
    seller.page.locator("button[value=receive]").wait_for()
    seller.check()
    seller.page.locator("button[value=receive]").click()
    seller.page.locator(".said").wait_for()
    seller.check()

    seller.open(f"/console/returns/{other}")
    seller.page.locator("#reason").fill("It was used for a year.")
    seller.page.locator("button[value=reject]").click()
    seller.page.locator(".said").wait_for()
    seller.check()
    assert "It was used for a year." in seller.page.locator("main").inner_text()
    assert seller.page.locator("button[value=approve]").count() == 0

    async def states(city: City) -> Any:
        admin = await city.staff()

        async def look() -> Any:
            found = {id: (await admin.get(f"/returns/{id}"))["state"] for id in (case, other)}
            return found if found[case] == "REFUNDED" else None

        return await until(look, "the refund")

    assert outside(town, states) == {case: "REFUNDED", other: "REJECTED"}


@pytest.mark.requirement("S1-196")
def test_a_second_factor_is_asked_for_at_the_door(shopper: MakeShopper, town: Town) -> None:
    def code(after: int = 0) -> str:
        step = int(town.clock.now().timestamp()) // STEP_S + after
        return code_of(b32decode(secret), step)

    tailor = sign_in(shopper("en"), "tailor")
    page = tailor.page
    tailor.open("/console/security")
    tailor.check()
    page.locator("#password").fill(PASSWORD)
    page.locator("button[value=begin]").click()
    page.locator("#code").wait_for()
    tailor.check()
    secret = re.findall(r"\b[A-Z2-7]{32}\b", page.locator("main").inner_text())[0]
    page.locator("#code").fill(code())
    page.locator("button[value=confirm]").click()
    page.locator(".codes li").first.wait_for()
    tailor.check()
    recovery = page.locator(".codes li").first.inner_text()

    other = shopper("ko", size=PHONE)
    for way in ("wrong", "recovery"):
        other.open("/console/login")
        other.page.locator("#login").fill("tailor@example.com")
        other.page.locator("#password").fill(PASSWORD)
        other.page.locator("main form button").click()
        other.page.locator("#code").wait_for()
        assert other.findings() == []  # The page that asks for it; it was answered with 422.
        other.page.locator("#password").fill(PASSWORD)
        other.page.locator("#code").fill("000000" if way == "wrong" else recovery)
        other.page.locator("main form button").click()
        if way == "wrong":
            other.page.locator(".notice-bad").wait_for()
            assert "/console/login" in other.page.url
    other.page.wait_for_url("**/console")
    other.problems.clear()
    other.check()

    town.jump(seconds=2 * STEP_S)  # A code is good once.
    tailor.open("/console/security")
    page.locator("#password").fill(PASSWORD)
    page.locator("#code").fill(code())
    page.locator("button[value=remove]").click()
    page.get_by_text("The second factor is removed.").wait_for()
    tailor.check()

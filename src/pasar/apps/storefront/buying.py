"""Paying: the way to the provider's page and back. The money is believed only when the provider's side says so."""

from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import segno
from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import mark
from pasar.apps.pages.visit import Visit
from pasar.contexts.ordering import facade as ordering
from pasar.contexts.payment import facade as payment
from pasar.contexts.payment.contract import Payment
from pasar.contexts.payment.facade import Confirmation, NewPayment
from pasar.kernel.access import signed_in
from pasar.kernel.messages import Refused

UNPAID = ("CREATED", "PENDING_PAYMENT", "PAYMENT_PROCESSING")
OPEN = ("started", "confirming")
_KEY = "paymentKey"


async def begin_payment(visit: Visit, order_no: str, gateway: str | None, key: str) -> None:
    """Open an attempt; where no provider answers, the order waits, and its page offers to try again."""
    back = f"{visit.site.sessions.origin(visit.request)}{visit.url(f'/orders/{order_no}/paid')}"
    wish = NewPayment(gateway=gateway, return_url=back, replace=True)
    try:
        await payment.start(visit.bus(key=key), visit.who, order_no, wish)
    except Refused:
        visit.say(mark("This way of paying is not available just now. Please choose another."), good=False)


@page("GET", "/orders/{order_no}/pay", policy=signed_in, lane="checkout")
async def pay(visit: Visit) -> Response:
    """What is to be paid until when, and the way to the provider."""
    order = await ordering.seen(visit.bus(), visit.who, visit.path["order_no"], "canonical")
    if order.status not in UNPAID:
        return _on_to(visit, f"/orders/{order.order_no}")
    current = await _current(visit, order)
    offers = [one for one in await payment.offers(visit.bus()) if order.currency in one.currencies]
    code = current.fields.get("code_url") if current is not None else None
    return visit.render(
        "store/pay.html",
        order=order,
        payment=current,
        gateways=offers,
        intent=visit.new_intent(),
        qr=segno.make(code, error="m").svg_data_uri(border=0, scale=4) if code else None,
        app=_simulated_app(visit, order.order_no, code) if code else None,
    )


def _on_to(visit: Visit, path: str) -> Response:
    """Another page, also for a part of a page that asks again and again."""
    if "hx-request" in visit.request.headers:
        return Response(headers={"HX-Redirect": visit.url(path)})
    return visit.go(path)


def _simulated_app(visit: Visit, order_no: str, code: str) -> str | None:
    """Where providers are simulated: the page that stands for the provider's app, which would read the code."""
    settings = visit.core.settings.section("payment")
    if not settings.simulators:
        return None
    back = f"{visit.site.sessions.origin(visit.request)}{visit.url(f'/orders/{order_no}/paid')}"
    asked = urlencode({"code_url": code, "redirect_url": back})
    return f"{settings.simulators_url.rstrip('/')}/wechat/cgi-bin/mmpayweb-bin/checkmweb?{asked}"


async def _current(visit: Visit, order: Any) -> Payment | None:
    """The attempt that is open, if one is."""
    if order.payment is None:
        return None
    found = await payment.show(visit.db, visit.who, order.payment)
    return found if found.state in OPEN else None


@page("POST", "/orders/{order_no}/pay", policy=signed_in, lane="checkout")
async def pay_by(visit: Visit) -> Response:
    """Choose another provider, or try again."""
    await begin_payment(visit, visit.path["order_no"], visit.text("gateway")[:40] or None, visit.intent)
    return visit.go(f"/orders/{visit.path['order_no']}/pay")


@page("GET", "/orders/{order_no}/paid", policy=signed_in, lane="checkout")
async def paid(visit: Visit) -> Response:
    """Back from the provider's page. What the address says is a hint: the provider itself is asked for the money."""
    order_no, said = visit.path["order_no"], visit.request.query_params
    confirmation = _confirmation(said)
    if confirmation is not None:
        try:
            await payment.confirm(visit.bus(), visit.who, UUID(confirmation.order_id), confirmation)
        except (Refused, ValueError):
            visit.say(mark("The payment was not completed. You can try again."), good=False)
            return visit.go(f"/orders/{order_no}/pay")
    order = await ordering.seen(visit.bus(), visit.who, order_no, "canonical")
    if "code" in said:
        visit.say(mark("The payment was not completed. You can try again."), good=False)
        return visit.go(f"/orders/{order_no}/pay")
    if order.status in UNPAID:
        return visit.render("store/confirming.html", order=order)
    visit.say(mark("Thank you. Your payment has arrived."))
    return _on_to(visit, f"/orders/{order_no}")


def _confirmation(said: Any) -> Confirmation | None:
    if not all(said.get(name) for name in (_KEY, "orderId", "amount")):
        return None
    try:
        amount = Decimal(said["amount"])
    except InvalidOperation:
        return None
    if not amount.is_finite() or not 0 <= amount < 10**12 or len(said[_KEY]) > 200 or len(said["orderId"]) > 64:
        return None
    return Confirmation(payment_key=said[_KEY], order_id=said["orderId"], amount=amount)

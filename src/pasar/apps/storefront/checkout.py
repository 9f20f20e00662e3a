"""From the cart to an order: where it goes, what is taken off, how it is paid. One form, sent once."""

import re
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import mark, sentence
from pasar.apps.pages.visit import Visit
from pasar.contexts.checkout import facade as carts
from pasar.contexts.identity import facade as identity
from pasar.contexts.identity.contract import NewAddress
from pasar.contexts.ordering import facade as ordering
from pasar.contexts.ordering.contract import Placed
from pasar.contexts.payment import facade as payment
from pasar.contexts.payment.contract import GatewayOffer
from pasar.contexts.pricing import facade as pricing
from pasar.contexts.pricing.contract import Estimate, QuoteFor, Wanted
from pasar.contexts.wallet import facade as wallet
from pasar.kernel.access import signed_in
from pasar.kernel.messages import Refused, convert
from pasar.vocabulary import is_mail_address

from . import addresses
from .buying import begin_payment
from .cart import cart_values
from .shop import plan_of

NEW = "new"
_COUPON = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass
class Filled:
    """What the form says so far."""

    country: str = addresses.DEFAULT
    address_id: str = NEW
    text: dict[str, str] | None = None
    coupon: str = ""
    points: int = 0
    gateway: str = ""
    keep: bool = False
    mail: str = ""

    def value(self, name: str) -> str:
        return (self.text or {}).get(name, "")


@page("GET", "/checkout", policy=signed_in, lane="checkout")
async def show(visit: Visit) -> Response:
    """The form of an order, filled in as far as we know the buyer."""
    if not (await carts.cart(visit.db, visit.account)).lines:
        return visit.go("/cart")
    me = await visit.opened(await identity.me(visit.db, visit.account))
    usual = next((one for one in me.addresses if one.is_default), me.addresses[0] if me.addresses else None)
    asked = visit.request.query_params.get("country", "")
    filled = Filled(country=addresses.country_of(asked, _country_here(visit)))
    if usual is not None and not asked:
        filled.address_id = usual.address_id
    return await _form(visit, filled, {}, visit.new_intent())


def _country_here(visit: Visit) -> str:
    locale = visit.view["channel"].locale if visit.view["channel"] else "ko"
    return {"ko": "KR", "zh": "CN", "ja": "JP", "ar": "AE"}.get(locale, addresses.DEFAULT)


@page("POST", "/checkout", policy=signed_in, lane="checkout")
async def send(visit: Visit) -> Response:
    """Work the sum out anew, or order. A repeat of the same form leads to the same order."""
    filled, intent = _filled(visit), visit.intent
    if visit.text("action") != "order":
        return await _form(visit, filled, {}, intent)
    bus = visit.bus(key=intent)
    placed = await visit.recalled(bus, Placed)
    if placed is None:
        wish, wrong = _wish(visit, filled)
        if wrong:
            return await _form(visit, filled, wrong, intent, status=422)
        try:
            placed = await ordering.submit(bus, visit.who, convert(wish, ordering.SubmitCart))
        except Refused as refused:
            problem = {"": sentence(refused, visit.language.texts.gettext)}
            return await _form(visit, filled, problem, visit.new_intent(), status=refused.status)
        if filled.keep and filled.address_id == NEW:
            await _keep_address(visit, wish["address"])
    await begin_payment(visit, placed.order_no, filled.gateway or None, f"{intent}-pay")
    return visit.go(f"/orders/{placed.order_no}/pay")


def _filled(visit: Visit) -> Filled:
    country = addresses.country_of(visit.text("country"))
    points = visit.text("points").replace(",", "")
    return Filled(
        country=country,
        address_id=visit.text("address_id") or NEW,
        text={part.name: visit.text(part.name) for part in addresses.FORMS[country]},
        coupon=visit.text("coupon"),
        points=min(int(points), 1_000_000_000) if points.isascii() and points.isdigit() and len(points) < 12 else 0,
        gateway=visit.text("gateway")[:40],
        keep=visit.text("keep") == "true",
        mail=visit.text("mail")[:320],
    )


def _wish(visit: Visit, filled: Filled) -> tuple[dict[str, Any], dict[str, str]]:
    wish: dict[str, Any] = {"points": filled.points, "source": "web"}
    wrong: dict[str, str] = {}
    if visit.who.kind == "guest":
        wish["contact"] = {"mail": filled.mail, "language": visit.language.code}
        if not is_mail_address(filled.mail):
            wrong["mail"] = mark("This is no mail address.")
    if filled.coupon:
        if not _COUPON.fullmatch(filled.coupon):
            wrong["coupon"] = mark("There is no such coupon.")
        wish["coupon_ids"] = [filled.coupon]
    if filled.address_id != NEW:
        wish["shipping_address_id"] = filled.address_id
    else:
        wish["address"], problems = addresses.read(filled.country, filled.text or {})
        wrong |= problems
    return wish, wrong


async def _keep_address(visit: Visit, address: dict[str, Any]) -> None:
    """A favour beside the order: where it fails, the order stands all the same."""
    try:
        await identity.add_address(visit.bus(), visit.account, convert({"address": address}, NewAddress))
    except Refused:
        visit.say(mark("The address could not be kept in your address book."), good=False)


async def _form(visit: Visit, filled: Filled, wrong: dict[str, str], intent: str, status: int = 200) -> Response:
    values = await cart_values(visit)
    cart = values["cart"]
    if not cart.lines:
        return visit.go("/cart")
    if not cart.can_be_ordered:
        visit.say(mark("Something in your cart has changed. Please look at it first."), good=False)
        return visit.go("/cart")
    estimate, problem = await _estimate(visit, cart, filled)
    me = await visit.opened(await identity.me(visit.db, visit.account))
    currency = plan_of(visit).channels[cart.channel].currency
    points = await wallet.balance(visit.bus(), visit.who) if visit.who.kind != "guest" else None
    return visit.render(
        "store/checkout.html",
        status=status,
        filled=filled,
        wrong=wrong,
        intent=intent,
        me=me,
        parts=addresses.FORMS[filled.country],
        countries=[(code, visit.language.locale.territories.get(code, code)) for code in addresses.FORMS],
        estimate=estimate,
        sum_problem=problem,
        gateways=await _gateways(visit, currency),
        points=points,
        new=NEW,
        **values,
    )


async def _estimate(visit: Visit, cart: Any, filled: Filled) -> tuple[Estimate | None, str]:
    """The sum as it would be, and a sentence about what does not count in it."""
    wanted = tuple(Wanted(sku=line.sku, quantity=line.quantity, batch=line.batch) for line in cart.lines)
    settings = visit.core.settings.section(pricing.PricingSettings)
    problem = ""
    coupons = (filled.coupon,) if filled.coupon and _COUPON.fullmatch(filled.coupon) else ()
    for points, codes in ((filled.points, coupons), (0, coupons), (0, ())):
        asked = QuoteFor(channel=cart.channel, wanted=wanted, coupons=codes, points=points, person=visit.account)
        try:
            found = await pricing.estimate(visit.db, asked, visit.core.clock.now(), settings)
        except Refused as refused:
            problem = problem or sentence(refused, visit.language.texts.gettext)
            continue
        if any(not one.applied for one in found.coupons):
            problem = problem or visit.language.say("This coupon does not fit this order.")
        return found, problem
    return None, problem


async def _gateways(visit: Visit, currency: str) -> list[GatewayOffer]:
    """Those that take the currency, the healthy ones first."""
    offers = [one for one in await payment.offers(visit.bus()) if currency in one.currencies]
    return sorted(offers, key=lambda one: (not one.healthy, -one.share))

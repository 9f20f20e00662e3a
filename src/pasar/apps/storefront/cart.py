"""The cart: of a guest, who gets an account without a name with the first thing put in, or of a member."""

from typing import Annotated, Any

from msgspec import Meta
from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import mark
from pasar.apps.pages.visit import Visit
from pasar.contexts.catalog import facade as catalog
from pasar.contexts.checkout import facade as checkout
from pasar.contexts.checkout.contract import LineChange, NewLine, ShownCart
from pasar.contexts.identity import facade as identity
from pasar.kernel.access import anyone, signed_in
from pasar.kernel.messages import Value
from pasar.vocabulary import BatchId, Price, Sku, Units

from .shop import CHANNEL, channel_code, plan_of, title_of

YEAR_S = 365 * 24 * 3600


class PutIn(Value):
    sku: Sku
    quantity: Annotated[int, Meta(ge=1, le=99)] = 1
    price_seen: Price | None = None
    now: bool = False
    """On to the checkout at once."""


class Change(Value):
    sku: Sku
    quantity: Units = 1
    batch: BatchId | None = None
    remove: bool = False


async def ensure_guest(visit: Visit) -> None:
    """Somebody who has not said who they are, from now on with a session."""
    if not visit.who.signed_in:
        visit.site.sessions.begin(visit.session, await identity.guest(visit.bus()))


@page("GET", "/cart", policy=anyone, lane="cart")
async def show(visit: Visit) -> Response:
    """What is in the cart, at today's prices."""
    if not visit.who.signed_in:
        return visit.render("store/cart.html", cart=None, products={}, title_of=None)
    return visit.render("store/cart.html", **await cart_values(visit))


async def cart_values(visit: Visit, coupons: tuple[str, ...] = ()) -> dict[str, Any]:
    """The cart, and the products that its lines are of."""
    cart = await checkout.shown(visit.bus(), visit.account, coupons)
    on_sale = await catalog.for_sale(visit.db, [line.sku for line in cart.lines])
    found = await catalog.products(visit.db, {sku.product for sku in on_sale.values()})
    products = {sku: found[one.product] for sku, one in on_sale.items() if one.product in found}
    options = {spec.sku: spec.options for one in found.values() for spec in one.skus}
    return {
        "cart": cart,
        "products": products,
        "options": options,
        "title_of": lambda one: title_of(visit, one),
        "currency": cart.totals.currency if cart.totals else currency_of(visit, cart),
        "freight_free": left_for_free_freight(visit, cart),
    }


def currency_of(visit: Visit, cart: ShownCart) -> str:
    channel = plan_of(visit).channels.get(cart.channel)
    return channel.currency if channel else "KRW"


def left_for_free_freight(visit: Visit, cart: ShownCart) -> Any:
    """What is missing until delivery costs nothing; None where it does already, or never will."""
    channel = plan_of(visit).channels.get(cart.channel)
    if channel is None or channel.free_freight_from is None or cart.totals is None or not cart.totals.freight:
        return None
    return max(channel.free_freight_from - cart.totals.goods, type(cart.totals.goods)(0))


@page("POST", "/cart/add", policy=anyone, lane="cart")
async def add(visit: Visit) -> Response:
    """Put units of a SKU in."""
    wish = visit.form(PutIn)
    await ensure_guest(visit)
    line = NewLine(sku=wish.sku, quantity=wish.quantity, price_seen=wish.price_seen, channel=channel_code(visit))
    await checkout.put(visit.bus(), visit.account, line)
    if wish.now:
        return visit.go("/checkout")
    visit.say(mark("It is in your cart."))
    return visit.go("/cart")


@page("POST", "/cart/change", policy=signed_in, lane="cart")
async def change(visit: Visit) -> Response:
    """Set how many units of a line, or take it out."""
    wish = visit.form(Change)
    if wish.remove:
        await checkout.remove(visit.bus(), visit.account, wish.sku, wish.batch)
    else:
        line = LineChange(quantity=wish.quantity, price_seen=await _price_seen(visit, wish))
        await checkout.change(visit.bus(), visit.account, wish.sku, wish.batch, line)
    return visit.go("/cart")


async def _price_seen(visit: Visit, wish: Change) -> Any:
    """What the buyer has been shown of this line stays what they have been shown."""
    lines = (await checkout.cart(visit.db, visit.account)).lines
    return next((line.price_seen for line in lines if (line.sku, line.batch) == (wish.sku, wish.batch)), None)


@page("POST", "/cart/accept", policy=signed_in, lane="cart")
async def accept(visit: Visit) -> Response:
    """Go on with the prices of today, which the cart has just shown; drop what is not for sale any more."""
    cart = await checkout.shown(visit.bus(), visit.account, ())
    for line in cart.lines:
        if not line.is_for_sale or line.available <= 0:
            await checkout.remove(visit.bus(), visit.account, line.sku, line.batch)
        elif line.price_change or not line.is_available:
            now = LineChange(quantity=min(line.quantity, line.available), price_seen=line.unit_price)
            await checkout.change(visit.bus(), visit.account, line.sku, line.batch, now)
    return visit.go("/cart")


@page("POST", "/_channel", policy=anyone)
async def choose_channel(visit: Visit) -> Response:
    """Shop in another channel: other prices, another currency."""
    wanted = visit.text("channel")
    if wanted in plan_of(visit).channels:
        visit.session.cookies[CHANNEL] = wanted, YEAR_S
    return visit.back()

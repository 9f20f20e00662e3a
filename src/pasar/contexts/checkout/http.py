"""Carts over HTTP. A guest's token names a guest's cart, a member's the member's."""

from uuid import UUID

from pasar.kernel.access import Principal, signed_in
from pasar.kernel.bus import Bus
from pasar.kernel.web import route
from pasar.refusals import CartIsFull, ChannelNotFound, InsufficientStock, LineNotInCart, NotForSale, TooManyHolds
from pasar.vocabulary import Sku

from . import facade
from .contract import Cart, CouponsTried, LineChange, NewLine, ShownCart, WhichBatch


@route("GET", "/api/v1/cart", policy=signed_in, refuses=[ChannelNotFound], lane="cart")
async def show(query: CouponsTried, bus: Bus, who: Principal) -> ShownCart:
    """Your cart at today's prices: what changed, what is there, what is not for sale any more."""
    return await facade.shown(bus, UUID(who.id), query.coupon)


@route(
    *("POST", "/api/v1/cart/items"),
    policy=signed_in,
    refuses=[NotForSale, CartIsFull, InsufficientStock, TooManyHolds],
    gauge=True,
    example={"sku": "apple-5kg", "quantity": 2, "price_seen": 49},
)
async def put(body: NewLine, bus: Bus, who: Principal) -> Cart:
    """Put units of a SKU into your cart, in addition to those that are there."""
    return await facade.put(bus, UUID(who.id), body)


@route(
    *("PUT", "/api/v1/cart/items/{sku}"),
    policy=signed_in,
    refuses=[LineNotInCart, CartIsFull, InsufficientStock, TooManyHolds],
    example={"quantity": 3},
)
async def change(sku: Sku, body: LineChange, query: WhichBatch, bus: Bus, who: Principal) -> Cart:
    """Set how many units of a line are in your cart."""
    return await facade.change(bus, UUID(who.id), sku, query.batch, body)


@route("DELETE", "/api/v1/cart/items/{sku}", policy=signed_in, refuses=[LineNotInCart])
async def remove(sku: Sku, query: WhichBatch, bus: Bus, who: Principal) -> Cart:
    """Take a line out of your cart."""
    return await facade.remove(bus, UUID(who.id), sku, query.batch)


@route("DELETE", "/api/v1/cart", policy=signed_in)
async def empty(bus: Bus, who: Principal) -> Cart:
    """Take everything out of your cart."""
    return await facade.empty(bus, UUID(who.id))

"""Prices, coupons and estimates over HTTP. Sellers price their own stores' SKUs, admins all."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta

from pasar.kernel.access import Principal, anyone, staff
from pasar.kernel.bus import Bus
from pasar.kernel.messages import Body
from pasar.kernel.money import Currency
from pasar.kernel.store import Reader
from pasar.kernel.web import Cursor, Page, Paging, route
from pasar.refusals import (
    AmountTooLarge,
    CartIsEmpty,
    ChannelNotFound,
    CouponExists,
    CouponMalformed,
    CouponNotFound,
    NotForSale,
    PointsRefused,
    PriceMalformed,
    PriceNotFound,
    SkuNotFound,
    StoreNotFound,
)
from pasar.vocabulary import ChannelCode, Price, Sku

from . import facade
from .contract import Coupon, CouponCode, CreateCoupon, Estimate, Prices, QuoteFor, SetPrice, Wanted

sellers = staff("admin", "manager", "seller")


class NewPrice(Body):
    currency: Currency
    price: Price
    compare_at: Price | None = None


class EstimateFor(Body):
    channel: ChannelCode
    items: Annotated[tuple[Wanted, ...], Meta(min_length=1, max_length=200)]
    coupons: Annotated[tuple[CouponCode, ...], Meta(max_length=20)] = ()
    points: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0


def _stores(who: Principal) -> frozenset[str] | None:
    """The stores whose prices and coupons somebody may change; None: all."""
    return None if who.has("admin") else who.stores


@route(
    "PUT",
    "/api/v1/prices/{sku}/{channel}",
    policy=sellers,
    refuses=[SkuNotFound, ChannelNotFound, PriceMalformed],
    example={"currency": "KRW", "price": 12900},
)
async def set_price(sku: Sku, channel: ChannelCode, body: NewPrice, bus: Bus, who: Principal) -> Prices:
    """Set what a SKU costs in a channel; orders that were placed keep their price."""
    command = SetPrice(sku=sku, channel=channel, currency=body.currency, price=body.price, compare_at=body.compare_at)
    return await facade.set_price(bus, command, _stores(who))


@route("GET", "/api/v1/prices/{sku}", policy=anyone, refuses=[PriceNotFound])
async def read_prices(sku: Sku, bus: Bus) -> Prices:
    """All prices of a SKU, as of now. Made-up SKUs are refused without asking."""
    return await facade.prices(bus, sku)


@route(
    "POST",
    "/api/v1/pricing/estimates",
    policy=anyone,
    key="none",
    refuses=[ChannelNotFound, NotForSale, PriceNotFound, PointsRefused, AmountTooLarge, CartIsEmpty],
    example={"channel": "web", "items": [{"sku": "apple-5kg", "quantity": 2}], "coupons": ["autumn"]},
)
async def estimate(body: EstimateFor, bus: Bus, who: Principal) -> Estimate:
    """What an order would cost now, and what each coupon comes to, or why it does not count."""
    question = QuoteFor(
        channel=body.channel, wanted=body.items, coupons=body.coupons, points=body.points, person=_person(who)
    )
    settings = bus.settings.section(facade.PricingSettings)
    return await facade.estimate(bus.db, question, bus.now(), settings)


def _person(who: Principal) -> UUID | None:
    try:
        return UUID(who.id) if who.signed_in else None
    except ValueError:  # The system itself.
        return None


@route(
    "POST",
    "/api/v1/coupons",
    policy=sellers,
    status=201,
    refuses=[CouponExists, CouponMalformed, StoreNotFound, ChannelNotFound],
    example={"coupon": "autumn", "kind": "percent", "value": 10, "currency": "KRW", "total_limit": 1000},
)
async def create_coupon(body: CreateCoupon, bus: Bus, who: Principal) -> Coupon:
    """Create a coupon: of a store, for its own goods and at its cost, or (admins) of the platform."""
    stores = _stores(who)
    if stores is not None and body.store not in stores:
        raise StoreNotFound("a coupon of yours is for one of your stores")
    return await facade.create_coupon(bus, body)


@route("POST", "/api/v1/coupons/{coupon}/close", policy=sellers, refuses=[CouponNotFound])
async def close_coupon(coupon: CouponCode, bus: Bus, who: Principal) -> Coupon:
    """Close a coupon: orders that used it keep it, no other can."""
    return await facade.close_coupon(bus, coupon, _stores(who))


@route("GET", "/api/v1/coupons/{coupon}", policy=sellers, refuses=[CouponNotFound])
async def read_coupon(coupon: CouponCode, db: Reader, who: Principal) -> Coupon:
    """A coupon, for those whose it is."""
    return await facade.own_coupon(db, coupon, _stores(who))


@route("GET", "/api/v1/coupons", policy=staff("admin"))
async def list_coupons(query: Paging, db: Reader) -> Page[Coupon]:
    """All coupons, by code."""
    found = await facade.all_coupons(db, query.limit + 1, Cursor.read(query.cursor, str))
    items = found[: query.limit]
    return Page(items=items, next=Cursor.write(items[-1].coupon) if len(found) > query.limit else None)

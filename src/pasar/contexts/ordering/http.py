"""Orders over HTTP: to the letter of S1 §5.3 and §8 where it names something."""

from decimal import Decimal

from pasar.kernel.access import Principal, anyone, signed_in, staff
from pasar.kernel.bus import Bus
from pasar.kernel.web import Page, route
from pasar.refusals import (
    AccountNotFound,
    AddressNotFound,
    AddressUnusable,
    BatchUnknown,
    CartIsEmpty,
    ChannelNotFound,
    CouponExhausted,
    CouponLimitReached,
    CouponNotApplicable,
    CouponNotFound,
    HoldIsOver,
    InsufficientPoints,
    InsufficientStock,
    LineNotInCart,
    NotForSale,
    OrderNotFound,
    OrderStateForbids,
    PaymentChannelUnavailable,
    PointsRefused,
    PriceChanged,
    PriceNotFound,
    SkuNotFound,
)
from pasar.vocabulary import OrderNo

from . import facade
from .bodies import (
    AskQuote,
    CancelWish,
    FindOrders,
    NewOrder,
    OwnOrders,
    QuoteAnswer,
    SalesOrder,
    Shown,
    SubmitCart,
    Timeline,
)
from .contract import (
    OrderDetails,
    OrderSummary,
    Placed,
)

_PRICING = [
    ChannelNotFound, SkuNotFound, NotForSale, PriceNotFound, CouponNotFound, CouponNotApplicable, PointsRefused,
]  # fmt: skip
_PLACING = [
    InsufficientStock, PriceChanged, PaymentChannelUnavailable, AccountNotFound, AddressNotFound, AddressUnusable,
    BatchUnknown, CouponExhausted, CouponLimitReached, InsufficientPoints, HoldIsOver, LineNotInCart, *_PRICING,
]  # fmt: skip
_ORDER = {
    "idempotency_key": "5f0c7c1e-5b1d-4a43-9f5f-1d1f5e0f2a10",
    "uid": "018f4e6a-7c1b-7cc0-8000-3f1f9d2e4b5a",
    "items": [{"sku_id": "apple-5kg", "qty": 2, "price_snapshot": 49}],
    "shipping_address_id": "home",
    "coupon_ids": [],
    "invoice_required": False,
    "metadata": {},
}
_PLACED = {
    "order_no": "202509060001",
    "status": "CREATED",
    "preview": {"freight": Decimal("12.00"), "discounts": Decimal("5.00"), "taxes": Decimal("1.20")},
    "allocated_batches": [{"item_id": "1", "batch_id": "b123", "qty": 2}],
    "total": Decimal("106.20"),
    "currency": "CNY",
    "pay_until": "2025-09-06T10:30:00Z",
}
_staff = staff(*facade.STAFF)


@route(
    *("POST", "/api/v1/orders/create"),
    policy=signed_in,
    refuses=_PLACING,
    key="required",
    lane="checkout",
    gauge=True,
    example=_ORDER,
    answer_example=_PLACED,
)
async def create(body: NewOrder, bus: Bus, who: Principal) -> Placed:
    """Place an order.

    Stock, coupons, points and quotas are all taken, or nothing is. `price_snapshot` is the unit price that the buyer
    saw; where it differs from the price now, 1002 lists `differences`. Pay until `pay_until`, or it cancels itself.
    """
    return await facade.create(bus, who, body)


@route(
    *("POST", "/api/v1/staff/orders"),
    policy=staff("admin", "manager"),
    refuses=_PLACING,
    key="required",
    lane="checkout",
    example={
        "buyer": "018f4e6a-7c1b-7cc0-8000-3f1f9d2e4b5a",
        "items": [{"sku_id": "apple-5kg", "qty": 200, "agreed_price": 41}],
        "shipping_address_id": "home",
    },
    answer_example=_PLACED,
)
async def take(body: SalesOrder, bus: Bus, who: Principal) -> Placed:
    """Take an order for a buyer: by telephone, at a fair, under a contract.

    `agreed_price` is what staff agreed with the buyer for one unit; without it the list price counts. Managers sell
    what their stores have.
    """
    return await facade.take(bus, who, body)


@route(
    *("POST", "/api/v1/cart/submit"),
    policy=signed_in,
    refuses=[CartIsEmpty, *_PLACING],
    key="required",
    lane="checkout",
    gauge=True,
    tags=("checkout",),
    example={"shipping_address_id": "home"},
    answer_example=_PLACED,
)
async def submit(body: SubmitCart, bus: Bus, who: Principal) -> Placed:
    """Order what is in the cart; what was ordered leaves it in the same change."""
    return await facade.submit(bus, who, body)


@route("POST", "/api/v1/quotes", policy=anyone, refuses=_PRICING, key="none", lane="cart")
async def quote(body: AskQuote, bus: Bus, who: Principal) -> QuoteAnswer:
    """What an order would cost now. Nothing is taken or kept."""
    return await facade.quote(bus, who, body)


@route("GET", "/api/v1/orders", policy=signed_in)
async def own_orders(query: OwnOrders, bus: Bus, who: Principal) -> Page[OrderSummary]:
    """Your own orders, newest first."""
    return await facade.own_orders(bus, who, query)


@route("GET", "/api/v1/orders/{order_no}", policy=signed_in, refuses=[OrderNotFound])
async def details(order_no: OrderNo, query: Shown, bus: Bus, who: Principal) -> OrderDetails:
    """An order: yours or, for staff, one that your stores sell in."""
    return await facade.seen(bus, who, order_no, query.vocabulary)


@route("GET", "/api/v1/orders/{order_no}/timeline", policy=signed_in, refuses=[OrderNotFound])
async def timeline(order_no: OrderNo, query: Shown, bus: Bus, who: Principal) -> Timeline:
    """Why an order is as it is: all that happened to it."""
    return await facade.history(bus, who, order_no, query.vocabulary)


@route(
    *("POST", "/api/v1/orders/{order_no}/cancel"),
    policy=signed_in,
    refuses=[OrderNotFound, OrderStateForbids],
    key="required",
    lane="checkout",
)
async def cancel(order_no: OrderNo, bus: Bus, who: Principal) -> Placed:
    """Give up an order that is not paid, or that the warehouse has not begun with; what it held and cost goes back."""
    return await facade.cancel(bus, who, order_no)


@route(
    *("POST", "/api/v1/orders/{order_no}/confirm"),
    policy=signed_in,
    refuses=[OrderNotFound, OrderStateForbids],
    key="required",
    lane="checkout",
)
async def confirm(order_no: OrderNo, bus: Bus, who: Principal) -> Placed:
    """The goods have come and are as ordered; the seller is due the money."""
    return await facade.confirm(bus, who, order_no)


@route("GET", "/api/v1/staff/orders", policy=_staff, lane="reports")
async def find(query: FindOrders, bus: Bus, who: Principal) -> Page[OrderSummary]:
    """Orders of the stores that you work for (of all, for the operator's staff), newest first.

    Sellers see of each order the lines of their stores, and what these come to.
    """
    return await facade.find_orders(bus, who, query)


@route(
    *("POST", "/api/v1/staff/orders/{order_no}/cancel"),
    policy=staff("admin"),
    refuses=[OrderNotFound, OrderStateForbids],
    key="required",
)
async def cancel_for(order_no: OrderNo, body: CancelWish, bus: Bus) -> Placed:
    """Give up an order that has not left, and say why."""
    return await facade.cancel_for(bus, order_no, body.reason)

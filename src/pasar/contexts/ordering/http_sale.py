"""Orders of a sale over HTTP."""

from pasar.kernel.access import Principal, signed_in
from pasar.kernel.bus import Bus
from pasar.kernel.web import Request, route
from pasar.refusals import (
    AccountNotFound,
    AddressNotFound,
    AddressUnusable,
    ChannelNotFound,
    DeviceUnknown,
    InsufficientStock,
    NotForSale,
    PaymentChannelUnavailable,
    PriceNotFound,
    SaleLimitReached,
    SaleNotFound,
    SaleNotOpen,
    SkuNotFound,
    TicketRefused,
    TicketUsed,
)
from pasar.vocabulary import Code

from . import facade_sale
from .bodies import BufferedSaleOrder, SaleOrder, SaleResult
from .contract import Placed

_REFUSES = [
    SaleNotFound, SaleNotOpen, SaleLimitReached, TicketRefused, TicketUsed, DeviceUnknown, InsufficientStock,
    NotForSale, AccountNotFound, AddressNotFound, AddressUnusable, ChannelNotFound, SkuNotFound, PriceNotFound,
    PaymentChannelUnavailable,
]  # fmt: skip


@route(
    *("POST", "/api/v1/flash/sales/{sale}/orders"),
    policy=signed_in,
    refuses=_REFUSES,
    key="required",
    lane="checkout",
    tags=["flash"],
    body_limit=16_384,
    example={"sku_id": "apple-5kg", "qty": 1, "ticket": "7b22…", "shipping_address_id": "home"},
)
async def order_of_sale(sale: Code, body: SaleOrder, bus: Bus, who: Principal, request: Request) -> Placed:
    """Order from a sale, with the ticket that its queue gave.

    Units come from the sale's own; price and limits are the sale's. Pay until `pay_until`, or the units go back.
    """
    return await facade_sale.order(bus, who, sale, body, request.header("x-device-id"))


@route(
    *("POST", "/api/v1/flash/sales/{sale}/orders/buffered"),
    policy=signed_in,
    refuses=_REFUSES,
    key="none",
    lane="checkout",
    tags=["flash"],
    body_limit=16_384,
    example={"sku_id": "apple-5kg", "qty": 1, "ticket": "7b22…", "shipping_address_id": "home"},
)
async def hand_in(sale: Code, body: BufferedSaleOrder, bus: Bus, who: Principal, request: Request) -> SaleResult:
    """Hand an order in; it is placed as soon as it is its turn.

    The ticket is the key: handing in the same again changes nothing. Ask for the result by the ticket's id.
    """
    return await facade_sale.submit(bus, who, sale, body, request.header("x-device-id"))


@route("GET", "/api/v1/flash/orders/{ticket_id}", policy=signed_in, lane="checkout", tags=["flash"])
async def result_of_sale(ticket_id: Code, bus: Bus, who: Principal) -> SaleResult:
    """What became of an order that was handed in. Nobody else's is found."""
    return await facade_sale.result(bus, who, ticket_id)

"""Sales and their queues over HTTP. Orders of a sale are placed at ordering's routes."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from pasar.kernel.access import Principal, anyone, signed_in, staff
from pasar.kernel.bus import Bus
from pasar.kernel.messages import Body, Value
from pasar.kernel.money import Currency
from pasar.kernel.store import Reader
from pasar.kernel.web import Cached, Cursor, Page, Paging, Raw, Request, route
from pasar.kernel.web_refusals import TooManyRequests, Unavailable
from pasar.refusals import (
    ChannelNotFound,
    InsufficientStock,
    NotForSale,
    NotQueued,
    SaleExists,
    SaleLimitReached,
    SaleMalformed,
    SaleNotFound,
    SaleNotOpen,
    SkuNotFound,
)
from pasar.vocabulary import ChannelCode, Sku, Title

from . import facade, facade_queue
from .contract import MAX_ITEMS, PrepareSale, QueuePlace, Sale, SaleCode, SaleItem, SaleKind, SaleLimits, SaleStatus

merchants = staff("admin", "manager")
_QUEUE = [SaleNotFound, SaleNotOpen, NotForSale, NotQueued, SaleLimitReached, TooManyRequests]
_SALE = {
    "title": "Apples at noon",
    "channel": "web",
    "currency": "KRW",
    "starts_at": "2026-11-11T03:00:00Z",
    "ends_at": "2026-11-11T04:00:00Z",
    "items": [{"sku": "apple-5kg", "price": 9900, "units": 1000}],
    "limits": {"per_member": 1},
}


class ItemGiven(SaleItem, forbid_unknown_fields=True):
    """What is to be sold."""


class LimitsGiven(SaleLimits, forbid_unknown_fields=True):
    """What one may take."""


class NewSale(Body):
    """A sale to prepare. `queued`: orders need a ticket of the queue."""

    kind: SaleKind = "flash"
    title: Title
    channel: ChannelCode
    currency: Currency
    starts_at: datetime
    ends_at: datetime
    items: Annotated[tuple[ItemGiven, ...], Meta(min_length=1, max_length=MAX_ITEMS)]
    limits: LimitsGiven = LimitsGiven()
    queued: bool = True


class Wish(Value):
    units: Annotated[int, Meta(ge=1, le=1000, description="How many units the ticket is to be for.")] = 1
    wait_s: Annotated[
        int, Meta(ge=0, le=20, description='Seconds that the answer may wait for a ticket, or for "sold out".')
    ] = 0


@route(
    *("PUT", "/api/v1/staff/flash/sales/{sale}"),
    policy=merchants,
    refuses=[SaleExists, SaleMalformed, InsufficientStock, SkuNotFound, ChannelNotFound],
    example=_SALE,
)
async def prepare(sale: SaleCode, body: NewSale, bus: Bus) -> Sale:
    """Prepare a sale: its units leave the pools of their SKUs now, and come back when it ends, as far as unsold."""
    fields = {name: getattr(body, name) for name in body.__struct_fields__}
    fields["items"] = tuple(SaleItem(sku=item.sku, price=item.price, units=item.units) for item in body.items)
    fields["limits"] = SaleLimits(**{name: getattr(body.limits, name) for name in SaleLimits.__struct_fields__})
    return await facade.prepare(bus, PrepareSale(sale=sale, **fields))


@route("POST", "/api/v1/staff/flash/sales/{sale}/end", policy=merchants, refuses=[SaleNotFound])
async def end(sale: SaleCode, bus: Bus) -> Sale:
    """End a sale before its time."""
    return await facade.end(bus, sale)


@route("GET", "/api/v1/staff/flash/sales", policy=merchants)
async def sales(query: Paging, db: Reader) -> Page[Sale]:
    """All sales by their codes."""
    found = await facade.sales(db, query.limit + 1, Cursor.read(query.cursor, str))
    more = len(found) > query.limit
    return Page(items=found[: query.limit], next=Cursor.write(found[query.limit - 1].sale) if more else None)


@route("GET", "/api/v1/flash/sales/{sale}", policy=anyone, refuses=[SaleNotFound], tags=["flash"])
async def status(sale: SaleCode, bus: Bus) -> Cached[SaleStatus]:
    """How a sale stands: when it runs, what it sells, how much is left."""
    return Cached(await facade_queue.status(bus, sale), max_age_s=1, public=True)


@route(
    *("PUT", "/api/v1/flash/sales/{sale}/queue/{sku}"),
    policy=signed_in,
    refuses=_QUEUE,
    key="none",
    lane="queue",
    tags=["flash"],
    timeout_s=30,
)
async def join(sale: SaleCode, sku: Sku, query: Wish, bus: Bus, who: Principal, request: Request) -> QueuePlace:
    """Join the queue for a SKU of a sale, or ask for one's place in it.

    `admitted` gives a ticket for one order. `waiting` says how many stand before you and when to ask again; who does
    not ask loses the place. `full`: others have tickets for all that is left; ask again, some may not use theirs.
    `sold_out` with a position: should units come back, you are that far from them. With `wait_s` the answer comes as
    soon as it is one of the final ones, so nobody need ask again and again.
    """
    device, address = request.header("x-device-id"), request.client
    return await facade_queue.join(bus, who, sale, sku, query.units, device, address, query.wait_s)


@route("GET", "/api/v1/flash/sales/{sale}/queue/{sku}", policy=signed_in, refuses=_QUEUE, tags=["flash"])
async def place(sale: SaleCode, sku: Sku, bus: Bus, who: Principal) -> QueuePlace:
    """One's place in the queue. Asking keeps it."""
    return await facade_queue.look(bus, who, sale, sku)


@route(
    *("GET", "/api/v1/flash/sales/{sale}/queue/{sku}/events"),
    policy=signed_in,
    refuses=[*_QUEUE, Unavailable],
    tags=["flash"],
)
async def events(sale: SaleCode, sku: Sku, bus: Bus, who: Principal) -> Raw:
    """One's place in the queue as server-sent events, for a minute at most."""
    body = await facade_queue.stream(bus, who, sale, sku)
    return Raw(body, content_type="text/event-stream", headers={"Cache-Control": "no-store"})

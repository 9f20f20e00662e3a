"""Routes of fulfillment: for those who prepare and send parcels, and the buyer's tracking."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from pasar.kernel.access import Principal, seller, signed_in, staff
from pasar.kernel.bus import Bus
from pasar.kernel.free_text import TextBody
from pasar.kernel.messages import Body
from pasar.kernel.store import Reader
from pasar.kernel.web import Cursor, Page, Paging, route
from pasar.refusals import OrderNotFound, ParcelNotFound, ParcelStateForbids, TrackingNoTaken
from pasar.vocabulary import OrderNo, WarehouseCode

from . import facade
from .contract import (
    Carrier,
    DeliverParcel,
    Fulfillment,
    NoteInTransit,
    PackParcel,
    ParcelState,
    ParcelToDo,
    PickParcel,
    ShipParcel,
    ShippingLine,
    StartPreparing,
    TrackingNo,
)

handlers = staff("warehouse", "admin", "manager") | seller
TO_DO: tuple[ParcelState, ...] = ("waiting", "preparing", "picked", "packed")
ParcelName = Annotated[str, Meta(pattern=r"^[0-9]{1,4}$", description="number of the parcel within its order")]
_MOVES = [ParcelNotFound, ParcelStateForbids]
_PARCEL = "/api/v1/fulfillment/orders/{order_no}/parcels/{parcel}"


class Parcels(Paging):
    """Without `state`: all that is still to be sent."""

    state: list[ParcelState] = []
    warehouse: WarehouseCode | None = None


class Shipping(Body):
    carrier: Carrier
    tracking_no: TrackingNo


class Seen(TextBody):
    free_texts = ("place",)
    place: Annotated[str, Meta(max_length=200)] = ""


class ShippingList(Body):
    """A line is order number, parcel (left out where there is one) and tracking number, as in a sheet."""

    carrier: Carrier
    text: Annotated[str, Meta(min_length=1, max_length=100_000)]


@route("GET", "/api/v1/fulfillment/parcels", policy=handlers)
async def parcels(query: Parcels, db: Reader, who: Principal) -> Page[ParcelToDo]:
    """Parcels by state and warehouse, oldest first; sellers see those of their stores."""
    after = Cursor.read(query.cursor, tuple[datetime, str, str])
    states = query.state or TO_DO
    items = await facade.parcels(db, who, states=states, warehouse=query.warehouse, limit=query.limit, after=after)
    last = items[-1] if len(items) == query.limit else None
    return Page(items=items, next=last and Cursor.write((last.allocated_at, last.order_no, last.parcel)))


@route("POST", f"{_PARCEL}/prepare", policy=handlers, refuses=_MOVES)
async def prepare(order_no: OrderNo, parcel: ParcelName, bus: Bus, who: Principal) -> Fulfillment:
    """Start to prepare a parcel."""
    return await facade.move(bus, who, StartPreparing(order_no=order_no, parcel=parcel, at=bus.now()))


@route("POST", f"{_PARCEL}/pick", policy=handlers, refuses=_MOVES)
async def pick(order_no: OrderNo, parcel: ParcelName, bus: Bus, who: Principal) -> Fulfillment:
    """All pieces of a parcel are picked."""
    return await facade.move(bus, who, PickParcel(order_no=order_no, parcel=parcel, at=bus.now()))


@route("POST", f"{_PARCEL}/pack", policy=handlers, refuses=_MOVES)
async def pack(order_no: OrderNo, parcel: ParcelName, bus: Bus, who: Principal) -> Fulfillment:
    """A parcel is packed."""
    return await facade.move(bus, who, PackParcel(order_no=order_no, parcel=parcel, at=bus.now()))


@route("POST", f"{_PARCEL}/ship", policy=handlers, refuses=[*_MOVES, TrackingNoTaken], key="required",
       example={"carrier": "cj", "tracking_no": "6312-0001"})  # fmt: skip
async def ship(order_no: OrderNo, parcel: ParcelName, body: Shipping, bus: Bus, who: Principal) -> Fulfillment:
    """A parcel was given to its carrier."""
    command = ShipParcel(
        order_no=order_no, parcel=parcel, carrier=body.carrier, tracking_no=body.tracking_no, at=bus.now()
    )
    return await facade.move(bus, who, command)


@route("POST", f"{_PARCEL}/transit", policy=handlers, refuses=_MOVES, example={"place": "Daejeon hub"})
async def transit(order_no: OrderNo, parcel: ParcelName, body: Seen, bus: Bus, who: Principal) -> Fulfillment:
    """The carrier saw a parcel on its way."""
    return await facade.move(bus, who, NoteInTransit(order_no=order_no, parcel=parcel, place=body.place, at=bus.now()))


@route("POST", f"{_PARCEL}/deliver", policy=handlers, refuses=_MOVES)
async def deliver(order_no: OrderNo, parcel: ParcelName, bus: Bus, who: Principal) -> Fulfillment:
    """A parcel has reached its buyer."""
    return await facade.move(bus, who, DeliverParcel(order_no=order_no, parcel=parcel, at=bus.now()))


@route("POST", "/api/v1/fulfillment/shipments", policy=handlers, key="none", lane="jobs", timeout_s=60,
       example={"carrier": "cj", "text": "202611210001 1 6312-0001"})  # fmt: skip
async def ship_list(body: ShippingList, bus: Bus, who: Principal) -> list[ShippingLine]:
    """Ship a pasted list of tracking numbers; each line is done or refused by itself, repeating it is safe."""
    return await facade.ship_list(bus, who, body.carrier, body.text)


@route("GET", "/api/v1/orders/{order_no}/fulfillment", policy=signed_in, refuses=[OrderNotFound])
async def of_order(order_no: OrderNo, db: Reader, who: Principal) -> Fulfillment:
    """Where the goods of an order are: parcels, stages with times, tracking numbers."""
    return await facade.of_order(db, order_no, who)

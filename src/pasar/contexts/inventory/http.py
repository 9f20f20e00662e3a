"""Routes of inventory: for warehouse staff, for carts, and availability for everyone."""

from datetime import date
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from pasar.kernel.access import Principal, anyone, signed_in, staff
from pasar.kernel.bus import Bus
from pasar.kernel.free_text import TextBody
from pasar.kernel.messages import Answer, Body, Bounds, FieldError, Value
from pasar.kernel.store import Reader
from pasar.kernel.web import Cursor, Page, Paging, route
from pasar.kernel.web_refusals import InvalidRequest
from pasar.refusals import (
    HoldIsAnother,
    HoldIsOver,
    HoldNotExtendable,
    HoldNotFound,
    InsufficientStock,
    NotThatMuchThere,
    StockIsAnother,
    StockIsBusy,
    TooManyHolds,
    WarehouseExists,
    WarehouseUnknown,
)
from pasar.vocabulary import BatchId, CountryCode, HoldId, Sku, Title, Units, WarehouseCode

from . import facade
from .contract import (
    NO_BATCH,
    Adjustment,
    Availability,
    Held,
    Movement,
    OpenWarehouse,
    PlacedStock,
    Receipt,
    ReceivedLine,
    StockOverview,
    Transferred,
    Warehouse,
)

keepers = staff("warehouse", "admin")
MOST_SKUS = 100


class NewWarehouse(Body):
    """A place where goods lie. Latitude and longitude in degrees (WGS 84)."""

    warehouse: WarehouseCode
    name: Title
    country: CountryCode
    latitude: Annotated[Decimal, Bounds(ge=Decimal(-90), le=Decimal(90))] = Decimal(0)
    longitude: Annotated[Decimal, Bounds(ge=Decimal(-180), le=Decimal(180))] = Decimal(0)


class NewLine(Body):
    sku: Sku
    quantity: Units
    batch: BatchId | None = None
    expires_on: date | None = None


class NewReceipt(Body):
    warehouse: WarehouseCode
    lines: Annotated[tuple[NewLine, ...], Meta(min_length=1, max_length=1000)]
    reference: Annotated[str, Meta(max_length=100)] = ""


class NewAdjustment(TextBody):
    free_texts = ("reason",)
    warehouse: WarehouseCode
    sku: Sku
    batch: BatchId | None = None
    delta: Annotated[int, Meta(ge=-1_000_000_000, le=1_000_000_000)]
    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class NewTransfer(Body):
    from_warehouse: WarehouseCode
    to_warehouse: WarehouseCode
    sku: Sku
    batch: BatchId | None = None
    quantity: Units


class NewHold(Body):
    sku: Sku
    quantity: Units


class Skus(Value):
    sku: list[Sku]


class OfSku(Paging):
    sku: Sku


class Overview(Answer):
    """What is counted of a SKU: in all, and by batch for those who name one."""

    total: StockOverview
    batches: list[StockOverview]


@route("POST", "/api/v1/inventory/warehouses", policy=keepers, refuses=[WarehouseExists], status=201,
       example={"warehouse": "icheon", "name": "Icheon", "country": "KR", "latitude": 37})  # fmt: skip
async def open_warehouse(body: NewWarehouse, bus: Bus) -> Warehouse:
    """Open a warehouse; a repeat with the same content changes nothing."""
    return await bus.send(
        OpenWarehouse(
            warehouse=body.warehouse,
            name=body.name,
            country=body.country,
            latitude=body.latitude,
            longitude=body.longitude,
        )
    )


@route("GET", "/api/v1/inventory/warehouses", policy=keepers)
async def warehouses(db: Reader) -> list[Warehouse]:
    """All warehouses."""
    return await facade.warehouses(db)


@route("GET", "/api/v1/inventory/warehouses/{code}/stock", policy=keepers)
async def stock_of_warehouse(code: WarehouseCode, query: Paging, db: Reader) -> Page[PlacedStock]:
    """What lies in a warehouse, by SKU and batch."""
    after = Cursor.read(query.cursor, tuple[str, str])
    items = await facade.stock_of_warehouse(db, code, limit=query.limit, after=after)
    last = items[-1] if len(items) == query.limit else None
    return Page(items=items, next=last and Cursor.write((last.sku, last.batch or NO_BATCH)))


@route("PUT", "/api/v1/inventory/receipts/{receipt}", policy=keepers, key="required",
       refuses=[WarehouseUnknown, StockIsAnother, StockIsBusy],
       example={"warehouse": "icheon", "lines": [{"sku": "apple-5kg", "quantity": 40, "batch": "2026-11",
                                                  "expires_on": "2026-12-31"}]})  # fmt: skip
async def receive(receipt: UUID, body: NewReceipt, bus: Bus) -> Receipt:
    """Book goods that arrived. What loss took from those who were promised is filled first."""
    lines = tuple(
        ReceivedLine(sku=line.sku, quantity=line.quantity, batch=line.batch, expires_on=line.expires_on)
        for line in body.lines
    )
    return await facade.receive(bus, receipt, body.warehouse, lines, reference=body.reference)


@route("PUT", "/api/v1/inventory/adjustments/{adjustment}", policy=keepers, key="required",
       refuses=[WarehouseUnknown, StockIsAnother, NotThatMuchThere, StockIsBusy],
       example={"warehouse": "icheon", "sku": "apple-5kg", "delta": -2, "reason": "rotten"})  # fmt: skip
async def adjust(adjustment: UUID, body: NewAdjustment, bus: Bus) -> Adjustment | None:
    """Book what stocktaking found: pieces more, or (negative) less."""
    return await facade.adjust(bus, adjustment, body.warehouse, body.sku, body.batch, body.delta, body.reason)


@route("PUT", "/api/v1/inventory/transfers/{transfer}", policy=keepers, key="required",
       refuses=[WarehouseUnknown, StockIsAnother, NotThatMuchThere],
       example={"from_warehouse": "icheon", "to_warehouse": "busan", "sku": "apple-5kg", "quantity": 5})  # fmt: skip
async def move(transfer: UUID, body: NewTransfer, bus: Bus) -> Transferred | None:
    """Move pieces between two warehouses; what may be sold stays the same."""
    source, target = body.from_warehouse, body.to_warehouse
    return await facade.move(bus, transfer, source, target, body.sku, body.batch, body.quantity)


@route("GET", "/api/v1/inventory/availability", policy=anyone)
async def availability(query: Skus, db: Reader) -> list[Availability]:
    """How many units of up to 100 SKUs (`sku=…&sku=…`) can be promised now. 0 is sold out."""
    if len(query.sku) > MOST_SKUS:
        raise InvalidRequest(errors=(FieldError(field="sku", detail=f"at most {MOST_SKUS} at once"),))
    return await facade.availability(db, query.sku)


@route("GET", "/api/v1/inventory/stock/{sku}", policy=keepers)
async def overview(sku: Sku, db: Reader) -> Overview:
    """All that is counted of a SKU at one instant."""
    total, *batches = await facade.overview(db, sku) or [
        StockOverview(sku=sku, stock=0, available=0, held=0, sold=0, shortfall=0)
    ]
    return Overview(total=total, batches=batches)


@route("GET", "/api/v1/inventory/movements", policy=keepers, lane="reports")
async def movements(query: OfSku, db: Reader) -> Page[Movement]:
    """The movement journal of a SKU, newest first."""
    after = Cursor.read(query.cursor, tuple[int, int])
    items = await facade.movements(db, query.sku, limit=query.limit, after=after)
    last = items[-1] if len(items) == query.limit else None
    return Page(items=items, next=last and Cursor.write((last.position, last.line)))


@route("PUT", "/api/v1/inventory/holds/{hold}", policy=signed_in,
       refuses=[InsufficientStock, HoldIsOver, HoldIsAnother, TooManyHolds],
       example={"sku": "apple-5kg", "quantity": 2})  # fmt: skip
async def hold_stock(hold: HoldId, body: NewHold, bus: Bus, who: Principal) -> Held:
    """Keep units for a cart for 15 minutes; safe to repeat."""
    return await facade.hold_stock(bus, hold, UUID(who.id), body.sku, body.quantity)


@route("GET", "/api/v1/inventory/holds", policy=signed_in)
async def holds(query: Paging, db: Reader, who: Principal) -> list[Held]:
    """One's own newest holds."""
    return await facade.holds_of(db, UUID(who.id), limit=query.limit)


@route("GET", "/api/v1/inventory/holds/{hold}", policy=signed_in, refuses=[HoldNotFound])
async def hold_of(hold: HoldId, db: Reader, who: Principal) -> Held:
    """An own hold."""
    return await facade.hold_of(db, UUID(who.id), hold)


@route("POST", "/api/v1/inventory/holds/{hold}/extend", policy=signed_in,
       refuses=[HoldNotFound, HoldIsOver, HoldNotExtendable])  # fmt: skip
async def extend_hold(hold: HoldId, bus: Bus, who: Principal) -> Held:
    """Keep the units 15 minutes longer; twice at most."""
    return await facade.extend_hold(bus, UUID(who.id), hold)


@route("DELETE", "/api/v1/inventory/holds/{hold}", policy=signed_in, refuses=[HoldNotFound])
async def release_hold(hold: HoldId, bus: Bus, who: Principal) -> Held:
    """Give the units back; safe to repeat."""
    return await facade.release_hold(bus, UUID(who.id), hold)

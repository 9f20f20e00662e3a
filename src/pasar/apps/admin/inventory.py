"""Stock: what may be sold, what lies where, what came and went, what is kept in carts, what expires."""

from datetime import date, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta
from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import mark
from pasar.apps.pages.visit import Visit
from pasar.contexts.catalog import facade as catalog
from pasar.contexts.catalog.contract import GridQuestion
from pasar.contexts.inventory import facade as inventory
from pasar.contexts.inventory.contract import AdjustStock, MoveStock, OpenWarehouse, ReceiveStock
from pasar.kernel.web import Cursor
from pasar.refusals import SkuNotFound

from .desk import checked, handlers, keepers, scope
from .sign_in import ask_again

PAGE = 40
MOVEMENTS = 30
EXPIRY_DAYS = 30


class StockQuery(msgspec.Struct):
    q: Annotated[str, Meta(max_length=100)] = ""
    low: bool = False
    cursor: Annotated[str, Meta(max_length=1024)] | None = None


class WarehouseQuery(msgspec.Struct):
    cursor: Annotated[str, Meta(max_length=1024)] | None = None


def _scope(visit: Visit) -> frozenset[str] | None:
    """Keepers see all stock, sellers that of their stores."""
    return None if visit.who.has("warehouse") else scope(visit.who)


@page("GET", "/console/inventory", policy=handlers, lane="reports")
async def stock(visit: Visit) -> Response:
    """SKUs with what may still be sold of each."""
    asked = visit.query(StockQuery)
    question = GridQuestion(stores=_scope(visit), words=asked.q)
    found, following = await catalog.stock_list(
        visit.db, question, at_most=5 if asked.low else None, limit=PAGE, cursor=asked.cursor
    )
    is_keeper = keepers.check(visit.who, {})
    pieces: dict[str, int] = {}
    for place in await inventory.places(visit.db, [one.sku for one in found]) if is_keeper else ():
        pieces[place.sku] = pieces.get(place.sku, 0) + place.quantity
    return visit.render(
        "console/inventory.html",
        rows=found,
        next=following,
        asked=asked,
        pieces=pieces,
        is_keeper=is_keeper,
        warehouses=await inventory.warehouses(visit.db),
        intent=visit.new_intent(),
    )


@page("GET", "/console/inventory/holds", policy=keepers, lane="reports")
async def holds(visit: Visit) -> Response:
    """What carts keep just now, the soonest to end first."""
    after = Cursor.read(visit.query(WarehouseQuery).cursor, tuple[datetime, UUID])
    found = await inventory.open_holds(visit.db, sku=None, limit=PAGE, after=after)
    last = found[-1] if len(found) == PAGE else None
    following = last and Cursor.write((last.until, last.hold))
    return visit.render("console/holds.html", holds=found, next=following)


@page("GET", "/console/inventory/expiry", policy=keepers, lane="reports")
async def expiry(visit: Visit) -> Response:
    """Batches that may soon not be sold any more."""
    today = visit.core.clock.now().date()
    found = await inventory.expiring(visit.db, today + timedelta(days=EXPIRY_DAYS), limit=200)
    return visit.render("console/expiry.html", batches=found, today=today, days=EXPIRY_DAYS)


@page("GET", "/console/inventory/warehouses/{code}", policy=keepers, lane="reports")
async def warehouse(visit: Visit) -> Response:
    """What lies in a warehouse, by SKU and batch."""
    code = visit.path["code"]
    after = Cursor.read(visit.query(WarehouseQuery).cursor, tuple[str, str])
    found = await inventory.stock_of_warehouse(visit.db, code, limit=PAGE, after=after)
    last = found[-1] if len(found) == PAGE else None
    places = await inventory.warehouses(visit.db)
    return visit.render(
        "console/warehouse.html",
        rows=found,
        next=last and Cursor.write((last.sku, last.batch or "-")),
        place=next((one for one in places if one.warehouse == code), None),
        code=code,
    )


@page("GET", "/console/inventory/skus/{sku:path}", policy=handlers)
async def sku(visit: Visit) -> Response:
    """All that is counted of a SKU: pools and pieces side by side, and its movements."""
    code, is_keeper = visit.path["sku"], keepers.check(visit.who, {})
    found = (await catalog.for_sale(visit.db, [code])).get(code)
    stores = _scope(visit)
    if found is None or (stores is not None and found.store not in stores):
        raise SkuNotFound(f"there is no SKU {code}")
    after = Cursor.read(visit.query(WarehouseQuery).cursor, tuple[int, int])
    movements = await inventory.movements(visit.db, code, limit=MOVEMENTS, after=after)
    last = movements[-1] if len(movements) == MOVEMENTS else None
    total, *batches = await inventory.overview(visit.db, code) or [None]
    return visit.render(
        "console/sku.html",
        sku=found,
        total=total,
        batches=batches,
        places=await inventory.places(visit.db, [code]),
        movements=movements,
        next=last and Cursor.write((last.position, last.line)),
        holds=await inventory.open_holds(visit.db, sku=code, limit=10) if is_keeper else [],
        is_keeper=is_keeper,
        warehouses=await inventory.warehouses(visit.db),
        intent=visit.new_intent(),
    )


def _back(visit: Visit, sku: str) -> Response:
    return visit.go(f"/console/inventory/skus/{sku}" if sku and visit.text("from") == "sku" else "/console/inventory")


@page("POST", "/console/inventory/receipts", policy=keepers)
async def receive(visit: Visit) -> Response:
    """Goods have come."""
    line: dict[str, Any] = {"sku": visit.text("sku"), "quantity": visit.text("quantity")}
    if visit.text("batch"):
        line |= {"batch": visit.text("batch"), "expires_on": _day(visit.text("expires_on"))}
    wish = {"receipt": visit.intent, "warehouse": visit.text("warehouse"), "lines": [line],
            "reference": visit.text("reference")}  # fmt: skip
    command = checked(wish, ReceiveStock)
    if command.lines[0].sku not in await catalog.for_sale(visit.db, [command.lines[0].sku]):
        raise SkuNotFound(f"there is no SKU {command.lines[0].sku}")
    await inventory.receive(visit.bus(), command.receipt, command.warehouse, command.lines, reference=command.reference)
    visit.say(mark("Received: %(units)s units."), units=command.lines[0].quantity)
    return _back(visit, command.lines[0].sku)


def _day(text: str) -> date | None:
    return checked({"day": text}, _Day).day if text else None


class _Day(msgspec.Struct):
    day: date


@page("POST", "/console/inventory/adjustments", policy=keepers)
async def adjust(visit: Visit) -> Response:
    """What stocktaking found: pieces more or less, and why."""
    wish = {
        "adjustment": visit.intent, "warehouse": visit.text("warehouse"), "sku": visit.text("sku"),
        "batch": visit.text("batch") or None, "delta": visit.text("delta"), "reason": visit.text("reason"),
    }  # fmt: skip
    command = checked(wish, AdjustStock)
    if command.delta <= -100:
        act = visit.language.say("Write off %(units)s units of %(sku)s", units=-command.delta, sku=command.sku)
        if (asked := await ask_again(visit, act, mark("They leave the books of the warehouse."))) is not None:
            return asked
    await inventory.adjust(
        visit.bus(), command.adjustment, command.warehouse, command.sku, command.batch, command.delta, command.reason
    )
    visit.say(mark("The adjustment is booked."))
    return _back(visit, command.sku)


@page("POST", "/console/inventory/transfers", policy=keepers)
async def move(visit: Visit) -> Response:
    """From one warehouse to another; what may be sold stays the same."""
    wish = {
        "transfer": visit.intent, "from_warehouse": visit.text("source"), "to_warehouse": visit.text("target"),
        "sku": visit.text("sku"), "batch": visit.text("batch") or None, "quantity": visit.text("quantity"),
    }  # fmt: skip
    one = checked(wish, MoveStock)
    await inventory.move(
        visit.bus(), one.transfer, one.from_warehouse, one.to_warehouse, one.sku, one.batch, one.quantity
    )
    visit.say(mark("The goods are moved."))
    return _back(visit, one.sku)


@page("POST", "/console/inventory/warehouses", policy=keepers)
async def open_warehouse(visit: Visit) -> Response:
    """A new place where goods lie."""
    wish = {name: visit.text(name) for name in ("warehouse", "name", "country")}
    await visit.bus().send(checked(wish, OpenWarehouse))
    visit.say(mark("The warehouse is open."))
    return visit.go("/console/inventory")

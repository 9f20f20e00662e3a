"""One list over all channels, and an order with everything that is known of it."""

import csv
import io
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta
from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import mark
from pasar.apps.pages.visit import Visit
from pasar.contexts.aftersales import facade as aftersales
from pasar.contexts.finance import facade as finance
from pasar.contexts.fulfillment import facade as fulfillment
from pasar.contexts.fulfillment.contract import Fulfillment
from pasar.contexts.ordering import facade as ordering
from pasar.contexts.payment import facade as payment
from pasar.contexts.payment.contract_staff import FindPayments
from pasar.contexts.platform import facade as platform
from pasar.contexts.platform.contract import ForgetSearch, KeepSearch
from pasar.kernel.messages import convert
from pasar.kernel.web import Page as Part
from pasar.refusals import OrderNotFound

from .desk import checked, everyone, mall_of, masked, plain
from .tables import as_csv

PAGE = 25
EXPORTED = 2_000
STATES = (
    "PENDING_PAYMENT", "PAID", "ALLOCATED", "PREPARING", "PICKED", "PACKED", "PARTIAL_SHIPPED", "SHIPPED",
    "IN_TRANSIT", "DELIVERED", "CONFIRMED", "COMPLETED", "AFTER_SALE_OPEN", "PARTIAL_REFUNDED", "REFUNDED", "CANCELED",
)  # fmt: skip
TABS = ("", "PENDING_PAYMENT", "PAID", "ALLOCATED", "PACKED", "IN_TRANSIT", "DELIVERED", "AFTER_SALE_OPEN", "CANCELED")
TAB_DAYS = 90
CANCELLABLE = ("PENDING_PAYMENT", "PAYMENT_PROCESSING", "PAID", "ALLOCATED", "PREPARING", "PICKED", "PACKED")
REASONS = {
    "seller": mark("The seller cannot deliver"),
    "out_of_stock": mark("Out of stock"),
    "fraud": mark("Suspected fraud"),
}
NEXT_STEP = {
    "waiting": ("prepare", mark("Start preparing")),
    "preparing": ("pick", mark("Picked")),
    "picked": ("pack", mark("Packed")),
    "shipped": ("transit", mark("Seen on its way")),
    "in_transit": ("deliver", mark("Delivered")),
}


class OrdersQuery(msgspec.Struct):
    """The filters of the list. `since` and `until` are days, both included."""

    state: Annotated[str, Meta(max_length=40)] = ""
    store: Annotated[str, Meta(max_length=64)] = ""
    channel: Annotated[str, Meta(max_length=64)] = ""
    q: Annotated[str, Meta(max_length=20)] = ""
    since: date | None = None
    until: date | None = None
    cursor: Annotated[str, Meta(max_length=1024)] | None = None

    def kept(self) -> dict[str, str]:
        """As a query of an address, without where one is in the list."""
        return {
            name: str(value)
            for name in ("state", "store", "channel", "q", "since", "until")
            if (value := getattr(self, name))
        }


def _instant(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(zone))


def wish_of(visit: Visit, asked: OrdersQuery, limit: int) -> ordering.FindOrders:
    """What the filters mean to ordering. What it does not know finds nothing rather than everything."""
    zone = visit.core.settings.section("ordering").time_zone
    wish: dict[str, Any] = {"limit": limit, "vocabulary": "canonical", "cursor": asked.cursor}
    wish["state"] = asked.state if asked.state in STATES else None
    wish["store"], wish["channel"] = asked.store or None, asked.channel or None
    wish["order_no"] = "".join(letter for letter in asked.q if letter in "0123456789") or None
    wish["placed_from"] = None if asked.since is None else _instant(asked.since, zone)
    wish["placed_to"] = None if asked.until is None else _instant(asked.until + timedelta(days=1), zone)
    return checked(wish, ordering.FindOrders)


async def _found(visit: Visit, asked: OrdersQuery, limit: int) -> Part[Any]:
    return await ordering.find_orders(visit.bus(), visit.who, wish_of(visit, asked, limit))


@page("GET", "/console/orders", policy=everyone, lane="reports")
async def orders(visit: Visit) -> Response:
    """All orders that somebody may see, newest first."""
    asked = visit.query(OrdersQuery)
    found = await _found(visit, asked, PAGE)
    return visit.render(
        "console/orders.html",
        orders=found.items,
        next=found.next,
        asked=asked,
        kept=asked.kept(),
        states=STATES,
        tabs=TABS,
        counts=await ordering.by_status(visit.bus(), visit.who, TAB_DAYS),
        searches=await platform.kept_searches(visit.db, visit.account, "orders"),
    )


@page("GET", "/console/orders/export", policy=everyone, lane="reports", timeout_s=60)
async def export(visit: Visit) -> Response:
    """The list as a file, as far as it is filtered, at most 2,000 orders."""
    asked, rows = visit.query(OrdersQuery), list[list[Any]]()
    while len(rows) < EXPORTED:
        found = await _found(visit, asked, 100)
        for one in found.items:
            for line in one.lines:
                rows.append([
                    one.order_no, one.placed_at.isoformat(), one.channel, one.status, line.store, line.sku, line.title,
                    line.quantity, line.unit_price, line.amount - line.discount, one.currency,
                ])  # fmt: skip
        if found.next is None:
            break
        asked.cursor = found.next
    header = "order_no placed_at channel status store sku title quantity unit_price amount currency".split()
    return as_csv("orders", header, rows)


@page("POST", "/console/orders/searches", policy=everyone)
async def keep_search(visit: Visit) -> Response:
    """Keep the filters under a name, or forget them."""
    name, query = visit.text("name")[:40], visit.text("query")[:500]
    if visit.text("act") == "forget":
        await visit.bus().send(ForgetSearch(account=visit.account, list="orders", name=name))
        return visit.go("/console/orders")
    wish = {"account": str(visit.account), "list": "orders", "name": name, "query": query}
    await visit.bus().send(checked(wish, KeepSearch))
    visit.say(mark("The search is kept."))
    return visit.back("/console/orders")


@page("GET", "/console/orders/{order_no}", policy=everyone)
async def order(visit: Visit) -> Response:
    """An order: lines, money, parcels, what can be done, and why it is as it is."""
    order_no, who, db = visit.path["order_no"], visit.who, visit.db
    seen = await visit.opened(await ordering.seen(visit.bus(), who, order_no, "canonical"))
    story = await ordering.history(visit.bus(), who, order_no, "canonical")
    payments = []
    if who.has("admin", "finance"):
        payments = (await payment.find(db, convert({"order_no": order_no, "limit": 50}, FindPayments))).items
    sent = await parcels_of(visit, order_no)
    cases = await aftersales.find(db, who, convert({"order_no": order_no, "limit": 50}, aftersales.FindCases))
    return visit.render(
        "console/order.html",
        order=seen,
        moments=list(reversed(story.moments)),
        parcels=sent.parcels if sent else (),
        steps=NEXT_STEP,
        address=address_lines(seen.address, in_clear=who.has("seller", "manager", "warehouse")),
        payments=payments,
        cases=cases.items,
        shares=await finance.shares_of(db, order_no, ordering.may_see(who)),
        can_cancel=who.has("admin") and seen.stage in CANCELLABLE and seen.status != "CANCELED",
        can_book=who.has("admin", "finance") and seen.status in ("PENDING_PAYMENT", "CREATED"),
        reasons=REASONS,
        names=mall_of(visit).stores,
        intent=visit.new_intent(),
    )


async def parcels_of(visit: Visit, order_no: str) -> Fulfillment | None:
    """The parcels that somebody may see; None while nothing is allocated."""
    try:
        return await fulfillment.of_order(visit.db, order_no, visit.who)
    except OrderNotFound:
        return None


def address_lines(address: Any, *, in_clear: bool) -> list[str]:
    """Where an order goes: in clear for those who send it, else only so far that it can be recognised."""
    show = plain if in_clear else lambda private: masked(plain(private))
    personal = [show(address.recipient), show(address.phone), show(address.line1), show(address.line2)]
    return [line for line in (*personal, f"{address.postal_code} {address.city}".strip(), address.country) if line]


def read_csv(text: str) -> list[list[str]]:
    """Rows of a pasted or uploaded sheet: comma, semicolon, tab or spaces between the cells."""
    delimiter = next((mark for mark in "\t;," if mark in text), None)
    if delimiter is None:
        return [line.split() for line in text.splitlines() if line.strip()]
    return [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(cell.strip() for cell in row)]

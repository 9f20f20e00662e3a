"""A buyer's orders: the list, one with its timeline, and what can be done about it."""

from collections.abc import Iterable
from typing import Any

from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import RETURN_REASONS, mark
from pasar.apps.pages.visit import Visit
from pasar.contexts.aftersales import facade as aftersales
from pasar.contexts.aftersales.contract import NewReturn, ReturnLine
from pasar.contexts.catalog import facade as catalog
from pasar.contexts.fulfillment import facade as fulfillment
from pasar.contexts.ordering import facade as ordering
from pasar.kernel.access import signed_in
from pasar.kernel.messages import Refused, convert

from .buying import UNPAID
from .shop import title_of

PAGE = 10
CANCELLABLE = (*UNPAID, "PAID", "ALLOCATED")
ARRIVING = ("PARTIAL_SHIPPED", "SHIPPED", "IN_TRANSIT", "DELIVERED")
RETURNABLE = (*ARRIVING, "CONFIRMED", "COMPLETED", "PARTIAL_REFUNDED")


@page("GET", "/orders", policy=signed_in)
async def own(visit: Visit) -> Response:
    """The visitor's orders, the newest first."""
    wish = {"limit": PAGE, "cursor": visit.request.query_params.get("cursor"), "vocabulary": "canonical"}
    found = await ordering.own_orders(visit.bus(), visit.who, convert(wish, ordering.OwnOrders))
    goods = await shown_goods(visit, (line.sku for order in found.items for line in order.lines))
    return visit.render("store/orders.html", orders=found.items, next=found.next, goods=goods)


async def shown_goods(visit: Visit, skus: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Of each SKU: the product, its picture and its title in the visitor's language, as far as it is still there."""
    on_sale = await catalog.for_sale(visit.db, set(skus))
    products = await catalog.products(visit.db, {one.product for one in on_sale.values()})
    found: dict[str, dict[str, Any]] = {}
    for sku, one in on_sale.items():
        product = products[one.product]
        options = next((spec.options for spec in product.skus if spec.sku == sku), ())
        picture = product.media[0].url if product.media else None
        found[sku] = {
            "product": product.product, "picture": picture, "title": title_of(visit, product), "options": options,
        }  # fmt: skip
    return found


@page("GET", "/orders/{order_no}", policy=signed_in)
async def order(visit: Visit) -> Response:
    """One order: what happened, where it is, what it came to."""
    order_no = visit.path["order_no"]
    found = await visit.opened(await ordering.seen(visit.bus(), visit.who, order_no, "canonical"))
    timeline = await ordering.history(visit.bus(), visit.who, order_no, "canonical")
    cases = await aftersales.own(visit.db, visit.who, aftersales.OwnCases(limit=100))
    try:
        parcels = (await fulfillment.of_order(visit.db, order_no, visit.who)).parcels
    except Refused:  # Nothing has been set aside yet.
        parcels = ()
    return visit.render(
        "store/order.html",
        order=found,
        moments=tuple(reversed(timeline.moments)),
        cases=[case for case in cases.items if case.order_no == order_no],
        parcels=parcels,
        goods=await shown_goods(visit, (line.sku for line in found.lines)),
        can_pay=found.status in UNPAID,
        can_cancel=found.stage in CANCELLABLE and not found.open_cases,
        can_confirm=found.stage == "DELIVERED" and not found.open_cases,
        can_return=found.stage in RETURNABLE and any(line.returned < line.quantity for line in found.lines),
        intent=visit.new_intent(),
    )


@page("POST", "/orders/{order_no}/cancel", policy=signed_in, lane="checkout")
async def cancel(visit: Visit) -> Response:
    """Give up an order that has not left."""
    await ordering.cancel(visit.bus(key=visit.intent), visit.who, visit.path["order_no"])
    visit.say(mark("The order is cancelled. What you have paid goes back the way it came."))
    return visit.go(f"/orders/{visit.path['order_no']}")


@page("POST", "/orders/{order_no}/confirm", policy=signed_in, lane="checkout")
async def confirm(visit: Visit) -> Response:
    """The goods have come."""
    await ordering.confirm(visit.bus(key=visit.intent), visit.who, visit.path["order_no"])
    visit.say(mark("Thank you. Enjoy it."))
    return visit.go(f"/orders/{visit.path['order_no']}")


@page("GET", "/orders/{order_no}/return", policy=signed_in)
async def return_form(visit: Visit) -> Response:
    """Choose what goes back, and why."""
    found = await ordering.seen(visit.bus(), visit.who, visit.path["order_no"], "canonical")
    goods = await shown_goods(visit, (line.sku for line in found.lines))
    reasons = [(code, visit.language.say(text)) for code, text in RETURN_REASONS.items()]
    return visit.render("store/return.html", order=found, goods=goods, reasons=reasons, intent=visit.new_intent())


@page("POST", "/orders/{order_no}/return", policy=signed_in)
async def ask_return(visit: Visit) -> Response:
    """Ask for the money of some units back."""
    order_no = visit.path["order_no"]
    found = await ordering.seen(visit.bus(), visit.who, order_no, "canonical")
    units = {line.item_id: visit.text(f"units-{line.item_id}") for line in found.lines}
    lines = [ReturnLine(line_id=id, quantity=int(text)) for id, text in units.items() if _is_number(text)]
    if not lines:
        visit.say(mark("Choose at least one thing to return."), good=False)
        return visit.go(f"/orders/{order_no}/return")
    wish = {"kind": "return", "reason_code": visit.text("reason_code"), "reason": visit.text("reason")[:500]}
    case = convert({**wish, "lines": [{"line_id": one.line_id, "quantity": one.quantity} for one in lines]}, NewReturn)
    await aftersales.request(visit.bus(key=visit.intent), visit.who, order_no, case)
    visit.say(mark("Your request is with the seller. We write to you as soon as it is decided."))
    return visit.go(f"/orders/{order_no}")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < len(text) < 8 and int(text) > 0


@page("POST", "/returns/{case:uuid}/withdraw", policy=signed_in)
async def withdraw(visit: Visit) -> Response:
    """Keep the goods after all."""
    case = await aftersales.withdraw(visit.bus(key=visit.intent), visit.who, visit.path["case"])
    visit.say(mark("The return is withdrawn."))
    return visit.go(f"/orders/{case.order_no}")

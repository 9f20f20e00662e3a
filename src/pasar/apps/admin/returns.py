"""Goods that come back: the list, and deciding about each."""

from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import RETURN_REASONS, mark
from pasar.apps.pages.visit import Visit
from pasar.contexts.aftersales import facade as aftersales
from pasar.contexts.aftersales.contract import Arrival, Rejection
from pasar.contexts.inventory import facade as inventory

from .desk import checked, everyone, sellers

PAGE = 25
STATES = (
    "REFUND_REQUESTED", "REFUND_APPROVED", "REFUND_PROCESSING", "REFUNDED", "REFUND_FAILED", "REJECTED", "WITHDRAWN",
)  # fmt: skip


class ReturnsQuery(msgspec.Struct):
    state: Annotated[str, Meta(max_length=40)] = ""
    cursor: Annotated[str, Meta(max_length=1024)] | None = None


@page("GET", "/console/returns", policy=everyone, lane="reports")
async def cases(visit: Visit) -> Response:
    """Cases, newest first; sellers see those with lines of their stores."""
    asked = visit.query(ReturnsQuery)
    state = asked.state if asked.state in STATES else None
    wish = checked({"limit": PAGE, "cursor": asked.cursor, "state": state}, aftersales.FindCases)
    found = await aftersales.find(visit.db, visit.who, wish)
    return visit.render(
        "console/returns.html", cases=found.items, next=found.next, asked=asked, states=STATES, reasons=RETURN_REASONS
    )


@page("GET", "/console/returns/{case:uuid}", policy=everyone)
async def case(visit: Visit) -> Response:
    """A case, and what can be decided now."""
    found = await aftersales.seen(visit.db, visit.who, visit.path["case"])
    return visit.render(
        "console/return.html", case=found, reasons=RETURN_REASONS, places=await inventory.warehouses(visit.db)
    )


@page("POST", "/console/returns/{case:uuid}", policy=sellers)
async def decide(visit: Visit) -> Response:
    """Accept, decline, take in, or try the refund again."""
    case, bus, who, act = visit.path["case"], visit.bus(), visit.who, visit.text("act")
    if act == "approve":
        await aftersales.approve(bus, who, case)
    elif act == "receive":
        wish = {"warehouse": visit.text("warehouse"), "restock": visit.text("restock") == "true"}
        await aftersales.receive(bus, who, case, checked(wish, Arrival))
    elif act == "retry":
        await aftersales.retry(bus, who, case)
    else:
        await aftersales.reject(bus, who, case, checked({"reason": visit.text("reason")}, Rejection).reason)
    visit.say(mark("Decided."))
    return visit.go(f"/console/returns/{case}")

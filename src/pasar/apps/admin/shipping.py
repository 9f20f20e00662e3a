"""What waits to be sent, and sending many parcels by a pasted or uploaded list of tracking numbers."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.datastructures import UploadFile
from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import mark
from pasar.apps.pages.visit import Visit
from pasar.contexts.fulfillment import facade as fulfillment
from pasar.contexts.fulfillment.contract import Carrier
from pasar.kernel.web import Cursor

from .desk import checked, handlers
from .orders import read_csv
from .tables import Outcome, bulk_page, next_part

PAGE = 30
MOST_LINES = 2_000
TO_DO = ("waiting", "preparing", "picked", "packed")
STATES = (*TO_DO, "shipped", "in_transit", "delivered", "canceled")
CARRIERS = (("cj", "CJ"), ("lotte", "Lotte"), ("hanjin", "Hanjin"), ("sf", "SF"), ("epost", "ePost"))
LARGEST = 1 << 20


class ShippingQuery(msgspec.Struct):
    state: Annotated[str, Meta(max_length=20)] = ""
    warehouse: Annotated[str, Meta(max_length=64)] = ""
    cursor: Annotated[str, Meta(max_length=1024)] | None = None


class _Carrier(msgspec.Struct):
    carrier: Carrier


@page("GET", "/console/shipping", policy=handlers)
async def to_send(visit: Visit) -> Response:
    """Parcels by state, the oldest first; sellers see those of their stores."""
    asked = visit.query(ShippingQuery)
    states = (asked.state,) if asked.state in STATES else TO_DO
    after = Cursor.read(asked.cursor, tuple[datetime, str, str])
    found = await fulfillment.parcels(
        visit.db, visit.who, states=states, warehouse=asked.warehouse or None, limit=PAGE, after=after
    )
    last = found[-1] if len(found) == PAGE else None
    return visit.render(
        "console/shipping.html",
        parcels=found,
        asked=asked,
        states=STATES,
        carriers=CARRIERS,
        next=last and Cursor.write((last.allocated_at, last.order_no, last.parcel)),
    )


@page("POST", "/console/shipping", policy=handlers, lane="jobs", timeout_s=60, body_limit=LARGEST)
async def ship(visit: Visit) -> Response:
    """Ship what a list says, part by part: order number, parcel (left out where there is one), tracking number."""
    carrier = checked({"carrier": visit.text("carrier")}, _Carrier).carrier
    lines = await _lines(visit)
    if not lines:
        visit.say(mark("Paste at least one line, or choose a file."), good=False)
        return visit.go("/console/shipping")
    part = next_part(visit, lines)
    done = await fulfillment.ship_list(visit.bus(), visit.who, carrier, "\n".join(part.todo))
    outcomes = [Outcome(one.order_no, one.shipped, one.detail) for one in done]
    kept = [("carrier", carrier)]
    return bulk_page(visit, part, outcomes, title=mark("Shipping parcels"), back="/console/shipping", kept=kept)


async def _lines(visit: Visit) -> list[str]:
    """Lines of `order parcel tracking`, from what was pasted, from a sheet, or what a part before has left over."""
    text, file = visit.text("text"), visit.fields.get("file")
    if isinstance(file, UploadFile) and file.filename:
        text = (await file.read(LARGEST)).decode("utf-8-sig", "replace")
    rest = [str(one) for one in visit.fields.getlist("id") if isinstance(one, str)]
    if rest:
        return rest[:MOST_LINES]
    rows = [[cell.strip() for cell in row if cell.strip()] for row in read_csv(text)]
    rows = [row for row in rows if row and not row[0].lower().startswith("order")]  # A header.
    return [" ".join(row) for row in rows][:MOST_LINES]

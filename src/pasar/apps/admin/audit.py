"""Who did what, when: the log itself, by names and never by contents."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.visit import Visit
from pasar.contexts.platform import facade as platform
from pasar.kernel.web import Cursor
from pasar.kernel.web_refusals import InvalidCursor

from .desk import admin

PAGE = 50


class AuditQuery(msgspec.Struct):
    by: Annotated[str, Meta(max_length=100)] = ""
    type: Annotated[str, Meta(max_length=100)] = ""
    stream: Annotated[str, Meta(max_length=200)] = ""
    cursor: Annotated[str, Meta(max_length=1024)] | None = None

    def kept(self) -> dict[str, str]:
        """As a query of an address, without where one is in the list."""
        return {name: value for name in ("by", "type", "stream") if (value := getattr(self, name))}


def place_of(cursor: str | None) -> platform.Place | None:
    """Where a page begins; refuses places that cannot be."""
    place = Cursor.read(cursor, platform.Place)
    if place is not None and not all(0 <= number < 2**63 for number in place):
        raise InvalidCursor
    return place


def target_of(stream: str) -> str:
    """The page of the console about a stream, where there is one."""
    kind, _, id = stream.partition("-")
    pages = {
        "ordering.order": "orders", "fulfillment.fulfillment": "orders", "catalog.product": "products",
        "payment.payment": "payments", "identity.account": "members", "finance.run": "settlement",
        "aftersales.return_case": "returns",
    }  # fmt: skip
    return f"/console/{pages[kind]}/{id}" if kind in pages else ""


@page("GET", "/console/audit", policy=admin, lane="reports")
async def trail(visit: Visit) -> Response:
    """The audit trail, the newest first."""
    asked = visit.query(AuditQuery)
    question = platform.AuditQuestion(
        by=asked.by or None, type=asked.type or None, stream=asked.stream if "-" in asked.stream else None
    )
    entries, last = await platform.audit(visit.db, question, PAGE, place_of(asked.cursor))
    values: dict[str, Any] = {"entries": entries, "next": None if last is None else Cursor.write(last)}
    return visit.render("console/audit.html", asked=asked, kept=asked.kept(), target_of=target_of, **values)

"""The living page of the design language, and what is common to all faces: appearance, language."""

from datetime import UTC, datetime

from starlette.responses import Response

from pasar.kernel.access import anyone

from .page import page
from .visit import Visit

COLOURS = (
    "ground", "surface", "sunken", "line", "line-strong", "text", "text-soft", "accent", "accent-soft", "accent-text",
    "good", "good-soft", "warn", "warn-soft", "bad", "bad-soft",
)  # fmt: skip
SIZES = ("3xl", "2xl", "xl", "lg", "md", "sm", "xs")
SPACES = ("1", "2", "3", "4", "5", "6", "7", "8", "9")
ICONS = (
    "search", "cart", "person", "menu", "close", "check", "chevron", "arrow", "plus", "minus", "box", "truck", "home",
    "heart", "globe", "sun", "moon", "lock", "mail", "pin", "coupon", "coins", "return", "download", "trash", "alert",
    "info", "clock", "shield", "leaf", "filter", "store", "edit", "chart", "list", "gear", "card", "key",
)  # fmt: skip
MOMENT = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)
"""An example: the page is the same each time it is asked for."""


@page("GET", "/_design", policy=anyone)
async def design(visit: Visit) -> Response:
    """Colours, type, spacing and every component, as the style sheets make them."""
    values = {"colours": COLOURS, "sizes": SIZES, "spaces": SPACES, "icons": ICONS, "at": MOMENT}
    return visit.render("pages/design.html", validated=True, **values)


@page("POST", "/_appearance", policy=anyone)
async def appearance(visit: Visit) -> Response:
    """Light, dark, or as the system has it."""
    wanted = visit.text("theme")
    visit.session.cookies["theme"] = (wanted, 365 * 24 * 3600) if wanted in ("light", "dark") else ("", None)
    return visit.back()

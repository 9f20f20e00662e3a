"""Declaring pages: `page` is the only way, and every page says who may open it.

    @page("GET", "/orders/{order_no}", policy=signed_in)
    async def order(visit: Visit) -> Response:
        found = await ordering.seen(visit.bus(), visit.who, visit.path["order_no"], None)
        return visit.render("store/order.html", order=await visit.opened(found))

A face is a set of pages with their templates, texts and links: the storefront, the console.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.responses import Response

from pasar.kernel.access import Policy
from pasar.kernel.web import Lane

if TYPE_CHECKING:
    from .visit import Visit

FORM_BYTES = 64 << 10
Handler = Callable[["Visit"], Awaitable[Response]]
Declared = TypeVar("Declared", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False)
class Page:
    """A page as it was declared. `path` is in Starlette's words: `/products/{product:uuid}`."""

    method: str
    path: str
    handler: Handler
    policy: Policy
    lane: Lane
    body_limit: int
    timeout_s: float
    csrf: bool
    bare: bool

    @property
    def name(self) -> str:
        """How it is named in idempotency records, metrics and logs."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Face:
    """What belongs to one face: the modules that declare its pages, and its folder with `templates/`, `locales/` and
    `static/`. Addresses that begin with `home` and have no page get this face's error page."""

    modules: Sequence[ModuleType]
    folder: Path
    home: str = "/"
    login: str = "/login"
    """Where somebody is sent who has to sign in first."""
    frame: str = "pages/base.html"
    """The template that its pages and error pages extend."""
    styles: Sequence[str] = ()
    scripts: Sequence[str] = ()
    """Of `static/`, for every page of the face, after those that all have."""
    prepare: Callable[["Visit"], Awaitable[None]] | None = None
    """Works out what every page of the face shows, into `visit.view`."""


def page(
    method: str,
    path: str,
    *,
    policy: Policy,
    lane: Lane = "browse",
    body_limit: int = FORM_BYTES,
    timeout_s: float = 10.0,
    csrf: bool = True,
    bare: bool = False,
) -> Callable[[Declared], Declared]:
    """Declare a page; the function stays as it is and carries the declarations as `.pages`.

    Forms (POST) are refused without the session's token, unless `csrf` is False: then the handler changes nothing
    that belongs to anybody. Who may not open it is asked to sign in, or told so. `bare`: the same for everybody, such
    as a picture; nobody is asked who they are, and no cookie is set.
    """
    if method not in ("GET", "POST"):
        raise TypeError(f"{path}: a page is opened by GET, a form sent by POST")

    def declare(handler: Declared) -> Declared:
        declared = Page(method, path, handler, policy, lane, body_limit, timeout_s, csrf, bare)
        handler.pages = (*getattr(handler, "pages", ()), declared)  # type: ignore[attr-defined]
        return handler

    return declare


def pages_in(face: Face) -> list[Page]:
    """All that the modules of a face declare."""
    return [
        one
        for module in face.modules
        for value in vars(module).values()
        if callable(value) and getattr(value, "__module__", None) == module.__name__
        for one in getattr(value, "pages", ())
    ]

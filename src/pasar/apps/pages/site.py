"""The pages of all faces as one ASGI application: from the address to the answer, with what every answer needs.

It is what the API's application asks for paths that are none of its own. Lanes, deadlines and metrics are shared with
it, so that pages and API get out of each other's way by the same rules.
"""

import asyncio
import base64
import binascii
import contextlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import compile_path

from pasar.kernel.bus import Core, KeyReused
from pasar.kernel.messages import Refused
from pasar.kernel.web_app import WAIT_S, Authenticate, Observe, ViewsAt
from pasar.kernel.web_failures import TROUBLE
from pasar.kernel.web_lanes import Deadlines, Lanes
from pasar.kernel.web_refusals import (
    Forbidden,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    Unauthenticated,
    Unavailable,
)
from pasar.refusals import FormNotOurs

from . import assets as files
from . import render
from .languages import DEFAULT, LANGUAGES, load, preferred
from .page import Face, Page, pages_in
from .sentences import sentence
from .session import Session, Sessions
from .visit import AFTER, SAID, TOKEN_FIELD, Said, Visit

log = logging.getLogger("pasar.pages")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    # `no-referrer` would make browsers send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
HSTS = "max-age=63072000; includeSubDomains"
LANGUAGE = "language"
_PAGES_OF_THEIR_OWN = (Forbidden, NotFound, MethodNotAllowed, PayloadTooLarge, FormNotOurs)
"""Refused forms that lead to an error page, not back to where they stood."""
_POSITION = re.compile(r"[0-9]{1,18}\.[0-9]{1,18}")
READ_OWN_WRITES_S = 10


@dataclass(frozen=True)
class SiteParts:
    """What the API's process shares with the pages."""

    core: Core
    authenticate: Authenticate
    views_at: ViewsAt | None
    observe: Observe | None
    lanes: Lanes
    hsts: bool


class _Entry(NamedTuple):
    face: Face
    pattern: re.Pattern[str]
    convertors: Mapping[str, Any]
    methods: dict[str, Page]


class Site:
    """All faces. Handlers find here what a process has one of."""

    def __init__(self, parts: SiteParts, faces: Sequence[Face]) -> None:
        self.core, self.lanes, self._parts = parts.core, parts.lanes, parts
        server = parts.core.settings.section("server")
        self.sessions = Sessions(parts.core, parts.authenticate, server.public_url)
        folders = [*(face.folder for face in faces), render.FOLDER.parent]
        self.languages = load([folder / "locales" for folder in reversed(folders)])
        self.assets = files.Assets([folder / "static" for folder in folders if (folder / "static").is_dir()])
        zone = parts.core.settings.section("ordering").time_zone
        self.templates = render.Templates([f / "templates" for f in folders], self.languages, self.assets, zone)
        self._entries = _entries(faces)
        self._faces = sorted(faces, key=lambda face: -len(face.home))
        self._deadlines = Deadlines()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        started = perf_counter()
        request = Request(scope, receive)
        label = "pages unknown"
        if request.url.path.startswith(files.PREFIX):
            label, response = "GET /static", self._file(request)
        else:
            label, response = await self._answer(request)
        if "pasar.request_id" in scope:
            response.headers["X-Request-ID"] = scope["pasar.request_id"]
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if self._parts.hsts:
            response.headers["Strict-Transport-Security"] = HSTS
        if request.method == "HEAD":
            response = _without_body(response)
        await response(scope, receive, send)
        if self._parts.observe is not None:
            self._parts.observe(label, response.status_code, perf_counter() - started)

    def _file(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return Response(status_code=405, headers={"Allow": "GET, HEAD"})
        return self.assets.answer(request.scope["path"], request.headers.get("accept-encoding", ""))

    async def _answer(self, request: Request) -> tuple[str, Response]:
        code, path = _split(request.scope["path"])
        request.scope["pasar.path"] = path
        request.scope["pasar.request_id"] = str(self.core.ids.uuid())
        if path != "/" and path.endswith("/"):
            target = request.scope["path"].rstrip("/")
            return "pages slash", RedirectResponse("/" + target.lstrip("/"), 308)
        face, page, values = self._find(path, request.method)
        request.scope["path_params"] = values
        request.scope["pasar.deadline"] = asyncio.get_running_loop().time() + page.timeout_s
        visit = None
        try:
            session = Session.of_nobody() if page.bare else await self.sessions.open(request)
            language = self.languages[code or self._language(request)]
            visit = Visit(self, face, page, request, session, language, code is not None)
            visit.said = None if page.bare else self._said(request, session)
            if code is not None and self.sessions.cookie(request, LANGUAGE) != code:
                session.cookies[LANGUAGE] = code, 365 * 24 * 3600
            response = await self._in_time(visit)
        except Exception as error:
            response = await self._failed(error, request, page, visit)
        if visit is not None and not page.bare:
            self._note_position(visit)
            self.sessions.write(request, visit.session, response)
        return page.name, response

    def _find(self, path: str, method: str) -> tuple[Face, Page, dict[str, Any]]:
        """The page of a path; one that only says so where there is none."""
        for face, pattern, convertors, methods in self._entries:
            found = pattern.match(path)
            if found is None or "\0" in path:  # What the database cannot keep, nothing is named by.
                continue
            page = methods.get("GET" if method == "HEAD" else method)
            if page is None:
                return face, _refusing(MethodNotAllowed(allow=sorted(methods))), {}
            return face, page, {name: convertors[name].convert(value) for name, value in found.groupdict().items()}
        nearest = next((face for face in self._faces if path.startswith(face.home)), self._faces[-1])
        return nearest, _refusing(NotFound()), {}

    def has_page(self, address: str) -> bool:
        """Whether a page can be opened there."""
        _, path = _split(address)
        return any("GET" in methods and pattern.match(path) for _, pattern, _, methods in self._entries)

    def _language(self, request: Request) -> str:
        chosen = self.sessions.cookie(request, LANGUAGE)
        if chosen in LANGUAGES:
            return str(chosen)
        return preferred(request.headers.get("accept-language", "")) or DEFAULT

    def _said(self, request: Request, session: Session) -> Said | None:
        text = self.sessions.cookie(request, SAID)
        if text is None or request.method == "POST":
            return None
        session.cookies[SAID] = "", None
        with contextlib.suppress(ValueError, binascii.Error):
            sentence = base64.urlsafe_b64decode(text).decode()
            return Said(sentence[1:], sentence.startswith("+"))
        return None

    async def _in_time(self, visit: Visit) -> Response:
        """Within the lane of the page and the time that it has."""
        with self.lanes.place(visit.page.lane):
            task = self._deadlines.begin(visit.page.timeout_s)
            try:
                return await self._serve(visit)
            except asyncio.CancelledError:
                if self._deadlines.was_late(task):
                    raise TimeoutError from None
                raise
            finally:
                self._deadlines.end(task)

    async def _serve(self, visit: Visit) -> Response:
        page, who = visit.page, visit.who
        if page.policy.needs_token and not who.signed_in:
            raise Unauthenticated
        if not page.policy.check(who, visit.path):
            raise Forbidden(f"this is for {page.policy.description}")
        if page.method == "POST":
            await self._take_form(visit)
        else:
            await self._wait(visit)
        if visit.face.prepare is not None and not page.bare:
            await visit.face.prepare(visit)
        return await page.handler(visit)

    async def _take_form(self, visit: Visit) -> None:
        announced = visit.request.headers.get("content-length", "")
        if not announced.isdigit() or int(announced) > visit.page.body_limit:
            raise PayloadTooLarge(f"the form may have {visit.page.body_limit} bytes at most")
        try:
            visit.fields = await visit.request.form(max_files=10, max_fields=2000)
        except (MultiPartException, HTTPException):
            raise InvalidRequest("the form cannot be read") from None
        token = visit.fields.get(TOKEN_FIELD, "") or visit.request.headers.get("x-form-token", "")
        if visit.page.csrf and not self.sessions.is_ours(visit.request, visit.session, str(token)):
            raise FormNotOurs

    async def _wait(self, visit: Visit) -> None:
        """Let the views get to what this visitor wrote a moment before."""
        position = self.sessions.cookie(visit.request, AFTER)
        if position is None or self._parts.views_at is None or not _POSITION.fullmatch(position):
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                await self._parts.views_at(visit.who.tenant, position)

    def _note_position(self, visit: Visit) -> None:
        positions = [bus.position for bus in visit.buses if bus.position is not None]
        if positions:
            visit.session.cookies[AFTER] = str(max(positions)), READ_OWN_WRITES_S

    async def _failed(self, error: Exception, request: Request, page: Page, visit: Visit | None) -> Response:
        """What a visitor is told: the refusal where there is one, else that it is our fault, with the request's id."""
        match error:
            case Refused():
                refused: Refused = error
            case KeyReused():
                refused = FormNotOurs("the form was sent before with other content")
            case _ if isinstance(error, TROUBLE):
                log.warning("%s: %s", page.name, error)
                refused = Unavailable()
            case _:
                log.exception("%s failed (request %s)", page.name, request.scope["pasar.request_id"])
                refused = InternalError()
        if visit is None:
            return Response(f"{refused.detail}\n", refused.status, media_type="text/plain")
        if isinstance(refused, Unauthenticated):
            target = request.scope["pasar.path"] if request.method == "GET" else visit.face.home
            wanted = f"{target}?{request.url.query}" if request.url.query and request.method == "GET" else target
            return visit.go(visit.face.login, next=wanted)
        if request.method == "POST" and refused.status < 500 and not isinstance(refused, _PAGES_OF_THEIR_OWN):
            visit.say(sentence(refused, lambda text: text), good=False)
            return visit.back()
        return await self._error_page(visit, refused)

    async def _error_page(self, visit: Visit, refused: Refused) -> Response:
        text = sentence(refused, visit.language.texts.gettext)
        if not visit.view and visit.face.prepare is not None:
            with contextlib.suppress(*TROUBLE):
                await visit.face.prepare(visit)
        if visit.page.bare or (not visit.view and visit.face.prepare is not None):
            return Response(f"{text}\n", refused.status, media_type="text/plain")
        response = visit.render("pages/error.html", status=refused.status, refused=refused, text=text)
        if isinstance(refused, MethodNotAllowed):
            response.headers["Allow"] = ", ".join(refused.facts["allow"])
        return response


def make_site(faces: Sequence[Face]) -> Callable[[SiteParts], Site]:
    """For `apps.api.Parts.pages`."""
    return lambda parts: Site(parts, faces)


def _split(path: str) -> tuple[str | None, str]:
    """The language that an address begins with, and the rest of it."""
    first, _, rest = path[1:].partition("/")
    return (first, "/" + rest) if first in LANGUAGES else (None, path)


def _entries(faces: Sequence[Face]) -> list[_Entry]:
    """Fixed addresses before those with parameters, so that `/orders/find` is no order."""
    by_path: dict[str, tuple[Face, dict[str, Page]]] = {}
    for its, page in ((face, page) for face in faces for page in pages_in(face)):
        _, methods = by_path.setdefault(page.path, (its, {}))
        if page.method in methods:
            raise TypeError(f"{page.name} is declared twice")
        methods[page.method] = page
    found = []
    for path in sorted(by_path, key=lambda path: (path.count("{"), path)):
        pattern, _, convertors = compile_path(path)
        face, methods = by_path[path]
        found.append(_Entry(face, pattern, convertors, methods))
    return found


def _refusing(refused: Refused) -> Page:
    from pasar.kernel.access import anyone

    async def refuse(visit: Visit) -> Response:
        raise refused

    return Page("GET", "unknown", refuse, anyone, "browse", 0, 10.0, False, False)


def _without_body(response: Response) -> Response:
    bare = Response(status_code=response.status_code)
    bare.raw_headers = response.raw_headers
    return bare

"""Who visits: cookies with the tokens that identity issues, and what proves that a form is ours.

Cookies of a deployment that is reached by TLS or on this machine carry the prefix `__Host-` (RFC 6265bis §4.1.3.2):
only this very host can have set them. On any other plain address browsers would not keep those, so the prefix goes.
"""

import asyncio
import hmac
from collections import OrderedDict
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from pasar.contexts.identity import facade as identity
from pasar.contexts.identity.contract import Tokens
from pasar.kernel.access import Principal, anonymous
from pasar.kernel.bus import Context, Core
from pasar.kernel.messages import Refused
from pasar.kernel.tokens import new_refresh
from pasar.kernel.web_app import Authenticate
from pasar.kernel.web_refusals import Unauthenticated

ACCESS, REFRESH, VISITOR = "access", "refresh", "visitor"
TURN_S = 60.0
"""How long a turned refresh token still finds the tokens that took its place."""
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
YEAR_S = 365 * 24 * 3600


def new_mark() -> str:
    """What nobody can guess, to tell this browser by."""
    mark, _ = new_refresh()
    return mark


@dataclass
class Session:
    """A visitor. `visitor` is a random mark of this browser, to which the tokens of its forms are bound."""

    who: Principal
    visitor: str
    tokens: Tokens | None = None
    """New tokens that the answer has to set."""
    ended: bool = False
    """The answer has to delete the tokens."""
    fresh_visitor: bool = False
    counted: str = ""
    """The last day on which this browser was counted as a visit, `20260131`; it stands behind the mark."""
    newly_counted: bool = False
    cookies: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    """What else the answer sets: value and age in seconds; None deletes."""

    @classmethod
    def of_nobody(cls) -> "Session":
        """For what is the same for everybody."""
        return cls(anonymous(), "")

    def count(self, day: str) -> None:
        """It was counted on that day."""
        self.counted = day
        self.newly_counted = True


class Sessions:
    """Reads and writes cookies. Refresh tokens are good once; requests of one browser that come together with the same
    one share the answer of the first."""

    def __init__(self, core: Core, authenticate: Authenticate, public_url: str, tenant: int = 1) -> None:
        self._core, self._authenticate, self._tenant = core, authenticate, tenant
        self._public = urlsplit(public_url) if public_url else None
        self._turned: OrderedDict[str, tuple[float, asyncio.Task[Tokens]]] = OrderedDict()

    def origin(self, request: Request) -> str:
        """How visitors reach us: what the settings say, else what the request names."""
        if self._public is not None:
            return f"{self._public.scheme}://{self._public.netloc}"
        return f"{request.url.scheme}://{request.headers.get('host', '')}"

    def _is_secure(self, request: Request) -> bool:
        origin = urlsplit(self.origin(request))
        host = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
        return origin.scheme == "https" or host in _LOOPBACK

    def name(self, request: Request, cookie: str) -> str:
        return f"__Host-{cookie}" if self._is_secure(request) else f"pasar-{cookie}"

    def cookie(self, request: Request, cookie: str) -> str | None:
        return request.cookies.get(self.name(request, cookie))

    async def open(self, request: Request) -> Session:
        """Who sends this request. A dead session is a visitor who has not signed in."""
        visitor, _, counted = (self.cookie(request, VISITOR) or "").partition(".")
        session = Session(anonymous(self._tenant), visitor, counted=counted if counted.isdigit() else "")
        if not 16 <= len(visitor) <= 64:
            session.visitor, session.fresh_visitor = new_mark(), True
        access, refresh = self.cookie(request, ACCESS), self.cookie(request, REFRESH)
        if access:
            try:
                session.who = self._authenticate(access)
                return session
            except Unauthenticated:
                pass
        if refresh:
            try:
                session.tokens = await self._turn(refresh)
                session.who = self._authenticate(session.tokens.access_token)
            except Refused:
                session.ended = True
        elif access:
            session.ended = True
        return session

    async def _turn(self, token: str) -> Tokens:
        now = monotonic()
        while self._turned and next(iter(self._turned.values()))[0] < now:
            self._turned.popitem(last=False)
        known = self._turned.get(token)
        if known is None:
            bus = self._core.bus(Context(tenant=self._tenant, principal="anonymous", route="pages refresh"))
            known = self._turned[token] = now + TURN_S, asyncio.create_task(identity.refresh(bus, token))
        try:
            return await asyncio.shield(known[1])
        except Exception as error:
            if not isinstance(error, Refused):  # What passes by itself is tried again by the next request.
                self._turned.pop(token, None)
            raise

    def begin(self, session: Session, tokens: Tokens) -> None:
        """Somebody has signed in: new tokens, and a new mark of the browser, so that no form from before is good."""
        session.tokens, session.ended = tokens, False
        session.who = self._authenticate(tokens.access_token)
        session.visitor, session.fresh_visitor = new_mark(), True

    def end(self, session: Session) -> None:
        session.who, session.tokens, session.ended = anonymous(self._tenant), None, True
        session.visitor, session.fresh_visitor = new_mark(), True

    def form_token(self, session: Session) -> str:
        """What every form of this visitor carries: bound to the browser and to who is signed in."""
        return self._core.keys.digest("form", f"{session.visitor} {session.who.session}")  # type: ignore[attr-defined]

    def is_ours(self, request: Request, session: Session, token: str) -> bool:
        """Whether a form comes from a page of ours: by its token, and by what the browser says of its origin."""
        origin = request.headers.get("origin")
        if origin is not None and origin != self.origin(request):
            return False
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        return not session.fresh_visitor and hmac.compare_digest(token.encode(), self.form_token(session).encode())

    def write(self, request: Request, session: Session, response: Response) -> None:
        """Put what has changed into the answer's cookies."""
        options: dict[str, Any] = {"path": "/", "secure": self._is_secure(request), "httponly": True, "samesite": "lax"}

        def put(cookie: str, value: str, age_s: int | None) -> None:
            if age_s is None:
                response.delete_cookie(self.name(request, cookie), **options)
            else:
                response.set_cookie(self.name(request, cookie), value, max_age=age_s, **options)

        if session.fresh_visitor or session.newly_counted:
            mark = f"{session.visitor}.{session.counted}" if session.counted else session.visitor
            put(VISITOR, mark, YEAR_S)
        if session.tokens is not None:
            days = self._core.settings.section("tokens").refresh_days
            put(ACCESS, session.tokens.access_token, session.tokens.expires_in)
            put(REFRESH, session.tokens.refresh_token, days * 24 * 3600)
        elif session.ended:
            put(ACCESS, "", None)
            put(REFRESH, "", None)
        for cookie, (value, age_s) in session.cookies.items():
            put(cookie, value, age_s)

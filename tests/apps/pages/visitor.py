"""A browser without a screen: sends requests to the pages, keeps cookies, fills in the forms that pages have."""

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

import msgspec

from contexts.ordering.market import Market
from pasar.apps import wiring
from pasar.apps.faces import FACES
from pasar.apps.pages.site import Site, SiteParts
from pasar.kernel.clock import SystemClock
from pasar.kernel.throttle import Throttle
from pasar.kernel.tokens import Revocations, Tokens, authenticator
from pasar.kernel.web_lanes import Lanes

HOST = "localhost"
wiring.contexts()  # Pages read the settings of every context.


class Seen(msgspec.Struct):
    """A page as it came."""

    status: int
    headers: list[tuple[str, str]]
    text: str

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    @property
    def location(self) -> str:
        return self.header("location")

    @property
    def words(self) -> str:
        """What people read."""
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", self.text.partition("<main")[2])).split())


class _Forms(HTMLParser):
    """The forms of a page: address → fields as they stand there."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.found.append((given.get("action") or "", {}))
        counts = given.get("type") not in ("checkbox", "radio") or "checked" in given
        if tag == "input" and self.found and given.get("name") and counts:
            self.found[-1][1][str(given["name"])] = given.get("value") or ""


class Visitor:
    def __init__(self, site: Site, language: str = "en") -> None:
        self._site, self._language = site, language
        self.cookies: dict[str, str] = {}
        self.page = Seen(0, [], "")

    async def _ask(self, method: str, target: str, body: bytes, more: dict[str, str]) -> Seen:
        parts = urlsplit(target)
        headers = {"host": HOST, "accept-language": self._language, **more}
        if self.cookies:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if method == "POST":
            headers["content-length"] = str(len(body))
        scope = {
            "type": "http", "http_version": "1.1", "method": method, "path": unquote(parts.path),
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(), "client": ("127.0.0.1", 1), "server": (HOST, 80), "scheme": "http",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }  # fmt: skip
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._site(scope, receive, send)
        answered = [(name.decode(), value.decode("latin-1")) for name, value in sent[0]["headers"]]
        text = b"".join(message.get("body", b"") for message in sent[1:]).decode(errors="replace")
        for name, value in answered:
            if name == "set-cookie":
                self._keep(value)
        return Seen(sent[0]["status"], answered, text)

    def _keep(self, text: str) -> None:
        pair, *attributes = text.split("; ")
        name, _, value = pair.partition("=")
        if any(one.lower() == "max-age=0" for one in attributes):
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value.strip('"')

    async def get(self, target: str, **headers: str) -> Seen:
        self.page = await self._ask(
            "GET", target, b"", {name.replace("_", "-"): text for name, text in headers.items()}
        )
        return self.page

    async def post(self, target: str, fields: dict[str, str] | list[tuple[str, str]], **headers: str) -> Seen:
        more = {"content-type": "application/x-www-form-urlencoded", "origin": f"http://{HOST}"}
        more |= {name.replace("_", "-"): text for name, text in headers.items()}
        return await self._ask("POST", target, urlencode(fields).encode(), more)

    async def send(self, action: str, /, **fields: str) -> Seen:
        """Fill in the form of the page that goes to `action`, send it, and follow to where it leads."""
        answer = await self.post(action, {**self.form(action), **fields})
        while answer.status == 303:
            answer = await self.get(answer.location)
        self.page = answer
        return answer

    def form(self, action: str) -> dict[str, str]:
        parser = _Forms()
        parser.feed(self.page.text)
        found = [fields for target, fields in parser.found if target == action]
        assert found, f"no form to {action} on the page"
        return found[0]


def site_of(market: Market) -> Site:
    """The pages over a market's own core."""
    tokens: Tokens = market.shop.tokens
    market.shop.core.equip(tokens)
    market.shop.core.equip(Throttle(market.shop.core.database.kernel, SystemClock()))
    authenticate = authenticator(tokens, Revocations(lambda: 0))
    return Site(SiteParts(market.shop.core, authenticate, None, None, Lanes(), hsts=True), FACES)

"""A deployment that is attacked, seen from outside: its HTTP API, and the simulated providers where it has some."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import msgspec

from pasar.apps.demo import PASSWORD

HOME = {
    "recipient": "Kim Minji", "phone": "+821012345678", "line1": "1 Sejong-daero", "city": "Seoul",
    "postal_code": "04524", "country": "KR",
}  # fmt: skip
_reader = msgspec.json.Decoder(Any, float_hook=Decimal)


class NotAsExpected(AssertionError):
    """The deployment answered what it never may, or cannot be prepared for the attack."""


class Reply(msgspec.Struct, frozen=True):
    status: int
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes

    @property
    def json(self) -> Any:
        """Numbers with a point are decimals."""
        return _reader.decode(self.body)

    @property
    def code(self) -> int:
        """The number of the refusal; 0 where it is none."""
        try:
            return self.json["code"] if self.status >= 400 else 0
        except (msgspec.DecodeError, KeyError, TypeError):
            return 0

    def ok(self) -> Any:
        if self.status >= 300:
            raise NotAsExpected(f"{self.status}: {self.body[:500]!r}")
        return self.json if self.body else None


class Caller(msgspec.Struct, frozen=True):
    """An account with its token."""

    id: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


NOBODY = Caller("", "")
SIGNED_IN = 2 / 3
"""Staff sign in again after this part of their token's life."""
PATIENCE = 8
TOO_QUICK = b'"code":4029'


class Target:
    """The way into a deployment. `password` is that of its staff accounts (`admin@…`, `warehouse@…`, `finance@…`)."""

    def __init__(
        self,
        api: str,
        session: aiohttp.ClientSession,
        *,
        simulators: str = "",
        password: str = PASSWORD,
        domain: str = "example.com",
        store: str = "volt",
        warehouse: str = "icheon",
    ) -> None:
        self.api, self.simulators, self.session = api.rstrip("/"), simulators.rstrip("/"), session
        self._password, self._domain, self._store, self._warehouse = password, domain, store, warehouse
        self._staff: dict[str, tuple[Caller, float]] = {}
        self._signing_in = asyncio.Lock()

    async def ask(
        self, method: str, path: str, body: Any = None, who: Caller = NOBODY, key: str | None = None, **headers: str
    ) -> Reply:
        """One request. A write carries a fresh idempotency key unless told; `/x` stands for `/api/v1/x`. Who asks too
        often (4029) asks again when the shop says so."""
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        sent = {**who.headers, **headers}
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        if method not in ("GET", "HEAD"):
            sent.setdefault("X-Idempotency-Key", key or uuid.uuid4().hex)
        reply = await self._request(method, path, data, sent)
        for _ in range(PATIENCE):
            if reply.status != 429 or TOO_QUICK not in reply.body:
                break
            await asyncio.sleep(float(reply.headers.get("retry-after", "1")))
            reply = await self._request(method, path, data, sent)
        return reply

    async def _request(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> Reply:
        return await self._got(method, self.url(path), data=data, headers=headers)

    def url(self, path: str) -> str:
        """Whole addresses stay as they are."""
        if path.startswith(("http://", "https://")):
            return path
        own = path.startswith(("/api/", "/healthz", "/readyz", "/metrics", "/media", "/openapi", "/docs", "/."))
        return f"{self.api}{path}" if own else f"{self.api}/api/v1{path}"

    async def outside(self, method: str, path: str, body: Any = None) -> Reply:
        """Ask the simulated providers, as a browser does: again where the connection was closed that idled."""
        if not self.simulators:
            raise NotAsExpected("this attack needs the simulated providers of a staging deployment (--simulators)")
        url = path if path.startswith(("http://", "https://")) else f"{self.simulators}{path}"
        for _ in range(2):
            with suppress(aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                return await self._got(method, url, json=body)
        return await self._got(method, url, json=body)

    async def _got(self, method: str, url: str, **sent: Any) -> Reply:
        async with self.session.request(method, url, allow_redirects=False, **sent) as got:
            names = {name.lower(): value for name, value in got.headers.items()}
            return Reply(got.status, names, await got.read())

    async def guest(self) -> Caller:
        made = (await self.ask("POST", "/guests")).ok()
        return Caller(made["account"], made["access_token"])

    async def guests(self, number: int) -> list[Caller]:
        """So many guests, a few at a time."""
        gate = asyncio.Semaphore(16)

        async def one() -> Caller:
            async with gate:
                return await self.guest()

        return list(await asyncio.gather(*(one() for _ in range(number))))

    async def member(self, name: str = "Kim Minji", mail: str = "") -> Caller:
        body = {
            "mail": mail or f"{uuid.uuid4().hex[:12]}@{self._domain}", "name": name,
            "password": uuid.uuid4().hex, "consents": ["terms:2026-01", "privacy:2026-01"],
        }  # fmt: skip
        made = (await self.ask("POST", "/members", body)).ok()
        return Caller(made["account"], made["access_token"])

    async def staff(self, name: str = "admin") -> Caller:
        async with self._signing_in:  # Whoever asks meanwhile waits: many sign-ins at once look like guesses.
            who, until = self._staff.get(name, (NOBODY, 0.0))
            if until < monotonic():
                body = {"login": f"{name}@{self._domain}", "password": self._password}
                made = (await self.ask("POST", "/sessions", body)).ok()
                who = Caller(made["account"], made["access_token"])
                self._staff[name] = who, monotonic() + made["expires_in"] * SIGNED_IN
            return who

    async def sell(self, units: int, *, price: int = 10_000) -> str:
        """A new SKU on sale, with so many units."""
        return (await self.offer(units, price=price))[1]

    async def offer(self, units: int, *, price: int = 10_000) -> tuple[str, str]:
        """A new product on sale and its SKU, with so many units."""
        admin, sku = await self.staff(), f"lab-{uuid.uuid4().hex[:10]}"
        product = {"store": self._store, "title": sku, "skus": [{"sku": sku}], "state": "on_sale"}
        made = (await self.ask("POST", "/products", product, admin)).ok()
        (await self.ask("PUT", f"/prices/{sku}/web", {"currency": "KRW", "price": price}, admin)).ok()
        (await self.ask("PUT", f"/prices/{sku}/wechat", {"currency": "CNY", "price": price // 100}, admin)).ok()
        if units:
            receipt = {"warehouse": self._warehouse, "lines": [{"sku": sku, "quantity": units}]}
            (await self.ask("PUT", f"/inventory/receipts/{uuid.uuid4()}", receipt, await self.staff("warehouse"))).ok()
        return made["product"], sku

    async def left(self, sku: str) -> int:
        """Units that can still be sold."""
        found = (await self.ask("GET", f"/inventory/availability?sku={sku}", who=await self.staff())).ok()
        return next(entry["available"] for entry in found if entry["sku"] == sku)

    async def placed(self, who: Caller, sku: str, **more: Any) -> dict[str, Any]:
        return (await self.ask("POST", "/orders/create", order(who, sku, **more), who)).ok()

    async def begin_payment(self, who: Caller, order_no: str, gateway: str = "toss") -> dict[str, Any]:
        wish = {"gateway": gateway, "return_url": f"{self.api}/"}
        return (await self.ask("POST", f"/orders/{order_no}/payments", wish, who)).ok()

    async def agree(self, payment: dict[str, Any], outcome: str = "approve") -> dict[str, str]:
        """What the buyer does on the simulated provider's page; the query of the address that the browser goes to."""
        if payment["pay_url"]:
            await self.outside("GET", payment["pay_url"])
        wish = {"payment_id": payment["payment"], "outcome": outcome}
        answer = await self.outside("POST", f"/{payment['gateway']}/simulator/pay", wish)
        query = parse_qs(urlsplit(answer.headers.get("location", "")).query)
        return {name: values[0] for name, values in query.items()}


def order(who: Caller, sku: str, **more: Any) -> dict[str, Any]:
    """The body of an order of one unit, or of what `more` says."""
    return {"uid": who.id, "items": [{"sku_id": sku, "qty": 1}], "address": HOME, **more}


@asynccontextmanager
async def reaching(api: str, **options: Any) -> AsyncIterator[Target]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield Target(api, session, **options)


async def until(look: Callable[[], Awaitable[Any]], what: str, timeout_s: float = 60.0) -> Any:
    """What `look` gives as soon as it gives something."""
    try:
        async with asyncio.timeout(timeout_s):
            while not (found := await look()):  # noqa: ASYNC110 other processes work; there is only looking
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise NotAsExpected(f"waited {timeout_s:.0f} s in vain: {what}") from None
    return found

"""Who acts in journeys: each knows nothing but the HTTP API and a browser."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import msgspec

from journeys.town import PATIENCE_S, Town
from pasar.apps.demo import PASSWORD

HOME = {
    "recipient": "Kim Minji", "phone": "+821012345678", "line1": "1 Sejong-daero", "city": "Seoul",
    "postal_code": "04524", "country": "KR",
}  # fmt: skip
_reader = msgspec.json.Decoder(Any, float_hook=Decimal)


class Answered(msgspec.Struct, frozen=True):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Numbers with a point are decimals: money is never a float, in tests neither."""
        return _reader.decode(self.body)

    def ok(self) -> Any:
        assert self.status < 300, (self.status, self.body)
        return self.json if self.body else None

    def refused(self, status: int, code: int) -> Any:
        assert (self.status, self.json.get("code")) == (status, code), (self.status, self.body)
        return self.json


def fresh(name: str) -> str:
    """A name that nobody else in this town has."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


async def until(look: Callable[[], Awaitable[Any]], what: str = "", timeout_s: float = PATIENCE_S) -> Any:
    """What `look` gives as soon as it gives something."""
    try:
        async with asyncio.timeout(timeout_s):
            while not (found := await look()):  # noqa: ASYNC110 other processes work; there is only looking
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"waited {timeout_s:.0f} s in vain: {what or look}") from None
    return found


class Person:
    """Somebody with a token. `get`, `post`, … answer with whatever came; writes carry a fresh key unless told."""

    def __init__(self, city: "City", tokens: dict[str, Any]) -> None:
        self.city, self.id = city, tokens.get("account", "")
        self.token, self._refresh = tokens.get("access_token"), tokens.get("refresh_token")

    async def ask(self, method: str, path: str, body: Any = None, *, key: str | None = None, **more: str) -> Answered:
        headers = {"X-Idempotency-Key": key or uuid.uuid4().hex, **more} if method != "GET" else more
        answer = await self.city.ask(method, f"/api/v1{path}", body, {**self._signed_in(), **headers})
        if answer.status == 401 and self._refresh:  # Days may have passed.
            again = await self.city.ask("POST", "/api/v1/sessions/refresh", {"refresh_token": self._refresh})
            self.token, self._refresh = again.ok()["access_token"], again.json["refresh_token"]
            answer = await self.city.ask(method, f"/api/v1{path}", body, {**self._signed_in(), **headers})
        return answer

    def _signed_in(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    async def get(self, path: str) -> Any:
        return (await self.ask("GET", path)).ok()

    async def post(self, path: str, body: Any = None, **more: Any) -> Any:
        return (await self.ask("POST", path, body, **more)).ok()

    async def put(self, path: str, body: Any = None, **more: Any) -> Any:
        return (await self.ask("PUT", path, body, **more)).ok()

    async def place(self, *items: dict[str, Any], **more: Any) -> Answered:
        body = {"uid": self.id, "items": list(items), "address": HOME, **more}
        return await self.ask("POST", "/orders/create", body)

    async def placed(self, *items: dict[str, Any], **more: Any) -> dict[str, Any]:
        return (await self.place(*items, **more)).ok()

    async def order(self, order_no: str) -> dict[str, Any]:
        return await self.get(f"/orders/{order_no}")

    async def sees(self, order_no: str, *states: str) -> dict[str, Any]:
        """The order, once it is in one of the states."""
        seen: list[str] = []

        async def there() -> Any:
            found = await self.order(order_no)
            seen.append(found["status"])
            return found if found["status"] in states else None

        try:
            return await until(there, f"order {order_no} {states}")
        except AssertionError as late:
            raise AssertionError(f"{late}; saw {list(dict.fromkeys(seen))}") from None

    async def begin(self, order_no: str, gateway: str = "toss") -> dict[str, Any]:
        wish = {"gateway": gateway, "return_url": f"{self.city.town.api}/"}
        return await self.post(f"/orders/{order_no}/payments", wish)

    async def agree(self, payment: dict[str, Any], outcome: str = "approve") -> dict[str, str]:
        """What the buyer does on the provider's page; the query of the address that the browser is sent to."""
        return await self.city.agree(payment, outcome)

    async def pay(self, order_no: str) -> dict[str, Any]:
        """By Toss: window, approval, confirmation. The payment."""
        payment = await self.begin(order_no)
        back = await self.agree(payment)
        return await self.confirm(payment, back)

    async def confirm(self, payment: dict[str, Any], back: dict[str, str], **more: Any) -> dict[str, Any]:
        wish = {"payment_key": back["paymentKey"], "order_id": back["orderId"], "amount": int(back["amount"])}
        return await self.post(f"/payments/{payment['payment']}/confirm", {**wish, **more})

    async def pay_by_wechat(self, order_no: str) -> dict[str, Any]:
        """Scans the code and approves; a notice tells the shop."""
        payment = await self.begin(order_no, "wechat")
        await self.agree(payment)
        return payment


class City:
    """A town with an HTTP session: a test's way into it."""

    def __init__(self, town: Town, session: aiohttp.ClientSession) -> None:
        self.town, self.session = town, session
        self._staff: dict[str, Person] = {}

    async def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answered:
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        sent = {"Content-Type": "application/json", **(headers or {})} if data is not None else headers
        async with self.session.request(method, f"{self.town.api}{path}", data=data, headers=sent) as response:
            return Answered(response.status, dict(response.headers), await response.read())

    async def outside(self, method: str, path: str, body: Any = None) -> Answered:
        """Ask the simulators."""
        target = path if path.startswith("http") else f"{self.town.simulators}{path}"
        async with self.session.request(method, target, json=body, allow_redirects=False) as response:
            return Answered(response.status, dict(response.headers), await response.read())

    async def chaos(self, provider: str, **plan: Any) -> None:
        said = await self.outside("PUT", f"/{provider}/simulator/chaos", plan)
        assert said.status == 200, said

    async def agree(self, payment: dict[str, Any], outcome: str = "approve") -> dict[str, str]:
        if payment["pay_url"]:
            assert (await self.outside("GET", payment["pay_url"])).status == 200
        wish = {"payment_id": payment["payment"], "outcome": outcome}
        answer = await self.outside("POST", f"/{payment['gateway']}/simulator/pay", wish)
        assert answer.status < 400, answer.body
        query = parse_qs(urlsplit(answer.headers.get("Location", "")).query)
        return {name: values[0] for name, values in query.items()}

    async def guest(self) -> Person:
        return Person(self, (await self.ask("POST", "/api/v1/guests")).ok())

    async def member(self, guest: Person | None = None) -> Person:
        mail = f"{fresh('member')}@example.com"
        body = {
            "mail": mail, "name": "Kim Minji", "password": "orange boats sail at noon",
            "consents": ["terms:2026-01", "privacy:2026-01"],
        }  # fmt: skip
        joined = await (guest or Person(self, {})).post("/members", body)
        return Person(self, joined)

    async def staff(self, name: str = "admin") -> Person:
        """Somebody of the demo's staff."""
        if name not in self._staff:
            body = {"login": f"{name}@example.com", "password": PASSWORD}
            self._staff[name] = Person(self, (await self.ask("POST", "/api/v1/sessions", body)).ok())
        return self._staff[name]

    async def sell(self, units: int, price: int = 10_000, store: str = "volt", name: str = "thing", **more: Any) -> str:
        """A new SKU on sale in the Korean and the Chinese channel, with so many units."""
        admin, sku = await self.staff(), fresh(name)
        product = {"store": store, "title": sku, "skus": [{"sku": sku, **more}], "state": "on_sale"}
        await admin.post("/products", product)
        await admin.put(f"/prices/{sku}/web", {"currency": "KRW", "price": price})
        await admin.put(f"/prices/{sku}/wechat", {"currency": "CNY", "price": price // 100})
        if units:
            await self.receive(sku, units)
        return sku

    async def receive(self, sku: str, units: int) -> None:
        lines = [{"sku": sku, "quantity": units}]
        warehouse = await self.staff("warehouse")
        await warehouse.put(f"/inventory/receipts/{uuid.uuid4()}", {"warehouse": "icheon", "lines": lines})

    async def left(self, sku: str) -> int:
        """Units that can still be sold."""
        found = await (await self.staff()).get(f"/inventory/availability?sku={sku}")
        return next(entry["available"] for entry in found if entry["sku"] == sku)

    async def deliver(self, order_no: str) -> None:
        """What the warehouse does with each parcel of an allocated order."""
        warehouse = await self.staff("warehouse")
        sent = await warehouse.get(f"/orders/{order_no}/fulfillment")
        for parcel in sent["parcels"]:
            path = f"/fulfillment/orders/{order_no}/parcels/{parcel['parcel']}"
            for step in ("prepare", "pick", "pack"):
                await warehouse.post(f"{path}/{step}")
            await warehouse.post(f"{path}/ship", {"carrier": "cj", "tracking_no": fresh("6312")})
            await warehouse.post(f"{path}/transit", {"place": "Daejeon hub"})
            await warehouse.post(f"{path}/deliver")

    async def at_rest(self) -> None:
        """Until every follower has digested all that is in the log: what is seen then, stays."""
        await until(self.town.is_at_rest, "followers at the end of the log")


@asynccontextmanager
async def in_town(town: Town) -> AsyncIterator[City]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield City(town, session)


def item(sku: str, units: int = 1, **more: Any) -> dict[str, Any]:
    return {"sku_id": sku, "qty": units, **more}

"""A client of the HTTP API: tokens, idempotency keys, and patience with what passes."""

import asyncio
from decimal import Decimal
from typing import Any

import aiohttp
import msgspec

from pasar.apps.replay.journal import Guest, Journal
from pasar.apps.replay.reader import CannotReplay
from pasar.kernel.messages import encode_for_client

TRIES = 60
PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0
PASSES = frozenset({409, 429, 500, 502, 503, 504})
IN_PROGRESS = 3002
SESSION_OVER = 4006
_exact = msgspec.json.Decoder(float_hook=Decimal)
STAFF_MAIL = "staff@replay.example"


class Refusal(CannotReplay):
    """The shop said no: `code` is the catalogue's."""

    def __init__(self, method: str, path: str, status: int, body: dict[str, Any]) -> None:
        self.code, self.body = int(body.get("code", 0)), body
        super().__init__(f"{method} {path}: {status} {body.get('code')} {body.get('name')}: {body.get('detail')}")


class Client:
    """Speaks for the staff, who have one account with every staff role, and for each customer."""

    def __init__(self, session: aiohttp.ClientSession, base: str, journal: Journal) -> None:
        self._session, self._base, self._journal = session, base, journal
        self._staff = ""
        self._access: dict[str, str] = {}
        self._signing_in = asyncio.Lock()
        self._refreshing: dict[str, asyncio.Lock] = {}
        self.calls = 0

    async def staff(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """A request of the staff's; signs in again when the token has died."""
        answer: Any = None
        for _ in range(3):
            token = self._staff or await self._sign_in("")
            status, answer = await self._patiently(method, path, body, key, token)
            if status != 401:
                return _accepted(method, path, status, answer)
            await self._sign_in(token)
        raise CannotReplay(f"the shop does not let its staff in: {answer}")

    async def _sign_in(self, dead: str) -> str:
        async with self._signing_in:
            if self._staff == dead:
                body = {"login": STAFF_MAIL, "password": self._journal.password}
                status, answer = await self._patiently("POST", "/api/v1/sessions", body, None, None)
                self._staff = _accepted("POST", "/api/v1/sessions", status, answer)["access_token"]
        return self._staff

    async def guest(self, name: str) -> Guest:
        """The account of a customer, opened when it is first asked for."""
        known = self._journal.guests.get(name)
        if known is None:
            status, answer = await self._patiently("POST", "/api/v1/guests", None, None, None)
            answer = _accepted("POST", "/api/v1/guests", status, answer)
            self._journal.note("guest", name, answer["account"], answer["refresh_token"])
            self._access[name] = answer["access_token"]
            known = self._journal.guests[name]
        return known

    async def customer(self, name: str, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """A request of a customer's. Raises `Refusal` (4006) when the session was lost: whoever is killed, or gives up
        waiting, after the shop has given a new refresh token and before it was written down cannot speak for that guest
        any more."""
        await self.guest(name)
        for _ in range(3):
            token = self._access.get(name) or await self._refresh(name, None)
            status, answer = await self._patiently(method, path, body, key, token)
            if status != 401:
                return _accepted(method, path, status, answer)
            await self._refresh(name, token)
        raise CannotReplay(f"the shop does not let customer {name} in")

    async def for_customer(self, name: str, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """A request of a customer's, which the staff makes where the customer's session was lost."""
        try:
            return await self.customer(name, method, path, body, key=key)
        except Refusal as refusal:
            if refusal.code != SESSION_OVER:
                raise
        return await self.staff(method, path, body, key=key)

    async def _refresh(self, name: str, dead: str | None) -> str:
        """A refresh token is good once: of requests side by side, one takes the next."""
        path = "/api/v1/sessions/refresh"
        async with self._refreshing.setdefault(name, asyncio.Lock()):
            if self._access.get(name) == dead:
                body = {"refresh_token": self._journal.guests[name].refresh}
                status, answer = await self._patiently("POST", path, body, None, None)
                answer = _accepted("POST", path, status, answer)
                self._journal.note("guest", name, answer["account"], answer["refresh_token"])
                self._access[name] = answer["access_token"]
        return self._access[name]

    async def _patiently(
        self, method: str, path: str, body: Any, key: str | None, token: str | None
    ) -> tuple[int, dict[str, Any]]:
        """Repeats what did not get through; a write with a key as often as one likes, others are safe to repeat."""
        headers = {"content-type": "application/json"}
        if key is not None:
            headers["idempotency-key"] = key
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        data = None if body is None else encode_for_client(body)
        problem = ""
        for tried in range(TRIES):
            if tried:
                await asyncio.sleep(min(LONGEST_PAUSE_S, PAUSE_S * 2 ** min(tried, 6)))
            try:
                self.calls += 1
                async with self._session.request(method, self._base + path, data=data, headers=headers) as response:
                    status, text = response.status, await response.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                problem = f"{type(error).__name__}: {error}"
                continue
            answer = _exact.decode(text) if text else {}
            if status not in PASSES or (status == 409 and answer.get("code") != IN_PROGRESS):
                return status, answer
            problem = f"{status} {answer}"
        raise CannotReplay(f"{method} {path} does not get through: {problem}")


def _accepted(method: str, path: str, status: int, answer: Any) -> Any:
    if status >= 400:
        raise Refusal(method, path, status, answer)
    return answer

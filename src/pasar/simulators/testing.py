"""The outside world for tests: simulators on a real port, and an inbox that takes their notices."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from yarl import URL

from pasar.kernel.clock import SystemClock

from .keys import Keys, keys
from .server import build, serving


class Clock:
    """The time of the real world, moved."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return SystemClock().now() + self.ahead


class Letter(msgspec.Struct, frozen=True):
    """A notice as it arrived."""

    headers: dict[str, str]
    body: bytes


class Inbox:
    """Keeps what it is sent. `answers` are given in turn; after them all is taken with 200."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.answers: list[int] = []
        self.url = ""

    async def wait_for(self, count: int, timeout_s: float = 5.0) -> list[Letter]:
        """The letters, as soon as there are so many."""
        async with asyncio.timeout(timeout_s):
            while len(self.letters) < count:  # noqa: ASYNC110 - for tests
                await asyncio.sleep(0.01)
        return self.letters

    async def take(self, request: Request) -> Response:
        self.letters.append(Letter(dict(request.headers), await request.body()))
        return Response(status_code=self.answers.pop(0) if self.answers else 200)


class World(msgspec.Struct):
    url: str
    keys: Keys
    inbox: Inbox
    session: aiohttp.ClientSession

    async def put_chaos(self, simulator: str, **plan: Any) -> None:
        await self.put(f"{simulator}/simulator/chaos", **plan)

    async def put(self, path: str, **value: Any) -> None:
        await self._ask("PUT", f"{self.url}/{path}", json=value)

    async def deposit(self, payment_id: str) -> None:
        """The buyer transfers money to the account that Toss opened."""
        await self._ask("POST", f"{self.url}/toss/simulator/deposit", json={"payment_id": payment_id})

    async def pay(self, simulator: str, outcome: str = "approve", **which: str) -> dict[str, str]:
        """What the buyer does. Gives the query of the address that the buyer's browser is sent to, if to any."""
        answer = await self._ask("POST", f"{self.url}/{simulator}/simulator/pay", json={**which, "outcome": outcome})
        location = answer.headers.get("Location")
        return dict(URL(location).query) if location else {}

    async def open(self, url: str) -> str:
        """What the buyer's browser shows."""
        return await (await self._ask("GET", url)).text()

    async def _ask(self, method: str, url: str, **more: Any) -> aiohttp.ClientResponse:
        response = await self.session.request(method, url, allow_redirects=False, **more)
        if response.status >= 400:
            raise AssertionError(f"{method} {url}: {response.status} {await response.text()}")
        await response.read()
        return response


@asynccontextmanager
async def simulated(data: Path, now: Callable[[], datetime] = SystemClock().now) -> AsyncIterator[World]:
    """All simulators over a data folder, notices of Toss going to the inbox at `inbox.url`."""
    inbox = Inbox()
    app = build(data, now=now)
    app.router.routes.append(Route("/inbox", inbox.take, methods=["POST"]))
    async with serving(app) as url, aiohttp.ClientSession() as session:
        inbox.url = f"{url}/inbox"
        world = World(url, keys(data, now()), inbox, session)
        await world.put("toss/simulator/webhook", url=inbox.url)
        yield world

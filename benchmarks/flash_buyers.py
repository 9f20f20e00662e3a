"""The buyers of `make bench-flash`: each a member on a connection of its own, as little work as can be, because they
share two cores with what they measure. Answers are cut by their Content-Length; nothing is a task or a coroutine."""

import asyncio
import random
import socket
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import msgspec

from benchmarks import load

PATIENCE_S = 120.0
WAIT_S = 20
"""How long an answer of the queue may wait until it is final."""
PER_ADDRESS = 20_000
"""Connections from one source address; more come from 127.0.0.2 and so on."""
_decode, _encode = msgspec.json.decode, msgspec.json.encode


class Buyer(asyncio.Protocol):
    """One member on one connection; times are seconds since the release."""

    def __init__(self, account: str, token: str) -> None:
        self.account, self.token = account, token
        self.outcome, self.order_no = "unanswered", ""
        self.first_s = self.final_s = 0.0
        self.refusals = self.requests = 0
        self.join = self.again = b""
        self._left = b""
        self._chance = random.Random(account)

    def connect(self, rush: "Rush") -> None:
        self.rush = rush
        self.join = self.again = load.request("PUT", f"{rush.path}/queue/{rush.sku}?wait_s={WAIT_S}", token=self.token)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("connection lost")

    def look_at_page(self, then: Callable[[], None]) -> None:
        """What everybody does who waits for a sale to begin."""
        self._then: Callable[[int, bytes], None] = lambda status, answer: then()
        self.transport.write(load.request("GET", self.rush.path, token=self.token))

    def hold_back(self) -> None:
        """Send the request to join but for its last byte."""
        self._then = self._placed
        self.transport.write(self.join[:-1])

    def release(self) -> None:
        self.transport.write(self.join[-1:])

    def data_received(self, data: bytes) -> None:
        if self._left:
            data = self._left + data
        end = data.find(b"\r\n\r\n")
        at = data.find(b"content-length: ")
        if end < 0 or len(data) < end + 4 + int(data[at + 16 : data.find(b"\r\n", at)]):
            self._left = data
            return
        self._left = b""
        self._then(int(data[9:12]), data)

    def _send(self, data: bytes) -> None:
        self.requests += 1
        self.transport.write(data)

    def _later(self, seconds: float, data: bytes) -> None:
        if self.rush.now() > PATIENCE_S:
            return self._end("unanswered")
        asyncio.get_running_loop().call_later(seconds, self._send, data)
        return None

    def _come_again(self, answer: bytes, data: bytes) -> None:
        """Refused for the moment."""
        self.refusals += 1
        at = answer.lower().find(b"retry-after: ")
        seconds = int(answer[at + 13 : answer.find(b"\r\n", at)]) if at > 0 else 1
        self._later(seconds * (1 + self._chance.random() / 2), data)

    def _placed(self, status: int, answer: bytes) -> None:
        """Where one stands in the queue."""
        if not self.first_s:
            self.first_s = self.rush.now()
        if status in (429, 503):
            self._come_again(answer, self.join)
        elif status != 200:
            self._end(f"status {status}")
        elif b'"sold_out"' in answer:
            self._end("sold out")
        elif b'"admitted"' in answer:
            self._order(_body(answer)["ticket"])
        else:
            seconds = _body(answer)["ask_again_s"] or 1
            self._later(seconds * (1 + self._chance.random() / 2), self.join)

    def _order(self, ticket: str) -> None:
        buffered = self.rush.buffered
        body = _encode({"sku_id": self.rush.sku, "qty": 1, "ticket": ticket, "shipping_address_id": "home"})
        path, key = f"{self.rush.path}/orders" + ("/buffered" if buffered else ""), None if buffered else str(uuid4())
        self.again, self._then = load.request("POST", path, token=self.token, body=body, key=key), self._ordered
        self._send(self.again)

    def _ordered(self, status: int, answer: bytes) -> None:
        if status in (429, 503):
            self._come_again(answer, self.again)
        elif status != 200:
            self._end(f"order {status}")
        elif not self.rush.buffered:
            self._won(_body(answer)["order_no"])
        else:
            self._result(_body(answer))

    def _result(self, found: Any) -> None:
        if found["state"] == "placed":
            self._won(found["order"]["order_no"])
        elif found["state"] == "refused":
            self._end(f"refused {found['problem']['code']}")
        else:
            path = f"/api/v1/flash/orders/{found['ticket_id']}"
            self.again = load.request("GET", path, token=self.token)
            self._later(found["ask_again_s"] or 1, self.again)

    def _won(self, order_no: str) -> None:
        self.order_no = order_no
        self._end("won")

    def _end(self, outcome: str) -> None:
        if self.final_s == 0.0 and self.rush.released:
            self.outcome, self.final_s = outcome, self.rush.now()
            self.rush.ended()


def _body(answer: bytes) -> Any:
    return _decode(answer[answer.find(b"\r\n\r\n") + 4 :])


class Rush:
    """Everybody at once. `path` is the sale's."""

    def __init__(self, port: int, path: str, sku: str, *, buffered: bool, buyers: list[Buyer]) -> None:
        self.port, self.path, self.sku, self.buffered, self.buyers = port, path, sku, buffered, buyers
        self.released = 0.0
        self._left = len(buyers)

    def now(self) -> float:
        return time.perf_counter() - self.released

    def ended(self) -> None:
        self._left -= 1
        if not self._left:
            self._done.set_result(None)

    async def run(self, about_to: Callable[[], None], over: Callable[[], None]) -> None:
        """Connect all, look at the page, withhold each one's last byte, release, and stay until everybody knows."""
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._connected()
        for buyer in self.buyers:
            buyer.hold_back()
        await asyncio.sleep(2)  # All that was sent has been read.
        about_to()
        self.released = time.perf_counter()
        for buyer in self.buyers:
            buyer.release()
        await asyncio.wait({self._done}, timeout=PATIENCE_S + 30)
        over()
        for buyer in self.buyers:
            buyer.transport.abort()

    async def _connected(self) -> None:
        loop, gate = asyncio.get_running_loop(), asyncio.Semaphore(100)

        async def one(number: int, buyer: Buyer) -> None:
            async with gate:
                source = f"127.0.0.{1 + number // PER_ADDRESS}"
                buyer.connect(self)
                await loop.create_connection(
                    lambda: buyer, "127.0.0.1", self.port, local_addr=(source, 0), family=socket.AF_INET
                )
                looked = loop.create_future()
                buyer.look_at_page(lambda: looked.set_result(None))
                await looked

        await asyncio.gather(*(one(number, buyer) for number, buyer in enumerate(self.buyers)))

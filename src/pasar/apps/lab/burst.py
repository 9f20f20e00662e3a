"""Requests that arrive in the same instant: each has its own socket, all but its last byte is sent and has arrived,
then all last bytes go out in one loop. So the server begins with all of them at once, however slow the client is."""

import asyncio
import socket
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import httptools
import msgspec

from .target import Caller, NotAsExpected, Reply


def request(api: str, method: str, path: str, body: Any, who: Caller, key: str | None = None, **headers: str) -> bytes:
    """An HTTP request as bytes. `path` is whole."""
    data = msgspec.json.encode(body)
    sent = {
        "Host": urlsplit(api).netloc,
        "Content-Type": "application/json",
        "Content-Length": str(len(data)),
        "Connection": "close",
        "X-Idempotency-Key": key or uuid.uuid4().hex,
        **who.headers,
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + data


class _Answer:
    """What httptools tells of an answer."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body, self.done = b"", False
        self.parser = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.done = True

    def reply(self) -> Reply:
        return Reply(self.parser.get_status_code(), self.headers, self.body)


async def burst(api: str, requests: Sequence[bytes], *, timeout_s: float = 30.0) -> list[Reply]:
    """Send all at once; the answers in the order of the requests. Raises `NotAsExpected` when one gets no answer."""
    where = urlsplit(api)
    address = (where.hostname or "127.0.0.1", where.port or 80)
    loop = asyncio.get_running_loop()
    sockets: list[socket.socket] = []
    try:
        async with asyncio.timeout(timeout_s):
            for one in requests:
                made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                made.setblocking(False)
                sockets.append(made)
                await loop.sock_connect(made, address)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await loop.sock_sendall(made, one[:-1])
            await asyncio.sleep(0.05)  # Until the last ones are read: the barrier is the withheld byte, not this pause.
            for made, one in zip(sockets, requests, strict=True):
                made.send(one[-1:])
            return list(await asyncio.gather(*(_read(loop, made) for made in sockets)))
    except TimeoutError:
        raise NotAsExpected(f"a request of a burst was not answered within {timeout_s:.0f} s") from None
    finally:
        for made in sockets:
            made.close()


async def _read(loop: asyncio.AbstractEventLoop, made: socket.socket) -> Reply:
    answer = _Answer()
    while not answer.done:
        data = await loop.sock_recv(made, 65_536)
        if not data:
            raise NotAsExpected("a connection was closed without an answer")
        answer.parser.feed_data(data)
    return answer.reply()


def verdicts(replies: Sequence[Reply]) -> Counter[str]:
    """How often each answer came: `200`, `409/1001`, …"""
    return Counter(f"{reply.status}/{reply.code}" if reply.code else str(reply.status) for reply in replies)

"""Puts an answer on the wire, with the headers that every answer has."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from .web_answers import Headers, Reply
from .web_request import Request

Send = Any
JSON_POLICY = b"default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    b"default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; script-src 'self'; "
    b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_COMMON: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_NO_STORE = (b"cache-control", b"no-store")
_HSTS = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")


class UnsafeHeader(ValueError):
    """A header that would end early: a line break in its value."""


def header(name: str, value: str) -> tuple[bytes, bytes]:
    """A header as bytes; a line break in it would let a text write headers of its own."""
    pair = name.lower().encode("latin-1"), value.encode("latin-1", "replace")
    if any(byte < 0x20 or byte == 0x7F for byte in pair[0] + pair[1]):
        raise UnsafeHeader(name)
    return pair


class Sender:
    """Sends replies. `hsts`: this deployment is reached by TLS only."""

    def __init__(self, *, hsts: bool = False) -> None:
        common = (*_COMMON, _NO_STORE, _HSTS) if hsts else (*_COMMON, _NO_STORE)
        self._common = [*common, (b"content-security-policy", JSON_POLICY)]
        self._page = [*common, (b"content-security-policy", PAGE_POLICY)]

    @property
    def common(self) -> Headers:
        """What every answer in JSON has."""
        return tuple(self._common)

    async def send(self, reply: Reply, request: Request, send: Send, receive: Any) -> None:
        status, body, content_type, more = reply
        head = request.method == "HEAD"
        headers = [(b"x-request-id", request.request_id), (b"x-correlation-id", request.correlation_id)]
        headers += self._page if content_type.startswith(b"text/html") else self._common
        if more:
            names = {name for name, _ in more}
            headers = [pair for pair in headers if pair[0] not in names]
            headers += more
        if status not in (204, 304):
            headers.append((b"content-type", content_type))
            if isinstance(body, bytes):
                headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if isinstance(body, bytes):
            await send({"type": "http.response.body", "body": b"" if head or status in (204, 304) else body})
        elif head:
            await send({"type": "http.response.body", "body": b""})
        else:
            await _stream(body, send, receive)


async def _stream(body: AsyncIterator[bytes], send: Send, receive: Any) -> None:
    """Send parts as they come, until there are no more or the client has hung up."""

    async def pump() -> None:
        async for part in body:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    tasks = [asyncio.create_task(pump()), asyncio.create_task(gone())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        close = getattr(body, "aclose", None)
        if close is not None:
            await close()

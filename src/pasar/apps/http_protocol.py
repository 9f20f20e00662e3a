"""HTTP/1.1 as uvicorn speaks it, but for two things: an answer is one write, and what the application has no place for
is answered when its head is read, without a task and an ASGI conversation of its own.

uvicorn writes head and body one after the other, and a write is a system call: up to a fifth of what a short answer
costs."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

AT_ONCE = 65_536
"""More bytes do not wait: how much may be under way is for the transport to say."""


class _Joining:
    """A transport whose writes of one turn of the event loop go out together."""

    __slots__ = ("_loop", "_parts", "_size", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size > AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        if self._parts and not self._transport.is_closing():
            self._transport.write(b"".join(self._parts))
        self._parts, self._size = [], 0

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Refused:
    """Stands for the request that was turned away: its answer is complete, its body is skipped."""

    response_complete = True
    keep_alive = False

    def __init__(self) -> None:
        self.message_event = self

    def set(self) -> None:
        """Nobody waits for it."""


_REFUSED: Any = _Refused()


class Http(HttpToolsProtocol):
    """An application that turns requests away has a method `refusal(method, target, headers)`, which gives the bytes of
    a refusal or None."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._refusal = getattr(self.app, "refusal", None)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_Joining(transport, self.loop))  # type: ignore[arg-type]

    def on_headers_complete(self) -> None:
        is_next = self.cycle is None or self.cycle.response_complete  # Else it is pipelined and waits for its turn.
        if is_next and self._refusal is not None:
            parser: Any = self.parser
            refusal = self._refusal(parser.get_method().decode("ascii"), self.url, self.headers)
            if refusal is not None:
                self._refuse(refusal)
                return
        super().on_headers_complete()

    def _refuse(self, refusal: bytes) -> None:
        parser: Any = self.parser
        self.cycle = _REFUSED
        if parser.should_keep_alive() and parser.get_http_version() == "1.1":
            self.transport.write(refusal)
            self.on_response_complete()
        else:
            head, _, body = refusal.partition(b"\r\n\r\n")
            self.transport.write(head + b"\r\nconnection: close\r\n\r\n" + body)
            self.transport.close()

"""An answer is one write to its connection, and nothing of it is lost or held back; new connections do not wait."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
import uvloop

from pasar.apps.api import listeners
from pasar.apps.http_protocol import AT_ONCE, Http, _Joining

BIG = b"x" * 1_000_000


class Transport:
    """The far end of a connection."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def get_extra_info(self, name: str) -> str:
        return name


async def test_what_is_written_in_one_turn_goes_out_together() -> None:
    real = Transport()
    joining = _Joining(real, asyncio.get_running_loop())  # type: ignore[arg-type]
    joining.write(b"head ")
    joining.write(b"body")
    assert real.written == []
    await asyncio.sleep(0)
    assert real.written == [b"head body"]
    joining.write(b"a")
    joining.write(b"y" * AT_ONCE)
    assert [len(data) for data in real.written] == [9, AT_ONCE + 1], "what is long does not wait"
    joining.write(b"last words")
    joining.close()
    assert (real.written[-1], real.closed) == (b"last words", True)
    joining.write(b"too late")
    await asyncio.sleep(0)
    assert real.written[-1] == b"last words"
    assert joining.get_extra_info("peername") == "peername"


async def _app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    parts = {"/long": [BIG], "/stream": [b"one", b"two", b"three"]}.get(scope["path"], [b"short"])
    length = [(b"content-length", str(sum(map(len, parts))).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": [] if scope["path"] == "/stream" else length})
    for part in parts:
        await asyncio.sleep(0.01 if scope["path"] == "/stream" else 0)
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@contextmanager
def _listening() -> Iterator[socket.socket]:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        yield made


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_answers_arrive_whole_one_after_the_other(loop: str) -> None:
    """Short, long and in parts, on one connection, asked for at once."""

    async def served() -> AsyncIterator[bytes]:
        with _listening() as listening:
            config = uvicorn.Config(_app, http=Http, lifespan="off", log_config=None)
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            while not server.started:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            paths = ("/short", "/long", "/stream", "/short")
            writer.write(b"".join(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode() for path in paths))
            for path in paths:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if b"chunked" in head:
                    yield path.encode() + (await reader.readuntil(b"0\r\n\r\n"))
                else:
                    yield await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
            writer.close()
            server.should_exit = True
            await serving

    async def all_of_it() -> list[bytes]:
        return [part async for part in served()]

    if loop == "uvloop":
        import uvloop

        found = uvloop.run(all_of_it())
    else:
        found = asyncio.run(all_of_it())
    stream = b"/stream3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"
    assert found == [b"short", BIG, stream, b"short"]


@pytest.mark.promise("C1")
def test_a_busy_process_accepts_many_connections_a_round() -> None:
    """Whoever comes while all are busy must not wait for as many rounds as there are people before them."""
    people = 256

    async def accepted_within() -> int:
        loop, made = asyncio.get_running_loop(), 0

        class Met(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                nonlocal made
                made += 1
                transport.close()

        with socket.create_server(("127.0.0.1", 0), backlog=people) as listening:
            servers = [await loop.create_server(Met, sock=one, backlog=people) for one in listeners(listening)]
            callers = [socket.create_connection(listening.getsockname()) for _ in range(people)]
            rounds = 0
            while made < people and rounds < 2 * people:
                rounds += 1
                await asyncio.sleep(0)
            for one in (*servers, *callers):
                one.close()
        return rounds

    assert uvloop.run(accepted_within()) < people // 8

"""What is turned away when its head is read: by the server's protocol, on real connections."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import uvicorn

from kernel.toy_web import Shop, open_shop
from pasar.apps.http_protocol import Http
from pasar.kernel.web_lanes import Lanes
from postgres import TestDatabase

GET = b"GET /shelves HTTP/1.1\r\nHost: x\r\n%b\r\n"


@pytest_asyncio.fixture
async def shop(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(database, tmp_path) as found:
        yield found


class Full:
    """Serves with one word; refuses while it is `full`."""

    full = True

    def refusal(self, method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes | None:
        return b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nfull" if self.full else None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
        await send({"type": "http.response.body", "body": b"served"})


@asynccontextmanager
async def connected(app: Any) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    config = uvicorn.Config(app, port=0, http=Http, lifespan="off", log_config=None, proxy_headers=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        server.should_exit = True
        await serving


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return int(head[9:12]), await reader.readexactly(length)


async def test_a_connection_goes_on_after_a_refusal_whose_body_is_skipped() -> None:
    app = Full()
    async with asyncio.timeout(20), connected(app) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nGET ")
        assert await answer(reader) == (503, b"full")
        app.full = False
        writer.write(b"/ HT\n")  # The rest of the body, not a request.
        writer.write(GET % b"")
        assert await answer(reader) == (200, b"served")
        app.full = True
        writer.write((GET % b"") * 2)  # Two in one packet.
        assert [await answer(reader), await answer(reader)] == [(503, b"full")] * 2


@pytest.mark.parametrize("request_", [GET % b"Connection: close\r\n", b"GET / HTTP/1.0\r\n\r\n"])
async def test_who_does_not_want_to_go_on_is_hung_up_on(request_: bytes) -> None:
    async with asyncio.timeout(20), connected(Full()) as (reader, writer):
        writer.write(request_)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert b"connection: close" in head
        assert body == b"full"


async def test_a_request_that_waits_behind_another_is_served_in_its_turn() -> None:
    app = Full()
    app.full = False
    async with asyncio.timeout(20), connected(app) as (reader, writer):
        writer.write((GET % b"") * 3)
        assert [await answer(reader) for _ in range(3)] == [(200, b"served")] * 3


def fill(shop: Shop, lane: str) -> Lanes:
    lanes = shop.web.lanes
    lanes.gates[lane].running = lanes.gates[lane].most  # type: ignore[index]
    return lanes


@pytest.mark.promise("C1")
async def test_the_early_refusal_says_what_the_late_one_says(shop: Shop) -> None:
    early = shop.web.early
    assert early.answer("GET", b"/shelves", []) is None
    lanes = fill(shop, "browse")
    late = await shop.ask("GET", "/shelves")
    found = early.answer("GET", b"/shelves?limit=3", [])
    assert found is not None
    head, _, body = found.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert lines[0] == "HTTP/1.1 503 Service Unavailable"
    assert headers.keys() == late.headers.keys()
    assert all(headers[name] == late.headers[name] for name in headers.keys() - {"x-request-id", "x-correlation-id"})
    assert body.replace(headers["x-request-id"].encode(), b"") == late.body.replace(
        late.headers["x-request-id"].encode(), b""
    )
    assert lanes.gates["browse"].refused == 2


async def test_what_is_not_turned_away_early(shop: Shop) -> None:
    fill(shop, "browse")
    early = shop.web.early
    assert early.answer("GET", b"/shelves", [(b"x-request-id", b"mine")]) is None, "its id is in the answer"
    assert early.answer("GET", b"/shelves", [(b"transfer-encoding", b"chunked")]) is None
    assert early.answer("GET", b"/nowhere", []) is None, "that is 404, as ever"
    assert early.answer("DELETE", b"/shelves", []) is None, "and this 405"
    assert early.answer("GET", b"/healthz", []) is None, "another lane"
    head = early.answer("HEAD", b"/shelves", [])
    assert head is not None
    assert head.endswith(b"\r\n\r\n")

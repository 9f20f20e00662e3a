"""Bursts against the whole deployment; and the judges of bursts, tried on shops that look and then write."""

import asyncio

import pytest

from pasar.apps.lab.attack import LimitExceeded, coupon_limit, judge_uses, last_units, one_capture
from pasar.apps.lab.burst import burst, request
from pasar.apps.lab.evidence import Evidence
from pasar.apps.lab.target import NOBODY, NotAsExpected, Target

pytestmark = pytest.mark.slow


@pytest.mark.promise("A1")
async def test_last_units_in_bursts(target: Target, proof: Evidence) -> None:
    await last_units(target, proof, proof.number(10_000, 256))


@pytest.mark.promise("A2")
async def test_coupon_limit_in_bursts(target: Target, proof: Evidence) -> None:
    await coupon_limit(target, proof, proof.number(10_000, 256))


@pytest.mark.promise("A8")
async def test_one_capture_in_bursts(target: Target, proof: Evidence) -> None:
    await one_capture(target, proof, proof.number(30, 3))


async def test_staff_sign_in_once_for_all_who_ask_at_once(target: Target) -> None:
    found = await asyncio.gather(*(target.staff("finance") for _ in range(64)))
    assert len({one.token for one in found}) == 1


class Server:
    """Answers every request when its last byte has come; `naive` grants by looking first and writing later."""

    def __init__(self, uses: int, *, naive: bool) -> None:
        self.uses, self._naive = uses, naive
        self.waiting, self.most = 0, 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        await reader.readexactly(length)
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        seen = self.uses
        await asyncio.sleep(0.02)  # What a database would take.
        if not self._naive:
            seen = self.uses
        granted = seen > 0
        if granted:
            self.uses = seen - 1
        self.waiting -= 1
        status = b"200 OK" if granted else b"409 Conflict"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()


async def granted(server: Server, askers: int) -> int:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    api = f"http://{host}:{port}"
    try:
        replies = await burst(api, [request(api, "POST", "/use", {}, NOBODY) for _ in range(askers)])
    finally:
        listening.close()
    return sum(reply.status == 200 for reply in replies)


async def test_all_requests_of_a_burst_are_there_at_once() -> None:
    server = Server(5, naive=False)
    assert await granted(server, 64) == 5
    assert server.most == 64


async def test_the_burst_finds_who_looks_and_then_writes() -> None:
    uses = await granted(Server(5, naive=True), 64)
    with pytest.raises(LimitExceeded):
        judge_uses(5, uses, 64)


async def test_a_request_without_an_answer_is_told() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    listening = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    api = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    with pytest.raises(NotAsExpected):
        await burst(api, [request(api, "POST", "/", {}, NOBODY)])
    listening.close()


def test_a_coupon_that_was_lost_is_found_too() -> None:
    judge_uses(5, 5, 64)
    with pytest.raises(LimitExceeded):
        judge_uses(5, 4, 64)

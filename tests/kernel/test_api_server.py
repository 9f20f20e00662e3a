"""The API as processes on a real socket."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import aiohttp
import psutil
import pytest

from pasar.apps.api import PortTaken, serve
from pasar.kernel.access import Principal
from pasar.kernel.clock import SystemClock
from pasar.kernel.ids import SystemIds
from pasar.kernel.tokens import KeyRing, Tokens
from ports import free_port
from postgres import TestDatabase

pytestmark = pytest.mark.slow
PATIENCE_S = 90
TESTS = Path(__file__).parents[1]
CODE = "from kernel.toy_api import make; from pasar.apps.api import serve; import sys; "
START = CODE + "serve(make, port=int(sys.argv[1]), workers=int(sys.argv[2]))"


@pytest.fixture(params=[1, 2])
def server(request: pytest.FixtureRequest, module_database: TestDatabase, tmp_path: Path) -> Iterator[tuple[str, int]]:
    port = free_port()
    environment = {
        **os.environ,
        "PASAR_TEST_TOY_DSN": module_database.app_dsn,
        "PASAR_TEST_TOY_FOLDER": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    process = subprocess.Popen([sys.executable, "-c", START, str(port), str(request.param)], env=environment)
    try:
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) in (0, -signal.SIGTERM)


async def started(session: aiohttp.ClientSession, url: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            async with session.get(f"{url}/readyz") as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        assert time.monotonic() < until, "the server does not start"
        await asyncio.sleep(0.1)


async def test_a_shop_on_a_socket(server: tuple[str, int], tmp_path: Path) -> None:
    url, _pid = server
    clock = SystemClock()
    async with aiohttp.ClientSession() as session:
        await started(session, url)
        tokens = Tokens(KeyRing(tmp_path / "tokens", clock), clock, SystemIds())

        def signed(id: str, kind: str) -> dict[str, str]:
            return {"Authorization": f"Bearer {tokens.issue(Principal(id=id, kind=kind))}"}  # type: ignore[arg-type]

        async with session.post(f"{url}/shelves/a", json=5, headers=signed("root", "admin")) as answer:
            assert answer.status == 204
            assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
            assert "Server" not in answer.headers
        basket, buyer = uuid4(), f"buyer-{uuid4()}"
        kim = signed(buyer, "member")
        key = {"X-Idempotency-Key": str(uuid4())}
        order = {"shelf": "a", "things": 1}
        async with session.post(f"{url}/baskets/{basket}", json=order, headers=kim | key) as answer:
            assert (answer.status, await answer.json()) == (201, {"state": "picked", "things": 1})
        async with session.post(f"{url}/raw", data=b"x" * 4000) as answer:
            assert answer.status == 413
        async with session.get(f"{url}/members-only", headers=signed("gone", "member")) as answer:
            assert answer.status == 401
        async with session.post(f"{url}/baskets/{basket}/keep", headers=kim) as answer:
            assert answer.status == 200
        dead, until = 0, time.monotonic() + PATIENCE_S
        while dead < 8:  # In every process, and it stays so; a second is promised where nothing else runs.
            async with aiohttp.ClientSession() as other, other.get(f"{url}/members-only", headers=kim) as answer:
                dead = dead + 1 if answer.status == 401 else 0
            assert time.monotonic() < until, "a revoked token lives on"


@pytest.mark.parametrize("server", [2], indirect=True)
async def test_a_process_that_was_killed_is_started_again(server: tuple[str, int]) -> None:
    url, pid = server
    async with aiohttp.ClientSession() as session:
        await started(session, url)

    def serving() -> list[psutil.Process]:
        alive = []
        for one in psutil.Process(pid).children():
            with suppress(psutil.NoSuchProcess):  # It ends just now, or waits to be buried (`ZombieProcess`).
                if "resource_tracker" not in " ".join(one.cmdline()):
                    alive.append(one)
        return alive

    before = serving()
    assert len(before) == 2
    before[0].kill()
    until = time.monotonic() + PATIENCE_S
    while True:
        alive = serving()
        if len(alive) == 2 and before[0].pid not in {one.pid for one in alive}:
            break
        assert time.monotonic() < until
        await asyncio.sleep(0.1)
    async with aiohttp.ClientSession() as session:
        await started(session, url)


def test_a_taken_port_is_said_in_a_sentence() -> None:
    from kernel.toy_api import make

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=f"127.0.0.1:{port} cannot be listened on"):
            serve(make, port=port)

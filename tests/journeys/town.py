"""A whole deployment as processes: PostgreSQL, simulated providers, API and worker on free ports, the demo mall loaded.

Its clock runs, and can be moved forward by days: it is that of a replay deployment, which a thread keeps moving.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import asyncpg

from kernel.running import at_the_end
from pasar.apps.demo import load_demo
from pasar.apps.demo_history import load_history
from pasar.apps.deployment import Addresses, prepare, read_settings
from pasar.apps.supervisor import Child
from pasar.apps.wiring import modules
from pasar.kernel.shared_clock import ClockMovesForward, SharedClock
from ports import free_port
from postgres import TestDatabase, TestServer

PATIENCE_S = 90.0
TICK_S = 0.02


class Town:
    """`start` it, use `api` and `simulators` (addresses), `jump` in time, `kill` and `revive` its processes."""

    def __init__(self, folder: Path, addresses: Addresses, settings: Mapping[str, str] | None = None) -> None:
        self.folder, self.addresses = folder, addresses
        port, simulated = free_port(), free_port()
        self.api, self.simulators = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{simulated}"
        self.environment = {
            "PASAR_DATA_DIR": str(folder),
            "PASAR_REPLAY": "true",
            "PASAR_DATABASE_URL": addresses.owner,
            "PASAR_DATABASE_APP_URL": addresses.app,
            "PASAR_SERVER_PORT": str(port),
            "PASAR_SERVER_PUBLIC_URL": self.api,
            "PASAR_PAYMENT_SIMULATORS": str(folder / "simulators"),
            "PASAR_PAYMENT_SIMULATORS_URL": self.simulators,
            "PASAR_PAYMENT_BREAKER_PAUSE_S": "1",
            "PASAR_PAYMENT_HEALTH_CHECK_S": "1",
            "PASAR_LOG_LEVEL": "warning",
            **(settings or {}),
        }
        self.clock = SharedClock(folder / "clock", datetime.now(UTC).replace(microsecond=0))
        self._ahead = self.clock.now() - datetime.now(UTC)
        self.with_history = False
        self.is_shared = False
        self._clockwork: threading.Thread | None = None
        self._stopping = threading.Event()
        self.children: dict[str, Child] = {}
        outside = ["pasar.simulators", "--data", str(folder / "simulators"), "--port", str(simulated)]
        outside += ["--toss-webhook", f"{self.api}/api/v1/payments/callback/toss"]
        for name, command in (
            ("simulators", outside),
            ("worker", ["pasar.apps.cli", "work"]),
            ("api", ["pasar.apps.cli", "serve"]),
        ):
            log = folder / "logs" / f"{name}.log"
            self.children[name] = Child(name, [sys.executable, "-m", *command], log, self.environment)

    def start(self) -> None:
        outside = {"payment.simulators": str(self.folder / "simulators")}
        settings = read_settings({"data_dir": str(self.folder), "replay": True, **outside})
        asyncio.run(prepare(self.addresses, modules(settings)))
        asyncio.run(load_demo(settings, self.addresses, with_history=self.with_history))
        asyncio.run(load_history(settings, self.addresses))
        self._clockwork = threading.Thread(target=self._tick, daemon=True)
        self._clockwork.start()
        self.revive("simulators")
        self.wait_until_ready(f"{self.simulators}/healthz", "simulators")
        self.revive("worker")
        self.revive("api")
        self.wait_until_ready(f"{self.api}/readyz", "api")

    def _tick(self) -> None:
        while not self._stopping.wait(TICK_S):
            self._set_clock()

    def _set_clock(self) -> None:
        with suppress(ClockMovesForward):  # Somebody was quicker.
            self.clock.set(datetime.now(UTC) + self._ahead)

    def jump(self, **by: float) -> datetime:
        """Let days pass for all processes at once; in a town that other tests come to, hours at most: what is fresh, or
        valid until then, has to be so for them, too."""
        passing = timedelta(**by)
        assert not self.is_shared or passing < timedelta(days=1), "days pass in an `own_town` only"
        self._ahead += passing
        self._set_clock()
        return self.clock.now()

    def kill(self, name: str) -> None:
        """As a power cut would: nothing is said goodbye to."""
        process = self.children[name].process
        assert process is not None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def revive(self, name: str) -> None:
        self.children[name].start()

    def wait_until_ready(self, url: str, name: str) -> None:
        child, ends = self.children[name], time.monotonic() + PATIENCE_S
        while time.monotonic() < ends:
            assert child.exited() is None, f"{name} ended:\n{child.last_lines()}"
            with suppress(URLError, OSError), urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"{name} is not ready:\n{child.last_lines()}")

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """What an operator types: `pasar verify`, …"""
        return subprocess.run(
            [sys.executable, "-m", "pasar.apps.cli", *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    async def is_at_rest(self) -> bool:
        """Whether every follower has digested all that is in the log."""
        connection = await asyncpg.connect(self.addresses.owner)
        try:
            return await at_the_end(connection)
        finally:
            await connection.close()

    async def lagging(self) -> list[str]:
        """Who has not read all, how far it came, and where the log ends."""
        connection = await asyncpg.connect(self.addresses.owner)
        try:
            rows = await connection.fetch(
                """select follower, epoch, xid, position, updated_at from kernel.cursor
                   union all
                   (select 'the log', epoch, xid, position, null from kernel.event
                     order by epoch desc, xid desc, position desc limit 1)"""
            )
            return [str(dict(row)) for row in rows]
        finally:
            await connection.close()

    def stop(self) -> None:
        for child in reversed(self.children.values()):
            if child.process is not None and child.exited() is None:
                child.process.terminate()
        for child in reversed(self.children.values()):
            if child.process is not None:
                try:
                    child.process.wait(60)
                except subprocess.TimeoutExpired:
                    child.process.kill()
                    child.process.wait()
        self._stopping.set()
        if self._clockwork is not None:
            self._clockwork.join()


@contextmanager
def make_town(
    server: TestServer, template: TestDatabase, folder: Path, *, with_history: bool = False, **settings: str
) -> Iterator[Town]:
    """A town on a database of its own on the server of the tests. At its end, its books are in order."""
    database = asyncio.run(server.create(template))
    town = Town(folder, Addresses(database.dsn, database.app_dsn), settings)
    town.with_history = with_history
    try:
        town.start()
        yield town
    finally:
        town.stop()
        asyncio.run(server.drop(database))

"""`pasar run`: everything with one command, whatever is killed meanwhile."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from journeys.town import PATIENCE_S
from pasar.kernel.embedded import EmbeddedServer
from pasar.kernel.embedded_host import processes_in
from ports import free_port


class Running:
    """`pasar run` in a folder, on ports of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder, self.port = folder, free_port()
        self.output = folder.parent / f"output-{self.port}"
        command = [sys.executable, "-m", "pasar.apps.cli", "run", "--port", str(self.port)]
        command += ["--simulators-port", str(free_port()), *arguments]
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                command, env={**os.environ, "PASAR_DATA_DIR": str(folder)}, stdout=output, stderr=output
            )

    def has_started(self) -> bool:
        """It says so itself: before that, a process that ends is one that could not start."""
        return "Ready after" in self.output.read_text()

    def is_ready(self) -> bool:
        with suppress(OSError), urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
            return answer.status == 200
        return False

    def child(self, name: str) -> psutil.Process | None:
        """The process that plays a role: `serve`, `work`."""
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):  # It ends just now.
                if name in child.cmdline():
                    return child
        return None

    def wait(self, condition: Callable[[], object]) -> None:
        ends = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < ends, self.output.read_text()
            assert self.process.poll() is None, self.output.read_text()
            time.sleep(0.05)

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="pasar-run-"))
    made.chmod(0o755)
    yield made / "data"
    EmbeddedServer(made / "data" / "postgres").remove()
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def run(folder: Path) -> Iterator[Callable[..., Running]]:
    """Starts `pasar run` in the folder. Of a test that failed half-way nothing goes on."""
    started: list[Running] = []

    def start(*arguments: str) -> Running:
        started.append(Running(folder, *arguments))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.end(signal.SIGTERM)


def postgres_of(folder: Path) -> list[int]:
    address = EmbeddedServer(folder / "postgres").running()
    return [] if address is None else processes_in(address.home / "data")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_whatever_is_killed_it_runs_again(folder: Path, run: Callable[..., Running]) -> None:
    shop = run("--no-demo")
    shop.wait(shop.has_started)
    for role in ("serve", "work"):
        before = shop.child(role)
        assert before is not None
        before.kill()
        shop.wait(lambda before=before, role=role: (now := shop.child(role)) is not None and now.pid != before.pid)
        shop.wait(shop.is_ready)
    killed = set(postgres_of(folder))
    for process in killed:
        with suppress(ProcessLookupError):  # Some end by themselves as soon as the first is gone.
            os.kill(process, signal.SIGKILL)
    shop.wait(lambda: (now := set(postgres_of(folder))) and not now & killed)
    shop.wait(shop.is_ready)
    port = shop.port
    assert shop.end(signal.SIGKILL) < 0
    again = run("--no-demo")
    again.wait(again.has_started)
    with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.1", port), 5):
        pass
    assert again.end(signal.SIGINT) == 0
    assert postgres_of(folder) == []


@pytest.mark.slow
def test_a_port_that_is_taken_is_named(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "pasar.apps.cli", "run", "--port", str(port)],
            env={**os.environ, "PASAR_DATA_DIR": str(folder)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert f"Port {port}" in done.stderr
    assert "Traceback" not in done.stderr

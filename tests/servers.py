"""Redis and RabbitMQ for tests. Redis is a server of its own, so that it may be stopped and emptied; RabbitMQ is one
that answers on this machine, used under names that nobody else has."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ports import free_port

AMQP = "amqp://guest:guest@127.0.0.1:5672/"


class OwnRedis:
    def __init__(self, program: str, folder: Path) -> None:
        self.port = free_port()
        self._command = [
            *(program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)),
            *("--appendonly", "no", "--daemonize", "no"),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ends = time.monotonic() + 20
        while not answers(self.port):
            assert time.monotonic() < ends, "redis-server does not answer"
            time.sleep(0.01)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It accepts, and does not answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def answers(port: int) -> bool:
    with socket.socket() as made:
        made.settimeout(1)
        return made.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def own_redis(folder: Path) -> Iterator[OwnRedis]:
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("there is no redis-server on this machine")
    server = OwnRedis(program, folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def broker() -> str:
    if not answers(5672):
        pytest.skip("no RabbitMQ answers on 127.0.0.1:5672")
    return AMQP

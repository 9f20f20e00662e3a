"""Starts the processes of a deployment, restarts one that dies, and stops all of them as one."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from urllib.error import URLError
from urllib.request import urlopen

STOP_WITHIN_S = 15
_PR_SET_PDEATHSIG = 1
_MOST_RESTARTS = 5
_WITHIN_S = 60.0


class CannotStart(Exception):
    """A sentence for the person who started it: what is wrong and what to do."""


def refuse_taken_port(host: str, port: int, what: str, setting: str) -> None:
    """Say which port is taken before anything starts."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise CannotStart(
                f"Port {port} on {host}, for {what}, is taken by another program."
                f" Stop that program, or choose another port: {setting}=…"
            ) from None


def _die_with_parent() -> None:
    """A child must not outlive a supervisor that was killed with -9 (Linux only; elsewhere it would be left alone)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Child:
    """One process of the deployment: what it is called, how it starts, where it writes."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    held: bool = False
    """Whether it was started with `--held`, and waits for `release`."""
    process: "subprocess.Popen[bytes] | None" = None
    deaths: deque[float] = field(default_factory=deque)

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 our own program
                [*self.command, "--held"] if self.held else self.command,
                stdin=subprocess.PIPE if self.held else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                start_new_session=True,  # Ctrl-C is for the supervisor, which stops them in order.
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )

    def release(self) -> None:
        """Let a held process begin. One that has ended meanwhile is noticed by whoever watches it."""
        if self.process is not None and self.process.stdin is not None:
            with suppress(BrokenPipeError), self.process.stdin as line:
                line.write(b"\n")
        self.held = False

    def last_lines(self, count: int = 15) -> str:
        try:
            with open(self.log, "rb") as log:
                log.seek(max(0, self.log.stat().st_size - 8000))
                return "\n".join(log.read().decode(errors="replace").splitlines()[-count:])
        except OSError:
            return ""

    def exited(self) -> int | None:
        return self.process.poll() if self.process is not None else None


class Supervisor:
    """`start` children, `watch` until a signal comes, `stop` them in the reverse order."""

    def __init__(self) -> None:
        self.children: list[Child] = []
        self._asked_to_stop = Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._asked_to_stop.set())

    @property
    def stopping(self) -> bool:
        return self._asked_to_stop.is_set()

    def start(self, child: Child) -> None:
        child.start()
        self.children.append(child)

    def wait_until(self, url: str, child: Child, timeout_s: float = 60.0) -> bool:
        """Until `url` answers 200. False when asked to stop; raises `CannotStart` when the child died or took too
        long."""
        ends = time.monotonic() + timeout_s
        while not self.stopping:
            if child.exited() is not None:
                raise CannotStart(
                    f"{child.name} stopped while starting. Its last lines, from {child.log}:\n\n{child.last_lines()}"
                )
            try:
                with urlopen(url, timeout=2) as answer:  # noqa: S310 our own address
                    if answer.status == 200:
                        return True
            except (URLError, OSError):
                pass
            if time.monotonic() > ends:
                raise CannotStart(f"{child.name} did not answer at {url} for {timeout_s:.0f} s; see {child.log}")
            self._asked_to_stop.wait(0.05)
        return False

    def watch(self, tend: Callable[[], None]) -> None:
        """Until asked to stop. A child that dies is started again; one that keeps dying stops everything. `tend` looks
        after what is no child, twice a second."""
        while not self._asked_to_stop.wait(0.5):
            tend()
            for child in self.children:
                if (code := child.exited()) is not None:
                    self._revive(child, code)

    def _revive(self, child: Child, code: int) -> None:
        now = time.monotonic()
        child.deaths.append(now)
        while child.deaths and now - child.deaths[0] > _WITHIN_S:
            child.deaths.popleft()
        if len(child.deaths) > _MOST_RESTARTS:
            raise CannotStart(
                f"{child.name} ended {len(child.deaths)} times in a minute. Its last lines, from {child.log}:\n\n"
                f"{child.last_lines()}"
            )
        print(f"{child.name} ended with {code}; starting it again")
        child.start()

    def stop(self) -> None:
        """The last started first; who does not go within 15 s is killed."""
        for child in reversed(self.children):
            if child.process is not None and child.exited() is None:
                child.process.terminate()
        ends = time.monotonic() + STOP_WITHIN_S
        for child in reversed(self.children):
            if child.process is None:
                continue
            try:
                child.process.wait(max(0.1, ends - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()

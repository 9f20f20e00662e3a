"""Faults by plan: who is killed, paused, flooded, filled or skewed, and when, follows from a seed alone."""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from time import monotonic
from typing import NamedTuple
from urllib.parse import urlsplit

from .evidence import Evidence
from .target import NotAsExpected, Target

Act = Callable[["Fault"], Awaitable[None]]


class Fault(NamedTuple):
    """One fault: after `wait_s`, `kind` happens to `victim`, where it lasts for `for_s`."""

    wait_s: float
    kind: str
    victim: str
    for_s: float


def plan(seed: int, faults: int, menu: Sequence[tuple[str, str]], *, every_s: float = 1.5) -> list[Fault]:
    """So many faults from a menu of (kind, victim), which is gone through whole, each time in another order. The same
    for the same seed, on every machine."""
    chance = random.Random(seed)
    found: list[Fault] = []
    while len(found) < faults:
        for kind, victim in chance.sample(menu, len(menu)):
            wait_s, for_s = every_s * chance.uniform(0.5, 1.5), chance.uniform(0.2, 1.5)
            found.append(Fault(round(wait_s, 3), kind, victim, round(for_s, 3)))
    return found[:faults]


class Nemesis:
    """Does what a plan says. `acts`: what each kind of fault does; `ready` waits until the deployment serves again."""

    def __init__(self, acts: Mapping[str, Act], ready: Callable[[], Awaitable[None]]) -> None:
        self._acts, self._ready = acts, ready
        self.down_s: dict[str, list[float]] = {}

    async def follow(self, faults: Sequence[Fault], evidence: Evidence) -> None:
        """All faults in turn, each only when the one before is mended: what fails then is due to this one."""
        for fault in faults:
            await asyncio.sleep(fault.wait_s)
            began = monotonic()
            await self._acts[fault.kind](fault)
            await self._ready()
            self.down_s.setdefault(fault.victim, []).append(monotonic() - began)
            evidence.fault(f"{fault.kind} of {fault.victim}")
            evidence.attempt()
        for victim, seconds in self.down_s.items():
            evidence.figure(f"serving again after {victim}, median s", f"{median(seconds):.2f}")


class Processes:
    """The processes of a deployment on this machine: those below a supervisor (`pasar run`) that starts again what
    dies, by a part of their command line."""

    def __init__(self, supervisor: int) -> None:
        self._supervisor = supervisor

    def named(self, part: str) -> list[int]:
        return [pid for pid in below(self._supervisor) if part in command_of(pid)]

    async def kill(self, fault: Fault) -> None:
        """As a power cut would."""
        self._signal(fault.victim, signal.SIGKILL)

    async def pause(self, fault: Fault) -> None:
        """It stands still, as behind a full disk or a long garbage collection, and then goes on as if nothing was."""
        paused = self._signal(fault.victim, signal.SIGSTOP)
        await asyncio.sleep(fault.for_s)
        signal_all(paused, signal.SIGCONT)

    def _signal(self, part: str, number: int) -> list[int]:
        found = self.named(part)
        if not found:
            raise NotAsExpected(f"no process of {self._supervisor} is called {part}")
        signal_all(found, number)
        return found


def signal_all(pids: Iterable[int], number: int) -> None:
    """A signal to each of these processes that has not ended by itself meanwhile."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def below(pid: int) -> Iterator[int]:
    """All descendants of a process (Linux)."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield int(child)
            yield from below(int(child))


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


class Flood:
    """Connections that send half a request and wait: what a slow or malicious client does."""

    def __init__(self, api: str, connections: int = 200) -> None:
        where = urlsplit(api)
        self._host, self._port, self._connections = where.hostname or "127.0.0.1", where.port or 80, connections

    async def __call__(self, fault: Fault) -> None:
        writers = []
        try:
            for _ in range(self._connections):
                with suppress(OSError):
                    _, writer = await asyncio.open_connection(self._host, self._port)
                    writer.write(b"POST /api/v1/orders/create HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n")
                    writers.append(writer)
            await asyncio.sleep(fault.for_s)
        finally:
            for writer in writers:
                writer.close()


async def served(target: Target, timeout_s: float = 60.0) -> None:
    """Until the deployment says that it is ready and takes a write."""
    ends = monotonic() + timeout_s
    while monotonic() < ends:
        with suppress(Exception):
            async with asyncio.timeout(3):
                ready = (await target.ask("GET", "/readyz")).status == 200
                if ready and (await target.ask("POST", "/guests")).status < 300:
                    return
        await asyncio.sleep(0.05)
    raise NotAsExpected(f"it does not serve again within {timeout_s:.0f} s")

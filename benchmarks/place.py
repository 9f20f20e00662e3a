"""A deployment to measure: its own data folder, the worker (followers, timers, seals) beside, the API where wanted."""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil

from pasar.apps.deployment import Addresses, data_folder, prepare, reach_database, read_settings
from pasar.apps.supervisor import Child
from pasar.apps.wiring import modules
from pasar.kernel.settings import Settings


@dataclass
class Place:
    """Where it all runs."""

    settings: Settings
    addresses: Addresses
    folder: Path
    children: list[Child]

    def start(self, name: str, *command: str, module: str = "pasar.apps.cli") -> Child:
        child = Child(name, [sys.executable, "-m", module, *command], self.folder / f"{name}.log")
        child.start()
        self.children.append(child)
        return child

    def stop(self, child: Child) -> None:
        assert child.process is not None
        child.process.terminate()
        child.process.wait(20)
        self.children.remove(child)

    async def lag(self, timeout_s: float = 30.0) -> float:
        """Seconds until every follower and the sealer have dealt with all that is in the log now."""
        connection = await asyncpg.connect(self.addresses.owner)
        started = time.monotonic()
        end = await connection.fetchrow(
            "select epoch, xid::text, position from kernel.event order by epoch desc, xid desc, position desc limit 1"
        )
        while time.monotonic() - started < timeout_s:
            behind = await connection.fetchval(
                """select count(*) from kernel.cursor
                    where (epoch, xid, position) < ($1::smallint, ($2::text)::xid8, $3::bigint)
                      and follower not like '%\\_\\_next'""",
                *end,
            )
            if not behind:
                break
            await asyncio.sleep(0.01)
        await connection.close()
        return time.monotonic() - started

    def memory_mb(self) -> dict[str, float]:
        """Resident memory of each process, and of PostgreSQL without what its processes share."""
        found = {}
        for child in self.children:
            if child.process is not None:
                tree = [psutil.Process(child.process.pid), *psutil.Process(child.process.pid).children(recursive=True)]
                found[child.name] = round(sum(one.memory_info().rss for one in tree) / 1e6, 1)
        pid = int((self.postgres_data / "postmaster.pid").read_text().split()[0])
        tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        found["postgres"] = round(sum(_proportional(one) for one in tree) / 1e6, 1)
        return found

    def cpu_s(self, **others: str) -> dict[str, float]:
        """Processor time used so far, by process; `load` is the one that measures, `others` are programs of this
        machine by the name of their process."""
        roots = {child.name: child.process.pid for child in self.children if child.process is not None}
        roots |= {name: process.pid for name, program in others.items() for process in _running(program)}
        roots["postgres"] = int((self.postgres_data / "postmaster.pid").read_text().split()[0])
        found = {"load": sum(psutil.Process().cpu_times()[:2])}
        for name, pid in roots.items():
            tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            found[name] = sum(_used_s(one) for one in tree)
        return found

    @property
    def postgres_data(self) -> Path:
        assert self.addresses.embedded is not None
        record = self.addresses.embedded.running()
        assert record is not None
        return record.home / "data"


def _used_s(process: psutil.Process) -> float:
    """PostgreSQL's background workers come and go."""
    try:
        return sum(process.cpu_times()[:2])
    except psutil.NoSuchProcess:
        return 0.0


def _running(program: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if process.name() == program]


def _proportional(process: psutil.Process) -> int:
    """Bytes of its own, and its part of what it shares; background workers come and go."""
    try:
        return process.memory_full_info().pss
    except psutil.NoSuchProcess:
        return 0


@contextmanager
def place(*, worker: bool = True, extra: Sequence[tuple[str, str]] = ()) -> Iterator[Place]:
    """A fresh deployment, thrown away afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="pasar-bench-", dir="/var/tmp" if Path("/var/tmp").is_dir() else None))
    folder.chmod(0o755)
    os.environ |= {"PASAR_DATA_DIR": str(folder), "PASAR_LOG_LEVEL": "warning", **dict(extra)}
    settings = read_settings()
    addresses = reach_database(settings)
    here = Place(settings, addresses, data_folder(settings), [])
    try:
        asyncio.run(prepare(addresses, modules(settings)))
        if worker:
            here.start("worker", "work")
        yield here
    finally:
        for child in list(here.children):
            here.stop(child)
        if addresses.embedded is not None:
            addresses.embedded.stop()
            addresses.embedded.remove()
        shutil.rmtree(folder, ignore_errors=True)

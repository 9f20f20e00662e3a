"""Drills: what operators do when a server is lost, done step by step as docs/operations/ says, while clients write and
keep their own list of what was accepted."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import asyncpg

from pasar.kernel.bus import Contended, Context, Core
from pasar.kernel.commit import Busy
from pasar.kernel.migrate import migrate
from pasar.kernel.pool import LOST, PoolExhausted

from . import domain
from .evidence import Evidence
from .living import faults, soak
from .servers import Server, in_thread
from .target import NotAsExpected, until

FAILOVER_S = 10.0
LOST_S = 60.0
UNSURE = (Contended, Busy, PoolExhausted, TimeoutError, *LOST)


class Drill(NamedTuple):
    promises: tuple[str, ...]
    run: Callable[[Evidence, int], Awaitable[None]]


@contextmanager
def room() -> Iterator[Path]:
    """A folder that the user of the servers can reach."""
    with tempfile.TemporaryDirectory(prefix="pasar-drill-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


class Writers:
    """Clients that append numbers, each with a key of its own, and repeat until they are answered."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.accepted: dict[int, float] = {}
        self.stopping = asyncio.Event()
        self._next = 0

    async def write(self, at_once: int = 8) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(self._client())

    async def _client(self) -> None:
        while not self.stopping.is_set():
            self._next += 1
            number = self._next
            while True:
                bus = self._core.bus(Context(principal="drill", route="drill", key=f"k{number}", request_hash=b"k"))
                try:
                    await bus.send(domain.AppendValue(list=f"drill-{number % 97}-{number // 5000}", value=number))
                except UNSURE:
                    await asyncio.sleep(0.05)
                else:
                    self.accepted[number] = monotonic()
                    break


async def kept(server: Server) -> dict[int, int]:
    """How often each number is in the log of a server."""
    connection = await asyncpg.connect(server.dsn)
    sql = "select (data ->> 'value')::int as value, count(*) as n from kernel.event where kind = 'lab.list' group by 1"
    found = {row["value"]: row["n"] for row in await connection.fetch(sql)}
    await connection.close()
    return found


def compare(accepted: Iterator[int] | set[int], found: dict[int, int]) -> None:
    lost = set(accepted) - set(found)
    doubled = [number for number, times in found.items() if times > 1]
    if lost or doubled:
        raise NotAsExpected(f"accepted and lost: {sorted(lost)[:5]} ({len(lost)}); doubled: {doubled[:5]}")


async def failover(evidence: Evidence, seconds: int) -> None:
    """docs/operations/failover.md"""
    with room() as folder:
        primary, standby = Server(folder / "a", {"synchronous_standby_names": "standby"}), Server(folder / "b")
        try:
            await in_thread(primary.create)
            primary.configure(synchronous_standby_names="")
            await in_thread(primary.start)
            await migrate(primary.dsn)
            await in_thread(standby.follow, primary)
            await in_thread(standby.start)
            await primary.tell("alter system set synchronous_standby_names = 'standby'", "select pg_reload_conf()")

            async def in_step() -> bool:
                return await primary.ask("select bool_or(sync_state = 'sync') from pg_stat_replication") is True

            await until(in_step, "a synchronous standby", 30)
            await _fail_over(evidence, folder, primary, standby)
        finally:
            primary.remove()
            standby.remove()


async def _fail_over(evidence: Evidence, folder: Path, primary: Server, standby: Server) -> None:
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    dsn = f"postgresql://pasar_app@{hosts}/postgres?target_session_attrs=read-write"
    async with domain.opened(dsn, folder / "keys") as (core,):
        writers = Writers(core)
        writing = asyncio.create_task(writers.write())
        await until(lambda: _enough(writers, 500), "some writes before the failure", 60)
        before, began = len(writers.accepted), monotonic()
        await primary.killed()
        evidence.fault("primaries killed")
        await in_thread(standby.promote)
        promoted = monotonic()
        await until(lambda: _since(writers, promoted), "writes after the failover", 60)
        took = min(at for at in writers.accepted.values() if at > promoted) - began
        await until(
            lambda enough=len(writers.accepted) + 50: _enough(writers, enough), "more writes after the failover", 60
        )
        writers.stopping.set()
        await writing
        evidence.attempt(len(writers.accepted))
        evidence.figure("accepted before and after", f"{before} and {len(writers.accepted) - before}")
        evidence.figure("writing again after, s", f"{took:.2f}")
        compare(set(writers.accepted), await kept(standby))
        if took > FAILOVER_S:
            raise NotAsExpected(f"the failover took {took:.1f} s")
    await _old_primary_is_refused(evidence, folder, primary, standby)


async def _enough(writers: Writers, number: int) -> bool:
    return len(writers.accepted) >= number


async def _since(writers: Writers, instant: float) -> bool:
    return any(at > instant for at in writers.accepted.values())


async def _old_primary_is_refused(evidence: Evidence, folder: Path, primary: Server, standby: Server) -> None:
    """Somebody starts the old primary again as it is: without its standby it confirms nothing."""
    await in_thread(primary.start)
    evidence.fault("old primaries started again")
    async with domain.opened(f"postgresql://pasar_app@127.0.0.1:{primary.port}/postgres", folder / "old") as (core,):
        sending = asyncio.ensure_future(core.bus().send(domain.AppendValue(list="old", value=-1)))
        done, _ = await asyncio.wait([sending], timeout=3)
        await primary.killed()
        if done and not sending.exception():
            raise NotAsExpected("the old primary accepted a write after the failover")
        sending.cancel()
        with suppress(BaseException):
            await sending
        core.database.committer._queue.clear()
        for lane in core.database.committer._tasks:
            lane.cancel()
    if -1 in await kept(standby):
        raise NotAsExpected("a write of the old primary is in the new one")


async def point_in_time(evidence: Evidence, seconds: int) -> None:
    """docs/operations/restore.md"""
    with room() as folder:
        archive = folder / "archive"
        archive.mkdir(mode=0o777)
        archive.chmod(0o777)
        server, again = Server(folder / "a"), Server(folder / "b")
        copy = f"cp %p {archive}/%f.part && mv {archive}/%f.part {archive}/%f"
        server.configure(archive_mode="on", archive_timeout="30", archive_command=copy)
        try:
            await in_thread(server.create)
            await in_thread(server.start)
            await migrate(server.dsn)
            await _restore(evidence, folder, archive, server, again)
        finally:
            server.remove()
            again.remove()


async def _restore(evidence: Evidence, folder: Path, archive: Path, server: Server, again: Server) -> None:
    async with domain.opened(f"postgresql://pasar_app@127.0.0.1:{server.port}/postgres", folder / "keys") as (core,):
        writers = Writers(core)
        writing = asyncio.create_task(writers.write(4))
        await until(lambda: _enough(writers, 200), "writes before the backup", 60)
        (folder / "b").mkdir(mode=0o777)
        (folder / "b").chmod(0o777)
        await in_thread(server.base_backup, again.data)
        await until(lambda: _enough(writers, 800), "writes after the backup", 60)
        writers.stopping.set()
        await writing
        good = dict(writers.accepted)
    moment = await server.ask("select clock_timestamp()::text")
    before = await kept(server)
    await server.tell("alter table kernel.event disable trigger all", "delete from kernel.event where version > 2")
    evidence.fault("events deleted by a superuser")
    began = monotonic()
    await server.tell("select pg_switch_wal()")
    last = await server.ask("select pg_walfile_name(pg_current_wal_lsn() - 1)")

    async def archived() -> bool:
        return (archive / str(last)).exists() or await server.ask(
            "select last_archived_wal >= $1 from pg_stat_archiver", last
        ) is True

    await until(archived, "the last log of the old server", 40)
    await server.killed()
    again.configure(
        restore_command=f"cp {archive}/%f %p", recovery_target_time=str(moment), recovery_target_action="promote"
    )
    (again.data / "recovery.signal").touch()
    await in_thread(again.start)
    await until(again.is_ready, "the restored server", 60)
    took = monotonic() - began
    after = await kept(again)
    evidence.attempt(len(after))
    evidence.figure("back after, s", f"{took:.1f}")
    evidence.figure("events, compared one by one", len(after))
    if before != after:
        raise NotAsExpected(
            f"{len(set(before) - set(after))} events are missing, {len(set(after) - set(before))} too many"
        )
    compare(set(good), after)


DRILLS: dict[str, Drill] = {
    "failover": Drill(("B3",), failover),
    "point-in-time": Drill(("B4",), point_in_time),
    "faults": Drill(("C7",), faults),
    "soak": Drill(("C8",), soak),
}


async def run_drill(name: str, evidence: Evidence, seconds: int) -> None:
    await DRILLS[name].run(evidence, seconds)

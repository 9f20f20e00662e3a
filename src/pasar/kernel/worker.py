"""A worker: reads the log once, feeds every follower whose lease it has, fires timers, and says how far all are.

Several workers may run: each takes what is free, and takes over within a second or a few what another one leaves.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import structlog

from .bus import Core, Position
from .followers import Cursor, Feed, Fenced, Follower, Leases, NotPrimary
from .metrics import gauge
from .module import Module, check_modules
from .policies import ReactionFollower
from .pool import Pool
from .process import ProcessFollower
from .rollup import Rollup
from .runner import Runner
from .timers import LIMIT, Timers
from .upkeep import Task, Upkeep
from .view_follower import StaleView, ViewFollower
from .view_tables import BeingRebuilt, RebuildStopped, rebuild
from .views import View

LEASE_S = 0.5
SWEEP_S = 0.05
TIMERS_S = 0.1
WATCH_S = 1.0
STALL_S = 5.0
STOP_S = 5.0
GATHER_S = 0.001
"""The pause after a batch, for each event in it. Where more than one comes in a millisecond, the next batch grows, up
to the pause of an idle worker: a batch of a hundred costs hardly more than one of ten."""

lag_gauge = gauge(
    "pasar_follower_lag_seconds", "Age of the oldest event not yet dealt with", ["follower"], across_processes="livemax"
)
stall_gauge = gauge(
    "pasar_log_stalled_seconds", "How long a transaction has held back all followers", across_processes="livemax"
)
parked_gauge = gauge(
    "pasar_parked_events", "Events that a follower could not digest", ["follower"], across_processes="livemax"
)
log = structlog.get_logger(__name__)


class Lag(NamedTuple):
    """How far behind a follower is. `events` is an estimate: how many positions lie between."""

    follower: str
    position: int
    events: int
    seconds: float
    parked: int


class Stall(NamedTuple):
    """Events are committed that followers may not read yet, since an older transaction could still add some before."""

    seconds: float
    pid: int | None
    query: str


_LAG = """
    select c.follower, c.position, coalesce(head.position - c.position, 0) as events, next.at,
           (select count(*) from kernel.parked p where p.follower = c.follower) as parked
      from kernel.cursor c
      left join lateral (select at from kernel.event e where (e.epoch, e.xid, e.position) > (c.epoch, c.xid, c.position)
                          order by e.epoch, e.xid, e.position limit 1) next on true
      left join lateral (select position from kernel.event
                          order by epoch desc, xid desc, position desc limit 1) head on true
     order by c.follower"""
_SAVE = """
    update kernel.cursor c set epoch = u.epoch, xid = u.xid, position = u.position, updated_at = clock_timestamp()
      from unnest($1::text[], $2::smallint[], $3::xid8[], $4::bigint[], $5::smallint[], $6::xid8[], $7::bigint[])
           u (follower, old_epoch, old_xid, old_position, epoch, xid, position)
     where c.follower = u.follower and (c.epoch, c.xid, c.position) = (u.old_epoch, u.old_xid, u.old_position)
    returning c.follower"""
_BLOCKED = """
    select pg_snapshot_xmin(pg_current_snapshot()) as horizon
     where exists (select from kernel.event where (epoch, xid) >= (
                     (select epoch from kernel.cluster), pg_snapshot_xmin(pg_current_snapshot())))"""
_BLOCKER = """
    select l.pid, coalesce(a.application_name || ' (' || a.usename || '), ' || a.state || ': ' || left(a.query, 200),
                           'prepared transaction ' || p.gid, 'unknown') as query
      from pg_locks l
      left join pg_stat_activity a on a.pid = l.pid
      left join pg_prepared_xacts p on p.transaction = l.transactionid
     where l.locktype = 'transactionid' and l.mode = 'ExclusiveLock' and l.granted
     order by age(l.transactionid) desc limit 1"""
_REACHED = """
    select true from kernel.cursor
     where follower = $1 and (epoch, xid, position) >= ((select epoch from kernel.cluster), $2::xid8, $3::bigint)"""


async def lag(pool: Pool, now: Any) -> list[Lag]:
    """How far each follower is; `now` is the deployment's clock, by which events are dated."""
    return [
        Lag(
            row["follower"],
            row["position"],
            max(0, row["events"]),
            0.0 if row["at"] is None else max(0.0, (now - row["at"]).total_seconds()),
            row["parked"],
        )
        for row in await pool.fetch(_LAG)
    ]


async def wait_for(pool: Pool, view: View, position: Position | None, timeout_s: float = 0.3) -> bool:
    """Until the view shows what was written at a position; False when it is behind: the page should say so."""
    if position is None:
        return True
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while not await pool.fetchval(_REACHED, view.follower, position.xid, position.position):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            return True
    return False


class Worker:
    """`run()` until `stop()`. Everything that it does bears being killed at any instant."""

    def __init__(
        self,
        modules: Sequence[Module],
        core: Core,
        *,
        poll_s: float = 0.02,
        idle_s: float = 0.1,
        stall_s: float = STALL_S,
        daily: Sequence[Task] = (),
    ) -> None:
        check_modules(modules)
        self._core, self._pool = core, core.database.kernel
        self._poll_s, self._idle_s, self._stall_s = poll_s, idle_s, stall_s
        self._views = {view.follower: view for module in modules for view in module.views}
        self._followers: dict[str, Follower] = {f.name: f for f in self._make(modules)}
        types = frozenset[str]().union(*(follower.types for follower in self._followers.values()))
        self._feed = Feed(self._pool, types)
        self._leases = Leases(core.database)
        self._timers = Timers(core)
        self._upkeep = Upkeep(core.clock, daily)
        self._runners: dict[str, tuple[Runner | None, asyncio.Task[None]]] = {}
        self._stopping = asyncio.Event()
        self.stall: Stall | None = None
        """Set while followers are held back for longer than they should be."""

    def _make(self, modules: Iterable[Module]) -> Iterable[Follower]:
        for module in modules:
            yield from (ViewFollower(view, self._pool, self._core.clock) for view in module.views)
            yield from (ReactionFollower(one, self._core) for one in (*module.policies, *module.reactions))
            yield from (ProcessFollower(process, self._core) for process in module.processes)
        yield Rollup(self._core)

    @property
    def held(self) -> frozenset[str]:
        """The followers and duties that this worker has."""
        return frozenset(self._runners)

    async def run(self) -> None:
        """Until stopped. A lost database is waited for."""
        parts = [asyncio.create_task(part()) for part in (self._poll, self._keep_leases, self._sweep, self._watch)]
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([stopped, *parts], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (stopped, *parts):
                task.cancel()
            outcomes = await asyncio.gather(*parts, return_exceptions=True)
            await self._drop_runners(STOP_S)
            with suppress(Exception):
                await self._save_cursors()
            await self._leases.close()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    def stop(self) -> None:
        """End cleanly: what is at hand is finished, leases are given back."""
        self._stopping.set()

    async def _persist(self, what: str, act: Any) -> Any:
        """Again and again until it works: the database may be starting, or be gone for a while."""
        pause = 0.1
        while True:
            try:
                return await act()
            except NotPrimary:
                raise
            except Exception as error:
                log.error("worker failed", what=what, error=str(error), kind=error.__class__.__name__)
                await asyncio.sleep(pause)
                pause = min(2.0, pause * 2)

    async def _poll(self) -> None:
        await self._persist("begin", self._feed.begin)
        pause = self._poll_s
        while True:
            if size := await self._persist("read", self._feed.poll):
                pause = self._poll_s
                await asyncio.sleep(0 if self._feed.full else min(self._idle_s, max(pause, size * GATHER_S)))
            else:
                await asyncio.sleep(pause)
                pause = min(self._idle_s, pause * 1.2)

    async def _keep_leases(self) -> None:
        names = [*self._followers, Timers.lease, Upkeep.lease]
        while True:
            for name in [name for name, (_, task) in self._runners.items() if task.done()]:
                await self._ended(name)
            try:
                await self._leases.take(names)
            except NotPrimary:
                raise
            except Exception as error:
                log.error("leases lost", error=str(error), kind=error.__class__.__name__)
                await self._drop_runners(0)
            for name in sorted(self._leases.held - set(self._runners)):
                self._runners[name] = self._start(name)
            await asyncio.sleep(LEASE_S)

    def _start(self, name: str) -> tuple[Runner | None, "asyncio.Task[None]"]:
        if name == Timers.lease:
            return None, asyncio.create_task(self._fire_timers())
        if name == Upkeep.lease:
            return None, asyncio.create_task(self._upkeep.run())
        runner = Runner(self._followers[name], self._feed)
        return runner, asyncio.create_task(runner.run())

    async def _ended(self, name: str) -> None:
        """A runner ends by itself when another worker follows, or when its view's table has to be built first."""
        _, task = self._runners.pop(name)
        try:
            task.result()
        except Fenced:
            log.warning("fenced: another worker follows, or the view was swapped", follower=name)
            await self._give(name)
        except StaleView:
            self._runners[name] = None, asyncio.create_task(self._rebuild(name))
        except Exception:
            log.exception("follower ended", follower=name)
            await self._give(name)

    async def _give(self, name: str) -> None:
        with suppress(Exception):
            await self._leases.give(name)

    async def _rebuild(self, name: str) -> None:
        """The lease stays ours meanwhile; a worker of another version that also wants it would only undo this."""
        view = self._views[name]
        log.info("view is rebuilt", view=view.table)
        try:
            events = await rebuild(self._core.database, view, self._core.clock)
        except (BeingRebuilt, RebuildStopped, StaleView) as error:
            log.warning("view cannot be followed by this version now", view=view.table, error=error.__class__.__name__)
            await asyncio.sleep(5 * LEASE_S)
            raise Fenced(name) from error
        log.info("view was rebuilt", view=view.table, events=events)

    async def _drop_runners(self, timeout_s: float) -> None:
        runners, self._runners = self._runners, {}

        async def end(runner: Runner | None, task: "asyncio.Task[None]") -> None:
            if runner is not None and timeout_s:
                await runner.finish(task, timeout_s)
                if runner.unsaved:
                    await self._save([runner])
            else:
                task.cancel()
                with suppress(BaseException):
                    await task

        await asyncio.gather(*(end(*one) for one in runners.values()), return_exceptions=True)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await self._save_cursors()
            except Exception as error:  # The next sweep makes up for it.
                log.warning("cursors were not saved", error=str(error))

    async def _save_cursors(self) -> None:
        runners = [r for r, _ in self._runners.values() if r is not None and r.unsaved and not r.lock.locked()]
        if runners:
            await self._save(runners)

    async def _save(self, runners: Sequence[Runner]) -> None:
        """Cursors that moved without effects, all in one transaction."""
        for runner in runners:
            await runner.lock.acquire()  # Free, hence taken without giving way to others.
        try:
            moves = {runner.follower.name: (runner, runner.follower.cursor, runner.cursor) for runner in runners}
            old, new = (list(zip(*(move[side] for move in moves.values()), strict=True)) for side in (1, 2))
            async with self._pool.repeatable() as connection:
                saved = await connection.fetch(_SAVE, list(moves), *map(list, old), *map(list, new))
            for row in saved:
                runner, _, cursor = moves.pop(row["follower"])
                runner.follower.cursor = Cursor(*cursor)
            for runner, *_ in moves.values():
                runner.fenced = True
        finally:
            for runner in runners:
                runner.lock.release()

    async def _fire_timers(self) -> None:
        while True:
            fired = await self._persist("timers", self._timers.fire)
            await asyncio.sleep(0 if fired == LIMIT else TIMERS_S)

    async def _watch(self) -> None:
        """Measures lag, and finds who holds everybody back."""
        horizon, since = None, 0.0
        while True:
            await asyncio.sleep(min(WATCH_S, self._stall_s / 2))
            try:
                blocked = await self._pool.fetchval(_BLOCKED)
                now = asyncio.get_running_loop().time()
                if blocked is None or blocked != horizon:
                    horizon, since = blocked, now
                await self._note_stall(0.0 if blocked is None else now - since)
                for one in await lag(self._pool, self._core.clock.now()):
                    lag_gauge.labels(one.follower).set(one.seconds)
                    parked_gauge.labels(one.follower).set(one.parked)
            except Exception as error:
                log.warning("lag could not be measured", error=str(error))

    async def _note_stall(self, seconds: float) -> None:
        stall_gauge.set(seconds)
        if seconds <= self._stall_s:
            self.stall = None
            return
        row = await self._pool.fetchrow(_BLOCKER)
        self.stall = Stall(seconds, row["pid"] if row else None, row["query"] if row else "none found")
        log.error("the log is stalled by a transaction that does not end", **self.stall._asdict())

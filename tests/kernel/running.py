"""A worker that runs while a test looks on, and ways to wait for what it does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from pasar.kernel.bus import Core
from pasar.kernel.module import Module
from pasar.kernel.worker import Worker


@asynccontextmanager
async def working(core: Core, *modules: Module, **options: Any) -> AsyncIterator[Worker]:
    worker = Worker(modules, core, **options)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await task


async def until(condition: Callable[[], Awaitable[Any]], timeout_s: float = 60) -> Any:
    """What the condition becomes when it becomes true."""
    async with asyncio.timeout(timeout_s):
        while not (found := await condition()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return found


async def readable(database: Any) -> None:
    """Until every event may be read. Any transaction that began before it, in whatever database of the server, holds
    that back, of the server's own statistics perhaps."""

    async def all_is() -> bool:
        return await database.fetchval(
            """select not exists (select from kernel.event where epoch = (select epoch from kernel.cluster)
                                                             and xid >= pg_snapshot_xmin(pg_current_snapshot()))"""
        )

    await until(all_is)


async def at_the_end(connection: Any) -> bool:
    """Whether all followers are at the last event that was committed, also where they may not read it yet because an
    older transaction is still running."""
    return await connection.fetchval(
        """select count(*) > 0
                  and bool_and(l.epoch is null or (c.epoch, c.xid, c.position) = (l.epoch, l.xid, l.position))
             from kernel.cursor c
             left join (select epoch, xid, position from kernel.event
                         order by epoch desc, xid desc, position desc limit 1) l on true"""
    )


async def caught_up(core: Core, timeout_s: float = 60) -> None:
    """Until all followers are at the end of the log, which must stand still."""
    await until(lambda: at_the_end(core.database.kernel), timeout_s)


async def skip_to_next_try(core: Core) -> None:
    """Move the clock to the moment when what failed is tried again, but not past it."""
    at = await core.database.kernel.fetchval("select min(retry_at) from kernel.parked")
    clock: Any = core.clock
    if at is not None and at > clock.now():
        clock.set(at)

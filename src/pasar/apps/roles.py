"""The role that follows the log: it may run many times over. It needs nothing of what answers HTTP."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from pasar.apps import warming
from pasar.apps.deployment import opened, reach_database, read_settings
from pasar.apps.memory import spare_the_collector
from pasar.contexts.ordering import facade_sale as sales
from pasar.contexts.payment import facade_notices as payment_notices
from pasar.kernel import logs, tracing
from pasar.kernel.bus import Core
from pasar.kernel.clock import SystemClock
from pasar.kernel.locks import LockPort, PostgresLocks, RedisLocks
from pasar.kernel.redis_link import RedisAway, RedisLink
from pasar.kernel.seal import run as seal
from pasar.kernel.settings import Settings
from pasar.kernel.throttle import Throttle
from pasar.kernel.worker import Worker

ANSWERS_KEPT_DAYS = 30
HOUSEKEEPING_S = 60.0


def observe(settings: Settings, service: str) -> None:
    chosen = settings.section("log")
    logs.configure(chosen.level, chosen.format)
    telemetry = settings.section("telemetry")
    if telemetry.enabled:
        tracing.enable(service, endpoint=telemetry.endpoint, share=telemetry.sample_percent / 100)


@asynccontextmanager
async def reached(core: Core, role: warming.Role) -> AsyncIterator[None]:
    """Redis and broker, where there are some, before anybody asks for them: their libraries are big, and when thousands
    come at once is no time to load them. Then caches are kept warm."""
    url = core.settings.section("redis").url
    link = core.tool(RedisLink, lambda: RedisLink(url)) if url else None
    if link is not None:
        with contextlib.suppress(RedisAway):
            await link.do("PING")
    await sales.buffer(core.settings, core).open()
    filling = asyncio.create_task(warming.keep_warm(core, role))
    try:
        yield
    finally:
        filling.cancel()
        await sales.buffer(core.settings, core).close()
        if link is not None:
            await link.close()


async def work() -> None:
    """Follow the log, fire timers, seal, clear up, until SIGTERM."""
    settings = read_settings()
    observe(settings, "pasar-worker")
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with opened(settings, reach_database(settings)) as deployment, reached(deployment.core, "worker"):
        keys = deployment.keys
        throttle = Throttle(deployment.database.kernel, SystemClock())

        async def notices() -> int:
            return await payment_notices.forget(deployment.core)

        daily = keys.expire_vault, keys.expire_copies, throttle.forget, notices
        worker = Worker(deployment.modules, deployment.core, daily=daily)
        spare_the_collector()
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.run())
            group.create_task(sales.consume(deployment.core, stop))
            anchors = deployment.data / "anchors"
            group.create_task(seal(deployment.database.kernel, deployment.core.clock, stop, anchors))
            clearing = group.create_task(_clear_up(deployment.core))
            await stop.wait()
            worker.stop()
            clearing.cancel()


async def _clear_up(core: Core) -> None:
    """Forget stored answers after 30 days, a few at a time, so that no transaction is long. One worker does it at a
    time, to spare the others the trouble: two would do no harm."""
    locks = locks_of(core)
    while True:
        async with locks.attempt("clear-up") as fence:
            while fence is not None:
                before = core.clock.now() - timedelta(days=ANSWERS_KEPT_DAYS)
                if not await core.database.kernel.fetchval("select kernel.forget_answers($1, 1000)", before):
                    break
                await asyncio.sleep(0.05)
        await asyncio.sleep(HOUSEKEEPING_S)


def locks_of(core: Core) -> LockPort:
    """In Redis where there is one."""
    url = core.settings.section("redis").url
    if not url:
        return PostgresLocks(core.database.connect)
    return RedisLocks(core.tool(RedisLink, lambda: RedisLink(url)), core.ids.uuid)

"""A worker as a process of its own, to be killed: `python worker_process.py <dsn>`."""

import asyncio
import sys

from kernel.jar import Keyless, contents, diary, module
from kernel.test_policies import thanks
from pasar.kernel.bus import Core
from pasar.kernel.clock import SystemClock
from pasar.kernel.ids import SystemIds
from pasar.kernel.process import module as process_module
from pasar.kernel.store import Database
from pasar.kernel.worker import Worker

jar = module(views=(contents, diary), policies=(thanks,))


async def main(dsn: str) -> None:
    database = Database(dsn)
    deciders = [*jar.deciders, *process_module.deciders]
    core = Core(database, deciders, clock=SystemClock(), ids=SystemIds(), keys=Keyless())
    await database.open()
    print("ready", flush=True)  # noqa: T201
    await Worker((jar,), core).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

"""(a) The kernel commit of an order, beside the smallest order transaction that pgbench can do."""

import asyncio
import itertools
import time
from typing import Any
from uuid import uuid4

import uvloop

from benchmarks import limit
from benchmarks.load import Outcome
from benchmarks.orders import order, stock_up
from benchmarks.place import Place, place
from pasar.apps.deployment import opened
from pasar.apps.memory import spare_the_collector
from pasar.kernel.bus import Context, Core

CLIENTS = (1, 8, 32, 128)


async def _measure(core: Core, clients: int, seconds: float, numbers: Any, *, hot: bool) -> Outcome:
    outcome, buyers = Outcome(), [uuid4() for _ in range(200)]
    started = time.perf_counter()

    async def client(no: int) -> None:
        while (began := time.perf_counter()) < started + seconds:
            key = str(uuid4())
            bus = core.bus(Context(principal=str(buyers[no % 200]), route="bench", key=key, request_hash=b"h" * 16))
            await bus.send(order(bus, next(numbers), buyers[no % 200], hot=hot))
            outcome.latencies.append(time.perf_counter() - began)
            outcome.statuses[200] += 1

    await asyncio.gather(*(client(no) for no in range(clients)))
    outcome.seconds = time.perf_counter() - started
    return outcome


async def _all(here: Place, seconds: float) -> list[dict[str, Any]]:
    rows, numbers = [], itertools.count(1)
    async with opened(here.settings, here.addresses) as deployment:
        core = deployment.core
        await stock_up(core)
        await _measure(core, 8, 2, numbers, hot=False)
        spare_the_collector()  # As the API does.
        if limit.available():
            await limit.prepare(here.addresses.owner)
        for clients in CLIENTS:
            for hot in (False, True):
                outcome = await _measure(core, clients, seconds, numbers, hot=hot)
                row: dict[str, Any] = {"clients": clients, "skus": "one hot" if hot else "spread"}
                row["order"] = outcome.row()
                row["lag_s"] = round(await here.lag(120), 2)
                if limit.available():
                    row["limit"] = await asyncio.to_thread(
                        limit.measure, here.addresses.owner, clients, int(seconds), hot=hot
                    )
                    row["ratio"] = round(row["order"]["per_second"] / row["limit"]["per_second"], 2)
                print(row, flush=True)
                rows.append(row)
    return rows


def run(seconds: float) -> dict[str, Any]:
    """The table of (a)."""
    with place() as here:
        rows = uvloop.run(_all(here, seconds))
        return {"rows": rows, "memory_mb": here.memory_mb()}


if __name__ == "__main__":
    import sys

    print(run(float(sys.argv[1]) if len(sys.argv) > 1 else 5))

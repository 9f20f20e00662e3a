"""`make bench-flash`: a flash sale as it comes. Signed-in members on open connections, all but the last byte of each
one's request sent, the rest released together; each goes on until it has an order or knows that there is none. They
have looked at the page of the sale before, as people do who wait for it to begin.

Embedded: one API process and PostgreSQL. Then the same with a lane of its own, queues in Redis and orders that wait in
RabbitMQ. The winners' order numbers are checked against log and ledger.
"""

import argparse
import asyncio
import json
import os
import platform
import resource
import socket
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from benchmarks import flash_report, load
from benchmarks.flash_buyers import Buyer, Rush
from benchmarks.place import Place, place
from benchmarks.shop import member
from pasar.accounts import pool, sale_pool
from pasar.apps.deployment import data_folder, opened
from pasar.apps.lab.evidence import recorded
from pasar.contexts.catalog.contract import CreateProduct, SkuSpec
from pasar.contexts.flash.contract import PrepareSale, SaleItem, SaleLimits
from pasar.contexts.inventory import facade as inventory
from pasar.contexts.inventory.contract import OpenWarehouse, ReceivedLine
from pasar.contexts.platform.contract import OpenChannel, OpenStore
from pasar.contexts.pricing.contract import SetPrice
from pasar.kernel.bus import Bus, Context
from pasar.kernel.tokens import KeyRing, Tokens

FOLDER = Path(__file__).parent.parent / "docs" / "benchmarks"
API_PORT, LANE_PORT = 18660, 18662
SALE, SKU = "noon", "apple"
LATE = "refused 1001"  # Of a buyer who had a ticket: Redis was slow, and another queue stood in.
REDIS, AMQP = "redis://127.0.0.1:6379/9", "amqp://guest:guest@127.0.0.1:5672/"


async def fill(here: Place, buyers: int, units: int) -> list[Buyer]:
    """The sale, and so many members with an address and a token each, by the commands that people send."""
    async with opened(here.settings, here.addresses) as deployment:
        core = deployment.core

        def bus() -> Bus:
            return core.bus(Context(principal="bench"))

        await bus().send(OpenWarehouse(warehouse="bench", name="Bench", country="KR"))
        await inventory.receive(bus(), core.ids.uuid(), "bench", (ReceivedLine(sku=SKU, quantity=units),))
        await bus().send(OpenChannel(channel="web", name="Web", currency="KRW"))
        await bus().send(OpenStore(store="bench", name="Bench", owner=core.ids.uuid()))
        await bus().send(
            CreateProduct(
                product=core.ids.uuid(), store="bench", title="Apples", skus=(SkuSpec(sku=SKU),), state="on_sale"
            )
        )
        await bus().send(SetPrice(sku=SKU, channel="web", currency="KRW", price=Decimal(49000)))
        now = core.clock.now()
        await bus().send(
            PrepareSale(
                sale=SALE, title="Apples at noon", channel="web", currency="KRW", starts_at=now,
                ends_at=now + timedelta(hours=2), items=(SaleItem(sku=SKU, price=Decimal(9900), units=units),),
                limits=SaleLimits(per_member=1),
            )
        )  # fmt: skip
        ring = KeyRing(data_folder(here.settings) / "tokens", core.clock)
        tokens = Tokens(ring, core.clock, core.ids, lifetime_s=840)
        found: list[Buyer] = []
        for first in range(0, buyers, 500):
            made = (member(bus, core.ids.uuid(), n, tokens) for n in range(first, min(buyers, first + 500)))
            found += [Buyer(*one) for one in await asyncio.gather(*made)]
        return found


async def checked(here: Place, rush: Rush, units: int) -> dict[str, Any]:
    """Winners against log and ledger. What is not as it must be stops the benchmark."""
    won = sorted(buyer.order_no for buyer in rush.buyers if buyer.outcome == "won")
    connection = await asyncpg.connect(here.addresses.owner)
    rows = await connection.fetch("select stream from kernel.event where type = 'ordering.OrderPlaced' order by stream")
    accounts = await connection.fetch(
        "select id, balance, held from kernel.account where id = any($1)", [sale_pool(SKU, SALE).id, pool(SKU).id]
    )
    await connection.close()
    balances = {row["id"]: (row["balance"], row["held"]) for row in accounts}
    outcomes = Counter(buyer.outcome for buyer in rush.buyers)
    assert not outcomes.keys() - {"won", "sold out", LATE}, f"not answered as they must be: {outcomes}"
    assert won == [row["stream"] for row in rows], "the winners are not those of the log"
    assert balances[sale_pool(SKU, SALE).id] == (0, units), (balances, outcomes)
    assert balances[pool(SKU).id][0] == 0, balances
    assert len(won) == len(set(won)) == units, f"{len(won)} sold of {units}"
    return {"sold": len(won), "in_log": len(rows), "held_in_ledger": balances[sale_pool(SKU, SALE).id][1]}


def figures(rush: Rush, name: str) -> dict[str, Any]:
    """Times in seconds since the release."""

    def spread(values: list[float]) -> list[float]:
        ordered = sorted(values) or [0.0]
        return [round(ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))], 2) for p in (50, 95, 99)]

    winners = [buyer for buyer in rush.buyers if buyer.outcome == "won"]
    losers = [buyer for buyer in rush.buyers if buyer.outcome != "won"]
    last = max(buyer.final_s for buyer in winners)
    return {
        "name": name,
        "buyers": len(rush.buyers),
        "first_answer": spread([buyer.first_s for buyer in rush.buyers]),
        "winners": spread([buyer.final_s for buyer in winners]),
        "losers": spread([buyer.final_s for buyer in losers]),
        "sales_per_s": round(len(winners) / last, 1),
        "sold_in_s": round(last, 2),
        "everybody_knows_s": round(max(buyer.final_s for buyer in rush.buyers), 2),
        "late": sum(buyer.outcome == LATE for buyer in rush.buyers),
        "requests": len(rush.buyers) + sum(buyer.requests for buyer in rush.buyers),
        "told_to_come_again": sum(buyer.refusals for buyer in rush.buyers),
        "won_at": sorted(round(buyer.final_s, 3) for buyer in winners),
        "lost_at": sorted(round(buyer.final_s, 3) for buyer in losers)[:: max(1, len(losers) // 500)],
    }


def one(name: str, buyers: int, units: int, *, outside: bool) -> dict[str, Any]:
    """One sale in a deployment of its own."""
    prefix = f"bench-{os.getpid()}."
    extra = [
        ("PASAR_SERVER_PORT", str(API_PORT)),
        ("PASAR_FLASH_PORT", str(LANE_PORT)),
        ("PASAR_FLASH_ADMIT_PER_S", "2000"),
        ("PASAR_SERVER_KEEP_ALIVE_S", "600"),  # Connecting 10,000 takes a while, and nobody may be hung up on.
        ("PASAR_FLASH_JOINS_PER_ADDRESS_MIN", str(100 * buyers)),
        ("PASAR_SERVER_PUBLIC_URL", f"http://127.0.0.1:{API_PORT}"),
        ("PASAR_REDIS_URL", REDIS if outside else ""),
        ("PASAR_AMQP_URL", AMQP if outside else ""),
        ("PASAR_AMQP_PREFIX", prefix),
    ]
    with place(worker=False, extra=extra) as here, _cleaned(outside, prefix):
        people = uvloop.run(fill(here, buyers, units))
        here.start("worker", "work")
        here.start("api", "serve")
        load.wait_ready(API_PORT)
        if outside:
            here.start("lane", "flash")
            load.wait_ready(LANE_PORT)
        uvloop.run(here.lag(240))  # type: ignore[arg-type]
        path, clocks = f"/api/v1/flash/sales/{SALE}", list[dict[str, float]]()
        loads = list[float]()
        others = {"redis": "redis-server", "rabbitmq": "beam.smp"} if outside else {}

        def clock() -> None:
            loads.append(round(os.getloadavg()[0], 1))
            clocks.append(here.cpu_s(**others))

        rush = Rush(LANE_PORT if outside else API_PORT, path, SKU, buffered=outside, buyers=people)
        uvloop.run(rush.run(clock, clock))
        row = figures(rush, name) | {"load_average": loads[0]}
        row["cpu_s"] = {which: round(used - clocks[0].get(which, 0), 2) for which, used in clocks[1].items()}
        try:
            with recorded(f"bench-flash {name}", "A1") as proof:
                proof.attempt(buyers)
                proof.figure("members at once, units", f"{buyers:,}, {units:,}")
                proof.figure("sales a second", row["sales_per_s"])
                row["checked"] = uvloop.run(checked(here, rush, units))
        except AssertionError:
            for child in here.children:
                print(f"── {child.name}", (here.folder / f"{child.name}.log").read_text()[-3000:], sep="\n")
            raise
        print({key: value for key, value in row.items() if not key.endswith("_at")}, flush=True)
        return row


@contextmanager
def _cleaned(outside: bool, prefix: str) -> Any:
    """Redis and broker without what this run, or one that was broken off, leaves behind."""
    if outside:
        asyncio.run(_clean(prefix))
    try:
        yield
    finally:
        if outside:
            asyncio.run(_clean(prefix))


async def _clean(prefix: str) -> None:
    import aio_pika
    from redis.asyncio import Redis

    client = Redis.from_url(REDIS)
    await client.flushdb()
    await client.aclose()
    async with await aio_pika.connect(AMQP) as connection:
        channel = await connection.channel()
        for queue in ("pasar.flash.orders", "pasar.flash.dead"):
            await channel.queue_delete(prefix + queue)


def _answers(port: int) -> bool:
    with socket.socket() as made:
        made.settimeout(1)
        return made.connect_ex(("127.0.0.1", port)) == 0


def _write(results: dict[str, Any]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "flash.json").write_text(json.dumps(results) + "\n")
    flash_report.write(results, FOLDER)


def main() -> None:
    """Measure, then write flash.json, flash.md and the plots."""
    parser = argparse.ArgumentParser(prog="make bench-flash")
    parser.add_argument("--buyers", type=int, default=10_000)
    parser.add_argument("--units", type=int, default=1_000)
    parser.add_argument("--only", default="embedded,outside,overload")
    chosen = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = chosen.buyers + 1_000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise SystemExit(f"{wanted} open files are needed, the limit of this system is {hard}: raise it (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    file = FOLDER / "flash.json"
    results: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    results["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    parts = chosen.only.split(",")
    if "embedded" in parts:
        results["embedded"] = one("embedded", chosen.buyers, chosen.units, outside=False)
        _write(results)
    if "outside" in parts:
        if _answers(6379) and _answers(5672):
            results["outside"] = one("Redis and RabbitMQ", chosen.buyers, chosen.units, outside=True)
            _write(results)
        else:
            print("No Redis on 6379 or no RabbitMQ on 5672: that half was left out.")
    if "overload" in parts:
        if find_spec("pasar.apps.lab") is None:
            print("The open-loop load of `pasar lab` is not installed: the curve of overload was left out.")
        else:
            from benchmarks import flash_overload

            results["overload"] = flash_overload.run()
    _write(results)
    print(f"Written: {FOLDER / 'flash.md'}")


if __name__ == "__main__":
    main()

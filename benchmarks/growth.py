"""`make bench-growth`: does it get slower as it fills? Orders are stored by the real commit until there are 10³, 10⁴, 10⁵
of them (10⁶ with `--most 1000000`); at each size the same operations are measured, one after the other and all of them
again, so that what else the machine does meets them alike.

The first thousand orders are of fifty members, who have a whole page each from then on: it is their lists that are read.
"""

import argparse
import asyncio
import itertools
import json
import os
import platform
import statistics
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import uvloop
from msgspec import structs

from benchmarks import load
from benchmarks.http import Members, orders
from benchmarks.orders import order
from benchmarks.place import Place, place
from benchmarks.shop import fill, signed_in, tokens_of
from pasar.apps.deployment import opened
from pasar.apps.memory import spare_the_collector
from pasar.contexts.ordering.views import orders as orders_view
from pasar.kernel.access import Principal
from pasar.kernel.bus import Context, Core
from pasar.kernel.view_tables import rebuild
from pasar.kernel.worker import wait_for

FOLDER = Path(__file__).parent.parent / "docs" / "benchmarks"
PORT = 18670
CLIENTS, STORING, PACE = 8, 2_000, 64
"""At once: connections, orders that are stored in bulk, and those that are stored to see how fast it goes."""
LAGS, REGULARS, ROUNDS, PACED = 20, 50, 5, 500


async def _store(core: Core, members: Members, numbers: Iterator[int], at_once: int) -> None:
    """Orders by the real commit, so many at once: they queue up, and each group of changes takes as many as it may."""

    async def client() -> None:
        for number in numbers:
            buyer = UUID(members[number % (REGULARS if number <= 1000 else len(members))][0])
            bus = core.bus(Context(principal=str(buyer), route="bench", key=str(uuid4()), request_hash=b"h" * 16))
            wish = order(bus, 50_000_000 + number, buyer, hot=False)
            await bus.send(structs.replace(wish, pay_until=wish.placed_at + timedelta(days=2)))  # Nothing lapses here.

    await asyncio.gather(*(client() for _ in range(at_once)))


async def _lag(core: Core, members: Members) -> list[float]:
    """Milliseconds from an order's commit until the view of orders shows it, one after the other."""
    found = []
    for turn in range(LAGS):
        buyer = UUID(members[turn][0])
        bus = core.bus(Context(principal=str(buyer), route="bench", key=str(uuid4()), request_hash=b"h" * 16))
        await bus.send(order(bus, 50_000_000 + next(_EXTRA), buyer, hot=False))
        started = time.perf_counter()
        await wait_for(core.database.kernel, orders_view, bus.position, 30)
        found.append((time.perf_counter() - started) * 1000)
    return sorted(found)


_EXTRA = itertools.count(10_000_000)


def _pages(products: list[str], number: int) -> Iterator[bytes]:
    for turn in itertools.count(number):
        yield load.request("GET", f"/api/v1/products/{products[turn * 7 % len(products)]}?channel=web")


def _lists(members: Members, number: int) -> Iterator[bytes]:
    for turn in itertools.count(number):
        yield load.request("GET", "/api/v1/orders?limit=20", token=members[turn * 7 % REGULARS][1])


def _staff_lists(token: str, query: str) -> Iterator[bytes]:
    while True:
        yield load.request("GET", f"/api/v1/staff/orders?limit=20{query}", token=token)


async def _measured(here: Place, core: Core, people: Members, products: list[str], seconds: float) -> dict[str, Any]:
    """Each operation `ROUNDS` times, in turns; of each figure the median, the least and the most."""
    members, staff = people, ""
    scripts: dict[str, Any] = {
        "order": lambda n: orders(members, CLIENTS, n, hot=False),
        "product page": lambda n: _pages(products, n),
        "order list": lambda n: _lists(members, n),
        "staff's order list": lambda n: _staff_lists(staff, ""),
        "staff's list of a store": lambda n: _staff_lists(staff, "&store=bench"),
        "staff's list of a buyer": lambda n: _staff_lists(staff, f"&buyer={members[n][0]}"),
    }
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in scripts}
    paced: list[dict[str, float]] = []
    for _ in range(ROUNDS):
        members, staff = _signed_in(core, here, people)
        for name, script in scripts.items():
            before = here.cpu_s()
            clients = 4 if name.startswith("staff") else CLIENTS  # Of the lane of reports.
            found: Any = (await load.run("127.0.0.1", PORT, clients, seconds, script)).row()
            used = {which: at - before.get(which, 0) for which, at in here.cpu_s().items()}
            for which in ("api", "postgres"):
                found[f"cpu_{which}_us"] = round(used[which] / found["requests"] * 1e6)
            assert not found["errors"], (name, found)
            rounds[name].append(found)
            await here.lag(300)
        started, before = time.perf_counter(), here.cpu_s()
        await _store(core, members, itertools.islice(_EXTRA, PACED), PACE)
        row = {"stored_per_s": float(round(PACED / (time.perf_counter() - started)))}
        used = {which: at - before.get(which, 0) for which, at in here.cpu_s().items()}
        row |= {f"cpu_{which}_us": round(used[which] / PACED * 1e6) for which in ("load", "postgres", "worker")}
        await here.lag(300)
        lags = await _lag(core, members)
        paced.append(row | {"lag_p50_ms": round(lags[LAGS // 2], 1), "lag_p95_ms": round(lags[LAGS * 95 // 100], 1)})
    units = "per_second", "p50_ms", "p99_ms", "cpu_api_us", "cpu_postgres_us"
    measured = {name: {unit: _spread([one[unit] for one in found]) for unit in units} for name, found in rounds.items()}
    return {**measured, "paced": {unit: _spread([one[unit] for one in paced]) for unit in paced[0]}}


async def _rebuilt(core: Core) -> list[float]:
    """Events of the view that are folded a second, when it is made anew."""
    events = await core.database.kernel.fetchval(
        "select count(*) from kernel.event where type like 'ordering.%' or type like 'payment.%'"
    )
    found = []
    for _ in range(3 if events < 10**6 else 1):
        started = time.perf_counter()
        await rebuild(core.database, orders_view, core.clock)
        found.append(round(events / (time.perf_counter() - started)))
    return _spread(found)


def _spread(values: list[float]) -> list[float]:
    """Median, least, most."""
    return [statistics.median(values), min(values), max(values)]


async def _all(here: Place, members: Members, sizes: list[int], seconds: float) -> list[dict[str, Any]]:
    rows, before = [], 0
    async with opened(here.settings, here.addresses) as deployment:
        core = deployment.core
        products = [
            row["stream"]
            for row in await core.database.kernel.fetch(
                "select stream from kernel.event where type = 'catalog.ProductCreated' limit 1000"
            )
        ]
        spare_the_collector()
        for size in sizes:
            started = time.perf_counter()
            await _store(core, members, iter(range(before + 1, size + 1)), STORING)
            stored = (size - before) / (time.perf_counter() - started)
            before = size
            waited = await here.lag(3600)
            owner = await asyncpg.connect(here.addresses.owner)
            await owner.execute("analyze")  # What autovacuum does by itself, at a moment that would differ by run.
            await owner.close()
            row = {"orders": size, "stored_per_s": round(stored), "catching_up_s": round(waited, 1)}
            row |= await _measured(here, core, members, products, seconds)
            row["rebuild"] = await _rebuilt(core)
            print(row, flush=True)
            rows.append(row)
    return rows


def _signed_in(core: Core, here: Place, members: Members) -> tuple[Members, str]:
    """Fresh tokens of members, and one of somebody who looks through everybody's orders: filling takes longer than a
    token lives, and measuring may."""
    staff = Principal(id=str(core.ids.uuid()), kind="admin", roles=frozenset({"admin"}))
    return signed_in(here, members), tokens_of(here).issue(staff)


def run(most: int, seconds: float) -> list[dict[str, Any]]:
    sizes = [size for size in (10**3, 10**4, 10**5, 10**6) if size <= most]
    extra = (
        ("PASAR_SERVER_PORT", str(PORT)),
        ("PASAR_TOKENS_ACCESS_MIN", "1440"),
        ("PASAR_COMMIT_GROUP", "512"),
        ("PASAR_COMMIT_QUEUE", "4096"),
        ("PASAR_LIMITS_PERSON_PER_S", "0"),
    )
    with place(worker=False, extra=extra) as here:
        members = uvloop.run(fill(here))
        here.start("worker", "work")
        here.start("api", "serve")
        load.wait_ready(PORT)
        return uvloop.run(_all(here, members, sizes, seconds))


def write(results: dict[str, Any], folder: Path) -> None:
    rows = results["rows"]
    lines = [
        "# Growth",
        "",
        f"Made by `make bench-growth` on {results['machine']}; load average of the machine: {results['load_average']}. "
        f"{CLIENTS} connections (4 for lists of staff), {results['seconds']:g} s each, all operations in turns, {ROUNDS} "
        "times: the median, in brackets the least and the most. Where the last median lies within the spread of the "
        "first, nothing has grown that could be told from what else the machine did. Orders were stored by the real "
        "commit, two lines each.",
        "",
        "| | " + " | ".join(f"{row['orders']:,} orders" for row in rows) + " | last to first | |",
        "| --- |" + " --- |" * (len(rows) + 2),
    ]
    for name in [name for name in rows[0] if isinstance(rows[0][name], dict) and name != "paced"]:
        for unit, title in (
            ("per_second", "a second"),
            ("p50_ms", "P50 ms"),
            ("p99_ms", "P99 ms"),
            ("cpu_api_us", "µs of CPU in the API"),
            ("cpu_postgres_us", "µs of CPU in PostgreSQL"),
        ):
            lines.append(_row(f"{name}, {title}", [row[name][unit] for row in rows], unit == "per_second"))
    paced = "orders stored a second by one process, 64 at a time, views and processes beside"
    lines.append(_row(paced, [row["paced"]["stored_per_s"] for row in rows], True))
    for which, title in (("load", "that process"), ("postgres", "PostgreSQL"), ("worker", "the worker")):
        cpu = [row["paced"][f"cpu_{which}_us"] for row in rows]
        lines.append(_row(f"the same, µs of CPU in {title}", cpu, False))
    lines.append(_row("a follower's lag, P50 ms", [row["paced"]["lag_p50_ms"] for row in rows], False))
    lines.append(_row("a follower's lag, P95 ms", [row["paced"]["lag_p95_ms"] for row in rows], False))
    lines.append(_row("rebuild of the view of orders, its events a second", [row["rebuild"] for row in rows], True))
    lines += [
        "",
        "Filled in bulk, 2,000 at once, as fast as one process goes: "
        + ", ".join(f"{row['stored_per_s']:,} a second up to {row['orders']:,}" for row in rows)
        + "; followers had caught up after "
        + ", ".join(f"{row['catching_up_s']:g} s" for row in rows)
        + ".",
    ]
    (folder / "growth.md").write_text("\n".join(lines) + "\n")


def _row(title: str, spreads: list[list[float]], more_is_better: bool) -> str:
    """`same`: within 20 %, or within the spread of the first."""
    first, last = spreads[0], spreads[-1]
    ratio = last[0] / first[0] if first[0] else 1.0
    worse = ratio < 0.8 if more_is_better else ratio > 1.2
    noise = last[0] >= first[1] if more_is_better else last[0] <= first[2]
    verdict = "" if not worse else "within the spread" if noise else "**grows**"
    cells = " | ".join(f"{median:,g} ({least:,g}–{most:,g})" for median, least, most in spreads)
    return f"| {title} | {cells} | {ratio:.2f} | {verdict} |"


def main() -> None:
    """Measure, then write growth.json and growth.md."""
    parser = argparse.ArgumentParser(prog="make bench-growth")
    parser.add_argument("--most", type=int, default=10**5, help="orders at the end")
    parser.add_argument("--seconds", type=float, default=3, help="length of each measurement")
    chosen = parser.parse_args()
    results = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "load_average": round(os.getloadavg()[0], 1),
        "seconds": chosen.seconds,
        "rows": run(chosen.most, chosen.seconds),
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "growth.json").write_text(json.dumps(results, indent=1) + "\n")
    write(results, FOLDER)
    print(f"Written: {FOLDER / 'growth.md'}")


if __name__ == "__main__":
    main()

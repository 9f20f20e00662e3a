"""Once, ten times, once the load that an API process can take: what is left of its goodput, second by second."""

import itertools
from typing import Any

import uvloop

from benchmarks import load
from benchmarks.http import Members, orders
from benchmarks.place import place
from benchmarks.shop import fill
from pasar.apps.lab.load import Answer, Load, Wanted, capacity, phase

PORT = 18664
CALM_S, STORM_S, TIMES, SEED = 10.0, 15.0, 10.0, 7


def _wanted(members: Members) -> list[Wanted]:
    """Half checkouts, each by another member with a fresh key; half product lists."""
    scripts = itertools.cycle([orders(members, len(members), n, hot=False) for n in range(len(members))])
    page = load.request("GET", "/api/v1/products?channel=web&limit=20")
    return [Wanted("checkout", 0.5, lambda: next(next(scripts))), Wanted("browse", 0.5, lambda: page)]


async def _measured(members: Members) -> dict[str, Any]:
    api, wanted = f"http://127.0.0.1:{PORT}", _wanted(members)
    await capacity(api, wanted, SEED)  # Warms up.
    most = await capacity(api, wanted, SEED, seconds=5)
    running = Load(api, wanted, SEED)
    await running.run(most * 0.8, CALM_S)
    await running.run(most * TIMES, STORM_S, start_s=CALM_S)
    await running.run(most * 0.8, 2 * CALM_S, start_s=CALM_S + STORM_S)
    running.close()
    end, last = CALM_S + STORM_S, 3 * CALM_S + STORM_S
    spans = {"0.8 ×": (0, CALM_S), "10 ×": (CALM_S, end), "0.8 × afterwards, from 10 s on": (end + CALM_S, last)}
    phases = [phase(name, running.answers, *span)._asdict() for name, span in spans.items()]
    for row in phases:
        print(row, flush=True)
    return {"capacity": round(most), "phases": phases, "curve": _curve(running.answers, int(last))}


def _curve(answers: list[Answer], last: int) -> list[dict[str, Any]]:
    rows = [{"at_s": second, "offered": 0, "good": 0, "refused": 0} for second in range(last)]
    for answer in answers:
        row = rows[min(last - 1, int(answer.due_s))]
        row["offered"] += 1
        row["good"] += answer.good
        row["refused"] += answer.refused
    return rows


def run() -> dict[str, Any]:
    with place(worker=False, extra=(("PASAR_SERVER_PORT", str(PORT)),)) as here:
        members = uvloop.run(fill(here))
        here.start("worker", "work")
        here.start("api", "serve")
        load.wait_ready(PORT)
        return uvloop.run(_measured(members))

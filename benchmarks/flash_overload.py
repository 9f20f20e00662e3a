"""Once, twice, four times, ten times, once the load that an API process can take: what is left of its goodput, second by
second."""

import itertools
from time import perf_counter
from typing import Any

import uvloop

from benchmarks import load
from benchmarks.http import Members, orders
from benchmarks.place import place
from benchmarks.shop import fill
from pasar.apps.lab.load import Answer, Load, Wanted, capacity, phase

PORT = 18664
SPAN_S, SEED = 10.0, 7
TIMES = 0.8, 2, 4, 10, 0.8, 0.8
"""The load of each span, in parts of what the process can take; the last but one is the time to recover."""


def _wanted(members: Members) -> list[Wanted]:
    """Half checkouts, each by another member with a fresh key; half product lists."""
    scripts = itertools.cycle([orders(members, len(members), n, hot=False) for n in range(len(members))])
    page = load.request("GET", "/api/v1/products?channel=web&limit=20")
    return [Wanted("checkout", 0.5, lambda: next(next(scripts))), Wanted("browse", 0.5, lambda: page)]


async def _measured(members: Members) -> dict[str, Any]:
    api, wanted = f"http://127.0.0.1:{PORT}", _wanted(members)
    await capacity(api, wanted, SEED)  # Warms up.
    most = await capacity(api, wanted, SEED, seconds=5)
    running, phases, took = Load(api, wanted, SEED), [], []
    for number, times in enumerate(TIMES):
        began = perf_counter()
        await running.run(most * times, SPAN_S, start_s=number * SPAN_S)
        took.append(perf_counter() - began)
    running.close()
    for number, times in enumerate(TIMES):
        if number != len(TIMES) - 2:
            name = f"{times:g} ×" + (", from 10 s afterwards on" if number == len(TIMES) - 1 else "")
            found = phase(name, running.answers, number * SPAN_S, (number + 1) * SPAN_S)
            phases.append({**found._asdict(), "behind_s": round(took[number] - SPAN_S, 1)})
    for row in phases:
        print(row, flush=True)
    return {"capacity": round(most), "phases": phases, "curve": _curve(running.answers, int(len(TIMES) * SPAN_S))}


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

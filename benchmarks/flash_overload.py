"""Once, twice, four times, ten times, once the load that an API process can take: what is left of its goodput, second by
second. First of people who come to buy and leave when they are turned away; then of requests that have nothing to do
with each other."""

import itertools
import random
from collections import deque
from time import perf_counter
from typing import Any

import uvloop

from benchmarks import gateway, load
from benchmarks.http import Members, checkout, orders
from benchmarks.place import place
from benchmarks.shop import fill
from pasar.apps.lab.load import Answer, Load, Wanted, capacity, phase
from pasar.apps.lab.visits import Step, Visits, turned_away_late

PORT = 18664
API = f"http://127.0.0.1:{PORT}"
SPAN_S, SEED = 10.0, 7
TIMES = 0.8, 2, 4, 10, 0.8, 0.8
"""The load of each span, in parts of what the process can take; the last but one is the time to recover."""
PAGE = load.request("GET", "/api/v1/products?channel=web&limit=20")
STEPS = "cart", "order", "payment", "confirmation"


class _Buying:
    """The list, then all calls of a member until an order is paid."""

    def __init__(self, members: Members) -> None:
        self._people = deque(members)
        random.Random(SEED).shuffle(self._people)

    async def __call__(self, step: Step) -> None:
        await step("list", PAGE)
        who = self._people.popleft()
        try:
            script = checkout(who[1])
            data = next(script)
            for kind in STEPS:
                data = script.send((200, await step(kind, data)))
        except StopIteration:
            return
        finally:
            self._people.append(who)


def _wanted(members: Members) -> list[Wanted]:
    """Half checkouts, each by another member with a fresh key; half product lists."""
    scripts = itertools.cycle([orders(members, len(members), n, hot=False) for n in range(len(members))])
    return [Wanted("checkout", 0.5, lambda: next(next(scripts))), Wanted("browse", 0.5, lambda: PAGE)]


async def _people(members: Members) -> dict[str, Any]:
    visits = Visits(API, _Buying(members), SEED)
    await visits.most(3.0)  # Warms up.
    most = await visits.most(6.0)
    found = await _spans(most, visits.come, visits.answers)
    visits.close()
    return {**found, "turned_away_late": turned_away_late(visits.answers)}


async def _requests(members: Members) -> dict[str, Any]:
    wanted = _wanted(members)
    most = await capacity(API, wanted, SEED, seconds=5)
    running = Load(API, wanted, SEED)
    found = await _spans(
        most, lambda rate, seconds, start_s: running.run(rate, seconds, start_s=start_s), running.answers
    )
    running.close()
    return found


async def _spans(most: float, come: Any, answers: list[Answer]) -> dict[str, Any]:
    phases, took = [], []
    for number, times in enumerate(TIMES):
        began = perf_counter()
        await come(most * times, SPAN_S, start_s=number * SPAN_S)
        took.append(perf_counter() - began)
    for number, times in enumerate(TIMES):
        if number != len(TIMES) - 2:
            name = f"{times:g} ×" + (", from 10 s afterwards on" if number == len(TIMES) - 1 else "")
            found = phase(name, answers, number * SPAN_S, (number + 1) * SPAN_S)
            phases.append({**found._asdict(), "behind_s": round(took[number] - SPAN_S, 1)})
    for row in phases:
        print(row, flush=True)
    return {"capacity": round(most), "phases": phases, "curve": _curve(answers, int(len(TIMES) * SPAN_S))}


def _curve(answers: list[Answer], last: int) -> list[dict[str, Any]]:
    rows = [{"at_s": second, "offered": 0, "good": 0, "refused": 0} for second in range(last)]
    for answer in answers:
        row = rows[min(last - 1, int(answer.due_s))]
        row["offered"] += 1
        row["good"] += answer.good
        row["refused"] += answer.refused
    return rows


def run() -> dict[str, Any]:
    """Both curves."""
    with place(worker=False, extra=(("PASAR_SERVER_PORT", str(PORT)), *gateway.SETTINGS)) as here:
        members = uvloop.run(fill(here))
        here.start("provider", module="benchmarks.gateway")
        here.start("worker", "work")
        here.start("api", "serve")
        load.wait_ready(PORT)
        return {"people": uvloop.run(_people(members)), "requests": uvloop.run(_requests(members))}

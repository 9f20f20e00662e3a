"""`pasar lab …`: the proof tools against a staging deployment. They buy, kill and overload: never name one that serves
customers."""

import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from rich.console import Console

from .evidence import Evidence, Result, recorded

app = App(name="lab", help="Attack, fault and overload a staging deployment, and judge what became of it.")
console = Console(stderr=True, highlight=False)
PASSWORD = "LAB_PASSWORD"  # noqa: S105 the name of a variable
Against = Annotated[str, Parameter(help="address of the API, such as http://127.0.0.1:8000")]
Simulators = Annotated[str, Parameter(help="address of the simulated providers")]


def _run(main: Coroutine[Any, Any, Any]) -> Any:
    import uvloop

    return uvloop.run(main)


def _judged(name: str, promises: tuple[str, ...], main: Callable[[Evidence], Awaitable[Any]]) -> None:
    """Run, write the result file, say how it came out; exit status 1 when a promise was broken."""

    async def record() -> Result:
        with recorded(f"lab {name}", *promises) as evidence:
            await main(evidence)
        return evidence.result(True)

    try:
        result = _run(record())
    except AssertionError as broken:
        console.print(f"[bold]Broken[/bold]: {broken}")
        sys.exit(1)
    except OSError as away:  # Also what the HTTP client raises.
        console.print(f"It cannot be reached: {away}", markup=False)
        sys.exit(1)
    told = ", ".join(f"{what}: {value}" for what, value in result.figures.items())
    console.print(f"Kept, in {result.attempts} attempts and {result.seconds} s. {told}")


def _options(simulators: str) -> dict[str, str]:
    password = os.environ.get(PASSWORD)
    return {"simulators": simulators, **({"password": password} if password else {})}


@app.command
def attack(
    what: Literal["units", "coupons", "captures"],
    *,
    against: Against,
    simulators: Simulators = "",
    attempts: int = 1000,
) -> None:
    """Bursts: many for the last units, for the last uses of a coupon, or for the capture of one payment."""
    from .attack import coupon_limit, last_units, one_capture
    from .target import reaching

    attacks = {"units": (last_units, "A1"), "coupons": (coupon_limit, "A2"), "captures": (one_capture, "A8")}
    chosen, promise = attacks[what]

    async def main(evidence: Evidence) -> None:
        async with reaching(against, **_options(simulators)) as target:
            await chosen(target, evidence, attempts)

    _judged(f"attack {what}", (promise,), main)


@app.command
def matrix(*, against: Against) -> None:
    """Every route × every kind of caller × own, other's and missing objects; headers; fields that nobody knows."""
    from .matrix import CHECKS, check_prices, furnish
    from .own import own_routes
    from .target import reaching

    async def main(evidence: Evidence) -> None:
        async with reaching(against, **_options("")) as target:
            world, routes = await furnish(target), own_routes()
            for check in CHECKS.values():
                await check(target, routes, world, evidence)
            await check_prices(target, evidence)

    _judged("matrix", ("D2", "D10", "D11"), main)


@app.command
def load(
    what: Literal["visits", "requests", "share"] = "visits",
    *,
    against: Against,
    simulators: Simulators = "",
    times: float = 10.0,
    seconds: float = 20.0,
    seed: int = 1,
) -> None:
    """Once, `times`, once what it can take, by the clock, of people who come to buy or of single requests; or one
    greedy client beside all others."""
    from .load import uncollected
    from .overload import fair_share, judge_goodput, judge_share, overload
    from .target import reaching
    from .visits import judge_order, overrun, visitors

    storm = {"times": times, "calm_s": seconds / 2, "storm_s": seconds}

    async def main(evidence: Evidence) -> None:
        async with reaching(against, **_options(simulators)) as target:
            if what == "share":
                judge_share(await fair_share(target, evidence, seed, seconds=seconds), evidence)
            elif what == "requests":
                judge_goodput(*await overload(target, evidence, seed, **storm))
            else:
                async with visitors(target, evidence.seed(seed)) as visits:
                    judge_goodput(*await overrun(visits, evidence, **storm))
                    judge_order(visits.answers)

    with uncollected():
        _judged(f"load {what}", ("C6",) if what == "share" else ("C1",), main)


@app.command
def nemesis(
    *, against: Against, supervisor: int, simulators: Simulators = "", faults: int = 20, seed: int = 1, buyers: int = 12
) -> None:
    """Kill, pause and flood the processes below a supervisor (`pasar run`, by its process id) while people buy.

    Afterwards every accepted order must be there, once. Then run `pasar doctor` and `pasar verify`.
    """
    from .buyers import Buyers, reconcile
    from .nemesis import Flood, Nemesis, Processes, plan, served
    from .target import reaching

    processes = Processes(supervisor)
    menu = [
        ("kill", "cli serve"),
        ("kill", "cli work"),
        ("pause", "cli serve"),
        ("pause", "cli work"),
        ("flood", "api"),
    ]

    async def main(evidence: Evidence) -> None:
        async with reaching(against, **_options(simulators)) as target:
            units = 1_000_000
            shop = Buyers(target, await target.sell(units), pay=bool(simulators))
            acts = {"kill": processes.kill, "pause": processes.pause, "flood": Flood(against)}
            chosen = plan(evidence.seed(seed), faults, menu)
            await shop.shop_during(buyers, Nemesis(acts, lambda: served(target)).follow(chosen, evidence))
            evidence.figure("accepted orders", await reconcile(target, shop, units))

    _judged("nemesis", ("B1",), main)


@app.command
def corpora(path: Path, *, against: Against, each: int = 1) -> None:
    """Hostile texts of a folder, tokens and costly requests; judged by what they effect. `each`: every n-th text."""
    from .corpora import NoCorpora, check_payloads, check_tokens, families
    from .target import reaching

    try:
        texts = [text for found in families(path).values() for text in found[::each]]
    except NoCorpora as nothing:
        console.print(str(nothing))
        sys.exit(1)

    async def unknown() -> None:
        """From outside, nobody sees the database."""

    async def main(evidence: Evidence) -> None:
        async with reaching(against, **_options("")) as target:
            await check_payloads(target, evidence, texts, unknown)
            await check_tokens(target, evidence)

    _judged("corpora", ("D3", "D7"), main)


@app.command
def history(dsn: str, *, operations: int = 10_000, seed: int = 1) -> None:
    """Histories of clients on a scratch database, judged for lost updates, fractured reads and circles.

    Parameters
    ----------
    dsn: An empty, migrated database on the server (or behind the proxy) that is to be judged; its rows are the lab's.
    """
    from . import domain
    from .bank import ListWorkload
    from .history import judge

    async def main(evidence: Evidence) -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with domain.opened(dsn, Path(folder), cores=2) as cores:
                for part in range(max(1, operations // 1000)):
                    workload = ListWorkload(cores, evidence.seed(seed * 1000 + part))
                    done = await workload.run(min(operations, 1000))
                    evidence.attempt(judge(done, await workload.final()))

    _judged("history", ("A11",), main)


@app.command
def bank(dsn: str, *, payments: int = 10_000, seed: int = 1) -> None:
    """Payments between purses on a scratch database while others add them up: the sum never changes."""
    from . import domain
    from .bank import Bank

    async def main(evidence: Evidence) -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with domain.opened(dsn, Path(folder), cores=2) as cores:
                purses = Bank(cores, evidence.seed(seed))
                await purses.fill()
                await purses.run(evidence, payments)

    _judged("bank", ("A3",), main)


@app.command
def simulate(*, seed: int = 0, seeds: int = 10, days: float = 300) -> None:
    """Orders, payments and processes in virtual time with dying workers and wrong clocks; prints each seed's trace."""
    from .simulation import Plan, Simulation

    try:
        with recorded("lab simulate", "B9") as evidence:
            for one in range(seed, seed + seeds):
                outcome = Simulation(evidence.seed(one), Plan(days=days)).run()
                evidence.attempt(outcome.days)
                console.print(f"seed {one}: trace {outcome.trace}, {outcome.days} days, {dict(outcome.states)}")
    except AssertionError as broken:
        console.print(f"[bold]Broken[/bold]: {broken}")
        sys.exit(1)


@app.command
def proxy(
    what: Literal["toxic", "commit"],
    upstream: str,
    *,
    port: int = 0,
    seed: int = 1,
    share: float = 0.1,
    latency_s: float = 0.0,
    jitter_s: float = 0.0,
    slice: int = 0,
    reset: float = 0.0,
    black_hole: float = 0.0,
    flip: float = 0.0,
) -> None:
    """A bad network in front of HOST:PORT; or one that cuts PostgreSQL connections at their commits. Ctrl-C ends it.

    Parameters
    ----------
    share: Of commits, those that are cut.
    """
    import asyncio

    from .commit_proxy import CommitProxy
    from .proxies import ToxicProxy, Toxics

    host, _, number = upstream.rpartition(":")
    address = (host, int(number))
    toxics = Toxics(latency_s, jitter_s, slice, reset=reset, black_hole=black_hole, flip=flip)

    async def main() -> None:
        made = CommitProxy(address, seed, share=share) if what == "commit" else ToxicProxy(address, seed, toxics)
        console.print(f"127.0.0.1:{await made.start(port)} leads to {upstream}.")
        await asyncio.Event().wait()

    _run(main())


@app.command
def promises(*, docs: Path = Path("docs")) -> None:
    """Write promises.md from the result files, and keep those beside it."""
    from pasar.kernel.clock import SystemClock

    from .catalogue import PROMISES
    from .evidence import folder
    from .promises import write_page

    for one in write_page(docs, folder(), PROMISES, now=SystemClock().now()):
        console.print(f"{one.promise.id:4} {one.state}"[:160], markup=False)


@app.command
def drill(*names: str, seconds: int = 60) -> None:
    """Failover, point-in-time restore, faults, soak: on servers that are started for it, by the runbook in docs.

    Parameters
    ----------
    names: Which drills; all of them when none is named.
    seconds: How long faults and soak go on.
    """
    from .drills import DRILLS, run_drill

    for name in names or tuple(DRILLS):
        if name not in DRILLS:
            console.print(f"There is no drill {name}; there are: {', '.join(DRILLS)}")
            sys.exit(1)
        _judged(name, DRILLS[name].promises, lambda evidence, name=name: run_drill(name, evidence, seconds))

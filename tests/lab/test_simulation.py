"""Weeks of a deployment in virtual time: nothing is past its deadline, whatever dies, repeats or is wrong about the
time; the same seed gives the same trace; and the judge finds a shop that forgets deadlines or gives money back
twice."""

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pasar.apps.lab.evidence import Evidence, scale
from pasar.apps.lab.simulation import Outcome, Plan, Simulation
from pasar.apps.lab.simulation_judge import Broken
from pasar.apps.lab.virtual import Stalled, VirtualLoop, run

pytestmark = pytest.mark.slow

YEAR = Plan(days=300, orders=60)


def count(proof: Evidence, outcome: Outcome, attempts: int) -> None:
    proof.attempt(attempts)
    proof.attempt(outcome.steps, of="F")
    for fault, number in outcome.faults.items():
        proof.fault(fault, number)


@pytest.mark.timeout(2400 if scale() >= 1 else 120)
@pytest.mark.promise("B9", "F")
@pytest.mark.parametrize("part", range(2))
def test_processes_meet_their_deadlines(proof: Evidence, part: int) -> None:
    """A simulated day counts as one attempt."""
    for seed in range(part, proof.number(2_800, 4), 2):
        outcome = Simulation(proof.seed(seed), YEAR).run()
        assert outcome.states["COMPLETED"] > 0
        assert outcome.states["CANCELED"] > 0
        count(proof, outcome, outcome.days)


STARTS = (
    datetime(2026, 3, 27, tzinfo=UTC),  # Summer time begins in Europe.
    datetime(2026, 10, 30, tzinfo=UTC),  # And ends in America.
    datetime(2038, 1, 17, tzinfo=UTC),  # Seconds since 1970 no longer fit 31 bits.
    datetime(2028, 2, 27, tzinfo=UTC),
)


@pytest.mark.promise("B10", "F")
@pytest.mark.parametrize("start", STARTS, ids=lambda start: f"{start:%Y-%m-%d}")
def test_clocks_that_jump(proof: Evidence, start: datetime) -> None:
    """A change that was judged counts as one attempt."""
    for seed in range(proof.number(100, 1)):
        plan = Plan(orders=30, skew=timedelta(minutes=5), jumps=4, start=start)
        outcome = Simulation(proof.seed(7000 + seed), plan).run()
        count(proof, outcome, outcome.changes)


@pytest.mark.promise("F")
def test_the_same_seed_gives_the_same_trace(proof: Evidence) -> None:
    """On any hash seed, in another process, and not for another seed."""
    script, traces = Path(__file__).with_name("trace.py"), {}
    for seed in range(proof.number(100, 2)):
        here = Simulation(proof.seed(seed), Plan(orders=15)).run()
        proof.attempt(here.steps)
        traces[seed] = here.trace
        if seed < 10:
            environment = {**os.environ, "PYTHONHASHSEED": str(seed * 31 + 5), "PYTHONPATH": os.pathsep.join(sys.path)}
            done = subprocess.run(
                [sys.executable, script, str(seed)], env=environment, capture_output=True, text=True, check=True
            )
            assert done.stdout.strip() == here.trace
    assert len(set(traces.values())) == len(traces)


class DeafToTimers(Simulation):
    """No timer ever fires."""

    async def _fire(self, core: Any) -> None:
        await asyncio.sleep(10**9)


class TakesRepeatsForNews(Simulation):
    """A provider that gives money back again for each refund that it hears of twice, and is told of each twice."""

    async def refund(self, event: Any) -> None:
        await super().refund(event)
        self.given_back[self.cores[0].ids.uuid()] = event.amount


def several(kind: type[Simulation]) -> None:
    for seed in range(3):
        kind(seed, Plan(orders=30)).run()


@pytest.mark.parametrize("twin", [DeafToTimers, TakesRepeatsForNews])
def test_a_run_that_breaks_a_promise_is_found(twin: type[Simulation], monkeypatch: pytest.MonkeyPatch) -> None:
    from pasar.apps.lab import simulation

    acts = {kind: getattr(twin, act.__name__) for kind, act in simulation._ACTS.items()}
    monkeypatch.setattr(simulation, "_ACTS", acts)
    with pytest.raises(Broken):
        several(twin)


def test_time_passes_without_waiting_and_a_standstill_is_told() -> None:
    loop = VirtualLoop()

    async def sleep() -> float:
        await asyncio.gather(asyncio.sleep(3600), asyncio.sleep(86_400))
        return asyncio.get_running_loop().time()

    assert run(sleep(), loop) == pytest.approx(86_400)
    stuck = VirtualLoop()
    with pytest.raises(Stalled):
        stuck.run_until_complete(stuck.create_future())
    stuck.close()

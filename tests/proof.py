"""Tests as checkers: one that is marked `promise("A1")` writes a result file with what it counted by the `proof`
fixture, or one attempt where it counted nothing. A skipped or broken one says so in its file."""

from collections.abc import Iterator
from typing import Any

import pytest

from pasar.apps.lab.evidence import Evidence, write

_evidence = pytest.StashKey[Evidence]()
_failed = pytest.StashKey[str]()


def of(item: pytest.Item) -> Evidence:
    """The evidence of a test, made once."""
    if _evidence not in item.stash:
        promises = [id for mark in item.iter_markers("promise") for id in mark.args]
        name, _, case = item.nodeid.partition("[")
        item.stash[_evidence] = Evidence(name, tuple(dict.fromkeys(promises)), case=case and f"[{case}")
    return item.stash[_evidence]


@pytest.fixture
def proof(request: pytest.FixtureRequest) -> Evidence:
    """What this test counts while it runs."""
    return of(request.node)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.outcome != "passed":
        told = (
            report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        )  # Of a skip: place, reason.
        lines = str(told).strip().splitlines() or [report.outcome]
        item.stash[_failed] = f"{report.outcome}: {lines[-1]}"[:300]
    if report.when == "teardown" and any(item.iter_markers("promise")):
        evidence = of(item)
        why = item.stash.get(_failed, "")
        if not evidence.attempts and not why:
            evidence.attempt()
        write(evidence.result(not why, why))
    return report  # type: ignore[return-value]

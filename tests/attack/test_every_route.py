"""Every operation of the API document, with valid and with bad input, alone and linked, as people of several roles."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from journeys.town import Town, make_town
from pasar.apps.lab.evidence import Evidence, scale
from postgres import TestDatabase, TestServer

if TYPE_CHECKING:
    from attack.fuzz import Report

pytestmark = pytest.mark.slow

ALL_NIGHT = ("examples", "coverage", "fuzzing", "stateful")
NIGHT_S = 60


@pytest.fixture(scope="module")
def lawless_town(
    postgres_server: TestServer, template_database: TestDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Town]:
    """One of its own: who may do everything, does everything."""
    with make_town(postgres_server, template_database, tmp_path_factory.mktemp("lawless")) as made:
        yield made


def judge(report: "Report", proof: Evidence) -> None:
    proof.attempt(sum(report.statuses.values()))
    told = "\n\n".join(f"{kind}\n{detail}" for kind, detail in sorted(report.failures.items()))
    assert not report.failures, told
    assert report.errors == []
    assert not [status for status in report.statuses if status >= 500]


@pytest.mark.promise("D1")
def test_every_operation_answers_as_the_document_says(lawless_town: Town, proof: Evidence) -> None:
    from attack.fuzz import fuzz  # Takes seconds, which only these tests have.

    report = fuzz(lawless_town, "admin", phases=("fuzzing",), examples=2)
    judge(report, proof)
    assert report.called == report.offered, "no route is left out"
    assert report.statuses[200] > sum(report.statuses.values()) / 10, report.statuses


@pytest.mark.timeout(900)
@pytest.mark.parametrize("role", ["guest", "member", "seller", "warehouse", "finance", "admin"])
@pytest.mark.promise("D1")
def test_people_of_every_role_break_nothing(lawless_town: Town, role: str, proof: Evidence) -> None:
    """By night all that the time allows; by day a few operations in each way, others for each role."""
    from attack.fuzz import fuzz

    if scale() >= 1:
        report = fuzz(lawless_town, role, phases=ALL_NIGHT, examples=20, seconds=NIGHT_S)
        assert sum(report.statuses.values()) > 200
    else:
        report = fuzz(lawless_town, role, phases=ALL_NIGHT, examples=2, share=12)
        assert len(report.called) > 5
    judge(report, proof)


def test_after_all_that_the_books_are_clean(lawless_town: Town) -> None:
    done = lawless_town.command("verify")
    assert done.returncode == 0, done.stdout + done.stderr

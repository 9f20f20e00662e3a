"""The promises page says what results say, and nothing else: a missing, failed, old or foreign result is unproven."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from pasar.apps.lab import evidence
from pasar.apps.lab.catalogue import PROMISES
from pasar.apps.lab.evidence import Result
from pasar.apps.lab.promises import Promise, page, stand, write_page

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PROMISE = Promise("A1", "Nothing is sold twice", 100, ("test_bursts",))
GOOD = Result(
    checker="a.py::test_bursts", promises=("A1",), attempts=120, passed=True, commit="c", tree="t", at=NOW, seconds=3
)  # fmt: skip


def judged(*results: Result) -> str:
    return stand(PROMISE, results, now=NOW, code="t").state


def test_enough_attempts_on_this_code_show_it() -> None:
    assert judged(GOOD) == "shown"
    assert judged(replace(GOOD, attempts=99)) == "in part: 99 of 100"


def test_a_drill_has_to_last() -> None:
    hour = PROMISE._replace(seconds=3_600)
    states = [stand(hour, [replace(GOOD, seconds=lasted)], now=NOW, code="t").state for lasted in (3_540, 3_600)]
    assert states == ["in part: 59 of 60 minutes", "shown"]


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        ((), "no result"),
        ((replace(GOOD, passed=False, why="sold twice"),), "sold twice"),
        ((replace(GOOD, tree="other"),), "the code changed since"),
        ((replace(GOOD, at=NOW - timedelta(days=8)),), "older than seven days"),
        ((replace(GOOD, checker="a.py::test_else"),), "did not run: test_bursts"),
        ((GOOD, replace(GOOD, checker="b", passed=False, why="skipped: no disk")), "skipped: no disk"),
    ],
    ids=["none", "failed", "other code", "old", "another checker", "one skipped"],
)
def test_anything_else_is_unproven(results: tuple[Result, ...], reason: str) -> None:
    state = judged(*results)
    assert "unproven" in state
    assert reason in state


BEFORE, AFTER = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
FAILED = replace(GOOD, passed=False, why="lost", scale="1")


def test_a_failure_voids_what_its_checker_showed_before_at_whatever_scale() -> None:
    assert "unproven" in judged(replace(GOOD, at=BEFORE), FAILED)
    assert judged(replace(GOOD, at=BEFORE, attempts=900), FAILED, replace(GOOD, at=AFTER, attempts=7)) == (
        "in part: 7 of 100"
    )
    assert judged(replace(GOOD, at=AFTER, checker="other"), FAILED).startswith("**unproven**")


def test_a_failure_that_was_followed_by_a_success_is_told_beside_it() -> None:
    found = stand(
        PROMISE, [FAILED, replace(FAILED, tree="other", at=BEFORE), replace(GOOD, at=AFTER)], now=NOW, code="t"
    )
    assert (found.state, found.failed) == ("shown", (FAILED,))
    assert "| shown; failed before: a.py::test_bursts: lost |" in page([found], now=NOW, code="t")
    assert "1 shown" in page([found], now=NOW, code="t")


def test_a_later_success_does_not_replace_the_file_of_a_failure(tmp_path: Path) -> None:
    for result in (FAILED, replace(FAILED, at=AFTER), replace(GOOD, scale="1"), replace(GOOD, scale="1", at=AFTER)):
        evidence.write(result, tmp_path)
    assert sorted((result.passed, result.at) for result in evidence.read(tmp_path)) == [
        (False, NOW),
        (False, AFTER),
        (True, AFTER),
    ]


def test_the_page_is_made_from_files_and_keeps_them(tmp_path: Path) -> None:
    results, docs = tmp_path / "results", tmp_path / "docs"
    (docs / "evidence").mkdir(parents=True)
    evidence.write(replace(GOOD, tree=evidence.tree(), faults={"kill": 3}, seeds=(7,)), results)
    write_page(docs, results, (PROMISE,), now=NOW)
    written = (docs / "promises.md").read_text()
    assert "| A1 | Nothing is sold twice | shown | 120 | 3 kill | 7 | c | 2026-03-01 |" in written
    assert [result.checker for result in evidence.read(docs / "evidence")] == [GOOD.checker]
    failure = replace(FAILED, tree=evidence.tree(), at=BEFORE)
    evidence.write(failure, results)
    write_page(docs, results, (PROMISE,), now=NOW)
    write_page(docs, tmp_path / "none", (PROMISE,), now=NOW)
    assert "shown; failed before" in (docs / "promises.md").read_text()
    assert failure in evidence.read(docs / "evidence")
    assert page([stand(PROMISE, [], now=NOW, code="t")], now=NOW, code="t").count("unproven") == 2


def break_off() -> None:
    with evidence.recorded("lab bad", "A1") as bad:
        bad.attempt(2)
        raise AssertionError("sold twice")


def test_what_runs_is_recorded_also_when_it_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(evidence.FOLDER, str(tmp_path))
    with evidence.recorded("lab good", "A1") as good:
        good.attempt(5)
        good.fault("kill")
    with pytest.raises(AssertionError):
        break_off()
    found = {result.checker: result for result in evidence.read(tmp_path)}
    assert (found["lab good"].attempts, found["lab good"].passed, found["lab good"].faults) == (5, True, {"kill": 1})
    assert (found["lab bad"].attempts, found["lab bad"].passed) == (2, False)
    assert "sold twice" in found["lab bad"].why


def test_the_hash_of_the_code_changes_with_what_it_does_and_not_with_a_comment(tmp_path: Path) -> None:
    (tmp_path / "pasar").mkdir()
    file = tmp_path / "pasar" / "a.py"
    file.write_text("x = 1\n")
    before = evidence.tree(tmp_path)
    file.write_text("x = 2\n")
    evidence.tree.cache_clear()
    assert evidence.tree(tmp_path) != before
    file.write_text("x = 1  # The one.\n")
    evidence.tree.cache_clear()
    assert evidence.tree(tmp_path) == before


def test_each_promise_is_listed_once() -> None:
    ids = [promise.id for promise in PROMISES]
    assert len(ids) == len(set(ids))

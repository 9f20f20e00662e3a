"""What an operator types against a staging deployment."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from journeys.town import Town
from pasar.apps.lab import evidence
from pasar.apps.lab.cli import app
from postgres import TestDatabase

pytestmark = pytest.mark.slow


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(evidence.FOLDER, str(tmp_path))
    return tmp_path


def typed(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, evidence.FOLDER: str(folder), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "pasar.apps.cli", "lab", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize(
    ("words", "promise"),
    [
        (("attack", "units", "--attempts", "64"), "A1"),
        (("attack", "coupons", "--attempts", "64"), "A2"),
        (("attack", "captures", "--attempts", "1"), "A8"),
        (("matrix",), "D2"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else None,
)
def test_a_deployment_is_attacked_and_a_result_is_written(
    town: Town, results: Path, words: tuple[str, ...], promise: str
) -> None:
    where = ["--against", town.api, *(["--simulators", town.simulators] if words[0] == "attack" else [])]
    app([*words, *where], result_action="return_value")
    (result,) = evidence.read(results)
    assert result.passed
    assert promise in result.promises
    assert result.attempts > 0


@pytest.mark.parametrize("what", ["requests", "share"])
def test_load_ends_with_a_verdict(town: Town, results: Path, what: str) -> None:
    """Every answer is a right one, or a refusal that says when to come again; a busy machine is no place to judge how
    many are good."""
    where = ["--against", town.api, "--simulators", town.simulators, "--times", "4", "--seconds", "2"]
    with suppress(SystemExit):
        app(["load", what, *where], result_action="return_value")
    (result,) = evidence.read(results)
    assert result.attempts > 10
    assert result.passed or "Collapse" in result.why


def test_a_scratch_database_is_judged(module_database: TestDatabase, results: Path) -> None:
    for words in (
        ("history", module_database.app_dsn, "--operations", "300"),
        ("bank", module_database.app_dsn, "--payments", "300"),
    ):
        app(words, result_action="return_value")
    assert {result.checker for result in evidence.read(results)} == {"lab history", "lab bank"}
    assert all(result.passed for result in evidence.read(results))


def test_a_deployment_that_is_not_there_and_corpora_that_are_not_there_are_said(tmp_path: Path) -> None:
    done = typed(tmp_path, "corpora", str(tmp_path), "--against", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "holds no corpora" in " ".join(done.stderr.split())
    done = typed(tmp_path, "attack", "units", "--against", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert [result.passed for result in evidence.read(tmp_path)] == [False]

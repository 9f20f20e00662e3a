"""The judges of drills find what was lost, doubled, or grew; plans and processes are told apart."""

import os
import signal
import subprocess
import sys

import pytest

from pasar.apps.lab.drills import DRILLS, compare
from pasar.apps.lab.evidence import Evidence
from pasar.apps.lab.living import HOLDINGS, Held, judge_growth
from pasar.apps.lab.nemesis import below, command_of, signal_all
from pasar.apps.lab.target import NotAsExpected


def test_what_was_accepted_and_is_not_there_is_found() -> None:
    compare({1, 2}, {1: 1, 2: 1, 3: 1})
    with pytest.raises(NotAsExpected, match="accepted and lost"):
        compare({1, 2}, {1: 1})
    with pytest.raises(NotAsExpected, match="doubled"):
        compare({1, 2}, {1: 1, 2: 2})


def samples(growth: int, grows: str = "cli serve", held: str = "MiB") -> list[Held]:
    return [
        {
            part: {what: 100 + growth * number * ((part, what) == (grows, held)) for what in kinds}
            for part, kinds in HOLDINGS.items()
        }
        for number in range(40)
    ]


def test_who_grows_is_found() -> None:
    judge_growth(samples(0), Evidence("soak", ()))
    for part, kinds in HOLDINGS.items():
        for what in kinds:
            with pytest.raises(NotAsExpected, match=f"{part} grew from .* {what}"):
                judge_growth(samples(5, part, what), Evidence("soak", ()))
    with pytest.raises(NotAsExpected, match="was not there"):
        judge_growth([{}] * 40, Evidence("soak", ()))


def test_processes_are_found_by_what_they_run() -> None:
    assert "pytest" in command_of(os.getpid()) or "python" in command_of(os.getpid())
    assert os.getpid() in list(below(os.getppid()))


def test_a_process_that_has_ended_by_itself_does_not_keep_others_alive() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as living:
        signal_all([ended.pid, living.pid], signal.SIGKILL)
        assert living.wait(10) == -signal.SIGKILL


def test_every_drill_is_evidence_for_a_promise() -> None:
    assert all(drill.promises for drill in DRILLS.values())

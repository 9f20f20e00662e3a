"""Coverage-guided inputs for every parser that reads what strangers write: only declared refusals, never another error.
Atheris runs in a process of its own, as it does not come back."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pasar.apps.lab.evidence import Evidence, scale

SCRIPT = Path(__file__).with_name("fuzz.py")
EACH = ("money", "codes", "cursors", "orders", "imports", "notices", "tokens")
TARGETS = EACH if scale() >= 1 else ("every",)
RUNS = 500_000


def fuzz(target: str, runs: int, seed: int) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [sys.executable, str(SCRIPT), target, f"-runs={runs}", f"-seed={seed}", "-max_len=300", "-timeout=20"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.promise("D12")
@pytest.mark.parametrize("target", TARGETS)
def test_parsers_refuse_as_declared(target: str, proof: Evidence, tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    done = fuzz(target, proof.number(RUNS, 2_000), proof.seed(17))
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    (runs,) = re.findall(r"Done (\d+) ", done.stderr)
    proof.attempt(int(runs))


@pytest.mark.slow
def test_a_parser_that_breaks_is_found() -> None:
    """One that raises another error than it says, for inputs that only guidance finds."""
    pytest.importorskip("atheris")
    done = fuzz("broken", 200_000, 3)
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stdout + done.stderr

"""Every twin still fits the product, names a test that there is, and breaks something that is promised."""

import subprocess
from pathlib import Path

import pytest

from pasar.apps.lab.catalogue import PROMISES

ROOT = Path(__file__).resolve().parents[2]
PATCHES = sorted(Path(__file__).parent.glob("*.patch"))


def test_there_are_enough() -> None:
    assert len(PATCHES) >= 15


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_a_twin_fits_and_names_the_test_that_finds_it(patch: Path) -> None:
    head = dict(line.split(": ", 1) for line in patch.read_text().split("\n\n", 1)[0].splitlines())
    assert head["Promise"] in {promise.id for promise in PROMISES}
    file, _, name = head["Test"].partition("::")
    assert f"def {name}(" in (ROOT / file).read_text()
    done = subprocess.run(
        ["patch", "-p1", "--dry-run", "--force", "-i", str(patch)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

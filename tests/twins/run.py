"""`python tests/twins/run.py [NAME…]`: applies each twin, a known-bad change of the product, to a copy of it and runs
the test that must find it. A twin that is not found says that the test, or the promise, is worth nothing; so does one
that only keeps the test from running."""

import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from pasar.apps.lab.evidence import FOLDER, SCALE, SMALL, folder, recorded  # noqa: E402
from twins.verdict import FILE  # noqa: E402

TWINS = Path(__file__).parent
AT_ONCE = 2
TIMEOUT_S = 300


class Twin(NamedTuple):
    name: str
    what: str
    promise: str
    test: str
    patch: Path


class Missed(AssertionError):
    """Twins that no test found."""


class Verdict(NamedTuple):
    found: bool
    how: str
    seconds: float


def twins(names: list[str]) -> list[Twin]:
    return [read(file) for file in sorted(TWINS.glob("*.patch")) if not names or file.stem in names]


def read(file: Path) -> Twin:
    """A patch begins with what it is, the promise that it breaks, and the test that must find it."""
    head = dict(line.split(": ", 1) for line in file.read_text().split("\n\n", 1)[0].splitlines())
    return Twin(file.stem, head["Twin"], head["Promise"], head["Test"], file)


async def run(command: list[str], where: Path, **more: str) -> tuple[int, str]:
    path = os.pathsep.join((str(where / "src"), str(where / "tests")))
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=where,
        env={**os.environ, "PYTHONPATH": path, **more},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        return -1, f"no end within {TIMEOUT_S} s"
    return process.returncode or 0, output.decode(errors="replace")


def copy(where: Path) -> None:
    where.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, where / name, ignore=ignored)
    for name in ("pyproject.toml", "requirements.lock", "README.md", "Makefile"):
        shutil.copy(ROOT / name, where)


async def test(where: Path, *tests: str) -> tuple[int, list[dict[str, str]], str]:
    """Status of pytest, how each test ended, and what was printed."""
    file = where / "verdict.json"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "twins.verdict", *tests]
    small = {FILE: str(file), FOLDER: str(where / "results"), SCALE: SMALL}  # What is found by night alone is missed.
    status, told = await run(command, where, **small)
    ended = json.loads(file.read_text()) if file.exists() else []
    shutil.rmtree(where)
    return status, ended, told


async def judge(twin: Twin, place: Path) -> Verdict:
    """Found is a twin when the named test ran, and failed because of what it checks."""
    began = time.monotonic()
    where = place / twin.name
    copy(where)
    status, told = await run(["patch", "-p1", "--quiet", "-i", str(twin.patch)], where)
    if status:
        return Verdict(False, f"does not apply: {told.strip()}", time.monotonic() - began)
    status, ended, told = await test(where, twin.test)
    last = ended[-1] if ended else {"test": "", "how": "did not run", "told": told.strip()[-300:]}
    found = status == 1 and last["how"] == "judged" and last["test"].partition("[")[0] == twin.test
    return Verdict(found, last["told"] if found else f"{last['how']}: {last['told']}", time.monotonic() - began)


async def controls(chosen: list[Twin], place: Path) -> str:
    """The same tests on the product as it is: they pass, or what they find would mean nothing."""
    copy(place / "control")
    status, _, told = await test(place / "control", *dict.fromkeys(twin.test for twin in chosen))
    return "" if status == 0 else told[-3000:]


async def main(names: list[str]) -> int:
    console, chosen = Console(highlight=False), twins(names)
    if not chosen:
        console.print(f"There is no such twin; there are: {', '.join(twin.name for twin in twins([]))}")
        return 1
    gate = asyncio.Semaphore(AT_ONCE)
    with tempfile.TemporaryDirectory(prefix="pasar-twins-") as made:
        place = Path(made)
        os.chmod(place, 0o755)

        async def control() -> str:
            async with gate:
                return await controls(chosen, place)

        async def one(twin: Twin) -> Verdict:
            async with gate:
                verdict = await judge(twin, place)
                console.print(f"{'found' if verdict.found else 'MISSED'} {twin.name} ({verdict.seconds:.0f} s)")
                return verdict

        wrong, *verdicts = await asyncio.gather(control(), *(one(twin) for twin in chosen))
    if wrong:
        console.print(f"The tests do not pass without any twin:\n{wrong}", markup=False)
        return 1
    missed = show(console, chosen, verdicts)
    if not names:
        record(chosen, missed)
    return 1 if missed else 0


def show(console: Console, chosen: list[Twin], verdicts: list[Verdict]) -> list[str]:
    """A table of all; the names of those that were missed."""
    table = Table("twin", "what is wrong with it", "breaks", "found", "by", "s", box=None, pad_edge=False)
    for twin, verdict in zip(chosen, verdicts, strict=True):
        told = "yes" if verdict.found else "NO"
        table.add_row(twin.name, twin.what, twin.promise, told, twin.test.rpartition("::")[2], f"{verdict.seconds:.0f}")
    console.print(table)
    missed = [twin.name for twin, verdict in zip(chosen, verdicts, strict=True) if not verdict.found]
    for twin, verdict in zip(chosen, verdicts, strict=True):
        if not verdict.found:
            console.print(f"{twin.name}: {verdict.how}", markup=False)
    console.print(f"{len(chosen) - len(missed)} of {len(chosen)} twins were found.")
    return missed


def record(chosen: list[Twin], missed: list[str]) -> None:
    os.environ[FOLDER] = str(folder().absolute())
    with contextlib.suppress(Missed), recorded("twins", "F") as evidence:
        evidence.figure("twins found", f"{len(chosen) - len(missed)} of {len(chosen)}")
        evidence.attempt(len(chosen))
        evidence.fault("twins", len(chosen) - len(missed))
        if missed:
            raise Missed(", ".join(missed))


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))

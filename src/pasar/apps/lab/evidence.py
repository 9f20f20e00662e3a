"""Result files: what a checker tried, counted while it ran, and under which code. The promises page is made of these
and of nothing else."""

import ast
import hashlib
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from pasar.kernel.clock import SystemClock
from pasar.kernel.messages import Value

FOLDER = "LAB_EVIDENCE"
SCALE = "LAB_SCALE"
SMALL = "0.01"
SOURCES = Path(__file__).resolve().parents[3]
_SLUG = re.compile(r"[^a-zA-Z0-9]+")


class Result(Value):
    """One run of one checker. `tree` is the hash of all product code that it ran on; `scale` is the share of the
    nightly numbers that it aimed at; `faults` are counted by kind; `figures` are for people; `counted` has the attempts
    of promises that count something of their own, instead of `attempts`."""

    checker: str
    promises: tuple[str, ...]
    attempts: int
    passed: bool
    commit: str
    tree: str
    at: datetime
    seconds: int
    scale: str = SMALL
    case: str = ""
    seeds: tuple[int, ...] = ()
    faults: dict[str, int] = {}
    figures: dict[str, str] = {}
    counted: dict[str, int] = {}
    why: str = ""
    """Why it did not pass, or was skipped."""

    def attempts_for(self, promise: str) -> int:
        return self.counted.get(promise, self.attempts)


class Evidence:
    """What a checker counts while it runs."""

    def __init__(self, checker: str, promises: tuple[str, ...], *, case: str = "") -> None:
        self.checker, self.promises, self.case = checker, promises, case
        self.attempts, self.faults = 0, Counter[str]()
        self.seeds: list[int] = []
        self.figures: dict[str, str] = {}
        self.counted = Counter[str]()
        self._began = time.monotonic()

    def attempt(self, number: int = 1, *, of: str = "") -> None:
        """So much was tried, whatever came of it. `of`: a promise that counts this and nothing else."""
        if of:
            self.counted[of] += number
        else:
            self.attempts += number

    def fault(self, kind: str, number: int = 1) -> None:
        """So many faults of a kind were put in."""
        self.faults[kind] += number

    def seed(self, seed: int) -> int:
        """Remember a seed that the run depends on; returns it."""
        if seed not in self.seeds:
            self.seeds.append(seed)
        return seed

    def figure(self, name: str, value: object) -> None:
        self.figures[name] = str(value)

    def number(self, full: int, least: int = 1) -> int:
        """How many of the nightly number to try here."""
        return max(least, int(full * scale()))

    def result(self, passed: bool, why: str = "") -> Result:
        return Result(
            checker=self.checker,
            promises=self.promises,
            attempts=self.attempts,
            passed=passed,
            commit=commit(),
            tree=tree(),
            at=SystemClock().now().replace(microsecond=0),
            seconds=round(time.monotonic() - self._began),
            scale=str(scale()),
            case=self.case,
            seeds=tuple(self.seeds),
            faults=dict(self.faults),
            figures=self.figures,
            counted=dict(self.counted),
            why=why,
        )


def scale() -> Decimal:
    """The share of the nightly numbers to aim at: 1 in `make night`."""
    return Decimal(os.environ.get(SCALE, SMALL))


@contextmanager
def recorded(checker: str, *promises: str) -> Iterator[Evidence]:
    """Count, and write the result at the end, whether it came well or not."""
    evidence = Evidence(checker, promises)
    try:
        yield evidence
    except BaseException as error:
        write(evidence.result(False, f"{type(error).__name__}: {error}"[:500]))
        raise
    write(evidence.result(True))


def folder() -> Path:
    """Where results are written: the folder that LAB_EVIDENCE names, else `.evidence` where the command runs."""
    return Path(os.environ.get(FOLDER, ".evidence"))


def write(result: Result, into: Path | None = None) -> Path:
    """One file per checker, case and scale: a later run replaces it. But nothing replaces a run that did not pass."""
    failed = "" if result.passed else f" {result.at:%Y%m%d %H%M%S}"
    name = _SLUG.sub("-", f"{result.checker} {result.case} {result.scale}{failed}").strip("-")[-150:]
    target = (into or folder()) / f"{name}.json"
    _put(target, msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    return target


def _put(target: Path, content: bytes) -> None:
    """Whole or not at all, as others may read it meanwhile."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(target)


def read(*folders: Path) -> list[Result]:
    """All results in the folders. Raises `msgspec.MsgspecError` on a file that is none."""
    found = []
    for place in folders:
        for file in sorted(place.glob("*.json")):
            found.append(msgspec.json.decode(file.read_bytes(), type=Result))
    return found


@cache
def tree(sources: Path = SOURCES) -> str:
    """The hash of the product's code: path and content of each file, and of nothing else. Of Python what the compiler
    sees counts: comments and layout change nothing that a checker could find."""
    files = {
        file.relative_to(sources).as_posix(): file.read_bytes()
        for file in sorted(path for path in (sources / "pasar").rglob("*") if path.is_file())
        if "__pycache__" not in file.parts
    }
    # To read all code takes seconds, which not each of many processes needs to spend.
    known = folder() / f"tree-{_hash(files)}"
    if not known.exists():
        compiled = {name: _compiled(text) if name.endswith(".py") else text for name, text in files.items()}
        _put(known, _hash(compiled).encode())
    return known.read_text()


def _hash(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()[:16]


def _compiled(text: bytes) -> bytes:
    return ast.dump(ast.parse(text)).encode()


@cache
def commit() -> str:
    """The commit that is checked out, with a `+` where the code differs from it; "unknown" without git."""

    def git(*arguments: str) -> str:
        done: Any = subprocess.run(  # noqa: S603 the words are ours
            ["git", *arguments],  # noqa: S607 whichever git the operator has
            cwd=SOURCES,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        found = git("rev-parse", "--short=10", "HEAD")
        return f"{found}{'+' if git('status', '--porcelain', '--', '.') else ''}" if found else "unknown"
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"

"""What is promised, and the page that says of each promise which evidence there is. The page is made from result files
only: what was skipped, failed, grew old or ran on other code shows as unproven."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby, takewhile
from pathlib import Path
from typing import NamedTuple

from .evidence import Result, read, tree, write

FRESH = timedelta(days=7)
UNPROVEN = "**unproven**"


class Promise(NamedTuple):
    """`attempts`: how many a night has to try; `checkers`: which must have passed, by the end of their names;
    `seconds`: how long one of them must have gone on."""

    id: str
    text: str
    attempts: int
    checkers: tuple[str, ...] = ()
    seconds: int = 0


class Standing(NamedTuple):
    """What the results say of a promise. `state` is shown, in part, or unproven with the reason. `failed`: runs on this
    code that did not pass, though the same checker passed since."""

    promise: Promise
    state: str
    attempts: int
    results: tuple[Result, ...]
    failed: tuple[Result, ...] = ()


def stand(promise: Promise, results: Sequence[Result], *, now: datetime, code: str) -> Standing:
    """Judge one promise by what each of its checkers showed since it last failed."""
    named = [result for result in results if promise.id in result.promises]
    own = _counted(named, code)
    failed = {
        (result.checker, result.case, result.at): result
        for result in named
        if not result.passed and result.tree == code and result not in own
    }
    attempts = sum(result.attempts_for(promise.id) for result in own if not _fault(result, now, code))
    faults = [fault for result in own if (fault := _fault(result, now, code))]
    missing = [name for name in promise.checkers if not any(result.checker.endswith(name) for result in own)]
    if not own:
        state = f"{UNPROVEN}: no result"
    elif faults:
        state = f"{UNPROVEN}: {'; '.join(sorted(set(faults)))}"
    elif missing:
        state = f"{UNPROVEN}: did not run: {', '.join(missing)}"
    else:
        state = _part(promise, attempts, max(result.seconds for result in own)) or "shown"
    return Standing(promise, state, attempts, tuple(own), tuple(failed.values()))


def _part(promise: Promise, attempts: int, seconds: int) -> str:
    """What is missing in number or in time."""
    if attempts < promise.attempts:
        return f"in part: {attempts:,} of {promise.attempts:,}"
    if seconds < promise.seconds:
        return f"in part: {seconds // 60} of {promise.seconds // 60} minutes"
    return ""


def _fault(result: Result, now: datetime, code: str) -> str:
    if not result.passed:
        return f"{result.checker}{result.case}: {result.why or 'failed'}"
    if result.tree != code:
        return "the code changed since"
    if now - result.at > FRESH:
        return "older than seven days"
    return ""


def _counted(results: Sequence[Result], code: str) -> list[Result]:
    """One run of each checker and case. What ran on this code goes before what did not. A run that did not pass voids
    all before it; of those that passed since, the one with most attempts counts, and the newer of two."""

    def name(result: Result) -> tuple[str, str]:
        return result.checker, result.case

    counted = []
    for _, runs in groupby(sorted(results, key=name), name):
        every = list(runs)
        group = sorted(
            [result for result in every if result.tree == code] or every,
            key=lambda result: (result.at, not result.passed),
        )
        since = list(takewhile(lambda result: result.passed, reversed(group)))
        counted.append(max(since, key=lambda result: result.attempts) if since else group[-1])
    return counted


def page(standings: Iterable[Standing], *, now: datetime, code: str) -> str:
    """The promises page as Markdown."""
    standings = list(standings)
    shown = sum(one.state == "shown" for one in standings)
    partly = sum(one.state.startswith("in part") for one in standings)
    lines = [
        "# Promises",
        "",
        "Made by `make promises` from the checkers' result files ([evidence/](evidence/)), never by hand. *Shown*:",
        "every checker passed on this very code within seven days, with the number of attempts that a night asks for;",
        "a drill also has to last. *In part*: the same with less of that. *Unproven*: all else. A run that fails voids",
        "what its checker showed before; where it passed again since, the failure is told beside the state.",
        "",
        f"Code {code}, {now:%Y-%m-%d}: {shown} shown, {partly} in part, {len(standings) - shown - partly} unproven.",
        "",
        "| | Promise | State | Attempts | Faults | Seeds | Commit | Date |",
        "| --- | --- | --- | ---: | --- | --- | --- | --- |",
    ]
    lines += [_row(one) for one in standings]
    lines += [
        "",
        "## Checkers",
        "",
        "| Checker | Promises | Attempts | Seconds | Figures |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    used: dict[tuple[str, str], Result] = {}
    for one in standings:
        used.update(((result.checker, result.case), result) for result in one.results)
    lines += [_checker(result) for _, result in sorted(used.items())]
    return "\n".join(lines) + "\n"


def _row(one: Standing) -> str:
    faults: dict[str, int] = {}
    for result in one.results:
        for kind, number in result.faults.items():
            faults[kind] = faults.get(kind, 0) + number
    told = ", ".join(f"{number:,} {kind}" for kind, number in sorted(faults.items()))
    seeds = sorted({seed for result in one.results for seed in result.seeds})
    short = ", ".join(map(str, seeds[:6])) + (f" … ({len(seeds)})" if len(seeds) > 6 else "")
    commits = ", ".join(sorted({result.commit for result in one.results}))
    date = f"{min(result.at for result in one.results):%Y-%m-%d}" if one.results else ""
    again = "".join(f"; failed before: {result.checker}{result.case}: {result.why}" for result in one.failed)
    cells = (one.promise.id, one.promise.text, one.state + again, f"{one.attempts:,}", told, short, commits, date)
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _checker(result: Result) -> str:
    figures = ", ".join(f"{name}: {value}" for name, value in result.figures.items())
    cells = (
        f"`{result.checker}{result.case}`",
        ", ".join(result.promises),
        f"{result.attempts:,}",
        result.seconds,
        figures,
    )
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def write_page(docs: Path, results: Path, promises: Sequence[Promise], *, now: datetime) -> list[Standing]:
    """Write `promises.md` and, beside it, the result files that it was made from."""
    kept, code = docs / "evidence", tree()
    found = read(*(place for place in (results, kept) if place.is_dir()))
    standings = [stand(promise, found, now=now, code=code) for promise in promises]
    for old in kept.glob("*.json"):
        old.unlink()
    for one in standings:
        for result in (*one.results, *one.failed):
            write(result, kept)
    (docs / "promises.md").write_text(page(standings, now=now, code=code), encoding="utf-8")
    return standings

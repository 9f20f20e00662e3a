"""Which contexts meet, and how: read from the imports of the code and from what listeners are wired to."""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from pasar.kernel.messages import Command, Event, context_of
from pasar.kernel.module import Module

Meetings = dict[tuple[str, str], set[str]]
"""(who, whom) → the names of what passes between them."""


def asks(sources: Path) -> Meetings:
    """Who imports whose facade."""
    found: Meetings = defaultdict(set)
    for who, file in _files(sources):
        for whom, kind, name in _imports(file, who):
            if kind == "facade":
                found[who, whom].add(name)
    return found


def values(sources: Path) -> Meetings:
    """Whose contract uses values of whose contract."""
    found: Meetings = defaultdict(set)
    for who, file in _files(sources):
        if file.name == "contract.py" or file.parent.name == "contract":
            for whom, kind, name in _imports(file, who):
                if kind == "contract":
                    found[who, whom].add(name)
    return found


def commands(sources: Path) -> Meetings:
    """Which process sends whom what."""
    found: Meetings = defaultdict(set)
    for file in sorted((sources / "processes").glob("*.py")):
        for whom, kind, name in _imports(file, ""):
            if kind == "contract":
                named = getattr(import_module(f"pasar.contexts.{whom}.contract"), name, None)
                if isinstance(named, type) and issubclass(named, Command):
                    found[file.stem, whom].add(name)
    return found


def heard(modules: Iterable[Module]) -> Meetings:
    """Which context, or process, hears whose events: (the one who tells, the one who hears)."""
    found: Meetings = defaultdict(set)
    for module in modules:
        for part in (*module.views, *module.policies, *module.reactions):
            _note(found, part.on, module.name, own=module.name)
        for process in module.processes:
            _note(found, process.on, process.name, own="")
    return found


def _note(found: Meetings, on: Iterable[type[Event]], listener: str, *, own: str) -> None:
    for event in on:
        teller = context_of(event.__module__)
        if teller != own:
            found[teller, listener].add(event.__name__)


def _files(sources: Path) -> Iterator[tuple[str, Path]]:
    for folder in sorted((sources / "contexts").iterdir()):
        for file in sorted(folder.rglob("*.py")):
            yield folder.name, file


def _imports(file: Path, who: str) -> Iterator[tuple[str, str, str]]:
    """Context, kind of file and name of all that a file takes from other contexts."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or node.level or not node.module:
            continue
        parts = node.module.split(".")
        if parts[:2] != ["pasar", "contexts"] or len(parts) < 3 or parts[2] == who:
            continue
        for alias in node.names:
            if len(parts) == 3:
                yield parts[2], alias.name.partition("_")[0], alias.name
            else:
                yield parts[2], parts[3].partition("_")[0], alias.name


def page(sources: Path, modules: Iterable[Module]) -> str:
    """docs/context-map.md."""
    listed = list(modules)
    owners = [f"| {module.name} | {_owned(module)} |" for module in sorted(listed, key=lambda each: each.name)]
    return "\n".join(
        [
            "# Who asks, tells and commands whom",
            "",
            "Contexts meet in four ways (STYLE.md): they *ask* another's facade, *tell* by events, *book* on common",
            "accounts ([accounts.md](accounts.md)), and processes *do*, by commands.",
            "",
            "## What each context owns",
            "",
            "| Context | Streams and views |",
            "| --- | --- |",
            *owners,
            *_table("Who asks whom", "asks", asks(sources), names=False),
            *_table("Who hears whom", "is heard by", heard(listed)),
            *_table("Which process commands whom", "commands", commands(sources)),
            *_table("Whose contract uses values of whose", "uses of", values(sources)),
            "",
        ]
    )


def _owned(module: Module) -> str:
    streams = [f"`{decider.kind}`" for decider in module.deciders]
    views = [f"view `{view.table}`" for view in module.views]
    processes = [f"process `{process.name}`" for process in module.processes]
    return ", ".join((*streams, *views, *processes)) or "–"


def _table(title: str, verb: str, meetings: Meetings, *, names: bool = True) -> list[str]:
    rows: list[Any] = ["", f"## {title}", "", f"| | {verb} | {'what' if names else ''} |", "| --- | --- | --- |"]
    for (who, whom), what in sorted(meetings.items()):
        rows.append(f"| {who} | {whom} | {', '.join(sorted(what)) if names else ''} |")
    return rows

"""What a replay has done, line by line, so that one that was killed goes on where it stopped.

A line is written before what follows from it begins. What was done and not written is done again with the same
idempotency key, which changes nothing.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from pasar.apps.replay.reader import CannotReplay

NAME = "replay.jsonl"


@dataclass
class Guest:
    """The account of a customer, and the refresh token that speaks for it next."""

    account: str
    refresh: str


@dataclass
class Journal:
    """The state of a replay. Invoices are named by their numbers, orders by the shop's."""

    path: Path
    password: str
    guests: dict[str, Guest] = field(default_factory=dict)
    """By customer, or `invoice <number>` where the file names none."""
    orders: dict[str, str] = field(default_factory=dict)
    payments: dict[str, str] = field(default_factory=dict)
    """Invoice → payment; empty where there was nothing to pay."""
    delivered: set[str] = field(default_factory=set)
    confirmed: set[str] = field(default_factory=set)
    cases: dict[str, str] = field(default_factory=dict)
    refunded: set[str] = field(default_factory=set)
    is_stocked: bool = False
    _file: TextIO | None = None

    @classmethod
    def open(cls, folder: Path, source: Path, limit: int | None, password: str) -> "Journal":
        """The journal of a folder; a new one where there is none. Raises `CannotReplay` when it is of another file."""
        path = folder / NAME
        header = {"file": _fingerprint(source), "limit": limit, "password": password}
        folder.mkdir(parents=True, exist_ok=True)
        entries = _entries(path)
        if entries and {name: entries[0].get(name) for name in ("file", "limit")} != {
            name: header[name] for name in ("file", "limit")
        }:
            raise CannotReplay(
                f"{folder} holds a replay of another file or limit; --fresh starts anew, or choose another folder with"
                " PASAR_DATA_DIR"
            )
        journal = cls(path, entries[0]["password"] if entries else password)
        for entry in entries[1:]:
            journal._apply(**entry)
        path.touch(mode=0o600)
        journal._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 closed by `close`
        if not entries:
            journal._write(header)
        return journal

    def note(self, what: str, name: str = "", value: str = "", more: str = "") -> None:
        self._apply(what, name, value, more)
        self._write({"what": what, "name": name, "value": value, "more": more})

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _write(self, entry: dict[str, Any]) -> None:
        """Handed to the system at once: a killed process loses nothing of it."""
        assert self._file is not None
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def _apply(self, what: str, name: str = "", value: str = "", more: str = "") -> None:
        match what:
            case "guest":
                self.guests[name] = Guest(value, more)
            case "ordered":
                self.orders[name] = value
            case "paid":
                self.payments[name] = value
            case "delivered":
                self.delivered.add(name)
            case "confirmed":
                self.confirmed.add(name)
            case "case":
                self.cases[name] = value
            case "refunded":
                self.refunded.add(name)
            case "stocked":
                self.is_stocked = True
            case _:
                raise CannotReplay(f"{self.path} was written by another version of this program; --fresh starts anew")


def _fingerprint(source: Path) -> str:
    try:
        with open(source, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CannotReplay(f"{source} cannot be read: {error.strerror}") from None


def _entries(path: Path) -> list[dict[str, Any]]:
    """All whole lines; half a one at the end is cut off, as nothing followed from it."""
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        with open(path, "r+b") as file:
            file.truncate(len(whole))
    return [json.loads(line) for line in whole.splitlines()]

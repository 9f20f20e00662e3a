"""Mails as files in the data folder, for development: `mailbox/<year-month>/<id>.<person>.eml`, readable by any mail
program.

They are personal data in clear, so files are 0600 and folders 0700, and an erased person's are deleted. A shop with
real customers uses a mail server.
"""

import asyncio
import os
import re
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from ..gateway import Letter, as_bytes

_NAME = re.compile(r"(?P<id>[0-9a-f-]{36})\.(?P<person>[0-9a-f-]{36})\.eml")


class Found(NamedTuple):
    """A mail in the mailbox: where it lies below the folder, and its size in bytes."""

    path: str
    message: UUID
    person: UUID
    size: int


class LocalMailbox:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, "mailbox")  # Files of one folder gain nothing by more.
        self._made: set[str] = set()
        self._waiting: list[tuple[Letter, asyncio.Future[str]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def send(self, letter: Letter) -> str:
        """A repeat replaces the file by the same. All that come while the thread is busy are its next piece of work:
        handing each over by itself would cost more than writing it."""
        path: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append((letter, path))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._serve())
        return await path

    async def _serve(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting, []
            letters = [letter for letter, _ in taken]
            written = await asyncio.get_running_loop().run_in_executor(self._thread, self._write_all, letters)
            for (_, path), result in zip(taken, written, strict=True):
                if path.done():
                    continue  # Whoever waited has given up; a repeat writes the same again.
                if isinstance(result, Exception):
                    path.set_exception(result)
                else:
                    path.set_result(result)

    def _write_all(self, letters: list[Letter]) -> list[str | Exception]:
        written: list[str | Exception] = []
        for letter in letters:
            try:
                written.append(self._write(letter))
            except Exception as error:  # Each letter's own: the others are written all the same.
                written.append(error)
        return written

    def _write(self, letter: Letter) -> str:
        content = as_bytes(letter)
        month = parsedate_to_datetime(letter.date).strftime("%Y-%m")
        folder = self._folder / month
        if month not in self._made:
            for part in (self._folder, folder):
                part.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._made.add(month)
        name = f"{letter.id}.{letter.person}.eml"
        new = f"{folder}/.{name}.{os.getpid()}"
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except FileNotFoundError:  # Somebody emptied the mailbox.
            self._made.clear()
            folder.mkdir(mode=0o700, parents=True)
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.rename(new, f"{folder}/{name}")
        return f"{month}/{name}"

    async def forget(self, person: UUID) -> int:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._forget, person)

    def _forget(self, person: UUID) -> int:
        files = list(self._folder.glob(f"*/*.{person}.eml")) + list(self._folder.glob(f"*/.*.{person}.eml.*"))
        for file in files:
            file.unlink(missing_ok=True)
        return len(files)


def newest(folder: Path, limit: int, before: str | None = None) -> list[Found]:
    """What lies in a mailbox, newest first (ids begin with the time); `before`: the path where a page ended."""
    found: list[Found] = []
    for month in sorted((entry.name for entry in folder.glob("????-??") if entry.is_dir()), reverse=True):
        for file in sorted((folder / month).glob("*.eml"), reverse=True):
            path, match = f"{month}/{file.name}", _NAME.fullmatch(file.name)
            if match is None or (before is not None and path >= before):
                continue
            if len(found) == limit:
                return found
            found.append(Found(path, UUID(match["id"]), UUID(match["person"]), file.stat().st_size))
    return found


def of_person(folder: Path, person: UUID, limit: int) -> list[tuple[UUID, bytes]]:
    """What one person has in a mailbox, newest first: the mail's id and its bytes."""
    files = sorted(folder.glob(f"????-??/*.{person}.eml"), key=lambda file: file.name, reverse=True)[:limit]
    return [(UUID(file.name[:36]), file.read_bytes()) for file in files if _NAME.fullmatch(file.name)]

"""Files of JSON lines that are only ever appended to, durably. Each line says at its end what it must hash to, so that
a bit that turned on the disk is found; lines of earlier versions say nothing, and are believed."""

import os
import re
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import msgspec

from .master import sync_folder

T = TypeVar("T", bound=msgspec.Struct)
_CHECKED = re.compile(rb'(\{.*),"check":"([0-9a-f]{16})"\}', re.DOTALL)


def append(file: Path, value: msgspec.Struct) -> None:
    """On the disk when this returns. A line that a crash cut short before it stays a line of its own."""
    is_new, told = not file.exists(), msgspec.json.encode(value)
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        size = os.fstat(handle).st_size
        cut_short = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        line = b'%s,"check":"%s"}\n' % (told[:-1], _digest(told))
        os.write(handle, (b"\n" if cut_short else b"") + line)
        os.fsync(handle)
    finally:
        os.close(handle)
    if is_new:
        sync_folder(file.parent)


def read(file: Path, kind: type[T]) -> tuple[list[T], list[int]]:
    """What was written, and the numbers (from 1) of lines that are damaged. A line that a crash cut short is neither:
    nobody was told that it had been written."""
    values, damaged = list[T](), list[int]()
    for number, line in enumerate(file.read_bytes().split(b"\n") if file.exists() else (), 1):
        if not line.endswith(b"}"):
            continue
        checked = _CHECKED.fullmatch(line)
        told = checked[1] + b"}" if checked else line
        try:
            if checked and _digest(told) != checked[2]:
                damaged.append(number)
            else:
                values.append(msgspec.json.decode(told, type=kind))
        except ValueError:  # Malformed, or not in UTF-8.
            damaged.append(number)
    return values, damaged


def _digest(told: bytes) -> bytes:
    return sha256(told).hexdigest()[:16].encode()

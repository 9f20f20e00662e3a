"""Synthetic people and secrets, made of marks that occur nowhere else: after a journey every byte that was written is
searched for them, encoded too. And card numbers, by their check digit."""

import base64
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from ahocorasick_rs import BytesAhoCorasick, MatchKind

from pasar.kernel.free_text import luhn


class Canary(NamedTuple):
    """A value, and what it is."""

    what: str
    value: str


class Found(NamedTuple):
    what: str
    encoding: str
    where: str


class Leaked(AssertionError):
    """A value that may be nowhere was found."""


def spellings(value: str) -> Mapping[str, bytes]:
    """How a value may be written: plainly, in other encodings, as a number, backwards."""
    plain = value.encode()
    found = {
        "plain": plain,
        "utf-16": value.encode("utf-16-le"),
        "hex": plain.hex().encode(),
        "HEX": plain.hex().upper().encode(),
        "url": quote(value, safe="").encode(),
        "json": value.encode("ascii", "backslashreplace"),
        "backwards": value[::-1].encode(),
    }
    for shift in range(3):  # Base64 looks different at each place of a text; the ends depend on the neighbours.
        encoded = base64.b64encode(b"\0" * shift + plain)
        start = (0, 2, 3)[shift]
        found[f"base64+{shift}"] = encoded.rstrip(b"=")[start:-1]
        found[f"base64url+{shift}"] = base64.urlsafe_b64encode(b"\0" * shift + plain).rstrip(b"=")[start:-1]
    if len(digits := re.sub(r"\D", "", value)) >= 9:
        found["digits"] = digits.encode()
    return {name: written for name, written in found.items() if len(written) >= 6}


class Searcher:
    """Looks for canaries in bytes. All spellings are looked for in one pass, whose time does not depend on how many
    there are."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        names: dict[bytes, tuple[str, str]] = {}
        for canary in canaries:
            for encoding, written in spellings(canary.value).items():
                names.setdefault(written, (canary.what, encoding))
        self._names = list(names.values())
        self._spellings = BytesAhoCorasick(names, MatchKind.LeftmostLongest)
        self.bytes = 0

    def search(self, data: bytes, where: str) -> Iterator[Found]:
        """In the bytes, and in what is packed in them."""
        self.bytes += len(data)
        for number, _, _ in self._spellings.find_matches_as_indexes(data):
            yield Found(*self._names[number], where)
        for start in (m.start() for m in re.finditer(rb"\x1f\x8b\x08", data)):
            try:
                yield from self.search(zlib.decompressobj(31).decompress(data[start:], 1 << 24), f"{where} (gzip)")
            except zlib.error:
                continue

    def search_files(self, *places: Path, but: Iterable[Path] = ()) -> list[Found]:
        """In all files below; files that vanish meanwhile are passed over."""
        excepted = [path.resolve() for path in but]
        found: list[Found] = []
        for place in places:
            for file in sorted(place.rglob("*") if place.is_dir() else [place]):
                if any(file.resolve().is_relative_to(path) for path in excepted):
                    continue
                try:
                    if file.is_file() and not file.is_symlink():
                        found += self.search(file.read_bytes(), str(file))
                except (FileNotFoundError, PermissionError):
                    continue
        return found


def judge(found: Iterable[Found]) -> None:
    """Raises `Leaked` when there is anything."""
    listed = sorted({f"{one.what} ({one.encoding}) in {one.where}" for one in found})
    if listed:
        raise Leaked("; ".join(listed[:8]) + (f" and {len(listed) - 8} more" if len(listed) > 8 else ""))


_CARD = re.compile(
    rb"(?<![0-9A-Fa-f.])(?:4\d{3}|5[1-5]\d{2}|2[2-7]\d{2}|6\d{3}|3[47]\d{2})(?:[ -]?\d){11,15}(?![0-9A-Fa-f])"
)


def card_numbers(data: bytes) -> list[str]:
    """What looks like a payment card's number and has its check digit, with the last four digits only."""
    found = []
    for match in _CARD.finditer(data):
        digits = re.sub(rb"\D", b"", match.group()).decode()
        if 15 <= len(digits) <= 19 and luhn(digits):
            found.append(f"…{digits[-4:]}")
    return found


def packed(value: str) -> bytes:
    """A value in a gzip stream, for those who try the searcher."""
    return gzip.compress(value.encode())

"""What a check says: findings with a place, and how much was looked at."""

from collections import Counter
from collections.abc import Callable
from hashlib import md5
from typing import Any

from .messages import Value

LIMIT = 500
"""Findings of one check that are written out; the rest is counted."""


class Finding(Value):
    """One thing that is wrong: which check found it, where, what should be there, what is, and what to do."""

    check: str
    where: str
    expected: str
    found: str
    advice: str = ""


ADVICE = {
    "seals": "History was rewritten. Compare with a backup; `pasar restore` brings back what was sealed.",
    "anchors": "Seals were replaced after they were anchored. Trust the anchors, and restore a backup.",
    "log": "Events are missing or were changed. Restore them from a backup.",
    "streams": "The stored state is not what the events say. If seals and log are clean, fold the stream again.",
    "ledger": "The journal is not what the events say. If seals and log are clean, it was changed by hand: restore it.",
    "accounts": "The balance is not the sum of the journal. If the ledger is clean, set it to what is expected.",
    "claims": "Uniqueness is no longer safe for this key. If the log is clean, give the claim to its stream.",
    "timers": "A deadline is not what the events say. If the log is clean, set it as expected.",
    "answers": "A stored answer does not belong to its change. Delete it: the natural key still guards.",
    "keys": "The disk turned bits, or somebody did. Restore the key store from its last copy.",
    "views": "Rebuild it: `pasar rebuild VIEW`.",
}


class Report:
    """What was checked and what was found. `progress(check, done)` is called now and then."""

    def __init__(self, progress: Callable[[str, int], None] | None = None) -> None:
        self.findings: list[Finding] = []
        self.checked: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self._progress = progress

    def count(self, check: str, number: int) -> None:
        self.checked[check] += number
        if self._progress is not None:
            self._progress(check, self.checked[check])

    def add(self, check: str, where: str, expected: object, found: object) -> None:
        self.wrong[check] += 1
        if self.wrong[check] <= LIMIT:
            texts = (_short(expected), _short(found))
            self.findings.append(
                Finding(check=check, where=where, expected=texts[0], found=texts[1], advice=ADVICE.get(check, ""))
            )

    @property
    def clean(self) -> bool:
        return not self.wrong

    @property
    def status(self) -> int:
        """For the shell: 0 clean, 1 something is wrong."""
        return 0 if self.clean else 1


def _short(value: object, limit: int = 600) -> str:
    text = str(value)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


class Tally:
    """Counts rows by a hash of their keys on both sides, so that rows that nothing asks for are found in little
    memory: buckets that differ are looked at again, the others are done."""

    BUCKETS = 1 << 16
    SQL = "('x' || substr(md5({}), 1, 4))::bit(16)::int"

    def __init__(self) -> None:
        self._counts = [0] * self.BUCKETS

    @staticmethod
    def bucket(key: str) -> int:
        return int.from_bytes(md5(key.encode(), usedforsecurity=False).digest()[:2], "big")

    def expect(self, key: str) -> None:
        self._counts[self.bucket(key)] += 1

    async def surplus(self, connection: Any, table: str, key: str) -> list[int]:
        """Buckets in which the table has other numbers of rows than expected."""
        rows = await connection.fetch(f"select {self.SQL.format(key)} as b, count(*) as n from {table} group by 1")
        counts = list(self._counts)
        for row in rows:
            counts[row["b"]] -= row["n"]
        return [bucket for bucket, count in enumerate(counts) if count != 0]

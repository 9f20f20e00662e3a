"""What an import is asked to do, and what it did."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

SHOWN = 20
"""Bad rows that a report names itself; the file that goes with it has all."""


@dataclass(frozen=True)
class Options:
    """`columns`: field → column where they differ. `defaults`: values of fields that a row does not have."""

    file: Path
    columns: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    tenant: int = 1
    all_or_nothing: bool = False
    report: Path | None = None
    """Where bad rows are listed; by default below the data folder."""
    stores: frozenset[str] | None = None
    """Rows of other stores are bad: a seller writes for their own. None: all."""
    state: Literal["draft", "on_sale"] = "on_sale"
    """Of products that are new and have a price; those without one are drafts."""
    reference: str = "import"
    by: str = "import"
    chunk: int = 200
    concurrency: int = 32
    progress: Callable[["Report"], None] | None = None


@dataclass(frozen=True)
class BadLine:
    line: int
    reason: str


@dataclass
class Report:
    """What an import did. `bad` counts rows, all others count products, SKUs, prices and receipts."""

    rows: int = 0
    bad: int = 0
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    skus: int = 0
    prices: int = 0
    received: int = 0
    units: int = 0
    seconds: float = 0.0
    written: bool = True
    file: Path | None = None
    """The list of bad rows, where there are any: JSON lines of `line` and `reason`."""
    first_bad: list[BadLine] = field(default_factory=list)

    @property
    def rate(self) -> int:
        """Rows a second."""
        return int(self.rows / self.seconds) if self.seconds else 0

    def text(self) -> str:
        """What to tell the person who asked for the import."""
        lines = [
            f"{self.rows:,} rows in {self.seconds:.1f} s ({self.rate:,}/s), {self.bad:,} of them bad.",
            f"Products: {self.created:,} new, {self.changed:,} changed, {self.unchanged:,} as they were."
            f" SKUs: {self.skus:,} new. Prices: {self.prices:,} set."
            f" Stock: {self.units:,} units of {self.received:,} SKUs.",
        ]
        if not self.written:
            lines = [lines[0], "Nothing was written, as it was to be all or nothing."]
        lines += [f"  line {bad.line}: {bad.reason}" for bad in self.first_bad]
        if self.bad:
            lines.append(f"All bad rows, with their reasons: {self.file}")
        return "\n".join(lines)

"""Cells of files for spreadsheets: what would be taken for a formula has an apostrophe in front, and loses it when the
file comes back. Each text has one cell, and each cell one text."""

import re
from typing import Any

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"-\d+(\.\d+)?")


def safe_cell(value: Any) -> str:
    """A text as a cell; negative numbers stay numbers."""
    text = "" if value is None else str(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def plain_cell(cell: str) -> str:
    """The text of a cell."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell

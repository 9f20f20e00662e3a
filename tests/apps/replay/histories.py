"""Small order histories in the format of the real one."""

import csv
import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path

from pasar.apps.replay.reader import COLUMNS

Cells = tuple[str, str, str, str, str, str, str, str]


def cells(
    invoice: str,
    code: str = "85123A",
    quantity: int = 6,
    price: str = "2.55",
    *,
    at: str = "2009-12-01 07:45:00",
    customer: str = "13085",
    title: str = "WHITE HANGING HEART",
    country: str = "United Kingdom",
) -> Cells:
    return invoice, code, title, str(quantity), at, price, customer, country


def write(path: Path, rows: Iterable[Sequence[str]]) -> Path:
    with (gzip.open if path.suffix == ".gz" else open)(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    return path

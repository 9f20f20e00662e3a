"""Reading an order history row by row, and saying of each row what it is: of an order, of a return, or of which rule.

The format is that of the UCI data set "Online Retail II" (https://archive.ics.uci.edu/dataset/502, CC BY 4.0): CSV
with `Invoice, StockCode, Description, Quantity, InvoiceDate, Price, CustomerID, Country`, a row a line of an invoice,
in the order of time. An invoice that begins with C is a credit note: its quantities are negative.
"""

import csv
import gzip
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

COLUMNS = ("Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", "CustomerID", "Country")
NOTHING = Decimal(0)
MOST_UNITS = 1_000_000_000
MOST_DIGITS = 4


class CannotReplay(Exception):
    """A sentence about the file as a whole, or about a replay that cannot go on."""


class Rule(Enum):
    """Why a row becomes neither an order line nor a return line. The value is the sentence that is printed."""

    UNREADABLE = "unreadable: a number, a date or a code that is none"
    BAD_DEBT = "B: bad debt is adjusted in the books, nothing is sold"
    CARRIAGE = "POST, DOT, C2, C3: postage and carriage"
    DISCOUNT = "D: a discount, not tied to a line"
    MANUAL = "M, ADJUST: entered by hand, no product is named"
    SAMPLES = "S: samples"
    FEES = "BANK CHARGES, AMAZONFEE, CRUK: fees and donations"
    VOUCHERS = "gift vouchers: money on account, not goods"
    TESTS = "TEST: entered to try the till"
    NO_PRODUCT = "another code that names no product"
    WRITE_OFF = "negative outside a credit note: stock that was written off"
    NEGATIVE_PRICE = "negative price"
    STOCK_FOUND = "price 0 and no customer: stock that was found or moved"
    CREDIT_OF_NOTHING = "a positive line on a credit note"
    RETURN_OF_NOBODY = "returned without a customer: nobody to match it with"
    RETURN_UNMATCHED = "returned and not bought before by that customer at that price in that quantity"


_GROUPS: tuple[tuple[Rule, re.Pattern[str]], ...] = (
    (Rule.BAD_DEBT, re.compile(r"B")),
    (Rule.CARRIAGE, re.compile(r"POST|DOT|C[23]")),
    (Rule.DISCOUNT, re.compile(r"D")),
    (Rule.MANUAL, re.compile(r"M|ADJUST[0-9]?")),
    (Rule.SAMPLES, re.compile(r"S")),
    (Rule.FEES, re.compile(r"BANK CHARGES|AMAZONFEE|CRUK")),
    (Rule.VOUCHERS, re.compile(r"GIFT(_.*)?")),
    (Rule.TESTS, re.compile(r"TEST[0-9]*")),
)
_PRODUCT = re.compile(r"[0-9]{5}[A-Z]{0,3}|DCGS[0-9A-Z]+|PADS|SP[0-9]{4}")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


class Row(NamedTuple):
    """A row of the file. `sku` is its code without blanks, in capitals: 85123a and 85123A are one product."""

    line: int
    invoice: str
    code: str
    title: str
    quantity: int
    at: datetime
    price: Decimal
    customer: str
    country: str

    @property
    def sku(self) -> str:
        return self.code.strip().upper()

    @property
    def is_credit(self) -> bool:
        return self.invoice.startswith("C")

    @property
    def money(self) -> Decimal:
        """Exact: a unit price may have more digits than a penny."""
        return self.price * self.quantity


class Unreadable(NamedTuple):
    """A row that cannot be understood; `invoice` as far as it was legible."""

    line: int
    invoice: str
    reason: str


def read(path: Path) -> Iterator[Row | Unreadable]:
    """Every row of a .csv or .csv.gz, never the whole file at once. Raises `CannotReplay`."""
    line = 1
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            header = tuple(name.strip() for name in next(rows, ()))
            missing = [name for name in COLUMNS if name not in header]
            if missing:
                raise CannotReplay(f"{path} has no column {', '.join(missing)}; an order history has all of {COLUMNS}")
            places = [header.index(name) for name in COLUMNS]
            for cells in rows:
                line = rows.line_num
                if cells:
                    yield _row(line, cells, places)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise CannotReplay(f"{path} cannot be read after line {line}: {error}") from None


def _row(line: int, cells: list[str], places: list[int]) -> Row | Unreadable:
    if len(cells) <= max(places):
        return Unreadable(line, cells[0].strip(), f"{len(cells)} columns, too few")
    invoice, code, title, quantity, at, price, customer, country = (cells[place] for place in places)
    invoice = invoice.strip()
    try:
        row = Row(
            *(line, invoice, code, title.strip(), int(quantity), _instant(at)),
            *(_price(price), customer.strip(), country.strip()),
        )
    except (ValueError, InvalidOperation) as error:
        return Unreadable(line, invoice, str(error))
    if not invoice or not row.sku or not 0 < abs(row.quantity) <= MOST_UNITS:
        return Unreadable(line, invoice, "an invoice, a code and a quantity that is not 0 are needed")
    return row


# Values repeat all over a history, and reading them is most of the work.
@lru_cache(maxsize=4096)
def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@lru_cache(maxsize=65536)
def _price(text: str) -> Decimal:
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is no price")
    price = Decimal(text)
    if -int(price.as_tuple().exponent) > MOST_DIGITS:
        raise ValueError(f"{text} has more than {MOST_DIGITS} digits behind the point")
    return price


def rule_of(row: Row) -> Rule | None:
    """The first rule that keeps a row from being an order line or a return line. What depends on other rows (whether
    a return was bought before) is `plan`'s to say."""
    if (rule := _rule_of_code(row.sku)) is not None:
        return rule
    if row.price < 0:
        return Rule.NEGATIVE_PRICE
    if row.is_credit:
        if row.quantity > 0:
            return Rule.CREDIT_OF_NOTHING
        return None if row.customer else Rule.RETURN_OF_NOBODY
    if row.quantity < 0:
        return Rule.WRITE_OFF
    return Rule.STOCK_FOUND if row.price == 0 and not row.customer else None


@lru_cache(maxsize=65536)
def _rule_of_code(sku: str) -> Rule | None:
    if _PRODUCT.fullmatch(sku):
        return None
    return next((rule for rule, codes in _GROUPS if codes.fullmatch(sku)), Rule.NO_PRODUCT)

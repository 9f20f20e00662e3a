"""What is to be done, invoice by invoice, so that a history is replayed; and what it must come to.

Two readings of the file: `survey` counts what there is and finds the products, `Plan` then yields an action for each
invoice in the order of time. Both are functions of the file alone, so that a replay that was killed makes the same
plan again. A return is matched to what the same customer bought before, of the same SKU at the same price, the oldest
first; whole or not at all, since a row is either a return line or falls under a rule.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from pasar.apps.replay.reader import NOTHING, Row, Rule, Unreadable, read, rule_of
from pasar.kernel.money import rounded

CURRENCY = "GBP"


class PlannedLine(NamedTuple):
    """A row that becomes an order line, at its place in the order."""

    row: int
    sku: str
    quantity: int
    unit_price: Decimal

    @property
    def amount(self) -> Decimal:
        """As every shop rounds it: once a line, halves away from zero."""
        return rounded(self.unit_price * self.quantity, CURRENCY)


class PlannedOrder(NamedTuple):
    """An invoice. `customer` is empty where the file names none."""

    invoice: str
    at: datetime
    customer: str
    country: str
    lines: tuple[PlannedLine, ...]

    @property
    def total(self) -> Decimal:
        return sum((line.amount for line in self.lines), NOTHING)


class ReturnedLine(NamedTuple):
    """Units of a line of an order that come back: `line` counts from 1."""

    line: int
    sku: str
    quantity: int
    unit_price: Decimal

    @property
    def amount(self) -> Decimal:
        return rounded(self.unit_price * self.quantity, CURRENCY)


class PlannedReturn(NamedTuple):
    """What of one order a credit note takes back. A credit note may take from several orders."""

    credit: str
    at: datetime
    order: str
    """The invoice that the goods were bought with."""
    lines: tuple[ReturnedLine, ...]

    @property
    def name(self) -> str:
        return f"{self.credit}-{self.order}"

    @property
    def total(self) -> Decimal:
        return sum((line.amount for line in self.lines), NOTHING)


Action = PlannedOrder | PlannedReturn


@dataclass
class Sum:
    """Rows, their units (returns negative) and their money, exact."""

    lines: int = 0
    units: int = 0
    money: Decimal = NOTHING

    def add(self, row: Row | Unreadable) -> None:
        self.lines += 1
        if isinstance(row, Row):
            self.units += row.quantity
            self.money += row.money


class Product(NamedTuple):
    """A product of the file: the title that came first, and the price it was first sold at."""

    title: str
    price: Decimal
    units: int
    """Sold in the whole of what is replayed: so many have to be received."""


@dataclass
class Survey:
    """What the file has, as far as it is replayed: `limit` keeps the first so many invoices."""

    file: Sum = field(default_factory=Sum)
    invoices: dict[str, int] = field(default_factory=dict)
    """Invoice → rows."""
    codes: set[str] = field(default_factory=set)
    customers: set[str] = field(default_factory=set)
    products: dict[str, Product] = field(default_factory=dict)
    starts_at: datetime | None = None
    ends_at: datetime | None = None


def survey(path: Path, limit: int | None = None) -> Survey:
    """Count what is to be replayed."""
    found = Survey()
    for row in read(path):
        if row.invoice not in found.invoices and limit is not None and len(found.invoices) >= limit:
            continue
        found.invoices[row.invoice] = found.invoices.get(row.invoice, 0) + 1
        found.file.add(row)
        if isinstance(row, Unreadable):
            continue
        found.codes.add(row.code)
        found.customers.add(row.customer)
        found.starts_at = found.starts_at or row.at
        found.ends_at = max(found.ends_at or row.at, row.at)
        if rule_of(row) is None and not row.is_credit:
            known = found.products.get(row.sku)
            title, price, units = known or (row.title or row.sku, row.price, 0)
            found.products[row.sku] = Product(title, price or row.price, units + row.quantity)
    found.customers.discard("")
    return found


@dataclass
class Totals:
    """What the plan comes to: what each row became, in the file's own money, and what the shop must show."""

    orders: int = 0
    order_lines: Sum = field(default_factory=Sum)
    ordered: Decimal = NOTHING
    """In pennies: what the orders' totals come to."""
    cases: int = 0
    case_lines: int = 0
    """Of the cases: a row may be of several, and several rows of one."""
    return_lines: Sum = field(default_factory=Sum)
    refunded: Decimal = NOTHING
    """In pennies, positive."""
    rules: dict[Rule, Sum] = field(default_factory=dict)

    def put_aside(self, rule: Rule, row: Row | Unreadable) -> None:
        self.rules.setdefault(rule, Sum()).add(row)

    @property
    def rounding(self) -> Decimal:
        """What rounding lines to pennies adds: prices may have three decimals."""
        return self.ordered - self.refunded - self.order_lines.money - self.return_lines.money

    @property
    def all(self) -> Sum:
        """Orders, returns and rules together: equal to the file, or rows were lost."""
        parts = [self.order_lines, self.return_lines, *self.rules.values()]
        return Sum(
            sum(part.lines for part in parts),
            sum(part.units for part in parts),
            sum((part.money for part in parts), NOTHING),
        )


@dataclass
class _Bought:
    """Units of an order line that have not come back."""

    order: str
    line: int
    left: int


class Plan:
    """Iterate once for the actions; then `totals` is complete."""

    def __init__(self, path: Path, surveyed: Survey) -> None:
        self.totals = Totals()
        self._path, self._rows_of = path, surveyed.invoices
        self._bought: dict[tuple[str, str, Decimal], deque[_Bought]] = {}

    def __iter__(self) -> Iterator[Action]:
        for rows in self._invoices():
            yield from self._credit(rows) if rows[0].is_credit else self._order(rows)

    def _invoices(self) -> Iterator[list[Row]]:
        """Whole invoices, when their last row was read; their rows need not be neighbours."""
        waiting: dict[str, list[Row | Unreadable]] = {}
        for row in read(self._path):
            wanted = self._rows_of.get(row.invoice)
            if wanted is None:
                continue
            rows = waiting.setdefault(row.invoice, [])
            rows.append(row)
            if len(rows) == wanted:
                del waiting[row.invoice]
                if kept := self._kept(rows):
                    yield kept

    def _kept(self, rows: list[Row | Unreadable]) -> list[Row]:
        kept = []
        for row in rows:
            rule = Rule.UNREADABLE if isinstance(row, Unreadable) else rule_of(row)
            if rule is not None:
                self.totals.put_aside(rule, row)
            elif isinstance(row, Row):
                kept.append(row)
        return kept

    def _order(self, rows: list[Row]) -> Iterator[PlannedOrder]:
        first, last = rows[0], rows[-1]
        lines = tuple(PlannedLine(row.line, row.sku, row.quantity, row.price) for row in rows)
        order = PlannedOrder(first.invoice, last.at, first.customer, first.country, lines)
        for number, row in enumerate(rows, 1):
            self.totals.order_lines.add(row)
            if row.customer:
                bought = self._bought.setdefault((row.customer, row.sku, row.price), deque())
                bought.append(_Bought(row.invoice, number, row.quantity))
        self.totals.orders += 1
        self.totals.ordered += order.total
        yield order

    def _credit(self, rows: list[Row]) -> Iterator[PlannedReturn]:
        parts: dict[str, dict[int, ReturnedLine]] = {}
        for row in rows:
            taken = self._take(row)
            if taken is None:
                self.totals.put_aside(Rule.RETURN_UNMATCHED, row)
                continue
            self.totals.return_lines.add(row)
            for order, line, quantity in taken:
                of_order = parts.setdefault(order, {})
                already = of_order[line].quantity if line in of_order else 0
                of_order[line] = ReturnedLine(line, row.sku, already + quantity, row.price)
        for order, lines in parts.items():
            case = PlannedReturn(rows[0].invoice, rows[-1].at, order, tuple(lines[line] for line in sorted(lines)))
            self.totals.cases += 1
            self.totals.case_lines += len(case.lines)
            self.totals.refunded += case.total
            yield case

    def _take(self, row: Row) -> list[tuple[str, int, int]] | None:
        """(order, line, units) that make up a return, the oldest first; None when it was not all bought before."""
        key, wanted = (row.customer, row.sku, row.price), -row.quantity
        bought = self._bought.get(key, deque())
        if sum(one.left for one in bought) < wanted:
            return None
        taken = []
        while wanted:
            oldest = bought[0]
            units = min(wanted, oldest.left)
            taken.append((oldest.order, oldest.line, units))
            oldest.left -= units
            wanted -= units
            if not oldest.left:
                bought.popleft()
        return taken

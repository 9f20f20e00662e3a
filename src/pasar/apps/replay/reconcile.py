"""The end of a replay: what is in the file, in the log, in the ledger and in the views must be the same.

Each place is asked by itself: the log by its events, the ledger by its journal of transfers, the views by their
tables. Nothing is taken over from what the replay did.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import asyncpg

from pasar.apps.replay.plan import CURRENCY, Survey, Totals
from pasar.apps.replay.reader import NOTHING, CannotReplay, Rule
from pasar.kernel.money import digits

LEAST_SHARE = Decimal("0.95")
"""Of the lines, so many become order lines or return lines."""
PAUSE_S = 0.2
TRIES = 3_000

_QUIET = """
    select not exists (select from kernel.timer where due_at <= $1 and not parked)
           and coalesce((select bool_and((c.epoch, c.xid, c.position) >= (h.epoch, h.xid, h.position))
                           from kernel.cursor c,
                                (select epoch, xid, position from kernel.event
                                  order by epoch desc, xid desc, position desc limit 1) h), true)"""
_LOG = """
    select type, count(*) as events, coalesce(sum(jsonb_array_length(data -> 'lines')), 0)::bigint as lines,
           coalesce(sum((select sum((line ->> 'quantity')::bigint) from jsonb_array_elements(data -> 'lines') line)), 0)
               ::bigint as units,
           coalesce(sum(coalesce(data ->> 'total', data ->> 'amount', data ->> 'refund')::numeric), 0) as money
      from kernel.event
     where type in ('ordering.OrderPlaced', 'ordering.OrderPaid', 'ordering.OrderCanceled', 'aftersales.CaseRefunded',
                    'payment.PaymentCaptured', 'payment.RefundCompleted')
     group by type"""
_LEDGER = """
    select split_part(debit, ':', 1) as debit, split_part(credit, ':', 1) as credit, unit, phase,
           count(*) as transfers, sum(amount)::bigint as amount
      from kernel.transfer where phase <> 3 group by 1, 2, 3, 4"""
_LEFT = "select coalesce(sum(balance + held), 0)::bigint from kernel.account where split_part(id, ':', 1) = $1"
_VIEWS = """
    select (select count(*) from ordering.orders where stage <> 'CANCELED') as orders,
           (select coalesce(sum(amount), 0) from payment.payments where state in ('captured', 'refunded')) as paid,
           (select coalesce(sum(refunded), 0) from payment.payments) as refunded,
           (select coalesce(sum(jsonb_array_length(picks)), 0)::bigint from fulfillment.parcels
             where state = 'delivered') as lines,
           (select coalesce(-sum(quantity), 0)::bigint from inventory.movements
             where kind in ('allocation', 'deallocation')) as sold,
           (select count(*) from inventory.movements where kind = 'return') as returned_lines,
           (select coalesce(sum(quantity), 0)::bigint from inventory.movements where kind = 'return') as returned,
           (select count(*) from aftersales.cases where state = 'REFUNDED') as cases"""


@dataclass(frozen=True)
class Comparison:
    """One figure in each place; None where a place does not count it."""

    what: str
    file: Decimal | int
    log: Decimal | int | None
    ledger: Decimal | int | None
    views: Decimal | int | None

    @property
    def agrees(self) -> bool:
        return all(found is None or found == self.file for found in (self.log, self.ledger, self.views))


@dataclass(frozen=True)
class Reconciliation:
    """`problems` is empty when all is well."""

    comparisons: tuple[Comparison, ...]
    totals: Totals
    surveyed: Survey

    @property
    def share(self) -> Decimal:
        """How many of the file's lines became order lines or return lines."""
        become = self.totals.order_lines.lines + self.totals.return_lines.lines
        return Decimal(become) / Decimal(max(1, self.surveyed.file.lines))

    @property
    def problems(self) -> list[str]:
        found = [f"{one.what} differ" for one in self.comparisons if not one.agrees]
        if self.totals.all != self.surveyed.file:
            found.append("orders, returns and rules together are not the file")
        if self.share < LEAST_SHARE:
            found.append(f"{self.share:.2%} of the lines became order or return lines, less than {LEAST_SHARE:.0%}")
        return found

    @property
    def rules(self) -> list[Rule]:
        return [rule for rule in Rule if rule in self.totals.rules]


async def quiet(connection: asyncpg.Connection, now: datetime) -> None:
    """Until all that is due was done and every follower has read the whole log."""
    still = 0
    for _ in range(TRIES):
        still = still + 1 if await connection.fetchval(_QUIET, now) else 0
        if still == 3:
            return
        await asyncio.sleep(PAUSE_S)
    raise CannotReplay("the worker does not come to the end of the log: look at `pasar doctor`")


async def reconcile(connection: asyncpg.Connection, surveyed: Survey, totals: Totals) -> Reconciliation:
    """Ask log, ledger and views, and lay the figures beside the file's."""
    log = {row["type"]: row for row in await connection.fetch(_LOG)}
    ledger = _Ledger(await connection.fetch(_LEDGER))
    views = await connection.fetchrow(_VIEWS)
    assert views is not None
    liability = await connection.fetchval(_LEFT, "liability")
    pool = await connection.fetchval(_LEFT, "pool")
    sold, returned = totals.order_lines.units, -totals.return_lines.units
    received = sum(product.units for product in surveyed.products.values())
    came_back = ledger.units("supplier", "stock") - received

    def of(type: str, what: str) -> Decimal | int:
        row = log.get(type)
        return row[what] if row is not None else 0

    placed, paid, case = "ordering.OrderPlaced", "ordering.OrderPaid", "aftersales.CaseRefunded"
    comparisons = (
        Comparison("orders", totals.orders, of(placed, "events"), None, views["orders"]),
        Comparison("orders canceled", 0, of("ordering.OrderCanceled", "events"), None, None),
        Comparison("order lines", totals.order_lines.lines, of(placed, "lines"), ledger.holds, views["lines"]),
        Comparison("units sold", sold, of(placed, "units"), ledger.units("stock", "allocated"), views["sold"]),
        Comparison("money ordered", totals.ordered, of(placed, "money"), None, None),
        Comparison("money of paid orders", totals.ordered, of(paid, "money"), None, None),
        Comparison(
            "money received", totals.ordered, of("payment.PaymentCaptured", "money"), ledger.captured, views["paid"]
        ),
        Comparison("returns", totals.cases, of(case, "events"), None, views["cases"]),
        Comparison("return lines", totals.case_lines, of(case, "lines"), None, views["returned_lines"]),
        Comparison(
            "units returned",
            returned,
            of(case, "units"),
            came_back,
            views["returned"],
        ),
        Comparison(
            "money returned",
            totals.refunded,
            of("payment.RefundCompleted", "money"),
            ledger.refunded,
            views["refunded"],
        ),
        Comparison(
            "money shared out, less what was taken back",
            totals.ordered - totals.refunded,
            None,
            ledger.shared + _major(liability or 0),
            None,
        ),
        Comparison("money still owed to buyers", NOTHING, None, _major(liability or 0), None),
        Comparison("units left to sell", received - sold + returned, None, pool, None),
    )
    return Reconciliation(comparisons, totals, surveyed)


def _major(minor: int) -> Decimal:
    return Decimal(minor).scaleb(-digits(CURRENCY))


class _Ledger:
    """Sums of the journal by kinds of accounts; holds count when they are settled."""

    def __init__(self, rows: list[asyncpg.Record]) -> None:
        self._rows = rows

    def _sum(self, debit: str, credit: str, phases: tuple[int, ...] = (2, 4)) -> int:
        return sum(
            row["amount"]
            for row in self._rows
            if (row["debit"], row["credit"]) == (debit, credit) and row["phase"] in phases
        )

    def units(self, debit: str, credit: str) -> int:
        return self._sum(debit, credit)

    @property
    def holds(self) -> int:
        """Each order line holds its own promise."""
        return sum(
            row["transfers"] for row in self._rows if (row["debit"], row["credit"], row["phase"]) == ("pool", "sold", 1)
        )

    @property
    def captured(self) -> Decimal:
        return _major(self._sum("clearing", "liability"))

    @property
    def refunded(self) -> Decimal:
        return _major(self._sum("liability", "clearing"))

    @property
    def shared(self) -> Decimal:
        """From orders to sellers and to us, less what was taken back."""
        out = sum(self._sum("liability", to) for to in ("payable", "commission", "seller_debt"))
        back = sum(self._sum(source, "liability") for source in ("payable", "commission", "seller_debt"))
        return _major(out - back)

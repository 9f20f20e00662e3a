"""The first page: how today goes, and what needs a person."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from starlette.responses import Response

from pasar.apps.pages import visits
from pasar.apps.pages.page import page
from pasar.apps.pages.recent import recent
from pasar.apps.pages.visit import Visit
from pasar.contexts.aftersales import facade as aftersales
from pasar.contexts.catalog import facade as catalog
from pasar.contexts.catalog.contract import GridQuestion
from pasar.contexts.finance import facade as finance
from pasar.contexts.inventory import facade as inventory
from pasar.contexts.ordering import facade as ordering
from pasar.contexts.payment import facade as payment
from pasar.contexts.payment.contract_staff import FindParked
from pasar.kernel.access import Principal
from pasar.kernel.bus import Context, Core
from pasar.kernel.messages import convert
from pasar.kernel.parking import list_parked
from pasar.kernel.process import stuck_processes
from pasar.kernel.store import Reader

from .charts import Chart, columns, spark
from .desk import everyone, scope

DAYS = (7, 30, 90)
LOW = 5
"""Units that are a warning."""
SHOWN = 6
EXPIRY_DAYS = 14
FRESH_S = 2.0
WORK_S = 10.0
WAITING = ("PAID", "ALLOCATED", "PREPARING", "PICKED", "PACKED")


class DashboardQuery(msgspec.Struct):
    days: int = 30


class Board(NamedTuple):
    """What a dashboard tells, in numbers: the same for all who have the same roles and stores."""

    days: Sequence[date]
    sales: Sequence[ordering.SalesDay]
    best: Sequence[ordering.BestSeller]
    by_status: Mapping[str, int]
    visits: Mapping[tuple[str, date], int]
    """By channel and day; empty for those who work for some stores: visits are the whole shop's."""
    alerts: Mapping[str, Any]


class Figures(NamedTuple):
    """What is said of one currency."""

    currency: str
    today: Decimal
    before: Decimal
    """The day before, up to the same time of day."""
    total: Decimal
    chart: Chart
    spark: str


class Pace(NamedTuple):
    """Orders in numbers."""

    today: int
    before: int
    """The day before, up to the same time of day."""
    paid: int
    placed: int
    chart: Chart
    spark: str


class Funnel(NamedTuple):
    """From visits to money, on the days and in the channels of which visits were counted; without visits, on all."""

    visits: int | None
    placed: int
    paid: int

    @property
    def ordered(self) -> Decimal | None:
        """Orders for each visit."""
        return Decimal(self.placed) / self.visits if self.visits else None

    @property
    def kept(self) -> Decimal | None:
        """The share of orders that were paid."""
        return Decimal(self.paid) / self.placed if self.placed else None


def funnel_of(board: Board) -> Funnel:
    if not board.visits:
        return Funnel(None, sum(one.orders for one in board.sales), sum(one.paid for one in board.sales))
    of = [one for one in board.sales if (one.channel, one.day) in board.visits]
    return Funnel(sum(board.visits.values()), sum(one.orders for one in of), sum(one.paid for one in of))


def pace_of(found: Sequence[ordering.SalesDay], days: Sequence[date], label: Any) -> Pace:
    """Orders by day."""
    orders = dict.fromkeys(days, 0)
    for one in found:
        if one.day in orders:
            orders[one.day] += one.orders
    values = [Decimal(orders[day]) for day in days]
    chart = columns([(label(day), value) for day, value in zip(days, values, strict=True)])
    paid, placed = sum(one.paid for one in found), sum(one.orders for one in found)
    before = sum(one.orders_by_now for one in found if one.day == days[-2])
    return Pace(orders[days[-1]], before, paid, placed, chart, spark(values[-14:]))


def figures_of(found: Sequence[ordering.SalesDay], days: Sequence[date], label: Any) -> list[Figures]:
    """Sales by day and currency, the currency with most orders first."""
    figures = []
    weight = {one.currency: 0 for one in found}
    for one in found:
        weight[one.currency] += one.orders
    for currency in sorted(weight, key=lambda code: (-weight[code], code)):
        its = [one for one in found if one.currency == currency]
        by_day = dict.fromkeys(days, Decimal(0))
        for one in its:
            if one.day in by_day:
                by_day[one.day] += one.sales
        values = list(by_day.values())
        chart = columns([(label(day), value) for day, value in by_day.items()])
        before = sum((one.sales_by_now for one in its if one.day == days[-2]), Decimal(0))
        figures.append(Figures(currency, values[-1], before, sum(values, Decimal(0)), chart, spark(values[-14:])))
    return figures


def last_days(now: datetime, count: int, time_zone: str) -> list[date]:
    """The last days, today the last, by the calendar of the time zone."""
    today = now.astimezone(ZoneInfo(time_zone)).date()
    return [today - timedelta(days=back) for back in range(count - 1, -1, -1)]


@page("GET", "/console", policy=everyone)
async def dashboard(visit: Visit) -> Response:
    """Orders, sales, what sells, and what waits for somebody."""
    asked = visit.query(DashboardQuery).days
    count = asked if asked in DAYS else DAYS[1]
    desk = Principal(
        id="desk", kind=visit.who.kind, roles=visit.who.roles, stores=visit.who.stores, tenant=visit.who.tenant
    )
    board = await recent(visit, (desk, count), FRESH_S, lambda: board_of(visit, desk, count))

    def label(day: date) -> str:
        return visit.language.day(day, "M/d")

    return visit.render(
        "console/dashboard.html",
        days=count,
        choices=DAYS,
        pace=pace_of(board.sales, board.days, label),
        figures=figures_of(board.sales, board.days, label),
        funnel=funnel_of(board),
        best=board.best,
        waiting=[(state, board.by_status[state]) for state in WAITING if board.by_status.get(state)],
        unpaid=board.by_status.get("PENDING_PAYMENT", 0) + board.by_status.get("PAYMENT_PROCESSING", 0),
        alerts=board.alerts,
    )


async def board_of(visit: Visit, desk: Principal, count: int) -> Board:
    """Worked out for a desk: of the person who asked nothing but roles and stores is used, so that all who have the
    same may share it. It is a report, of which few are made at a time, however many wait for it."""
    with visit.site.lanes.place("reports"):
        async with asyncio.timeout(WORK_S):
            bus = visit.core.bus(Context(tenant=desk.tenant, principal=desk.id, roles=desk.roles, route="dashboard"))
            days = last_days(bus.now(), count, visit.core.settings.section("ordering").time_zone)
            sees_all = ordering.may_see(desk) is None
            return Board(
                days=days,
                sales=await ordering.days(bus, desk, count),
                best=await ordering.best_sellers(bus, desk, count, SHOWN),
                by_status=await ordering.by_status(bus, desk, 90),
                visits=await visits.by_channel(bus.db, days[0]) if sees_all else {},
                alerts=await alerts(visit.core, bus.db, desk),
            )


async def alerts(core: Core, db: Reader, who: Principal) -> dict[str, Any]:
    """What needs a person, as far as it is this desk's business."""
    found = dict[str, Any]()
    if who.has("seller", "manager", "admin"):
        question = GridQuestion(stores=scope(who), state="on_sale")
        rows, more = await catalog.stock_list(db, question, at_most=LOW, limit=SHOWN, cursor=None)
        found["low"], found["low_more"] = rows, more is not None
    if who.has("warehouse", "admin"):
        until = core.clock.now().date() + timedelta(days=EXPIRY_DAYS)
        found["expiring"] = await inventory.expiring(db, until, limit=SHOWN)
    wish = convert({"limit": SHOWN, "state": "REFUND_REQUESTED"}, aftersales.FindCases)
    found["cases"] = (await aftersales.find(db, who, wish)).items
    if who.has("finance", "admin"):
        runs = convert({"limit": SHOWN, "state": "proposed"}, finance.FindRuns)
        found["runs"] = (await finance.runs(db, runs)).items
        found["money"] = (await payment.find_parked(db, convert({"limit": SHOWN}, FindParked))).items
    if who.has("admin"):
        pool = core.database.kernel
        found["stuck"] = await stuck_processes(pool, limit=SHOWN)
        processes = {(one.process, one.id) for one in found["stuck"]}
        parked = await list_parked(pool, limit=SHOWN)
        found["parked"] = [one for one in parked if (one.follower.removeprefix("process:"), one.lane) not in processes]
    return found

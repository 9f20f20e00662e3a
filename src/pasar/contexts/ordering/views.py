"""Orders as staff look for them; buyers read their own from the streams."""

from datetime import datetime
from typing import Any

from pasar.kernel.messages import decode_event
from pasar.kernel.store import Reader
from pasar.kernel.views import View
from pasar.kernel.web_answers import Cursor, Page

from .bodies import BestSeller, FindOrders, OwnOrders, SalesDay
from .contract import (
    AfterSaleClosed,
    AfterSaleOpened,
    OrderAllocated,
    OrderCanceled,
    OrderCompleted,
    OrderConfirmed,
    OrderPaid,
    OrderPlaced,
    OrderStageReached,
    OrderSummary,
    PaymentAttemptEnded,
    PaymentBegan,
    Vocabulary,
)
from .order import order as order_decider
from .shown import Entry, summary


def _reaches(stage: str) -> str:
    return f"update ordering.orders set stage = '{stage}' where order_no = %(order_no)s"


orders = View(
    table="ordering.orders",
    key="order_no",
    # The status is what `status_of` says of an order.
    columns="""
        order_no text collate "C", buyer uuid not null, stage text not null, channel text not null,
        stores text[] not null, placed_at timestamptz not null, open_cases int not null default 0,
        refund text not null default 'NONE',
        status text not null generated always as (
            case when open_cases > 0 then 'AFTER_SALE_OPEN' when refund <> 'NONE' then refund else stage end) stored""",
    on={
        OrderPlaced: """
            insert into ordering.orders (order_no, buyer, stage, channel, stores, placed_at)
            values (%(order_no)s, %(buyer)s, 'PENDING_PAYMENT', %(channel)s,
                    array(select distinct line ->> 'store' from jsonb_array_elements(%(lines)s::jsonb) line order by 1),
                    %(placed_at)s)""",
        PaymentBegan: _reaches("PAYMENT_PROCESSING"),
        PaymentAttemptEnded: _reaches("PENDING_PAYMENT"),
        OrderPaid: _reaches("PAID"),
        OrderCanceled: _reaches("CANCELED"),
        OrderAllocated: _reaches("ALLOCATED"),
        OrderStageReached: "update ordering.orders set stage = %(stage)s where order_no = %(order_no)s",
        OrderConfirmed: _reaches("CONFIRMED"),
        OrderCompleted: _reaches("COMPLETED"),
        AfterSaleOpened: "update ordering.orders set open_cases = open_cases + 1 where order_no = %(order_no)s",
        AfterSaleClosed: """
            update ordering.orders
               set open_cases = open_cases - 1,
                   refund = case when refund = 'REFUNDED' or %(whole)s then 'REFUNDED'
                                 when %(refunded_in_all)s::numeric + %(platform_part)s::numeric > 0
                                      or %(returned)s::jsonb <> '[]'
                                 then 'PARTIAL_REFUNDED' else refund end
             where order_no = %(order_no)s""",
    },
    indexes=(
        "(tenant, placed_at desc, order_no desc)",
        "(tenant, status, placed_at desc, order_no desc)",
        "(tenant, buyer, placed_at desc, order_no desc)",
        "using gin (stores)",
    ),
)

sold_lines = View(
    table="ordering.sold_lines",
    key="order_no, line_id",
    columns="""order_no text collate "C", line_id text collate "C", sku text collate "C" not null, title text not null,
        store text collate "C" not null, channel text not null, currency text not null, units bigint not null,
        amount numeric not null, placed_at timestamptz not null, paid_at timestamptz""",
    on={
        OrderPlaced: """
            insert into ordering.sold_lines
                (order_no, line_id, sku, title, store, channel, currency, units, amount, placed_at)
            select %(order_no)s::text, l ->> 'line_id', l ->> 'sku', l ->> 'title', l ->> 'store', %(channel)s::text,
                   %(currency)s::text, (l ->> 'quantity')::bigint,
                   (l ->> 'amount')::numeric - (l ->> 'discount')::numeric, %(placed_at)s::timestamptz
              from jsonb_array_elements(%(lines)s::jsonb) l""",
        OrderPaid: "update ordering.sold_lines set paid_at = %(at)s where order_no = %(order_no)s",
        OrderCanceled: "update ordering.sold_lines set paid_at = null where order_no = %(order_no)s",
    },
    indexes=("(tenant, placed_at)", "(tenant, store, placed_at desc, order_no desc)"),
)
"""What sells, line by line: for figures. What is owed for it, finance knows."""


_BY_NOW = "(placed_at at time zone $4)::time <= ($3::timestamptz at time zone $4)::time"
_PAID_BY_NOW = """
    paid_at at time zone $4 <= (placed_at at time zone $4)::date + ($3::timestamptz at time zone $4)::time"""


async def days(db: Reader, stores: frozenset[str] | None, now: datetime, count: int, time_zone: str) -> list[SalesDay]:
    """The days that have orders, oldest first; a day is one of the time zone."""
    return await db.all(
        SalesDay,
        f"""select (placed_at at time zone $4)::date as day, channel, currency, count(distinct order_no) as orders,
                   count(distinct order_no) filter (where paid_at is not null) as paid,
                   coalesce(sum(units) filter (where paid_at is not null), 0)::bigint as units,
                   coalesce(sum(amount) filter (where paid_at is not null), 0) as sales,
                   count(distinct order_no) filter (where {_BY_NOW}) as orders_by_now,
                   coalesce(sum(amount) filter (where {_PAID_BY_NOW}), 0) as sales_by_now
              from ordering.sold_lines
             where tenant = $1 and ($2::text[] is null or store = any ($2))
               and placed_at >= (($3::timestamptz at time zone $4)::date - $5::int) at time zone $4 and placed_at <= $3
             group by 1, 2, 3 order by 1, 2, 3""",
        *(db.tenant, None if stores is None else sorted(stores), now, time_zone, count - 1),
    )


async def best_sellers(db: Reader, stores: frozenset[str] | None, since: datetime, limit: int) -> list[BestSeller]:
    """By units, those of one currency together."""
    return await db.all(
        BestSeller,
        """select sku, min(title) as title, currency, sum(units)::bigint as units, sum(amount) as sales
             from ordering.sold_lines
            where tenant = $1 and ($2::text[] is null or store = any ($2)) and placed_at >= $3 and paid_at is not null
            group by sku, currency order by sum(units) desc, sku limit $4""",
        *(db.tenant, None if stores is None else sorted(stores), since, limit),
    )


async def by_status(db: Reader, stores: frozenset[str] | None, since: datetime) -> dict[str, int]:
    rows = await db.fetch(
        """select status, count(*) as orders from ordering.orders
            where tenant = $1 and ($2::text[] is null or stores && $2) and placed_at >= $3 group by status""",
        *(db.tenant, None if stores is None else sorted(stores), since),
    )
    return {row["status"]: row["orders"] for row in rows}


async def entries(db: Reader, order_no: str) -> list[Entry]:
    """The events of an order, oldest first."""
    rows = await db.fetch(
        """select at, type, data::text, meta ->> 'by' as by from kernel.event
            where tenant = $1 and kind = $2 and stream = $3 order by version""",
        *(db.tenant, order_decider.kind, order_no),
    )
    return [Entry(row["at"], row["by"], decode_event(row["type"], row["data"])) for row in rows]  # type: ignore[arg-type]


async def own(db: Reader, buyer: str, query: OwnOrders, words: Vocabulary) -> Page[OrderSummary]:
    """A buyer's orders, newest first: from the streams, so right at once."""
    after = Cursor.read(query.cursor, tuple[datetime, str])
    found = await db.owned(order_decider, buyer, limit=query.limit + 1, after=after)
    shown = found[: query.limit]
    items = [summary(one.state, one.state.placed, words) for one in shown if one.state.placed is not None]
    more = len(found) > query.limit
    return Page(items=items, next=Cursor.write((shown[-1].opened_at, shown[-1].id)) if more else None)


async def find(db: Reader, stores: frozenset[str] | None, query: FindOrders, words: Vocabulary) -> Page[OrderSummary]:
    """Orders of these stores (None: of all), newest first; the view finds them, the streams say what they are."""
    wanted = (
        stores if query.store is None else frozenset({query.store} if stores is None or query.store in stores else ())
    )
    rows = await db.fetch(*_search(db.tenant, wanted, query))
    shown = rows[: query.limit]
    states = await db.states(order_decider, [row["order_no"] for row in shown])
    items = [summary(one, one.placed, words, stores) for one in states.values() if one.placed is not None]
    more = len(rows) > query.limit
    return Page(items=items, next=Cursor.write((shown[-1]["placed_at"], shown[-1]["order_no"])) if more else None)


def _search(tenant: int, stores: frozenset[str] | None, query: FindOrders) -> tuple[Any, ...]:
    """The statement, with those conditions only that somebody gave: one that allows for all of them has a plan that
    reads the whole table. So has one whose limit is a parameter: it is one for a tenth of the table. Orders of one
    store, by nothing else but channel and time, come in the order of its lines."""
    values: list[Any] = [tenant]
    after: Any = Cursor.read(query.cursor, tuple[datetime, str])

    def given(condition: str, *more: Any) -> str:
        places = [f"${len(values) + n}" for n in range(1, len(more) + 1)]
        values.extend(more)
        return " and " + condition.format(*places)

    narrow = query.state or query.buyer or query.order_no
    if stores is not None and len(stores) == 1 and not narrow:
        found = "distinct placed_at, order_no from ordering.sold_lines where tenant = $1" + given("store = {}", *stores)
    else:
        found = "placed_at, order_no from ordering.orders where tenant = $1"
        found += "" if stores is None else given("stores && {}::text[]", sorted(stores))
    found += given("(placed_at, order_no) < ({}, {})", *after) if after else ""
    for condition, value in (
        ("status = {}", query.state),
        ("buyer = {}", query.buyer),
        ("channel = {}", query.channel),
        ("placed_at >= {}", query.placed_from),
        ("placed_at < {}", query.placed_to),
        ("starts_with(order_no, {})", query.order_no),
    ):
        found += "" if value is None else given(condition, value)
    return f"select {found} order by placed_at desc, order_no desc limit {int(query.limit) + 1}", *values

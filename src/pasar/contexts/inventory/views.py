"""Read tables: warehouses, where which SKU has ever lain, open holds, the journal of movements. Quantities are live."""

from datetime import date, datetime
from uuid import UUID

from pasar.contexts.fulfillment.contract import Allocated, AllocationUndone
from pasar.kernel.store import Reader
from pasar.kernel.views import View

from .answers import Expiring, OpenHold
from .contract import (
    HoldConsumed,
    HoldExtended,
    HoldReleased,
    StockAdjusted,
    StockBlocked,
    StockHeld,
    StockMoved,
    StockReceived,
    WarehouseOpened,
)

warehouses = View(
    table="inventory.warehouses",
    key="warehouse",
    columns='warehouse text collate "C", name text, country text, latitude numeric, longitude numeric',
    on={
        WarehouseOpened: """
            insert into inventory.warehouses (warehouse, name, country, latitude, longitude)
            values (%(warehouse)s, %(name)s, %(country)s, %(latitude)s, %(longitude)s)""",
    },
)

_PLACE = "on conflict (tenant, warehouse, sku, batch) do nothing"

places = View(
    table="inventory.places",
    key="warehouse, sku, batch",
    columns='warehouse text collate "C", sku text collate "C", batch text collate "C"',
    on={
        StockReceived: f"""
            insert into inventory.places (warehouse, sku, batch)
            select distinct %(warehouse)s::text, l ->> 'sku', coalesce(l ->> 'batch', '-')
              from jsonb_array_elements(%(lines)s::jsonb) l {_PLACE}""",
        StockAdjusted: f"""
            insert into inventory.places (warehouse, sku, batch)
            values (%(warehouse)s, %(sku)s, coalesce(%(batch)s::text, '-')) {_PLACE}""",
        StockMoved: f"""
            insert into inventory.places (warehouse, sku, batch)
            values (%(to_warehouse)s, %(sku)s, coalesce(%(batch)s::text, '-')) {_PLACE}""",
    },
)

_MOVEMENT = """insert into inventory.movements
    (position, line, at, kind, sku, quantity, warehouse, batch, reference)"""


def _of_parcels(kind: str, sign: str) -> str:
    return f"""{_MOVEMENT}
        select %(position)s::bigint, row_number() over (order by n, m), %(at)s::timestamptz, '{kind}', p ->> 'sku',
               {sign}(p ->> 'quantity')::bigint, p ->> 'warehouse', p ->> 'batch', %(order_no)s::text
          from jsonb_array_elements(%(parcels)s::jsonb) with ordinality x (l, n),
               jsonb_array_elements(l -> 'picks') with ordinality y (p, m)"""


movements = View(
    table="inventory.movements",
    key="position, line",
    columns="""position bigint, line int, at timestamptz, kind text, sku text collate "C", quantity bigint,
        warehouse text, batch text, reference text""",
    on={
        StockReceived: f"""{_MOVEMENT}
            select %(position)s::bigint, n, %(at)s::timestamptz, %(origin)s::text, l ->> 'sku',
                   (l ->> 'quantity')::bigint, %(warehouse)s::text, l ->> 'batch', %(reference)s::text
              from jsonb_array_elements(%(lines)s::jsonb) with ordinality x (l, n)
            union all
            select %(position)s::bigint, jsonb_array_length(%(lines)s::jsonb) + n, %(at)s::timestamptz, 'expired',
                   l ->> 'sku', -(l ->> 'quantity')::bigint, %(warehouse)s::text, l ->> 'batch', %(reference)s::text
              from jsonb_array_elements(%(lines)s::jsonb) with ordinality x (l, n)
              join jsonb_array_elements(%(expired)s::jsonb) e
                on (e ->> 'sku', e ->> 'batch') = (l ->> 'sku', l ->> 'batch')""",
        StockBlocked: f"""{_MOVEMENT}
            values (%(position)s, 1, %(at)s, 'expired', %(sku)s, 0 - %(quantity)s, %(warehouse)s, %(batch)s, '')""",
        StockAdjusted: f"""{_MOVEMENT}
            values (%(position)s, 1, %(at)s, 'adjustment', %(sku)s, %(delta)s, %(warehouse)s, %(batch)s, %(reason)s)""",
        StockMoved: f"""{_MOVEMENT}
            select %(position)s::bigint, n, %(at)s::timestamptz, 'transfer', %(sku)s::text, sign * %(quantity)s::bigint,
                   w, %(batch)s::text, %(transfer)s::text
              from (values (1, -1, %(from_warehouse)s::text), (2, 1, %(to_warehouse)s::text)) x (n, sign, w)""",
        Allocated: _of_parcels("allocation", "-"),
        AllocationUndone: _of_parcels("deallocation", ""),
    },
    indexes=("(tenant, sku, position desc, line)",),
)

holds = View(
    table="inventory.holds",
    key="hold",
    columns="""hold uuid, owner uuid not null, sku text collate "C" not null, quantity bigint not null,
        until timestamptz not null""",
    on={
        StockHeld: """
            insert into inventory.holds (hold, owner, sku, quantity, until)
            values (%(hold)s, %(owner)s, %(sku)s, %(quantity)s, %(until)s)""",
        HoldExtended: "update inventory.holds set until = %(until)s where hold = %(hold)s",
        HoldReleased: "delete from inventory.holds where hold = %(hold)s",
        HoldConsumed: "delete from inventory.holds where hold = %(hold)s",
    },
    indexes=("(tenant, until, hold)", "(tenant, sku)"),
)


async def open_holds(
    db: Reader, *, sku: str | None, limit: int, after: tuple[datetime, UUID] | None = None
) -> list[OpenHold]:
    """What carts keep, the soonest to end first."""
    return await db.all(
        OpenHold,
        """select hold, owner, sku, quantity, until from inventory.holds
            where tenant = $1 and ($2::text is null or sku = $2)
              and ($3::timestamptz is null or (until, hold) > ($3, $4))
            order by until, hold limit $5""",
        *(db.tenant, sku, *(after or (None, None)), limit),
    )


async def expiring(db: Reader, until: date, *, limit: int) -> list[Expiring]:
    """Batches of which something is left and that may not be sold any more after `until`, or cannot already."""
    return await db.all(
        Expiring,
        """select v.sku, v.warehouse, v.batch, a.balance as quantity, b.expires_on
             from inventory.places v
            cross join lateral (select (state ->> 'expires_on')::date as expires_on from kernel.stream
                                 where (tenant, kind, id) = ($1, 'inventory.batch', v.sku || ':' || v.batch)
                                offset 0) b
            cross join lateral (select balance from kernel.account
                                 where (tenant, id, unit)
                                     = ($1, 'stock:' || v.sku || ':' || v.warehouse || ':' || v.batch, 'piece')
                                offset 0) a
            where v.tenant = $1 and v.batch <> '-' and a.balance > 0 and b.expires_on <= $2
            order by b.expires_on, v.sku, v.warehouse, v.batch limit $3""",
        *(db.tenant, until, limit),
    )

"""What inventory answers (`db`), and what it does after having looked around (`bus`).

What is counted is read from the accounts themselves: right the moment a command returns. An account
of stock is named `stock:<sku>:<warehouse>:<batch>`, so all places of a SKU stand side by side in the accounts' key,
from `stock:<sku>:` up to, not including, `stock:<sku>;`.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any, Literal, TypeVar
from uuid import UUID

from pasar.accounts import batch_pool, batch_shortfall, pool, shortfall
from pasar.kernel.bus import Bus
from pasar.kernel.store import Lookup, Owned, Reader
from pasar.refusals import (
    HoldNotFound,
    InsufficientStock,
    NotAllocatable,
    NotThatMuchThere,
    ShortfallIsSmaller,
    StockIsBusy,
    WarehouseUnknown,
)
from pasar.vocabulary import AccountId, BatchId, HoldId, Sku, Units, WarehouseCode

from . import batch, hold, receipt, warehouse
from .contract import (
    Adjustment,
    AdjustStock,
    Availability,
    BatchOfSku,
    ExtendHold,
    Filling,
    Held,
    HoldStock,
    Movement,
    MoveStock,
    Place,
    PlacedStock,
    Receipt,
    ReceivedLine,
    ReceiveStock,
    RegisterBatch,
    ReleaseHold,
    StockOverview,
    Transferred,
    Warehouse,
)
from .settings import InventorySettings
from .views import expiring as expiring
from .views import open_holds as open_holds

TRIES = 8
T = TypeVar("T")


# Each part is looked up by its key (`lateral … offset 0`): under row-level security a planner may not use a condition
# that computes its text before it has applied the tenant's fence, and would read whole tables instead.
_PLACES = Lookup("""
    select a.sku, a.warehouse, nullif(a.batch, '-') as batch, a.quantity,
           w.state #>> '{what,country}' as country, (w.state #>> '{what,latitude}')::numeric as latitude,
           (w.state #>> '{what,longitude}')::numeric as longitude, (b.state ->> 'expires_on')::date as expires_on,
           case when a.batch <> '-' then greatest(p.balance, 0) end as free
      from (select s.sku, split_part(l.id, ':', 3) as warehouse, split_part(l.id, ':', 4) as batch, l.quantity
              from unnest($2::text[]) s (sku)
             cross join lateral (
                   select a.id, a.balance as quantity from kernel.account a
                    where a.tenant = $1 and a.unit = 'piece' and a.balance > 0
                      and a.id >= 'stock:' || s.sku || ':' and a.id < 'stock:' || s.sku || ';'
                    order by a.tenant, a.id offset 0) l
            offset 0) a
     cross join lateral (select state from kernel.stream
                          where (tenant, kind, id) = ($1, 'inventory.warehouse', a.warehouse) offset 0) w
      left join lateral (select state from kernel.stream
                          where (tenant, kind, id) = ($1, 'inventory.batch', a.sku || ':' || a.batch)
                         offset 0) b on true
      left join lateral (select balance from kernel.account
                          where (tenant, id, unit) = ($1, 'batch_pool:' || a.sku || ':' || a.batch, 'promise')
                         offset 0) p on true
     order by a.sku, a.warehouse, a.batch""")

_OF_WAREHOUSE = """
    select v.sku, v.warehouse, nullif(v.batch, '-') as batch, coalesce(a.balance, 0) as quantity,
           coalesce(x.balance, 0) as blocked, (b.state ->> 'expires_on')::date as expires_on
      from inventory.places v
      left join lateral (select balance from kernel.account
                          where (tenant, id, unit)
                              = ($1, 'stock:' || v.sku || ':' || v.warehouse || ':' || v.batch, 'piece')
                         offset 0) a on true
      left join lateral (select balance from kernel.account
                          where (tenant, id, unit)
                              = ($1, 'blocked:' || v.sku || ':' || v.warehouse || ':' || v.batch, 'piece')
                         offset 0) x on true
      left join lateral (select state from kernel.stream
                          where (tenant, kind, id) = ($1, 'inventory.batch', v.sku || ':' || v.batch)
                         offset 0) b on true
     where v.tenant = $1 and v.warehouse = $2 and (v.sku, v.batch) > ($3, $4)
     order by v.sku, v.batch limit $5"""

# What is sold has no live balance. It is what was rolled up, and what was booked since: both as of one snapshot.
_OVERVIEWS = """
    with mark as (
        select coalesce(c.epoch, 0::smallint) as epoch, coalesce(c.xid, '0') as xid,
               coalesce(c.position, 0) as position
          from (values (1)) one left join kernel.cursor c on c.follower = 'rollup'),
    fresh as (
        select t.debit, t.credit, t.amount
          from mark m
          join kernel.event e on e.tenant = $1 and (e.epoch, e.xid, e.position) > (m.epoch, m.xid, m.position)
          join kernel.transfer t on t.tenant = $1 and t.position = e.position
         where t.phase in (2, 4) and t.unit = 'promise'),
    booked as (
        select id, credits - debits as n from kernel.rollup where tenant = $1 and unit = 'promise'
        union all select debit, -amount from fresh
        union all select credit, amount from fresh),
    part as (
        select split_part(id, ':', 2) as sku, case when id like 'batch%' then split_part(id, ':', 3) end as batch,
               'sold' as what, n, 0 as held
          from booked where split_part(id, ':', 1) in ('sold', 'batch_sold')
        union all
        select split_part(id, ':', 2), case when id like 'batch%' then split_part(id, ':', 3) end,
               regexp_replace(split_part(id, ':', 1), '^batch_', ''), balance, held
          from kernel.account where tenant = $1 and unit = 'promise'
           and split_part(id, ':', 1) in ('pool', 'sale_pool', 'batch_pool', 'shortfall', 'batch_shortfall')
        union all select split_part(id, ':', 2), null, 'stock', balance, held
          from kernel.account where tenant = $1 and unit = 'piece' and id like 'stock:%'
        union all
        select split_part(id, ':', 2), split_part(id, ':', 4), 'stock', balance, held
          from kernel.account where tenant = $1 and unit = 'piece' and id like 'stock:%' and id not like '%:-'
        union all
        select split_part(a.id, ':', 2), b.batch, 'blocked', a.balance, a.held
          from kernel.account a, lateral (values (null), (split_part(a.id, ':', 4))) b (batch)
         where a.tenant = $1 and a.unit = 'piece' and a.id like 'blocked:%')
    select sku, batch, coalesce(sum(n) filter (where what = 'stock'), 0)::bigint as stock,
           coalesce(sum(n) filter (where what = 'pool'), 0)::bigint as available,
           coalesce(sum(held) filter (where what in ('pool', 'sale_pool')), 0)::bigint as held,
           coalesce(sum(n) filter (where what = 'sale_pool'), 0)::bigint as in_sales,
           coalesce(sum(n) filter (where what = 'sold'), 0)::bigint as sold,
           coalesce(sum(n) filter (where what = 'shortfall'), 0)::bigint as shortfall,
           coalesce(sum(n) filter (where what = 'blocked'), 0)::bigint as blocked
      from part where $2::text is null or sku = $2 group by sku, batch order by sku, batch nulls first"""


async def availability(db: Reader, skus: Sequence[Sku]) -> list[Availability]:
    """How many units of each SKU can still be promised, as of now; one statement."""
    found = await db.balances([pool(sku) for sku in skus])
    return [Availability(sku=sku, available=units) for sku, units in zip(skus, found, strict=True)]


async def batch_availability(db: Reader, batches: Sequence[tuple[Sku, BatchId]]) -> list[int]:
    """How many units of each batch can still be promised to those who name it."""
    return await db.balances([batch_pool(sku, batch) for sku, batch in batches])


async def places(db: Reader, skus: Sequence[Sku]) -> list[Place]:
    """Where pieces of these SKUs lie, as of now; one statement, whatever the number of SKUs."""
    return await db.all(Place, _PLACES, db.tenant, list(dict.fromkeys(skus)))


async def stock_of_warehouse(
    db: Reader, code: WarehouseCode, *, limit: int, after: tuple[str, str] | None = None
) -> list[PlacedStock]:
    """What lies in a warehouse, by SKU and batch; places that have become empty are listed with 0."""
    sku, of = after or ("", "")
    return await db.all(PlacedStock, _OF_WAREHOUSE, db.tenant, code, sku, of, limit)


async def overview(db: Reader, sku: Sku) -> list[StockOverview]:
    """All that is counted of a SKU, and of each of its batches."""
    return await db.all(StockOverview, _OVERVIEWS, db.tenant, sku)


async def unbalanced(db: Reader) -> list[StockOverview]:
    """Every SKU and batch of which stock is not what pools, holds and sales say; empty when all is well."""
    counted = await db.all(StockOverview, _OVERVIEWS, db.tenant, None)
    return [one for one in counted if one.difference]


async def stock_that_does_not_add_up(db: Reader) -> list[str]:
    """The same as sentences, for `pasar doctor`."""
    return [
        f"{one.sku}{f', batch {one.batch}' if one.batch else ''}: {one.stock} in stock, but {one.available} in the "
        f"pool + {one.in_sales} in sales + {one.held} held + {one.sold} sold − {one.shortfall} short"
        for one in await unbalanced(db)
    ]


async def warehouses(db: Reader) -> list[Warehouse]:
    return await db.all(
        Warehouse,
        """select warehouse, name, country, latitude, longitude from inventory.warehouses
            where tenant = $1 order by warehouse limit 1000""",
        db.tenant,
    )


async def movements(db: Reader, sku: Sku, *, limit: int, after: tuple[int, int] | None = None) -> list[Movement]:
    """The movement journal of a SKU, newest first; `after` is position and line of the last one seen."""
    position, line = after or ((1 << 63) - 1, 0)
    return await db.all(
        Movement,
        """select at, kind, sku, quantity, warehouse, batch, reference, position, line from inventory.movements
            where tenant = $1 and sku = $2 and (position < $3 or (position = $3 and line > $4))
            order by position desc, line limit $5""",
        *(db.tenant, sku, position, line, limit),
    )


async def hold_of(db: Reader, owner: AccountId, id: HoldId) -> Held:
    """An own hold; another's is as if it were not there."""
    found = await db.state(hold.hold, id)
    held = None if found is None else hold.answer(found)
    if held is None or held.owner != owner:
        raise HoldNotFound(f"there is no hold {id}")
    return held


async def holds_of(db: Reader, owner: AccountId, *, limit: int = 20) -> list[Held]:
    """Somebody's newest holds, over ones too."""
    owned: list[Owned[hold.Hold]] = await db.owned(hold.hold, str(owner), limit=limit)
    return [held for one in owned if (held := hold.answer(one.state)) is not None]


def _settings(bus: Bus) -> InventorySettings:
    return bus.settings.section(InventorySettings)


async def hold_stock(bus: Bus, id: HoldId, owner: AccountId, sku: Sku, quantity: Units) -> Held:
    """Keep units for a cart. A refusal for want of units says how many there are."""
    settings = _settings(bus)
    until = bus.now() + timedelta(minutes=settings.cart_hold_min)
    limit = settings.holds_per_person
    command = HoldStock(hold=id, owner=owner, sku=sku, quantity=quantity, until=until, limit=limit)
    try:
        return await bus.send(command)
    except InsufficientStock as refused:
        left = await bus.db.balance(pool(sku))
        raise InsufficientStock(refused.detail, sku=sku, available=left) from None


async def extend_hold(bus: Bus, owner: AccountId, id: HoldId) -> Held:
    """Keep them longer, by a fixed time from when the hold would have ended."""
    held, settings = await hold_of(bus.db, owner, id), _settings(bus)
    until = held.until + timedelta(minutes=settings.hold_extension_min)
    return await bus.send(ExtendHold(hold=id, until=until, limit=settings.hold_extensions))


async def release_hold(bus: Bus, owner: AccountId, id: HoldId) -> Held:
    await hold_of(bus.db, owner, id)
    return await bus.send(ReleaseHold(hold=id))


async def receive(
    bus: Bus,
    id: UUID,
    code: WarehouseCode,
    lines: tuple[ReceivedLine, ...],
    *,
    origin: Literal["purchase", "return"] = "purchase",
    reference: str = "",
) -> Receipt:
    """Goods arrive. Batches that are new are registered in the same change; goods first fill what is short."""
    await need_warehouses(bus.db, code)
    registrations = await _registrations(bus, lines)
    new = {(one.sku, one.batch): one.expires_on for one in registrations}
    expired = await expired_of(bus, [(line.sku, line.batch) for line in lines if line.batch], new)
    gone = {(one.sku, one.batch) for one in expired}
    sellable = [line for line in lines if (line.sku, line.batch) not in gone]

    async def attempt() -> Receipt:
        what: dict[str, Any] = {"warehouse": code, "lines": lines, "origin": origin, "reference": reference}
        fills = await _fills(bus.db, sellable)
        command = ReceiveStock(receipt=id, fills=fills, expired=expired, **what)
        return await bus.send_together(command, *registrations)

    return await _until_it_fits(attempt)


async def adjust(
    bus: Bus, id: UUID, code: WarehouseCode, sku: Sku, batch_id: BatchId | None, delta: int, reason: str
) -> Adjustment:
    """Book what stocktaking found: a loss leaves the pool as far as it goes, finds fill what is short."""
    await need_warehouses(bus.db, code)
    accounts = [pool(sku), shortfall(sku)]
    if batch_id is not None:
        accounts += [batch_pool(sku, batch_id), batch_shortfall(sku, batch_id)]

    async def attempt() -> Adjustment:
        free, short, batch_free, batch_short = [*await bus.db.balances(accounts), 0, 0][:4]
        lost, found = max(-delta, 0), max(delta, 0)
        return await bus.send(
            AdjustStock(
                adjustment=id,
                warehouse=code,
                sku=sku,
                batch=batch_id,
                delta=delta,
                from_pool=min(lost, free),
                from_batch_pool=min(lost, batch_free),
                fills=min(found, short),
                batch_fills=min(found, batch_short),
                reason=reason,
            )
        )

    return await _until_it_fits(attempt)


async def move(
    bus: Bus,
    id: UUID,
    source: WarehouseCode,
    target: WarehouseCode,
    sku: Sku,
    batch_id: BatchId | None,
    quantity: Units,
) -> Transferred | None:
    """From one warehouse to another; to the same one is nothing at all."""
    await need_warehouses(bus.db, source, target)
    try:
        return await bus.send(
            MoveStock(
                transfer=id, from_warehouse=source, to_warehouse=target, sku=sku, batch=batch_id, quantity=quantity
            )
        )
    except NotAllocatable as refused:
        raise NotThatMuchThere(f"{refused.detail} has not {quantity}") from None


async def _until_it_fits(attempt: Callable[[], Awaitable[T]]) -> T:
    """The floors judge a split that was read a moment before; where a rival was faster, read and split again."""
    for _ in range(TRIES):
        try:
            return await attempt()
        except (InsufficientStock, ShortfallIsSmaller):
            continue
        except NotAllocatable as refused:
            raise NotThatMuchThere(refused.detail) from None
    raise StockIsBusy()


async def need_warehouses(db: Reader, *codes: WarehouseCode) -> None:
    """Raises `WarehouseUnknown` for the first that was never opened."""
    found = await db.states(warehouse.warehouse, codes)
    for code in codes:
        if code not in found:
            raise WarehouseUnknown(f"there is no warehouse {code}")


def today(bus: Bus) -> date:
    """The day it is where the shop is: a batch is sold up to the end of its last one."""
    return _settings(bus).day_of(bus.now())


async def expired_of(
    bus: Bus,
    batches: Iterable[tuple[Sku, BatchId]],
    new: Mapping[tuple[Sku, BatchId], date | None] = MappingProxyType({}),
) -> tuple[BatchOfSku, ...]:
    """Those of which the last day has passed; `new` has the days of batches that are just being registered."""
    names = {batch.name_of_batch(*key): key for key in batches}
    known = await bus.db.states(batch.batch, names)
    days = {key: known[name].expires_on if name in known else new.get(key) for name, key in names.items()}
    return tuple(BatchOfSku(sku=sku, batch=of) for (sku, of), day in days.items() if day and day < today(bus))


async def _registrations(bus: Bus, lines: Sequence[ReceivedLine]) -> list[RegisterBatch]:
    """One for each batch that is new, or that lines say something else of (which its decider then refuses)."""
    wanted: dict[str, list[RegisterBatch]] = {}
    for line in lines:
        if line.batch is not None:
            name = batch.name_of_batch(line.sku, line.batch)
            day = {
                "expires_on": line.expires_on,
                "expires_at": line.expires_on and _settings(bus).end_of(line.expires_on),
            }
            command = RegisterBatch(batch_of=name, sku=line.sku, batch=line.batch, **day)
            wanted.setdefault(name, []).append(command)
    known = await bus.db.states(batch.batch, wanted)
    registrations = []
    for name, commands in wanted.items():
        state = known.get(name, batch.KnownBatch())
        for command in sorted(commands, key=lambda one: one.expires_on is None):
            for event in batch.decide(command, state):
                state = batch.evolve(state, event)
                registrations.append(command)
    return registrations


async def _fills(db: Reader, lines: Sequence[ReceivedLine]) -> tuple[Filling, ...]:
    units = receipt.units_of(lines)
    keys = list(units)
    short = await db.balances([shortfall(sku) if of is None else batch_shortfall(sku, of) for sku, of in keys])
    return tuple(
        Filling(sku=sku, batch=of, quantity=min(units[sku, of], n))
        for (sku, of), n in zip(keys, short, strict=True)
        if n > 0
    )

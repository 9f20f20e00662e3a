"""Which units of an order come from where: plans that are the same for the same input, whatever its order.

A strategy orders the warehouses for a line and says whether one of them should send everything. Within a warehouse
goods that expire first go first, never expired ones. An order is planned as a whole or not at all. Distances are plain
numbers; nothing here is money but the price by which lines are ranked (requirement S3-090).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from math import asin, cos, radians, sin, sqrt
from typing import Any

from pasar.kernel.messages import Value
from pasar.refusals import NotAllocatable
from pasar.vocabulary import BatchId, Sku, WarehouseCode

from .contract import DIGITAL, Pick

EARTH_KM = 6371
SAME_COUNTRY_KM, ABROAD_KM = 300, 8000
"""Taken where coordinates are not known: any known way at home is shorter than most ways abroad."""


class Wanted(Value):
    """A line of the order."""

    line_id: str
    sku: Sku
    quantity: int
    unit_price: Decimal
    batch: BatchId | None = None
    store: str | None = None
    digital: bool = False


class Spot(Value):
    """Pieces of a SKU in one place. `free`: of its batch, in all warehouses, so many may go to who names no batch."""

    sku: Sku
    warehouse: WarehouseCode
    batch: BatchId | None
    quantity: int
    country: str
    latitude: Decimal
    longitude: Decimal
    expires_on: date | None = None
    free: int | None = None


class Destination(Value):
    country: str
    latitude: Decimal | None = None
    longitude: Decimal | None = None


class Site(Value):
    """A warehouse as a strategy sees it."""

    warehouse: WarehouseCode
    distance_km: Any


Order = Callable[[Sequence[Site]], Sequence[Sequence[Site]]]
"""Given the warehouses, nearest first: the sets of them to try, in this order; the first that has everything wins. The
last one holds all, for it says what is missing."""


def nearest_first(sites: Sequence[Site]) -> Sequence[Sequence[Site]]:
    """S3: the nearest warehouse is used up before the next one is used."""
    return [sites]


def one_parcel_first(sites: Sequence[Site]) -> Sequence[Sequence[Site]]:
    """The nearest warehouse that has everything; where none has, nearest first."""
    return [*([site] for site in sites), sites]


STRATEGIES: Mapping[str, Order] = {"nearest_first": nearest_first, "one_parcel_first": one_parcel_first}


def distance_km(destination: Destination, spot: Spot) -> Any:
    """Great-circle distance (haversine); a warehouse at 0, 0 has not said where it is."""
    unknown = destination.latitude is None or destination.longitude is None or not (spot.latitude or spot.longitude)
    if unknown:
        return SAME_COUNTRY_KM if spot.country == destination.country else ABROAD_KM
    here, there = radians(destination.latitude), radians(spot.latitude)  # type: ignore[arg-type]
    over = radians(spot.longitude - destination.longitude)  # type: ignore[operator]
    half = sin((there - here) / 2) ** 2 + cos(here) * cos(there) * sin(over / 2) ** 2
    return 2 * EARTH_KM * asin(min(1, sqrt(half)))


def plan(
    strategy: str, lines: Iterable[Wanted], spots: Iterable[Spot], destination: Destination, today: date
) -> tuple[Pick, ...]:
    """Raises `NotAllocatable` with the missing units by SKU when no set of warehouses has everything."""
    usable = [spot for spot in spots if spot.quantity > 0 and (spot.expires_on is None or spot.expires_on >= today)]
    lines = tuple(lines)
    digital = [_digital(line) for line in sorted(lines, key=lambda line: line.line_id) if line.digital]
    goods = (line for line in lines if not line.digital)
    ranked = sorted(goods, key=lambda line: (line.batch is None, -line.unit_price, line.line_id))
    distances = {spot.warehouse: distance_km(destination, spot) for spot in usable}
    sites = [Site(warehouse=name, distance_km=km) for name, km in sorted(distances.items(), key=_near)]
    missing: dict[Sku, int] = {}
    for tried in STRATEGIES[strategy](sites):
        picks, missing = _take(ranked, usable, [site.warehouse for site in tried])
        if not missing:
            return (*picks, *digital)
    shortfall = [{"sku": sku, "missing": n} for sku, n in sorted(missing.items())]
    raise NotAllocatable(reason="insufficient_inventory", shortfall=shortfall)


def _near(item: tuple[str, Any]) -> tuple[Any, str]:
    return item[1], item[0]


def _first_expired(spot: Spot) -> tuple[bool, date, str]:
    return spot.expires_on is None, spot.expires_on or date.max, spot.batch or ""


def _take(
    lines: Sequence[Wanted], spots: Sequence[Spot], warehouses: Sequence[WarehouseCode]
) -> tuple[list[Pick], dict[Sku, int]]:
    """Serve the lines one after the other; what they leave is what the next one finds. Also what is missing."""
    rank = {name: n for n, name in enumerate(warehouses)}
    by_sku: dict[Sku, list[Spot]] = {}
    for spot in sorted(
        (spot for spot in spots if spot.warehouse in rank),
        key=lambda spot: (rank[spot.warehouse], _first_expired(spot)),
    ):
        by_sku.setdefault(spot.sku, []).append(spot)
    left = {(spot.sku, spot.warehouse, spot.batch): spot.quantity for spot in spots}
    free: dict[tuple[Sku, BatchId | None], int] = {
        (spot.sku, spot.batch): spot.free for spot in spots if spot.batch and spot.free is not None
    }
    picks: list[Pick] = []
    missing: dict[Sku, int] = {}
    for line in lines:
        remaining = line.quantity
        for spot in by_sku.get(line.sku, ()):
            if line.batch is not None and spot.batch != line.batch:
                continue
            place, batch = (spot.sku, spot.warehouse, spot.batch), (spot.sku, spot.batch)
            most = left[place] if line.batch is not None else min(left[place], free.get(batch, left[place]))
            quantity = min(remaining, most)
            if quantity < 1:
                continue
            left[place] -= quantity
            remaining -= quantity
            if line.batch is None and batch in free:
                free[batch] -= quantity
            picks.append(_pick(line, spot, quantity))
        if remaining:
            missing[line.sku] = missing.get(line.sku, 0) + remaining
    return picks, missing


def _digital(line: Wanted) -> Pick:
    return Pick(
        line_id=line.line_id,
        sku=line.sku,
        quantity=line.quantity,
        warehouse=DIGITAL,
        store=line.store,
        digital=True,
    )


def _pick(line: Wanted, spot: Spot, quantity: int) -> Pick:
    return Pick(
        line_id=line.line_id,
        sku=line.sku,
        quantity=quantity,
        warehouse=spot.warehouse,
        batch=spot.batch,
        named_batch=line.batch is not None,
        store=line.store,
    )

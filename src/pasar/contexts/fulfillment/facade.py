"""What fulfillment answers (`db`), and what it does after having looked around (`bus`)."""

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal

from msgspec import Meta

from pasar.contexts.inventory import facade as inventory
from pasar.contexts.pricing.contract import QuotedLine
from pasar.kernel.access import Principal
from pasar.kernel.bus import Bus
from pasar.kernel.messages import Refused
from pasar.kernel.settings import Section, register
from pasar.kernel.store import Reader
from pasar.refusals import InsufficientStock, NotAllocatable, OrderNotFound, ParcelNotFound, StockIsBusy
from pasar.vocabulary import AccountId, Address, OrderNo, WarehouseCode

from .allocation import Destination, Spot, Wanted, plan
from .contract import Allocate, Fulfillment, ParcelToDo, Pick, ShipParcel, ShippingLine
from .fulfillment import Fulfilled, answer, fulfillment

TRIES = 8
_DAYS = re.compile(r"([A-Z]{2}|\*):(\d{1,2})-(\d{1,2})")
Strategy = Literal["nearest_first", "one_parcel_first"]


class FulfillmentSettings(Section, frozen=True):
    """Where goods are sent from, and when they are said to arrive."""

    strategy: Annotated[
        Strategy,
        Meta(
            description="nearest_first uses up the nearest warehouse before the next one; one_parcel_first lets the "
            "nearest warehouse that has everything send it."
        ),
    ] = "one_parcel_first"
    leaves_until: Annotated[
        int,
        Meta(
            ge=0,
            le=24,
            description="The hour, in the zone of ordering.time_zone, until which orders leave the same day.",
        ),
    ] = 14
    delivery_days: Annotated[
        tuple[str, ...],
        Meta(description="Working days to a country, first and last: KR:1-2. * is every other country."),
    ] = ("KR:1-2", "JP:3-5", "CN:4-7", "*:6-10")

    def problems(self) -> Iterable[str]:
        for text in self.delivery_days:
            if not _DAYS.fullmatch(text):
                yield f"delivery_days has {text!r}; write for example KR:1-2"
        if not any(text.startswith("*:") for text in self.delivery_days):
            yield "delivery_days says nothing of other countries; add for example *:6-10"

    def days_to(self, country: str) -> tuple[int, int]:
        """Working days until an order arrives there: at the soonest, at the latest."""
        known = {
            found[1]: (int(found[2]), int(found[3])) for text in self.delivery_days if (found := _DAYS.fullmatch(text))
        }
        return known.get(country) or known["*"]


register("fulfillment", FulfillmentSettings, profiles={"algorithms": {"strategy": "nearest_first"}})


async def plan_for(
    db: Reader, lines: Iterable[QuotedLine], destination: Destination, strategy: str, today: date
) -> tuple[Pick, ...]:
    """Where an order's goods would come from that day; one statement. Raises `NotAllocatable` with what is missing."""
    wanted = [
        Wanted(
            line_id=line.line_id,
            sku=line.sku,
            quantity=line.quantity,
            unit_price=line.unit_price,
            batch=line.batch,
            store=line.store,
            digital=line.is_digital,
        )
        for line in lines
    ]
    spots = [
        Spot(
            sku=place.sku,
            warehouse=place.warehouse,
            batch=place.batch,
            quantity=place.quantity,
            country=place.country,
            latitude=place.latitude,
            longitude=place.longitude,
            expires_on=place.expires_on,
            free=place.free,
        )
        for place in await inventory.places(db, [line.sku for line in wanted if not line.digital])
    ]
    return plan(strategy, wanted, spots, destination, today)


async def plan_and_allocate(
    bus: Bus, order_no: OrderNo, buyer: AccountId, address: Address, lines: Sequence[QuotedLine]
) -> Fulfillment:
    """Bind a paid order's units to places, all or none; a repeat gets what the first one did. Where a rival is faster,
    plan again. Raises `NotAllocatable` when stock does not suffice, `StockIsBusy` when rivals were always faster."""
    done = await bus.db.state(fulfillment, order_no)
    if done is not None and done.state == "allocated" and (found := answer(done)) is not None:
        return found
    strategy = bus.settings.section(FulfillmentSettings).strategy
    destination = Destination(country=address.country, latitude=address.latitude, longitude=address.longitude)
    for _ in range(TRIES):
        now = bus.now()
        picks = await plan_for(bus.db, lines, destination, strategy, inventory.today(bus))
        command = Allocate(order_no=order_no, buyer=buyer, address=address, picks=picks, strategy=strategy, at=now)
        try:
            return await bus.send(command)
        except (NotAllocatable, InsufficientStock):
            continue  # Taken between the look and the booking.
    raise StockIsBusy(f"order {order_no} was not allocated: rivals were faster {TRIES} times")


async def of_order(db: Reader, order_no: OrderNo, who: Principal) -> Fulfillment:
    """Parcels and stages of an order, for its buyer and staff; for sellers, the parcels of their own stores. What is
    not theirs is as if it were not there."""
    state = await db.state(fulfillment, order_no)
    found = None if state is None else answer(state)
    if state is None or found is None:
        raise OrderNotFound(f"there is nothing to send for order {order_no}")
    if str(state.buyer) == who.id or who.has("admin", "warehouse", "finance"):
        return found
    own = tuple(parcel for parcel in found.parcels if _all_of(parcel.picks, who.stores))
    if who.kind not in ("seller", "manager") or not own:
        raise OrderNotFound(f"there is nothing to send for order {order_no}")
    return Fulfillment(order_no=order_no, parcels=own, address=found.address)


def _all_of(picks: Sequence[Pick], stores: frozenset[str]) -> bool:
    return all(pick.store is not None and pick.store in stores for pick in picks)


async def may_move(db: Reader, order_no: OrderNo, parcel: str, who: Principal) -> Fulfilled:
    """The order's state, where the parcel is one that this person may handle; else as if it were not there."""
    state = await db.state(fulfillment, order_no)
    if state is not None and state.state != "new":
        wanted = state.parcel(parcel)
        if who.has("warehouse", "admin") or _all_of(wanted.picks, who.stores):
            return state
    raise ParcelNotFound(f"order {order_no} has no parcel {parcel}")


async def move(bus: Bus, who: Principal, command: Any) -> Fulfillment:
    """Send one of the commands that move a parcel, if it is one that this person may handle."""
    await may_move(bus.db, command.order_no, command.parcel, who)
    await bus.send(command)
    return await of_order(bus.db, command.order_no, who)


async def parcels(
    db: Reader,
    who: Principal,
    *,
    states: Sequence[str],
    warehouse: WarehouseCode | None,
    limit: int,
    after: tuple[datetime, str, str] | None = None,
) -> list[ParcelToDo]:
    """Parcels, oldest first; sellers and managers see those that hold goods of their stores only."""
    stores = None if who.has("warehouse", "admin") else sorted(who.stores)
    at, order_no, parcel = after or (None, "", "")
    return await db.all(
        ParcelToDo,
        """select order_no, parcel, warehouse, state, stores, picks, carrier, tracking_no, allocated_at, updated_at
             from fulfillment.parcels
            where tenant = $1 and ($2::text[] is null or stores <@ $2) and ($3::text is null or warehouse = $3)
              and state = any ($4) and ($5::timestamptz is null or (allocated_at, order_no, parcel) > ($5, $6, $7))
            order by allocated_at, order_no, parcel limit $8""",
        *(db.tenant, stores, warehouse, list(states), at, order_no, parcel, limit),
    )


_ENTRY = re.compile(r"[\s,;]+")


async def ship_list(bus: Bus, who: Principal, carrier: str, text: str) -> list[ShippingLine]:
    """Ship what a pasted list says: a line is order number, parcel (left out where there is one), tracking number.
    Each line is done or refused by itself; pasting the list again changes nothing."""
    done = []
    for number, line in enumerate(text.splitlines(), 1):
        entry = [part for part in _ENTRY.split(line.strip()) if part]
        if entry:
            done.append(await _ship_line(bus, who, number, carrier, entry))
    return done


async def _ship_line(bus: Bus, who: Principal, number: int, carrier: str, entry: list[str]) -> ShippingLine:
    order_no, parcel = entry[0], entry[1] if len(entry) == 3 else ""
    if len(entry) not in (2, 3) or not _TRACKING.fullmatch(entry[-1]):
        detail = "a line is order number, parcel, tracking number"
        return ShippingLine(line=number, order_no=order_no, shipped=False, detail=detail)
    try:
        parcel = parcel or await _only_parcel(bus.db, order_no)
        command = ShipParcel(order_no=order_no, parcel=parcel, carrier=carrier, tracking_no=entry[-1], at=bus.now())
        await may_move(bus.db, order_no, parcel, who)
        await bus.send(command)
    except Refused as refused:
        return ShippingLine(
            line=number, order_no=order_no, parcel=parcel, shipped=False, code=refused.code, detail=refused.detail
        )
    return ShippingLine(line=number, order_no=order_no, parcel=parcel, shipped=True)


_TRACKING = re.compile(r"[A-Za-z0-9-]{4,40}")


async def _only_parcel(db: Reader, order_no: str) -> str:
    state = await db.state(fulfillment, order_no)
    names = [parcel.parcel for parcel in state.parcels if not parcel.digital] if state is not None else []
    if len(names) != 1:
        raise ParcelNotFound(f"order {order_no} has {len(names)} parcels: say which")
    return names[0]

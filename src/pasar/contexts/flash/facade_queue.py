"""The lane in front of a sale: who may try next. Joining reads no body, asks the database a few times a second however
many come, and says "sold out" without asking at all."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from pasar.kernel.access import Principal
from pasar.kernel.bus import Bus
from pasar.kernel.cache import cache_of
from pasar.kernel.messages import encode
from pasar.kernel.rates import Rate
from pasar.kernel.settings import Settings
from pasar.kernel.web_refusals import TooManyRequests, Unavailable
from pasar.refusals import NotQueued, TicketRefused

from . import facade, ticket
from .contract import QueuePlace, Sale, SaleStatus
from .facade_lane import Lane, lane
from .gateway import Line, Rules, Standing
from .settings import FlashSettings
from .ticket import Ticket

STREAMS = 5_000
STREAM_S = 60
DEVICE_BYTES = 200
LOOK_MS, RARE_MS = 500, 3_000
"""How often somebody who waits for the answer looks whether it is their turn: when it is near, and when others have
tickets for all there is."""


def _rules(bus: Bus, units: int) -> Rules:
    chosen = bus.settings.section(FlashSettings)
    most = max(1, units * chosen.waiting_percent // 100)
    return Rules(chosen.admit_per_s, chosen.ticket_s * 1000, chosen.place_s * 1000, most)


def _now_ms(bus: Bus) -> int:
    return int(bus.now().timestamp() * 1000)


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


async def _within_limits(bus: Bus, here: Lane, who: Principal, device: str | None, address: str) -> None:
    chosen, tenant = bus.settings.section(FlashSettings), bus.context.tenant
    names = {f"member:{who.id}": chosen.joins_per_member_min, f"address:{address}": chosen.joins_per_address_min}
    if device:
        names[f"device:{device[:DEVICE_BYTES]}"] = chosen.joins_per_device_min
    rates = {f"flash:{tenant}:{name}": Rate(per_min / 60, per_min) for name, per_min in names.items()}
    if wait_s := await here.rates.take(rates):
        raise TooManyRequests("you join too often", retry_after_s=int(wait_s) + 1)


async def status(bus: Bus, code: str) -> SaleStatus:
    """How a sale stands. Whoever looks at its page also prepares this process for those who will join; of the many who
    do before it begins, the first one's question serves all."""
    here = lane(bus)

    async def make() -> SaleStatus:
        await here.glance.sale(bus.db, code)
        shown = await facade.status(bus, code)
        for item in shown.items:
            await here.count(bus, Line(bus.context.tenant, code, item.sku))
        return shown

    found = await cache_of(bus).get("sale", f"{bus.context.tenant}:{code}", SaleStatus, make)
    assert found is not None
    return found


async def join(
    bus: Bus, who: Principal, code: str, sku: str, units: int, device: str | None, address: str, wait_s: int = 0
) -> QueuePlace:
    """Stand in the queue of a SKU, or hear where one stands; the answer waits so many seconds for one that is final.
    Nobody's place is better for asking often."""
    here = lane(bus)
    await _within_limits(bus, here, who, device, address)
    sale = await here.glance.sale(bus.db, code)
    facade.check_open(sale, bus.now())
    item = facade.item_of(sale, sku, units)
    if not sale.queued:
        raise NotQueued(f"orders of the sale {code} need no ticket")
    line, rules = Line(bus.context.tenant, code, sku), _rules(bus, item.units)
    await here.count(bus, line)

    async def standing() -> Standing:
        return await here.queue.join(line, who.id, units, _now_ms(bus), rules)

    found = await standing()
    if found.state == "uncounted":
        await here.count(bus, line, now=True)
        found = await standing()
    if found.state == "uncounted":  # Whoever keeps the queue has forgotten it since.
        await here.recount(bus, line)
        found = await standing()
    ends_ms = _monotonic_ms() + 1000 * wait_s
    while found.state in ("waiting", "full") and (left_ms := ends_ms - _monotonic_ms()) > 0:
        look_ms = left_ms if found.state == "full" else LOOK_MS if found.wait_s <= 1 else RARE_MS
        sold_out = await here.sold_out(bus, line, min(left_ms, look_ms))
        found = Standing("sold_out") if sold_out and found.state == "full" else await standing()
        if sold_out:
            break
    return _shown(bus, sale, sku, who, units, found)


async def look(bus: Bus, who: Principal, code: str, sku: str) -> QueuePlace:
    """Where somebody stands; refuses (6108) who does not."""
    here = lane(bus)
    sale = await here.glance.sale(bus.db, code)
    facade.check_open(sale, bus.now())
    item = facade.item_of(sale, sku, 1)
    line, rules = Line(bus.context.tenant, code, sku), _rules(bus, item.units)
    await here.count(bus, line)
    standing = await here.queue.look(line, who.id, _now_ms(bus), rules)
    if standing is None or standing.state == "uncounted":
        raise NotQueued(f"you do not stand in the queue for {sku}")
    return _shown(bus, sale, sku, who, standing.units or 1, standing)


def _shown(bus: Bus, sale: Sale, sku: str, who: Principal, units: int, standing: Standing) -> QueuePlace:
    if standing.state == "admitted":
        until = standing.until_ms // 1000
        admitted = Ticket(
            id=standing.ticket, tenant=bus.context.tenant, sale=sale.sale, sku=sku, member=who.id,
            units=standing.units or units, until=until,
        )  # fmt: skip
        text = ticket.write(admitted, lambda payload: _sign(bus, payload))
        return QueuePlace(state="admitted", ticket=text, ticket_until=datetime.fromtimestamp(until, UTC))
    state = "waiting" if standing.state == "uncounted" else standing.state
    wait_s = standing.wait_s if state == "waiting" else None
    again_s = None if state == "sold_out" and not standing.position else max(1, min(5, standing.wait_s))
    return QueuePlace(state=state, position=standing.position, expected_wait_s=wait_s, ask_again_s=again_s)


def _sign(bus: Bus, payload: str) -> str:
    return bus.keys.digest("sale_ticket", payload, tenant=bus.context.tenant)


async def stream(bus: Bus, who: Principal, code: str, sku: str) -> AsyncIterator[bytes]:
    """The place as server-sent events, whenever it changes, until it is final or a minute is over."""
    here = lane(bus)
    first = await look(bus, who, code, sku)
    if here.streams >= STREAMS:
        raise Unavailable("too many listen just now; ask for the place instead", retry_after_s=2)
    return _events(bus, here, who, code, sku, first)


async def _events(bus: Bus, here: Lane, who: Principal, code: str, sku: str, place: QueuePlace) -> AsyncIterator[bytes]:
    here.streams += 1
    try:
        ends, before = time.monotonic() + STREAM_S, None
        while True:
            if place != before:
                yield b"data: " + encode(place) + b"\n\n"
            if place.state == "admitted" or place.ask_again_s is None or time.monotonic() > ends:
                return
            before = place
            await asyncio.sleep(place.ask_again_s or 1)
            place = await look(bus, who, code, sku)
    finally:
        here.streams -= 1


def ticket_of(bus: Bus, text: str, code: str, sku: str, units: int, member: str) -> Ticket:
    """The ticket of an order; refuses (6106) one that is forged, somebody else's, or for something else."""
    found = ticket.read(text, lambda payload: _sign(bus, payload))
    wanted = (bus.context.tenant, code, sku, member)
    if (found.tenant, found.sale, found.sku, found.member) != wanted or units > found.units:
        raise TicketRefused("the ticket is for another order")
    return found


def check_time(bus: Bus, used: Ticket, grace_s: int = 0) -> None:
    """Refuses (6106) a ticket that is over."""
    if bus.now().timestamp() >= used.until + grace_s:
        raise TicketRefused("the time of the ticket is over; join the queue again")


def admitted(bus: Bus, text: str, code: str, sku: str, units: int, member: str) -> Ticket:
    """The ticket of an order, while it is good; else refuses (6106)."""
    found = ticket_of(bus, text, code, sku, units, member)
    check_time(bus, found)
    return found


async def keep(bus: Bus, used: Ticket, seconds: int) -> None:
    """An order with this ticket waits in the broker."""
    here, line = lane(bus), Line(used.tenant, used.sale, used.sku)
    here.handed_in(used)
    await here.queue.keep(line, used.member, used.id, (used.until + seconds) * 1000)


async def done(bus: Bus, used: Ticket, *, sold: bool) -> None:
    """The order was placed, or refused for good: the next may come."""
    here, line = lane(bus), Line(used.tenant, used.sale, used.sku)
    await here.queue.done(line, used.member, used.id, sold=sold)
    if not sold:
        await here.recount(bus, line)


async def settled(bus: Bus, ticket_id: str, *, sold: bool) -> None:
    """The order that was handed in here with this ticket has been decided, maybe by another process, which cannot tell
    a queue in this one."""
    if used := lane(bus).taken_back(ticket_id):
        await done(bus, used, sold=sold)


def orders_in_flight(settings: Settings) -> int:
    return settings.section(FlashSettings).orders_in_flight


def buffer_s(bus: Bus) -> int:
    return bus.settings.section(FlashSettings).buffer_s

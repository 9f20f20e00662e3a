"""Sales: preparing and ending them, how they stand, and on which terms an order takes from one."""

import asyncio
import re
import time
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from pasar.accounts import sale_pool
from pasar.contexts.catalog import facade as catalog
from pasar.contexts.platform import facade as platform
from pasar.kernel.bus import Bus
from pasar.kernel.messages import decode
from pasar.kernel.store import Reader
from pasar.refusals import (
    DeviceUnknown,
    NotForSale,
    SaleLimitReached,
    SaleMalformed,
    SaleNotFound,
    SaleNotOpen,
    SkuNotFound,
)
from pasar.vocabulary import Address, Period

from .contract import (
    EndSale,
    ItemOnSale,
    PrepareSale,
    Quota,
    Sale,
    SaleItem,
    SalePhase,
    SaleStatus,
    SaleTerms,
)
from .sale import SaleLife
from .sale import sale as sale_decider

_SPACES = re.compile(r"[\W_]+")


class Offer(NamedTuple):
    """What an order takes from a sale, and on which terms."""

    sale: Sale
    item: SaleItem
    terms: SaleTerms


async def prepare(bus: Bus, command: PrepareSale) -> Sale:
    """Lock units away for a sale, in its channel's currency. Digital goods are not stocked, so no sale locks them."""
    channel = await platform.channel(bus.db, command.channel)
    if command.currency != channel.currency:
        raise SaleMalformed(f"prices in {command.channel} are in {channel.currency}")
    known = await catalog.for_sale(bus.db, [item.sku for item in command.items])
    if unknown := sorted({item.sku for item in command.items} - known.keys()):
        raise SkuNotFound(f"there is no SKU {', '.join(unknown)}")
    if digital := sorted(sku for sku, found in known.items() if found.is_digital):
        raise SaleMalformed(f"digital goods are not stocked: {', '.join(digital)}")
    if command.ends_at <= bus.now():
        raise SaleMalformed("the sale would be over already")
    return await bus.send(command)


async def end(bus: Bus, code: str) -> Sale:
    return await bus.send(EndSale(sale=code))


async def sale(db: Reader, code: str) -> Sale:
    """A sale as of now; refuses (6101) unknown ones."""
    found: SaleLife | None = await db.state(sale_decider, code)
    if found is None or found.sale is None:
        raise SaleNotFound(f"there is no sale {code}")
    return found.sale


async def sales(db: Reader, limit: int, after: str | None = None) -> list[Sale]:
    """By their codes, as of now."""
    rows = await db.fetch(
        """select (state -> 'sale')::text as sale from kernel.stream
            where tenant = $1 and kind = $2 and id > $3 order by id limit $4""",
        *(db.tenant, sale_decider.kind, after or "", limit),
    )
    return [decode(row["sale"], Sale) for row in rows]


async def left(db: Reader, found: Sale) -> list[int]:
    """Units of each item that may still be ordered."""
    return await db.balances([sale_pool(item.sku, found.sale) for item in found.items])


def phase(found: Sale, units_left: Sequence[int], now: datetime) -> SalePhase:
    if found.is_ended or now >= found.ends_at:
        return "ended"
    if now < found.starts_at:
        return "upcoming"
    return "running" if any(units_left) else "sold_out"


async def status(bus: Bus, code: str) -> SaleStatus:
    """How a sale stands, as of now."""
    found = await sale(bus.db, code)
    units = await left(bus.db, found)
    shown = {name: getattr(found, name) for name in SaleStatus.__struct_fields__ if hasattr(found, name)}
    items = tuple(
        ItemOnSale(sku=item.sku, price=item.price, units=item.units, left=n)
        for item, n in zip(found.items, units, strict=True)
    )
    return SaleStatus(**{**shown, "phase": phase(found, units, bus.now()), "items": items})


def check_open(found: Sale, now: datetime) -> None:
    """Refuses (6104) before and after; before, with the seconds to wait."""
    if found.is_ended or now >= found.ends_at:
        raise SaleNotOpen(f"the sale {found.sale} is over", sale=found.sale)
    if now < found.starts_at:
        wait_s = min(3600, int((found.starts_at - now).total_seconds()) + 1)
        raise SaleNotOpen(f"the sale {found.sale} has not begun", sale=found.sale, retry_after_s=wait_s)


def item_of(found: Sale, sku: str, units: int) -> SaleItem:
    """The item, and no more units than one member may have."""
    item = found.item(sku)
    if item is None:
        raise NotForSale(f"{sku} is not in the sale {found.sale}", skus=[sku])
    most = found.limits.per_member
    if most is not None and units > most:
        raise SaleLimitReached(f"one member may take {most} of {sku}")
    return item


async def offer(bus: Bus, code: str, sku: str, units: int, buyer: UUID, device: str | None, home: Address) -> Offer:
    """What an order of the sale takes, from the streams and never from a cache. The ledger counts the limits; their
    keys for devices and addresses are keyed hashes that differ from sale to sale."""
    found = await sale(bus.db, code)
    check_open(found, bus.now())
    item, limits = item_of(found, sku, units), found.limits
    quotas = []
    if limits.per_member is not None:
        quotas.append(Quota(who=f"member-{buyer}", most=limits.per_member))
    if limits.per_device is not None:
        if device is None:
            raise DeviceUnknown()
        quotas.append(Quota(who=f"device-{device}", most=limits.per_device))
    if limits.per_address is not None:
        quotas.append(Quota(who=f"address-{await _address_key(bus, code, home)}", most=limits.per_address))
    period = Period(starts_at=found.starts_at, ends_at=found.ends_at)
    return Offer(found, item, SaleTerms(sale=code, period=period, quotas=tuple(quotas)))


def device_key(bus: Bus, code: str, device: str | None) -> str | None:
    """What a device is counted under in a sale."""
    return device and bus.keys.digest("sale_device", f"{code}\x1f{device}", tenant=bus.context.tenant)[:22]


async def _address_key(bus: Bus, code: str, home: Address) -> str:
    """What a delivery address is counted under: where it is, however it is spelt, whoever receives there."""
    opened = await bus.keys.open_all(home)
    street = f"{opened.line1.plain_text} {opened.line2.plain_text if opened.line2 else ''}"
    parts = (opened.country, opened.postal_code, opened.city, street)
    text = "\x1f".join(_SPACES.sub("", part) for part in parts)
    return bus.keys.digest("sale_address", f"{code}\x1f{text}", tenant=bus.context.tenant)[:22]


class Glance:
    """Sales as this process saw them a moment ago: enough to let people into a queue, never to take an order. Made-up
    codes are remembered, too."""

    FRESH_MS = 500
    USABLE_MS = 5_000
    MOST = 10_000

    def __init__(self) -> None:
        self._seen: dict[tuple[int, str], _Seen] = {}

    async def sale(self, db: Reader, code: str) -> Sale:
        """Refuses (6101) unknown codes. Of many who ask at once the first one's question serves all, and nobody waits
        for it who can do with what was seen a little earlier."""
        key, now = (db.tenant, code), time.monotonic_ns() // 1_000_000
        seen = self._seen.get(key)
        if seen is None or (now - seen.at_ms > self.FRESH_MS and seen.asked.done()):
            usable = seen is not None and now - seen.at_ms < self.USABLE_MS and seen.asked.exception() is None
            life = seen.asked.result() if usable and seen is not None else None
            seen = self._seen[key] = _Seen(now, asyncio.ensure_future(db.state(sale_decider, code)), life)
            seen.asked.add_done_callback(_looked_at)
            if len(self._seen) > self.MOST:
                del self._seen[next(iter(self._seen))]
        life = await asyncio.shield(seen.asked) if seen.asked.done() or seen.before is None else seen.before
        if life is None or life.sale is None:
            raise SaleNotFound(f"there is no sale {code}")
        return life.sale


class _Seen(NamedTuple):
    at_ms: int
    asked: "asyncio.Future[SaleLife | None]"
    before: SaleLife | None


def _looked_at(asked: "asyncio.Future[SaleLife | None]") -> None:
    """A question that failed and that nobody waited for is no news: the next one asks again."""
    if not asked.cancelled():
        asked.exception()

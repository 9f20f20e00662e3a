"""Caches are filled before they are asked for: pages of what is looked at most, of what sells, and of sales that begin
soon.

With Redis a worker makes the list and fills what all processes share; each API process reads the list, and says what is
looked at there. Without, each API process does it all for itself.
"""

import asyncio
import logging
from datetime import timedelta
from typing import Literal
from uuid import UUID

import msgspec

from pasar.contexts.catalog import facade as catalog
from pasar.contexts.flash import facade as flash
from pasar.contexts.flash import facade_queue
from pasar.contexts.ordering import facade as ordering
from pasar.contexts.platform import facade as platform
from pasar.kernel.access import Principal
from pasar.kernel.bus import Bus, Context, Core
from pasar.kernel.cache import CacheSettings, cache_of
from pasar.kernel.messages import Value, decode, encode
from pasar.kernel.pool import LOST, PoolExhausted
from pasar.kernel.redis_link import RedisAway, RedisLink
from pasar.refusals import ProductNotFound, SaleNotFound

log = logging.getLogger("pasar.cache")
Role = Literal["api", "worker"]
AHEAD = timedelta(minutes=10)
"""How long before its start the pages of a sale are made."""
DAYS, LIST_S, SALES = 7, 600, 1_000
WHO = Principal(id="warming", kind="admin", roles=frozenset({"admin"}))
PASSING = (*LOST, PoolExhausted, TimeoutError)


class WarmUp(Value):
    """What is to be in the caches: products in channels, and sales."""

    pages: tuple[tuple[UUID, str], ...] = ()
    sales: tuple[str, ...] = ()


async def planned(bus: Bus, looked_at: list[tuple[UUID, str]], most: int) -> WarmUp:
    """From the plan of sales, from behaviour: what was bought and looked at. The sales first."""
    now = bus.now()
    soon = [
        sale
        for sale in await flash.sales(bus.db, SALES)
        if not sale.is_ended and sale.starts_at - AHEAD <= now < sale.ends_at
    ]
    sold = await ordering.best_sellers(bus, WHO, DAYS, most)
    channels = [channel.channel for channel in await platform.all_channels(bus.db, 100)]
    skus = [item.sku for sale in soon for item in sale.items] + [one.sku for one in sold]
    known = await catalog.for_sale(bus.db, skus)
    pages = [(known[sku].product, channel) for sku in skus if sku in known for channel in channels]
    first = tuple(dict.fromkeys(pages + looked_at))[:most]
    return WarmUp(pages=first, sales=tuple(sale.sale for sale in soon))


async def fill(bus: Bus, plan: WarmUp) -> None:
    """Ask for all of it, one after the other: nobody waits."""
    for product, channel in plan.pages:
        try:
            await catalog.page_for_shoppers(bus, product, channel or None)
        except ProductNotFound:
            continue
    for sale in plan.sales:
        try:
            await facade_queue.status(bus, sale)
        except SaleNotFound:
            continue


async def warm(core: Core, role: Role, tenant: int = 1) -> WarmUp:
    """One round."""
    chosen, cache = core.settings.section(CacheSettings), cache_of(core)
    bus = core.bus(Context(tenant=tenant, principal=WHO.id))
    looked_at = cache.most_asked("product", chosen.warm_pages)
    mine = [(UUID(key.partition(":")[2]), variant) for key, variant in looked_at if key.startswith(f"{tenant}:")]
    url = core.settings.section("redis").url
    if not url:
        plan = await planned(bus, mine, chosen.warm_pages)
    else:
        shared = _Shared(core.tool(RedisLink, lambda: RedisLink(url)), tenant)
        if role == "api":
            await shared.note(mine)
            plan = await shared.read()
        else:
            plan = await planned(bus, await shared.looked_at(chosen.warm_pages), chosen.warm_pages)
            await shared.write(plan)
    await fill(bus, plan)
    return plan


async def keep_warm(core: Core, role: Role) -> None:
    """Round after round; where pages are not kept, or nobody asks for them and nothing is shared, nothing is to do."""
    chosen, cache = core.settings.section(CacheSettings), cache_of(core)
    useful = role == "api" or bool(core.settings.section("redis").url)
    if not chosen.warm_s or not cache.keeps("product") or not useful:
        return
    while True:
        try:
            await warm(core, role)
        except (*PASSING, RedisAway) as error:
            log.warning("caches could not be filled: %s", type(error).__name__)
        except Exception:  # What is wrong with one round must not end the process that serves.
            log.exception("caches could not be filled")
        await asyncio.sleep(min(chosen.warm_s, max(1, cache.max_age_s("product"))))


class _Shared:
    """The list, and how often pages were looked at, in Redis."""

    def __init__(self, link: RedisLink, tenant: int) -> None:
        self._link = link
        self._list, self._looked = f"pasar:warm:{{{tenant}}}:list", f"pasar:warm:{{{tenant}}}:looked"

    async def note(self, pages: list[tuple[UUID, str]]) -> None:
        for place, (product, channel) in enumerate(pages):
            await self._link.do("ZINCRBY", self._looked, len(pages) - place, f"{product}|{channel}")
        await self._link.do("EXPIRE", self._looked, LIST_S)

    async def looked_at(self, most: int) -> list[tuple[UUID, str]]:
        found = [
            str(one, "utf-8").partition("|") for one in await self._link.do("ZREVRANGE", self._looked, 0, most - 1)
        ]
        try:
            return [(UUID(product), channel) for product, _, channel in found]
        except ValueError:  # Somebody else wrote there.
            return []

    async def write(self, plan: WarmUp) -> None:
        await self._link.do("SET", self._list, encode(plan), "EX", LIST_S)

    async def read(self) -> WarmUp:
        stored = await self._link.do("GET", self._list)
        try:
            return WarmUp() if stored is None else decode(stored, WarmUp)
        except (ValueError, ArithmeticError, msgspec.MsgspecError):
            return WarmUp()

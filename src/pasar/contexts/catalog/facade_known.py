"""What a process knows of the catalogue without asking: which ids there may be, so that made-up ones cost nothing, and
which pages it keeps that have changed. Built when the process begins, kept current by the tail of the log."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Literal
from uuid import UUID

from pasar.contexts.inventory.contract import StockAdjusted, StockReceived
from pasar.contexts.pricing.contract import PriceSet
from pasar.kernel.bloom import Bloom
from pasar.kernel.bus import Bus, Core, Position
from pasar.kernel.cache import cache_of
from pasar.kernel.store import Recorded
from pasar.kernel.tail import Hearing, Tail
from pasar.kernel.worker import wait_for

from .contract import Product, ProductChanged, ProductCreated, ProductStateSet, SkuAdded, SkuSpec
from .product import product as product_decider
from .views import listed_prices, listing

What = Literal["product", "sku"]
LEAST = 10_000
PAGE = 20_000
AT_ONCE = 2_000
FRESH_S = 2
"""A tail that is older does not know of what was just created: then nothing is refused unseen."""
VIEWS_S = 5
"""How long a change is waited for; the time for which pages are kept bounds the rest."""
_TENANTS = """
    with recursive t (tenant) as (
        (select tenant from kernel.stream order by tenant limit 1) union all
        select (select s.tenant from kernel.stream s where s.tenant > t.tenant order by s.tenant limit 1)
          from t where t.tenant is not null)
    select tenant from t where tenant is not null"""
_IDS: dict[What, str] = {
    "product": f"""select id from kernel.stream
                    where tenant = $1 and kind = '{product_decider.kind}' and id > $2 order by id limit $3""",
    "sku": "select key as id from kernel.claim where tenant = $1 and kind = 'sku' and key > $2 order by key limit $3",
}


class Known:
    """The ids of products and SKUs, by tenant. Until all are loaded everything may exist."""

    def __init__(self) -> None:
        self._filters: dict[tuple[int, What], Bloom] = {}
        self._heard: list[tuple[int, What, str]] = []
        """What was added while all were loaded."""
        self._current: Callable[[], bool] | None = None
        self._loading: asyncio.Task[None] | None = None

    def may_exist(self, tenant: int, what: What, id: str) -> bool:
        if self._current is None or not self._current():
            return True
        known = self._filters.get((tenant, what))
        return known is not None and id in known

    def add(self, tenant: int, what: What, id: str) -> None:
        if self._current is None:
            self._heard.append((tenant, what, id))
        else:
            self._filters.setdefault((tenant, what), Bloom(LEAST)).add(id)

    @property
    def is_full(self) -> bool:
        return self._current is not None and any(known.is_full for known in self._filters.values())

    def load(self, core: Core, tail: Tail) -> "asyncio.Task[None]":
        """All ids there are, into filters with room for as many again."""
        if self._loading is None or self._loading.done():
            self._current = None
            self._loading = asyncio.create_task(self._load(core, tail))
        return self._loading

    async def _load(self, core: Core, tail: Tail) -> None:
        pool, filters = core.database.kernel, dict[tuple[int, What], Bloom]()
        for tenant in [row["tenant"] for row in await pool.fetch(_TENANTS)]:
            for what, sql in _IDS.items():
                ids = [""]
                while page := await pool.fetch(sql, tenant, ids[-1], PAGE):
                    ids += [row["id"] for row in page]
                known = filters[tenant, what] = Bloom(max(LEAST, 2 * len(ids)))
                for n, id in enumerate(ids[1:]):
                    known.add(id)
                    if n % AT_ONCE == AT_ONCE - 1:
                        await asyncio.sleep(0)
        self._filters, self._current = filters, lambda: tail.age() <= FRESH_S
        heard, self._heard = self._heard, []
        for one in heard:
            self.add(*one)


def may_exist(bus: Bus, what: What, id: str) -> bool:
    """False: there certainly is none. Not for deciding: what another process created a moment ago is not known yet."""
    return bus.tool(Known, Known).may_exist(bus.context.tenant, what, id)


def now_known(bus: Bus, product: Product) -> None:
    """What this process creates it knows at once."""
    _add(bus.tool(Known, Known), bus.context.tenant, product.product, product.skus)


def _add(known: Known, tenant: int, product: UUID, skus: Iterable[SkuSpec]) -> None:
    known.add(tenant, "product", str(product))
    for spec in skus:
        known.add(tenant, "sku", spec.sku)


class Changes:
    """Pages to be forgotten: at once, and again when the views that they are read from show the change. A page that is
    made in between is old, too."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._products: dict[tuple[int, str], Position] = {}
        self._skus: dict[tuple[int, str], Position] = {}
        self._task: asyncio.Task[None] | None = None

    def note(self, recorded: Recorded, products: Iterable[UUID] = (), skus: Iterable[str] = ()) -> None:
        if not cache_of(self._core).keeps("product"):
            return
        place = Position(recorded.xid, recorded.position)
        self._products |= {(recorded.tenant, str(product)): place for product in products}
        self._skus |= {(recorded.tenant, sku): place for sku in skus}
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._forget())

    async def _forget(self) -> None:
        while self._products or self._skus:
            products, skus, self._products, self._skus = self._products, self._skus, {}, {}
            for tenant in {tenant for tenant, _ in skus}:
                wanted = [sku for of, sku in skus if of == tenant]
                owners = await self._core.database.reader(tenant).claimed("sku", wanted)
                products |= {(tenant, product): skus[tenant, sku] for sku, product in owners.items()}
            keys = [f"{tenant}:{product}" for tenant, product in products]
            cache_of(self._core).forget("product", *keys)
            for view in (listing, listed_prices):
                await wait_for(self._core.database.kernel, view, max(products.values(), default=None), VIEWS_S)
            cache_of(self._core).forget("product", *keys)


def _hear(core: Core, tail: Tail, recorded: Recorded) -> None:
    known, changes = core.tool(Known, Known), core.tool(Changes, lambda: Changes(core))
    match recorded.event:
        case ProductCreated(product=product, skus=skus):
            _add(known, recorded.tenant, product, skus)
            changes.note(recorded, [product])  # Somebody may have asked for it before.
        case SkuAdded(product=product, sku=sku):
            _add(known, recorded.tenant, product, [sku])
            changes.note(recorded, [product])
        case ProductChanged(product=product) | ProductStateSet(product=product):
            changes.note(recorded, [product])
        case PriceSet(sku=sku) | StockAdjusted(sku=sku):
            changes.note(recorded, skus=[sku])
        case StockReceived(lines=lines):
            changes.note(recorded, skus=[line.sku for line in lines])
        case _:
            return
    if known.is_full:
        known.load(core, tail)


def _begin(core: Core, tail: Tail) -> None:
    core.tool(Known, Known).load(core, tail)


_EVENTS = ProductCreated, SkuAdded, ProductChanged, ProductStateSet, PriceSet, StockReceived, StockAdjusted
hearing = Hearing(_EVENTS, _hear, _begin)

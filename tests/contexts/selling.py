"""A shop with a catalogue, prices and channels on PostgreSQL: its core, its worker, its routes, and a client."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from kernel.toy_web import Answered, exchange
from pasar.contexts.catalog.contract import CreateProduct, Option, SkuSpec
from pasar.contexts.catalog.module import module as catalog
from pasar.contexts.platform.contract import OpenChannel, OpenStore
from pasar.contexts.platform.module import module as platform
from pasar.contexts.pricing.contract import SetPrice
from pasar.contexts.pricing.module import module as pricing
from pasar.kernel.access import Principal
from pasar.kernel.bus import Bus, Context, Core
from pasar.kernel.clock import SettableClock
from pasar.kernel.ids import SeededIds
from pasar.kernel.keystore import SqliteKeyStore
from pasar.kernel.module import Module, OfPersons
from pasar.kernel.settings import load
from pasar.kernel.store import Database, Reader
from pasar.kernel.tokens import KeyRing, Revocations, Tokens, authenticator
from pasar.kernel.view_tables import prepare_views
from pasar.kernel.web_app import Web
from pasar.kernel.worker import Worker, wait_for
from postgres import TestDatabase

MASTER_KEY = {"PASAR_MASTER_KEY": base64.b64encode(bytes(32)).decode()}
START = datetime(2025, 9, 6, 12, tzinfo=UTC)
MODULES = (platform, catalog, pricing)
OWNER = UUID("018f0000-0000-7000-8000-000000000001")


class Shop:
    def __init__(self, core: Core, web: Web, tokens: Tokens, clock: SettableClock, modules: Sequence[Module]) -> None:
        self.core, self.web, self.tokens, self.clock, self.modules = core, web, tokens, clock, modules
        self._working: tuple[Worker, asyncio.Task[None]] | None = None

    async def begin_work(self) -> None:
        worker = Worker(self.modules, self.core, poll_s=0.01)
        self._working = worker, asyncio.create_task(worker.run())

    async def end_work(self) -> None:
        if self._working is not None:
            (worker, running), self._working = self._working, None
            worker.stop()
            await running

    @property
    def db(self) -> Reader:
        return self.core.database.reader(1)

    def bus(self, by: str = "admin") -> Bus:
        return self.core.bus(Context(principal=by))

    def token(self, kind: str = "admin", *stores: str, id: UUID = OWNER) -> str:
        return self.tokens.issue(Principal(id=str(id), kind=kind, stores=frozenset(stores)))  # type: ignore[arg-type]

    async def ask(
        self, method: str, target: str, body: Any = b"", *, token: str | None = None, headers: Any = ()
    ) -> Answered:
        path, _, query = target.partition("?")
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        sent = [(name.lower().encode(), value.encode()) for name, value in headers]
        if data and b"content-type" not in dict(sent):
            sent.append((b"content-type", b"application/json"))
        if data:
            sent.append((b"content-length", str(len(data)).encode()))
        if token is not None:
            sent.append((b"authorization", f"Bearer {token}".encode()))
        return await exchange(self.web, method, path, query, sent, [data])

    async def views_reach(self, bus: Bus) -> None:
        """Until the views show what was written last."""
        for module in self.modules:
            for view in module.views:
                assert await wait_for(self.core.database.kernel, view, bus.position, 60)

    async def open(self, currency: str = "KRW") -> None:
        """A channel `web` and two stores, `s1` and `s2`."""
        bus = self.bus()
        await bus.send(OpenChannel(channel="web", name="Web", currency=currency))
        for store in ("s1", "s2"):
            await bus.send(OpenStore(store=store, name=store, owner=OWNER))

    async def sell(self, sku: str, price: Any = 1000, store: str = "s1", **more: Any) -> UUID:
        """A product of one SKU on sale, with a price in `web`."""
        bus = self.bus()
        fields: dict[str, Any] = {"title": sku.title(), "skus": (SkuSpec(sku=sku),), "state": "on_sale"}
        product = self.core.ids.uuid()
        await bus.send(CreateProduct(product=product, store=store, **fields | more))
        await bus.send(SetPrice(sku=sku, channel="web", currency="KRW", price=Decimal(price)))
        await self.views_reach(bus)
        return product


SHIRT = {
    "options": (Option(name="colour", values=("red", "blue")), Option(name="size", values=("S", "M", "L"))),
    "skus": tuple(SkuSpec(sku=f"shirt-{c}-{s}", options=(c, s)) for c in ("red", "blue") for s in ("S", "M", "L")),
}


@asynccontextmanager
async def open_shop(
    database: TestDatabase, folder: Path, modules: Sequence[Module] = MODULES, **settings: object
) -> AsyncIterator[Shop]:
    clock, ids = SettableClock(START), SeededIds(1)
    kept = Database(database.app_dsn, size=3, lanes=1)
    owner = await asyncpg.connect(database.dsn)
    await prepare_views(owner, modules)
    await owner.close()
    keys = await SqliteKeyStore.open_in(folder / "keys", clock, environment=MASTER_KEY)
    await kept.open()
    chosen = load({}, None, {"data_dir": str(folder), **settings})
    deciders = [decider for module in modules for decider in module.deciders]
    core = Core(kept, deciders, clock=clock, ids=ids, keys=keys, settings=chosen)
    core.equip(OfPersons.kept_by(modules))
    tokens = Tokens(KeyRing(folder / "tokens", clock), clock, ids)
    routes = [route for module in modules for route in module.routes]
    web = Web(core, routes, authenticate=authenticator(tokens, Revocations(lambda: 0)))
    shop = Shop(core, web, tokens, clock, modules)
    await shop.begin_work()
    try:
        yield shop
    finally:
        await shop.end_work()
        await kept.close()
        await keys.close()

"""A small system with a little of everything in it, and a superuser who may tamper with it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest
import pytest_asyncio

from kernel.guests import Welcome, guests
from kernel.persons import KEY, KIM
from kernel.running import readable
from kernel.shelf import Fill, Keep, Pick, PutBack, TooFew, baskets, filling
from pasar.kernel.bus import Context, Core
from pasar.kernel.clock import SettableClock
from pasar.kernel.findings import Report
from pasar.kernel.ids import SeededIds
from pasar.kernel.keystore import SqliteKeyStore
from pasar.kernel.private import Private
from pasar.kernel.seal import AnchorFile, Sealer
from pasar.kernel.store import Database
from pasar.kernel.verify import verify
from postgres import TestDatabase

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DECIDERS = (filling, baskets, guests)
SECRETS = ("Kim Cheol-su", "010-5555-7777")


class House(NamedTuple):
    """A core, what seals it, and a superuser who may tamper with it."""

    core: Core
    keys: SqliteKeyStore
    sealer: Sealer
    anchors: AnchorFile
    root: asyncpg.Connection

    async def verify(self, **options: Any) -> Report:
        async with self.core.database.kernel.acquire() as connection:
            return await verify(connection, DECIDERS, now=NOON, anchors=self.anchors, **options)

    async def tamper(self, *statements: str) -> None:
        async with self.root.transaction():
            await self.root.execute("set local session_replication_role = replica")
            for statement in statements:
                assert await self.root.execute(statement) not in ("UPDATE 0", "DELETE 0"), statement


@pytest_asyncio.fixture
async def house(database: TestDatabase, tmp_path: Path) -> AsyncIterator[House]:
    opened, clock = Database(database.app_dsn, size=4), SettableClock(NOON)
    await opened.open()
    keys = await SqliteKeyStore.open_in(tmp_path / "keys", clock, environment=KEY)
    core = Core(opened, DECIDERS, clock=clock, ids=SeededIds(1), keys=keys)
    anchors = AnchorFile(tmp_path / "anchors")
    root = await asyncpg.connect(database.dsn)
    made = House(core, keys, Sealer(opened.kernel, clock, anchors), anchors, root)
    await busy(core)
    await readable(root)
    await made.sealer.drain()
    await made.sealer.anchor()
    yield made
    await root.close()
    await keys.close()
    await opened.close()


async def busy(core: Core) -> None:
    """A little of everything: holds kept, put back and open; claims, timers, answers, refusals, another tenant."""
    for tenant in (1, 2):

        def send(command: Any, key: str | None = None, tenant: int = tenant) -> Any:
            return core.bus(Context(tenant=tenant, principal="ann", route="r", key=key)).send(command)

        for _ in range(3):
            await send(Fill(shelf="a", things=10))
        for n in range(6):
            await send(
                Pick(basket=f"b{n}", shelf="a", things=2, name=f"n{n}", until=NOON + timedelta(hours=1)), f"k{n}"
            )
        await send(Keep(basket="b0"))
        await send(PutBack(basket="b1"))
        await send(Pick(basket="c", shelf="a", things=1, name="n1"))
        with pytest.raises(TooFew):
            await send(Pick(basket="d", shelf="a", things=1000))
        name, phone = (Private(secret) for secret in SECRETS)
        await send(Welcome(guest=KIM, name=name, phones=(phone,)))

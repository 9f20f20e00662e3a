"""A shop with accounts on PostgreSQL: the whole API with its tail and revocations, its worker, and a client."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from kernel.toy_web import Answered, exchange
from pasar.apps.api import Api, Parts
from pasar.contexts.checkout.module import module as checkout
from pasar.contexts.identity import facade
from pasar.contexts.identity.module import module as identity
from pasar.contexts.notification.module import module as notification
from pasar.contexts.ordering.module import module as ordering
from pasar.kernel.bus import Bus, Context, Core
from pasar.kernel.clock import SettableClock
from pasar.kernel.ids import SystemIds
from pasar.kernel.keystore import SqliteKeyStore
from pasar.kernel.module import Module, OfPersons
from pasar.kernel.settings import load
from pasar.kernel.store import Database, Reader
from pasar.kernel.view_tables import prepare_views
from pasar.kernel.web_app import Web
from pasar.kernel.worker import Worker
from postgres import TestDatabase

MASTER_KEY = {"PASAR_MASTER_KEY": base64.b64encode(bytes(32)).decode()}
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MODULES = (checkout, ordering, identity, notification)
PASSWORD = "orange boats sail at noon"
CONSENTS = ["terms:2026-01", "privacy:2026-01"]


@dataclass
class People:
    core: Core
    web: Web
    clock: SettableClock
    folder: Path
    database: TestDatabase

    @property
    def db(self) -> Reader:
        return self.core.database.reader(1)

    def bus(self, by: str = "system") -> Bus:
        return self.core.bus(Context(principal=by))

    async def ask(
        self, method: str, target: str, body: Any = None, *, token: str | None = None, key: str | None = None
    ) -> Answered:
        path, _, query = target.partition("?")
        data = b"" if body is None else msgspec.json.encode(body)
        sent = [(b"content-type", b"application/json")] if data else []
        if token is not None:
            sent.append((b"authorization", f"Bearer {token}".encode()))
        if key is not None:
            sent.append((b"idempotency-key", key.encode()))
        return await exchange(self.web, method, path, query, sent, [data])

    async def join(self, mail: str = "kim@example.com", *, token: str | None = None, **more: Any) -> dict[str, Any]:
        """Registers a member; the tokens."""
        answer = await self.ask("POST", "/api/v1/members", member(mail, **more), token=token)
        assert answer.status == 201, answer.json
        return answer.json

    async def sign_in(self, login: str, password: str = PASSWORD, *, token: str | None = None) -> Answered:
        return await self.ask("POST", "/api/v1/sessions", {"login": login, "password": password}, token=token)

    async def admin(self) -> dict[str, Any]:
        """The tokens of the first administrator."""
        await facade.ensure_admin(self.bus(), "root@example.com", PASSWORD)
        return (await self.sign_in("root@example.com")).json

    async def dies(self, token: str) -> bool:
        """Whether an access token dies; a second is promised, on a machine that has nothing else to do."""
        async with asyncio.timeout(60):
            while (await self.ask("GET", "/api/v1/me", token=token)).status != 401:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return True


def member(mail: str = "kim@example.com", **more: Any) -> dict[str, Any]:
    return {"mail": mail, "name": "Kim Minji", "password": PASSWORD, "consents": CONSENTS, **more}


@asynccontextmanager
async def open_people(
    database: TestDatabase, folder: Path, modules: Sequence[Module] = MODULES, **settings: object
) -> AsyncIterator[People]:
    clock = SettableClock(START)
    owner = await asyncpg.connect(database.dsn)
    await prepare_views(owner, modules)
    await owner.close()
    cores: list[Core] = []

    @asynccontextmanager
    async def open_core() -> AsyncIterator[Core]:
        kept = Database(database.app_dsn, size=4)
        keys = await SqliteKeyStore.open_in(folder / "keys", clock, environment=MASTER_KEY)
        await kept.open()
        deciders = [decider for module in modules for decider in module.deciders]
        chosen = load({}, None, {"data_dir": str(folder), **settings})
        cores.append(Core(kept, deciders, clock=clock, ids=SystemIds(), keys=keys, settings=chosen))
        cores[-1].equip(OfPersons.kept_by(modules))
        yield cores[-1]
        await kept.close()
        await keys.close()

    parts = Parts(
        open_core, modules, folder / "tokens", revoking=facade.REVOKING, revoked=facade.recently_revoked
    )  # fmt: skip
    api = Api(parts)
    web = await api.open()
    worker = Worker(modules, cores[0], poll_s=0.01)
    running = asyncio.create_task(worker.run())
    try:
        yield People(cores[0], web, clock, folder, database)
    finally:
        worker.stop()
        await running
        await api.close()

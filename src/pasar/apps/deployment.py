"""What every process of a deployment opens in the same way: settings, database, clock, keys, the core."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from pasar.apps import wiring
from pasar.contexts.payment import facade as payment
from pasar.kernel.bus import Core
from pasar.kernel.clock import Clock, SystemClock
from pasar.kernel.embedded import EmbeddedServer
from pasar.kernel.ids import SystemIds
from pasar.kernel.keystore import SqliteKeyStore
from pasar.kernel.migrate import migrate
from pasar.kernel.module import Module, OfPersons
from pasar.kernel.roles import APP
from pasar.kernel.settings import Settings, load
from pasar.kernel.shared_clock import SharedClock
from pasar.kernel.store import Database
from pasar.kernel.view_tables import prepare_views

REPLAY_STARTS = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Addresses:
    """How this deployment's PostgreSQL is reached: as its owner, and as the role that serves."""

    owner: str
    app: str
    embedded: EmbeddedServer | None = None


@dataclass(frozen=True)
class Deployment:
    settings: Settings
    modules: tuple[Module, ...]
    core: Core
    keys: SqliteKeyStore

    @property
    def database(self) -> Database:
        return self.core.database

    @property
    def data(self) -> Path:
        return data_folder(self.settings)


def read_settings(overrides: Mapping[str, object] | None = None) -> Settings:
    """The settings, after every context has said which it has. Raises `SettingsError`."""
    wiring.contexts()
    return load(overrides=overrides)


def data_folder(settings: Settings) -> Path:
    return Path(settings.general.data_dir).absolute()


def reach_database(settings: Settings) -> Addresses:
    """Start or attach to the embedded server, unless the settings name another. Raises `EmbeddedError`."""
    chosen = settings.section("database")
    if chosen.url:
        return Addresses(chosen.url, chosen.app_url or chosen.url)
    programs = Path(chosen.programs) if chosen.programs else None
    server = EmbeddedServer(data_folder(settings) / "postgres", port=chosen.port, programs=programs)
    address = server.start()
    return Addresses(address.dsn(), address.dsn(role=APP), server)


async def prepare(addresses: Addresses, modules: tuple[Module, ...]) -> tuple[list[str], list[str]]:
    """Bring tables up to date: the migrations that were applied, and the views that have to be built."""
    connection = await asyncpg.connect(addresses.owner)
    try:
        applied = await migrate(connection)
        stale = await prepare_views(connection, modules)
    finally:
        await connection.close()
    return applied, stale


def clock_of(settings: Settings) -> Clock:
    """The machine's time; in a replay deployment one that is set."""
    if settings.general.replay:
        return SharedClock(data_folder(settings) / "clock", REPLAY_STARTS)
    return SystemClock()


@asynccontextmanager
async def opened(
    settings: Settings, addresses: Addresses, *, clock: Clock | None = None, lasting: bool = True
) -> AsyncIterator[Deployment]:
    """The core of one process, closed at the end. `clock`: another than the deployment's; `lasting`: see `Database`."""
    modules = wiring.modules(settings)
    database_settings, commit = settings.section("database"), settings.section("commit")
    options: dict[str, Any] = {"lanes": commit.lanes, "group": commit.group, "queue_limit": commit.queue}
    act_as = None if addresses.app != addresses.owner else APP
    database = Database(addresses.app, size=database_settings.pool_size, role=act_as, lasting=lasting, **options)
    clock = clock or clock_of(settings)
    keys = await SqliteKeyStore.open_in(data_folder(settings) / "keys", clock)
    try:
        await database.open()
        deciders = [decider for module in modules for decider in module.deciders]
        core = Core(database, deciders, clock=clock, ids=SystemIds(), keys=keys, settings=settings)
        core.equip(OfPersons.kept_by(modules))
        yield Deployment(settings, modules, core, keys)
    finally:
        await payment.close(settings)
        await database.close()
        await keys.close()

"""The deployment that a replay plays in: a data folder, a clock, a wholesaler's shop, and its processes."""

import asyncio
import csv
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from pasar.apps.deployment import Addresses, Deployment, data_folder, opened, prepare, read_settings
from pasar.apps.import_products import Options, import_products
from pasar.apps.replay.client import STAFF_MAIL
from pasar.apps.replay.journal import NAME, Journal
from pasar.apps.replay.plan import CURRENCY, Survey
from pasar.apps.replay.reader import CannotReplay
from pasar.apps.supervisor import Child, Supervisor, refuse_taken_port
from pasar.apps.wiring import modules
from pasar.contexts.identity import facade as identity
from pasar.contexts.inventory.contract import OpenWarehouse
from pasar.contexts.platform.contract import OpenChannel, OpenStore
from pasar.kernel.bus import Context
from pasar.kernel.embedded import EmbeddedServer
from pasar.kernel.messages import Command
from pasar.kernel.settings import Settings
from pasar.kernel.shared_clock import SharedClock
from pasar.refusals import ChannelExists, StoreExists, WarehouseExists

FOLDER = ".pasar-replay"
STORE, CHANNEL, WAREHOUSE = "wholesale", "invoice", "main"
MONTH_MIN = 43_200
ZERO = Decimal(0)
SETTINGS: Mapping[str, object] = {
    "replay": True,
    "ordering.payment_timeout_min": MONTH_MIN,  # Wholesalers deliver on invoice.
    "ordering.default_channel": CHANNEL,
    "aftersales.fault_days": 3_650,  # The history has returns after more than a year.
    "tokens.refresh_days": 365,
    "log.level": "warning",
}


def settings_for(port: int | None) -> Settings:
    """The settings of the replay, for this process and, by the environment, for those that it starts."""
    os.environ.setdefault("PASAR_DATA_DIR", FOLDER)
    os.environ["PASAR_DATA_DIR"] = str(Path(os.environ["PASAR_DATA_DIR"]).absolute())
    for name, value in {**SETTINGS, "server.port": port or _free_port()}.items():
        os.environ[f"PASAR_{name.upper().replace('.', '_')}"] = str(value).lower()
    return read_settings()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def clear(settings: Settings) -> None:
    """Forget an earlier replay. A folder that is no replay's is left alone."""
    folder = data_folder(settings)
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / NAME).exists():
        raise CannotReplay(f"{folder} is no folder of a replay, so it is not cleared; choose one with PASAR_DATA_DIR")
    EmbeddedServer(folder / "postgres").stop("immediate")
    shutil.rmtree(folder)


async def furnish(settings: Settings, addresses: Addresses, journal: Journal, surveyed: Survey) -> None:
    """Tables, staff, channel, store, warehouse and the products of the file. A repeat changes nothing."""
    await prepare(addresses, modules(settings))
    assert surveyed.starts_at is not None
    async with opened(settings, addresses) as deployment:
        _wind(deployment, surveyed.starts_at)
        await _open_shop(deployment, journal)
        file = _catalogue(data_folder(settings) / "products.csv", surveyed)
        report = await import_products(deployment.core, Options(file=file))
        if report.bad:
            raise CannotReplay(f"{report.bad} products of the history could not be imported: {report.text()}")


def _wind(deployment: Deployment, starts_at: datetime) -> None:
    """The day before the first invoice, the shop opens."""
    clock = deployment.core.clock
    assert isinstance(clock, SharedClock)
    eve = starts_at.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(hours=12)
    if clock.now() < eve:
        clock.set(eve)


async def _open_shop(deployment: Deployment, journal: Journal) -> None:
    async def send(command: Command) -> None:
        with suppress(ChannelExists, StoreExists, WarehouseExists):
            await deployment.core.bus(Context(principal="replay", correlation_id="replay")).send(command)

    owner = await identity.ensure_admin(deployment.core.bus(Context(principal="replay")), STAFF_MAIL, journal.password)
    await send(
        OpenChannel(channel=CHANNEL, name="On invoice", currency=CURRENCY, locale="en", tax_rate=ZERO, freight=ZERO)
    )
    await send(OpenStore(store=STORE, name="Wholesale", owner=owner, settlement_currency=CURRENCY))
    await send(OpenWarehouse(warehouse=WAREHOUSE, name="Warehouse", country="GB", latitude=ZERO, longitude=ZERO))


def _catalogue(file: Path, surveyed: Survey) -> Path:
    """The products of the history, as a file that `pasar import products` reads, too."""
    with open(file, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("id", "title", "sku", "price", "currency", "channel", "store"))
        for sku, product in surveyed.products.items():
            writer.writerow((sku, product.title[:100], sku, product.price, CURRENCY, CHANNEL, STORE))
    return file


class Stage:
    """The running processes. `problem` says what is wrong with them, if anything."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._supervisor = Supervisor()
        self.base = f"http://127.0.0.1:{settings.section('server').port}"

    def start(self) -> None:
        server = self._settings.section("server")
        refuse_taken_port(server.host, server.port, "the API of the replay", "--port")
        self._supervisor.start(self._child("worker", "work"))
        api = self._child("api", "serve")
        self._supervisor.start(api)
        self._supervisor.wait_until(f"{self.base}/healthz", api)

    def _child(self, name: str, command: str) -> Child:
        log = data_folder(self._settings) / "logs" / f"{name}.log"
        return Child(name, [sys.executable, "-m", "pasar.apps.cli", command], log)

    @property
    def is_asked_to_stop(self) -> bool:
        return self._supervisor.stopping

    def dead(self) -> str | None:
        """Which process has ended, and its last words."""
        for child in self._supervisor.children:
            if (code := child.exited()) is not None:
                return f"{child.name} ended with {code}. Its last lines, from {child.log}:\n\n{child.last_lines()}"
        return None

    def stop(self) -> None:
        self._supervisor.stop()


@asynccontextmanager
async def watched(stage: Stage, work: "asyncio.Task[Any]") -> AsyncIterator[None]:
    """Breaks off the work when a process dies or somebody asks to stop."""

    async def watch() -> None:
        while not stage.is_asked_to_stop and stage.dead() is None:  # noqa: ASYNC110 - processes and signals, no event
            await asyncio.sleep(0.25)
        work.cancel()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()

"""`pasar replay orders FILE`: from a file to a reconciled shop, however often it is stopped on the way."""

import asyncio
import sys
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from uuid import UUID, uuid5

import aiohttp
import asyncpg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pasar.apps.deployment import Addresses, data_folder, reach_database
from pasar.apps.replay.client import Client
from pasar.apps.replay.drive import Drive
from pasar.apps.replay.journal import Journal
from pasar.apps.replay.plan import Plan, Survey, survey
from pasar.apps.replay.reader import CannotReplay
from pasar.apps.replay.reconcile import Reconciliation, quiet, reconcile
from pasar.apps.replay.report import show
from pasar.apps.replay.stage import WAREHOUSE, Stage, clear, furnish, settings_for, watched
from pasar.kernel.ids import SystemIds
from pasar.kernel.settings import Settings

CONNECTIONS = 32
TIMEOUT_S = 90
RECEIPT_LINES = 500
QUIET_DAYS = timedelta(days=9)
"""Longer than time takes to confirm an order, and again to complete it."""
_RECEIPTS = UUID("b7a3a5c2-0f4e-5f0e-9c57-1f6f3b1f2d10")


def replay_orders(
    file: Path, *, speed_s: float = 0, limit: int | None = None, port: int | None = None, fresh: bool = False
) -> int:
    """Replay a history and reconcile it; the exit status: 0 when everything agrees.

    `speed_s`: days of history a second; 0: as fast as it goes. What was replayed before is left as it is.
    """
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)  # A file has room for the sums.
    try:
        found = _Replay(console, file, limit, settings_for(port)).run(speed_s, fresh=fresh)
    except (CannotReplay, BaseExceptionGroup) as problem:
        for sentence in dict.fromkeys(_sentences(problem)):
            console.print(sentence, markup=False)
        console.print("The same command goes on where this one stopped.")
        return 1
    return 1 if found.problems else 0


def _sentences(problem: BaseException) -> list[str]:
    """What went wrong, out of groups of it; anything but `CannotReplay` is a mistake of ours, and raised."""
    if isinstance(problem, BaseExceptionGroup):
        return [sentence for one in problem.exceptions for sentence in _sentences(one)]
    if isinstance(problem, CannotReplay):
        return [str(problem)]
    raise problem


class _Replay:
    def __init__(self, console: Console, file: Path, limit: int | None, settings: Settings) -> None:
        self._console, self._file, self._limit, self._settings = console, file, limit, settings

    def run(self, speed_s: float, *, fresh: bool) -> Reconciliation:
        folder = data_folder(self._settings)
        if fresh:
            clear(self._settings)
        journal = Journal.open(folder, self._file, self._limit, SystemIds().token())
        self._console.print(f"Reading {self._file} …")
        surveyed = survey(self._file, self._limit)
        if surveyed.starts_at is None:
            raise CannotReplay(f"{self._file} has no row that can be read")
        self._console.print(
            f"  {surveyed.file.lines:,} lines, {len(surveyed.invoices):,} invoices, {len(surveyed.codes):,} codes, "
            f"{len(surveyed.products):,} products, {len(surveyed.customers):,} customers"
        )
        addresses = reach_database(self._settings)
        try:
            self._console.print(f"Furnishing the shop in {folder} …")
            asyncio.run(furnish(self._settings, addresses, journal, surveyed))
            return self._play(addresses, journal, surveyed, speed_s)
        finally:
            journal.close()
            if addresses.embedded is not None and addresses.embedded.started_here:
                addresses.embedded.stop()

    def _play(self, addresses: Addresses, journal: Journal, surveyed: Survey, speed_s: float) -> Reconciliation:
        stage = Stage(self._settings)
        try:
            stage.start()
            self._console.print(f"The shop is open at {stage.base}/docs")
            return asyncio.run(self._watched(stage, addresses, journal, surveyed, speed_s))
        finally:
            stage.stop()

    async def _watched(
        self, stage: Stage, addresses: Addresses, journal: Journal, surveyed: Survey, speed_s: float
    ) -> Reconciliation:
        work = asyncio.create_task(self._work(stage.base, addresses, journal, surveyed, speed_s))
        async with watched(stage, work):
            with suppress(asyncio.CancelledError):
                return await work
        raise CannotReplay(stage.dead() or "Stopped.")

    async def _work(
        self, base: str, addresses: Addresses, journal: Journal, surveyed: Survey, speed_s: float
    ) -> Reconciliation:
        plan = Plan(self._file, surveyed)
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            client = Client(session, base, journal)
            await _receive(client, journal, surveyed)
            with self._progress() as bar:
                task = bar.add_task("", total=surveyed.file.lines)

                def told(lines: int, day: date) -> None:
                    bar.update(task, description=day.isoformat(), advance=lines)
                    if not lines:
                        bar.update(task, completed=plan.totals.all.lines)

                drive = Drive(client, journal, speed_s=speed_s, told=told)
                await drive.run(plan)
            self._console.print("Days pass until every order is confirmed and completed …")
            return await self._close(addresses, drive, surveyed, plan)

    async def _close(self, addresses: Addresses, drive: Drive, surveyed: Survey, plan: Plan) -> Reconciliation:
        assert surveyed.ends_at is not None
        end = datetime.combine(surveyed.ends_at.date(), time(23, 59), UTC)
        connection = await asyncpg.connect(addresses.owner)
        try:
            for periods in range(4):
                await drive.move_clock(end + periods * QUIET_DAYS)
                await quiet(connection, end + periods * QUIET_DAYS)
            found = await reconcile(connection, surveyed, plan.totals)
        finally:
            await connection.close()
        show(self._console, found)
        return found

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("lines"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )


async def _receive(client: Client, journal: Journal, surveyed: Survey) -> None:
    """All that the history sells arrives before its first day."""
    if journal.is_stocked:
        return
    lines = [{"sku": sku, "quantity": product.units} for sku, product in surveyed.products.items() if product.units]
    for start in range(0, len(lines), RECEIPT_LINES):
        body = {
            "warehouse": WAREHOUSE,
            "lines": lines[start : start + RECEIPT_LINES],
            "reference": "opening stock",
        }
        receipt = uuid5(_RECEIPTS, str(start))
        await client.staff("PUT", f"/api/v1/inventory/receipts/{receipt}", body, key=f"receipt-{start}")
    journal.note("stocked")

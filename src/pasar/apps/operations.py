"""What an operator does to a deployment: look, mend, back up, erase. Each returns the exit status."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from rich.console import Console
from rich.table import Table

from pasar.apps.deployment import Addresses, Deployment, data_folder, opened, reach_database, read_settings
from pasar.kernel import backup, doctor
from pasar.kernel.bus import Context
from pasar.kernel.invariants import check_of
from pasar.kernel.parking import list_parked, replay_parked
from pasar.kernel.process import redrive, stuck_processes
from pasar.kernel.seal import AnchorFile
from pasar.kernel.tokens import KeyRing
from pasar.kernel.verify import verify
from pasar.kernel.verify_views import views_against_log
from pasar.kernel.view_tables import RebuildStopped, fingerprint
from pasar.kernel.view_tables import rebuild as rebuild_view

console = Console(highlight=False)


@asynccontextmanager
async def _deployment() -> AsyncIterator[tuple[Deployment, Addresses]]:
    """The deployment that the settings name. An embedded server that this started is stopped again."""
    settings = read_settings()
    addresses = reach_database(settings)
    try:
        async with opened(settings, addresses) as deployment:
            yield deployment, addresses
    finally:
        if addresses.embedded is not None and addresses.embedded.started_here:
            addresses.embedded.stop()


async def rebuild_views(name: str) -> int:
    async with _deployment() as (deployment, _):
        views = [view for module in deployment.modules for view in module.views if name in ("all", view.table)]
        if not views:
            known = sorted(view.table for module in deployment.modules for view in module.views)
            console.print(f"There is no view {name}. There are: all, {', '.join(known)}")
            return 1
        for view in views:
            try:
                events = await rebuild_view(deployment.database, view, deployment.core.clock)
            except RebuildStopped:
                console.print(f"{view.table}: stopped from elsewhere; it is as it was")
                return 1
            connection = await deployment.database.connect()
            mark = await fingerprint(connection, view)
            await connection.close()
            console.print(f"{view.table}: {events} events, fingerprint {mark[:16]}")
    return 0


async def verify_all() -> int:
    """Checks everything against the log."""
    async with _deployment() as (deployment, _):
        core = deployment.core
        connection = await deployment.database.connect({"statement_timeout": "0"})
        views = [view for module in deployment.modules for view in module.views]
        report = await verify(
            connection,
            core.deciders.values(),
            now=core.clock.now(),
            anchors=AnchorFile(deployment.data / "anchors"),
            view_checks=[views_against_log(deployment.database, views, core.clock)],
            progress=lambda what, count: console.print(f"  {what}: {count}"),
        )
        await connection.close()
        for where, fault in await deployment.keys.faults():
            report.add("keys", where, "what was written", fault)
    for finding in report.findings:
        console.print(f"[bold]{finding.check}[/bold] {finding.where}", markup=True)
        console.print(f"  expected {finding.expected}\n  found    {finding.found}\n  {finding.advice}", markup=False)
    findings = sum(report.wrong.values())  # Those that are listed may be fewer.
    console.print(f"{findings} findings." if findings else "Everything agrees with the log.")
    return report.status


async def examine() -> int:
    async with _deployment() as (deployment, _):
        connection = await deployment.database.connect()
        patient = doctor.Patient(
            connection,
            deployment.core.clock,
            deployment.keys,
            AnchorFile(deployment.data / "anchors"),
            deployment.data,
            checks=tuple(
                check_of(invariant, deployment.database)
                for module in deployment.modules
                for invariant in module.invariants
            ),
        )
        symptoms = await doctor.examine(patient)
        await connection.close()
    for symptom in symptoms:
        console.print(f"{symptom.severity}: {symptom.check}: {symptom.found}\n  {symptom.advice}", markup=False)
    console.print("Nothing is wrong." if not symptoms else f"{len(symptoms)} symptoms.")
    return 1 if symptoms else 0


async def back_up(target: Path) -> int:
    async with _deployment() as (deployment, addresses):
        manifest = await backup.backup(
            addresses.owner,
            target,
            clock=deployment.core.clock,
            keys=deployment.keys,
            anchors=deployment.data / "anchors",
        )
    console.print(f"Backed up into {target}. Its copy of the keys dies at {manifest.keys_expire_at}.")
    return 0


async def bring_back(source: Path) -> int:
    """Into the database that the settings name, which must be empty."""
    settings = read_settings()
    addresses = reach_database(settings)
    from pasar.kernel.clock import SystemClock

    try:
        restored = await backup.restore(
            source,
            addresses.owner,
            clock=SystemClock(),
            keys_folder=data_folder(settings) / "keys",
            anchors=data_folder(settings) / "anchors",
        )
    finally:
        if addresses.embedded is not None and addresses.embedded.started_here:
            addresses.embedded.stop()
    console.print(f"Restored {restored.events} events, epoch {restored.epoch}; keys: {restored.keys}.")
    return 0


async def erase_person(person: str) -> int:
    from pasar.contexts.identity import facade_erasure as erasure

    async with _deployment() as (deployment, _):
        await erasure.erase(deployment.core.bus(Context(principal="operator")), UUID(person))
    console.print(f"{person} is erased: the account is closed and the keys are destroyed.")
    return 0


async def open_vault(person: str, by: str, why: str) -> int:
    """Show what law keeps of somebody. The reading is recorded before anything is shown."""
    async with _deployment() as (deployment, _):
        kept = await deployment.keys.read_vault(1, UUID(person), by=by, why=why)
    for one in kept:
        console.print(f"{one.class_}, until {one.until:%Y-%m-%d}")
        for name, value in one.values.items():
            console.print(f"  {name}: {value}", markup=False)
    console.print(f"{len(kept)} records. Recorded: read by {by}, {why}.", markup=False)
    return 0


async def stuck(going_on: str | None) -> int:
    async with _deployment() as (deployment, _):
        pool, now = deployment.database.kernel, deployment.core.clock.now()
        if going_on is not None:
            process, _, id = going_on.partition(":")
            done = await redrive(pool, process, id, now)
            console.print("It goes on." if done else f"No process {going_on} is stuck.")
            return 0 if done else 1
        found = await stuck_processes(pool)
    for one in found:
        console.print(f"{one.process}:{one.id} since {one.since:%Y-%m-%d %H:%M} at {one.event}\n  {one.reason}")
    console.print(f"{len(found)} stuck.")
    return 1 if found else 0


async def parked_events(replay: str | None) -> int:
    async with _deployment() as (deployment, _):
        pool, now = deployment.database.kernel, deployment.core.clock.now()
        if replay is not None:
            follower, _, lane = replay.partition("/")
            done = await replay_parked(pool, follower, 1, lane, now)
            console.print("They are tried again." if done else f"Nothing is parked at {replay}.")
            return 0 if done else 1
        found = await list_parked(pool)
    for one in found:
        console.print(f"{one.follower}/{one.lane}: {one.kind}-{one.stream}@{one.version}\n  {one.reason}", markup=False)
    console.print(f"{len(found)} parked.")
    return 1 if found else 0


async def rotate(what: str) -> int:
    settings = read_settings()
    if what == "tokens":
        from pasar.kernel.clock import SystemClock

        console.print(f"New signing key {KeyRing(data_folder(settings) / 'tokens', SystemClock()).rotate()}.")
        return 0
    async with _deployment() as (deployment, _):
        console.print(f"{await deployment.keys.rotate()} data keys wrapped with a new master key.")
    return 0


def show_settings() -> None:
    table = Table("setting", "value", "from", "what it does", box=None, pad_edge=False)
    for one in read_settings().explain():
        table.add_row(one.name, str(one.value), one.source, one.description)
    console.print(table)


async def import_file(
    what: str, file: Path, mapping: tuple[str, ...], all_or_nothing: bool, defaults: dict[str, str]
) -> int:
    from pasar.apps.import_products import Options, import_products

    assert what == "products"
    columns = dict(pair.split("=", 1) for pair in mapping)
    async with _deployment() as (deployment, _):
        options = Options(file=file, columns=columns, defaults=defaults, all_or_nothing=all_or_nothing)
        report = await import_products(deployment.core, options)
    console.print(report.text(), markup=False)
    return 1 if report.bad else 0

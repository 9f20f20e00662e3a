"""The command line: `pasar run` starts everything; the other commands do one thing each.

Imports are inside the commands, so that each starts fast.
"""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from rich.console import Console

app = App(name="pasar", help="One commerce engine: log, ledger, and the shops on top.", version_flags=["--version"])
console = Console(stderr=True, highlight=False)
app.command("pasar.apps.lab.cli:app", name="lab", help="Attack, fault and overload a staging deployment.")


Held = Annotated[bool, Parameter(show=False)]
"""A process that was started ahead of the database: it has loaded its code when there is something to do."""


def _wait_to_be_told() -> None:
    """Until whoever started this process writes a line; it ends when that one does."""
    if not sys.stdin.readline():
        sys.exit(0)


def _run(main: Coroutine[Any, Any, Any]) -> Any:
    import uvloop

    return uvloop.run(main)


@app.command
def run(
    *, port: int | None = None, demo: bool = True, simulators_port: int | None = None, workers: int | None = None
) -> None:
    """Start everything on this machine: database, API, worker, and the simulated outside world; Ctrl-C stops it.

    Parameters
    ----------
    port: Port of the API (8000 unless the settings say otherwise).
    demo: Load the demo mall when the shop is empty, and show how to try it.
    simulators_port: Port of the simulated payment providers (API port + 1).
    workers: Processes of the API.
    """
    from pasar.apps.run import run as start

    overrides: dict[str, object] = {}
    if port is not None:
        overrides["server.port"] = port
    if workers is not None:
        overrides["server.workers"] = workers
    start(overrides, demo=demo, simulators_port=simulators_port)


@app.command
def serve(*, held: Held = False) -> None:
    """Answer HTTP requests: one role of a deployment, as often as wanted."""
    from pasar.apps.serving import serve_api

    if held:
        _wait_to_be_told()
    serve_api()


@app.command
def flash() -> None:
    """Serve sales in a process of its own: queues, orders of sales, and orders that wait in the broker."""
    from pasar.apps.serving import serve_lane

    serve_lane()


@app.command
def work(*, held: Held = False) -> None:
    """Follow the log: views, policies, processes, timers, seals. One role of a deployment, as often as wanted."""
    from pasar.apps.roles import work as follow

    if held:
        _wait_to_be_told()
    _run(follow())


@app.command
def migrate() -> None:
    """Bring the database up to date."""
    from pasar.apps.deployment import prepare, reach_database, read_settings
    from pasar.apps.wiring import modules

    settings = read_settings()
    applied, stale = _run(prepare(reach_database(settings), modules(settings)))
    console.print(f"Applied: {', '.join(applied) or 'nothing, all was there'}.")
    if stale:
        console.print(f"To be built by the worker: {', '.join(stale)}.")


@app.command
def rebuild(view: str) -> None:
    """Fold a view (`ordering.orders`), or `all`, anew from the log; readers see the old one until it is swapped."""
    from pasar.apps import operations

    sys.exit(_run(operations.rebuild_views(view)))


@app.command
def verify() -> None:
    """Work out everything again from the log and say exactly what differs; exit status 1 when something does."""
    from pasar.apps import operations

    sys.exit(_run(operations.verify_all()))


@app.command
def doctor() -> None:
    """Check what must always hold, while everything runs; exit status 1 when something needs attention."""
    from pasar.apps import operations

    sys.exit(_run(operations.examine()))


@app.command
def backup(target: Path) -> None:
    """Back up database and key store into a new folder. The copy of the keys dies after 14 days."""
    from pasar.apps import operations

    sys.exit(_run(operations.back_up(target)))


@app.command
def restore(source: Path) -> None:
    """Restore a backup into an empty deployment."""
    from pasar.apps import operations

    sys.exit(_run(operations.bring_back(source)))


@app.command
def erase(person: str) -> None:
    """Erase a person: the account is closed, and the keys of the personal data are destroyed."""
    from pasar.apps import operations

    sys.exit(_run(operations.erase_person(person)))


@app.command
def vault(person: str, *, by: str, why: str) -> None:
    """Show what law keeps of an erased person. Who reads (`--by`) and why (`--why`) is recorded."""
    from pasar.apps import operations

    sys.exit(_run(operations.open_vault(person, by, why)))


@app.command
def processes(*, redrive: Annotated[str | None, Parameter(help="process:id to let go on")] = None) -> None:
    """List processes that are stuck, with their reason; or let one go on."""
    from pasar.apps import operations

    sys.exit(_run(operations.stuck(redrive)))


@app.command
def parked(*, replay: Annotated[str | None, Parameter(help="follower/stream to try again")] = None) -> None:
    """List events that a follower could not digest; or replay them in order."""
    from pasar.apps import operations

    sys.exit(_run(operations.parked_events(replay)))


@app.command
def rotate(what: Literal["tokens", "master-key"]) -> None:
    """Make a new signing key for access tokens (old ones die within 15 minutes), or wrap all data keys anew."""
    from pasar.apps import operations

    sys.exit(_run(operations.rotate(what)))


@app.command
def settings() -> None:
    """Every setting: its value, where it comes from, and what it does."""
    from pasar.apps import operations

    operations.show_settings()


@app.command(name="import")
def import_(
    what: Literal["products"],
    file: Path,
    *,
    map: tuple[str, ...] = (),
    all_or_nothing: bool = False,
    store: str | None = None,
    channel: str | None = None,
    currency: str | None = None,
    warehouse: str | None = None,
) -> None:
    """Import products from .csv or .jsonl (.gz): every row is checked; bad ones are reported with line and reason.

    Parameters
    ----------
    map: field=column, several times, where a column is not called like the field.
    all_or_nothing: Write nothing when a row is bad.
    """
    from pasar.apps import operations

    given = {"store": store, "channel": channel, "currency": currency, "warehouse": warehouse}
    defaults = {name: value for name, value in given.items() if value is not None}
    sys.exit(_run(operations.import_file(what, file, map, all_or_nothing, defaults)))


@app.command
def replay(
    what: Literal["orders"],
    file: Path,
    *,
    speed: float = 0,
    limit: int | None = None,
    port: int | None = None,
    fresh: bool = False,
) -> None:
    """Replay a real order history through the HTTP API of a replay deployment, and reconcile it to the penny.

    Parameters
    ----------
    speed: Days of history a second; 0: as fast as it goes.
    limit: Only so many invoices.
    port: Port of the API.
    fresh: Start anew instead of going on where the last run stopped.
    """
    from pasar.apps.replay import replay_orders

    sys.exit(replay_orders(file, speed_s=speed, limit=limit, port=port, fresh=fresh))


@app.command
def docs(*, check: bool = False) -> None:
    """Write what is made from the code: event schemas, error catalogue, context map. `--check`: only compare."""
    from pasar.apps.generated import write_docs

    sys.exit(write_docs(Path.cwd() / "docs", check=check))


def main() -> None:
    """The entry point: errors that people can mend are one sentence, not a traceback."""
    from pasar.apps.supervisor import CannotStart
    from pasar.kernel.backup import BackupError
    from pasar.kernel.embedded import EmbeddedError
    from pasar.kernel.master import KeyStoreError
    from pasar.kernel.migrate import MigrationError
    from pasar.kernel.settings import SettingsError

    try:
        app()
    except (BackupError, CannotStart, EmbeddedError, KeyStoreError, MigrationError, SettingsError) as error:
        console.print(str(error), markup=False)
        sys.exit(1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)


if __name__ == "__main__":
    main()

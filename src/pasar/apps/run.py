"""`pasar run`: a whole deployment on one machine, from nothing, with one command."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rich.console import Console

from pasar.apps.deployment import Addresses, data_folder, prepare, reach_database, read_settings
from pasar.apps.supervisor import Child, Supervisor, refuse_taken_port
from pasar.apps.wiring import modules
from pasar.kernel.settings import Settings

console = Console(highlight=False)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Show what is being done, and how long it took."""
    started = time.monotonic()
    console.print(f"  {what} …", end="")
    yield
    console.print(f" {time.monotonic() - started:.1f} s")


def _child(name: str, settings: Settings, environment: dict[str, str], *command: str) -> Child:
    log = data_folder(settings) / "logs" / f"{name}.log"
    return Child(name, [sys.executable, "-m", *command], log, environment)


def run(overrides: dict[str, object], *, demo: bool, simulators_port: int | None) -> None:
    """Start everything, show where to look, and stay until Ctrl-C."""
    started = time.monotonic()
    settings = read_settings(overrides)
    server = settings.section("server")
    simulated = simulators_port or server.port + 1
    refuse_taken_port(server.host, server.port, "the API", "PASAR_SERVER_PORT")
    refuse_taken_port("127.0.0.1", simulated, "the simulated payment providers", "--simulators-port")
    environment = {
        **{f"PASAR_{name.upper().replace('.', '_')}": str(value) for name, value in overrides.items()},
        "PASAR_DATA_DIR": str(data_folder(settings)),
        "PASAR_PAYMENT_SIMULATORS": str(data_folder(settings) / "simulators"),
        "PASAR_PAYMENT_SIMULATORS_URL": f"http://127.0.0.1:{simulated}",
    }
    os.environ.update(environment)  # What follows in this process reads the same settings.
    settings = read_settings()
    base = f"http://{server.host if server.host != '0.0.0.0' else '127.0.0.1'}:{server.port}"  # noqa: S104
    supervisor = Supervisor()
    console.print("[bold]Pasar[/bold]")
    folder = str(data_folder(settings) / "simulators")
    simulators = _child("simulators", settings, {}, "pasar.simulators", "--data", folder, "--port", str(simulated))
    simulators.command = [*simulators.command, "--toss-webhook", f"{base}/api/v1/payments/callback/toss"]
    worker = _child("worker", settings, environment, "pasar.apps.cli", "work")
    api = _child("api", settings, environment, "pasar.apps.cli", "serve")
    try:
        supervisor.start(simulators)  # They come up while the database does,
        for child in (worker, api):  # and these load their code.
            child.held = True
            supervisor.start(child)
        with step("PostgreSQL"):
            addresses = reach_database(settings)
    except BaseException:
        supervisor.stop()
        raise
    for notice in addresses.embedded.notices if addresses.embedded else ():
        console.print(f"  {notice}")
    try:
        with step("tables"):
            asyncio.run(prepare(addresses, modules(settings)))
        outside = f"http://127.0.0.1:{simulated}/healthz"
        if not (Path(folder) / "merchant").is_dir():  # API and worker read the keys that a first start makes.
            with step("keys of the simulated payment providers"):
                supervisor.wait_until(outside, simulators)
        if demo and not supervisor.stopping:
            _load_demo(settings, addresses)
        with step("worker, API and simulated payment providers"):
            worker.release()
            api.release()
            supervisor.wait_until(outside, simulators)
            supervisor.wait_until(f"{base}/readyz", api)
        if not supervisor.stopping:
            console.print(f"Ready after {time.monotonic() - started:.1f} s.\n")
            _say_where_to_look(base, f"http://127.0.0.1:{simulated}", data_folder(settings), demo)
            supervisor.watch(partial(_tend_database, addresses))
    finally:
        console.print("\nStopping …")
        supervisor.stop()
        if addresses.embedded is not None:  # Also one that a run left behind which was killed.
            addresses.embedded.stop()
        console.print("Stopped. Nothing that was acknowledged is lost.")


def _tend_database(addresses: Addresses) -> None:
    """An embedded server that was killed is started again; API and worker reconnect by themselves."""
    if addresses.embedded is not None and addresses.embedded.running() is None:
        console.print("PostgreSQL ended; starting it again")
        addresses.embedded.start()


def _load_demo(settings: Settings, addresses: Addresses) -> None:
    from pasar.apps.demo import load_demo
    from pasar.apps.demo_history import load_history
    from pasar.apps.past import Failed, LeasesTaken

    with step("demo mall"):
        asyncio.run(load_demo(settings, addresses, with_history=True))
    try:
        with step("its last sixty days"):
            asyncio.run(load_history(settings, addresses))
    except (Failed, LeasesTaken) as problem:  # A shop with less of a past is a shop all the same.
        console.print(f"\n  The history of the demo is not whole: {problem}")


def _say_where_to_look(base: str, simulators: str, data: Path, demo: bool) -> None:
    console.print(f"  Storefront         {base}/")
    console.print(f"  Console            {base}/console")
    console.print(f"  API documentation  {base}/docs")
    console.print(f"  OpenAPI            {base}/openapi.json")
    console.print(f"  Health             {base}/healthz · {base}/readyz · {base}/metrics")
    console.print(f"  Mails              {data / 'mailbox'}")
    console.print(f"  Logs               {data / 'logs'}\n")
    if demo:
        from pasar.apps.demo import tour

        print(tour(base, simulators))  # As it is, so that it can be copied.
    console.print("Ctrl-C stops everything.", markup=False)

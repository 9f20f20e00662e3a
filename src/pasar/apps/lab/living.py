"""A deployment of its own (`pasar run` in a folder that goes away) that lives for a while: under faults, and under
load."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from statistics import median

import asyncpg

from pasar.kernel.embedded import EmbeddedServer
from pasar.kernel.embedded_host import processes_in
from pasar.kernel.embedded_record import Address

from .buyers import Buyers, reconcile
from .evidence import Evidence
from .nemesis import Fault, Nemesis, Processes, below, command_of, plan, served, signal_all
from .servers import free_port
from .target import NotAsExpected, Target, reaching

EVERY_S = 10.0
POSTGRES = "postgres"
MENU = [("kill", "cli serve"), ("kill", "cli work"), ("pause", "cli serve"), ("kill", POSTGRES), ("pause", "cli work")]
SHARE = 0.9999
UNPAID_MIN = 2
"""What is not paid is off so soon: under faults, too, and all of it soon after the last."""
UNITS = 10_000_000
SHOPPING, LOOKING, SAMPLES = 8, 4, 40
LOOKED_AT = "{api}/", "{api}/p/{product}", "/products?channel=web&limit=20", "/products/{product}?channel=web"
HOLDINGS = {
    "cli serve": ("MiB", "files"), "cli work": ("MiB", "files"), POSTGRES: ("MiB", "connections", "locks"),
}  # fmt: skip
Held = dict[str, dict[str, int]]


@asynccontextmanager
async def running(**settings: object) -> AsyncIterator[tuple[Target, int, Path]]:
    """The target, the process id of its supervisor, and its data folder. `settings` by the names of their variables."""
    folder = Path(tempfile.mkdtemp(prefix="pasar-living-"))
    os.chmod(folder, 0o755)  # noqa: S103 PostgreSQL's user passes through
    port, outside = free_port(), free_port()
    command = [sys.executable, "-m", "pasar.apps.cli", "run", "--port", str(port), "--simulators-port", str(outside)]
    chosen = {name: str(value) for name, value in settings.items()}
    environment = {**os.environ, **chosen, "PASAR_DATA_DIR": str(folder)}
    with open(folder / "run.log", "wb") as log:  # noqa: ASYNC230 one line at the start
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)  # noqa: S603, ASYNC220
    try:
        url, simulators = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{outside}"
        async with reaching(url, simulators=simulators) as target:
            try:
                await served(target, 120)
            except NotAsExpected as never:
                raise NotAsExpected(f"{never}\n{(folder / 'run.log').read_text()[-2000:]}") from None
            yield target, process.pid, folder
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        shutil.rmtree(folder, ignore_errors=True)


async def faults(evidence: Evidence, seconds: int) -> None:
    """A fault every ten seconds, clients that retry politely: who is not served within 30 s is counted."""
    async with running(PASAR_ORDERING_PAYMENT_TIMEOUT_MIN=UNPAID_MIN) as (target, supervisor, folder):
        buyers = Buyers(target, await target.sell(UNITS))
        processes = Processes(supervisor)

        async def kill(fault: Fault) -> None:
            if fault.victim != POSTGRES:
                return await processes.kill(fault)
            address = EmbeddedServer(folder / "postgres").running()
            signal_all(processes_in(address.home / "data") if address else (), signal.SIGKILL)

        acts = {"kill": kill, "pause": processes.pause}
        chosen = [one._replace(wait_s=EVERY_S) for one in plan(evidence.seed(71), max(1, int(seconds / EVERY_S)), MENU)]
        try:
            await buyers.shop_during(SHOPPING, Nemesis(acts, lambda: served(target)).follow(chosen, evidence))
        finally:  # How far it came is said also of one that failed.
            evidence.attempts = buyers.asked
            evidence.figure("requests that took more than 30 s", buyers.late)
            evidence.figure("the slowest, s", f"{buyers.slowest_s:.1f}")
            evidence.figure("orders", len(buyers.placed))
        patience_s = 60 * UNPAID_MIN + 120
        evidence.figure("of these stand", await reconcile(target, buyers, UNITS, patience_s=patience_s))
        if buyers.asked and 1 - buyers.late / buyers.asked < SHARE:
            raise NotAsExpected(f"{buyers.late} of {buyers.asked} were not served within 30 s")


async def soak(evidence: Evidence, seconds: int) -> None:
    """Steady load; what is held in the last quarter is compared with the second."""
    async with running() as (target, supervisor, folder):
        product, sku = await target.offer(UNITS)
        buyers, server = Buyers(target, sku), EmbeddedServer(folder / POSTGRES).running()
        if server is None:
            raise NotAsExpected("the server of the deployment does not answer")
        pages = [path.format(api=target.api, product=product) for path in LOOKED_AT]
        load = asyncio.gather(buyers.shop(SHOPPING), buyers.browse(pages, LOOKING))
        samples: list[Held] = []
        for _ in range(SAMPLES):
            await asyncio.wait([load], timeout=seconds / SAMPLES)
            samples.append({**held_by(supervisor), POSTGRES: await held_by_server(server)})
        buyers.stopping.set()
        await load
        evidence.attempt(buyers.asked)
        evidence.figure("the slowest, s", f"{buyers.slowest_s:.1f}")
        evidence.figure("orders", len(buyers.placed))
        judge_growth(samples, evidence)


def held_by(supervisor: int) -> Held:
    """Memory (MiB) and open files of API and worker."""
    found: Held = {}
    for pid in below(supervisor):
        for part in ("cli serve", "cli work"):
            if part in command_of(pid):
                with suppress(OSError):
                    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
                    found[part] = {"MiB": pages * os.sysconf("SC_PAGE_SIZE") >> 20, "files": files}
    return found


async def held_by_server(server: Address) -> dict[str, int]:
    """Memory of PostgreSQL that is not its shared one (MiB), connections and locks."""
    connection = await asyncpg.connect(server.dsn())
    try:
        connections = await connection.fetchval("select count(*) from pg_stat_activity where client_port is not null")
        locks = await connection.fetchval("select count(*) from pg_locks where pid <> pg_backend_pid()")
    finally:
        await connection.close()
    kib = sum(_private_kib(pid) for pid in processes_in(server.home / "data"))
    return {"MiB": kib >> 10, "connections": connections, "locks": locks}


def _private_kib(pid: int) -> int:
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return 0  # It has ended meanwhile.


def judge_growth(samples: Sequence[Held], evidence: Evidence) -> None:
    """Raises `NotAsExpected` where the last quarter holds a fifth more than the second: by the median, for a moment
    says little of locks."""
    quarter = len(samples) // 4
    for part, kinds in HOLDINGS.items():
        for what in kinds:
            early = [one[part][what] for one in samples[quarter : 2 * quarter] if part in one]
            late = [one[part][what] for one in samples[-quarter:] if part in one]
            if not early or not late:
                raise NotAsExpected(f"{part} was not there all the time")
            first, last = median(early), median(late)
            evidence.figure(f"{part}: {what} at first, at last", f"{first:.0f}, {last:.0f}")
            if last > first * 1.2 + 20:
                raise NotAsExpected(f"{part} grew from {first:.0f} to {last:.0f} {what}")

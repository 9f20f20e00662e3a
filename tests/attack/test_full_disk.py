"""A full disk: reads work, writes are put off, nothing is half done, and with room again it goes on by itself."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from journeys.town import Town
from pasar.apps.deployment import Addresses
from pasar.apps.lab.buyers import Buyers, reconcile
from pasar.apps.lab.evidence import Evidence
from pasar.apps.lab.nemesis import served
from pasar.apps.lab.target import Caller, Target, order, reaching, until
from pasar.kernel.embedded import EmbeddedServer
from pasar.kernel.roles import APP

UNITS = 100_000
SIZE_MB = 400


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of its own with little room."""
    folder = Path(tempfile.mkdtemp(prefix="pasar-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=755", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cramped_town(small_disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Town, EmbeddedServer]]:
    """A town whose PostgreSQL lives on the small disk."""
    settings = {"shared_buffers": "32MB", "min_wal_size": "80MB", "max_wal_size": "96MB"}
    server = EmbeddedServer(small_disk / "postgres", settings=settings)
    address = server.start()
    town = Town(tmp_path_factory.mktemp("cramped"), Addresses(address.dsn(), address.dsn(role=APP)))
    try:
        town.start()
        yield town, server
    finally:
        town.stop()
        server.remove()


def fill(disk: Path) -> Path:
    """Leave no room at all."""
    file = disk / "ballast"
    with open(file, "wb") as ballast:
        try:
            while True:
                ballast.write(bytes(1 << 20))
                ballast.flush()
        except OSError:
            return file


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.promise("B6")
async def test_a_full_disk(small_disk: Path, cramped_town: tuple[Town, EmbeddedServer], proof: Evidence) -> None:
    town, server = cramped_town
    async with reaching(town.api, simulators=town.simulators) as target:
        buyers = Buyers(target, await target.sell(UNITS), pay=False)
        shopping = asyncio.create_task(buyers.shop(8))
        await until(lambda: _placed(buyers, 50), "orders before the disk is full")
        await _as_after_some_use(server)
        ballast = await asyncio.to_thread(fill, small_disk)
        proof.fault("full disks")
        await until(lambda: _put_off(target, buyers.sku), "a write that is put off", 90)
        await until(lambda: _reads(target, buyers.sku), "reads, as soon as writes are put off", 30)
        for _ in range(20):
            assert await _reads(target, buyers.sku), "reads do not work"
            await asyncio.sleep(0.1)
        ballast.unlink()
        await served(target, 60)
        before = len(buyers.placed)
        await until(lambda: _placed(buyers, before + 20), "orders after there was room again", 60)
        buyers.stopping.set()
        await shopping
        proof.attempt(len(buyers.placed))
        await until(town.is_at_rest, "followers at the end of the log")
        assert buyers.server_errors == []
        await reconcile(target, buyers, UNITS)
    done = await asyncio.to_thread(town.command, "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.running() is not None


async def _as_after_some_use(server: EmbeddedServer) -> None:
    """A server that has been in use keeps used parts of its write-ahead log for later (`min_wal_size`). One that has
    none to go on with when the disk is full ends at once, and comes back when there is room: no reads meanwhile."""
    address = server.running()
    assert address is not None
    connection = await asyncpg.connect(address.dsn())
    try:
        for _ in range(3):
            await connection.execute("select pg_logical_emit_message(true, 'use', 'some')")
            await connection.execute("select pg_switch_wal()")
            await connection.execute("checkpoint")
    finally:
        await connection.close()


async def _reads(target: Target, sku: str) -> bool:
    answers = [await target.ask("GET", path) for path in ("/products", f"/inventory/availability?sku={sku}")]
    return [answer.status for answer in answers] == [200, 200]


async def _placed(buyers: Buyers, number: int) -> bool:
    return len(buyers.placed) >= number


async def _put_off(target: Target, sku: str) -> bool:
    who = await target.ask("POST", "/guests")
    if who.status == 503:
        return "retry-after" in who.headers
    if who.status >= 300:
        return False
    guest = Caller(who.json["account"], who.json["access_token"])
    answer = await target.ask("POST", "/orders/create", order(guest, sku), guest)
    return answer.status == 503 and "retry-after" in answer.headers

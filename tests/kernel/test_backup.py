"""A backup brings everything back, keys apart; a restore never mixes, never brings erased persons back."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from kernel.guests import Welcome
from kernel.persons import EVENT, KEY, KIM, moved_in
from kernel.shelf import Fill
from kernel.tampering import DECIDERS, SECRETS, House, house
from pasar.kernel.backup import BackupError, backup, restore
from pasar.kernel.bus import Core
from pasar.kernel.clock import SettableClock
from pasar.kernel.ids import SeededIds
from pasar.kernel.keystore import SqliteKeyStore
from pasar.kernel.messages import decode
from pasar.kernel.private import Private
from pasar.kernel.roles import OWNER
from pasar.kernel.seal import AnchorFile, Sealer
from pasar.kernel.store import Database
from pasar.kernel.verify import verify
from postgres import TestDatabase, TestServer

__all__ = ["house"]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def empty_database(server: TestServer, name: str) -> str:
    connection = await asyncpg.connect(server.dsn)
    await connection.execute(f"drop database if exists {name} with (force)")
    await connection.execute(f"create database {name} owner {OWNER}")
    await connection.close()
    return server._database(name, 0).dsn


async def test_a_restored_system_is_verified_clean_readable_and_goes_on_in_a_new_epoch(
    house: House, database: TestDatabase, postgres_server: TestServer, tmp_path: Path
):
    clock, target = SettableClock(NOON), tmp_path / "backup"
    manifest = await backup(database.dsn, target, clock=clock, keys=house.keys, anchors=house.anchors.file)
    assert manifest.keys_expire_at == NOON + timedelta(days=14)
    dump = (target / "database.dump").read_bytes()
    assert not any(secret.encode() in dump for secret in SECRETS)
    with pytest.raises(BackupError, match="not empty"):
        await backup(database.dsn, target, clock=clock)
    with pytest.raises(BackupError, match="not empty"):
        await restore(target, database.dsn, clock=clock)
    name = database.name + "_r"
    dsn = await empty_database(postgres_server, name)
    done = await restore(target, dsn, clock=clock, keys_folder=tmp_path / "new", anchors=tmp_path / "new_anchors")
    assert (done.epoch, done.events, done.keys) == (2, manifest.events, "restored")
    opened = Database(postgres_server._database(name, 0).app_dsn, size=2)
    await opened.open()
    keys = await SqliteKeyStore.open_in(tmp_path / "new", clock, environment=KEY)
    core = Core(opened, DECIDERS, clock=clock, ids=SeededIds(2), keys=keys)
    await core.bus().send(Fill(shelf="a", things=1))
    anchors = AnchorFile(tmp_path / "new_anchors")
    await Sealer(opened.kernel, clock, anchors).drain()
    async with opened.kernel.acquire() as connection:
        assert (await verify(connection, DECIDERS, now=NOON, anchors=anchors)).findings == []
    text = await opened.kernel.fetchval("select data->>'name' from kernel.event where kind = 'toy.guest' limit 1")
    assert await keys.open(decode(text, Private)) == SECRETS[0]
    assert await opened.kernel.fetchval("select max(epoch) from kernel.event") == 2
    await keys.close()
    await opened.close()
    await postgres_server.drop(postgres_server._database(name, 0))


@pytest.mark.promise("E2")
async def test_a_key_store_that_is_still_there_is_kept_since_it_knows_what_was_erased(
    house: House, database: TestDatabase, postgres_server: TestServer, tmp_path: Path
):
    target, clock = tmp_path / "backup", SettableClock(NOON)
    card = await house.core.bus().send(Welcome(guest=KIM, name=Private("x")))
    await backup(database.dsn, target, clock=clock, keys=house.keys)
    assert await house.keys.erase(1, KIM) == 2
    name = database.name + "_r"
    dsn = await empty_database(postgres_server, name)
    assert (await restore(target, dsn, clock=clock, keys_folder=house.keys.folder)).keys == "kept"
    assert (await house.keys.open_all(card)).name.erased
    await postgres_server.drop(postgres_server._database(name, 0))


@pytest.mark.parametrize("file", ["database.dump", "manifest.json", "keys"])
@pytest.mark.promise("B12")
async def test_a_damaged_or_expired_backup_is_refused_before_anything_is_written(
    house: House, database: TestDatabase, postgres_server: TestServer, tmp_path: Path, file: str
):
    target, clock = tmp_path / "backup", SettableClock(NOON)
    manifest = await backup(database.dsn, target, clock=clock, keys=house.keys)
    name = database.name + "_r"
    dsn = await empty_database(postgres_server, name)
    damaged = tmp_path / "backup-keys" / manifest.keys[0].name if file == "keys" else target / file
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-10] + b"0123456789")
    with pytest.raises(BackupError, match="another"):
        await restore(target, dsn, clock=clock, keys_folder=tmp_path / "new")
    damaged.write_bytes(whole)
    clock.advance(timedelta(days=15))
    with pytest.raises(BackupError, match="expired"):
        await restore(target, dsn, clock=clock, keys_folder=tmp_path / "new")
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("select to_regnamespace('kernel')") is None
    await connection.close()
    await postgres_server.drop(postgres_server._database(name, 0))


async def test_a_restore_that_breaks_off_leaves_the_database_empty(
    house: House, database: TestDatabase, postgres_server: TestServer, tmp_path: Path
):
    """The restored rows collide with a schema that was there: the whole is rolled back."""
    target, clock = tmp_path / "backup", SettableClock(NOON)
    await backup(database.dsn, target, clock=clock)
    name = database.name + "_r"
    dsn = await empty_database(postgres_server, name)
    connection = await asyncpg.connect(dsn)
    await connection.execute("create function public.now_taken() returns int language sql as 'select 1'")
    await connection.execute("create schema kernel")
    with pytest.raises(BackupError, match="as empty as before"):
        await restore(target, dsn, clock=clock)
    assert await connection.fetchval("select count(*) from pg_tables where schemaname = 'kernel'") == 0
    await connection.close()
    await postgres_server.drop(postgres_server._database(name, 0))


@pytest.mark.filterwarnings("ignore::pasar.kernel.master.MasterKeyInFolder")
async def test_a_master_key_that_exists_nowhere_else_goes_with_the_copy_and_dies_with_it(
    database: TestDatabase, postgres_server: TestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("PASAR_MASTER_KEY", raising=False)
    clock, copies = SettableClock(NOON), tmp_path / "backup-keys"
    keys = await SqliteKeyStore.open_in(tmp_path / "keys", clock)
    sealed = await keys.seal(1, moved_in(), EVENT)
    await backup(database.dsn, tmp_path / "backup", clock=clock, keys=keys)
    assert sorted(file.suffix for file in copies.iterdir()) == [".master", ".sqlite"]
    name = database.name + "_r"
    dsn = await empty_database(postgres_server, name)
    await restore(tmp_path / "backup", dsn, clock=clock, keys_folder=tmp_path / "elsewhere")
    there = await SqliteKeyStore.open_in(tmp_path / "elsewhere", clock)
    assert await there.open_all(sealed) == moved_in()
    await there.close()
    clock.advance(timedelta(days=15))
    await keys.copy_to(copies)
    assert [file.suffix for file in copies.iterdir()] == [".sqlite"]
    await keys.close()
    await postgres_server.drop(postgres_server._database(name, 0))

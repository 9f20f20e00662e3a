"""Backup and restore of the database and, apart from it, of the key store.

The two parts live differently: the database's copy may be kept for years, the key store's dies within 14 days, or an
erased person could be read again from it. Keys are copied after the database, so they open all that is in its copy.
"""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg
import msgspec

from .clock import Clock
from .embedded_host import EmbeddedError, find_programs
from .keyfile import FILE as KEYS
from .keystore import COPIES_LIVE, SqliteKeyStore, copied_at
from .master import FILE as MASTER
from .master import VARIABLE, sync_folder
from .messages import Value
from .migrate import prepare_roles

MANIFEST, DUMP, ANCHORS = "manifest.json", "database.dump", "anchors"
HASH = "manifest.sha256"
"""What the manifest hashes to; backups of earlier versions have none."""
_CHUNK = 1 << 20


class BackupError(Exception):
    """A sentence that says why nothing was backed up or restored, and what to do."""


class SavedFile(Value):
    name: str
    sha256: str
    bytes: int


class Manifest(Value):
    """What is in a backup. The key store's part lies in another folder and has a date of expiry."""

    made_at: datetime
    server: int
    epoch: int
    events: int
    seal: int
    chain: str
    files: tuple[SavedFile, ...]
    keys: tuple[SavedFile, ...] = ()
    keys_expire_at: datetime | None = None


class Restored(Value):
    """What a restore did."""

    epoch: int
    events: int
    keys: str
    """`restored`, `kept` (there was a key store already: it knows what was erased since) or `none`."""


async def backup(
    dsn: str,
    target: Path,
    *,
    clock: Clock,
    keys: SqliteKeyStore | None = None,
    keys_target: Path | None = None,
    anchors: Path | None = None,
) -> Manifest:
    """Copy database (as its owner or a superuser), anchors and key store. Whole or not at all: `target` appears last.

    Without `keys_target` the key store goes to `<target>-keys`. Its earlier copies there are deleted when 14 days old.
    """
    await asyncio.to_thread(_refuse_used, target, "backup")
    unfinished = target.with_name(target.name + ".unfinished")
    await asyncio.to_thread(_start_anew, unfinished)
    facts = await _facts(dsn)
    await asyncio.to_thread(_dump, dsn, facts["server"], unfinished / DUMP)
    if anchors is not None and await asyncio.to_thread(anchors.exists):
        await asyncio.to_thread(shutil.copyfile, anchors, unfinished / ANCHORS)
    copies, expire_at = [], None
    if keys is not None:
        copies = await _copy_keys(keys, keys_target or target.with_name(target.name + "-keys"))
        expire_at = copied_at(copies[0]) + COPIES_LIVE
    manifest = await asyncio.to_thread(
        lambda: Manifest(
            made_at=clock.now(),
            **facts,
            files=tuple(_saved(file) for file in sorted(unfinished.iterdir())),
            keys=tuple(_saved(file) for file in copies),
            keys_expire_at=expire_at,
        )
    )
    await asyncio.to_thread(_finish, unfinished, target, manifest)
    return manifest


async def restore(
    source: Path,
    dsn: str,
    *,
    clock: Clock,
    keys_source: Path | None = None,
    keys_folder: Path | None = None,
    anchors: Path | None = None,
) -> Restored:
    """Bring a backup into an empty database (as a superuser), with the epoch raised in the same transaction.

    A key store that is still in `keys_folder` is kept: it knows what was erased since. Nothing is written before all
    hashes have been found right.
    """
    manifest = await asyncio.to_thread(read_manifest, source)
    await asyncio.to_thread(_check, source, manifest.files)
    copies = keys_source or source.with_name(source.name + "-keys")
    what = await asyncio.to_thread(_plan_keys, manifest, copies, keys_folder, clock.now())
    connection = await asyncpg.connect(dsn)
    try:
        server = connection.get_server_version().major
        await _refuse_non_empty(connection)
        await prepare_roles(connection)
        await asyncio.to_thread(_load, dsn, server, source / DUMP)
        row = await connection.fetchrow(
            "select epoch, (select count(*) from kernel.event) as events from kernel.cluster"
        )
        assert row is not None
        await connection.execute("analyze")
    finally:
        await connection.close()
    if what == "restored" and keys_folder is not None:
        await asyncio.to_thread(_put_keys, manifest, copies, keys_folder)
    saved = any(file.name == ANCHORS for file in manifest.files)
    if saved and anchors is not None and not await asyncio.to_thread(anchors.exists):
        await asyncio.to_thread(shutil.copyfile, source / ANCHORS, anchors)
    return Restored(epoch=row["epoch"], events=row["events"], keys=what)


def read_manifest(source: Path) -> Manifest:
    try:
        text, told = (source / MANIFEST).read_bytes(), source / HASH
        if told.exists() and told.read_bytes() != sha256(text).hexdigest().encode():
            raise BackupError(f"{source / MANIFEST} is not what was saved: its hash differs. Use another backup.")
        return msgspec.json.decode(text, type=Manifest)
    except FileNotFoundError:
        raise BackupError(f"{source} is no backup: it has no {MANIFEST}. Name the folder that `backup` made.") from None
    except ValueError as error:
        raise BackupError(f"{source / MANIFEST} is damaged ({error}). Use another backup.") from None


# The database.


async def _facts(dsn: str) -> dict[str, Any]:
    connection = await asyncpg.connect(dsn)
    try:
        row = await connection.fetchrow(
            """select (select epoch from kernel.cluster) as epoch, (select count(*) from kernel.event) as events,
                      coalesce(s.no, 0) as seal, coalesce(encode(s.chain, 'hex'), '') as chain
                 from (select) x left join (select no, chain from kernel.seal order by no desc limit 1) s on true"""
        )
        assert row is not None
        return {**dict(row), "server": connection.get_server_version().major}
    except asyncpg.UndefinedTableError:
        raise BackupError("The database has no log to back up: it was never migrated.") from None
    finally:
        await connection.close()


async def _refuse_non_empty(connection: Any) -> None:
    found = await connection.fetchval(
        """select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and n.nspname !~ '^pg_'
              and c.relkind in ('r', 'p', 'v', 'm', 'S') limit 1"""
    )
    if found is not None:
        raise BackupError(f"The database is not empty: it has {found}. Restore into a new, empty database.")


def _client(program: str, server: int) -> Path:
    """A client of at least the server's version: that of its own installation first, else of the path."""
    seen = []
    try:
        programs = find_programs(None, server)
        if (programs / program).is_file():
            seen.append((programs / program, programs.major))
    except EmbeddedError:
        pass
    on_path = shutil.which(program)
    if on_path is not None:
        said = subprocess.run([on_path, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
        number = re.search(r"(\d+)", said)
        seen.append((Path(on_path), int(number[1]) if number else 0))
    for file, major in seen:
        if major >= server:
            return file
    raise BackupError(
        f"No {program} of PostgreSQL {server} or newer was found. Install the package `postgresql-client-{server}`, or"
        " put one on the PATH."
    )


def _without_password(dsn: str) -> tuple[str, dict[str, str]]:
    """Programs get the password by their environment: their arguments can be read by every user of the machine."""
    parts = urlsplit(dsn)
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    if parts.password is None:
        return dsn, environment | ({"PGPASSWORD": os.environ["PGPASSWORD"]} if "PGPASSWORD" in os.environ else {})
    place = f"{parts.username or ''}@{parts.netloc.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=place)), environment | {"PGPASSWORD": unquote(parts.password)}


def _dump(dsn: str, server: int, file: Path) -> None:
    address, environment = _without_password(dsn)
    command = [str(_client("pg_dump", server)), "--format=custom", "--compress=6", f"--dbname={address}"]
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, env=environment, check=False)  # noqa: S603
        os.fsync(out.fileno())
    if done.returncode != 0:
        raise BackupError(f"pg_dump failed, nothing was backed up: {_last_words(done.stderr)}")


def _load(dsn: str, server: int, file: Path) -> None:
    """One transaction: the dump as a script, and the raised epoch at its end. Broken off, it leaves nothing."""
    address, environment = _without_password(dsn)
    read = [str(_client("pg_restore", server)), "--file=-", str(file)]
    write = [str(_client("psql", server)), "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", f"--dbname={address}", "--file=-"]
    pipes = {"env": environment, "stderr": subprocess.PIPE}
    with (
        subprocess.Popen(read, stdout=subprocess.PIPE, **pipes) as script,  # type: ignore[call-overload]  # noqa: S603
        subprocess.Popen(write, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, **pipes) as sql,  # type: ignore[call-overload]  # noqa: S603
    ):
        assert script.stdout and script.stderr and sql.stdin and sql.stderr  # noqa: PT018  # They are pipes.
        try:
            _pour(script.stdout, sql.stdin)
            if script.wait() == 0:
                sql.stdin.write(b"\nupdate kernel.cluster set epoch = epoch + 1;\n")
            else:
                sql.kill()  # What it was given so far is never committed.
            sql.stdin.close()
        except BrokenPipeError:
            script.kill()
        words = _last_words(sql.stderr.read()) or _last_words(script.stderr.read())
        failed = sql.wait() != 0
    if failed:
        raise BackupError(f"The database was not restored, and is as empty as before: {words}")


def _pour(source: IO[bytes], target: IO[bytes]) -> None:
    while chunk := source.read(_CHUNK):
        target.write(chunk)


def _last_words(output: bytes) -> str:
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-3:])


# The key store.


async def _copy_keys(keys: SqliteKeyStore, target: Path) -> list[Path]:
    copy = await keys.copy_to(target)
    copies = [copy]
    if VARIABLE not in os.environ and await asyncio.to_thread((keys.folder / MASTER).exists):
        # Made in the data folder, it exists nowhere else: it goes with the copy, and dies with it.
        master = copy.with_suffix(".master")
        await asyncio.to_thread(master.unlink, missing_ok=True)
        await asyncio.to_thread(_copy_private, keys.folder / MASTER, master)
        copies.append(master)
    return copies


def _copy_private(source: Path, target: Path) -> None:
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(source.read_bytes())
        os.fsync(out.fileno())


def _plan_keys(manifest: Manifest, source: Path, folder: Path | None, now: datetime) -> str:
    """What will become of the key store; refuses before anything is written."""
    if folder is None:
        return "none"
    if (folder / KEYS).exists():
        return "kept"
    if not manifest.keys:
        return "none"
    if manifest.keys_expire_at is not None and manifest.keys_expire_at <= now:
        raise BackupError(
            f"The key store of this backup expired {manifest.keys_expire_at:%Y-%m-%d}, and {folder} has none: personal"
            " data would stay unreadable. Put the live key store there, or restore a newer backup."
        )
    _check(source, manifest.keys)
    return "restored"


def _put_keys(manifest: Manifest, source: Path, folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for saved in manifest.keys:
        name = MASTER if saved.name.endswith(".master") else KEYS
        if not (folder / name).exists():
            _copy_private(source / saved.name, folder / name)
    sync_folder(folder)


# Files.


def _refuse_used(folder: Path, what: str) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BackupError(f"{folder} is not empty: name a new folder for this {what}.")


def _start_anew(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)


def _saved(file: Path) -> SavedFile:
    digest, size = sha256(), 0
    with file.open("rb") as data:
        while chunk := data.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return SavedFile(name=file.name, sha256=digest.hexdigest(), bytes=size)


def _check(folder: Path, files: Sequence[SavedFile]) -> None:
    for saved in files:
        file = folder / saved.name
        if not file.is_file():
            raise BackupError(f"{file} is missing: the backup is not whole. Use another one.")
        if _saved(file) != saved:
            raise BackupError(f"{file} is not what was saved: its hash differs. Use another backup.")


def _finish(unfinished: Path, target: Path, manifest: Manifest) -> None:
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    for name, content in ((MANIFEST, text), (HASH, sha256(text).hexdigest().encode())):
        with (unfinished / name).open("wb") as out:
            out.write(content)
            os.fsync(out.fileno())
    sync_folder(unfinished)
    if target.exists():
        target.rmdir()
    unfinished.rename(target)
    sync_folder(target.parent)

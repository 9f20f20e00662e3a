"""The SQLite file of the key store: what is in it, and every statement. Blocking; `keystore` calls it in a thread.

Secure delete zeroes what is erased, and a checkpoint that truncates the write-ahead log takes the older page images
away. Erasures are also noted in a file beside it, so that no copy of the store can bring a key back.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from . import lines
from .master import (
    KeyStoreError,
    Master,
    announce_next,
    fresh,
    make_in_folder,
    masters,
    next_master,
    settle_on,
    sync_folder,
)

FILE = "keys.sqlite"
ERASED = "erased.jsonl"
_SCHEMA = """
create table if not exists about (name text primary key, value text not null) without rowid;
create table if not exists secret (name text primary key, wrapped blob not null) without rowid;
create table if not exists data_key (
    id text primary key, tenant int not null, person text not null, purpose text not null,
    wrapped blob, made_at text not null, erased_at text,
    check ((wrapped is null) = (erased_at is not null)));
create unique index if not exists data_key_of on data_key (tenant, person, purpose);
create table if not exists erased (
    tenant int not null, person text not null, at text not null, primary key (tenant, person)) without rowid;
create table if not exists vault (
    id text primary key, tenant int not null, person text not null, class text not null, until text not null,
    kept_at text not null, wrapped blob not null, box blob not null);
create index if not exists vault_of on vault (tenant, person);
create table if not exists vault_reading (
    no integer primary key, record text not null, tenant int not null, person text not null,
    by text not null, why text not null, at text not null);
"""

Owner = tuple[int, str, str]
"""Tenant, person, purpose: whose key it is, and what for."""


class KeyRow(NamedTuple):
    id: str
    owner: Owner
    secret: bytes | None
    """None when it was destroyed."""


class VaultRow(NamedTuple):
    id: str
    class_: str
    until: str
    kept_at: str
    secret: bytes
    box: bytes


class Erasure(msgspec.Struct, frozen=True):
    tenant: int
    person: str
    at: str


def written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


def meant_for(id: str, owner: Owner) -> str:
    return f"{id} {owner[0]} {owner[1]} {owner[2]}"


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """A file that SQLite cannot make sense of is said in a sentence; one that is merely busy or full is not."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        kind = getattr(error, "sqlite_errorname", "")  # Python has none for a text that is not UTF-8.
        if kind.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL")):
            raise
        told = f"The key store {folder / FILE} cannot be used: {error}. Restore its last copy."
        raise KeyStoreError(told) from None


class KeyFile:
    """One connection, used by one thread at a time."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder, self._environment = folder, environment
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / FILE
        is_new = not file.exists()
        if is_new:
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))
        self._db = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=10)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")
        self._db.execute("pragma secure_delete = on")
        with self._writing():
            for statement in _SCHEMA.split(";\n"):
                self._db.execute(statement)
        if is_new:
            sync_folder(folder)
        self.master = self._find_master()
        self.apply_erasures(read_erasures(folder))

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One durable transaction; waits for other processes."""
        self._db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")

    def _about(self, name: str) -> str | None:
        row = self._db.execute("select value from about where name = ?", (name,)).fetchone()
        return row and row[0]

    def _find_master(self) -> Master:
        """The master key that the store is written with; the first start makes one if there is none."""
        with self._writing():
            known = masters(self.folder, self._environment)
            name = self._about("master")
            if name is None:
                master = known[0] if known else make_in_folder(self.folder)
                self._db.execute("insert into about values ('master', ?)", (master.name,))
                self._db.execute("insert into secret values ('digest', ?)", (master.wrap(fresh(32), "secret digest"),))
                return master
            for master in known:
                if master.name == name:
                    if len(known) > 1:
                        settle_on(self.folder, master)
                    return master
        raise KeyStoreError(
            f"The key store in {self.folder} is written with master key {name}, but"
            f" {known[0].name if known else 'none'} is at hand. Set PASAR_MASTER_KEY to the one it was written with."
        )

    def _current_master(self) -> Master:
        """Another process may have rotated it."""
        if self._about("master") != self.master.name:
            self.master = self._find_master()
        return self.master

    def digest_secret(self) -> bytes:
        row = self._db.execute("select wrapped from secret where name = 'digest'").fetchone()
        if row is None:
            raise KeyStoreError(f"The key store {self.folder / FILE} has lost a secret. Restore its last copy.")
        return self._current_master().unwrap(row[0], "secret digest")

    # Data keys.

    def _rows(self, where: str, arguments: Sequence[object]) -> list[KeyRow]:
        self._db.execute("begin")  # The name of the master key and what it wraps are read as of one moment.
        try:
            master = self._current_master() if self._about("master") == self.master.name else None
            found = self._db.execute(
                f"select id, tenant, person, purpose, wrapped from data_key where {where}",
                arguments,
            ).fetchall()
        finally:
            self._db.execute("rollback")
        if master is None:
            self.master = self._find_master()
            return self._rows(where, arguments)
        rows = []
        for id, tenant, person, purpose, wrapped in found:
            owner = tenant, person, purpose
            rows.append(KeyRow(id, owner, wrapped and master.unwrap(wrapped, meant_for(id, owner))))
        return rows

    def by_id(self, ids: Sequence[str]) -> list[KeyRow]:
        found: list[KeyRow] = []
        for start in range(0, len(ids), 500):
            part = ids[start : start + 500]
            found += self._rows(f"id in ({','.join('?' * len(part))})", part)
        return found

    def of_owners(self, owners: Sequence[Owner], now: datetime) -> dict[Owner, KeyRow]:
        """The keys of these owners, made and durable where there were none. Erased persons get no new one."""
        found = self._of_owners(owners)
        missing = [owner for owner in owners if owner not in found]
        if missing:
            with self._writing():
                master = self._current_master()
                for owner in missing:
                    gone = self._db.execute("select 1 from erased where (tenant, person) = (?, ?)", owner[:2])
                    if gone.fetchone() is None:
                        id = fresh(12).hex()
                        self._db.execute(
                            "insert into data_key values (?, ?, ?, ?, ?, ?, null) on conflict do nothing",
                            (id, *owner, master.wrap(fresh(32), meant_for(id, owner)), written(now)),
                        )
            found |= self._of_owners(missing)
        return found

    def _of_owners(self, owners: Sequence[Owner]) -> dict[Owner, KeyRow]:
        found: dict[Owner, KeyRow] = {}
        for start in range(0, len(owners), 200):
            part = owners[start : start + 200]
            flat = [value for owner in part for value in owner]
            for row in self._rows(f"(tenant, person, purpose) in (values {','.join(['(?,?,?)'] * len(part))})", flat):
                found[row.owner] = row
        return found

    # Erasure.

    def erase(self, tenant: int, person: str, now: datetime) -> int:
        erasure = Erasure(tenant, person, written(now))
        note_erasure(self.folder, erasure)
        destroyed = self.apply_erasures([erasure])
        return destroyed

    def apply_erasures(self, erasures: Iterable[Erasure]) -> int:
        """Destroy what is to be destroyed; what is destroyed already stays as it is."""
        destroyed = 0
        with self._writing():
            for one in erasures:
                self._db.execute(
                    "insert into erased values (?, ?, ?) on conflict do nothing", (one.tenant, one.person, one.at)
                )
                destroyed += self._db.execute(
                    """update data_key set wrapped = null, erased_at = ?
                        where tenant = ? and person = ? and wrapped is not null""",
                    (one.at, one.tenant, one.person),
                ).rowcount
        if destroyed:
            self.scrub()
        return destroyed

    def scrub(self) -> None:
        """Take old page images off the disk. Waits for readers of other processes."""
        busy, *_ = self._db.execute("pragma wal_checkpoint(truncate)").fetchone()
        if busy:
            raise KeyStoreError("A process keeps the key store's log open: end it, then erase again to finish.")

    # Vault.

    def keep(self, tenant: int, person: str, class_: str, until: str, now: datetime, wrapped_by: str, box: bytes,
             secret: bytes) -> None:  # fmt: skip
        with self._writing():
            wrapped = self._current_master().wrap(secret, f"vault {wrapped_by}")
            self._db.execute(
                "insert or replace into vault values (?, ?, ?, ?, ?, ?, ?, ?)",
                (wrapped_by, tenant, person, class_, until, written(now), wrapped, box),
            )

    def read_vault(self, tenant: int, person: str, by: str, why: str, now: datetime) -> list[VaultRow]:
        """The records of a person. Who reads, and why, is on the disk before anything is returned."""
        with self._writing():
            found = self._db.execute(
                """select id, class, until, kept_at, wrapped, box from vault
                    where tenant = ? and person = ? and until >= ? order by kept_at, id""",
                (tenant, person, written(now)),
            ).fetchall()
            self._db.executemany(
                "insert into vault_reading (record, tenant, person, by, why, at) values (?, ?, ?, ?, ?, ?)",
                [(row[0], tenant, person, by, why, written(now)) for row in found],
            )
            master = self._current_master()
        return [
            VaultRow(id, class_, until, kept_at, master.unwrap(wrapped, f"vault {id}"), box)
            for id, class_, until, kept_at, wrapped, box in found
        ]

    def readings(self, tenant: int, person: str) -> list[tuple[str, str, str, str]]:
        """The audit: record, who, why and when."""
        return self._db.execute(
            "select record, by, why, at from vault_reading where tenant = ? and person = ? order by no",
            (tenant, person),
        ).fetchall()

    def expire_vault(self, now: datetime) -> int:
        with self._writing():
            gone = self._db.execute("delete from vault where until < ?", (written(now),)).rowcount
        if gone:
            self.scrub()
        return gone

    # Damage.

    def faults(self) -> Iterator[tuple[str, str]]:
        """Where something is not as it was written, and what is wrong with it: the file itself, and each key, secret
        and record of the vault that does not open."""
        for (told,) in self._db.execute("pragma integrity_check").fetchall():
            if told != "ok":
                yield FILE, told
        wrapped = [(f"secret {name}", box) for name, box in self._db.execute("select name, wrapped from secret")]
        wrapped += [(f"vault {id}", box) for id, box in self._db.execute("select id, wrapped from vault")]
        rows = self._db.execute("select id, tenant, person, purpose, wrapped from data_key where wrapped not null")
        wrapped += [(meant_for(id, (tenant, person, purpose)), box) for id, tenant, person, purpose, box in rows]
        master = self._current_master()
        for name, box in wrapped:
            try:
                master.unwrap(box, name)
            except (KeyStoreError, ValueError, TypeError) as error:
                yield f"{FILE}, {name}", str(error)

    # Rotation and copies.

    def rotate(self, given: Master | None = None) -> int:
        """Wrap every key with a new master key, in one transaction; how many there were."""
        new = given or next_master(self._environment)
        if "PASAR_MASTER_KEY" not in self._environment:
            announce_next(self.folder, new)
        count = 0
        with self._writing():
            old = self._current_master()
            for table, text in (("secret", "secret "), ("vault", "vault ")):
                column = "name" if table == "secret" else "id"
                for id, wrapped in self._db.execute(f"select {column}, wrapped from {table}").fetchall():
                    again = new.wrap(old.unwrap(wrapped, text + id), text + id)
                    self._db.execute(f"update {table} set wrapped = ? where {column} = ?", (again, id))
            keys = self._db.execute("select id, tenant, person, purpose, wrapped from data_key where wrapped not null")
            for id, tenant, person, purpose, wrapped in keys.fetchall():
                name = meant_for(id, (tenant, person, purpose))
                again = new.wrap(old.unwrap(wrapped, name), name)
                self._db.execute("update data_key set wrapped = ? where id = ?", (again, id))
                count += 1
            self._db.execute("update about set value = ? where name = 'master'", (new.name,))
        self.master = new
        self.scrub()
        if "PASAR_MASTER_KEY" not in self._environment:
            settle_on(self.folder, new)
        return count

    def copy_to(self, file: Path) -> None:
        """A consistent copy while others write."""
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        target = sqlite3.connect(file)
        try:
            self._db.backup(target)
            target.execute("pragma journal_mode = delete")
        finally:
            target.close()
        with file.open("rb+") as handle:
            os.fsync(handle.fileno())
        sync_folder(file.parent)

    def note_copies(self, folder: Path) -> None:
        """Remember where copies lie, so that they can be deleted when their time is over."""
        with self._writing():
            self._db.execute("insert or ignore into about values (?, ?)", (f"copies {folder}", str(folder)))

    def copies(self) -> list[Path]:
        rows = self._db.execute("select value from about where name like 'copies %' order by name").fetchall()
        return [Path(folder) for (folder,) in rows]

    def known(self, ids: Sequence[str]) -> set[str]:
        """Which of these keys the store has, destroyed ones included."""
        return {row.id for row in self.by_id(ids)}


def note_erasure(folder: Path, erasure: Erasure) -> None:
    lines.append(folder / ERASED, erasure)


def read_erasures(folder: Path) -> list[Erasure]:
    """All that were ever asked for; a line that a crash cut short is left out, since its erasure was not answered. One
    that was damaged stops the start, or a person could be read again."""
    found, damaged = lines.read(folder / ERASED, Erasure)
    if damaged:
        raise KeyStoreError(
            f"Line {damaged[0]} of {folder / ERASED} is not what was written: it names a person who was erased. Take"
            " the file from a copy that is whole."
        )
    return found

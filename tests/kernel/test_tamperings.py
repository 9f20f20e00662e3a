"""What a superuser changes behind the back of the kernel is found and named, one change after the other: bits that
turn, rows that vanish or change places; in the database, in backups, in anchors and in keys."""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import pytest

from kernel.persons import KEY, moved_in
from kernel.tampering import DECIDERS, NOON, House, house
from pasar.apps.lab.evidence import Evidence
from pasar.kernel.backup import BackupError, backup, restore
from pasar.kernel.clock import SettableClock
from pasar.kernel.findings import Finding
from pasar.kernel.keystore import SqliteKeyStore
from pasar.kernel.master import KeyStoreError
from pasar.kernel.verify import verify
from postgres import TestDatabase

__all__ = ["house"]


class Table(NamedTuple):
    """`columns` are those that mean something; `names` says by which of its columns a finding names a row: for what
    is sealed, the seal that covers it."""

    key: tuple[str, ...]
    columns: tuple[str, ...]
    names: tuple[str, ...]


TABLES = {
    "event": Table(
        ("tenant", "kind", "stream", "version"),
        ("tenant", "kind", "stream", "version", "type", "data", "meta", "change", "at"),
        ("stream",),
    ),
    "stream": Table(("tenant", "kind", "id"), ("kind", "id", "version", "state"), ("id",)),
    "account": Table(("tenant", "id", "unit"), ("id", "unit", "floor", "balance", "held"), ("id",)),
    "transfer": Table(
        ("tenant", "id"),
        ("tenant", "id", "phase", "debit", "credit", "unit", "amount", "hold", "remaining"),
        ("id", "hold", "debit", "credit", "unit"),
    ),
    "claim": Table(("tenant", "kind", "key"), ("kind", "key", "owner_kind", "owner"), ("key",)),
    "timer": Table(
        ("tenant", "kind", "stream", "name"), ("kind", "stream", "name", "due_at", "command_type", "command"),
        ("stream",),
    ),
    "seal": Table(("no",), ("no", "to_position", "events", "root", "previous", "chain"), ("no",)),
}  # fmt: skip


def flipped(value: Any, chance: random.Random) -> Any:
    """The same with one bit turned."""
    match value:
        case bool():
            return not value
        case int():
            return value ^ (1 << chance.randrange(15))
        case bytes():
            place = chance.randrange(len(value) * 8)
            turned = value[place // 8] ^ (1 << place % 8)
            return value[: place // 8] + bytes([turned]) + value[place // 8 + 1 :]
        case str():
            place = chance.randrange(len(value))
            return value[:place] + chr(ord(value[place]) ^ (1 << chance.randrange(5))) + value[place + 1 :]
        case UUID():
            return UUID(int=value.int ^ (1 << chance.randrange(128)))
        case datetime():
            return value + timedelta(microseconds=1 << chance.randrange(40))
    raise TypeError(type(value))


class NoEffect(Exception):
    """What was tried left everything as it was, or the database cannot hold it."""


class Superuser:
    """Tampers by chance, each time once."""

    def __init__(self, root: Any, chance: random.Random) -> None:
        self._root, self._chance = root, chance

    async def act(self) -> tuple[str, str, list[str]]:
        """What was done, to which table, and texts one of which a finding must have. Raises `NoEffect`."""
        name = self._chance.choice(list(TABLES))
        act = self._chance.choice((self._flip, self._flip, self._flip, self._delete, self._swap))
        rows = await self._root.fetch(f"select * from kernel.{name} order by {', '.join(TABLES[name].key)}")
        row = self._chance.choice(rows)
        try:
            named = await act(name, row, rows)
        except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, OverflowError) as refused:
            raise NoEffect from refused
        named += [f"{row[column]}" for column in TABLES[name].names if row[column] is not None]
        if name == "event":
            named.append("covers positions")
        return act.__name__.strip("_"), name, named

    async def _flip(self, name: str, row: Any, rows: list[Any]) -> list[str]:
        column = self._chance.choice(TABLES[name].columns)
        if row[column] is None:
            raise NoEffect
        value = flipped(row[column], self._chance)
        if column in ("data", "meta", "state", "command"):
            with suppress(ValueError):
                if json.loads(value) == json.loads(row[column]):
                    raise NoEffect
        await self._change(f"update kernel.{name} set {column} = $1", name, row, value)
        return [str(value)]

    async def _delete(self, name: str, row: Any, rows: list[Any]) -> list[str]:
        if name == "seal" and len(rows) == row["no"]:
            raise NoEffect  # The head of the chain is what anchors are for.
        await self._change(f"delete from kernel.{name}", name, row)
        return []

    async def _swap(self, name: str, row: Any, rows: list[Any]) -> list[str]:
        """Two rows change what they say, but not where they are."""
        column = self._chance.choice([one for one in TABLES[name].columns if one not in TABLES[name].key] or [""])
        others = [other for other in rows if column and other[column] != row[column]]
        if not others:
            raise NoEffect
        other = self._chance.choice(others)
        await self._change(f"update kernel.{name} set {column} = $1", name, row, other[column])
        await self._change(f"update kernel.{name} set {column} = $1", name, other, row[column])
        return [str(other[one]) for one in TABLES[name].names]

    async def _change(self, sql: str, name: str, row: Any, *values: Any) -> None:
        key = TABLES[name].key
        place = " and ".join(f"{column} = ${len(values) + number}" for number, column in enumerate(key, 1))
        done = await self._root.execute(f"{sql} where {place}", *values, *(row[column] for column in key))
        if done.endswith(" 0"):
            raise NoEffect


def names(finding: Finding, texts: list[str]) -> bool:
    said = f"{finding.where} {finding.expected} {finding.found}"
    return any(text in said for text in texts)


@pytest.mark.timeout(600)
@pytest.mark.promise("E5", "B12")
async def test_whatever_is_changed_is_found_and_named(house: House, proof: Evidence) -> None:
    chance, missed = random.Random(proof.seed(51)), []
    superuser = Superuser(house.root, chance)
    while proof.attempts < proof.number(1_000, 40):
        transaction = house.root.transaction(isolation="repeatable_read")
        await transaction.start()
        try:
            await house.root.execute("set local session_replication_role = replica")
            did, table, texts = await superuser.act()
            report = await verify(house.root, DECIDERS, now=NOON, anchors=house.anchors)
        except NoEffect:
            continue
        finally:
            await transaction.rollback()
        proof.attempt()
        proof.fault({"flip": "bits turned", "delete": "rows deleted", "swap": "rows swapped"}[did])
        if not any(names(finding, texts) for finding in report.findings):
            missed.append((did, table, texts, report.findings[:2]))
    assert missed == []
    assert (await house.verify()).findings == [], "what was undone is not undone"


def turn_a_bit(file: Path, chance: random.Random) -> Callable[[], None]:
    """In a file; returns what turns it back."""
    whole = file.read_bytes()
    file.write_bytes(flipped(whole, chance))
    return lambda: (file.write_bytes(whole), None)[1]


def files_of(target: Path) -> Iterator[Path]:
    for folder in (target, target.parent / f"{target.name}-keys"):
        yield from sorted(file for file in folder.iterdir() if file.is_file())


@pytest.mark.promise("B12")
async def test_a_bit_that_turned_in_a_backup_is_found_before_anything_is_written(
    house: House, database: TestDatabase, tmp_path: Path, proof: Evidence
) -> None:
    target, clock, chance = tmp_path / "backup", SettableClock(NOON), random.Random(proof.seed(52))
    await backup(database.dsn, target, clock=clock, keys=house.keys, anchors=house.anchors.file)
    files = list(files_of(target))
    assert len(files) >= 4
    for number in range(proof.number(400, 12)):
        file = files[number % len(files)]
        undo = turn_a_bit(file, chance)
        with pytest.raises(BackupError) as refused:
            await restore(target, database.dsn, clock=clock, keys_folder=tmp_path / "new")
        assert "not empty" not in str(refused.value), f"{file.name}: nobody looked"
        undo()
        proof.attempt()
        proof.fault("bits turned in backups")


@pytest.mark.promise("B12", "E5")
async def test_a_bit_that_turned_in_the_anchors_is_found(house: House, proof: Evidence) -> None:
    """Or it hit nothing that says anything: then the anchors say what they said."""
    chance, before = random.Random(proof.seed(53)), house.anchors.read()
    for _ in range(proof.number(100, 10)):
        undo = turn_a_bit(house.anchors.file, chance)
        if house.anchors.read() != before:
            cut_short = not house.anchors.file.read_bytes().endswith(b"}\n")
            assert cut_short or any("anchor file" in one.where for one in (await house.verify()).findings)
        undo()
        proof.attempt()
        proof.fault("bits turned in anchors")


@pytest.mark.promise("B12")
async def test_a_bit_that_turned_in_the_key_store_is_named_or_changes_nothing(tmp_path: Path, proof: Evidence) -> None:
    clock, chance, folder = SettableClock(NOON), random.Random(proof.seed(54)), tmp_path / "keys"
    keys = await SqliteKeyStore.open_in(folder, clock, environment=KEY)
    sealed = [await keys.seal(1, moved_in(UUID(int=number)), UUID(int=number)) for number in range(1, 7)]
    await keys.keep(1, UUID(int=1), "invoices", NOON + timedelta(days=5), {"name": "Kim"})
    await keys.erase(1, UUID(int=6))
    digest = keys.digest("mail", "a@b.kr")
    await keys.close()
    named = 0
    for number in range(proof.number(300, 30)):
        undo = turn_a_bit(folder / ("erased.jsonl" if number % 3 == 0 else "keys.sqlite"), chance)
        try:
            store = await SqliteKeyStore.open_in(folder, clock, environment=KEY)
            told = await store.faults()
            if told:
                named += 1
            else:
                texts = [(await store.open_all(one)).house.street for one in sealed]
                assert [one.erased for one in texts] == [False] * 5 + [True]
                assert store.digest("mail", "a@b.kr") == digest
            await store.close()
        except KeyStoreError as error:
            named += 1
            assert str(folder) in str(error) or "Restore" in str(error), error
        for file in folder.glob("keys.sqlite-*"):
            file.unlink()
        undo()
        proof.attempt()
        proof.fault("bits turned in keys")
    assert named > 0

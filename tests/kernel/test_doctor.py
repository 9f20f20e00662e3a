"""The doctor finds nothing in a healthy system, and each illness that we can give it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from kernel.tampering import House, house
from pasar.kernel import doctor
from pasar.kernel.clock import SettableClock
from pasar.kernel.doctor import Patient, Symptom, examine

__all__ = ["house"]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def ask(house: House, tmp_path: Path, at: datetime = NOON, only: str = "") -> list[Symptom]:
    async with house.core.database.kernel.acquire() as connection:
        patient = Patient(connection, SettableClock(at), house.keys, house.anchors, tmp_path)
        found = await examine(patient)
    return [symptom for symptom in found if symptom.check != "fences" or "is off: a crash" not in symptom.found]


async def test_a_healthy_system_has_no_symptoms(house: House, tmp_path: Path):
    assert await ask(house, tmp_path) == []


async def test_a_server_that_would_lose_commits_is_noticed(house: House, database):
    """The server of the tests runs without fsync, unless it is one of the machine."""
    durable = await house.root.fetchval("select current_setting('fsync')") == "on"
    async with house.core.database.kernel.acquire() as connection:
        found = await examine(Patient(connection, SettableClock(NOON)))
    assert any(symptom.found.startswith("fsync is off") for symptom in found) != durable


Illness = Callable[[House], Awaitable[None]]


def by(*statements: str) -> Illness:
    async def make_ill(house: House) -> None:
        await house.tamper(*statements)

    return make_ill


async def lose_keys(house: House) -> None:
    house.keys._file._db.execute("delete from data_key")


async def swap_boxes(house: House) -> None:
    await house.tamper(
        """update kernel.event set data = jsonb_set(data, '{name,box}', '"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"')
            where kind = 'toy.guest'"""
    )


ILLNESSES: dict[str, tuple[Illness, str, str]] = {
    "balance": (by("update kernel.account set balance = balance + 1"), "balances", "shelf:a has"),
    "floor": (
        by("alter table kernel.account drop constraint account_check", "update kernel.account set balance = -5"),
        "balances",
        "shelf:a has -5",
    ),
    "parked": (
        by(
            """insert into kernel.parked (follower, tenant, kind, stream, version, epoch, xid, position, reason)
               values ('toy.view', 1, 'toy.basket', 'b0', 1, 1, '1', 1, 'no such column')"""
        ),
        "parked",
        "no such column",
    ),
    "timer": (by("update kernel.timer set parked = true, failure = 'IsOver'"), "timers", "given up"),
    "follower": (by("insert into kernel.cursor (follower) values ('toy.view')"), "followers", "toy.view is"),
    "trigger": (by("alter table kernel.event disable trigger append_only"), "fences", "kernel.event can be rewritten"),
    "seal": (by("update kernel.seal set chain = root"), "seals", "not what was anchored"),
    "keys": (lose_keys, "key_store", "not in the key store"),
    "box": (swap_boxes, "key_store", "was altered"),
}


@pytest.mark.parametrize("illness", ILLNESSES)
async def test_an_illness_is_noticed_with_advice(house: House, tmp_path: Path, illness: str):
    make_ill, check, text = ILLNESSES[illness]
    await make_ill(house)
    at = NOON + timedelta(minutes=5) if illness == "follower" else NOON
    found = await ask(house, tmp_path, at)
    assert any(symptom.check == check and text in symptom.found and symptom.advice for symptom in found), found
    assert {symptom.check for symptom in found} == {check}


async def test_lateness_grows_from_a_warning_to_critical(house: House, tmp_path: Path):
    await house.tamper("delete from kernel.seal")
    for minutes, severity in ((0, None), (2, "warning"), (30, "critical")):
        found = await ask(house, tmp_path, NOON + timedelta(minutes=minutes))
        assert {symptom.severity for symptom in found if symptom.check == "seals"} == ({severity} - {None})
    late = await ask(house, tmp_path, NOON + timedelta(hours=2))
    assert any("deadline" in symptom.found for symptom in late)


async def test_a_forgotten_transaction_is_noticed(
    house: House, tmp_path: Path, database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(doctor, "LATE", timedelta(milliseconds=1))
    forgotten = await asyncpg.connect(database.app_dsn)
    await forgotten.execute("begin; select pg_current_xact_id()")
    found = [symptom for symptom in await ask(house, tmp_path) if symptom.check == "transactions"]
    assert any("idle in transaction" in symptom.found for symptom in found)
    await forgotten.close()


async def test_old_copies_of_keys_and_an_open_master_key_are_noticed(house: House, tmp_path: Path):
    await house.keys.copy_to(tmp_path / "copies")
    master = house.keys.folder / "master.key"
    master.write_text("x")
    master.chmod(0o644)
    found = await ask(house, tmp_path)
    assert [symptom.advice for symptom in found] == [f"chmod 600 {master}"]
    master.chmod(0o600)
    found = [s for s in await ask(house, tmp_path, NOON + timedelta(days=15)) if s.check == "key_store"]
    assert "older than 14 days" in found[0].found
    assert len(found) == 1

"""`pasar verify`: says nothing about a healthy log, and names exactly what somebody changed behind its back."""

import asyncio
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest

from kernel.guests import Welcome
from kernel.shelf import Fill, Keep, Pick, PutBack, TooFew
from kernel.tampering import DECIDERS, NOON, SECRETS, House, house
from pasar.kernel.bus import Contended
from pasar.kernel.findings import Report
from pasar.kernel.private import Private
from pasar.kernel.verify import verify
from postgres import TestDatabase

__all__ = ["house"]


async def test_a_healthy_log_is_clean_and_everything_was_looked_at(house: House):
    report = await house.verify()
    assert report.findings == []
    assert report.status == 0
    assert report.checked["sealed events"] == report.checked["log"] == 26
    assert report.checked["ledger"] == 24
    assert all(
        report.checked[check] for check in ("seals", "anchors", "streams", "accounts", "claims", "timers", "answers")
    )


async def test_nothing_is_reported_while_others_write_and_seal(house: House):
    stop = asyncio.Event()

    async def write(worker: int) -> None:
        n = 0
        while not stop.is_set():
            n += 1
            basket = f"w{worker}-{n}"
            with suppress(TooFew, Contended):  # On a busy machine, the same stream may always be taken by others.
                await house.core.bus().send(Pick(basket=basket, shelf="a", things=1, name=basket))
                await house.core.bus().send((Keep if n % 3 == 0 else PutBack)(basket=basket))
            with suppress(Contended):
                await house.core.bus().send(Fill(shelf="a", things=1))

    tasks = [asyncio.create_task(write(worker)) for worker in range(4)]
    sealing = asyncio.create_task(house.sealer.run(stop))
    for _ in range(5):
        report = await house.verify()
        assert report.findings == []
    stop.set()
    await asyncio.gather(*tasks, sealing)
    report = await house.verify()
    assert report.findings == []
    assert report.checked["log"] > 40


B0 = "tenant = 1 and kind = 'toy.basket' and stream = 'b0'"
HOLD_B2 = "tenant = 1 and phase = 1 and credit = 'basket:b2'"
TAMPERINGS = {
    "an event is edited": (
        [f"update kernel.event set data = jsonb_set(data, '{{things}}', '5') where {B0} and version = 1"],
        {
            ("seals", "covers positions", "root"),
            ("streams", "toy.basket-b0, state", "2"),
            ("ledger", "toy.basket-b0 version 1), amount", "2"),
        },
    ),
    "an event's meta is edited": (
        [f"update kernel.event set meta = '{{\"by\": \"eve\"}}' where {B0} and version = 2"],
        {("seals", "covers positions", "root")},
    ),
    "an event is deleted": (
        [f"delete from kernel.event where {B0} and version = 1"],
        {("seals", "covers positions", "events"), ("log", "toy.basket-b0", "version 1 is missing")},
    ),
    "two events are swapped": (
        [
            f"update kernel.event set version = version + 10 where {B0}",
            f"update kernel.event set version = 13 - version where {B0}",
        ],
        {("seals", "covers positions", "root"), ("log", "toy.basket-b0", "does not fold")},
    ),
    "the tail of a stream is cut": (
        [f"delete from kernel.event where {B0} and version = 2"],
        {
            ("seals", "covers positions", "events"),
            ("log", "toy.basket-b0, stored version", "the end of its log is missing"),
        },
    ),
    "the tail of the log is cut, seals included": (
        ["delete from kernel.event where position > 10", "delete from kernel.seal"],
        {("anchors", "seal 1", "no such seal"), ("log", "toy.basket-c", "only the stream")},
    ),
    "a stream vanishes with all that it did": (
        [f"delete from kernel.event where {B0}", "delete from kernel.stream where tenant = 1 and id = 'b0'"],
        {("seals", "covers positions", "24 events"), ("ledger", "transfer", "basket:b0")},
    ),
    "a balance is changed": (
        ["update kernel.account set balance = balance + 7 where tenant = 1 and id = 'shelf:a'"],
        {("accounts", "shelf:a (thing), balance", "")},
    ),
    "what is held is changed": (
        ["update kernel.account set held = held + 1 where tenant = 2 and id = 'shelf:a'"],
        {("accounts", "shelf:a (thing) of tenant 2, held", "")},
    ),
    "a floor is lowered": (
        ["update kernel.account set floor = -100 where tenant = 1 and id = 'shelf:a'"],
        {("accounts", "shelf:a (thing), floor", "-100")},
    ),
    "an account vanishes": (
        ["delete from kernel.account where tenant = 1 and id = 'shelf:a'"],
        {("accounts", "shelf:a (thing)", "no account")},
    ),
    "a state is changed": (
        ["update kernel.stream set state = jsonb_set(state, '{things}', '9') where tenant = 1 and id = 'b3'"],
        {("streams", "toy.basket-b3, state", "9")},
    ),
    "a version is changed": (
        ["update kernel.stream set version = 0 where tenant = 1 and id = 'b3'"],
        {("log", "toy.basket-b3, stored version", "changed")},
    ),
    "a transfer is removed": (
        ["delete from kernel.transfer where tenant = 1 and phase = 2"],
        {("ledger", "toy.basket-b0 version 2", "no such transfer"), ("accounts", "hold", "0")},
    ),
    "a transfer is edited": (
        [
            "update kernel.transfer set debit = 'nature:gold' where tenant = 1 and id = (select id from "
            "kernel.transfer where tenant = 1 and phase = 4 limit 1)"
        ],
        {("ledger", "toy.filling-a version", "nature:gold")},
    ),
    "a transfer is made up": (
        [
            "insert into kernel.transfer values (1, gen_random_uuid(), 1, 4, 'nature:x', 'basket:eve', 'thing', "
            "5, null, null)"
        ],
        {("ledger", "transfer", "basket:eve")},
    ),
    "what is left of a hold is changed": (
        [f"update kernel.transfer set remaining = 0 where {HOLD_B2}"],
        {
            ("ledger", "toy.basket-b2 version 1), remaining", "0"),
            ("accounts", "remaining", "0"),
            ("accounts", "held", ""),
        },
    ),
    "a claim is stolen": (
        ["update kernel.claim set owner = 'b5' where tenant = 1 and key = 'n4'"],
        {("claims", "name n4", "claimed by toy.basket-b5")},
    ),
    "a claim is removed": (
        ["delete from kernel.claim where tenant = 1 and key = 'n4'"],
        {("claims", "name n4", "nobody")},
    ),
    "a claim is made up": (
        ["insert into kernel.claim values (1, 'name', 'x', 'toy.basket', 'b5')"],
        {("claims", "claim name:x", "b5")},
    ),
    "a timer is moved": (
        ["update kernel.timer set due_at = due_at + interval '1 day' where tenant = 1 and stream = 'b2'"],
        {("timers", "toy.basket-b2, timer until", "2026-03-02")},
    ),
    "a timer is removed": (
        ["delete from kernel.timer where tenant = 1 and stream = 'b2'"],
        {("timers", "toy.basket-b2, timer until", "no timer")},
    ),
    "a timer is made up": (
        [
            "insert into kernel.timer select tenant, kind, 'b0', name, due_at, command_type, command from "
            "kernel.timer where tenant = 1 and stream = 'b2'"
        ],
        {("timers", "toy.basket-b0, timer until", "PutBack")},
    ),
    "an answer is given to somebody else": (
        ["update kernel.answer set principal = 'eve' where tenant = 1 and key = 'k2'"],
        {("answers", "k2 of eve", "ann")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERINGS)
@pytest.mark.promise("E5", "B12")
async def test_what_was_changed_by_hand_is_found_and_named(house: House, what: str):
    statements, expected = TAMPERINGS[what]
    await house.tamper(*statements)
    report = await house.verify()
    assert report.status == 1
    for check, where, found in expected:
        assert any(
            finding.check == check and where in finding.where and found in finding.found and finding.advice
            for finding in report.findings
        ), (check, where, found, report.findings)
    expected_checks = {check for check, _, _ in expected}
    if not any("log" in check or "seals" in check for check in expected_checks):  # The log itself has consequences.
        assert {f.check for f in report.findings} <= expected_checks | {"accounts", "ledger"}


@pytest.mark.promise("E5")
async def test_a_forged_seal_with_the_chain_recomputed_is_found_by_the_anchor(house: House):
    """The forger edits an event that no state depends on, and makes the seals anew as we would."""
    await house.tamper(
        f'update kernel.event set meta = \'{{"by": "eve"}}\' where {B0} and version = 2', "delete from kernel.seal"
    )
    async with house.core.database.kernel.acquire() as connection:
        before = await verify(connection, DECIDERS, now=NOON)
    await house.sealer.drain()
    report = await house.verify()
    assert before.clean
    assert [(finding.check, finding.where.split(",")[0]) for finding in report.findings] == [("anchors", "seal 1")]


@pytest.mark.parametrize("column", ["root", "chain", "previous", "events", "no"])
@pytest.mark.promise("E5")
async def test_a_seal_that_was_edited_is_found(house: House, column: str):
    new = "no + 1" if column == "no" else "events + 1" if column == "events" else f"sha256({column})"
    await house.tamper(f"update kernel.seal set {column} = {new}")
    assert "seals" in {finding.check for finding in (await house.verify()).findings}


@pytest.mark.promise("E1", "E2")
async def test_erasing_a_person_leaves_log_and_seals_clean_and_their_texts_nowhere(
    house: House, database: TestDatabase
):
    """Plain texts are in no table, no file of the server (write-ahead log included) and no key store."""
    bus = house.core.bus()
    card = await bus.send(Welcome(guest=UUID(int=7), name=Private("Lee Canary"), phones=(Private("010-canary"),)))
    assert (await house.keys.open_all(card)).name.plain_text == "Lee Canary"
    await house.root.execute("checkpoint")
    folder = Path(await house.root.fetchval("show data_directory"))
    needles = [text.encode() for text in (*SECRETS, "Lee Canary", "010-canary")]
    searched = await asyncio.to_thread(_search, [folder, house.keys.folder], [*needles, b"toy.guest"])
    assert b"toy.guest" in searched  # The search does find what is there.
    assert searched & set(needles) == set()
    assert await house.keys.erase(1, UUID(int=7)) == 2
    assert (await house.keys.open_all(card)).name.erased
    await house.sealer.drain()
    assert (await house.verify()).findings == []


def _search(folders: list[Path], needles: list[bytes]) -> set[bytes]:
    found = set()
    for folder in folders:
        for file in folder.rglob("*"):
            if file.is_file():
                with suppress(FileNotFoundError):
                    data = file.read_bytes()
                    found |= {needle for needle in needles if needle in data}
    return found


async def test_view_checks_take_part(house: House):
    async def check(report: Report) -> None:
        report.count("views", 1)
        report.add("views", "toy.things", "5 rows", "4 rows")

    report = await house.verify(view_checks=[check])
    assert [finding.advice for finding in report.findings] == ["Rebuild it: `pasar rebuild VIEW`."]

"""Personal values: sealed before they are stored, readable to who may, unreadable once erased."""

import asyncio
import base64
import warnings
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio

from kernel.persons import EVENT, KEY, KIM, House, MovedIn, Opened, Visiting, moved_in
from pasar.kernel.clock import SettableClock
from pasar.kernel.keystore import Altered, PersonErased, SqliteKeyStore, expire_copies
from pasar.kernel.master import KeyStoreError, MasterKeyInFolder
from pasar.kernel.messages import (
    Event,
    decode,
    decode_untrusted,
    encode,
    encode_for_client,
    schema_hook,
)
from pasar.kernel.private import Private, StillSealed, plan_of


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock(datetime(2026, 11, 1, tzinfo=UTC))


@pytest_asyncio.fixture
async def keys(tmp_path: Path, clock: SettableClock) -> AsyncIterator[SqliteKeyStore]:
    store = await SqliteKeyStore.open_in(tmp_path, clock, environment=KEY)
    yield store
    await store.close()


async def test_sealed_values_survive_storage_and_open_to_what_they_were(keys: SqliteKeyStore):
    sealed = await keys.seal(1, moved_in(), EVENT)
    stored = encode(sealed)
    assert b"Sejong" not in stored
    assert b"82 10 1" not in stored  # With spaces: keys and boxes are random, and three digits of them mean nothing.
    assert decode(stored, MovedIn) == sealed
    assert await keys.open_all(decode(stored, MovedIn)) == moved_in()
    assert await keys.open(sealed.phones[0]) == "+82 10 1"
    assert sealed.old_houses["a"].street.envelope[2] == "old_houses.a.street"
    assert await keys.seal(1, sealed, uuid4()) == sealed


def test_a_plain_value_can_neither_be_stored_nor_printed():
    with pytest.raises(TypeError, match="cannot be stored"):
        encode(moved_in())
    assert "Sejong" not in repr(moved_in()) + str(Private("Sejong")) + f"{Private('Sejong')}"
    with pytest.raises(AttributeError):
        Private("a")._text = "b"


async def test_clients_send_and_read_plain_texts_but_never_envelopes(keys: SqliteKeyStore):
    body = b'{"street": "Sejong-ro 1", "town": "Seoul"}'
    house = decode_untrusted(body, House)
    assert house.street.plain_text == "Sejong-ro 1"
    assert decode(encode_for_client(house), House) == house
    sealed = (await keys.seal(1, moved_in(), EVENT)).house
    with pytest.raises(msgspec.ValidationError, match="Expected `str`"):
        decode_untrusted(encode(sealed), House)
    with pytest.raises(StillSealed):
        encode_for_client(sealed)
    with pytest.raises(msgspec.ValidationError, match="2000"):
        decode_untrusted(b'{"street": "%s"}' % (b"x" * 2001), House)
    with pytest.raises(msgspec.ValidationError, match="NUL"):
        decode_untrusted(rb'{"street": "a\u0000"}', House)
    assert decode_untrusted(rb'{"street": "a\\u0000"}', House).street.plain_text == r"a\u0000"
    schema = msgspec.json.schema(House, schema_hook=schema_hook)["$defs"]["House"]["properties"]
    assert schema["street"]["type"] == "string"


@pytest.mark.parametrize("change", ["key", "event", "field", "box"])
@pytest.mark.promise("B12")
async def test_an_envelope_that_was_altered_or_moved_does_not_open(keys: SqliteKeyStore, change: str):
    first = await keys.seal(1, moved_in(), EVENT)
    other = await keys.seal(1, moved_in(uuid4()), uuid4())
    envelope = first.house.street.__json__()
    envelope[change] = other.phones[0].__json__()[change]
    with pytest.raises(Altered):
        await keys.open(Private.__from_json__(envelope))


@pytest.mark.promise("E2")
async def test_erasing_a_person_makes_their_values_unreadable_for_ever_and_those_of_others_not(
    keys: SqliteKeyStore, tmp_path: Path, clock: SettableClock
):
    kim, lee = await keys.seal(1, moved_in(), EVENT), await keys.seal(1, moved_in(uuid4()), EVENT)
    same_in_other_tenant = await keys.seal(2, moved_in(), EVENT)
    wrapped = [
        row[0]
        for row in keys._file._db.execute("select wrapped from data_key where person = ? and tenant = 1", (str(KIM),))
    ]
    assert len(wrapped) == 2
    copy = await keys.copy_to(tmp_path / "copies")
    assert await keys.erase(1, KIM) == 2
    assert await keys.erase(1, KIM) == 0
    opened = await keys.open_all(kim)
    assert opened.house.street.erased
    assert encode_for_client(opened.house.street) == b'""'
    assert (await keys.open_all(lee)).house.street.plain_text == "Sejong-ro 1"
    assert await keys.open(same_in_other_tenant.house.street) == "Sejong-ro 1"
    with pytest.raises(PersonErased):
        await keys.seal(1, moved_in(), EVENT)
    on_disk = b"".join((tmp_path / name).read_bytes() for name in ("keys.sqlite", "keys.sqlite-wal"))
    assert not any(key in on_disk for key in wrapped)
    # A copy from before the erasure, put back, does not bring the keys back.
    await keys.close()
    (tmp_path / "keys.sqlite").write_bytes(copy.read_bytes())
    again = await SqliteKeyStore.open_in(tmp_path, clock, environment=KEY)
    assert (await again.open_all(kim)).house.street.erased
    assert await again.open(lee.house.street) == "Sejong-ro 1"
    keys._thread = again._thread
    keys._file = again._file


async def test_two_processes_make_one_key_and_hear_of_an_erasure_within_30_seconds(
    tmp_path: Path, clock: SettableClock
):
    now = [0.0]
    one = await SqliteKeyStore.open_in(tmp_path, clock, environment=KEY)
    two = await SqliteKeyStore.open_in(tmp_path, clock, environment=KEY, monotonic=lambda: now[0])
    persons = [uuid4() for _ in range(50)]
    sealed = await asyncio.gather(*(keys.seal(1, moved_in(person), EVENT) for person in persons for keys in (one, two)))
    assert len({event.house.street.envelope[0] for event in sealed}) == 50
    await one.erase(1, persons[0])
    assert await two.open(sealed[0].house.street) == "Sejong-ro 1"
    now[0] = 31
    assert await two.open(sealed[0].house.street) == ""
    await one.close()
    await two.close()


@pytest.mark.requirement("S1-195")
async def test_rotation_wraps_again_what_is_there_and_changes_no_digest(tmp_path: Path, clock: SettableClock):
    with pytest.warns(MasterKeyInFolder):
        keys = await SqliteKeyStore.open_in(tmp_path, clock, environment={})
    assert (tmp_path / "master.key").stat().st_mode & 0o777 == 0o600
    other = await SqliteKeyStore.open_in(tmp_path, clock, environment={}, monotonic=lambda: next(ticks))
    ticks = iter(range(0, 10_000, 100))
    sealed = await keys.seal(1, moved_in(), EVENT)
    digest, old = keys.digest("mail", "A@b.kr"), (tmp_path / "master.key").read_bytes()
    kept = await keys.keep(1, KIM, "invoices", clock.now() + timedelta(days=5), {"name": "Kim"})
    assert await keys.rotate() == 2
    assert (tmp_path / "master.key").read_bytes() != old
    assert await other.open(sealed.house.street) == "Sejong-ro 1"
    await other.seal(1, moved_in(uuid4()), EVENT)
    await keys.close()
    await other.close()
    again = await SqliteKeyStore.open_in(tmp_path, clock, environment={})
    assert await again.open(sealed.house.street) == "Sejong-ro 1"
    assert again.digest("mail", " a@B.kr ") == digest
    assert [record.id for record in await again.read_vault(1, KIM, by="lee", why="tax")] == [kept]
    await again.close()
    (tmp_path / "master.key").write_bytes(old)
    with pytest.raises(KeyStoreError, match="written with master key"):
        await SqliteKeyStore.open_in(tmp_path, clock, environment={})


async def test_a_master_key_of_the_environment_is_followed_by_one_of_the_environment(
    tmp_path: Path, clock: SettableClock
):
    """Else the store would be written with a key that nobody knows."""
    old, new = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
    keys = await SqliteKeyStore.open_in(tmp_path, clock, environment={"PASAR_MASTER_KEY": old})
    sealed = await keys.seal(1, moved_in(), EVENT)
    with pytest.raises(KeyStoreError, match="PASAR_NEXT_MASTER_KEY"):
        await keys.rotate()
    assert await keys.open(sealed.house.street) == "Sejong-ro 1"
    await keys.close()
    both = {"PASAR_MASTER_KEY": old, "PASAR_NEXT_MASTER_KEY": new}
    for rotates in (True, False):  # Before and after: who has both keys needs no restart in between.
        keys = await SqliteKeyStore.open_in(tmp_path, clock, environment=both)
        assert await keys.open(sealed.house.street) == "Sejong-ro 1"
        if rotates:
            assert await keys.rotate() == 2
        await keys.close()
    last = await SqliteKeyStore.open_in(tmp_path, clock, environment={"PASAR_MASTER_KEY": new})
    assert await last.open(sealed.house.street) == "Sejong-ro 1"
    await last.close()
    with pytest.raises(KeyStoreError, match="written with master key"):
        await SqliteKeyStore.open_in(tmp_path, clock, environment={"PASAR_MASTER_KEY": old})


async def test_a_rotation_that_was_cut_off_is_finished_or_undone(tmp_path: Path, clock: SettableClock):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keys = await SqliteKeyStore.open_in(tmp_path, clock, environment={})
    sealed = await keys.seal(1, moved_in(), EVENT)
    before = (tmp_path / "master.key").read_bytes()
    await keys.rotate()
    after = (tmp_path / "master.key").read_bytes()
    await keys.close()
    (tmp_path / "master.key").write_bytes(before)  # The store is on the new key, the files were not moved yet.
    (tmp_path / "master.key.next").write_bytes(after)
    again = await SqliteKeyStore.open_in(tmp_path, clock, environment={})
    assert await again.open(sealed.house.street) == "Sejong-ro 1"
    assert (tmp_path / "master.key").read_bytes() == after
    assert not (tmp_path / "master.key.next").exists()
    await again.close()


async def test_the_vault_outlives_an_erasure_until_its_term_and_says_who_read_it(
    keys: SqliteKeyStore, clock: SettableClock
):
    await keys.keep(1, KIM, "invoices", clock.now() + timedelta(days=5), {"name": "Kim"})
    await keys.erase(1, KIM)
    (record,) = await keys.read_vault(1, KIM, by="auditor", why="tax audit")
    assert record.values == {"name": "Kim"}
    assert [(by, why) for _, by, why, _ in await keys.readings(1, KIM)] == [("auditor", "tax audit")]
    with pytest.raises(KeyStoreError):
        await keys.read_vault(1, KIM, by="auditor", why="")
    clock.advance(timedelta(days=6))
    assert await keys.read_vault(1, KIM, by="auditor", why="late") == []
    assert await keys.expire_vault() == 1


async def test_copies_die_within_fourteen_days(keys: SqliteKeyStore, clock: SettableClock, tmp_path: Path):
    first = await keys.copy_to(tmp_path / "copies")
    clock.advance(timedelta(days=13, hours=23))
    assert expire_copies(tmp_path / "copies", clock.now()) == []
    clock.advance(timedelta(hours=1))
    second = await keys.copy_to(tmp_path / "copies")
    assert not first.exists()
    assert second.exists()


def test_digests_meet_where_spellings_differ_only(tmp_path: Path, clock: SettableClock):
    async def check() -> None:
        keys = await SqliteKeyStore.open_in(tmp_path, clock, environment=KEY)
        assert keys.digest("phone", "+82 10-1234 5678") == keys.digest("phone", "+821012345678")
        assert keys.digest("mail", "a@b.kr") != keys.digest("login", "a@b.kr")
        assert keys.digest("mail", "a@b.kr") != keys.digest("mail", "a@b.kr", tenant=2)
        await keys.close()

    asyncio.run(check())


def test_classes_without_private_fields_cost_nothing_and_unclear_ones_are_refused():
    assert plan_of(Opened) is None

    class Nameless(Event):
        street: Private[Visiting]

    with pytest.raises(TypeError, match="person"):
        plan_of(Nameless)


async def test_a_wrong_master_key_stops_the_start_with_a_sentence(
    keys: SqliteKeyStore, tmp_path: Path, clock: SettableClock
):
    for wrong in ("short", base64.b64encode(b"x" * 32).decode()):
        with pytest.raises(KeyStoreError, match="master key"):
            await SqliteKeyStore.open_in(tmp_path, clock, environment={"PASAR_MASTER_KEY": wrong})

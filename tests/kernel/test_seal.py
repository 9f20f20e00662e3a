"""Seals: the trees are those of the reference, nothing is left out or sealed twice, and proofs hold offline."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import asyncpg
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.running import readable
from pasar.kernel.clock import SettableClock
from pasar.kernel.merkle import leaf_hash, path_of, root_by_path, root_of
from pasar.kernel.messages import decode, encode
from pasar.kernel.pool import Pool
from pasar.kernel.seal import AnchorFile, NotSealed, Proof, Sealer, check_proof, prove, run

VECTORS = {
    vector["id"]: vector for vector in json.loads((Path(__file__).parent.parent / "data/merkle.json").read_text())
}
START = datetime(2026, 11, 1, tzinfo=UTC)


def reference_root(leaves: list[bytes]) -> bytes:
    """The RFC's own words, recursively."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"").digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + reference_root(leaves[:split]) + reference_root(leaves[split:])).digest()


def test_trees_are_those_of_certificate_transparency():
    vector = VECTORS["rfc6962.tree"]
    leaves = [leaf_hash(bytes.fromhex(data)) for data in vector["input"]["leaves_hex"]]
    assert [leaf.hex() for leaf in leaves] == vector["expected"]["leaf_hashes"]
    for size, root in vector["expected"]["root_by_size"].items():
        assert root_of(leaves[: int(size)]).hex() == root


def test_inclusion_proofs_are_those_of_certificate_transparency():
    vector = VECTORS["rfc6962.inclusion"]
    leaves = [leaf_hash(bytes.fromhex(data)) for data in vector["input"]["leaves_hex"]]
    for proof in vector["expected"]["proofs"]:
        path = path_of(leaves[: proof["tree_size"]], proof["leaf_index"])
        assert [step.hex() for step in path] == proof["path"]


@given(st.integers(1, 70), st.data())
def test_every_proof_holds_and_no_altered_one_does(size: int, data: st.DataObject):
    leaves = [leaf_hash(bytes([n])) for n in range(size)]
    index = data.draw(st.integers(0, size - 1))
    root, path = root_of(leaves), path_of(leaves, index)
    assert root == reference_root(leaves)
    assert root_by_path(leaves[index], index, size, path) == root
    for wrong in (index - 1, index + 1):
        assert root_by_path(leaves[index], wrong, size, path) != root
    assert root_by_path(leaves[index], index, size, [*path, root]) != root
    if path:
        assert root_by_path(leaves[index], index, size, path[:-1]) != root
        bent = data.draw(st.integers(0, len(path) - 1))
        altered = [bytes(32) if i == bent else step for i, step in enumerate(path)]
        assert root_by_path(leaves[index], index, size, altered) != root


def pool_of(dsn: str) -> Pool:
    return Pool(lambda: asyncpg.connect(dsn, server_settings={"pasar.tenant": "*"}), 4)


async def write(connection: asyncpg.Connection, stream: str, versions: range) -> None:
    await connection.execute(
        """insert into kernel.event (tenant, kind, stream, version, type, data, meta, change, at, epoch)
           select 1, 'toy.thing', $1, v, 'toy.Happened', jsonb_build_object('no', v), '{}', gen_random_uuid(), $2, 1
             from generate_series($3::int, $4::int) v""",
        *(stream, START, versions.start, versions.stop - 1),
    )


async def test_every_event_is_sealed_once_even_one_whose_transaction_was_slow(database, tmp_path: Path):
    """Other events overtake it: by position alone it would be left out."""
    pool, clock = pool_of(database.app_dsn), SettableClock(START)
    slow, fast = await asyncpg.connect(database.dsn), await asyncpg.connect(database.dsn)
    sealers = [Sealer(pool, clock, AnchorFile(tmp_path / "anchors")) for _ in range(2)]
    waiting = slow.transaction()
    await waiting.start()
    await write(slow, "slow", range(1, 3))
    await write(fast, "fast", range(1, 5001))
    assert await sealers[0].drain() == 0
    await waiting.commit()
    stop = asyncio.Event()
    running = [asyncio.create_task(sealer.run(stop)) for sealer in sealers]
    await write(fast, "later", range(1, 100))
    stop.set()
    await asyncio.gather(*running)
    seals = await fast.fetch("select * from kernel.seal order by no")
    assert sum(seal["events"] for seal in seals) == 5101
    assert [seal["no"] for seal in seals] == list(range(1, len(seals) + 1))
    anchors = AnchorFile(tmp_path / "anchors").read()
    assert anchors[-1].no == len(seals)
    assert anchors[-1].chain == seals[-1]["chain"].hex()
    await slow.close()
    await fast.close()
    await pool.close()


async def test_a_proof_holds_offline_and_fails_when_anything_in_it_is_changed(database, tmp_path: Path):
    pool, clock = pool_of(database.app_dsn), SettableClock(START)
    connection = await asyncpg.connect(database.dsn)
    await write(connection, "a", range(1, 12))
    sealer = Sealer(pool, clock, AnchorFile(tmp_path / "anchors"))
    await readable(connection)
    await sealer.drain()
    await write(connection, "b", range(1, 8))
    await readable(connection)
    await sealer.drain()
    await sealer.anchor()
    await write(connection, "c", range(1, 2))
    for stream, versions in (("a", 11), ("b", 7)):
        for version in range(1, versions + 1):
            try:
                proof = await prove(connection, 1, "toy.thing", stream, version)
            except ValueError:
                pytest.fail("what PostgreSQL hashes for an event is not what its proof says")
            assert check_proof(decode(encode(proof), Proof), AnchorFile(tmp_path / "anchors").read())
            assert f'"{stream}", {version}' in proof.leaf
    with pytest.raises(NotSealed):
        await prove(connection, 1, "toy.thing", "c", 1)
    for name in ("leaf", "index", "no", "to_position", "events", "root", "previous", "chain"):
        old = getattr(proof, name)
        new = old + 1 if isinstance(old, int) else old.replace(old[5], "0" if old[5] != "0" else "1")
        assert not check_proof(msgspec.structs.replace(proof, **{name: new})), name
    await connection.close()
    await pool.close()


async def test_events_of_an_older_epoch_and_of_the_new_one_are_sealed_apart(database, tmp_path: Path):
    pool = pool_of(database.app_dsn)
    connection = await asyncpg.connect(database.dsn)
    await write(connection, "a", range(1, 4))
    await connection.execute("update kernel.cluster set epoch = 2")
    await connection.execute(
        """insert into kernel.event (tenant, kind, stream, version, type, data, meta, change, at, epoch)
           values (1, 'toy.thing', 'a', 4, 'toy.Happened', '{}', '{}', gen_random_uuid(), now(), 2)"""
    )
    sealer = Sealer(pool, SettableClock(START), AnchorFile(tmp_path / "anchors"))
    await readable(connection)
    await sealer.drain()
    await sealer.drain()
    seals = await connection.fetch("select epoch, events from kernel.seal order by no")
    assert [tuple(seal) for seal in seals] == [(1, 3), (2, 1)]
    await connection.close()
    await pool.close()


async def test_the_head_is_anchored_and_published_as_time_goes_by(database, tmp_path: Path):
    pool, clock, heard = pool_of(database.app_dsn), SettableClock(START), []

    async def publish(anchor) -> None:
        heard.append(anchor.no)
        raise OSError("the outside is down")

    connection = await asyncpg.connect(database.dsn)
    await write(connection, "a", range(1, 4))
    stop = asyncio.Event()
    running = asyncio.create_task(run(pool, clock, stop, tmp_path / "anchors", [publish]))
    async with asyncio.timeout(60):
        while not heard:  # noqa: ASYNC110 what is waited for is said by a list
            await asyncio.sleep(0.01)
    clock.advance(timedelta(hours=1))
    (tmp_path / "anchors").open("ab").write(b'{"no": 7, "cha')  # A crash cut a line short.
    await write(connection, "b", range(1, 4))
    await readable(connection)
    stop.set()
    await running
    assert heard == [1, 2]
    assert [anchor.no for anchor in AnchorFile(tmp_path / "anchors").read()] == [1, 2]
    await connection.close()
    await pool.close()


@pytest.mark.slow
async def test_sealing_keeps_up_with_the_insertion_of_the_same_events(database, tmp_path: Path):
    pool = pool_of(database.app_dsn)
    connection = await asyncpg.connect(database.dsn)
    sealer = Sealer(pool, SettableClock(START), AnchorFile(tmp_path / "anchors"))
    inserting, sealing = [], []
    for first in range(1, 40_001, 10_000):  # The best of four: whatever else the machine does meanwhile.
        started = time.perf_counter()
        await write(connection, "a", range(first, first + 10_000))
        inserting.append(time.perf_counter() - started)
        await readable(connection)
        started = time.perf_counter()
        assert await sealer.drain() == 10_000
        sealing.append(time.perf_counter() - started)
    assert min(sealing) < 5 * min(inserting)
    await connection.close()
    await pool.close()

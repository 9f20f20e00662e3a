"""The seal: each closed range of the log becomes a Merkle tree, each root is chained to the one before.

Anyone who rewrites an event must rewrite all seals that follow; that is found out by the anchors, which lie outside the
database: in an append-only file, and wherever else the head of the chain is published. Personal values are sealed as
ciphertext, so erasing a person's keys breaks no seal.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from . import lines
from .clock import Clock
from .merkle import leaf_hash, path_of, root_by_path, root_of
from .messages import Value
from .pool import LOST, PoolExhausted

log = logging.getLogger(__name__)

RANGE = 4096
"""Events in one seal, at most."""
EVERY_S = 1.0
ANCHOR_EVERY = timedelta(minutes=10)
GENESIS = bytes(32)
_LEASE = 7_201_733_002

LEAF_TEXT = """json_build_array(tenant, kind, stream, version, type, data, meta, change,
    (extract(epoch from at) * 1000000)::bigint)::text"""
"""What a leaf says: the row without its place (which the order of the leaves gives), as PostgreSQL prints it, with
the instant in microseconds since 1970."""
LEAF = f"sha256('\\x00'::bytea || convert_to({LEAF_TEXT}, 'UTF8'))"

_NEXT = f"""
    select epoch, xid, position, {LEAF} as leaf from kernel.event
     where (epoch, xid, position) > ($1, $2, $3)
       and (epoch < (select c.epoch from kernel.cluster c) or xid < pg_snapshot_xmin(pg_current_snapshot()))
     order by epoch, xid, position limit $4"""
RANGE_LEAVES = f"""
    select {LEAF} as leaf from kernel.event
     where (epoch, xid, position) > ($1, $2, $3) and (epoch, xid, position) <= ($4, $5, $6)
     order by epoch, xid, position"""


class Connections(Protocol):
    """What the sealer needs of a pool: `acquire()` for its transactions."""

    def acquire(self) -> contextlib.AbstractAsyncContextManager[Any]: ...


class Seal(NamedTuple):
    """A row of kernel.seal."""

    no: int
    epoch: int
    from_xid: int
    from_position: int
    to_xid: int
    to_position: int
    events: int
    root: bytes
    previous: bytes
    chain: bytes
    at: datetime

    def chained(self) -> bytes:
        """What the chain hash must be: it binds all that the seal says but its instant."""
        numbers = (self.no, self.epoch, self.from_xid, self.from_position, self.to_xid, self.to_position)
        text = self.previous + b"".join(number.to_bytes(8, "big") for number in numbers)
        return sha256(text + self.root + self.events.to_bytes(8, "big")).digest()


class Anchor(Value):
    """The head of the chain at an instant, published where the database's owner cannot change it."""

    no: int
    chain: str
    at: datetime


class AnchorFile:
    """Heads of the chain, a line each, outside the database; only ever appended to."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def append(self, anchor: Anchor) -> None:
        lines.append(self.file, anchor)

    def read(self) -> list[Anchor]:
        """All anchors; a line that a crash cut short is none."""
        return lines.read(self.file, Anchor)[0]

    def damaged(self) -> list[int]:
        """The numbers of lines that are not as they were written."""
        return lines.read(self.file, Anchor)[1]


Publish = Callable[[Anchor], Awaitable[None]]


async def last_seal(connection: Any) -> Seal | None:
    row = await connection.fetchrow("select * from kernel.seal order by no desc limit 1")
    return None if row is None else Seal(*row)


async def seal_next(connection: Any, at: datetime, limit: int = RANGE) -> int:
    """Seal the next events that can no longer be joined by others; how many. 0 too while another process seals."""
    async with connection.transaction():
        if not await connection.fetchval("select pg_try_advisory_xact_lock($1)", _LEASE):
            return 0
        last = await last_seal(connection)
        after = (last.epoch, last.to_xid, last.to_position) if last else (0, 0, 0)
        rows = await connection.fetch(_NEXT, *after, limit)
        rows = [row for row in rows if row["epoch"] == rows[0]["epoch"]]  # A seal stays within one epoch.
        if not rows:
            return 0
        first, final = rows[0], rows[-1]
        root = await asyncio.to_thread(root_of, [row["leaf"] for row in rows])
        seal = Seal(
            *(last.no + 1 if last else 1, first["epoch"], first["xid"], first["position"]),
            *(final["xid"], final["position"], len(rows), root, last.chain if last else GENESIS, b"", at),
        )
        seal = seal._replace(chain=seal.chained())
        places = ", ".join(f"${i + 1}" for i in range(len(seal)))
        if not await connection.fetchval(f"select kernel.append_seal({places})", *seal):
            return 0
    return len(rows)


class Sealer:
    """Seals as the log grows and anchors the head; any number of processes may run one, a lease picks who works."""

    def __init__(self, pool: Connections, clock: Clock, anchors: AnchorFile, publish: Sequence[Publish] = ()) -> None:
        self._pool, self._clock, self._anchors, self._publish = pool, clock, anchors, publish
        self._anchored_at: datetime | None = None
        self.sealed = 0

    async def drain(self) -> int:
        """Seal all there is; how many events."""
        total = 0
        while True:
            async with self._pool.acquire() as connection:
                count = await seal_next(connection, self._clock.now())
            total += count
            self.sealed += count
            if count < RANGE:
                return total

    async def anchor(self) -> Anchor | None:
        """Write down the head of the chain, if it moved since the last anchor."""
        async with self._pool.acquire() as connection:
            head = await last_seal(connection)
        self._anchored_at = self._clock.now()
        if head is None:
            return None
        anchor = Anchor(no=head.no, chain=head.chain.hex(), at=self._anchored_at)
        known = await asyncio.to_thread(self._anchors.read)
        if known and known[-1].no >= head.no:
            return None
        await asyncio.to_thread(self._anchors.append, anchor)
        for publish in self._publish:
            try:
                await publish(anchor)
            except Exception:  # What is outside may fail; the file has it, the next anchor covers this one.
                log.exception("an anchor was not published")
        return anchor

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; then the rest is sealed and the head anchored."""
        failures = 0
        while not stop.is_set():
            try:
                count = await self.drain()
                due = self._anchored_at is None or self._clock.now() - self._anchored_at >= ANCHOR_EVERY
                if due and (count or self._anchored_at is None):
                    await self.anchor()
                failures = 0
            except (*LOST, PoolExhausted) as error:
                failures += 1
                log.warning("sealing waits for the database: %s", type(error).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), min(30.0, EVERY_S * 2**failures) if failures else EVERY_S)
        try:
            await self.drain()
            await self.anchor()
        except (*LOST, PoolExhausted) as error:  # The next start seals and anchors what is left.
            log.warning("the end of the log was not sealed: %s", type(error).__name__)


async def run(
    pool: Connections, clock: Clock, stop: asyncio.Event, anchors: Path, publish: Sequence[Publish] = ()
) -> None:
    """Seal in the background until `stop` is set. `anchors` is the file outside the database."""
    await Sealer(pool, clock, AnchorFile(anchors), publish).run(stop)


class Proof(Value):
    """That an event is in the log: its text, its path to the root, and what the root's seal says. Checked offline."""

    leaf: str
    index: int
    path: tuple[str, ...]
    no: int
    epoch: int
    from_xid: int
    from_position: int
    to_xid: int
    to_position: int
    events: int
    root: str
    previous: str
    chain: str


class NotSealed(Exception):
    """There is no such event, or no seal covers it yet."""


async def prove(connection: Any, tenant: int, kind: str, stream: str, version: int) -> Proof:
    """The inclusion proof of an event. Raises `NotSealed`."""
    event = await connection.fetchrow(
        f"""select epoch, xid, position, {LEAF_TEXT} as text from kernel.event
             where (tenant, kind, stream, version) = ($1, $2, $3, $4)""",
        *(tenant, kind, stream, version),
    )
    seal = event and await _seal_over(connection, (event["epoch"], event["xid"], event["position"]))
    if seal is None:
        raise NotSealed(f"{kind}-{stream} {version} is not sealed")
    before = await connection.fetchrow("select * from kernel.seal where no = $1", seal.no - 1)
    previous = Seal(*before) if before else None
    after = (previous.epoch, previous.to_xid, previous.to_position) if previous else (0, 0, 0)
    rows = await connection.fetch(RANGE_LEAVES, *after, seal.epoch, seal.to_xid, seal.to_position)
    leaves = [row["leaf"] for row in rows]
    index = leaves.index(leaf_hash(event["text"].encode()))
    return Proof(
        leaf=event["text"], index=index, path=tuple(step.hex() for step in path_of(leaves, index)), no=seal.no,
        epoch=seal.epoch, from_xid=seal.from_xid, from_position=seal.from_position, to_xid=seal.to_xid,
        to_position=seal.to_position, events=seal.events, root=seal.root.hex(), previous=seal.previous.hex(),
        chain=seal.chain.hex(),
    )  # fmt: skip


async def _seal_over(connection: Any, place: tuple[int, int, int]) -> Seal | None:
    """The first seal that ends at or after a place in the log; seals are in its order, so halving finds it."""
    low, high = 1, await connection.fetchval("select coalesce(max(no), 0) from kernel.seal")
    found = None
    while low <= high:
        middle = (low + high) // 2
        row = await connection.fetchrow("select * from kernel.seal where no = $1", middle)
        if row is None:
            return None
        seal = Seal(*row)
        if (seal.epoch, seal.to_xid, seal.to_position) >= place:
            found, high = seal, middle - 1
        else:
            low = middle + 1
    return found


def check_proof(proof: Proof, anchors: Sequence[Anchor] = ()) -> bool:
    """Whether the proof holds, without any database: leaf, path, root and chain hash, and no anchor that denies it."""
    try:
        path = [bytes.fromhex(step) for step in proof.path]
        root, chain = bytes.fromhex(proof.root), bytes.fromhex(proof.chain)
        seal = Seal(
            *(proof.no, proof.epoch, proof.from_xid, proof.from_position, proof.to_xid, proof.to_position),
            *(proof.events, root, bytes.fromhex(proof.previous), chain, datetime.min.replace(tzinfo=UTC)),
        )
        holds = root_by_path(leaf_hash(proof.leaf.encode()), proof.index, proof.events, path) == root
        return holds and seal.chained() == chain and all(a.chain == proof.chain for a in anchors if a.no == proof.no)
    except (ValueError, OverflowError):
        return False

"""What must stand in the tables, worked out from the events alone: states, transfers, claims and timers by stream.

It walks the log stream by stream through a server-side cursor, and gives what it found in batches of a bounded size.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from .commit import event_id, hold_id, posting
from .decider import Decider, Set, Take
from .ledger import Phase, Transfer
from .messages import UnknownEvent, decode_event, encode, name_of

BATCH = 5_000
_SQL = """
    select tenant, kind, stream, version, type, data::text as data, change, position from kernel.event
     where ($1::text is null or kind = $1) order by tenant, kind, stream, version"""

StreamKey = tuple[int, str, str]


class Booked(NamedTuple):
    """A row of kernel.transfer, and the event that it comes from."""

    tenant: int
    id: UUID
    position: int
    phase: int
    debit: str
    credit: str
    unit: str
    amount: int
    hold: UUID | None
    remaining: int | None
    of: str


class DueTimer(NamedTuple):
    due_at: datetime
    command_type: str
    command: str


@dataclass(slots=True)
class Folded:
    """A stream, as its events tell it. `failure` says at which event they stopped making sense, and why."""

    key: StreamKey
    version: int = 0
    state: Any = None
    state_json: bytes = b""
    state_schema: int = 1
    owner: str | None = None
    opened_by: UUID | None = None
    claims: set[tuple[str, str]] = field(default_factory=set)
    timers: dict[str, DueTimer] = field(default_factory=dict)
    missing: list[int] = field(default_factory=list)
    failure: str | None = None
    holds: dict[str, Booked] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.key[1]}-{self.key[2]}" + (f" of tenant {self.key[0]}" if self.key[0] != 1 else "")


@dataclass(slots=True)
class Batch:
    events: int = 0
    streams: list[Folded] = field(default_factory=list)
    transfers: list[Booked] = field(default_factory=list)


async def refold(
    connection: Any, deciders: Mapping[str, Decider[Any]], kind: str | None = None
) -> AsyncIterator[Batch]:
    """Every stream of the log, in one snapshot: the caller has begun a repeatable-read transaction."""
    cursor = await connection.cursor(_SQL, kind)
    batch, stream = Batch(), None
    while rows := await cursor.fetch(2_000):
        for row in rows:
            key = (row["tenant"], row["kind"], row["stream"])
            if stream is None or stream.key != key:
                _finish(stream, batch, deciders)
                stream = _begin(key, deciders)
            _take(stream, row, batch, deciders.get(key[1]))
            batch.events += 1
        if batch.events >= BATCH:
            yield batch
            batch = Batch()
    _finish(stream, batch, deciders)
    yield batch


def _begin(key: StreamKey, deciders: Mapping[str, Decider[Any]]) -> Folded:
    decider = deciders.get(key[1])
    if decider is None:
        return Folded(key, failure=f"no decider is called {key[1]}")
    return Folded(key, state=decider.initial, state_schema=decider.state_schema)


def _finish(stream: Folded | None, batch: Batch, deciders: Mapping[str, Decider[Any]]) -> None:
    if stream is None:
        return
    batch.transfers.extend(stream.holds.values())
    if stream.failure is None:
        stream.state_json = encode(stream.state)
    batch.streams.append(stream)


def _take(stream: Folded, row: Any, batch: Batch, decider: Decider[Any] | None) -> None:
    version = row["version"]
    if version != stream.version + 1:
        stream.missing.extend(range(stream.version + 1, min(version, stream.version + 101)))
    stream.version = version
    if stream.failure is not None or decider is None:
        return
    try:
        event = decode_event(row["type"], row["data"])
        if not isinstance(event, decider.events):
            raise TypeError(f"{row['type']} is no event of {decider.kind}")
        stream.state = decider.evolve(stream.state, event)
        if version == 1:
            stream.opened_by = row["change"]
        if decider.owner and row["change"] == stream.opened_by:  # Whose it is, is fixed by its first change.
            stream.owner = decider.owner(stream.state)
        for ordinal, transfer in enumerate(decider.book(event) if decider.book else ()):
            _book(stream, batch, version, row["position"], ordinal, transfer)
        for timer in decider.timers(event) if decider.timers else ():
            if isinstance(timer, Set):
                command = encode(timer.send).decode()
                stream.timers[timer.name] = DueTimer(timer.at, name_of(type(timer.send)), command)
            else:
                stream.timers.pop(timer.name, None)
        for claim in decider.claims(event) if decider.claims else ():
            (stream.claims.add if isinstance(claim, Take) else stream.claims.discard)((claim.kind, claim.key))
    except UnknownEvent as error:
        stream.failure = f"version {version} is a {error}, which this version of the program does not know"
    except (msgspec.MsgspecError, ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
        stream.failure = f"version {version} ({row['type']}) does not fold: {type(error).__name__}: {error}"


def _book(stream: Folded, batch: Batch, version: int, position: int, ordinal: int, transfer: Transfer) -> None:
    tenant, kind, id = stream.key
    of = event_id(tenant, kind, id, version)
    made = posting(0, of, ordinal, transfer, tenant, kind, id)
    said = f"{stream.name} version {version}"
    if transfer.phase in (Phase.HOLD, Phase.MOVE):
        debit, credit = transfer.debit, transfer.credit
        if debit is None or credit is None:
            raise TypeError("a transfer without accounts")
        is_hold = transfer.phase is Phase.HOLD
        row = Booked(
            *(tenant, made.id, position, int(transfer.phase), debit.id, credit.id, debit.unit, transfer.amount),
            *(None, transfer.amount if is_hold else None, said),
        )
        if is_hold:
            stream.holds[transfer.name] = row
        else:
            batch.transfers.append(row)
        return
    hold = stream.holds.get(transfer.name)
    if hold is None:
        raise LookupError(f"no hold is named {transfer.name}")
    left = hold.remaining or 0
    amount = transfer.amount or left
    if not 0 < amount <= left:
        raise ValueError(f"hold {transfer.name} has {left} left, not {amount}")
    stream.holds[transfer.name] = hold._replace(remaining=left - amount)
    target = hold_id(tenant, kind, id, transfer.name)
    batch.transfers.append(
        Booked(
            *(tenant, made.id, position, int(transfer.phase), hold.debit, hold.credit, hold.unit, amount),
            *(target, None, said),
        )
    )

"""What happened to some streams, and what each event booked: read from log and journal, never from a view."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from .ledger import Phase
from .messages import decode
from .private import Private, envelopes_in
from .store import Reader


class Happened(NamedTuple):
    """An event by its name: what it says may be personal, so it is not read."""

    position: int
    at: datetime
    by: str
    type: str
    kind: str
    stream: str
    version: int
    request: str


class Posting(NamedTuple):
    """A row of the journal. `amount` in the smallest part of its unit. Only `SETTLE` and `MOVE` change what both sides
    have; `HOLD` sets aside, `RELEASE` gives back."""

    position: int
    phase: Phase
    debit: str
    credit: str
    unit: str
    amount: int


async def happened(db: Reader, streams: Sequence[tuple[str, str]], limit: int = 500) -> list[Happened]:
    """The events of these streams (kind, id) in the order of the log."""
    rows = await db.fetch(
        """select e.position, e.at, coalesce(e.meta ->> 'by', '') as by, e.type, e.kind, e.stream, e.version,
                  coalesce(e.meta ->> 'request', '') as request
             from unnest($2::text[], $3::text[]) s (kind, id)
             join kernel.event e on (e.tenant, e.kind, e.stream) = ($1, s.kind, s.id)
            order by e.epoch, e.xid, e.position limit $4""",
        *(db.tenant, [kind for kind, _ in streams], [id for _, id in streams], limit),
    )
    return [Happened(*row.values()) for row in rows]


class Told(NamedTuple):
    """A personal value as it was sealed: when, in which event, in which of its fields."""

    at: datetime
    type: str
    field: str
    value: Private[Any]


async def told(db: Reader, streams: Sequence[tuple[str, str]]) -> list[Told]:
    """Every personal value that these streams (kind, id) were told, in the order of the log, sealed. A copy of a value
    that was sealed for another event is told with its own event's field."""
    rows = await db.fetch(
        """select e.at, e.type, e.data::text as data
             from unnest($2::text[], $3::text[]) s (kind, id)
             join kernel.event e on (e.tenant, e.kind, e.stream) = ($1, s.kind, s.id)
            where e.data::text like '%"box"%' order by e.epoch, e.xid, e.position""",
        *(db.tenant, [kind for kind, _ in streams], [id for _, id in streams]),
    )
    return [
        Told(row["at"], row["type"], envelope.envelope[2], envelope)
        for row in rows
        for envelope in envelopes_in(decode(row["data"], dict))
    ]


async def postings(db: Reader, positions: Sequence[int]) -> list[Posting]:
    """What the events at these positions booked, in their order. Each position is asked for by itself, because the
    journal's index knows ranges of positions only."""
    rows = await db.fetch(
        """select t.position, t.phase, t.debit, t.credit, t.unit, t.amount
             from unnest($2::bigint[]) p (position)
            cross join lateral (select * from kernel.transfer
                                 where tenant = $1 and position = p.position offset 0) t
            order by t.position, t.phase, t.debit, t.credit""",
        *(db.tenant, list(positions)),
    )
    return [Posting(row["position"], Phase(row["phase"]), *list(row.values())[2:]) for row in rows]

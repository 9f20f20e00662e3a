"""Events that a follower could not digest: kept in order per lane, tried again by themselves or when people say so.

A lane is what must stay in order: a stream, or an instance of a process. Once an event of a lane is parked, all later
ones of that lane queue behind it, while other lanes flow. Only the first of a lane ever has a time to be tried again.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from .pool import Pool
from .store import Recorded

Lane = tuple[int, str]
"""Tenant and name."""
BEHIND = "waits behind an earlier event"


class Failure(NamedTuple):
    """An event to park: with the time of its next try, or without one for people to see."""

    event: Recorded
    lane: str
    reason: str
    retry_at: datetime | None = None
    attempts: int = 1


class Parked(NamedTuple):
    """A parked event."""

    follower: str
    tenant: int
    lane: str
    kind: str
    stream: str
    version: int
    reason: str
    attempts: int
    replays: int
    parked_at: datetime
    retry_at: datetime | None


_COLUMNS = "follower, tenant, lane, kind, stream, version, reason, attempts, replays, parked_at, retry_at"


async def parked_lanes(pool: Pool, follower: str) -> set[Lane]:
    rows = await pool.fetch("select distinct tenant, lane from kernel.parked where follower = $1", follower)
    return {(row["tenant"], row["lane"]) for row in rows}


async def park(connection: Any, follower: str, failures: Sequence[Failure], now: datetime) -> None:
    """In the transaction that moves the cursor past them. Whoever queues up in a lane that has just become free is due
    at once."""
    await connection.executemany(
        """insert into kernel.parked (follower, tenant, lane, kind, stream, version, epoch, xid, position, reason,
                                      attempts, parked_at, retry_at)
           select $1::text, $2::int, $3::text, $4::text, $5::text, $6::int, $7::smallint, $8::xid8, $9::bigint,
                  $10::text, $11::int, $12::timestamptz,
                  case when $10 = $14::text and not exists (
                      select from kernel.parked where (follower, tenant, lane) = ($1, $2, $3)) then $12
                      else $13::timestamptz end
               on conflict do nothing""",
        [
            (
                *(follower, e.tenant, lane, e.kind, e.stream, e.version, e.epoch, e.xid, e.position),
                *(reason, attempts, now, retry_at, BEHIND),
            )
            for e, lane, reason, retry_at, attempts in failures
        ],
    )


async def due(pool: Pool, follower: str, now: datetime, limit: int = 64) -> list[Parked]:
    """The first events of lanes whose time has come."""
    rows = await pool.fetch(
        f"select {_COLUMNS} from kernel.parked where follower = $1 and retry_at <= $2 order by retry_at limit $3",
        *(follower, now, limit),
    )
    return [Parked(*row.values()) for row in rows]


async def first_of(pool: Pool, follower: str, lane: Lane) -> Parked | None:
    row = await pool.fetchrow(
        f"""select {_COLUMNS} from kernel.parked where follower = $1 and tenant = $2 and lane = $3
             order by epoch, xid, position limit 1""",
        *(follower, *lane),
    )
    return None if row is None else Parked(*row.values())


_ROW = "(follower, tenant, kind, stream, version) = ($1, $2, $3, $4, $5)"


def _key(parked: Parked) -> tuple[Any, ...]:
    return parked.follower, parked.tenant, parked.kind, parked.stream, parked.version


async def unpark(connection: Any, parked: Parked) -> None:
    """It is digested; the next of its lane follows."""
    await connection.execute(f"delete from kernel.parked where {_ROW}", *_key(parked))


async def postpone(connection: Any, parked: Parked, reason: str, retry_at: datetime | None, now: datetime) -> None:
    """It failed: try at `retry_at`, or leave it to people. The budget of what queued up starts with its first try."""
    await connection.execute(
        f"""update kernel.parked set reason = $6, retry_at = $7, attempts = attempts + 1,
                   parked_at = case when attempts = 0 then $8 else parked_at end where {_ROW}""",
        *(*_key(parked), reason, retry_at, now),
    )


async def list_parked(pool: Pool, *, follower: str = "", limit: int = 100) -> list[Parked]:
    """The first of each lane that waits for people, oldest first; of followers whose name begins so."""
    rows = await pool.fetch(
        f"""select * from (
              select distinct on (follower, tenant, lane) {_COLUMNS} from kernel.parked
               where starts_with(follower, $1)
               order by follower, tenant, lane, epoch, xid, position) first_of_lane
             where retry_at is null order by parked_at, lane limit $2""",
        *(follower, limit),
    )
    return [Parked(*row.values()) for row in rows]


async def replay_parked(pool: Pool, follower: str, tenant: int, lane: str, now: datetime) -> bool:
    """Let a lane try again, in order, with its whole budget of retries; whether there was anything to replay. The
    worker that has the follower does it."""
    return bool(
        await pool.fetchval(
            # Materialized: as a plain subquery it may be run anew for each row, and find another first one each time.
            """with first as materialized (
                   select kind, stream, version from kernel.parked where (follower, tenant, lane) = ($1, $2, $3)
                    order by epoch, xid, position limit 1 for update)
               update kernel.parked p set retry_at = $4, parked_at = $4, attempts = 0, replays = replays + 1
                 from first u
                where (p.follower, p.tenant, p.kind, p.stream, p.version) = ($1, $2, u.kind, u.stream, u.version)
            returning true""",
            *(follower, tenant, lane, now),
        )
    )

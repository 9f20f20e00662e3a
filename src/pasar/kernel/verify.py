"""`pasar verify`: works everything out again from the log and says exactly what differs.

    report = await verify(connection, deciders, now=clock.now(), anchors=AnchorFile(path))

One repeatable-read snapshot, so that writers may go on; memory is bounded whatever the size of the log. The connection
must see all tenants (`pasar.tenant = '*'`).
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from .decider import Decider
from .findings import Finding, Report, Tally
from .ledger import Family
from .merkle import root_of
from .refold import Batch, Booked, Folded, refold
from .seal import GENESIS, LEAF, Anchor, AnchorFile, Seal

ViewCheck = Callable[[Report], Awaitable[None]]
"""Compares views with the log (rebuilds them beside the live ones) and adds what differs to the report."""
_exact = msgspec.json.Decoder(float_hook=Decimal)
_CLAIM_KEY = "tenant || ':' || kind || ':' || key"
_TRANSFER_KEY = "tenant || ':' || id"
_MOST_BUCKETS = 256


async def verify(
    connection: Any,
    deciders: Iterable[Decider[Any]],
    *,
    now: datetime,
    anchors: AnchorFile | None = None,
    view_checks: Sequence[ViewCheck] = (),
    progress: Callable[[str, int], None] | None = None,
) -> Report:
    """Every check; the report says what was looked at and what is wrong."""
    report, by_kind = Report(progress), {decider.kind: decider for decider in deciders}
    anchored = anchors.read() if anchors else None  # Before the snapshot, which then has all that they name.
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute("set local statement_timeout = 0")
        await check_seals(connection, report)
        if anchored is not None:
            await check_anchors(connection, report, anchored, now)
        for line in anchors.damaged() if anchors else ():
            report.add("anchors", f"line {line} of the anchor file", "an anchor as it was written", "another text")
        await check_streams(connection, report, by_kind, now)
        # Whole tables are joined from here on; without fresh statistics a nested loop would look cheap.
        await connection.execute("set local enable_nestloop = off")
        await check_accounts(connection, report)
        await check_answers(connection, report)
    for check in view_checks:
        await check(report)
    return report


# Seals.


async def check_seals(connection: Any, report: Report) -> None:
    """Each seal follows the one before, and its root is that of the events that it covers."""
    seals = await connection.cursor("select * from kernel.seal order by no")
    events = _Leaves(
        await connection.cursor(
            f"select epoch, xid, position, {LEAF} as leaf from kernel.event order by epoch, xid, position"
        )
    )
    no, chain, last = 0, GENESIS, (0, 0, 0)
    while rows := await seals.fetch(500):
        for row in rows:
            seal = Seal(*row)
            where = f"seal {seal.no}"
            if seal.no != no + 1:
                report.add("seals", where, f"seal {no + 1} before it", "it is missing")
            elif seal.previous != chain:
                report.add("seals", where, f"previous chain {chain.hex()}", seal.previous.hex())
            if seal.chain != seal.chained():
                report.add("seals", where, f"chain {seal.chained().hex()}", seal.chain.hex())
            end = (seal.epoch, seal.to_xid, seal.to_position)
            leaves = await events.up_to(end)
            covered = f"{where}, which covers positions {seal.from_position} to {seal.to_position}"
            if len(leaves) != seal.events:
                report.add("seals", covered, f"{seal.events} events", f"{len(leaves)} events")
            elif root_of(leaves) != seal.root:
                report.add("seals", covered, f"root {seal.root.hex()}", f"root {root_of(leaves).hex()} of its events")
            if end <= last:
                report.add("seals", where, f"a range after {last}", f"a range that ends at {end}")
            no, chain, last = seal.no, seal.chain, max(last, end)
        report.count("seals", len(rows))
        report.count("sealed events", events.taken - report.checked["sealed events"])


class _Leaves:
    """Leaf hashes in the order of the log, taken range by range."""

    def __init__(self, cursor: Any) -> None:
        self._cursor, self._rows, self._next, self.taken = cursor, [], 0, 0

    async def up_to(self, end: tuple[int, int, int]) -> list[bytes]:
        leaves: list[bytes] = []
        while True:
            if self._next == len(self._rows):
                self._rows, self._next = await self._cursor.fetch(4_000), 0
                if not self._rows:
                    break
            epoch, xid, position, leaf = self._rows[self._next]
            if (epoch, xid, position) > end:
                break
            leaves.append(leaf)
            self._next += 1
        self.taken += len(leaves)
        return leaves


async def check_anchors(connection: Any, report: Report, anchors: Sequence[Anchor], now: datetime) -> None:
    """What was published outside the database is still in it."""
    for start in range(0, len(anchors), 1_000):
        part = anchors[start : start + 1_000]
        rows = await connection.fetch(
            "select no, chain from kernel.seal where no = any ($1)", [anchor.no for anchor in part]
        )
        chains = {row["no"]: row["chain"].hex() for row in rows}
        for anchor in part:
            found = chains.get(anchor.no)
            if found != anchor.chain:
                where = f"seal {anchor.no}, anchored {anchor.at.isoformat()}"
                report.add("anchors", where, f"chain {anchor.chain}", f"chain {found}" if found else "no such seal")
    report.count("anchors", len(anchors))
    if not anchors:
        first = await connection.fetchval("select min(at) from kernel.seal")
        if first is not None and now - first > timedelta(hours=1):
            report.add("anchors", "the anchor file", "an anchor an hour", "none, or the file is gone")


# Streams, and all that follows from their events.


async def check_streams(connection: Any, report: Report, deciders: Mapping[str, Decider[Any]], now: datetime) -> None:
    """Log, states, ledger, claims and timers, stream by stream."""
    transfers, claims, unknown = Tally(), Tally(), set[str]()
    async for batch in refold(connection, deciders):
        report.count("log", batch.events)
        for stream in batch.streams:
            if stream.missing:
                lost = ", ".join(map(str, stream.missing[:20]))
                report.add("log", stream.name, f"versions 1 to {stream.version}", f"version {lost} is missing")
            if stream.failure is not None and not (stream.key[1] in unknown and stream.key[1] not in deciders):
                unknown.add(stream.key[1])
                report.add("log", stream.name, "events that its decider can fold", stream.failure)
        await _check_states(connection, report, batch.streams)
        await _check_timers(connection, report, batch.streams, now)
        await _check_claims(connection, report, batch.streams, claims)
        await _check_transfers(connection, report, batch.transfers, transfers)
    await _check_orphans(connection, report)
    await _check_surplus(connection, report, deciders, transfers, claims)


def _keys(streams: Sequence[Folded]) -> tuple[list[int], list[str], list[str]]:
    return [s.key[0] for s in streams], [s.key[1] for s in streams], [s.key[2] for s in streams]


async def _check_states(connection: Any, report: Report, streams: Sequence[Folded]) -> None:
    rows = await connection.fetch(
        """select u.no, s.version, s.state_schema, s.owner, s.state::text as state
             from unnest($1::int[], $2::text[], $3::text[]) with ordinality u (tenant, kind, id, no)
             left join kernel.stream s on s.tenant = u.tenant and s.kind = u.kind and s.id = u.id""",
        *_keys(streams),
    )
    for row in rows:
        stream = streams[row["no"] - 1]
        if row["version"] is None:
            report.add("streams", stream.name, f"a stream of version {stream.version}", "no stream, only events")
        elif row["version"] != stream.version:
            lost = "the end of its log is missing" if row["version"] > stream.version else "its version was changed"
            where = f"{stream.name}, stored version"
            report.add("log", where, f"events up to version {row['version']}", f"{stream.version}: {lost}")
        elif stream.failure is None and not stream.missing:
            if row["owner"] != stream.owner:
                report.add("streams", f"{stream.name}, owner", stream.owner, row["owner"])
            if row["state_schema"] == stream.state_schema and _exact.decode(row["state"]) != _exact.decode(
                stream.state_json
            ):
                report.add("streams", f"{stream.name}, state", stream.state_json.decode(), row["state"])
    report.count("streams", len(streams))


async def _check_timers(connection: Any, report: Report, streams: Sequence[Folded], now: datetime) -> None:
    """A deadline that has passed may have been met without an event; all others must stand as the events say."""
    rows = await connection.fetch(
        """select u.no, t.name, t.due_at, t.command_type, t.command::text as command, t.attempts
             from unnest($1::int[], $2::text[], $3::text[]) with ordinality u (tenant, kind, id, no)
             join kernel.timer t on t.tenant = u.tenant and t.kind = u.kind and t.stream = u.id""",
        *_keys(streams),
    )
    found = {(row["no"] - 1, row["name"]): row for row in rows}
    for no, stream in enumerate(streams):
        if stream.failure is not None or stream.missing:
            continue
        for name, due in stream.timers.items():
            row, where = found.pop((no, name), None), f"{stream.name}, timer {name}"
            if row is None:
                if due.due_at > now:
                    report.add("timers", where, f"{due.command_type} at {due.due_at.isoformat()}", "no timer")
                continue
            if row["attempts"] == 0 and row["due_at"] != due.due_at:
                report.add("timers", where, due.due_at.isoformat(), row["due_at"].isoformat())
            told, stands = (
                (due.command_type, _exact.decode(due.command)),
                (
                    row["command_type"],
                    _exact.decode(row["command"]),
                ),
            )
            if told != stands:
                report.add("timers", where, f"{told[0]} {due.command}", f"{stands[0]} {row['command']}")
    for (no, name), row in found.items():
        if streams[no].failure is None and not streams[no].missing:
            report.add("timers", f"{streams[no].name}, timer {name}", "no timer", f"{row['command_type']}")
    report.count("timers", len(rows))


async def _check_claims(connection: Any, report: Report, streams: Sequence[Folded], tally: Tally) -> None:
    wanted = [(stream, kind, key) for stream in streams for kind, key in sorted(stream.claims)]
    if not wanted:
        return
    rows = await connection.fetch(
        """select u.no, c.owner_kind, c.owner
             from unnest($1::int[], $2::text[], $3::text[]) with ordinality u (tenant, kind, key, no)
             left join kernel.claim c on c.tenant = u.tenant and c.kind = u.kind and c.key = u.key""",
        *([s.key[0] for s, _, _ in wanted], [kind for _, kind, _ in wanted], [key for _, _, key in wanted]),
    )
    for row in rows:
        stream, kind, key = wanted[row["no"] - 1]
        if row["owner"] is not None:
            tally.expect(f"{stream.key[0]}:{kind}:{key}")
        if (row["owner_kind"], row["owner"]) != stream.key[1:]:
            owner = f"{row['owner_kind']}-{row['owner']}" if row["owner"] is not None else "nobody"
            report.add("claims", f"{kind} {key}", f"claimed by {stream.name}", f"claimed by {owner}")
    report.count("claims", len(wanted))


async def _check_transfers(connection: Any, report: Report, booked: Sequence[Booked], tally: Tally) -> None:
    if not booked:
        return
    rows = await connection.fetch(
        """select u.no, t.* from unnest($1::int[], $2::uuid[]) with ordinality u (tenant, id, no)
             left join kernel.transfer t on t.tenant = u.tenant and t.id = u.id""",
        *([row.tenant for row in booked], [row.id for row in booked]),
    )
    for row in rows:
        want = booked[row["no"] - 1]
        where = f"transfer {want.id} ({want.of})"
        if row["id"] is None:
            report.add("ledger", where, _described(want), "no such transfer")
            continue
        tally.expect(f"{want.tenant}:{want.id}")
        for name in Booked._fields[2:-1]:
            if row[name] != getattr(want, name):
                report.add("ledger", f"{where}, {name}", getattr(want, name), row[name])
    report.count("ledger", len(booked))


def _described(row: Booked) -> str:
    phase = {1: "hold", 2: "settle", 3: "release", 4: "move"}[row.phase]
    return f"{phase} of {row.amount} {row.unit} from {row.debit} to {row.credit}"


async def _check_orphans(connection: Any, report: Report) -> None:
    """Streams and timers of which the log knows nothing."""
    for check, table, id in (("log", "stream", "id"), ("timers", "timer", "stream")):
        rows = await connection.fetch(
            f"""select s.tenant, s.kind, s.{id} as id from kernel.{table} s where not exists (
                    select from kernel.event e where (e.tenant, e.kind, e.stream) = (s.tenant, s.kind, s.{id}))
                limit 1000"""
        )
        for row in rows:
            what = "its events" if table == "stream" else "a stream that sets it"
            report.add(check, f"{row['kind']}-{row['id']} of tenant {row['tenant']}", what, f"only the {table}")


async def _check_surplus(
    connection: Any, report: Report, deciders: Mapping[str, Decider[Any]], transfers: Tally, claims: Tally
) -> None:
    """Rows that no event asks for: a second walk, over the few buckets whose numbers differ."""
    odd_transfers = (await transfers.surplus(connection, "kernel.transfer", _TRANSFER_KEY))[:_MOST_BUCKETS]
    odd_claims = (await claims.surplus(connection, "kernel.claim", _CLAIM_KEY))[:_MOST_BUCKETS]
    if not odd_transfers and not odd_claims:
        return
    expected = [set[str](), set[str]()]
    async for batch in refold(connection, deciders):
        for key in _asked_for(batch):
            if Tally.bucket(key[1]) in (odd_transfers, odd_claims)[key[0]]:
                expected[key[0]].add(key[1])
    for no, table, key, odd in (
        (0, "kernel.transfer", _TRANSFER_KEY, odd_transfers),
        (1, "kernel.claim", _CLAIM_KEY, odd_claims),
    ):
        rows = await connection.fetch(
            f"select {key} as key, t::text as text from {table} t where {Tally.SQL.format(key)} = any ($1)",
            odd,
        )
        for row in rows:
            if row["key"] not in expected[no]:
                check, name = ("ledger", "transfer") if no == 0 else ("claims", "claim")
                where = f"{name} {row['key'].partition(':')[2]}"
                report.add(check, where, "nothing: no event asks for it", row["text"])


def _asked_for(batch: Batch) -> Iterable[tuple[int, str]]:
    for transfer in batch.transfers:
        yield 0, f"{transfer.tenant}:{transfer.id}"
    for stream in batch.streams:
        for kind, key in stream.claims:
            yield 1, f"{stream.key[0]}:{kind}:{key}"


# Accounts and answers.

_POSTED = """
    select tenant, debit as id, unit, case phase when 3 then amount when 2 then 0 else -amount end as n,
           coalesce(remaining, 0) as held from kernel.transfer
    union all select tenant, credit, unit, amount, 0 from kernel.transfer where phase in (2, 4)"""
_SUMS = f"select tenant, id, unit, sum(n) as balance, sum(held) as held from ({_POSTED}) x group by 1, 2, 3"


async def check_accounts(connection: Any, report: Report) -> None:
    """Live balances are the sums of the journal, holds have left what was not used, each unit sums to zero."""
    floors = {family.name: family for family in Family.all.values() if family.floor is not None or family.limited}
    rows = await connection.fetch(
        f"""select tenant, id, unit, a.floor, a.balance, a.held, coalesce(p.balance, 0) as sum_balance,
                   coalesce(p.held, 0) as sum_held, a.id is null as missing
              from kernel.account a full join ({_SUMS}) p using (tenant, id, unit)
             where case when a.id is null then split_part(id, ':', 1) = any ($1)
                   else a.balance <> coalesce(p.balance, 0) or a.held <> coalesce(p.held, 0) or p.id is null
                        or a.floor <> (select f.floor from unnest($1::text[], $2::bigint[]) f (name, floor)
                                        where f.name = split_part(a.id, ':', 1)) end
             order by tenant, id, unit limit 5000""",
        *(list(floors), [family.floor for family in floors.values()]),
    )
    for row in rows:
        where = f"account {row['id']} ({row['unit']})" + (f" of tenant {row['tenant']}" if row["tenant"] != 1 else "")
        if row["missing"]:
            report.add("accounts", where, f"a balance of {row['sum_balance']}", "no account")
            continue
        for name in ("balance", "held"):
            if row[name] != row[f"sum_{name}"]:
                report.add("accounts", f"{where}, {name}", row[f"sum_{name}"], row[name])
        family = floors.get(row["id"].partition(":")[0])
        if family is not None and family.floor is not None and row["floor"] != family.floor:
            report.add("accounts", f"{where}, floor", family.floor, row["floor"])
    holds = await connection.fetch(
        """select coalesce(hold, id) as id, sum(remaining) as remaining,
                  sum(case phase when 1 then amount else -amount end) as left
             from kernel.transfer where phase < 4 group by tenant, coalesce(hold, id)
           having sum(remaining) <> sum(case phase when 1 then amount else -amount end) limit 5000"""
    )
    for row in holds:
        report.add("accounts", f"hold {row['id']}, remaining", row["left"], row["remaining"])
    units = await connection.fetch(
        f"select tenant, unit, sum(balance) + sum(held) as total from ({_SUMS}) x group by 1, 2"
    )
    for row in units:
        if row["total"] != 0:
            report.add("accounts", f"unit {row['unit']} of tenant {row['tenant']}", "a sum of 0", row["total"])
    report.count("accounts", await connection.fetchval("select count(*) from kernel.account"))
    report.count("units", len(units))


async def check_answers(connection: Any, report: Report) -> None:
    """A stored answer belongs to its change: same tenant, same instant, made by the same principal. (An answer without
    events is that of a refusal, or of a command that changed nothing.)"""
    rows = await connection.fetch(
        """select distinct a.tenant, a.principal, a.route, a.key, a.at, e.tenant as of_tenant, e.at as of_at,
                  e.meta ->> 'by' as by
             from kernel.answer a join kernel.event e on e.change = a.change
            where a.tenant <> e.tenant or a.at <> e.at or a.principal <> e.meta ->> 'by' limit 5000"""
    )
    for row in rows:
        where = f"answer {row['route']} {row['key']} of {row['principal']}"
        change = f"tenant {row['of_tenant']}, {row['by']}, {row['of_at'].isoformat()}"
        report.add("answers", where, f"tenant {row['tenant']}, {row['principal']}, {row['at'].isoformat()}", change)
    report.count("answers", await connection.fetchval("select count(*) from kernel.answer"))


__all__ = ["Finding", "Report", "ViewCheck", "verify"]

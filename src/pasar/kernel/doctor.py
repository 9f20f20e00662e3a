"""`pasar doctor`: looks at a running system with cheap queries and says what is wrong and what to do.

`verify` proves; the doctor asks around. Each check has a time limit of its own and none of them writes.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import asyncpg
import msgspec

from .clock import Clock, SettableClock
from .keystore import COPIES_LIVE, SqliteKeyStore, copied_at
from .master import FILE as MASTER
from .master import KeyStoreError
from .messages import Value
from .private import envelopes_in
from .seal import AnchorFile

CHECK_LIMIT_S = 20.0
SAMPLE = 100
LATE = timedelta(seconds=60)
VERY_LATE = timedelta(minutes=10)
LEAST_FREE_BYTES = 1 << 30
_exact = msgspec.json.Decoder(float_hook=Decimal)


class Symptom(Value):
    """What a check noticed. `critical`: something is wrong or about to be; `warning`: look at it soon."""

    check: str
    severity: Literal["warning", "critical"]
    found: str
    advice: str


@dataclass(frozen=True)
class Patient:
    """What there is to be examined; parts that a deployment has not are None and not looked at."""

    connection: Any
    clock: Clock
    keys: SqliteKeyStore | None = None
    anchors: AnchorFile | None = None
    data_folder: Path | None = None
    checks: tuple["Check", ...] = ()
    """Further ones, of what the kernel does not know."""


Symptoms = list[Symptom]
Check = Callable[[Patient], Awaitable[Symptoms]]


async def examine(patient: Patient) -> Symptoms:
    """All checks, the gravest symptoms first. A check that fails or takes too long is a symptom itself."""
    found: Symptoms = []
    for check in (*CHECKS, *patient.checks):
        name = getattr(check, "__name__", "check")
        try:
            async with asyncio.timeout(CHECK_LIMIT_S):
                found += await check(patient)
        except TimeoutError:
            found.append(_warning(name, f"no result within {CHECK_LIMIT_S:.0f} s", "The database is busy: try later."))
        except (asyncpg.PostgresError, OSError, KeyStoreError) as error:
            found.append(_critical(name, f"{type(error).__name__}: {error}", "Remove the cause, then examine again."))
    return sorted(found, key=lambda symptom: symptom.severity != "critical")


def _warning(check: str, found: str, advice: str) -> Symptom:
    return Symptom(check=check, severity="warning", found=found, advice=advice)


def _critical(check: str, found: str, advice: str) -> Symptom:
    return Symptom(check=check, severity="critical", found=found, advice=advice)


def _by_age(check: str, age: timedelta, found: str, advice: str) -> Symptoms:
    if age < LATE:
        return []
    return [(_critical if age >= VERY_LATE else _warning)(check, found, advice)]


_SAMPLED = """
    with sample as materialized (
        select tenant, id, unit, balance, held from kernel.account
         order by md5(id || $1) limit $2),
    posted as (
        select s.tenant, s.id, s.unit, case phase when 3 then amount when 2 then 0 else -amount end as n,
               coalesce(remaining, 0) as held
          from kernel.transfer t join sample s on (s.tenant, s.id, s.unit) = (t.tenant, t.debit, t.unit)
        union all
        select s.tenant, s.id, s.unit, amount, 0
          from kernel.transfer t join sample s on (s.tenant, s.id, s.unit) = (t.tenant, t.credit, t.unit)
         where phase in (2, 4))
    select s.id, s.balance, s.held, coalesce(sum(p.n), 0) as n, coalesce(sum(p.held), 0) as sum_held
      from sample s left join posted p on (p.tenant, p.id, p.unit) = (s.tenant, s.id, s.unit)
     group by s.tenant, s.id, s.unit, s.balance, s.held
    having s.balance <> coalesce(sum(p.n), 0) or s.held <> coalesce(sum(p.held), 0)"""


async def balances(patient: Patient) -> Symptoms:
    """No balance is below its floor, and those of a sample are the sums of the journal."""
    odd = await patient.connection.fetch(
        """select tenant, id, unit, balance, held, floor from kernel.account
            where balance < floor or held < 0 order by tenant, id limit 20"""
    )
    verify = "Stop writing to it and run `pasar verify`, which says which booking is wrong."
    found = [
        _critical("balances", f"{row['id']} has {row['balance']} (floor {row['floor']}), {row['held']} held", verify)
        for row in odd
    ]
    async with patient.connection.transaction(readonly=True):
        # Without fresh statistics, the journal would be walked once for each account of the sample.
        await patient.connection.execute("set local enable_nestloop = off")
        rows = await patient.connection.fetch(_SAMPLED, patient.clock.now().isoformat(), SAMPLE)
    for row in rows:
        sums = f"the journal says {row['n']} and {row['sum_held']}"
        found.append(_critical("balances", f"{row['id']} has {row['balance']}, {row['held']} held; {sums}", verify))
    return found


async def seals(patient: Patient) -> Symptoms:
    """The sealer keeps up, and the head of the chain is anchored."""
    row = await patient.connection.fetchrow(
        """select e.at, s.no, s.chain, s.at as sealed_at
             from (select) x
             left join (select * from kernel.seal order by no desc limit 1) s on true
             left join lateral (
                 select at from kernel.event e
                  where (e.epoch, e.xid, e.position) > (coalesce(s.epoch, 0), coalesce(s.to_xid, '0'),
                                                        coalesce(s.to_position, 0))
                  order by e.epoch, e.xid, e.position limit 1) e on true"""
    )
    found: Symptoms = []
    if row["at"] is not None:
        age = patient.clock.now() - row["at"]
        text = f"events of {age} ago are not sealed yet"
        found += _by_age("seals", age, text, "Is a worker running, and is a long transaction holding the log back?")
    if patient.anchors is not None and row["no"] is not None:
        anchors = await asyncio.to_thread(patient.anchors.read)
        if not anchors or row["sealed_at"] - anchors[-1].at > timedelta(hours=1):
            text = f"the last anchor is of {anchors[-1].at.isoformat() if anchors else 'never'}"
            found.append(_warning("seals", text, f"Can {patient.anchors.file} be written?"))
        elif anchors[-1].no == row["no"] and anchors[-1].chain != row["chain"].hex():
            found.append(_critical("seals", f"seal {row['no']} is not what was anchored", "Run `pasar verify`."))
    return found


async def followers(patient: Patient) -> Symptoms:
    """Views, policies and processes are near the end of the log."""
    rows = await patient.connection.fetch(
        """select c.follower, next.at from kernel.cursor c
             join lateral (select at from kernel.event e
                            where (e.epoch, e.xid, e.position) > (c.epoch, c.xid, c.position)
                            order by e.epoch, e.xid, e.position limit 1) next on true"""
    )
    found: Symptoms = []
    for row in rows:
        age = patient.clock.now() - row["at"]
        found += _by_age("followers", age, f"{row['follower']} is {age} behind", "Is a worker running? See its log.")
    return found


async def parked(patient: Patient) -> Symptoms:
    """No event waits for a person."""
    rows = await patient.connection.fetch(
        "select follower, count(*) as n, min(reason) as reason from kernel.parked group by 1 order by 1"
    )
    advice = "Remove the cause, then let the events go again."
    return [
        _warning("parked", f"{row['n']} events of {row['follower']}, such as: {row['reason'][:200]}", advice)
        for row in rows
    ]


async def timers(patient: Patient) -> Symptoms:
    """Deadlines are met."""
    found: Symptoms = []
    stuck = await patient.connection.fetch(
        "select kind, count(*) as n, min(failure) as failure from kernel.timer where parked group by 1 order by 1"
    )
    for row in stuck:
        text = f"{row['n']} deadlines of {row['kind']} were given up, such as: {(row['failure'] or '')[:200]}"
        found.append(_warning("timers", text, "Remove the cause, then let them try again."))
    oldest = await patient.connection.fetchval("select min(due_at) from kernel.timer where not parked")
    if oldest is not None:
        age = patient.clock.now() - oldest
        found += _by_age("timers", age, f"a deadline of {age} ago was not met", "Is a worker running? See its log.")
    return found


async def transactions(patient: Patient) -> Symptoms:
    """No forgotten transaction holds back all followers."""
    rows = await patient.connection.fetch(
        """select pid::text as who, coalesce(state, '') as state, clock_timestamp() - xact_start as age,
                  coalesce(application_name, '') as name
             from pg_stat_activity
            where xact_start < clock_timestamp() - $1::interval and backend_xid is not null
               or state = 'idle in transaction' and state_change < clock_timestamp() - $1::interval
           union all
           select 'prepared ' || gid, 'prepared', clock_timestamp() - prepared, '' from pg_prepared_xacts
            where prepared < clock_timestamp() - $1::interval""",
        LATE,
    )
    found: Symptoms = []
    for row in rows:
        who = f"transaction {row['who']} ({row['name']}, {row['state']}) is open since {row['age']}"
        advice = f"End it: select pg_terminate_backend({row['who']})" if row["who"].isdigit() else "Commit or undo it."
        found += _by_age("transactions", row["age"], who, advice)
    return found


async def fences(patient: Patient) -> Symptoms:
    """What protects log and commits is on: triggers, row-level security, durability."""
    found: Symptoms = []
    rows = await patient.connection.fetch(
        """select t.name, coalesce(bool_or(g.tgenabled in ('O', 'A')), false) as guarded
             from unnest(array['event', 'transfer', 'seal']) t (name)
             left join pg_trigger g on g.tgrelid = ('kernel.' || t.name)::regclass and g.tgname = 'append_only'
            group by 1 order by 1"""
    )
    for row in rows:
        if not row["guarded"]:
            text = f"kernel.{row['name']} can be rewritten: its trigger append_only is off or gone"
            advice = f"alter table kernel.{row['name']} enable trigger append_only; then run `pasar verify`."
            found.append(_critical("fences", text, advice))
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        value = await patient.connection.fetchval("select current_setting($1)", name)
        if value == "off":
            found.append(
                _critical("fences", f"{name} is off: a crash loses what was acknowledged", f"Set {name} = on.")
            )
    return found


async def disk(patient: Patient) -> Symptoms:
    """There is room for the log to grow."""
    if patient.data_folder is None:
        return []
    usage = await asyncio.to_thread(shutil.disk_usage, patient.data_folder)
    if usage.free >= LEAST_FREE_BYTES * 4 or usage.free >= usage.total // 10:
        return []
    text = f"{usage.free >> 20} MiB are free where {patient.data_folder} lies"
    grave = _critical if usage.free < LEAST_FREE_BYTES else _warning
    return [grave("disk", text, "Free some space, or move the data folder to a larger disk.")]


async def clocks(patient: Patient) -> Symptoms:
    """Our clock and the database's agree; a clock that is set by hand is left alone."""
    if isinstance(patient.clock, SettableClock):
        return []
    before = patient.clock.now()
    theirs: datetime = await patient.connection.fetchval("select clock_timestamp()")
    after = patient.clock.now()
    apart = max(before - theirs, theirs - after, timedelta())
    if apart < timedelta(seconds=2):
        return []
    text = f"our clock and the database's are {apart} apart"
    return [_warning("clocks", text, "Let both machines keep time by NTP.")]


async def key_store(patient: Patient) -> Symptoms:
    """The newest personal values can be opened, the master key is private, old copies of the store are gone."""
    keys = patient.keys
    if keys is None:
        return []
    found: Symptoms = []
    rows = await patient.connection.fetch(
        "select data::text as data from kernel.event order by epoch desc, xid desc, position desc limit 500"
    )
    envelopes = [envelope for row in rows for envelope in envelopes_in(_exact.decode(row["data"]))][:SAMPLE]
    ids = {envelope.envelope[0] for envelope in envelopes}
    lost = ids - await keys.known(sorted(ids))
    if lost:
        text = f"{len(lost)} of {len(ids)} keys of recent events are not in the key store"
        found.append(_critical("key_store", text, f"Is {keys.folder} the right one? Put its last copy back."))
    try:
        await keys.open_all(envelopes)
    except KeyStoreError as error:
        found.append(_critical("key_store", str(error), "Run `pasar verify`; put the last copy of the key store back."))
    master = keys.folder / MASTER
    if await asyncio.to_thread(lambda: master.exists() and master.stat().st_mode & 0o077):
        found.append(_critical("key_store", f"{master} can be read by other users", f"chmod 600 {master}"))
    for file in await asyncio.to_thread(_expired, await keys.copies(), patient.clock.now()):
        text = f"{file} is older than {COPIES_LIVE.days} days: erased persons could be read again from it"
        found.append(_critical("key_store", text, "Delete it: is the worker running, which does so every day?"))
    return found


def _expired(folders: list[Path], now: datetime) -> list[Path]:
    """Copies of the key store that are older than they may be. A folder that is out of reach is not looked at."""
    expired = []
    for file in (file for folder in folders if folder.is_dir() for file in sorted(folder.glob("keys-*"))):
        try:
            if copied_at(file) + COPIES_LIVE <= now:
                expired.append(file)
        except KeyStoreError:
            continue  # Not a copy of ours.
    return expired


CHECKS: tuple[Check, ...] = (
    balances,
    seals,
    followers,
    parked,
    timers,
    transactions,
    fences,
    disk,
    clocks,
    key_store,
)

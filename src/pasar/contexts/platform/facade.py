"""Stores, channels, flags and the audit trail: what others ask platform, and what its routes do."""

from collections.abc import Awaitable, Generator, Iterable
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from pasar.kernel.bus import Bus
from pasar.kernel.decider import Decider
from pasar.kernel.messages import Value, decode
from pasar.kernel.shared_clock import ClockMovesForward, SharedClock
from pasar.kernel.store import Reader
from pasar.refusals import ChannelNotFound, ClockRefused, FlagNotFound, StoreNotFound

from .channel import channel as channels_decider
from .contract import AuditEntry, Channel, CloseStore, Flag, KeptSearch, Store
from .desk import desk as desk_decider
from .flag import flag as flags_decider
from .flag import is_on
from .store import Shop
from .store import store as stores_decider

V = TypeVar("V", bound=Value)
AUDIT_WINDOW = 5_000
"""How many events one page of the audit trail looks at: a rare one is found over several pages, none is slow."""


class _Answers(Generic[V]):
    """What streams show of themselves, by code: asked for when it is made, had when it is awaited, if it ever is. A
    coroutine that a cancelled request leaves behind would complain."""

    __slots__ = ("_answer", "_asked")

    def __init__(self, db: Reader, decider: Decider[Any], codes: Iterable[str]) -> None:
        assert decider.answer is not None
        self._answer: Any = decider.answer
        self._asked = db.states(decider, codes)

    def __await__(self) -> Generator[Any, None, dict[str, V]]:
        found = yield from self._asked.__await__()
        return {code: shown for code, state in found.items() if (shown := self._answer(state)) is not None}


async def store(db: Reader, code: str) -> Store:
    found: Shop | None = await db.state(stores_decider, code)
    if found is None or found.store is None:
        raise StoreNotFound(f"there is no store {code}")
    return found.store


def stores(db: Reader, codes: Iterable[str]) -> Awaitable[dict[str, Store]]:
    """Those that exist, open or closed; as of now. Asked for at once, so that what is asked for beside it shares the
    statement."""
    return _Answers(db, stores_decider, codes)


async def channel(db: Reader, code: str) -> Channel:
    found = await channels(db, [code])
    if code not in found:
        raise ChannelNotFound(f"there is no channel {code}")
    return found[code]


def channels(db: Reader, codes: Iterable[str]) -> Awaitable[dict[str, Channel]]:
    """Those that exist; as of now. Asked for at once, as `stores` are."""
    return _Answers(db, channels_decider, codes)


async def listed(db: Reader, decider: Decider[Any], limit: int, after: str | None) -> list[Value]:
    """Stores, channels or flags by their codes, as of now: there are few, so their streams are the list."""
    rows = await db.fetch(
        """select state::text from kernel.stream
            where tenant = $1 and kind = $2 and id > $3 order by id limit $4""",
        *(db.tenant, decider.kind, after or "", limit),
    )
    assert decider.answer is not None
    answers = [decider.answer(decode(row["state"], type(decider.initial))) for row in rows]
    return [answer for answer in answers if answer is not None]


async def all_stores(db: Reader, limit: int, after: str | None = None) -> list[Any]:
    return await listed(db, stores_decider, limit, after)


async def all_channels(db: Reader, limit: int, after: str | None = None) -> list[Any]:
    return await listed(db, channels_decider, limit, after)


async def all_flags(db: Reader, limit: int, after: str | None = None) -> list[Any]:
    return await listed(db, flags_decider, limit, after)


async def close_store(bus: Bus, code: str) -> Store:
    """Its products are not for sale from now on; what was sold is delivered and settled."""
    return await bus.send(CloseStore(store=code))


async def flag(db: Reader, name: str, who: str, store: str | None = None) -> bool:
    """Whether a new function is on for somebody, in a store. One that nobody has set is off."""
    switch = await db.state(flags_decider, name)
    return switch is not None and switch.flag is not None and is_on(switch.flag, who, store)


async def flag_of(db: Reader, name: str) -> Flag:
    switch = await db.state(flags_decider, name)
    if switch is None or switch.flag is None:
        raise FlagNotFound(f"there is no flag {name}")
    return switch.flag


async def kept_searches(db: Reader, account: UUID, list: str) -> tuple[KeptSearch, ...]:
    """What somebody keeps for a list of the console, by name."""
    found = await db.state(desk_decider, account)
    return () if found is None else tuple(one for one in found.searches if one.list == list)


class AuditQuestion(Value):
    """Which entries of the audit trail: of somebody, of a context or type, of one stream, of a time."""

    by: str | None = None
    type: str | None = None
    """The beginning of a stored event name: `catalog.` or `catalog.ProductCreated`."""
    stream: str | None = None
    """`<context>.<aggregate>-<key>`"""
    since: datetime | None = None
    until: datetime | None = None


class Place(NamedTuple):
    """Where a page of the trail ended."""

    epoch: int
    xid: int
    position: int


_END = Place(32_767, 2**62, 2**62)
_SCAN = """
    select epoch, xid::text::bigint as xid, position, at, meta ->> 'by' as by, type, kind || '-' || stream as stream,
           version, meta ->> 'request' as request
      from kernel.event
     where tenant = $1 and (epoch, xid, position) < ($2, $3::text::xid8, $4) {}
     order by epoch desc, xid desc, position desc limit $5"""


async def audit(
    db: Reader, question: AuditQuestion, limit: int, after: Place | None = None
) -> tuple[list[AuditEntry], Place | None]:
    """Who did what, when: the newest first, out of the log itself. Names, never contents: nothing personal is in it.

    A page looks at `AUDIT_WINDOW` events and may so have fewer entries than asked for, though more follow.
    """
    start = after or _END
    arguments: list[Any] = [db.tenant, start.epoch, str(start.xid), start.position, AUDIT_WINDOW]
    narrow = ""
    if question.stream is not None:
        kind, _, id = question.stream.partition("-")
        arguments += [kind, id]
        narrow = "and kind = $6 and stream = $7"
    rows = await db.fetch(_SCAN.format(narrow), *arguments)
    entries: list[AuditEntry] = []
    last = None
    for row in rows:
        if len(entries) == limit:
            break
        last = Place(row["epoch"], row["xid"], row["position"])
        if _matches(question, row):
            entries.append(
                AuditEntry(
                    at=row["at"],
                    by=row["by"] or "",
                    type=row["type"],
                    stream=row["stream"],
                    version=row["version"],
                    request=row["request"],
                )
            )
    has_more = last is not None and (len(rows) == AUDIT_WINDOW or last.position != rows[-1]["position"])
    return entries, last if has_more else None


def _matches(question: AuditQuestion, row: Any) -> bool:
    return (
        (question.by is None or row["by"] == question.by)
        and (question.type is None or row["type"].startswith(question.type))
        and (question.since is None or row["at"] >= question.since)
        and (question.until is None or row["at"] < question.until)
    )


def set_clock(bus: Bus, to: datetime) -> datetime:
    """Move the clock of a replay deployment forward, for all its processes; refused (9106) anywhere else."""
    if not isinstance(bus.clock, SharedClock):
        raise ClockRefused
    try:
        return bus.clock.set(to)
    except ClockMovesForward as past:
        raise ClockRefused(str(past)) from None

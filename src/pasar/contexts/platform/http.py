"""Stores, channels, flags and the audit trail over HTTP."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from pasar.kernel.access import anyone, own_store, staff
from pasar.kernel.bus import Bus
from pasar.kernel.free_text import TextBody
from pasar.kernel.messages import Body, FieldError
from pasar.kernel.store import Reader
from pasar.kernel.web import Cursor, Page, Paging, route
from pasar.kernel.web_refusals import InvalidCursor, InvalidRequest
from pasar.refusals import (
    ChannelExists,
    ChannelNotFound,
    ClockRefused,
    CurrencyUnknown,
    FlagNotFound,
    StoreExists,
    StoreIsClosed,
    StoreNotFound,
)
from pasar.vocabulary import Amount, ChannelCode, StoreId, Title

from . import facade
from .contract import (
    AuditEntry,
    ChangeChannel,
    ChangeStore,
    Channel,
    Flag,
    FlagName,
    OpenChannel,
    OpenStore,
    Rate,
    SetFlag,
    Store,
    Time,
)

admin = staff("admin")


class ChangedChannel(Body):
    """What is left out stays as it is."""

    name: Title | None = None
    tax_rate: Rate | None = None
    freight: Amount | None = None
    free_freight_from: Amount | None = None


class ChangedStore(Body):
    """What is left out stays as it is. The commission is changed by staff only."""

    name: Title | None = None
    commission_rate: Rate | None = None


class StoreName(Body):
    name: Title


class FlagValue(TextBody):
    free_texts = ("note",)
    default: bool = False
    percentage: Annotated[int, Meta(ge=0, le=100)] = 0
    stores: Annotated[tuple[StoreId, ...], Meta(max_length=1000)] = ()
    note: Annotated[str, Meta(max_length=500)] = ""


class WantedTime(Body):
    to: datetime


class AuditPaging(Paging):
    by: Annotated[str, Meta(max_length=100)] | None = None
    type: Annotated[str, Meta(max_length=100)] | None = None
    stream: Annotated[str, Meta(max_length=200)] | None = None
    since: datetime | None = None
    until: datetime | None = None


@route(
    "POST",
    "/api/v1/channels",
    policy=admin,
    status=201,
    refuses=[ChannelExists, CurrencyUnknown],
    example={"channel": "web-kr", "name": "Web", "currency": "KRW", "freight": 3000, "free_freight_from": 50000},
)
async def open_channel(body: OpenChannel, bus: Bus) -> Channel:
    """Open a channel; its currency stays for ever."""
    return await bus.send(body)


@route("PATCH", "/api/v1/channels/{channel}", policy=admin, refuses=[ChannelNotFound, CurrencyUnknown])
async def change_channel(channel: ChannelCode, body: ChangedChannel, bus: Bus) -> Channel:
    """Change a channel's name, tax or freight, for orders from now on."""
    return await bus.send(
        ChangeChannel(
            channel=channel,
            name=body.name,
            tax_rate=body.tax_rate,
            freight=body.freight,
            free_freight_from=body.free_freight_from,
        )
    )


@route("GET", "/api/v1/channels", policy=anyone)
async def list_channels(query: Paging, db: Reader) -> Page[Channel]:
    """The channels, by code."""
    found = await facade.all_channels(db, query.limit + 1, Cursor.read(query.cursor, str))
    return _page(found, query.limit, "channel")


@route("GET", "/api/v1/channels/{channel}", policy=anyone, refuses=[ChannelNotFound])
async def read_channel(channel: ChannelCode, db: Reader) -> Channel:
    """A channel."""
    return await facade.channel(db, channel)


@route(
    "POST",
    "/api/v1/stores",
    policy=admin,
    status=201,
    refuses=[StoreExists, CurrencyUnknown],
    example={"store": "orchard", "name": "The Orchard", "owner": "018f0000-0000-7000-8000-000000000001"},
)
async def open_store(body: OpenStore, bus: Bus) -> Store:
    """Open a seller's store."""
    return await bus.send(body)


@route("PATCH", "/api/v1/stores/{store}", policy=admin, refuses=[StoreNotFound, StoreIsClosed])
async def change_store(store: StoreId, body: ChangedStore, bus: Bus) -> Store:
    """Change a store's name or its commission, for orders from now on."""
    return await bus.send(ChangeStore(store=store, name=body.name, commission_rate=body.commission_rate))


@route("PUT", "/api/v1/stores/{store}/name", policy=own_store("store") | admin, refuses=[StoreNotFound, StoreIsClosed])
async def rename_store(store: StoreId, body: StoreName, bus: Bus) -> Store:
    """Give one's own store another name."""
    return await bus.send(ChangeStore(store=store, name=body.name))


@route("POST", "/api/v1/stores/{store}/close", policy=admin, refuses=[StoreNotFound])
async def close_store(store: StoreId, bus: Bus) -> Store:
    """Close a store: nothing of it is for sale any more."""
    return await facade.close_store(bus, store)


@route("GET", "/api/v1/stores/{store}", policy=own_store("store") | admin, refuses=[StoreNotFound])
async def read_store(store: StoreId, db: Reader) -> Store:
    """A store, for those who work for it."""
    return await facade.store(db, store)


@route("GET", "/api/v1/stores", policy=admin)
async def list_stores(query: Paging, db: Reader) -> Page[Store]:
    """The stores, by code."""
    found = await facade.all_stores(db, query.limit + 1, Cursor.read(query.cursor, str))
    return _page(found, query.limit, "store")


@route("PUT", "/api/v1/flags/{name}", policy=admin, example={"percentage": 10, "note": "try the new checkout"})
async def set_flag(name: FlagName, body: FlagValue, bus: Bus) -> Flag:
    """Say for whom a new function is on."""
    return await bus.send(
        SetFlag(name=name, default=body.default, percentage=body.percentage, stores=body.stores, note=body.note)
    )


@route("GET", "/api/v1/flags", policy=admin)
async def list_flags(query: Paging, db: Reader) -> Page[Flag]:
    """The flags, by name."""
    found = await facade.all_flags(db, query.limit + 1, Cursor.read(query.cursor, str))
    return _page(found, query.limit, "name")


@route("GET", "/api/v1/flags/{name}", policy=admin, refuses=[FlagNotFound])
async def read_flag(name: FlagName, db: Reader) -> Flag:
    """A flag."""
    return await facade.flag_of(db, name)


@route("GET", "/api/v1/clock", policy=anyone)
async def read_clock(bus: Bus) -> Time:
    """What time it is here."""
    return Time(now=bus.now())


@route(
    *("PUT", "/api/v1/clock"),
    policy=admin,
    key="none",
    refuses=[ClockRefused],
    example={"to": "2009-12-01T07:45:00Z"},
)
async def set_clock(body: WantedTime, bus: Bus) -> Time:
    """Move the time forward, in a deployment that replays a history; no other lets anybody do that."""
    if body.to.tzinfo is None:
        raise InvalidRequest(errors=(FieldError(field="/to", detail="say the time zone: 2026-01-01T00:00:00Z"),))
    return Time(now=facade.set_clock(bus, body.to))


@route("GET", "/api/v1/audit", policy=admin, lane="reports")
async def audit(query: AuditPaging, db: Reader) -> Page[AuditEntry]:
    """Who did what, when: out of the log, the newest first. A page may be short though more follow."""
    for name in ("since", "until"):
        at = getattr(query, name)
        if at is not None and at.tzinfo is None:
            raise InvalidRequest(errors=(FieldError(field=name, detail="say the time zone: 2026-01-01T00:00:00Z"),))
    question = facade.AuditQuestion(
        by=query.by, type=query.type, stream=query.stream, since=query.since, until=query.until
    )
    entries, last = await facade.audit(db, question, query.limit, _place(query.cursor))
    return Page(items=entries, next=None if last is None else Cursor.write(last))


def _place(cursor: str | None) -> facade.Place | None:
    place = Cursor.read(cursor, facade.Place)
    if place is not None and not (0 <= place.epoch < 2**15 and 0 <= place.xid < 2**63 and 0 <= place.position < 2**63):
        raise InvalidCursor
    return place


def _page(found: list, limit: int, key: str) -> Page:
    has_more = len(found) > limit
    items = found[:limit]
    return Page(items=items, next=Cursor.write(getattr(items[-1], key)) if has_more else None)

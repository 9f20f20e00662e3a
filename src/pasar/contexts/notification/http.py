"""Mails over HTTP."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from pasar.kernel.access import Principal, signed_in, staff
from pasar.kernel.bus import Bus
from pasar.kernel.messages import Answer
from pasar.kernel.store import Reader
from pasar.kernel.web import Cursor, Page, Paging, route
from pasar.kernel.web_refusals import InvalidCursor

from . import facade
from .contract import Mail


class MailFile(Answer):
    """A file of the local mailbox: its path below the data folder's `mailbox`, its size in bytes."""

    path: str
    message: UUID
    person: UUID
    size: int


class Place(NamedTuple):
    """Where a page of mails ended."""

    at: datetime
    id: str


@route("GET", "/api/v1/me/mails", policy=signed_in)
async def list_mails(query: Paging, db: Reader, who: Principal) -> Page[Mail]:
    """Which mails one was sent, newest first: what about, in which state, when. Not their text."""
    place = Cursor.read(query.cursor, Place)
    if place is not None and place.at.tzinfo is None:
        raise InvalidCursor
    found = await facade.mails_of(db, UUID(who.id), query.limit + 1, place)
    items = found[: query.limit]
    more = len(found) > query.limit and items[-1][1].queued_at
    following = Cursor.write(Place(more, items[-1][0])) if more else None
    return Page(items=[mail for _, mail in items], next=following)


@route("GET", "/api/v1/mailbox", policy=staff("admin"), lane="reports")
async def list_mailbox(query: Paging, bus: Bus) -> Page[MailFile]:
    """The files of the local mailbox, newest first: for development. Empty where a mail server is used."""
    found = await facade.mailbox(bus.settings, query.limit + 1, Cursor.read(query.cursor, str))
    items = [MailFile(path=one.path, message=one.message, person=one.person, size=one.size) for one in found]
    following = Cursor.write(items[query.limit - 1].path) if len(items) > query.limit else None
    return Page(items=items[: query.limit], next=following)

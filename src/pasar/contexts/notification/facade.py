"""Mails: how one is written for its reader, which a person was sent, and what lies in the local mailbox."""

import asyncio
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from pasar.contexts.identity import facade as identity
from pasar.contexts.ordering import facade_recipient as orders
from pasar.kernel.bus import Bus
from pasar.kernel.settings import Settings
from pasar.kernel.store import Reader
from pasar.vocabulary import Language

from .contract import Mail, MailQueued, Template
from .gateway import Letter, NotificationSettings, Post
from .gateways import mailbox_folder, post_of
from .gateways.local_mailbox import Found, newest, of_person
from .letters import write
from .message import message as messages

UNPAID: frozenset[Template] = frozenset({"order_placed", "order_canceled"})
"""Of these a guest hears only when money is to go back: anybody can order in the name of an address that is not theirs,
and shall not have it written to."""


def post(bus: Bus) -> Post:
    """What delivers mails in this process."""
    return bus.tool(Post, lambda: post_of(bus.settings))


async def letter(bus: Bus, queued: MailQueued, date: str) -> Letter | None:
    """A queued mail, ready to go; None for somebody who has no address (any more)."""
    settings = bus.settings.section(NotificationSettings)
    reader = await _reader(bus, queued)
    if reader is None:
        return None
    written = write(
        queued.template,
        queued.facts,
        name=reader.name,
        language=reader.language,
        shop=settings.shop_name,
        time_zone=settings.time_zone,
    )
    return Letter(
        id=queued.message,
        person=queued.person,
        to=reader.mail,
        to_name=reader.name,
        sender=settings.sender,
        sender_name=settings.shop_name,
        subject=written.subject,
        text=written.text,
        html=written.html,
        language=reader.language,
        date=date,
    )


class _Reader(NamedTuple):
    mail: str
    name: str
    language: Language


async def _reader(bus: Bus, queued: MailQueued) -> _Reader | None:
    """Who reads it: where the order says so, else as the account says."""
    order_no = queued.facts.get("order_no")
    told = await orders.contact(bus.db, order_no) if order_no is not None else None
    if told is not None:
        if queued.template in UNPAID and "refund" not in queued.facts:
            return None
        mail, name = await bus.keys.open(told[0].mail), await bus.keys.open(told[1])
        return _Reader(mail, name, told[0].language) if mail else None
    found = (await identity.people(bus.db, [queued.person])).get(queued.person)
    person = found and await bus.keys.open_all(found)
    if person is None or person.mail is None or person.mail.erased:
        return None
    return _Reader(person.mail.plain_text, person.name.plain_text if person.name else "", person.locale)


async def mails_of(
    db: Reader, person: UUID, limit: int, after: tuple[datetime, str] | None = None
) -> list[tuple[str, Mail]]:
    """What somebody was sent, newest first, each with its place in the list; right up to now."""
    found = await db.owned(messages, str(person), limit=limit, after=after)
    return [
        (
            one.id,
            Mail(
                message=one.state.what.message,
                template=one.state.what.template,
                state=one.state.state,
                queued_at=one.opened_at,
            ),
        )
        for one in found
        if one.state.what is not None and one.state.state != "new"
    ]


async def mailbox(settings: Settings, limit: int, before: str | None = None) -> list[Found]:
    """The newest files of the local mailbox; nothing where a mail server is used."""
    if settings.section(NotificationSettings).mailer != "mailbox":
        return []
    return await asyncio.to_thread(newest, mailbox_folder(settings), limit, before)


class Letterbox(NamedTuple):
    """A mail of the local mailbox with what is in it."""

    message: UUID
    content: bytes


def has_mailbox(settings: Settings) -> bool:
    """Whether mails of this deployment are files here, and go nowhere."""
    return settings.section(NotificationSettings).mailer == "mailbox"


async def own_mailbox(settings: Settings, person: UUID, limit: int) -> list[Letterbox]:
    """A person's mails in the local mailbox, the newest first."""
    if not has_mailbox(settings):
        return []
    found = await asyncio.to_thread(of_person, mailbox_folder(settings), person, limit)
    return [Letterbox(message, content) for message, content in found]

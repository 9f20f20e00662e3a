"""What we tell people, by which channel. What may be said to notification, heard from it, and read in it."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from pasar.kernel.messages import Answer, Command, Event
from pasar.vocabulary import AccountId

Template = Literal[
    "order_placed", "order_paid", "order_canceled", "order_shipped", "order_delivered", "refund_done", "late_payment",
    "settlement_paid",
]  # fmt: skip


class QueueMail(Command):
    """A mail to a person; the id is made of what it tells about, so that it is sent once. Who and where to is looked up
    when it is sent: nothing personal is in here."""

    opens = True
    message: UUID
    person: AccountId
    template: Template
    facts: Annotated[dict[str, str], Meta(max_length=30)]


class NoteMailSent(Command):
    message: UUID
    provider_ref: str = ""


class NoteMailFailed(Command):
    message: UUID
    reason: str


class MailQueued(Event):
    message: UUID
    person: AccountId
    template: Template
    facts: dict[str, str]


class MailSent(Event):
    message: UUID
    provider_ref: str


class MailFailed(Event):
    message: UUID
    reason: str


class Mail(Answer):
    message: UUID
    template: Template
    state: Literal["queued", "sent", "failed"]
    queued_at: datetime | None = None


class ExportedMail(Mail):
    """A mail in the export of a person's own data, with what it told."""

    facts: dict[str, str] = {}

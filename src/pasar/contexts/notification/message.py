"""A mail to a person: queued, then sent or failed. Who and where to is looked up when it is sent."""

from typing import Literal, assert_never

from pasar.kernel.decider import Decider
from pasar.kernel.messages import Value

from .contract import Mail, MailFailed, MailQueued, MailSent, NoteMailFailed, NoteMailSent, QueueMail

MessageCommand = QueueMail | NoteMailSent | NoteMailFailed
MessageEvent = MailQueued | MailSent | MailFailed


class Message(Value):
    state: Literal["new", "queued", "sent", "failed"] = "new"
    what: MailQueued | None = None
    provider_ref: str = ""
    reason: str = ""


def decide(command: MessageCommand, message: Message) -> list[MessageEvent]:
    match command:
        case QueueMail(message=id, person=person, template=template, facts=facts):
            if message.state != "new":
                return []  # A repeat: the id is that of what it tells about.
            return [MailQueued(message=id, person=person, template=template, facts=facts)]
        case NoteMailSent(message=id, provider_ref=provider_ref):
            return [MailSent(message=id, provider_ref=provider_ref)] if message.state == "queued" else []
        case NoteMailFailed(message=id, reason=reason):
            return [MailFailed(message=id, reason=reason)] if message.state == "queued" else []
        case _:
            assert_never(command)


def evolve(message: Message, event: MessageEvent) -> Message:
    match event:
        case MailQueued():
            return Message(state="queued", what=event)
        case MailSent(provider_ref=provider_ref):
            return Message(state="sent", what=message.what, provider_ref=provider_ref)
        case MailFailed(reason=reason):
            return Message(state="failed", what=message.what, reason=reason)
        case _:
            assert_never(event)


def answer(message: Message) -> Mail | None:
    if message.what is None or message.state == "new":
        return None
    return Mail(message=message.what.message, template=message.what.template, state=message.state)


def owner(message: Message) -> str | None:
    return message.what and str(message.what.person)


message = Decider("notification.message", "message", Message(), decide, evolve, answer=answer, owner=owner)

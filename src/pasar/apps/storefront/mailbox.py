"""The mails that a person was sent, as they lie in the local mailbox: for deployments that send none into the world."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import NamedTuple

from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.visit import Visit
from pasar.contexts.notification import facade as notification
from pasar.kernel.access import signed_in
from pasar.kernel.web_refusals import NotFound

MOST = 50


class Opened(NamedTuple):
    """A mail as it is shown."""

    id: str
    subject: str
    sender: str
    date: str
    text: str


@page("GET", "/mailbox", policy=signed_in)
async def mailbox(visit: Visit) -> Response:
    """One's own mails, the newest first."""
    return visit.render("store/mailbox.html", mails=[await _opened(found) for found in await _own(visit)], mail=None)


@page("GET", "/mailbox/{message:uuid}", policy=signed_in)
async def mail(visit: Visit) -> Response:
    """One of them."""
    mails = await _own(visit)
    found = next((one for one in mails if one.message == visit.path["message"]), None)
    if found is None:
        raise NotFound
    return visit.render("store/mailbox.html", mails=[await _opened(one) for one in mails], mail=await _opened(found))


async def _own(visit: Visit) -> list[notification.Letterbox]:
    if not notification.has_mailbox(visit.core.settings):
        raise NotFound
    return await notification.own_mailbox(visit.core.settings, visit.account, MOST)


async def _opened(found: notification.Letterbox) -> Opened:
    parsed = message_from_bytes(found.content, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    body = parsed.get_body(("plain",))
    text = body.get_content() if body is not None else ""
    return Opened(str(found.message), str(parsed["subject"]), str(parsed["from"]), str(parsed["date"]), text)

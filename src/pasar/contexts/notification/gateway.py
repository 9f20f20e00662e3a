"""The port to what delivers mails, the settings that choose one, and a mail's Internet form. The
adapters are in `gateways/`.

The form is put together here, since the standard library's way takes several milliseconds a mail; its parser is what
the tests read it with.
"""

import re
from base64 import b64encode
from binascii import b2a_qp
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, Protocol
from uuid import UUID

from msgspec import Meta

from pasar.kernel.messages import Value
from pasar.kernel.settings import Section, is_time_zone, register

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
_PHRASE = re.compile(r"[A-Za-z0-9 _-]{1,60}")
_PLAIN = re.compile(r"(?!.*=\?)[\x20-\x7e]{1,60}")
CHUNK = 36
"""Bytes of one encoded word; with the name of its header a line stays below 76 characters (RFC 2047 §2)."""


class NotificationSettings(Section, frozen=True):
    """Mails to people."""

    mailer: Annotated[
        Literal["mailbox", "smtp"], Meta(description="Files in the data folder (development), or a mail server.")
    ] = "mailbox"
    shop_name: Annotated[str, Meta(description="How the shop signs.", min_length=1, max_length=80)] = "Pasar"
    sender: Annotated[
        str, Meta(description="Address that mails come from.", pattern=r"^[^@\s<>\"]+@[A-Za-z0-9.-]+$")
    ] = "shop@pasar.example"
    time_zone: Annotated[str, Meta(description="Time zone of dates in mails (IANA name); else `time_zone`.")] = "UTC"
    smtp_host: Annotated[str, Meta(description="The mail server.")] = "localhost"
    smtp_port: Annotated[int, Meta(description="Its port.", ge=1, le=65535)] = 587
    smtp_tls: Annotated[
        Literal["starttls", "tls", "none"], Meta(description="How the connection is protected; none: on this machine.")
    ] = "starttls"
    smtp_user: Annotated[str, Meta(description="Login at the mail server; empty: none.")] = ""
    smtp_password: Annotated[str, Meta(description="Password at the mail server.")] = ""
    smtp_connections: Annotated[int, Meta(description="Connections of one process at once.", ge=1, le=50)] = 4

    def problems(self) -> Iterable[str]:
        if not is_time_zone(self.time_zone):
            yield "time_zone must be an IANA name such as Asia/Seoul"
        if self.smtp_tls == "none" and self.smtp_user:
            yield "smtp_tls must not be none where smtp_user is given: the password would be readable on the way"


register("notification", NotificationSettings)


class Letter(Value):
    """A mail that is ready to go. `id` is the same at every repeat: it becomes the Message-ID (RFC 5322 §3.6.4), by
    which whoever receives a mail twice can tell."""

    id: UUID
    person: UUID
    to: str
    to_name: str
    sender: str
    sender_name: str
    subject: str
    text: str
    html: str
    language: str
    date: str
    """RFC 5322 §3.3"""

    @property
    def message_id(self) -> str:
        return f"<{self.id}@{self.sender.rpartition('@')[2]}>"


class Undeliverable(Exception):
    """That address will never take it: trying again is of no use."""


class Post(Protocol):
    """What delivers mails. `send` may be repeated; it raises `Undeliverable`, or `kernel.delivery.Retry`."""

    async def send(self, letter: Letter) -> str:
        """Hand it over; what the other side calls it."""
        ...

    async def forget(self, person: UUID) -> int:
        """Delete what is kept here of a person's mails; how many there were."""
        ...


def as_bytes(letter: Letter) -> bytes:
    """The mail as RFC 5322 and MIME want it, in seven bits. A line break in a name, subject or address is refused, so
    that no text becomes a header. Raises `Undeliverable`."""
    boundary = f"=_{letter.id.hex}"  # Quoted-printable never writes "=_".
    head = (
        f"From: {_mailbox(letter.sender_name, letter.sender)}",
        f"To: {_mailbox(letter.to_name, letter.to)}",
        f"Subject: {_text(letter.subject)}",
        f"Date: {letter.date}",
        f"Message-ID: {letter.message_id}",
        f"Content-Language: {letter.language}",
        "Auto-Submitted: auto-generated",  # RFC 3834 §5: nobody's holiday notice shall answer.
        "MIME-Version: 1.0",
        f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"',
    )
    parts = "".join(
        f"\r\n--{boundary}\r\nContent-Type: text/{subtype}; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: quoted-printable\r\n\r\n{_quoted(body)}"
        for subtype, body in (("plain", letter.text), ("html", letter.html))
    )
    return "\r\n".join((*head, parts, f"--{boundary}--", "")).encode("ascii")


def _quoted(text: str) -> str:
    return b2a_qp(text.replace("\r\n", "\n").replace("\n", "\r\n").encode()).decode("ascii")


def _mailbox(name: str, address: str) -> str:
    if not _ADDRESS.fullmatch(address):
        raise Undeliverable("that is no mail address")
    if not name or _PHRASE.fullmatch(name):  # Only what needs no quoting stands as it is.
        return f"{name} <{address}>" if name else address
    return "\r\n ".join((*_encoded(name), f"<{address}>"))


def _text(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else "\r\n ".join(_encoded(text))


def _encoded(text: str) -> Iterator[str]:
    """Encoded words (RFC 2047), none of which ends within a character."""
    if not text.isprintable():
        raise Undeliverable("a name or subject has characters that cannot be printed")
    chunk = b""
    for character in text:
        encoded = character.encode("utf-8", "replace")
        if len(chunk) + len(encoded) > CHUNK:
            yield f"=?utf-8?b?{b64encode(chunk).decode()}?="
            chunk = b""
        chunk += encoded
    yield f"=?utf-8?b?{b64encode(chunk).decode()}?="

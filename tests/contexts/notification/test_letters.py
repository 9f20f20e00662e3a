"""What mails say, and the form in which they go."""

import email
import email.policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any
from uuid import UUID

import pytest

from pasar.contexts.notification.contract import MailQueued, MailSent, NoteMailFailed, NoteMailSent, QueueMail
from pasar.contexts.notification.gateway import Letter, Undeliverable, as_bytes
from pasar.contexts.notification.letters import LANGUAGES, WORDINGS, catalogue, fields_of, sentences, write
from pasar.contexts.notification.message import message
from pasar.kernel.testing import scenario

check = scenario(message)
ID, PERSON = UUID(int=1), UUID(int=2)
FACTS = {
    "order_no": "202603010001",
    "amount": "12000",
    "refund": "12000",
    "debt": "500",
    "currency": "KRW",
    "carrier": "CJ",
    "tracking_no": "1234567890",
    "at": "2026-03-01T12:00:00+00:00",
    "settlement": "2026-W09-orchard",
    "store": "orchard",
    "orders": "3",
}
QUEUED = {"message": ID, "person": PERSON, "template": "order_paid", "facts": {"order_no": "202603010001"}}


def written(
    template: Any = "order_paid", language: str = "en", facts: dict[str, str] = FACTS, name: str = "Kim"
) -> Any:
    return write(template, facts, name=name, language=language, shop="Pasar", time_zone="Asia/Seoul")


def test_a_mail_is_queued_and_sent_once() -> None:
    wish, queued = QueueMail(**QUEUED), MailQueued(**QUEUED)
    sent = MailSent(message=ID, provider_ref="r")
    check(given=[], when=wish, then=[queued])
    check(given=[queued], when=wish, then=[])
    check(given=[queued], when=NoteMailSent(message=ID, provider_ref="r"), then=[sent])
    check(given=[queued, sent], when=NoteMailSent(message=ID, provider_ref="r"), then=[])
    check(given=[queued, sent], when=NoteMailFailed(message=ID, reason="late"), then=[])
    check(given=[], when=NoteMailSent(message=ID), then=[])


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_says_every_sentence_with_the_same_facts(language: str) -> None:
    texts = catalogue(language)
    assert set(texts) == set(sentences())
    for english, text in texts.items():
        assert text, english
        assert fields_of(text) == fields_of(english), text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("template", WORDINGS)
def test_every_mail_can_be_written_in_every_language(template: Any, language: str) -> None:
    mail = written(template, language)
    for part in mail:
        assert "{" not in part.replace("{ font", "")
        assert FACTS["order_no"] in part or FACTS["settlement"] in part


def test_amounts_and_instants_are_written_as_the_language_does() -> None:
    assert "₩12,000" in written(language="ko").text
    assert "₩12,000" in written(language="en").text
    cny = FACTS | {"currency": "CNY", "amount": "12.00"}
    assert "¥12.00" in written(language="zh", facts=cny).text
    assert "Mar 1, 2026, 9:00:00\u202fPM" in written("order_delivered").text
    assert "2026. 3. 1. PM 9:00:00" in written("order_delivered", "ko").text


@pytest.mark.requirement("S0-127")
def test_arabic_reads_from_right_to_left() -> None:
    assert '<html lang="ar" dir="rtl">' in written(language="ar").html
    assert '<html lang="ko" dir="ltr">' in written(language="ko").html


def test_a_paragraph_without_its_facts_is_left_out() -> None:
    unpaid = {"order_no": "202603010001", "currency": "KRW"}
    assert "given back" not in written("order_canceled", facts=unpaid).text
    assert "₩12,000" in written("order_canceled", facts=unpaid | {"refund": "12000"}).text


def test_markup_in_a_name_or_fact_is_text() -> None:
    mail = written("order_shipped", name="<script>alert(1)</script>", facts=FACTS | {"carrier": "<b>{shop}"})
    assert "<script>" not in mail.html
    assert "&lt;script&gt;" in mail.html
    assert "&lt;b&gt;{shop}" in mail.html


def letter(**changes: str) -> Letter:
    mail = written(language="ko")
    fields: dict[str, Any] = {
        "id": ID, "person": PERSON, "to": "kim@example.com", "to_name": "김민지", "sender": "shop@pasar.example",
        "sender_name": "Pasar", "subject": mail.subject, "text": mail.text, "html": mail.html, "language": "ko",
        "date": "Sun, 01 Mar 2026 12:00:00 +0000",
    }  # fmt: skip
    return Letter(**fields | changes)


def test_a_mail_program_reads_what_was_written() -> None:
    read = email.message_from_bytes(as_bytes(letter()), policy=email.policy.default)
    assert isinstance(read, EmailMessage)
    assert read["To"] == "김민지 <kim@example.com>"
    assert read["Subject"] == letter().subject
    assert read["Message-ID"] == f"<{ID}@pasar.example>"
    plain, html = read.get_body(("plain",)), read.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().replace("\r\n", "\n") == letter().text
    assert html.get_content().replace("\r\n", "\n") == letter().html


@pytest.mark.parametrize(
    "changes",
    [
        {"to": "kim@example.com\r\nBcc: all@example.com"},
        {"to": "kim@example.com, all@example.com"},
        {"to": "kim"},
        {"to_name": "Kim\r\nBcc: all@example.com"},
        {"subject": "Order\nBcc: all@example.com"},
        {"sender_name": "Pasar\r\nBcc: all@example.com"},
    ],
)
def test_no_text_becomes_a_header(changes: dict[str, str]) -> None:
    with pytest.raises(Undeliverable):
        as_bytes(letter(**changes))


@pytest.mark.parametrize(
    "name", ["Kim <all@example.com>, b@example.com", '"', "a,b;c", "=?utf-8?q?x?=", "김민지" * 30, "x" * 300]
)
def test_a_strange_name_stays_a_name(name: str) -> None:
    read = email.message_from_bytes(as_bytes(letter(to_name=name)), policy=email.policy.default)
    assert [one.addr_spec for one in read["To"].addresses] == ["kim@example.com"]
    shown, address = parseaddr(email.message_from_bytes(as_bytes(letter(to_name=name)))["To"])
    assert (str(make_header(decode_header(shown))), address) == (name, "kim@example.com")


def test_lines_are_short_and_of_seven_bits_whatever_is_written() -> None:
    long = letter(subject="긴 제목 " * 40, text="가" * 3000 + "\n.\n" + "x" * 3000, to_name="김민지" * 30)
    assert max(map(len, as_bytes(long).split(b"\r\n"))) <= 78
    assert as_bytes(long).isascii()
    assert b"\n" not in as_bytes(long).replace(b"\r\n", b"")

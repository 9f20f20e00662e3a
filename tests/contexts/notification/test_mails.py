"""From what happened in the shop to a mail in somebody's language, and no further than it may go."""

import asyncio
import email
import email.policy
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from contexts.people import START, People, open_people
from kernel.running import until
from pasar.contexts.aftersales.contract import CaseRefunded
from pasar.contexts.finance.contract import SellerSettled
from pasar.contexts.fulfillment.contract import ParcelMoved
from pasar.contexts.notification.contract import QueueMail
from pasar.contexts.notification.policies import mails as policy
from pasar.contexts.ordering.contract import OrderCanceled, OrderPaid
from pasar.contexts.payment.contract import PaymentCapturedLate
from pasar.kernel.messages import Event, name_of
from pasar.kernel.private import Private
from pasar.kernel.store import Recorded
from pasar.vocabulary import Address
from postgres import TestDatabase

NO = "202603010001"
BUYER = UUID(int=5)


def heard(event: Event) -> Any:
    """What the policy says to an event."""
    recorded = Recorded(1, "kind", "stream", 1, name_of(type(event)), event, {}, START, 1, 1, 1)
    commands = policy.on[type(event)](recorded, None)  # type: ignore[arg-type]
    assert isinstance(commands, list)
    assert all(command.message == recorded.id for command in commands)
    return commands[0] if commands else None


def paid() -> OrderPaid:
    where = Address(recipient=Private("r"), phone=Private("p"), line1=Private("l"), country="KR")
    return OrderPaid(
        order_no=NO, buyer=BUYER, channel="web", currency="KRW", total=Decimal(12000), payment=None, gateway="toss",
        lines=(), freight_shares=(), platform_paid=Decimal(0), coupons=(), points=0, programme="points", address=where,
    )  # fmt: skip


def canceled(was_paid: bool) -> OrderCanceled:
    return OrderCanceled(
        order_no=NO, buyer=BUYER, reason="unpaid", was_paid=was_paid, payment=None, currency="KRW",
        total=Decimal(12000), lines=(), coupons=(), points=0, programme="points", platform_paid=Decimal(0),
    )  # fmt: skip


def moved(state: Any) -> ParcelMoved:
    return ParcelMoved(
        order_no=NO, buyer=BUYER, parcel="1", state=state, order_stage=None, at=START, carrier="cj", tracking_no="1234"
    )  # fmt: skip


@pytest.mark.requirement("S2-035")
def test_a_paid_order_is_told_with_amount_and_number() -> None:
    mail = heard(paid())
    assert (mail.person, mail.template) == (BUYER, "order_paid")
    assert mail.facts == {"order_no": NO, "amount": "12000", "currency": "KRW"}


def test_a_cancelled_order_is_told_with_the_refund_where_it_was_paid() -> None:
    assert heard(canceled(was_paid=True)).facts["refund"] == "12000"
    assert "refund" not in heard(canceled(was_paid=False)).facts


def test_parcels_are_told_when_they_leave_and_when_they_arrive() -> None:
    assert heard(moved("shipped")).facts["tracking_no"] == "1234"
    assert heard(moved("delivered")).template == "order_delivered"
    assert [heard(moved(state)) for state in ("picked", "packed", "in_transit", "canceled")] == [None] * 4


def test_money_that_goes_back_is_told() -> None:
    fields: dict[str, Any] = {"order_no": NO, "buyer": BUYER, "currency": "KRW"}
    refunded = CaseRefunded(case=UUID(int=1), refund=Decimal(500), points=0, lines=(), **fields)
    nothing = CaseRefunded(case=UUID(int=1), refund=Decimal(0), points=5, lines=(), **fields)
    late = PaymentCapturedLate(
        payment=UUID(int=1), gateway="toss", provider_ref="r", amount=Decimal(7), occurred_at=None, **fields
    )
    assert (heard(refunded).template, heard(refunded).facts["amount"]) == ("refund_done", "500")
    assert heard(nothing) is None
    assert (heard(late).template, heard(late).facts["amount"]) == ("late_payment", "7")


@pytest.mark.requirement("S2-068")
def test_a_settled_seller_is_told_the_same_figures() -> None:
    settled = SellerSettled(
        settlement="2026-W09-s1", run="2026-W09", store="s1", seller=BUYER, currency="KRW", amount=Decimal(95000),
        debt_netted=Decimal(0), orders=(),
    )  # fmt: skip
    mail = heard(settled)
    assert (mail.person, mail.template, mail.facts["amount"]) == (BUYER, "settlement_paid", "95000")
    assert "debt" not in mail.facts


def wish(person: str, number: int = 1, **facts: str) -> QueueMail:
    told = {"order_no": NO, "amount": "12000", "currency": "KRW", **facts}
    return QueueMail(message=UUID(int=number), person=UUID(person), template="order_paid", facts=told)


async def sent(people: People, token: str, state: str = "sent", count: int = 1) -> list[dict[str, Any]]:
    """One's mails, once all of them have got there."""

    async def all_of_them() -> Any:
        items = (await people.ask("GET", "/api/v1/me/mails", token=token)).json["items"]
        return items if len(items) == count and all(one["state"] == state for one in items) else None

    return await until(all_of_them)


def files(people: People) -> list[Path]:
    return sorted((people.folder / "mailbox").glob("**/*.eml"))


def read(file: Path) -> EmailMessage:
    message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


async def test_a_mail_goes_to_its_reader_in_their_language_and_is_nobody_elses_to_read(people: People) -> None:
    kim = await people.join(locale="zh")
    await people.bus().send(wish(kim["account"]))
    (mail,) = await sent(people, kim["access_token"])
    assert (mail["template"], mail["message"]) == ("order_paid", str(UUID(int=1)))
    (file,) = files(people)
    read_ = read(file)
    assert read_["To"] == "Kim Minji <kim@example.com>"
    assert read_["Subject"] == f"感谢您的订单 {NO}"
    assert file.parent.name == "2026-03"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (file.parent, file.parent.parent)} == {0o700}


@pytest.mark.requirement("S3-087")
async def test_a_repeated_wish_and_a_repeated_event_make_one_mail(people: People) -> None:
    kim = await people.join()
    for _ in range(3):
        await people.bus().send(wish(kim["account"]))
    await sent(people, kim["access_token"])
    await asyncio.sleep(0.1)
    assert len(files(people)) == 1


async def test_a_guest_and_an_erased_person_get_none(people: People) -> None:
    guest = (await people.ask("POST", "/api/v1/guests")).json
    await people.bus().send(wish(guest["account"]))
    assert (await sent(people, guest["access_token"], "failed"))[0]["state"] == "failed"
    assert files(people) == []


async def test_the_mails_of_who_leaves_are_deleted(people: People) -> None:
    kim, lee = await people.join(), await people.join("lee@example.com")
    for number, tokens in enumerate((kim, lee), 1):
        await people.bus().send(wish(tokens["account"], number))
        await sent(people, tokens["access_token"])
    assert len(files(people)) == 2
    assert (await people.ask("DELETE", "/api/v1/me", token=kim["access_token"])).status == 204

    async def one_is_left() -> bool:
        return [file.name.split(".")[1] for file in files(people)] == [lee["account"]]

    assert await until(one_is_left)
    await people.bus().send(wish(kim["account"], 3))
    await people.bus().send(wish(lee["account"], 4))
    await sent(people, lee["access_token"], count=2)
    assert {file.name.split(".")[1] for file in files(people)} == {lee["account"]}


async def test_mails_are_listed_by_their_reader_and_files_by_staff(people: People) -> None:
    admin, kim = (await people.admin())["access_token"], await people.join()
    for number in range(5):
        people.clock.set(START + timedelta(minutes=number))
        await people.bus().send(wish(kim["account"], number))
    await sent(people, kim["access_token"], count=5)
    for path, token in (("/api/v1/me/mails", kim["access_token"]), ("/api/v1/mailbox", admin)):
        found, cursor = [], ""
        while cursor is not None:
            page = (await people.ask("GET", f"{path}?limit=2{cursor}", token=token)).json
            found += [UUID(one["message"]).int for one in page["items"]]
            cursor = page["next"] and f"&cursor={page['next']}"
        assert found == [4, 3, 2, 1, 0]
    assert (await people.ask("GET", "/api/v1/mailbox", token=kim["access_token"])).status == 403
    assert (await people.ask("GET", "/api/v1/me/mails", token=admin)).json["items"] == []


@dataclass
class MailServer:
    """Speaks SMTP as far as a client needs it; `refuse` is its answer to a recipient."""

    port: int = 0
    refuse: list[bytes] = field(default_factory=list)
    mails: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test\r\n")
        while line := await reader.readline():
            verb = line.split(b" ")[0].strip().upper()
            if verb == b"DATA":
                writer.write(b"354 go on\r\n")
                self.mails.append(await reader.readuntil(b"\r\n.\r\n"))
                writer.write(b"250 taken\r\n")
            elif verb == b"RCPT" and self.refuse:
                writer.write(self.refuse.pop(0) + b"\r\n")
            elif verb == b"EHLO":
                writer.write(b"250-test\r\n250 8BITMIME\r\n")
            else:
                writer.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
            await writer.drain()
            if verb == b"QUIT":
                break
        writer.close()


@asynccontextmanager
async def mail_server() -> AsyncIterator[MailServer]:
    made = MailServer()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


def by_smtp(server: MailServer) -> dict[str, object]:
    return {
        "notification.mailer": "smtp",
        "notification.smtp_host": "127.0.0.1",
        "notification.smtp_port": server.port,
        "notification.smtp_tls": "none",
    }


async def test_a_mail_server_gets_the_mail_and_a_refused_address_is_final(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with mail_server() as server, open_people(database, tmp_path, **by_smtp(server)) as people:
        kim, lee = await people.join(), await people.join("lee@example.com")
        await people.bus().send(wish(kim["account"], 1))
        await sent(people, kim["access_token"])
        (raw,) = server.mails
        assert b"To: Kim Minji <kim@example.com>\r\n" in raw
        server.refuse = [b"550 no such mailbox"]
        await people.bus().send(wish(lee["account"], 2))
        await sent(people, lee["access_token"], "failed")
        assert len(server.mails) == 1


async def test_a_mail_server_that_is_busy_is_asked_again(database: TestDatabase, tmp_path: Path) -> None:
    async with mail_server() as server, open_people(database, tmp_path, **by_smtp(server)) as people:
        kim = await people.join()
        server.refuse = [b"451 try later"]
        await people.bus().send(wish(kim["account"], 1))

        async def parked() -> Any:
            return await people.core.database.kernel.fetchval("select count(*) from kernel.parked")

        assert await until(parked) == 1
        assert server.mails == []
        people.clock.set(people.clock.now() + timedelta(minutes=1))
        await sent(people, kim["access_token"])
        assert len(server.mails) == 1

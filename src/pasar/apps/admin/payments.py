"""Payments: attempts, what providers told, money that came late or fits nothing, refunds."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta
from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import mark
from pasar.apps.pages.visit import Visit
from pasar.contexts.identity import facade as identity
from pasar.contexts.identity.contract import NoteReveal
from pasar.contexts.payment import facade as payment
from pasar.contexts.payment import facade_notices as notices
from pasar.contexts.payment import facade_parked as parked_money
from pasar.contexts.payment.contract_staff import Attachment, FindParked, FindPayments
from pasar.kernel.history import happened, postings
from pasar.refusals import PaymentNotFound

from .desk import checked, money, plain
from .money_trail import booked, family, rest
from .sign_in import ask_again

PAGE = 30
STATES = ("started", "confirming", "captured", "failed", "expired", "late", "parked", "refunded")


VERDICTS = ("verified", "ignored", "refused", "postponed")


class PaymentsQuery(msgspec.Struct):
    state: Annotated[str, Meta(max_length=20)] = ""
    gateway: Annotated[str, Meta(max_length=40)] = ""
    q: Annotated[str, Meta(max_length=20)] = ""
    failed: bool = False
    cursor: Annotated[str, Meta(max_length=1024)] | None = None


class NoticesQuery(msgspec.Struct):
    verdict: Annotated[str, Meta(max_length=20)] = ""
    cursor: Annotated[str, Meta(max_length=1024)] | None = None


@page("GET", "/console/payments", policy=money, lane="reports")
async def payments(visit: Visit) -> Response:
    """All attempts, newest first."""
    asked = visit.query(PaymentsQuery)
    wish = {
        "limit": PAGE, "cursor": asked.cursor, "state": asked.state if asked.state in STATES else None,
        "gateway": asked.gateway or None, "order_no": asked.q or None, "failed_refunds": asked.failed,
    }  # fmt: skip
    found = await payment.find(visit.db, checked(wish, FindPayments))
    return visit.render(
        "console/payments.html",
        payments=found.items,
        next=found.next,
        asked=asked,
        states=STATES,
        gateways=await payment.offers(visit.bus()),
    )


@page("GET", "/console/payments/parked", policy=money, lane="reports")
async def parked(visit: Visit) -> Response:
    """Genuine money that a person must decide about: what fits no order, and what came too late."""
    asked = visit.query(PaymentsQuery)
    found = await payment.find_parked(visit.db, checked({"limit": PAGE, "cursor": asked.cursor}, FindParked))
    late = await payment.find(visit.db, checked({"limit": PAGE, "state": "late"}, FindPayments))
    return visit.render("console/parked.html", parked=found.items, next=found.next, late=late.items)


@page("POST", "/console/payments/parked/{parked:uuid}", policy=money, lane="checkout")
async def decide_parked(visit: Visit) -> Response:
    """Give parked money back, or say which order it pays; a second person agrees to that."""
    case, act = visit.path["parked"], visit.text("act")
    found = await parked_money.show(visit.db, case)
    amount = visit.language.money(found.amount, found.currency)
    if act == "return":
        title = visit.language.say("Give back %(amount)s", amount=amount)
        consequence = mark("The provider sends the money back to the shopper. That cannot be undone.")
        if (asked := await ask_again(visit, title, consequence)) is not None:
            return asked
        await parked_money.give_back(visit.bus(), visit.who, case)
        visit.say(mark("The refund is on its way."))
    elif act == "attach" and found.order_no is not None:
        title = visit.language.say("Let %(amount)s pay order %(no)s", amount=amount, no=found.order_no)
        if (asked := await ask_again(visit, title, mark("The order is paid by it."))) is not None:
            return asked
        await parked_money.attach(visit.bus(), visit.who, case, found.order_no)
        visit.say(mark("The order was paid"))
    else:
        order_no = checked({"order_no": visit.text("order_no")}, Attachment).order_no
        await parked_money.propose(visit.bus(), visit.who, case, order_no)
        visit.say(mark("Proposed. A second person has to agree."))
    return visit.go("/console/payments/parked")


@page("GET", "/console/payments/notices", policy=money, lane="reports")
async def all_notices(visit: Visit) -> Response:
    """What providers, and those who say that they are, have sent us lately."""
    asked = visit.query(NoticesQuery)
    verdict = asked.verdict if asked.verdict in VERDICTS else None
    wish = checked({"limit": PAGE, "cursor": asked.cursor, "verdict": verdict}, notices.FindNotices)
    found = await notices.find(visit.db, wish)
    return visit.render(
        "console/notices.html", notices=await _readable(visit, found.items), next=found.next, asked=asked,
        verdicts=VERDICTS,
    )  # fmt: skip


async def _readable(visit: Visit, found: Sequence[notices.Notice], whole: UUID | None = None) -> list[tuple[Any, str]]:
    """Notices and what may be shown of them: all only of the one that somebody gave a reason for."""
    shown = []
    for one in await visit.opened(found):
        text = plain(one.body)
        shown.append((one, text if one.notice == whole or not text else notices.masked(text)))
    return shown


@page("GET", "/console/payments/{payment:uuid}", policy=money)
async def attempt(visit: Visit) -> Response:
    """One attempt: what the provider was asked and told, in order, and what was booked."""
    return await _attempt(visit)


@page("POST", "/console/payments/{payment:uuid}/notices/{notice:uuid}", policy=money)
async def reveal_notice(visit: Visit) -> Response:
    """Show a notice whole, once. Who looked and why stands in the audit trail for ever."""
    found = await notices.of_buyer(visit.db, visit.path["payment"], visit.path["notice"])
    wish = {"account": str(found.person), "by": visit.who.id, "reason": visit.text("reason")}
    await identity.reveal(visit.bus(), visit.who, found.person, checked(wish, NoteReveal).reason)
    return await _attempt(visit, found.notice)


async def _attempt(visit: Visit, whole: UUID | None = None) -> Response:
    found = await payment.show(visit.db, visit.who, visit.path["payment"])
    events = await happened(visit.db, [("payment.payment", str(found.payment))])
    posted = booked(events, await postings(visit.db, [event.position for event in events]))
    return visit.render(
        "console/payment.html",
        payment=found,
        events=list(reversed(events)),
        notices=await _readable(visit, await notices.of_payment(visit.db, found.payment), whole),
        whole=whole,
        postings=posted,
        family=family,
        rest=rest,
        can_refund=found.state in ("captured", "late") and found.refunded < found.amount,
        intent=visit.new_intent(),
    )


@page("POST", "/console/payments/{payment:uuid}/refund", policy=money, lane="checkout")
async def refund(visit: Visit) -> Response:
    """Give a part back, or all that is left."""
    found = await payment.show(visit.db, visit.who, visit.path["payment"])
    wish = {"amount": visit.text("amount").replace(",", "") or None, "reason": visit.text("reason")}
    body = checked(wish, payment.NewRefund)
    amount = found.amount - found.refunded if body.amount is None else body.amount
    act = visit.language.say("Give back %(amount)s", amount=visit.language.money(amount, found.currency))
    consequence = mark("The provider sends the money back to the shopper. That cannot be undone.")
    if (asked := await ask_again(visit, act, consequence)) is not None:
        return asked
    await payment.refund(visit.bus(key=visit.intent), found.payment, body)
    visit.say(mark("The refund is on its way."))
    return visit.go(f"/console/payments/{found.payment}")


@page("POST", "/console/payments/{payment:uuid}/refunds/{refund:uuid}/retry", policy=money, lane="checkout")
async def retry(visit: Visit) -> Response:
    """Ask the provider again for a refund that it has refused."""
    found = await payment.show(visit.db, visit.who, visit.path["payment"])
    if visit.path["refund"] not in {one.refund for one in found.refunds}:
        raise PaymentNotFound(f"there is no refund {visit.path['refund']}")
    await payment.retry_refund(visit.bus(), found.payment, visit.path["refund"])
    visit.say(mark("The provider is asked again."))
    return visit.go(f"/console/payments/{found.payment}")

"""What is told to whom, when; and the sending itself.

No mail for a placed order: its payment follows, or its cancellation.
"""

from collections.abc import Callable
from email.utils import format_datetime

from pasar.contexts.aftersales.contract import CaseRefunded
from pasar.contexts.finance.contract import SellerSettled
from pasar.contexts.fulfillment.contract import ParcelMoved
from pasar.contexts.identity.contract import AccountErased
from pasar.contexts.ordering.contract import OrderCanceled, OrderPaid
from pasar.contexts.payment.contract import PaymentCapturedLate
from pasar.kernel.bus import Bus
from pasar.kernel.policies import Policy, Reaction
from pasar.kernel.store import Reader, Recorded
from pasar.vocabulary import AccountId

from . import facade
from .contract import MailQueued, NoteMailFailed, NoteMailSent, QueueMail, Template
from .gateway import Undeliverable

Told = tuple[AccountId, Template, dict[str, str]]


def _paid(event: OrderPaid) -> Told:
    facts = {"order_no": event.order_no, "amount": str(event.total), "currency": event.currency}
    return event.buyer, "order_paid", facts


def _canceled(event: OrderCanceled) -> Told:
    facts = {"order_no": event.order_no, "currency": event.currency}
    if event.was_paid and event.total:
        facts["refund"] = str(event.total)
    return event.buyer, "order_canceled", facts


def _moved(event: ParcelMoved) -> Told | None:
    facts = {"order_no": event.order_no, "at": event.at.isoformat()}
    if event.state == "delivered":
        return event.buyer, "order_delivered", facts
    if event.state != "shipped":
        return None
    for name in ("carrier", "tracking_no"):
        if value := getattr(event, name):
            facts[name] = value
    return event.buyer, "order_shipped", facts


def _refunded(event: CaseRefunded) -> Told | None:
    if not event.refund:
        return None
    facts = {"order_no": event.order_no, "amount": str(event.refund), "currency": event.currency}
    return event.buyer, "refund_done", facts


def _late(event: PaymentCapturedLate) -> Told:
    facts = {"order_no": event.order_no, "amount": str(event.amount), "currency": event.currency}
    return event.buyer, "late_payment", facts


def _settled(event: SellerSettled) -> Told:
    facts = {
        "settlement": event.settlement,
        "store": event.store,
        "amount": str(event.amount),
        "currency": event.currency,
        "orders": str(len(event.orders)),
    }
    if event.debt_netted:
        facts["debt"] = str(event.debt_netted)
    return event.seller, "settlement_paid", facts


def _queue(tell: Callable[..., Told | None]) -> Callable[[Recorded, Reader], list[QueueMail]]:
    """A mail is named after the event that it tells about, so no event is told twice."""

    def queue(recorded: Recorded, ask: Reader) -> list[QueueMail]:
        told = tell(recorded.event)
        if told is None:
            return []
        person, template, facts = told
        return [QueueMail(message=recorded.id, person=person, template=template, facts=facts)]

    return queue


mails = Policy(
    "notification.mails",
    on={
        OrderPaid: _queue(_paid),
        OrderCanceled: _queue(_canceled),
        ParcelMoved: _queue(_moved),
        CaseRefunded: _queue(_refunded),
        PaymentCapturedLate: _queue(_late),
        SellerSettled: _queue(_settled),
    },
)


async def _send(recorded: Recorded, bus: Bus) -> list[NoteMailSent | NoteMailFailed]:
    """Somebody who cannot be reached (a guest, an erased person) is none to try again."""
    event = recorded.event
    assert isinstance(event, MailQueued)
    letter = await facade.letter(bus, event, format_datetime(recorded.at))
    if letter is None:
        return [NoteMailFailed(message=event.message, reason="no_address")]
    try:
        provider_ref = await facade.post(bus).send(letter)
    except Undeliverable as error:
        return [NoteMailFailed(message=event.message, reason=str(error))]
    return [NoteMailSent(message=event.message, provider_ref=provider_ref)]


async def _forget(recorded: Recorded, bus: Bus) -> None:
    event = recorded.event
    assert isinstance(event, AccountErased)
    await facade.post(bus).forget(event.account)


send = Reaction("notification.send", on={MailQueued: _send})
forget = Reaction("notification.forget", on={AccountErased: _forget})

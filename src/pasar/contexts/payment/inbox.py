"""What providers state, booked: by notices, by answers to our calls. Saying it again changes nothing."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from hashlib import blake2b
from uuid import UUID

import structlog

from pasar.contexts.ordering.contract import EndPaymentAttempt, MarkPaid
from pasar.kernel.bus import Bus
from pasar.kernel.metrics import counter
from pasar.refusals import AlreadyPaid, NoticeRefused, OrderNotFound, OrderStateForbids

from .attempt import CAPTURED, OPEN, Attempt, refund_of
from .contract import Capture, CaptureLate, CompleteRefund, Expire, Fail, FailRefund, Park, Payment
from .facade_notices import Judged, keep
from .gateway import Acknowledgement, Facts, Gateway, GatewayUnavailable, NoticeForged
from .gateways.config import PaymentSettings
from .gateways.hub import Hub
from .payment import misfit
from .payment import payment as payment_decider

log = structlog.get_logger(__name__)
notices = counter("pasar_payment_notices_total", "Notices of providers by what became of them", ["gateway", "outcome"])

OUTCOMES = {"verified": "booked", "ignored": "booked", "refused": "forged", "postponed": "postponed"}


async def end(bus: Bus, payment: UUID, order_no: str, how: Fail | Expire) -> None:
    """The attempt is over, and the order waits for the next one."""
    await bus.send_together(how, EndPaymentAttempt(order_no=order_no, payment=payment))


async def notice(bus: Bus, name: str | None, headers: Mapping[str, str], body: bytes) -> Acknowledgement:
    """A provider tells something. What is genuine is booked before it is acknowledged; else it is sent again later.
    Whatever it is, it is kept as it came."""
    hub = Hub.of(bus)
    name = name or hub.claiming(headers, body)
    if name is None or name not in hub:
        notices.labels("unknown", "refused").inc()
        await keep(bus, "unknown", body, Judged("refused", "of no provider that we know"))
        raise NoticeRefused("this is no notice of a provider that we know")
    gateway = hub[name]
    judged = await _judged(bus, gateway, headers, body)
    await keep(bus, name, body, judged)
    notices.labels(name, OUTCOMES[judged.verdict]).inc()
    if judged.verdict == "refused":
        raise NoticeRefused()
    return gateway.acknowledge(judged.verdict != "postponed")


async def _judged(bus: Bus, gateway: Gateway, headers: Mapping[str, str], body: bytes) -> Judged:
    """Booked, if it is genuine."""
    name, booked, about = gateway.name, list[str](), None
    try:
        async with asyncio.timeout(bus.settings.section(PaymentSettings).notice_timeout_s):
            for facts in await gateway.read_notice(headers, body):
                about = _our_payment(facts.payment_id)
                await apply_facts(bus, name, facts)
                booked.append(facts.kind)
    except NoticeForged as forged:
        log.warning("forged payment notice", gateway=name, reason=str(forged), bytes=len(body))
        return Judged("refused", str(forged))
    except Exception as problem:  # Whatever it is: not acknowledged, it comes again.
        log.error("payment notice is not booked yet", gateway=name, error=f"{type(problem).__name__}: {problem}")
        return Judged("postponed", f"{type(problem).__name__}: {problem}", ", ".join(booked), about)
    return Judged("verified", "", ", ".join(booked), about) if booked else Judged("ignored")


async def apply_facts(bus: Bus, gateway: str, facts: Facts, attempt: Attempt | None = None) -> Payment | None:
    """Book what a provider says, verified. Saying it again, later or in another order changes nothing. `attempt`: as
    it was just now, where the caller knows; what is decided is decided on what it is. The payment, if it was paid."""
    payment = _our_payment(facts.payment_id)
    if attempt is None and payment is not None:
        attempt = await bus.db.state(payment_decider, payment)
    if attempt is None or payment is None or attempt.started is None:
        if facts.kind == "captured":
            await _park_unknown(bus, gateway, facts)
        return None
    match facts.kind:
        case "captured":
            return await _captured(bus, gateway, payment, attempt, facts)
        case "failed" if attempt.state in OPEN:
            reason = facts.reason or "declined"
            await end(bus, payment, attempt.started.order_no, Fail(payment=payment, reason=reason))
        case "refunded" | "refund_failed":
            await _refund_told(bus, payment, attempt, facts)
    return None


def _our_payment(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _money(facts: Facts) -> tuple[Decimal, str]:
    if facts.amount is None or facts.currency is None:
        raise GatewayUnavailable("the provider says captured, and not how much")
    return facts.amount, facts.currency


async def _captured(bus: Bus, gateway: str, payment: UUID, attempt: Attempt, facts: Facts) -> Payment | None:
    """Money and order change together; money that the order cannot take any more is booked as late, and goes back."""
    started, (amount, currency) = attempt.started, _money(facts)
    assert started is not None
    told = {"payment": payment, "gateway": gateway, "provider_ref": facts.provider_ref, "amount": amount}
    more = {"currency": currency, "receiver": facts.receiver, "occurred_at": facts.occurred_at}
    capture = Capture(**told, **more)
    if attempt.state in CAPTURED or misfit(started, capture) is not None:
        return await bus.send(capture)  # A repeat, or it is parked: the order hears nothing of it.
    paid = MarkPaid(
        order_no=started.order_no, payment=payment, gateway=gateway, amount=started.amount, currency=currency
    )
    try:
        return await bus.send_together(capture, paid)
    except (OrderStateForbids, AlreadyPaid, OrderNotFound):
        return await bus.send(CaptureLate(**told, **more))


async def _park_unknown(bus: Bus, gateway: str, facts: Facts) -> None:
    amount, currency = _money(facts)
    digest = blake2b(f"{gateway}/{facts.provider_ref}".encode(), digest_size=16).digest()
    what = {"payment": UUID(bytes=digest), "gateway": gateway, "provider_ref": facts.provider_ref}
    money = {"amount": amount, "currency": currency}
    await bus.send(Park(**what, **money, reason="unknown_payment", told_as=facts.payment_id))


async def _refund_told(bus: Bus, payment: UUID, attempt: Attempt, facts: Facts) -> None:
    refund = None if facts.refund_id is None else refund_of(attempt, facts.refund_id)
    if refund is None:
        log.error("a refund that we did not ask for", payment=str(payment), refund_ref=facts.refund_ref)
    elif facts.kind == "refunded":
        await bus.send(CompleteRefund(payment=payment, refund=refund, provider_refund=facts.refund_ref or ""))
    else:
        await bus.send(FailRefund(payment=payment, refund=refund, reason=facts.reason or "refused by the provider"))

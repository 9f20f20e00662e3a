"""Calls to payment providers: whatever was asked for and not done by the request itself, a worker does.

A call that gives money back is tried for days; then a person is called. Each call asks or repeats under the same
number, so that doing it twice is doing it once. Each kind of call is a follower of its own: a refund that nobody can
make does not stop another payment's opening, nor its own confirmation.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from pasar.kernel.bus import Bus
from pasar.kernel.delivery import Patience, Retry
from pasar.kernel.messages import Command
from pasar.kernel.metrics import counter
from pasar.kernel.policies import Policy, Reaction
from pasar.kernel.store import Reader, Recorded

from . import facade, inbox
from .attempt import OPEN, GivenBack, refund_number
from .contract import (
    CompleteRefund,
    ConfirmRequested,
    Expire,
    Fail,
    FailRefund,
    NotePaymentOpened,
    PaymentChecked,
    PaymentParked,
    PaymentStarted,
    RefundRequested,
    RefundRetried,
    RefundStalled,
    RefundState,
    StallRefund,
)
from .contract_staff import (
    NoteReturned,
    NoteReturnFailed,
    NoteReturnStalled,
    OpenParked,
    ParkedReturnRequested,
    ParkedReturnStalled,
)
from .gateway import Facts, GatewayRefused, GatewayUnavailable
from .gateways.config import PaymentSettings
from .gateways.hub import Hub
from .parked import case_of, return_number
from .parked import parked as parked_case
from .payment import payment as payment_decider
from .transfers import OFFLINE

log = structlog.get_logger(__name__)
parked_counter = counter("pasar_payments_parked_total", "Genuine money that fits nothing", ["gateway", "reason"])
stalled_counter = counter("pasar_refunds_stalled_total", "Money that could not be given back within its budget", [])
GRACE = timedelta(milliseconds=250)
SOON = timedelta(seconds=5)


def patience(settings: Any) -> Patience:
    """As many tries as the settings say; then people decide."""
    tries = 1 + settings.section(PaymentSettings).max_retries
    return Patience(timedelta(seconds=2), timedelta(minutes=5), timedelta(hours=1), 60, tries)


def refund_patience(settings: Any) -> Patience:
    """Money that is owed is not given up while the provider is away: up to an hour between two tries, for days."""
    budget = timedelta(hours=settings.section(PaymentSettings).refund_budget_h)
    return Patience(timedelta(seconds=2), timedelta(hours=1), budget, 60)


def _is_fresh(bus: Bus, at: datetime) -> bool:
    """Whether the request that caused an event may still be about to do itself what the worker was asked for."""
    return bus.now() - at < timedelta(seconds=bus.settings.section(PaymentSettings).inline_timeout_s)


async def _leave_to_request(bus: Bus, heard: Recorded) -> None:
    """The request that caused the event is usually quicker; a second call would be harmless, but a burden."""
    if _is_fresh(bus, heard.at):
        await asyncio.sleep(GRACE.total_seconds())


async def open_attempt(heard: Recorded, bus: Bus) -> Sequence[Command]:
    event = heard.event
    assert isinstance(event, PaymentStarted)
    if event.gateway == OFFLINE or event.is_open:
        return []
    for wait in (True, False):
        attempt = await bus.db.state(payment_decider, event.payment)
        if attempt is None or attempt.state not in OPEN or attempt.fields or attempt.pay_url or attempt.provider_ref:
            return []
        if wait:
            await _leave_to_request(bus, heard)
    if bus.now() >= event.expires_at:
        return []  # The check at the end of the attempt closes it.
    try:
        return [NotePaymentOpened(payment=event.payment, opening=await facade.open_at_gateway(bus, event))]
    except GatewayUnavailable as problem:
        raise Retry(str(problem)) from problem
    except GatewayRefused as no:
        await inbox.end(bus, event.payment, event.order_no, Fail(payment=event.payment, reason=str(no)))
        return []


async def confirm(heard: Recorded, bus: Bus) -> None:
    event = heard.event
    assert isinstance(event, ConfirmRequested)
    for wait in (True, False):
        attempt = await bus.db.state(payment_decider, event.payment)
        if attempt is None or attempt.started is None or attempt.state != "confirming":
            return
        if wait:
            await _leave_to_request(bus, heard)
    assert attempt is not None
    assert attempt.started is not None
    try:
        await facade.confirm_at_gateway(bus, attempt, event.provider_ref)
    except GatewayUnavailable as problem:
        raise Retry(str(problem)) from problem


async def check(heard: Recorded, bus: Bus) -> None:
    """Ask what became of an attempt; at its end, end it there. No answer is no end: the next check asks again."""
    event = heard.event
    assert isinstance(event, PaymentChecked)
    attempt = await bus.db.state(payment_decider, event.payment)
    if attempt is None or attempt.state not in OPEN:
        return
    number, ref, hub = str(event.payment), attempt.provider_ref, Hub.of(bus)
    try:
        if event.is_last:
            facts = await hub.call(event.gateway, lambda gateway: gateway.close(number, ref))
        else:
            facts = await hub.call(event.gateway, lambda gateway: gateway.query(number, ref))
    except (GatewayUnavailable, GatewayRefused) as problem:
        log.warning("a payment's fate is unknown", payment=number, check=event.number, reason=str(problem))
        return
    if event.is_last and facts.kind in ("failed", "unknown"):
        await inbox.end(bus, event.payment, event.order_no, Expire(payment=event.payment))
    else:
        await inbox.apply_facts(bus, event.gateway, facts)


async def _refund_due(heard: Recorded, bus: Bus, *states: RefundState) -> GivenBack | None:
    """The refund, if this attempt at it is still the one that waits."""
    event = heard.event
    assert isinstance(event, RefundRequested | RefundRetried)
    if event.gateway == OFFLINE:
        return None  # Staff transfer it, and say so.
    attempt = await bus.db.state(payment_decider, event.payment)
    given = attempt and attempt.refunds.get(str(event.refund))
    return given if given and given.state in states and given.attempt == event.attempt else None


def _fate(event: RefundRequested | RefundRetried, facts: Facts) -> list[Command]:
    if facts.kind == "refunded":
        done = CompleteRefund(payment=event.payment, refund=event.refund, provider_refund=facts.refund_ref or "")
        return [done]
    if facts.kind == "refund_failed":
        reason = facts.reason or "refused by the provider"
        return [FailRefund(payment=event.payment, refund=event.refund, reason=reason)]
    return []


async def _ask(bus: Bus, event: RefundRequested | RefundRetried) -> Facts:
    number = str(refund_number(event.payment, event.refund, event.attempt))
    return await Hub.of(bus).call(
        event.gateway,
        lambda gateway: gateway.query_refund(event.told_as or str(event.payment), event.provider_ref, number),
    )


async def refund(heard: Recorded, bus: Bus) -> list[Command]:
    """Asks first: an earlier try may have been heard without an answer."""
    event = heard.event
    assert isinstance(event, RefundRequested | RefundRetried)
    if await _refund_due(heard, bus, "requested") is None:
        return []
    number = str(refund_number(event.payment, event.refund, event.attempt))
    money = event.amount, event.currency, event.captured
    what = event.told_as or str(event.payment), event.provider_ref, number, *money, event.reason
    try:
        facts = await _ask(bus, event)
        if facts.kind == "unknown":
            facts = await Hub.of(bus).call(event.gateway, lambda gateway: gateway.refund(*what))
    except GatewayUnavailable as problem:
        raise Retry(str(problem)) from problem
    except GatewayRefused as no:
        return [FailRefund(payment=event.payment, refund=event.refund, reason=str(no))]
    return _fate(event, facts)


def stall_refund(heard: Recorded, reason: str) -> list[Command]:
    event = heard.event
    assert isinstance(event, RefundRequested | RefundRetried)
    return [StallRefund(payment=event.payment, refund=event.refund, attempt=event.attempt, reason=reason[:500])]


async def follow_refund(heard: Recorded, bus: Bus) -> list[Command]:
    """A provider may take days; its notice may be lost. Asked more and more rarely."""
    event = heard.event
    assert isinstance(event, RefundRequested | RefundRetried)
    if await _refund_due(heard, bus, "requested", "stalled") is None:
        return []
    if _is_fresh(bus, heard.at):
        raise Retry("just asked for", after=SOON)
    try:
        found = _fate(event, await _ask(bus, event))
    except (GatewayUnavailable, GatewayRefused) as problem:
        raise Retry(str(problem)) from problem
    if not found:
        raise Retry("the provider has not decided")
    return found


def open_case(heard: Recorded, ask: Reader) -> list[Command]:
    event = heard.event
    assert isinstance(event, PaymentParked)
    return [
        OpenParked(
            parked=case_of(event.payment, event.provider_ref),
            payment=event.payment,
            gateway=event.gateway,
            provider_ref=event.provider_ref,
            told_as=event.told_as,
            amount=event.amount,
            currency=event.currency,
            reason=event.reason,
        )
    ]


async def return_parked(heard: Recorded, bus: Bus) -> list[Command]:
    """Asks first: an earlier try may have been heard without an answer."""
    event = heard.event
    assert isinstance(event, ParkedReturnRequested)
    case = await bus.db.state(parked_case, event.parked)
    if case is None or case.state != "returning" or case.attempt != event.attempt:
        return []
    of = {"parked": event.parked, "attempt": event.attempt}
    number = return_number(event.parked, event.attempt)
    trade = event.told_as, event.provider_ref
    what = (*trade, number, event.amount, event.currency, event.amount, "not ours to keep")
    hub = Hub.of(bus)
    try:
        facts = await hub.call(event.gateway, lambda gateway: gateway.query_refund(*trade, number))
        if facts.kind == "unknown":
            facts = await hub.call(event.gateway, lambda gateway: gateway.refund(*what))
    except GatewayUnavailable as problem:
        raise Retry(str(problem)) from problem
    except GatewayRefused as no:
        return [NoteReturnFailed(**of, reason=str(no))]
    if facts.kind == "refunded":
        return [NoteReturned(**of)]
    if facts.kind == "refund_failed":
        return [NoteReturnFailed(**of, reason=facts.reason or "refused by the provider")]
    raise Retry("the provider has not decided")


def stall_return(heard: Recorded, reason: str) -> list[Command]:
    event = heard.event
    assert isinstance(event, ParkedReturnRequested)
    return [NoteReturnStalled(parked=event.parked, attempt=event.attempt, reason=reason[:500])]


async def alarm(heard: Recorded, bus: Bus) -> None:
    event = heard.event
    if isinstance(event, RefundStalled):
        stalled_counter.inc()
        log.error("a refund could not be asked for: a person must look at it", payment=str(event.payment))
        return
    if isinstance(event, ParkedReturnStalled):
        stalled_counter.inc()
        log.error("parked money could not be returned: a person must look at it", parked=str(event.parked))
        return
    assert isinstance(event, PaymentParked)
    parked_counter.labels(event.gateway, event.reason).inc()
    log.error(
        "genuine money that fits nothing was parked: a person must decide",
        payment=str(event.payment),
        gateway=event.gateway,
        reason=event.reason,
    )


reactions = (
    Reaction("payment.open", on={PaymentStarted: open_attempt}, patience=patience),
    Reaction("payment.confirm", on={ConfirmRequested: confirm}, patience=patience),
    Reaction("payment.check", on={PaymentChecked: check}, patience=patience),
    Reaction(
        "payment.refund",
        on={RefundRequested: refund, RefundRetried: refund},
        failed=stall_refund,
        patience=refund_patience,
    ),
    Reaction(
        "payment.return_parked",
        on={ParkedReturnRequested: return_parked},
        failed=stall_return,
        patience=refund_patience,
    ),
    Reaction(
        "payment.refund_fate",
        on={RefundRequested: follow_refund, RefundRetried: follow_refund},
        patience=Patience(timedelta(seconds=10), timedelta(hours=1), timedelta(days=60), 60),
    ),
    Reaction("payment.alarm", on=dict.fromkeys((PaymentParked, RefundStalled, ParkedReturnStalled), alarm)),
)
policies = (Policy("payment.parked", on={PaymentParked: open_case}),)

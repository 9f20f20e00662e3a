"""Paying an order: choose a provider, open the attempt there, confirm it, and book what the provider says."""

from collections.abc import Mapping
from datetime import timedelta
from hashlib import blake2b
from uuid import UUID

import structlog
from msgspec import structs

from pasar.contexts.ordering import facade as ordering
from pasar.contexts.ordering.contract import BeginPayment, MarkPaid, OrderPlaced
from pasar.kernel.access import Principal
from pasar.kernel.bus import Bus
from pasar.kernel.store import Reader
from pasar.kernel.web_refusals import NotFound
from pasar.refusals import (
    AlreadyPaid,
    OrderNotFound,
    PaymentChannelUnavailable,
    PaymentInProgress,
    PaymentNotFound,
    PaymentStateForbids,
)

from . import views
from .attempt import OPEN, Attempt
from .bodies import Confirmation, NewPayment, NewRefund
from .contract import (
    CompleteRefund,
    Fail,
    GatewayOffer,
    NotePaymentOpened,
    Opening,
    Payment,
    PaymentStarted,
    RequestConfirm,
    RequestRefund,
    RetryRefund,
    StartPayment,
)
from .contract_staff import SetTraffic, Traffic
from .gateway import GatewayRefused, GatewayUnavailable, PaymentIntent
from .gateways.config import PaymentSettings
from .gateways.hub import Hub
from .gateways.hub import close as close  # For the end of a process.
from .inbox import apply_facts, end
from .inbox import notice as notice
from .payment import payment as payment_decider
from .traffic import Wished
from .traffic import traffic as traffic_decider
from .transfers import OFFLINE, ReceivedTransfer, ReceivePayment, ReturnedTransfer, transfer_id

FIRST = "payment/0"
ATTEMPTS = 20
"""So many attempts of one request: after each that has ended, a repeat with the same key opens the next."""
log = structlog.get_logger(__name__)


async def start(bus: Bus, who: Principal, order_no: str, body: NewPayment) -> Payment | None:
    """Open an attempt to pay the whole order. None: the request was answered before, and `bus.reply` is the answer."""
    payment = _of_key(bus, FIRST) if bus.context.key is not None else bus.ids.uuid()
    begun = bus.db.states(payment_decider, [payment])  # Asked for with the order, by one statement.
    hub = Hub.of(bus)
    wished = bus.db.states(traffic_decider, [name for name, _ in hub.adapters.items()])
    order = await _own_order(bus.db, who, order_no)
    is_new = not await begun
    assert order.placed is not None
    currency = order.placed.currency
    names = hub.candidates(order_no, currency, _shares(await wished))
    if body.gateway is not None:
        names = [name for name in _all_usable(hub, currency) if name == body.gateway]
    # What is one change is answered from the record by its commit; what has effects before must not be begun again.
    in_one = is_new and not body.replace and all(not hub[name].calls_to_start for name in names[:1])
    if not in_one and await bus.recall() is not None:
        return None
    if not names:
        raise PaymentChannelUnavailable(f"no payment channel takes {currency} now")
    plain, reason = bus.without_key(), ""
    if body.replace and order.state == "PAYMENT_PROCESSING" and order.payment is not None:
        await _end_attempt(plain, hub, order.payment)
    for last, name in ((name == names[-1], name) for name in names):
        wish = await _wish(bus, order.placed, hub, name, body.return_url, payment if is_new else None)
        begin = BeginPayment(order_no=order_no, payment=wish.payment, until=wish.expires_at)
        if not hub[name].calls_to_start:
            try:
                opening = await open_at_gateway(bus, wish)
            except (GatewayUnavailable, GatewayRefused) as no:
                reason = str(no)
                continue
            return await bus.send_together(structs.replace(wish, opening=opening), begin)
        is_new = False
        await plain.send_together(wish, begin)
        try:
            opened = await open_at_gateway(bus, wish)
        except GatewayUnavailable:
            if last:  # The worker goes on with it.
                return await bus.send(wish)
            reason = f"{name} is unavailable"
        except GatewayRefused as no:
            reason = str(no)
        else:
            return await bus.send(NotePaymentOpened(payment=wish.payment, opening=opened))
        await end(plain, wish.payment, order_no, Fail(payment=wish.payment, reason=reason))
    raise PaymentChannelUnavailable(f"no payment channel takes this payment: {reason}")


def _all_usable(hub: Hub, currency: str) -> list[str]:
    """Those with no share of the traffic, too: whoever names one gets it."""
    return [
        name
        for name, gateway in hub.adapters.items()
        if currency in gateway.currencies and hub.adapters.is_healthy(name)
    ]


async def _own_order(db: Reader, who: Principal, order_no: str) -> ordering.Order:
    order = await ordering.order(db, order_no)
    if order.placed is None or str(order.placed.buyer) != who.id:
        raise OrderNotFound(f"there is no order {order_no}")
    return order


async def _wish(
    bus: Bus, placed: OrderPlaced, hub: Hub, name: str, return_url: str, payment: UUID | None
) -> StartPayment:
    """A request with a key has payments of its own, so that a repeat after a crash goes on with the same one."""
    minutes = bus.settings.section(PaymentSettings).attempt_min
    now = bus.now()
    expires_at = min(now + timedelta(minutes=minutes), max(placed.keep_until or placed.pay_until, now))
    return StartPayment(
        payment=payment or await _next_payment(bus),
        order_no=placed.order_no,
        buyer=placed.buyer,
        gateway=name,
        amount=placed.total,
        currency=placed.currency,
        title=_title(placed),
        return_url=return_url,
        receiver=hub[name].receiver,
        expires_at=expires_at,
        check_at=now + (expires_at - now) / 2,
    )


def _title(placed: OrderPlaced) -> str:
    return placed.lines[0].title + (f" +{more}" if (more := len(placed.lines) - 1) else "")


async def _next_payment(bus: Bus) -> UUID:
    if bus.context.key is None:
        return bus.ids.uuid()
    for number in range(ATTEMPTS):
        payment = _of_key(bus, f"payment/{number}")
        attempt = await bus.db.state(payment_decider, payment)
        if attempt is None or attempt.state in OPEN:
            return payment
    raise PaymentChannelUnavailable("this request has tried often enough; send another with a new key")


def _of_key(bus: Bus, what: str) -> UUID:
    """An id that belongs to the request's key."""
    context = bus.context
    parts = (str(context.tenant), context.principal, context.route, context.key or "", what)
    digest = blake2b("\x00".join(parts).encode(), digest_size=16).digest()
    return UUID(bytes=digest)


async def open_at_gateway(bus: Bus, wish: StartPayment | PaymentStarted) -> Opening:
    """Ask the provider for what the buyer's browser needs. A repeat is the same attempt there."""
    hub = Hub.of(bus)
    intent = PaymentIntent(
        payment_id=str(wish.payment),
        order_no=wish.order_no,
        amount=wish.amount,
        currency=wish.currency,
        title=wish.title,
        return_url=wish.return_url or hub.home,
        notify_url=hub.notify_url(wish.gateway),
        expires_at=wish.expires_at,
        attempt_key=str(wish.payment),
    )
    started = await hub.call(wish.gateway, lambda gateway: gateway.start(intent), _patience(bus))
    return Opening(provider_ref=started.provider_ref, pay_url=started.pay_url, fields=started.fields)


def _patience(bus: Bus) -> timedelta:
    return timedelta(seconds=bus.settings.section(PaymentSettings).inline_timeout_s)


async def _end_attempt(bus: Bus, hub: Hub, payment: UUID) -> None:
    """For another one: closed at the provider first, so that nobody pays twice."""
    attempt = await bus.db.state(payment_decider, payment)
    if attempt is None or attempt.started is None or attempt.state not in OPEN:
        return
    started = attempt.started
    try:
        facts = await hub.call(
            started.gateway, lambda gateway: gateway.close(str(payment), attempt.provider_ref), _patience(bus)
        )
    except (GatewayUnavailable, GatewayRefused) as problem:
        raise PaymentInProgress(f"payment {payment} is open, and cannot be ended now: {problem}") from problem
    await apply_facts(bus, started.gateway, facts)
    if facts.kind == "captured":
        raise AlreadyPaid(f"order {started.order_no} is paid")
    if facts.kind == "pending" and attempt.state == "confirming":
        raise PaymentInProgress(f"payment {payment} is being confirmed")
    await end(bus, payment, started.order_no, Fail(payment=payment, reason="replaced by another attempt"))


async def attempt_of(db: Reader, who: Principal, payment: UUID) -> Attempt:
    """A payment of the caller; staff see all."""
    attempt = await db.state(payment_decider, payment)
    if attempt is None or attempt.started is None:
        raise PaymentNotFound(f"there is no payment {payment}")
    if str(attempt.started.buyer) != who.id and not who.has("admin", "finance"):
        raise PaymentNotFound(f"there is no payment {payment}")
    return attempt


async def show(db: Reader, who: Principal, payment: UUID) -> Payment:
    attempt = await attempt_of(db, who, payment)
    assert payment_decider.answer is not None
    answer = payment_decider.answer(attempt)
    assert isinstance(answer, Payment)
    return answer


async def confirm(bus: Bus, who: Principal, payment: UUID, body: Confirmation) -> Payment:
    """The buyer is back. What the browser says is compared with what we know before the provider is told to go on."""
    attempt = await attempt_of(bus.db, who, payment)
    started = attempt.started
    assert started is not None
    if body.order_id != str(payment) or body.amount != started.amount:
        log.warning("confirmation does not fit", payment=str(payment))
        raise PaymentStateForbids(f"payment {payment} is another or of another amount")
    plain, paid = bus.without_key(), None
    await plain.send(RequestConfirm(payment=payment, provider_ref=body.payment_key))
    try:
        paid = await confirm_at_gateway(plain, attempt, body.payment_key, _patience(bus))
    except GatewayUnavailable as problem:  # The worker asks again.
        log.warning("confirmation is open", payment=str(payment), reason=str(problem))
    return paid or await show(bus.db, who, payment)


async def confirm_at_gateway(bus: Bus, attempt: Attempt, ref: str, within: timedelta | None = None) -> Payment | None:
    """Have the money taken. A repeat tells what was taken, as the key is the same. The payment, if it was."""
    started = attempt.started
    assert started is not None
    key = str(UUID(bytes=blake2b(f"{started.payment}/{ref}".encode(), digest_size=16).digest()))
    try:
        facts = await Hub.of(bus).call(
            started.gateway,
            lambda gateway: gateway.confirm(str(started.payment), ref, started.amount, started.currency, key),
            within,
        )
    except GatewayRefused as no:
        await end(bus, started.payment, started.order_no, Fail(payment=started.payment, reason=str(no)))
        return None
    return await apply_facts(bus, started.gateway, facts, attempt)


async def refund(bus: Bus, payment: UUID, body: NewRefund) -> Payment:
    """Staff give money back: a part, or all that is left."""
    attempt = await bus.db.state(payment_decider, payment)
    if attempt is None or attempt.started is None:
        raise PaymentNotFound(f"there is no payment {payment}")
    left = attempt.started.amount - attempt.promised_back
    wish = _of_key(bus, "refund") if bus.context.key is not None else bus.ids.uuid()
    known = attempt.refunds.get(str(wish))
    amount = known.amount if known else body.amount if body.amount is not None else left
    return await bus.send(RequestRefund(payment=payment, refund=wish, amount=amount, reason=body.reason))


async def received(bus: Bus, order_no: str, body: ReceivedTransfer) -> Payment:
    """Staff found the whole of an order's money on the bank account: payment and order change together."""
    placed = (await ordering.order(bus.db, order_no)).placed
    assert placed is not None
    payment = transfer_id(bus.context.tenant, order_no, body.reference)
    told = {"order_no": order_no, "amount": body.amount, "currency": body.currency, "payment": payment}
    more = {"buyer": placed.buyer, "title": _title(placed), "received_at": body.received_at or bus.now()}
    return await bus.send_together(
        ReceivePayment(**told, **more, provider_ref=body.reference), MarkPaid(**told, gateway=OFFLINE)
    )


async def transferred_back(bus: Bus, payment: UUID, refund: UUID, body: ReturnedTransfer) -> Payment:
    attempt = await bus.db.state(payment_decider, payment)
    if attempt is not None and attempt.started is not None and attempt.started.gateway != OFFLINE:
        raise PaymentStateForbids(f"{attempt.started.gateway} gives back payment {payment}")
    return await bus.send(CompleteRefund(payment=payment, refund=refund, provider_refund=body.reference))


async def retry_refund(bus: Bus, payment: UUID, refund: UUID) -> Payment:
    return await bus.send(RetryRefund(payment=payment, refund=refund))


async def offers(bus: Bus) -> list[GatewayOffer]:
    """The providers of this deployment, asked just now if they had not been heard of."""
    hub, shares = Hub.of(bus), {one.gateway: one.share for one in await traffic(bus)}
    return [
        GatewayOffer(
            gateway=one.name, currencies=tuple(sorted(hub[one.name].currencies)), healthy=one.healthy,
            share=shares[one.name],
        )
        for one in await hub.health()
    ]  # fmt: skip


def _shares(wished: Mapping[str, Wished]) -> dict[str, int]:
    """What staff have said, by provider."""
    return {name: state.share for name, state in wished.items() if state.share is not None}


async def traffic(bus: Bus) -> list[Traffic]:
    """What each provider gets of the payments that choose none."""
    configured = {one.name: one.share for one in Hub.of(bus).adapters.health()}
    wished = await bus.db.states(traffic_decider, configured)
    return [
        Traffic(gateway=name, configured=share, set=said.share, reason=said.reason)
        for name, share in configured.items()
        for said in (wished.get(name, Wished()),)
    ]


async def set_traffic(bus: Bus, gateway: str, share: int | None, reason: str) -> list[Traffic]:
    """Give a provider another share, in all processes from now on."""
    if gateway not in Hub.of(bus):
        raise NotFound(f"there is no provider {gateway} here")
    await bus.send(SetTraffic(gateway=gateway, share=share, reason=reason))
    return await traffic(bus)


find, find_parked = views.find, views.find_parked

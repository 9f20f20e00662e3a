"""Payments over HTTP: for buyers, for providers, for staff."""

from uuid import UUID

from pasar.kernel.access import Principal, anyone, signed_in, staff
from pasar.kernel.bus import Bus
from pasar.kernel.store import Reader
from pasar.kernel.web import Page, Raw, Request, route
from pasar.kernel.web_refusals import NotFound
from pasar.refusals import (
    AlreadyPaid,
    NoticeRefused,
    OrderNotFound,
    OrderStateForbids,
    ParkedNotFound,
    PaymentChannelUnavailable,
    PaymentInProgress,
    PaymentNotFound,
    PaymentStateForbids,
    RefundAboveCaptured,
    SecondPersonNeeded,
)
from pasar.vocabulary import OrderNo, PaymentId

from . import facade, facade_parked
from .bodies import Confirmation, NewPayment, NewRefund, NewTraffic
from .contract import (
    GatewayOffer,
    Payment,
)
from .contract_staff import (
    Attachment,
    FindParked,
    FindPayments,
    ParkedEntry,
    ParkedMoney,
    PaymentEntry,
    Traffic,
)
from .transfers import ReceivedTransfer, ReturnedTransfer

_money = staff("admin", "finance")
NOTICE_BYTES = 65_536


@route(
    *("POST", "/api/v1/orders/{order_no}/payments"),
    policy=signed_in,
    refuses=[OrderNotFound, OrderStateForbids, AlreadyPaid, PaymentInProgress, PaymentChannelUnavailable],
    status=201,
    key="required",
    lane="checkout",
    example={"return_url": "https://shop.example/paid"},
)
async def start(order_no: OrderNo, body: NewPayment, bus: Bus, who: Principal) -> Payment | None:
    """Pay an order.

    Without `gateway` the shop chooses a provider that is well. `pay_url` is a page to open, `fields` are what the
    provider's script or a QR code needs. Where both are empty, the provider is slow: look again at the payment.
    """
    return await facade.start(bus, who, order_no, body)


@route(
    *("POST", "/api/v1/orders/{order_no}/payments/offline"),
    policy=_money,
    refuses=[OrderNotFound, OrderStateForbids, AlreadyPaid, PaymentStateForbids],
    status=201,
    key="required",
    example={"reference": "2026-11-21/0042", "amount": 98, "currency": "CNY"},
)
async def received(order_no: OrderNo, body: ReceivedTransfer, bus: Bus) -> Payment:
    """Record that an order was paid by bank transfer.

    `reference` names the line of the bank's statement, which pays one order only. An amount that is not the order's
    total is refused, and so is money for an order that is cancelled or paid: it goes back to whom it came from.
    """
    return await facade.received(bus, order_no, body)


@route(
    *("POST", "/api/v1/payments/{payment}/refunds/{refund}/transferred"),
    policy=_money,
    refuses=[PaymentNotFound, PaymentStateForbids],
    key="required",
    example={"reference": "2026-11-24/0007"},
)
async def transferred_back(payment: PaymentId, refund: UUID, body: ReturnedTransfer, bus: Bus) -> Payment:
    """Record that a refund of a bank transfer went back to the buyer."""
    return await facade.transferred_back(bus, payment, refund, body)


@route("GET", "/api/v1/payments/gateways", policy=anyone)
async def gateways(bus: Bus) -> list[GatewayOffer]:
    """The payment providers and whether they are well."""
    return await facade.offers(bus)


@route("GET", "/api/v1/payments/gateways/traffic", policy=staff("admin"))
async def traffic(bus: Bus) -> list[Traffic]:
    """What each provider gets of the payments that choose none."""
    return await facade.traffic(bus)


@route(
    *("PUT", "/api/v1/payments/gateways/{gateway}/traffic"),
    policy=staff("admin"),
    refuses=[NotFound],
    example={"share": 20, "reason": "it is slow today"},
)
async def set_traffic(gateway: str, body: NewTraffic, bus: Bus) -> list[Traffic]:
    """Give a provider another share of the payments that choose none, in all processes from now on."""
    return await facade.set_traffic(bus, gateway, body.share, body.reason)


@route("GET", "/api/v1/payments/parked", policy=_money)
async def parked(query: FindParked, db: Reader) -> Page[ParkedEntry]:
    """Genuine money that fits no payment: a person must decide."""
    return await facade.find_parked(db, query)


@route("GET", "/api/v1/payments/parked/{parked}", policy=_money, refuses=[ParkedNotFound])
async def show_parked(parked: UUID, db: Reader) -> ParkedMoney:
    """What became of it."""
    return await facade_parked.show(db, parked)


@route(
    *("POST", "/api/v1/payments/parked/{parked}/return"),
    policy=_money,
    refuses=[ParkedNotFound, PaymentStateForbids],
    key="required",
)
async def return_parked(parked: UUID, bus: Bus, who: Principal) -> ParkedMoney:
    """Give parked money back to who paid it.

    The provider is asked for up to 72 hours. `stalled` means that it did not answer: send this again to go on.
    """
    return await facade_parked.give_back(bus, who, parked)


@route(
    *("POST", "/api/v1/payments/parked/{parked}/attach"),
    policy=_money,
    refuses=[ParkedNotFound, PaymentStateForbids, OrderNotFound],
    key="required",
    example={"order_no": "202603010001"},
)
async def propose_attach(parked: UUID, body: Attachment, bus: Bus, who: Principal) -> ParkedMoney:
    """Propose that parked money pays an order. A second person has to agree."""
    return await facade_parked.propose(bus, who, parked, body.order_no)


@route(
    *("POST", "/api/v1/payments/parked/{parked}/attach/approve"),
    policy=_money,
    refuses=[ParkedNotFound, PaymentStateForbids, OrderNotFound, OrderStateForbids, AlreadyPaid, SecondPersonNeeded],
    key="required",
    example={"order_no": "202603010001"},
)
async def attach(parked: UUID, body: Attachment, bus: Bus, who: Principal) -> ParkedMoney:
    """Agree to what another person proposed: the order is paid. It must still wait for exactly this amount."""
    return await facade_parked.attach(bus, who, parked, body.order_no)


@route("GET", "/api/v1/payments/{payment}", policy=signed_in, refuses=[PaymentNotFound])
async def show(payment: PaymentId, db: Reader, who: Principal) -> Payment:
    """A payment of your own; staff see all."""
    return await facade.show(db, who, payment)


@route(
    *("POST", "/api/v1/payments/{payment}/confirm"),
    policy=signed_in,
    refuses=[PaymentNotFound, PaymentStateForbids, PaymentInProgress, OrderNotFound],
    key="none",
    lane="checkout",
    example={"payment_key": "tgen_20260301", "order_id": "018f4e6a-7c1b-7cc0-8000-3f1f9d2e4b5a", "amount": 98000},
)
async def confirm(payment: PaymentId, body: Confirmation, bus: Bus, who: Principal) -> Payment:
    """The provider's page sent the buyer back: take the money now.

    Send what the provider put into the address. A repeat changes nothing. `confirming` means that the provider has not
    answered yet: look again at the payment.
    """
    return await facade.confirm(bus, who, payment, body)


@route(
    *("POST", "/api/v1/payments/callback"),
    policy=anyone,
    refuses=[NoticeRefused],
    raw=True,
    key="none",
    lane="checkout",
    body_limit=NOTICE_BYTES,
)
async def callback(request: Request, bus: Bus) -> Raw:
    """A provider's notice; whose it is shows in it. Booked before it is acknowledged; a repeat changes nothing."""
    return await _notice(request, bus, None)


@route(
    *("POST", "/api/v1/payments/callback/{gateway}"),
    policy=anyone,
    refuses=[NoticeRefused],
    raw=True,
    key="none",
    lane="checkout",
    body_limit=NOTICE_BYTES,
)
async def callback_of(gateway: str, request: Request, bus: Bus) -> Raw:
    """A notice of one provider; this is the address to configure there."""
    return await _notice(request, bus, gateway)


async def _notice(request: Request, bus: Bus, gateway: str | None) -> Raw:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.items()}
    answer = await facade.notice(bus, gateway, headers, request.body)
    return Raw(answer.body, status=answer.status, content_type=answer.content_type)


@route("GET", "/api/v1/payments", policy=_money)
async def find(query: FindPayments, db: Reader) -> Page[PaymentEntry]:
    """All payments, newest first."""
    return await facade.find(db, query)


@route(
    *("POST", "/api/v1/payments/{payment}/refunds"),
    policy=_money,
    refuses=[PaymentNotFound, PaymentStateForbids, RefundAboveCaptured],
    key="required",
    example={"amount": 10, "reason": "one apple was bruised"},
)
async def refund(payment: PaymentId, body: NewRefund, bus: Bus) -> Payment:
    """Give a part of a payment back, or all that is left of it."""
    return await facade.refund(bus, payment, body)


@route(
    *("POST", "/api/v1/payments/{payment}/refunds/{refund}/retry"),
    policy=_money,
    refuses=[PaymentNotFound],
    key="required",
)
async def retry_refund(payment: PaymentId, refund: UUID, bus: Bus) -> Payment:
    """Try a refund again that the provider has refused, or could not be asked for."""
    return await facade.retry_refund(bus, payment, refund)

"""Money that people book. By bank transfer: no provider is asked; finance staff record what the bank's statement shows.

A transfer that came in is opened and captured in one decision, and the order is paid in the same change. Money that
goes back is transferred by staff as well: the refund waits until they record it.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from pasar.kernel.messages import Body, Command
from pasar.kernel.money import Currency
from pasar.refusals import PaymentStateForbids
from pasar.vocabulary import AccountId, Amount, OrderNo, PaymentId

from .attempt import CAPTURED, Attempt
from .contract import (
    PaymentCaptured,
    PaymentStarted,
)
from .contract_staff import CaptureParked

OFFLINE = "offline"
"""The gateway that nobody calls: the shop's own bank account."""
Reference = Annotated[
    str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", examples=["2026-11-21/0042"])
]
"""A line of the bank's statement. It is booked once, whatever it is said to be for."""


class ReceivedTransfer(Body):
    """What the bank's statement shows. Without `received_at`: now."""

    reference: Reference
    amount: Amount
    currency: Currency
    received_at: datetime | None = None
    idempotency_key: str | None = None


class ReturnedTransfer(Body):
    """The statement's line of the money that went back."""

    reference: Reference
    idempotency_key: str | None = None


class ReceivePayment(Command):
    """The buyer has transferred the whole of an order. A repeat changes nothing."""

    opens = True
    payment: PaymentId
    order_no: OrderNo
    buyer: AccountId
    provider_ref: Reference
    amount: Decimal
    currency: Currency
    title: str
    received_at: datetime


def transfer_id(tenant: int, order_no: str, reference: str) -> UUID:
    """The same payment for the same line of the statement and order, however often it is recorded."""
    digest = blake2b(f"{tenant}/{OFFLINE}/{order_no}/{reference}".encode(), digest_size=16).digest()
    return UUID(bytes=digest)


def receive(command: ReceivePayment, attempt: Attempt) -> Sequence[PaymentStarted | PaymentCaptured]:
    started = attempt.started
    if started is not None and attempt.state in CAPTURED and attempt.provider_ref == command.provider_ref:
        return []
    if started is not None:
        raise PaymentStateForbids(f"{command.payment} is another payment")
    who = {"payment": command.payment, "order_no": command.order_no, "buyer": command.buyer, "gateway": OFFLINE}
    money = {"amount": command.amount, "currency": command.currency}
    opened = PaymentStarted(
        **who, **money, title=command.title, return_url="", receiver=None, expires_at=command.received_at, check_at=None
    )
    return [
        opened,
        PaymentCaptured(**who, **money, provider_ref=command.provider_ref, occurred_at=command.received_at),
    ]


def capture_parked(command: CaptureParked, attempt: Attempt) -> Sequence[PaymentStarted | PaymentCaptured]:
    """Money that was parked here pays an order; a payment that was somebody's stays theirs."""
    started = attempt.started
    if attempt.state in CAPTURED:
        if started is not None and attempt.provider_ref == command.provider_ref:
            return []
        raise PaymentStateForbids(f"payment {command.payment} has its money; what came twice can only be returned")
    if command.provider_ref not in attempt.parked:
        raise PaymentStateForbids(f"{command.provider_ref} is not parked at payment {command.payment}")
    who = {"payment": command.payment, "order_no": command.order_no, "buyer": command.buyer}
    money = {"gateway": command.gateway, "amount": command.amount, "currency": command.currency}
    captured = PaymentCaptured(**who, **money, provider_ref=command.provider_ref, occurred_at=command.at)
    if started is None:
        more = {"title": command.title, "return_url": "", "receiver": None, "expires_at": command.at, "check_at": None}
        return [PaymentStarted(**who, **money, **more), captured]
    asked = {"order_no": started.order_no, "gateway": started.gateway, "amount": started.amount}
    if asked | {"currency": started.currency} != {"order_no": command.order_no, **money}:
        raise PaymentStateForbids(
            f"payment {command.payment} is of {started.amount} {started.currency} for order {started.order_no}"
        )
    return [captured]

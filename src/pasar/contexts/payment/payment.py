"""A payment: one attempt at one gateway, from started to captured and, part by part, given back.

started → (confirming) → captured → refunded
aside: failed, expired (a capture that comes later is still genuine money), late, parked
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

import msgspec

from pasar.kernel.decider import Clear, Decider, Set, Take, Unique
from pasar.refusals import PaymentInProgress, PaymentNotFound, PaymentStateForbids

from .attempt import CAPTURED, OPEN, Attempt, GivenBack, given_back, with_refund
from .booking import book
from .contract import (
    Capture,
    CaptureLate,
    CheckPayment,
    CompleteRefund,
    ConfirmRequested,
    Expire,
    Fail,
    FailRefund,
    NotePaymentOpened,
    Opening,
    Park,
    ParkReason,
    Payment,
    PaymentCaptured,
    PaymentCapturedLate,
    PaymentChecked,
    PaymentExpired,
    PaymentFailed,
    PaymentOpened,
    PaymentParked,
    PaymentStarted,
    Refund,
    RefundCompleted,
    RefundFailed,
    RefundRequested,
    RefundRetried,
    RefundStalled,
    RequestConfirm,
    RequestRefund,
    RetryRefund,
    StallRefund,
    StartPayment,
)
from .contract_staff import CaptureParked
from .refunds import decide_fate, decide_refund, request_refund
from .transfers import ReceivePayment, capture_parked, receive

PaymentCommand = (
    StartPayment
    | CheckPayment
    | NotePaymentOpened
    | RequestConfirm
    | Capture
    | CaptureLate
    | CaptureParked
    | Fail
    | Expire
    | Park
    | RequestRefund
    | CompleteRefund
    | FailRefund
    | RetryRefund
    | StallRefund
    | ReceivePayment
)
PaymentEvent = (
    PaymentStarted
    | PaymentChecked
    | PaymentOpened
    | ConfirmRequested
    | PaymentCaptured
    | PaymentCapturedLate
    | PaymentFailed
    | PaymentExpired
    | PaymentParked
    | RefundRequested
    | RefundRetried
    | RefundCompleted
    | RefundFailed
    | RefundStalled
)
MINUTE = timedelta(minutes=1)
provider_payments = Unique("provider_payment", PaymentStateForbids)


def misfit(started: PaymentStarted, capture: Capture | CaptureLate) -> ParkReason | None:
    """What does not fit what was asked for, if anything."""
    if capture.currency != started.currency:
        return "wrong_currency"
    if capture.amount != started.amount:
        return "wrong_amount"
    if capture.gateway != started.gateway:
        return "wrong_receiver"
    both_known = capture.receiver is not None and started.receiver is not None
    return "wrong_receiver" if both_known and capture.receiver != started.receiver else None


def decide(command: PaymentCommand, attempt: Attempt) -> Sequence[PaymentEvent]:
    if isinstance(command, StartPayment):
        return _start(command, attempt)
    if isinstance(command, ReceivePayment):
        return receive(command, attempt)
    if isinstance(command, CaptureParked):
        return capture_parked(command, attempt)
    if isinstance(command, Park):
        return _park(command, command.reason, attempt)
    started = attempt.started
    if started is None:
        raise PaymentNotFound(f"there is no payment {command.payment}")
    match command:
        case CheckPayment():
            return _check(command, attempt, started)
        case NotePaymentOpened():
            if attempt.state not in OPEN or attempt.pay_url is not None or attempt.fields:
                return []
            return [_opened(command.payment, command.opening)]
        case RequestConfirm():
            return _confirm(command, attempt, started)
        case Capture() | CaptureLate():
            return _capture(command, attempt, started)
        case Fail() | Expire():
            return _end(command, attempt, started)
        case RequestRefund():
            return decide_refund(command, attempt, started)
        case CompleteRefund() | FailRefund() | RetryRefund() | StallRefund():
            return decide_fate(command, attempt, started)
        case _:
            assert_never(command)


def _start(command: StartPayment, attempt: Attempt) -> list[PaymentEvent]:
    started = attempt.started
    if started is None and attempt.state == "new":
        same = {name: getattr(command, name) for name in PaymentStarted.__struct_fields__ if name != "is_open"}
        if command.opening is None:
            return [PaymentStarted(**same)]
        return [PaymentStarted(**same, is_open=True), _opened(command.payment, command.opening)]
    if started is not None and (started.order_no, started.buyer) == (command.order_no, command.buyer):
        return []
    raise PaymentStateForbids(f"{command.payment} is another payment")


def _opened(payment: UUID, opening: Opening) -> PaymentOpened:
    return PaymentOpened(
        payment=payment, provider_ref=opening.provider_ref, pay_url=opening.pay_url, fields=opening.fields
    )


def _end(command: Fail | Expire, attempt: Attempt, started: PaymentStarted) -> list[PaymentEvent]:
    if attempt.state not in OPEN:
        return []
    who = {"payment": started.payment, "order_no": started.order_no, "buyer": started.buyer}
    return [PaymentFailed(**who, reason=command.reason) if isinstance(command, Fail) else PaymentExpired(**who)]


def _check(command: CheckPayment, attempt: Attempt, started: PaymentStarted) -> list[PaymentEvent]:
    """The pause doubles from check to check; the attempt's end is always one of them."""
    if attempt.state not in OPEN:
        return []
    is_last = command.due >= started.expires_at
    pause = (started.expires_at - (started.check_at or started.expires_at)) / 4
    next_at = command.due + max(pause, MINUTE) * 2 ** min(command.number, 8)
    return [
        PaymentChecked(
            payment=started.payment,
            order_no=started.order_no,
            gateway=started.gateway,
            provider_ref=attempt.provider_ref,
            number=command.number,
            next_at=next_at if is_last else min(next_at, started.expires_at),
            is_last=is_last,
        )
    ]


def _confirm(command: RequestConfirm, attempt: Attempt, started: PaymentStarted) -> list[PaymentEvent]:
    same = attempt.provider_ref == command.provider_ref
    if same and attempt.state in ("confirming", *CAPTURED):
        return []
    if attempt.state == "confirming":
        raise PaymentInProgress("another confirmation of this payment is on its way")
    if attempt.state != "started":
        raise PaymentStateForbids(f"payment {started.payment} is {attempt.state}")
    return [
        ConfirmRequested(
            payment=started.payment,
            order_no=started.order_no,
            gateway=started.gateway,
            provider_ref=command.provider_ref,
            amount=started.amount,
            currency=started.currency,
        )
    ]


def _capture(command: Capture | CaptureLate, attempt: Attempt, started: PaymentStarted) -> list[PaymentEvent]:
    """Money is money: after a failure or the end of the attempt, too."""
    if attempt.state in CAPTURED and attempt.provider_ref == command.provider_ref:
        return []
    if attempt.state in CAPTURED:
        return _park(command, "second_capture", attempt)
    if (reason := misfit(started, command)) is not None:
        return _park(command, reason, attempt)
    kind = PaymentCapturedLate if isinstance(command, CaptureLate) else PaymentCaptured
    captured = kind(
        payment=started.payment,
        order_no=started.order_no,
        buyer=started.buyer,
        gateway=started.gateway,
        provider_ref=command.provider_ref,
        amount=command.amount,
        currency=command.currency,
        occurred_at=command.occurred_at,
    )
    if isinstance(captured, PaymentCaptured):
        return [captured]
    # One refund of all of it, known by the payment's own id, whoever else wishes one.
    return [
        captured,
        request_refund(started, command.provider_ref, started.payment, command.amount, "paid too late", True),
    ]


def _park(command: Park | Capture | CaptureLate, reason: ParkReason, attempt: Attempt) -> list[PaymentEvent]:
    if command.provider_ref in attempt.parked:
        return []
    parked = PaymentParked(
        payment=command.payment,
        gateway=command.gateway,
        provider_ref=command.provider_ref,
        amount=command.amount,
        currency=command.currency,
        reason=reason,
        told_as=command.told_as if isinstance(command, Park) else "",
    )
    return [parked]


def evolve(attempt: Attempt, event: PaymentEvent) -> Attempt:
    change = msgspec.structs.replace
    match event:
        case PaymentStarted():
            return change(attempt, state="started", started=event)
        case PaymentChecked():
            return attempt
        case PaymentOpened(provider_ref=ref, pay_url=pay_url, fields=fields):
            return change(attempt, provider_ref=ref or attempt.provider_ref, pay_url=pay_url, fields=fields)
        case ConfirmRequested(provider_ref=ref):
            return change(attempt, state="confirming", provider_ref=ref)
        case PaymentCaptured(provider_ref=ref):
            return change(attempt, state="captured", provider_ref=ref, failure=None, pay_url=None, fields={})
        case PaymentCapturedLate(provider_ref=ref):
            return change(attempt, state="late", late=True, provider_ref=ref, failure=None, pay_url=None, fields={})
        case PaymentFailed(reason=reason):
            return change(attempt, state="failed", failure=reason)
        case PaymentExpired():
            return change(attempt, state="expired")
        case PaymentParked(provider_ref=ref):
            state = attempt.state if attempt.state in CAPTURED else "parked"
            told_as = attempt.told_as if attempt.started else event.told_as
            return change(attempt, state=state, parked=(*attempt.parked, ref), told_as=told_as)
        case RefundRequested(refund=refund, amount=amount, reason=reason):
            return with_refund(attempt, refund, GivenBack(amount=amount, reason=reason))
        case RefundRetried(refund=refund, attempt=number):
            return with_refund(attempt, refund, change(given_back(attempt, refund), state="requested", attempt=number))
        case RefundCompleted(refund=refund, whole=whole):
            done = with_refund(attempt, refund, change(given_back(attempt, refund), state="completed", failure=None))
            return change(done, state="refunded") if whole else done
        case RefundFailed(refund=refund, reason=reason) | RefundStalled(refund=refund, reason=reason):
            state = "failed" if isinstance(event, RefundFailed) else "stalled"
            return with_refund(attempt, refund, change(given_back(attempt, refund), state=state, failure=reason))
        case _:
            assert_never(event)


def timers(event: PaymentEvent) -> list[Set | Clear]:
    match event:
        case PaymentStarted(payment=payment, expires_at=expires_at, check_at=check_at):
            return [_check_at(payment, 1, check_at or expires_at)]
        case PaymentChecked(payment=payment, number=number, next_at=next_at):
            return [_check_at(payment, number + 1, next_at)]
        case PaymentCaptured() | PaymentCapturedLate() | PaymentFailed() | PaymentExpired():
            return [Clear("check")]
        case _:
            return []


def _check_at(payment: UUID, number: int, at: datetime) -> Set:
    return Set("check", at=at, send=CheckPayment(payment=payment, number=number, due=at))


def claims(event: PaymentEvent) -> list[Take]:
    """One payment of a provider is booked once, whatever it is said to be for."""
    match event:
        case PaymentCaptured() | PaymentCapturedLate() | PaymentParked():
            return [provider_payments.take(f"{event.gateway}/{event.provider_ref}")]
        case _:
            return []


def answer(attempt: Attempt) -> Payment | None:
    started = attempt.started
    if started is None:
        return None
    refunds = tuple(
        Refund(
            refund=UUID(refund),
            amount=given.amount,
            state=given.state,
            reason=given.reason,
            attempt=given.attempt,
            failure=given.failure,
        )
        for refund, given in attempt.refunds.items()
    )
    return Payment(
        payment=started.payment,
        order_no=started.order_no,
        state=attempt.state,
        gateway=started.gateway,
        amount=started.amount,
        currency=started.currency,
        expires_at=started.expires_at,
        pay_url=attempt.pay_url,
        fields=attempt.fields,
        refunded=attempt.given_back,
        failure=attempt.failure,
        provider_ref=attempt.provider_ref,
        refunds=refunds,
    )


def owner(attempt: Attempt) -> str | None:
    return None if attempt.started is None else str(attempt.started.buyer)


payment = Decider(
    *("payment.payment", "payment", Attempt(), decide, evolve),
    book=book,
    timers=timers,
    claims=claims,
    answer=answer,
    owner=owner,
)

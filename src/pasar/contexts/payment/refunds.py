"""Giving back what was captured: asked for, done, refused and tried again; never more than came in."""

from decimal import Decimal
from uuid import UUID

from pasar.refusals import PaymentNotFound, PaymentStateForbids, RefundAboveCaptured

from .attempt import CAPTURED, Attempt
from .contract import (
    CompleteRefund,
    FailRefund,
    PaymentStarted,
    RefundCompleted,
    RefundFailed,
    RefundRequested,
    RefundRetried,
    RefundStalled,
    RequestRefund,
    RetryRefund,
    StallRefund,
)

RefundEvent = RefundRequested | RefundRetried | RefundCompleted | RefundFailed | RefundStalled


def request_refund(
    started: PaymentStarted,
    provider_ref: str,
    refund: UUID,
    amount: Decimal,
    reason: str,
    late: bool,
    told_as: str = "",
) -> RefundRequested:
    return RefundRequested(
        payment=started.payment,
        refund=refund,
        order_no=started.order_no,
        gateway=started.gateway,
        provider_ref=provider_ref,
        amount=amount,
        currency=started.currency,
        captured=started.amount,
        reason=reason,
        late=late,
        attempt=1,
        told_as=told_as,
    )


def decide_refund(command: RequestRefund, attempt: Attempt, started: PaymentStarted) -> list[RefundEvent]:
    known = attempt.refunds.get(str(command.refund))
    if known is not None:
        if known.amount != command.amount:
            raise PaymentStateForbids(f"refund {command.refund} was asked for with {known.amount}")
        return []
    if attempt.state not in CAPTURED or attempt.provider_ref is None:
        raise PaymentStateForbids(f"payment {started.payment} is {attempt.state}; there is nothing to give back")
    if command.amount <= 0:
        raise PaymentStateForbids("a refund is of more than nothing")
    left = started.amount - attempt.promised_back
    if command.amount > left:
        raise RefundAboveCaptured(f"{left} {started.currency} of payment {started.payment} are left to give back")
    what = command.refund, command.amount, command.reason
    return [request_refund(started, attempt.provider_ref, *what, attempt.late, attempt.told_as)]


def decide_fate(
    command: CompleteRefund | FailRefund | RetryRefund | StallRefund, attempt: Attempt, started: PaymentStarted
) -> list[RefundEvent]:
    given = attempt.refunds.get(str(command.refund))
    if given is None:
        raise PaymentNotFound(f"payment {started.payment} has no refund {command.refund}")
    if given.state == "completed":
        return []  # Given is given: what is said afterwards changes nothing.
    what = {"payment": started.payment, "refund": command.refund, "order_no": started.order_no}
    money = {"buyer": started.buyer, "amount": given.amount, "currency": started.currency}
    match command:
        case CompleteRefund():
            whole = attempt.given_back + given.amount == started.amount
            return [RefundCompleted(**what, **money, late=attempt.late, whole=whole)]
        case FailRefund(reason=reason):
            return [] if given.state == "failed" else [RefundFailed(**what, **money, reason=reason)]
        case StallRefund(attempt=number, reason=reason):
            if given.state != "requested" or given.attempt != number:
                return []
            return [RefundStalled(**what, **money, attempt=number, reason=reason)]
        case RetryRefund():
            if given.state == "requested":
                return []  # It is on its way.
            assert attempt.provider_ref is not None
            again = request_refund(
                *(
                    started,
                    attempt.provider_ref,
                    command.refund,
                    given.amount,
                    given.reason,
                    attempt.late,
                    attempt.told_as,
                )
            )
            fields = {name: getattr(again, name) for name in RefundRetried.__struct_fields__}
            # Under a new number after a no; under the old one where an earlier try may have been heard.
            number = given.attempt if given.state == "stalled" else given.attempt + 1
            return [RefundRetried(**{**fields, "attempt": number})]

"""A case: asked for, approved, (goods back,) money on its way, refunded; or rejected, withdrawn, failed, tried again.

REFUND_REQUESTED → REFUND_APPROVED → REFUND_PROCESSING → REFUNDED | REFUND_FAILED → REFUND_PROCESSING (retry)
"""

from datetime import datetime
from typing import assert_never

import msgspec

from pasar.accounts import returnable, returned
from pasar.kernel.decider import Decider, Give, Take, Unique
from pasar.kernel.ledger import Transfer, hold, release, settle
from pasar.kernel.messages import Value
from pasar.refusals import ReturnNotFound, ReturnsMeet, ReturnStateForbids

from .contract import (
    ApproveReturn,
    CaseRefunded,
    CaseRefundFailed,
    CaseState,
    NoteRefunded,
    NoteRefundFailed,
    ReceiveReturn,
    RefundDue,
    RejectReturn,
    RequestReturn,
    RetryCase,
    ReturnApproved,
    ReturnCase,
    ReturnReceived,
    ReturnRejected,
    ReturnRequested,
    ReturnWithdrawn,
    WithdrawReturn,
)

CaseCommand = (
    RequestReturn
    | ApproveReturn
    | RejectReturn
    | WithdrawReturn
    | ReceiveReturn
    | NoteRefunded
    | NoteRefundFailed
    | RetryCase
)
CaseEvent = (
    ReturnRequested
    | ReturnApproved
    | ReturnRejected
    | ReturnWithdrawn
    | ReturnReceived
    | RefundDue
    | CaseRefunded
    | CaseRefundFailed
)
cases_of_order = Unique("case_of_order", ReturnsMeet)
OVER = ("REJECTED", "WITHDRAWN")
"""Such a case takes nothing of the order."""


class Case(Value, omit_defaults=True):
    state: CaseState = "new"
    asked: ReturnRequested | None = None
    settled: bool = False
    attempt: int = 0
    resolution: str = ""
    processed_at: datetime | None = None


def decide(command: CaseCommand, case: Case) -> list[CaseEvent]:
    if isinstance(command, RequestReturn):
        return _request(command, case)
    asked = case.asked
    if asked is None:
        raise ReturnNotFound(f"there is no return {command.case}")
    match command, case.state:
        case ApproveReturn(by=by, at=at), "REFUND_REQUESTED":
            approved = ReturnApproved(case=asked.case, order_no=asked.order_no, by=by, at=at)
            return [approved] if asked.kind == "return" else [approved, _due(asked, command.settled, 1)]
        case RejectReturn(), "REFUND_REQUESTED" | "REFUND_APPROVED":
            return [
                ReturnRejected(
                    case=asked.case,
                    order_no=asked.order_no,
                    buyer=asked.buyer,
                    by=command.by,
                    reason=command.reason,
                    line_ids=_ids(asked),
                    at=command.at,
                )
            ]
        case WithdrawReturn(at=at), "REFUND_REQUESTED" | "REFUND_APPROVED":
            withdrawn = {"case": asked.case, "order_no": asked.order_no, "buyer": asked.buyer}
            return [ReturnWithdrawn(**withdrawn, line_ids=_ids(asked), at=at)]
        case ReceiveReturn(), "REFUND_APPROVED" if asked.kind == "return":
            return [
                ReturnReceived(
                    case=asked.case,
                    order_no=asked.order_no,
                    warehouse=command.warehouse,
                    restock=command.restock,
                    lines=asked.lines,
                    expired=command.expired,
                ),
                _due(asked, command.settled, 1),
            ]
        case NoteRefunded(), "REFUND_PROCESSING" | "REFUND_FAILED":
            return [_refunded(asked)]
        case NoteRefundFailed(reason=reason), "REFUND_PROCESSING":
            return [CaseRefundFailed(case=asked.case, order_no=asked.order_no, buyer=asked.buyer, reason=reason)]
        case RetryCase(), "REFUND_FAILED":
            return [_due(asked, case.settled, case.attempt + 1)]
        case _ if _is_repeat(command, case):
            return []
        case _:
            raise ReturnStateForbids(f"return {asked.case} is {case.state}", state=case.state)


_LEADS_TO: dict[type[CaseCommand], tuple[CaseState, ...]] = {
    ApproveReturn: ("REFUND_APPROVED", "REFUND_PROCESSING", "REFUNDED", "REFUND_FAILED"),
    RejectReturn: ("REJECTED",),
    WithdrawReturn: ("WITHDRAWN",),
    ReceiveReturn: ("REFUND_PROCESSING", "REFUNDED", "REFUND_FAILED"),
    NoteRefunded: ("REFUNDED",),
    NoteRefundFailed: ("REFUND_FAILED", "REFUNDED"),
    RetryCase: ("REFUND_PROCESSING", "REFUNDED"),
}


def _is_repeat(command: CaseCommand, case: Case) -> bool:
    """What was asked for is so already. Goods that were never awaited do not arrive."""
    if isinstance(command, ReceiveReturn) and case.asked is not None and case.asked.kind != "return":
        return False
    return case.state in _LEADS_TO[type(command)]


def _request(command: RequestReturn, case: Case) -> list[CaseEvent]:
    if case.asked is not None:
        return []  # The id was made for this request: a repeat.
    lines = command.lines
    return [
        ReturnRequested(
            case=command.case,
            order_no=command.order_no,
            buyer=command.buyer,
            kind=command.kind,
            payment=command.payment,
            currency=command.currency,
            lines=lines,
            freight_refund=command.freight_refund,
            refund=sum((line.refund for line in lines), command.freight_refund),
            points=sum(line.points for line in lines) + command.freight_points,
            reason=command.reason,
            settled=command.settled,
            platform_part=sum((line.platform_part for line in lines), command.freight_platform_part),
            freight_platform_part=command.freight_platform_part,
            reason_code=command.reason_code,
            number=command.number,
            at=command.at,
        )
    ]


def _due(asked: ReturnRequested, settled: bool, attempt: int) -> RefundDue:
    return RefundDue(
        case=asked.case,
        order_no=asked.order_no,
        buyer=asked.buyer,
        kind=asked.kind,
        payment=asked.payment,
        currency=asked.currency,
        refund=asked.refund,
        platform_part=asked.platform_part,
        points=asked.points,
        lines=asked.lines,
        freight_refund=asked.freight_refund,
        settled=settled,
        attempt=attempt,
    )


def _refunded(asked: ReturnRequested) -> CaseRefunded:
    return CaseRefunded(
        case=asked.case,
        order_no=asked.order_no,
        buyer=asked.buyer,
        currency=asked.currency,
        refund=asked.refund,
        points=asked.points,
        lines=asked.lines,
    )


def _ids(asked: ReturnRequested) -> tuple[str, ...]:
    return tuple(line.line_id for line in asked.lines)


def evolve(case: Case, event: CaseEvent) -> Case:
    with_ = msgspec.structs.replace
    match event:
        case ReturnRequested(settled=settled):
            return Case(state="REFUND_REQUESTED", asked=event, settled=settled)
        case ReturnApproved(at=at):
            return with_(case, state="REFUND_APPROVED", resolution="approved", processed_at=at)
        case ReturnRejected(reason=reason, at=at):
            return with_(case, state="REJECTED", resolution=reason, processed_at=at)
        case ReturnWithdrawn(at=at):
            return with_(case, state="WITHDRAWN", resolution="withdrawn", processed_at=at)
        case ReturnReceived():
            return with_(case, resolution="goods received")
        case RefundDue(settled=settled, attempt=attempt):
            return with_(case, state="REFUND_PROCESSING", settled=settled, attempt=attempt)
        case CaseRefunded():
            return with_(case, state="REFUNDED", resolution="refunded")
        case CaseRefundFailed(reason=reason):
            return with_(case, state="REFUND_FAILED", resolution=reason)
        case _:
            assert_never(event)


def book(event: CaseEvent) -> list[Transfer]:
    """Units asked back are held from what was bought: the floor refuses (8006) more than that, whoever asks when."""
    match event:
        case ReturnRequested(order_no=order_no, lines=lines):
            return [
                hold(
                    *(f"line-{line.line_id}", returnable(order_no, line.line_id, limit=line.bought)),
                    *(returned(order_no), line.quantity),
                )
                for line in lines
            ]
        case ReturnRejected(line_ids=ids) | ReturnWithdrawn(line_ids=ids):
            return [release(f"line-{id}") for id in ids]
        case CaseRefunded(lines=lines):
            return [settle(f"line-{line.line_id}") for line in lines]
        case _:
            return []


def claims(event: CaseEvent) -> list[Take | Give]:
    match event:
        case ReturnRequested(order_no=order_no, number=number):
            return [cases_of_order.take(f"{order_no}:{number}")]
        case _:
            return []


def answer(case: Case) -> ReturnCase | None:
    asked = case.asked
    return asked and ReturnCase(
        case=asked.case,
        order_no=asked.order_no,
        buyer=asked.buyer,
        kind=asked.kind,
        state=case.state,
        currency=asked.currency,
        refund=asked.refund,
        freight_refund=asked.freight_refund,
        points=asked.points,
        lines=asked.lines,
        reason_code=asked.reason_code,
        reason=asked.reason,
        requested_at=asked.at,
        processed_at=case.processed_at,
        resolution=case.resolution,
    )


def owner(case: Case) -> str | None:
    return case.asked and str(case.asked.buyer)


return_case = Decider(
    *("aftersales.return_case", "case", Case(), decide, evolve), book=book, claims=claims, answer=answer, owner=owner
)

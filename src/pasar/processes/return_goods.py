"""A return from request to refund: the order waits, the goods go back on the shelf, the money and the points go back.

requested → the order has an open case · rejected or withdrawn → it has none · goods received → stock
refund due → (seller's share taken back by finance, where it was shared out) → the provider refunds
refunded → case and order closed, points given back · refund failed → the case says so and can be retried

The case is opened with its order in one change; hearing of it again changes nothing. A retry asks the provider anew for
the refund that is still owed: what finance took back for it, and what is held for it, stays so.
"""

from decimal import Decimal

from pasar.contexts.aftersales.contract import (
    CaseRefunded,
    NoteRefunded,
    NoteRefundFailed,
    RefundDue,
    ReturnReceived,
    ReturnRejected,
    ReturnRequested,
    ReturnWithdrawn,
)
from pasar.contexts.finance.contract import RevenueTakenBack
from pasar.contexts.inventory.contract import ReceivedLine, ReceiveStock
from pasar.contexts.ordering.contract import CloseAfterSale, OpenAfterSale
from pasar.contexts.payment.contract import RefundCompleted, RefundFailed, RefundStalled, RequestRefund, RetryRefund
from pasar.contexts.wallet.contract import GiveBackPoints
from pasar.kernel.messages import Command, Refusal, Value
from pasar.kernel.process import Next, Process
from pasar.kernel.store import Recorded


class Case(Value):
    """What the process must know when finance has answered."""

    due: RefundDue | None = None


def requested(heard: Recorded, memory: Case) -> Next:
    assert isinstance(heard.event, ReturnRequested)
    return Next(memory=Case(), send=[OpenAfterSale(order_no=heard.event.order_no, case=heard.event.case)])


def given_up(heard: Recorded, memory: Case) -> Next:
    event = heard.event
    assert isinstance(event, ReturnRejected | ReturnWithdrawn)
    return Next(send=[CloseAfterSale(order_no=event.order_no, case=event.case, refunded=Decimal(0))], done=True)


def received(heard: Recorded, memory: Case) -> Next | None:
    event = heard.event
    assert isinstance(event, ReturnReceived)
    if not event.restock:
        return None
    lines = tuple(ReceivedLine(sku=line.sku, quantity=line.quantity, batch=line.batch) for line in event.lines)
    receipt = ReceiveStock(
        receipt=event.case,
        warehouse=event.warehouse,
        lines=lines,
        origin="return",
        reference=event.order_no,
        expired=event.expired,
    )
    return Next(send=[receipt])


def pay_back(due: RefundDue) -> list[Command]:
    """The provider gives the money back; a case that gives back points alone is refunded at once."""
    if due.payment is None or due.refund == 0:
        return [NoteRefunded(case=due.case)]
    ask = RequestRefund(payment=due.payment, refund=due.case, amount=due.refund, reason=f"return {due.case}")
    if due.attempt == 1:
        return [ask]
    return [ask, RetryRefund(payment=due.payment, refund=due.case)]


def refund_due(heard: Recorded, memory: Case) -> Next:
    due = heard.event
    assert isinstance(due, RefundDue)
    if due.settled and due.attempt == 1 and (due.refund or due.platform_part):
        return Next(memory=Case(due=due))  # Finance hears the same event, and takes the sellers' shares back first.
    return Next(memory=Case(due=due), send=pay_back(due))


def not_refundable(command: RequestRefund | RetryRefund, refusal: Refusal, memory: Case) -> Next:
    """People see it at the case, and can try again."""
    return Next(send=[NoteRefundFailed(case=command.refund, reason=f"{refusal.code} {refusal.detail}"[:500])])


def share_taken_back(heard: Recorded, memory: Case) -> Next | None:
    return Next(send=pay_back(memory.due)) if memory.due else None


def money_is_back(heard: Recorded, memory: Case) -> Next | None:
    assert isinstance(heard.event, RefundCompleted)
    return Next(send=[NoteRefunded(case=heard.event.refund)]) if memory.due else None


def money_is_not_back(heard: Recorded, memory: Case) -> Next | None:
    event = heard.event
    assert isinstance(event, RefundFailed | RefundStalled)
    return Next(send=[NoteRefundFailed(case=event.refund, reason=event.reason)]) if memory.due else None


def refunded(heard: Recorded, memory: Case) -> Next:
    event = heard.event
    assert isinstance(event, CaseRefunded)
    close = CloseAfterSale(
        order_no=event.order_no,
        case=event.case,
        refunded=event.refund,
        platform_part=memory.due.platform_part if memory.due else Decimal(0),
        returned=tuple((line.line_id, line.quantity) for line in event.lines),
    )
    send: list[Command] = [close]
    if event.points:
        give_back = GiveBackPoints(
            wallet=f"points:{event.buyer}",
            account=event.buyer,
            case=event.case,
            order_no=event.order_no,
            points=event.points,
        )
        send.append(give_back)
    return Next(send=send, done=True)


return_goods = Process(
    "return_goods",
    key={
        ReturnRequested: "case",
        ReturnRejected: "case",
        ReturnWithdrawn: "case",
        ReturnReceived: "case",
        RefundDue: "case",
        RevenueTakenBack: "case",
        RefundCompleted: "refund",
        RefundFailed: "refund",
        RefundStalled: "refund",
        CaseRefunded: "case",
    },
    memory=Case(),
    on={
        ReturnRequested: requested,
        ReturnRejected: given_up,
        ReturnWithdrawn: given_up,
        ReturnReceived: received,
        RefundDue: refund_due,
        RevenueTakenBack: share_taken_back,
        RefundCompleted: money_is_back,
        RefundFailed: money_is_not_back,
        RefundStalled: money_is_not_back,
        CaseRefunded: refunded,
    },
    refused={RequestRefund: not_refundable, RetryRefund: not_refundable},
)

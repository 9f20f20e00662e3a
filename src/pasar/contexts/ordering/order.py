"""What may be done with an order, when, and what it makes happen."""

from datetime import datetime
from decimal import Decimal
from typing import assert_never
from uuid import UUID

from pasar.kernel.decider import Clear, Decider, Give, Set, Take, Unique
from pasar.refusals import (
    AlreadyPaid,
    CartIsEmpty,
    OrderExists,
    OrderNotFound,
    OrderStateForbids,
    PaymentInProgress,
    PaymentStateForbids,
    ReturnAboveBought,
    SaleNotOpen,
    TicketUsed,
)

from .booking import book
from .contract import (
    AfterSaleClosed,
    AfterSaleOpened,
    BeginPayment,
    CancelOrder,
    CancelPaidOrder,
    CloseAfterSale,
    CompleteOrder,
    ConfirmOrder,
    EndPaymentAttempt,
    MarkAllocated,
    MarkPaid,
    MarkStage,
    OpenAfterSale,
    OrderAllocated,
    OrderCanceled,
    OrderCompleted,
    OrderConfirmed,
    OrderPaid,
    OrderPlaced,
    OrderStageReached,
    PaymentAttemptEnded,
    PaymentBegan,
    Placed,
    PlaceOrder,
    Preview,
    Stage,
)
from .life import NOT_SENT, OPTIONAL, PATH, RANK, Order, OrderEvent, evolve, status_of, units_back
from .shares import platform_paid, shares_of

OrderCommand = (
    PlaceOrder
    | BeginPayment
    | EndPaymentAttempt
    | MarkPaid
    | CancelOrder
    | CancelPaidOrder
    | MarkAllocated
    | MarkStage
    | ConfirmOrder
    | CompleteOrder
    | OpenAfterSale
    | CloseAfterSale
)
UNPAID = ("PENDING_PAYMENT", "PAYMENT_PROCESSING")
NOTHING = Decimal(0)
tickets = Unique("flash_ticket", TicketUsed)
"""A ticket of a sale's queue makes one order, whatever queues and brokers remember."""


def decide(command: OrderCommand, order: Order) -> list[OrderEvent]:
    if isinstance(command, PlaceOrder):
        return _place(command, order)
    placed = order.placed
    if placed is None:
        raise OrderNotFound()
    match command:
        case BeginPayment():
            return _begin_payment(command, order, placed)
        case EndPaymentAttempt(payment=payment):
            if order.state != "PAYMENT_PROCESSING" or order.payment != payment:
                return []
            return [PaymentAttemptEnded(order_no=placed.order_no, payment=payment, cancel_at=placed.pay_until)]
        case MarkPaid():
            return _mark_paid(command, order, placed)
        case CancelOrder() | CancelPaidOrder():
            return _cancel(command, order, placed)
        case MarkAllocated():
            return _mark_allocated(order, placed)
        case MarkStage(stage=stage):
            return _mark_stage(stage, order, placed)
        case ConfirmOrder():
            return _confirm(command, order, placed)
        case CompleteOrder():
            return _complete(order, placed)
        case OpenAfterSale(case=case):
            return _open_case(case, order, placed)
        case CloseAfterSale():
            return _close_case(command, order, placed)
        case _:
            assert_never(command)


def _place(command: PlaceOrder, order: Order) -> list[OrderEvent]:
    if order.placed is not None:
        raise OrderExists(f"{command.order_no} is taken by another order")
    quote = command.quote
    if not quote.lines:
        raise CartIsEmpty()
    for line in quote.lines:
        if line.sale is not None and not line.sale.period.covers(command.placed_at):
            raise SaleNotOpen(f"the sale {line.sale.sale} is not open", sale=line.sale.sale)
    placed = OrderPlaced(
        order_no=command.order_no,
        buyer=command.buyer,
        channel=quote.channel,
        currency=quote.currency,
        lines=quote.lines,
        goods=quote.goods,
        discounts=quote.discounts,
        freight=quote.freight,
        freight_discount=quote.freight_discount,
        freight_shares=quote.freight_shares,
        taxes=quote.taxes,
        tax_added=quote.tax_added,
        points=quote.points,
        points_amount=quote.points_amount,
        programme=command.programme,
        total=quote.total,
        coupons=quote.coupons,
        address=command.address,
        pay_until=command.pay_until,
        keep_until=max(command.pay_until, command.keep_until or command.pay_until),
        placed_at=command.placed_at,
        invoice_required=command.invoice_required,
        metadata=command.metadata,
        source=command.source,
        soft_allocation=command.soft_allocation,
        ticket=command.ticket,
        contact=command.contact,
    )
    return [placed] if quote.total else [placed, _paid(placed, None, "none")]


def _paid(placed: OrderPlaced, payment: UUID | None, gateway: str) -> OrderPaid:
    return OrderPaid(
        order_no=placed.order_no,
        buyer=placed.buyer,
        channel=placed.channel,
        currency=placed.currency,
        total=placed.total,
        payment=payment,
        gateway=gateway,
        lines=placed.lines,
        freight_shares=placed.freight_shares,
        platform_paid=platform_paid(placed),
        coupons=placed.coupons,
        points=placed.points,
        programme=placed.programme,
        address=placed.address,
    )


def _begin_payment(command: BeginPayment, order: Order, placed: OrderPlaced) -> list[OrderEvent]:
    match order.state:
        case "PENDING_PAYMENT":
            # An attempt never shortens the time to pay, and lengthens it by its own end at most.
            cancel_at = max(placed.pay_until, min(command.until, placed.keep_until))
            return [
                PaymentBegan(
                    order_no=placed.order_no, payment=command.payment, until=command.until, cancel_at=cancel_at
                )
            ]
        case "PAYMENT_PROCESSING" if order.payment == command.payment:
            return []
        case "PAYMENT_PROCESSING":
            raise PaymentInProgress(f"payment {order.payment} of order {placed.order_no} is open")
        case "CANCELED":
            raise _forbidden(order, placed, "is paid")
        case _:
            raise AlreadyPaid(f"order {placed.order_no} is paid")


def _mark_paid(command: MarkPaid, order: Order, placed: OrderPlaced) -> list[OrderEvent]:
    if order.state == "CANCELED":
        raise _forbidden(order, placed, "is paid")
    if order.state not in UNPAID:
        if order.payment == command.payment:
            return []
        raise AlreadyPaid(f"order {placed.order_no} is paid by another payment")
    if (command.amount, command.currency) != (placed.total, placed.currency):
        raise PaymentStateForbids(
            f"order {placed.order_no} is {placed.total} {placed.currency}, not {command.amount} {command.currency}"
        )
    return [_paid(placed, command.payment, command.gateway)]


def _cancel(command: CancelOrder | CancelPaidOrder, order: Order, placed: OrderPlaced) -> list[OrderEvent]:
    if order.state == "CANCELED":
        return []
    unpaid = order.state in UNPAID
    if isinstance(command, CancelOrder) and not unpaid:
        if command.reason == "unpaid":
            return []  # The deadline of payment met the payment.
        raise _forbidden(order, placed, "is cancelled without a refund; ask for one")
    if isinstance(command, CancelPaidOrder) and (order.state not in NOT_SENT or order.open_cases or order.returned):
        raise _forbidden(order, placed, "is cancelled as one that was paid and has not left")
    return [
        OrderCanceled(
            order_no=placed.order_no,
            buyer=placed.buyer,
            reason=command.reason,
            was_paid=not unpaid,
            payment=order.payment,
            currency=placed.currency,
            total=placed.total,
            lines=placed.lines,
            coupons=placed.coupons,
            points=placed.points,
            programme=placed.programme,
            platform_paid=platform_paid(placed),
        )
    ]


def _mark_allocated(order: Order, placed: OrderPlaced) -> list[OrderEvent]:
    if order.state == "PAID":
        return [OrderAllocated(order_no=placed.order_no, buyer=placed.buyer)]
    if order.state in RANK and RANK[order.state] > RANK["PAID"]:
        return []
    raise _forbidden(order, placed, "is allocated")


def _mark_stage(stage: Stage, order: Order, placed: OrderPlaced) -> list[OrderEvent]:
    if order.state not in RANK or RANK[order.state] < RANK["ALLOCATED"]:
        raise _forbidden(order, placed, f"is {stage}")
    between = PATH[RANK[order.state] + 1 : RANK[stage]]
    reached = [state for state in between if state not in OPTIONAL]
    if RANK[order.state] < RANK[stage]:
        reached.append(stage)
    return [OrderStageReached(order_no=placed.order_no, buyer=placed.buyer, stage=each) for each in reached]  # type: ignore[arg-type]


def _confirm(command: ConfirmOrder, order: Order, placed: OrderPlaced) -> list[OrderEvent]:
    if order.state in ("CONFIRMED", "COMPLETED"):
        return []
    if order.state != "DELIVERED" or order.open_cases or order.is_refunded:
        raise _forbidden(order, placed, "is confirmed")
    return [
        OrderConfirmed(
            order_no=placed.order_no,
            buyer=placed.buyer,
            channel=placed.channel,
            currency=placed.currency,
            shares=shares_of(placed, order.refunded + order.platform_part, order.returned),
            refunded=order.refunded,
            by_buyer=command.by_buyer,
            confirmed_at=command.now,
        )
    ]


def _complete(order: Order, placed: OrderPlaced) -> list[OrderEvent]:
    if order.state == "COMPLETED":
        return []
    if order.state != "CONFIRMED" or order.open_cases:
        raise _forbidden(order, placed, "is completed")
    return [
        OrderCompleted(
            order_no=placed.order_no,
            buyer=placed.buyer,
            currency=placed.currency,
            paid_amount=max(NOTHING, placed.total - order.refunded),
            refunded=order.refunded,
        )
    ]


def _open_case(case: UUID, order: Order, placed: OrderPlaced) -> list[OrderEvent]:
    if case in order.open_cases:
        return []
    if order.state == "CANCELED" or order.state in UNPAID or order.is_refunded:
        raise _forbidden(order, placed, "has after-sales")
    return [AfterSaleOpened(order_no=placed.order_no, buyer=placed.buyer, case=case)]


def _close_case(command: CloseAfterSale, order: Order, placed: OrderPlaced) -> list[OrderEvent]:
    if command.case not in order.open_cases:
        return []  # A repeat.
    returned = units_back(order.returned, command.returned)
    bought = {line.line_id: line.quantity for line in placed.lines}
    for line_id, units in returned.items():
        if units > bought.get(line_id, 0):
            raise ReturnAboveBought(f"{units} of line {line_id} would be back, {bought.get(line_id, 0)} were bought")
    refunded = order.refunded + command.refunded
    return [
        AfterSaleClosed(
            order_no=placed.order_no,
            buyer=placed.buyer,
            case=command.case,
            currency=placed.currency,
            refunded=command.refunded,
            platform_part=command.platform_part,
            refunded_in_all=refunded,
            whole=refunded >= placed.total if placed.total else returned == bought,
            returned=command.returned,
        )
    ]


def _forbidden(order: Order, placed: OrderPlaced, wish: str) -> OrderStateForbids:
    return OrderStateForbids(f"no order that is {status_of(order)} {wish}", order_no=placed.order_no)


def timers(event: OrderEvent) -> list[Set | Clear]:
    """One deadline: when the order cancels itself unless it is paid."""
    match event:
        case OrderPlaced(order_no=order_no, pay_until=at, total=total):
            return [_cancel_at(order_no, at)] if total else []
        case PaymentBegan(order_no=order_no, cancel_at=at) | PaymentAttemptEnded(order_no=order_no, cancel_at=at):
            return [_cancel_at(order_no, at)]
        case OrderPaid() | OrderCanceled():
            return [Clear("unpaid")]
        case _:
            return []


def _cancel_at(order_no: str, at: datetime) -> Set:
    return Set("unpaid", at=at, send=CancelOrder(order_no=order_no, reason="unpaid"))


def claims(event: OrderEvent) -> list[Take | Give]:
    return [tickets.take(event.ticket)] if isinstance(event, OrderPlaced) and event.ticket else []


def answer(order: Order) -> Placed | None:
    """S1 calls an order that was just placed CREATED; whoever looks again finds it waiting for payment."""
    placed = order.placed
    if placed is None:
        return None
    return Placed(
        order_no=placed.order_no,
        status="CREATED" if order.state == "PENDING_PAYMENT" else status_of(order),
        preview=Preview(freight=placed.freight, discounts=placed.discounts + placed.points_amount, taxes=placed.taxes),
        allocated_batches=placed.soft_allocation,
        total=placed.total,
        currency=placed.currency,
        pay_until=placed.pay_until,
    )


def owner(order: Order) -> str | None:
    return None if order.placed is None else str(order.placed.buyer)


order = Decider(
    *("ordering.order", "order_no", Order(), decide, evolve),
    book=book,
    timers=timers,
    claims=claims,
    answer=answer,
    owner=owner,
)

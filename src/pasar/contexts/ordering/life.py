"""An order: placed, waiting for payment, paid, on its way, confirmed, completed; or cancelled.

`state` is where the goods are. What after-sales gave back is kept beside it, and `status_of` puts both together.
"""

from decimal import Decimal
from typing import assert_never
from uuid import UUID

from pasar.kernel.messages import Value
from pasar.vocabulary import OrderState

from .contract import (
    AfterSaleClosed,
    AfterSaleOpened,
    CancelReason,
    OrderAllocated,
    OrderCanceled,
    OrderCompleted,
    OrderConfirmed,
    OrderPaid,
    OrderPlaced,
    OrderStageReached,
    PaymentAttemptEnded,
    PaymentBegan,
    RefundStatus,
)

OrderEvent = (
    OrderPlaced
    | PaymentBegan
    | PaymentAttemptEnded
    | OrderPaid
    | OrderCanceled
    | OrderAllocated
    | OrderStageReached
    | OrderConfirmed
    | OrderCompleted
    | AfterSaleOpened
    | AfterSaleClosed
)
NOT_SENT: tuple[OrderState, ...] = ("PAID", "ALLOCATED", "PREPARING", "PICKED", "PACKED")
PATH: tuple[OrderState, ...] = (
    "CREATED", "PENDING_PAYMENT", "PAYMENT_PROCESSING", "PAID", "ALLOCATED", "PREPARING", "PICKED", "PACKED",
    "PARTIAL_SHIPPED", "SHIPPED", "IN_TRANSIT", "DELIVERED", "CONFIRMED", "COMPLETED",
)  # fmt: skip
RANK = {state: rank for rank, state in enumerate(PATH)}
OPTIONAL = ("PREPARING", "PARTIAL_SHIPPED")
"""Stages that an order need not pass. The others are passed in order: a report of a later one implies them."""
NOTHING = Decimal(0)


class Order(Value, omit_defaults=True):
    state: OrderState = "CREATED"
    placed: OrderPlaced | None = None
    """All that was agreed. None: there is no such order."""
    payment: UUID | None = None
    """The open attempt or, once paid, the payment."""
    gateway: str = ""
    cancel_reason: CancelReason | None = None
    refunded: Decimal = NOTHING
    platform_part: Decimal = NOTHING
    """What went back to the platform of what it had paid for the buyer."""
    is_refunded: bool = False
    returned: dict[str, int] = {}
    open_cases: tuple[UUID, ...] = ()


def status_of(order: Order) -> OrderState:
    """The one word for an order: its after-sale state, if there is one, else where the goods are."""
    if order.open_cases:
        return "AFTER_SALE_OPEN"
    return order.state if (refund := refund_status_of(order)) == "NONE" else refund


def refund_status_of(order: Order) -> RefundStatus:
    if order.is_refunded:
        return "REFUNDED"
    return "PARTIAL_REFUNDED" if order.refunded or order.platform_part or order.returned else "NONE"


def evolve(order: Order, event: OrderEvent) -> Order:
    if isinstance(event, OrderPlaced):
        return Order(state="PENDING_PAYMENT", placed=event)
    match event:
        case PaymentBegan(payment=payment):
            return _with(order, "PAYMENT_PROCESSING", payment=payment)
        case PaymentAttemptEnded():
            return _with(order, "PENDING_PAYMENT")
        case OrderPaid(payment=payment, gateway=gateway):
            return _with(order, "PAID", payment=payment, gateway=gateway)
        case OrderCanceled(reason=reason, payment=payment):
            return _with(order, "CANCELED", payment=payment, gateway=order.gateway, reason=reason)
        case OrderAllocated():
            return _moved(order, "ALLOCATED")
        case OrderStageReached(stage=stage):
            return _moved(order, stage)
        case OrderConfirmed():
            return _moved(order, "CONFIRMED")
        case OrderCompleted():
            return _moved(order, "COMPLETED")
        case AfterSaleOpened(case=case):
            return _moved(order, order.state, open_cases=(*order.open_cases, case))
        case AfterSaleClosed():
            return Order(
                state=order.state,
                placed=order.placed,
                payment=order.payment,
                gateway=order.gateway,
                refunded=event.refunded_in_all,
                platform_part=order.platform_part + event.platform_part,
                is_refunded=order.is_refunded or event.whole,
                returned=units_back(order.returned, event.returned),
                open_cases=tuple(case for case in order.open_cases if case != event.case),
            )
        case _:
            assert_never(event)


def _with(
    order: Order,
    state: OrderState,
    *,
    payment: UUID | None = None,
    gateway: str = "",
    reason: CancelReason | None = None,
) -> Order:
    return Order(
        state=state,
        placed=order.placed,
        payment=payment,
        gateway=gateway,
        cancel_reason=reason,
        refunded=order.refunded,
        platform_part=order.platform_part,
        is_refunded=order.is_refunded,
        returned=order.returned,
        open_cases=order.open_cases,
    )


def _moved(order: Order, state: OrderState, *, open_cases: tuple[UUID, ...] | None = None) -> Order:
    return Order(
        state=state,
        placed=order.placed,
        payment=order.payment,
        gateway=order.gateway,
        refunded=order.refunded,
        platform_part=order.platform_part,
        is_refunded=order.is_refunded,
        returned=order.returned,
        open_cases=order.open_cases if open_cases is None else open_cases,
    )


def units_back(before: dict[str, int], now: tuple[tuple[str, int], ...]) -> dict[str, int]:
    """Units of each line that have come back by now."""
    if not now:
        return before
    sums = dict(before)
    for line_id, units in now:
        sums[line_id] = sums.get(line_id, 0) + units
    return sums

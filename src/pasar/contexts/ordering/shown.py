"""Orders as people see them: buyers their own, sellers the lines of their stores, staff everything."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from .bodies import Moment, QuoteAnswer
from .contract import (
    OrderCanceled,
    OrderDetails,
    OrderLine,
    OrderPlaced,
    OrderStageReached,
    OrderSummary,
    Preview,
    Quote,
    QuotedLine,
    Vocabulary,
)
from .life import Order, OrderEvent, evolve, refund_status_of, status_of
from .words import shown

NOTHING = Decimal(0)
_WHAT = {
    "OrderPlaced": "placed",
    "PaymentBegan": "payment begun",
    "PaymentAttemptEnded": "payment attempt ended",
    "OrderPaid": "paid",
    "OrderCanceled": "cancelled",
    "OrderAllocated": "allocated",
    "OrderStageReached": "stage reached",
    "OrderConfirmed": "confirmed",
    "OrderCompleted": "completed",
    "AfterSaleOpened": "after-sale opened",
    "AfterSaleClosed": "after-sale closed",
}
_NOBODY = frozenset({"system", "timer", "follower", "process"})


class Entry(NamedTuple):
    """An event of an order, when it was, and which principal asked for it."""

    at: datetime
    by: str
    event: OrderEvent


class _Sums(NamedTuple):
    """What an order comes to, or the part of it that some stores have."""

    goods: Decimal
    discounts: Decimal
    freight: Decimal
    taxes: Decimal
    points_amount: Decimal
    total: Decimal


def _visible(placed: OrderPlaced, stores: frozenset[str] | None) -> list[QuotedLine]:
    return [line for line in placed.lines if stores is None or line.store in stores]


def is_visible(order: Order, stores: frozenset[str] | None) -> bool:
    """Whether somebody of these stores (None: of all) may see the order."""
    return order.placed is not None and bool(_visible(order.placed, stores))


def _sums(placed: OrderPlaced, lines: Sequence[QuotedLine]) -> _Sums:
    if len(lines) == len(placed.lines):
        return _Sums(placed.goods, placed.discounts, placed.freight, placed.taxes, placed.points_amount, placed.total)
    stores = {line.store for line in lines}
    goods = sum((line.amount for line in lines), NOTHING)
    discounts = sum((line.discount for line in lines), NOTHING)
    points = sum((line.points_discount for line in lines), NOTHING)
    taxes = sum((line.tax for line in lines), NOTHING)
    freight = sum((share.amount for share in placed.freight_shares if share.store in stores), NOTHING)
    added = taxes if placed.tax_added else NOTHING
    return _Sums(goods, discounts, freight, taxes, points, goods - discounts - points + freight + added)


def _lines(order: Order, lines: Iterable[QuotedLine]) -> tuple[OrderLine, ...]:
    return tuple(
        OrderLine(
            item_id=line.line_id,
            sku=line.sku,
            title=line.title,
            store=line.store,
            quantity=line.quantity,
            unit_price=line.unit_price,
            amount=line.amount,
            discount=line.discount,
            tax=line.tax,
            batch=line.batch,
            returned=order.returned.get(line.line_id, 0),
        )
        for line in lines
    )


def details(
    order: Order, placed: OrderPlaced, vocabulary: Vocabulary, stores: frozenset[str] | None = None
) -> OrderDetails:
    """Everything about an order, as far as these stores go (None: all)."""
    lines = _visible(placed, stores)
    sums, status = _sums(placed, lines), status_of(order)
    return OrderDetails(
        order_no=placed.order_no,
        status=status,
        shown_status=shown(status, order.state, vocabulary),
        vocabulary=vocabulary,
        stage=order.state,
        refund_status=refund_status_of(order),
        buyer=placed.buyer,
        channel=placed.channel,
        currency=placed.currency,
        lines=_lines(order, lines),
        goods=sums.goods,
        discounts=sums.discounts,
        freight=sums.freight,
        taxes=sums.taxes,
        points=placed.points if len(lines) == len(placed.lines) else 0,
        points_amount=sums.points_amount,
        total=sums.total,
        refunded=order.refunded,
        address=placed.address,
        placed_at=placed.placed_at,
        pay_until=placed.pay_until,
        invoice_required=placed.invoice_required,
        metadata=placed.metadata,
        source=placed.source,
        payment=order.payment,
        cancel_reason=order.cancel_reason,
        open_cases=order.open_cases,
    )


def summary(
    order: Order, placed: OrderPlaced, vocabulary: Vocabulary, stores: frozenset[str] | None = None
) -> OrderSummary:
    """An order as a line of a list."""
    lines, status = _visible(placed, stores), status_of(order)
    return OrderSummary(
        order_no=placed.order_no,
        status=status,
        shown_status=shown(status, order.state, vocabulary),
        refund_status=refund_status_of(order),
        channel=placed.channel,
        currency=placed.currency,
        total=_sums(placed, lines).total,
        refunded=order.refunded,
        placed_at=placed.placed_at,
        pay_until=placed.pay_until,
        lines=_lines(order, lines),
        buyer=placed.buyer,
    )


def moments(history: Iterable[Entry], buyer: str, vocabulary: Vocabulary, *, for_staff: bool) -> tuple[Moment, ...]:
    """What happened, one after the other, with the status that each left. Only staff are told which colleague it
    was."""
    order, found = Order(), []
    for at, by, event in history:
        order = evolve(order, event)
        status = status_of(order)
        found.append(
            Moment(
                at=at,
                what=_what(event),
                by=_who(by, buyer, for_staff),
                status=status,
                shown_status=shown(status, order.state, vocabulary),
                reason=event.reason if isinstance(event, OrderCanceled) else None,
            )
        )
    return tuple(found)


def _what(event: OrderEvent) -> str:
    if isinstance(event, OrderStageReached):
        return event.stage.lower().replace("_", " ")
    return _WHAT[type(event).__name__]


def _who(by: str, buyer: str, for_staff: bool) -> str:
    if by == buyer:
        return "buyer"
    if by.partition(":")[0] in _NOBODY:
        return "system"
    return by if for_staff else "staff"


def quoted(quote: Quote) -> QuoteAnswer:
    """A quote as it is answered."""
    return QuoteAnswer(
        channel=quote.channel,
        currency=quote.currency,
        lines=quote.lines,
        goods=quote.goods,
        discounts=quote.discounts,
        freight=quote.freight,
        freight_discount=quote.freight_discount,
        taxes=quote.taxes,
        points=quote.points,
        points_amount=quote.points_amount,
        total=quote.total,
        preview=Preview(freight=quote.freight, discounts=quote.discounts + quote.points_amount, taxes=quote.taxes),
        quoted_at=quote.quoted_at,
    )

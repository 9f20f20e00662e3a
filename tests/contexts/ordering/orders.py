"""Orders that the tests of ordering begin with."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from pasar.contexts.ordering.contract import MarkPaid, PlaceOrder
from pasar.contexts.ordering.life import Order, OrderEvent
from pasar.contexts.ordering.order import decide, order
from pasar.contexts.pricing.contract import CouponUse, FreightShare, Quote, QuotedLine
from pasar.kernel.private import Private
from pasar.vocabulary import Address

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NO = "202603010001"
ANN, BOB = UUID(int=1), UUID(int=2)
PAYMENT, CASE = UUID(int=11), UUID(int=21)


def sealed(field: str) -> Private[Any]:
    return Private.sealed("key", "event", field, "box")


ADDRESS = Address(
    recipient=sealed("recipient"), phone=sealed("phone"), line1=sealed("line1"), city="Seoul", country="KR"
)


def won(amount: int | str) -> Decimal:
    return Decimal(amount)


def line(no: int, sku: str, units: int, price: int, **more: Any) -> QuotedLine:
    nothing = won(0)
    fields: dict[str, Any] = {
        "discount": nothing,
        "platform_discount": nothing,
        "points_discount": nothing,
        "tax": nothing,
        "title": sku.title(),
        "store": "farm",
        "commission_rate": Decimal("0.05"),
    }
    amount = won(units * price)
    return QuotedLine(line_id=str(no), sku=sku, quantity=units, unit_price=won(price), amount=amount, **(fields | more))


def quote(*lines: QuotedLine, freight: int = 0, coupons: tuple[CouponUse, ...] = (), points: int = 0) -> Quote:
    """A quote of those lines; a point is worth one, freight is the first store's."""
    lines = lines or (line(1, "apple", 2, 10_000), line(2, "pear", 1, 5_000))
    goods = sum((one.amount for one in lines), won(0))
    discounts = sum((one.discount for one in lines), won(0))
    return Quote(
        channel="web",
        currency="KRW",
        lines=lines,
        goods=goods,
        discounts=discounts,
        freight=won(freight),
        freight_discount=won(0),
        freight_shares=(FreightShare(store=lines[0].store, amount=won(freight)),) if freight else (),
        taxes=won(0),
        tax_added=won(0),
        points=points,
        points_amount=won(points),
        total=goods - discounts - points + freight,
        coupons=coupons,
        quoted_at=NOON,
    )


def place(given: Quote | None = None, *, no: str = NO, buyer: UUID = ANN, **more: Any) -> PlaceOrder:
    pay_until = NOON + timedelta(minutes=30)
    return PlaceOrder(
        order_no=no,
        buyer=buyer,
        quote=given or quote(),
        address=ADDRESS,
        pay_until=pay_until,
        keep_until=pay_until + timedelta(minutes=10),
        placed_at=NOON,
        **more,
    )


def history(*commands: Any) -> list[OrderEvent]:
    """What happened when these were said, one after the other."""
    state, events = Order(), []
    for command in commands:
        decided = decide(command, state)
        state = order.fold(state, decided)
        events += decided
    return events


def pay(total: int | str = 25_000, payment: UUID | None = PAYMENT) -> MarkPaid:
    return MarkPaid(order_no=NO, payment=payment, gateway="toss", amount=won(total), currency="KRW")

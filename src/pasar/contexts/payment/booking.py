"""What a payment counts: money comes from the provider, becomes what we owe for the order, and goes back."""

from pasar.accounts import clearing, late_money, liability, unclear_money
from pasar.kernel import ledger
from pasar.kernel.messages import Event
from pasar.kernel.money import minor

from .contract import (
    PaymentCaptured,
    PaymentCapturedLate,
    PaymentParked,
    RefundCompleted,
    RefundRequested,
)


def book(event: Event) -> list[ledger.Transfer]:
    """The floors of liability and late money refuse to give back more than came in (2006). A refund that fails keeps
    its hold: the money is still owed, and nothing else may use it."""
    match event:
        case PaymentCaptured(gateway=gateway, order_no=order_no, amount=amount, currency=unit):
            return [ledger.move(clearing(gateway, unit=unit), liability(order_no, unit=unit), minor(amount, unit))]
        case PaymentCapturedLate(gateway=gateway, payment=payment, amount=amount, currency=unit):
            return [ledger.move(clearing(gateway, unit=unit), late_money(payment, unit=unit), minor(amount, unit))]
        case PaymentParked(gateway=gateway, amount=amount, currency=unit):
            return [ledger.move(clearing(gateway, unit=unit), unclear_money(gateway, unit=unit), minor(amount, unit))]
        case RefundRequested(amount=amount, currency=unit):
            source = late_money(event.payment, unit=unit) if event.late else liability(event.order_no, unit=unit)
            target = clearing(event.gateway, unit=unit)
            return [ledger.hold(f"refund-{event.refund}", source, target, minor(amount, unit))]
        case RefundCompleted(refund=refund):
            return [ledger.settle(f"refund-{refund}")]
        case _:
            return []

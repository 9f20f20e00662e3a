"""An attempt to pay that came to nothing lets the order wait on, until its own deadline.

Captured payments need no process: capture and order are one change. Late ones are returned by payment itself.
"""

from pasar.contexts.ordering.contract import EndPaymentAttempt
from pasar.contexts.payment.contract import PaymentExpired, PaymentFailed
from pasar.kernel.messages import Refusal, Value
from pasar.kernel.process import Next, Process
from pasar.kernel.store import Recorded


class Nothing(Value):
    """This process remembers nothing."""


def ended(heard: Recorded, memory: Nothing) -> Next:
    assert isinstance(heard.event, PaymentFailed | PaymentExpired)
    return Next(send=[EndPaymentAttempt(order_no=heard.event.order_no, payment=heard.event.payment)])


def order_went_on(command: EndPaymentAttempt, refusal: Refusal, memory: Nothing) -> Next:
    return Next()


pay_order = Process(
    "pay_order",
    key={PaymentFailed: "order_no", PaymentExpired: "order_no"},
    memory=Nothing(),
    on={PaymentFailed: ended, PaymentExpired: ended},
    refused={EndPaymentAttempt: order_went_on},
)

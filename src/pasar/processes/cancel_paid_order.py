"""A paid order is cancelled before it left: its pieces go back to the shelf, and its money to the buyer.

The order itself gives back stock promises, coupons and points in the change that cancels it.
"""

from pasar.contexts.fulfillment.contract import Deallocate
from pasar.contexts.ordering.contract import OrderCanceled
from pasar.contexts.payment.contract import RequestRefund
from pasar.kernel.messages import Command, Refusal, Value
from pasar.kernel.process import Next, Process
from pasar.kernel.store import Recorded


class Nothing(Value):
    """This process remembers nothing."""


def canceled(heard: Recorded, memory: Nothing) -> Next | None:
    event = heard.event
    assert isinstance(event, OrderCanceled)
    if not event.was_paid:
        return None
    send: list[Command] = []
    if event.payment is not None and event.total > 0:
        why = f"order canceled: {event.reason}"
        send.append(RequestRefund(payment=event.payment, refund=heard.id, amount=event.total, reason=why))
    return Next(send=[*send, Deallocate(order_no=event.order_no, reason=event.reason)])


def nothing_allocated(command: Deallocate, refusal: Refusal, memory: Nothing) -> Next:
    return Next()


cancel_paid_order = Process(
    "cancel_paid_order",
    key={OrderCanceled: "order_no"},
    memory=Nothing(),
    on={OrderCanceled: canceled},
    refused={Deallocate: nothing_allocated},
)

"""From paid to completed: what fulfilment reports moves the order on; time confirms and completes it; finance gets
its cue.

Given an order is allocated, picked, packed, shipped or delivered, then the order says so. Delivered and seven days
quiet: confirmed for the buyer. Confirmed: the money is shared out, and after a further period the order is complete.
While an after-sale case is open, time does not pass. What no warehouse can send is cancelled.
"""

from datetime import timedelta

from pasar.contexts.finance.contract import RecognizeRevenue, Share
from pasar.contexts.fulfillment.contract import Allocated, AllocationFailed, ParcelMoved
from pasar.contexts.ordering.contract import (
    AfterSaleClosed,
    AfterSaleOpened,
    CancelPaidOrder,
    CompleteOrder,
    ConfirmOrder,
    MarkAllocated,
    MarkStage,
    OrderCanceled,
    OrderCompleted,
    OrderConfirmed,
    OrderStageReached,
    StoreShare,
)
from pasar.kernel.messages import Refusal, Value
from pasar.kernel.money import rounded
from pasar.kernel.process import Deadline, Next, Process, ProcessWoken
from pasar.kernel.store import Recorded

AGAIN = timedelta(days=1)


class Progress(Value):
    open_cases: int = 0


def share(part: StoreShare, currency: str) -> Share:
    """Commission on the goods, rounded half up; the seller gets all the rest, so that nothing is lost."""
    commission = min(part.gross, rounded(part.commission_base * part.commission_rate, currency))
    seller = part.gross - commission
    return Share(store=part.store, gross=part.gross, commission=commission, seller=seller, base=part.commission_base)


def _allocated(heard: Recorded, memory: Progress) -> Next:
    assert isinstance(heard.event, Allocated)
    return Next(send=[MarkAllocated(order_no=heard.event.order_no)])


def _unallocatable(heard: Recorded, memory: Progress) -> Next:
    assert isinstance(heard.event, AllocationFailed)
    return Next(send=[CancelPaidOrder(order_no=heard.event.order_no, reason="not_allocatable")])


def _moved(heard: Recorded, memory: Progress) -> Next | None:
    assert isinstance(heard.event, ParcelMoved)
    stage = heard.event.order_stage
    return Next(send=[MarkStage(order_no=heard.event.order_no, stage=stage)]) if stage else None


def _case_opened(heard: Recorded, memory: Progress) -> Next:
    return Next(memory=Progress(open_cases=memory.open_cases + 1))


def _case_closed(heard: Recorded, memory: Progress) -> Next:
    return Next(memory=Progress(open_cases=max(0, memory.open_cases - 1)))


def _over(heard: Recorded, memory: Progress) -> Next:
    return Next(done=True)


def _not_now(command: object, refusal: Refusal, memory: Progress) -> Next | None:
    """The order was cancelled, or went on without us: nothing is left to say."""
    return Next()


def fulfill_order(confirm_after: timedelta, complete_after: timedelta) -> Process:
    """The process, with this deployment's periods."""

    def reached(heard: Recorded, memory: Progress) -> Next | None:
        assert isinstance(heard.event, OrderStageReached)
        if heard.event.stage != "DELIVERED":
            return None
        return Next(set=[Deadline("confirm", heard.at + confirm_after)])

    def confirm(heard: Recorded, memory: Progress) -> Next:
        assert isinstance(heard.event, ProcessWoken)
        if memory.open_cases:
            return Next(set=[Deadline("confirm", heard.at + AGAIN)])
        order_no = heard.event.process.partition(":")[2]
        return Next(send=[ConfirmOrder(order_no=order_no, by_buyer=False, now=heard.at)])

    def confirmed(heard: Recorded, memory: Progress) -> Next:
        event = heard.event
        assert isinstance(event, OrderConfirmed)
        shares = tuple(share(part, event.currency) for part in event.shares if part.gross > 0)
        recognize = RecognizeRevenue(
            order_no=event.order_no, currency=event.currency, shares=shares, confirmed_at=heard.at
        )
        return Next(
            send=[recognize] if shares else (),
            clear=["confirm"],
            set=[Deadline("complete", heard.at + complete_after)],
        )

    def complete(heard: Recorded, memory: Progress) -> Next:
        assert isinstance(heard.event, ProcessWoken)
        if memory.open_cases:
            return Next(set=[Deadline("complete", heard.at + AGAIN)])
        return Next(send=[CompleteOrder(order_no=heard.event.process.partition(":")[2])])

    return Process(
        "fulfill_order",
        key=dict.fromkeys(
            (
                *(Allocated, AllocationFailed, ParcelMoved, OrderStageReached, OrderConfirmed, OrderCompleted),
                *(OrderCanceled, AfterSaleOpened, AfterSaleClosed),
            ),
            "order_no",
        ),
        memory=Progress(),
        on={
            Allocated: _allocated,
            AllocationFailed: _unallocatable,
            ParcelMoved: _moved,
            OrderStageReached: reached,
            OrderConfirmed: confirmed,
            OrderCompleted: _over,
            OrderCanceled: _over,
            AfterSaleOpened: _case_opened,
            AfterSaleClosed: _case_closed,
        },
        due={"confirm": confirm, "complete": complete},
        refused={
            MarkAllocated: _not_now,
            MarkStage: _not_now,
            ConfirmOrder: _not_now,
            CompleteOrder: _not_now,
            CancelPaidOrder: _not_now,
        },
    )

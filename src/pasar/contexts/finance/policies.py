"""What finance does by itself: refunds are taken back from who got the money, Mondays propose, approved runs pay."""

from collections.abc import Sequence

from pasar.contexts.aftersales.contract import RefundDue
from pasar.kernel.bus import Bus
from pasar.kernel.delivery import Retry
from pasar.kernel.messages import Command
from pasar.kernel.policies import Policy, Reaction
from pasar.kernel.store import Reader, Recorded
from pasar.refusals import AlreadySettled, PayableTooSmall

from . import facade
from .calendar import calendar
from .contract import CloseRun, PaySeller, RevenueRecognized, RunApproved, StartCalendar, WeekTurned
from .settings import FinanceSettings


async def take_back(recorded: Recorded, bus: Bus) -> Sequence[Command]:
    """Only of what was shared out before; else the order's liability still has it all."""
    due = recorded.event
    assert isinstance(due, RefundDue)
    if not due.settled or not (due.refund or due.platform_part):
        return []
    try:
        done = await facade.take_back(bus, due)
    except PayableTooSmall as refused:
        raise Retry(refused.detail) from None
    if not done:
        raise Retry(f"the money of order {due.order_no} is about to be shared out")
    return []


async def start(recorded: Recorded, bus: Bus) -> Sequence[Command]:
    """The first sale in a currency starts its Mondays."""
    event = recorded.event
    assert isinstance(event, RevenueRecognized)
    zone = bus.settings.section(FinanceSettings).time_zone
    known = await bus.db.state(calendar, event.currency)
    if known is not None and known.time_zone == zone:
        return []
    return [StartCalendar(calendar=event.currency, time_zone=zone, at=recorded.at)]


async def propose(recorded: Recorded, bus: Bus) -> Sequence[Command]:
    event = recorded.event
    assert isinstance(event, WeekTurned)
    await facade.propose_run(bus, event.cut_off, event.calendar)
    return []


def pay(recorded: Recorded, ask: Reader) -> Sequence[Command]:
    """Each seller in a change of its own, which claims the orders that it pays: done twice or stopped anywhere, a run
    pays every line once. Where a refund has made a payable smaller since the run was proposed, that seller's payment
    is refused and the next run finds those orders again."""
    event = recorded.event
    assert isinstance(event, RunApproved)
    payments = [
        PaySeller(
            settlement=f"{event.run}:{due.store}",
            run=event.run,
            store=due.store,
            seller=due.seller,
            currency=event.currency,
            amount=due.amount,
            debt_netted=due.debt_netted,
            orders=due.orders,
        )
        for due in event.settlements
        if not due.held_back
    ]
    return [*payments, CloseRun(run=event.run)]


paying = Policy("finance.paying", on={RunApproved: pay}, ignore=(PayableTooSmall, AlreadySettled))
taking_back = Reaction("finance.take_back", on={RefundDue: take_back})
mondays = Reaction("finance.mondays", on={RevenueRecognized: start, WeekTurned: propose})

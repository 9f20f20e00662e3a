"""What staff do with parked money."""

from uuid import UUID

from pasar.contexts.ordering import facade as ordering
from pasar.contexts.ordering.contract import MarkPaid
from pasar.kernel.access import Principal
from pasar.kernel.bus import Bus
from pasar.kernel.store import Reader
from pasar.refusals import OrderNotFound, ParkedNotFound

from .contract_staff import (
    AttachParked,
    CaptureParked,
    ParkedMoney,
    ParkedOpened,
    ProposeAttach,
    ReturnParked,
)
from .parked import Case, answer, parked


async def show(db: Reader, case: UUID) -> ParkedMoney:
    found = await db.state(parked, case)
    shown = None if found is None else answer(found)
    if shown is None:
        raise ParkedNotFound(f"no money is parked as {case}")
    return shown


async def give_back(bus: Bus, who: Principal, case: UUID) -> ParkedMoney:
    return await bus.send(ReturnParked(parked=case, by=who.id))


async def propose(bus: Bus, who: Principal, case: UUID, order_no: str) -> ParkedMoney:
    """For an order that exists; whether it can still be paid is judged when a second person agrees."""
    await _title(bus.db, order_no)
    return await bus.send(ProposeAttach(parked=case, order_no=order_no, by=who.id))


async def attach(bus: Bus, who: Principal, case: UUID, order_no: str) -> ParkedMoney:
    """The case, the payment and the order change together, or not at all: an order that cannot be paid any more, or
    costs another amount, leaves the money parked."""
    found = await bus.db.state(parked, case) or Case()
    opened: ParkedOpened | None = found.opened
    if opened is None:
        raise ParkedNotFound(f"no money is parked as {case}")
    buyer, title = await _title(bus.db, order_no)
    money = {"gateway": opened.gateway, "amount": opened.amount, "currency": opened.currency}
    paid = {"order_no": order_no, "payment": opened.payment, **money}
    capture = CaptureParked(**paid, buyer=buyer, provider_ref=opened.provider_ref, title=title, at=bus.now())
    agreed = AttachParked(parked=case, order_no=order_no, by=who.id)
    return await bus.send_together(agreed, capture, MarkPaid(**paid))


async def _title(db: Reader, order_no: str) -> tuple[UUID, str]:
    placed = (await ordering.order(db, order_no)).placed
    if placed is None:
        raise OrderNotFound(f"there is no order {order_no}")
    return placed.buyer, placed.lines[0].title

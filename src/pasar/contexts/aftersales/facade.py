"""Asking for returns, deciding on them, and finding them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from pasar.contexts.fulfillment import facade as fulfillment
from pasar.contexts.fulfillment.contract import Parcel
from pasar.contexts.inventory import facade as inventory
from pasar.contexts.ordering import facade as ordering
from pasar.contexts.ordering.contract import OpenAfterSale, OrderPlaced
from pasar.kernel.access import Principal
from pasar.kernel.bus import Bus
from pasar.kernel.store import Reader
from pasar.kernel.web import Cursor, Page, Paging
from pasar.refusals import (
    OrderNotFound,
    ReturnAboveBought,
    ReturnNotFound,
    ReturnsMeet,
    ReturnStateForbids,
    ReturnWindowOver,
)
from pasar.vocabulary import OrderNo, StoreId

from .contract import (
    MAX_CASES,
    ApproveReturn,
    Arrival,
    CaseId,
    CaseState,
    NewReturn,
    PricedReturnLine,
    ReceiveReturn,
    RejectReturn,
    RequestReturn,
    RetryCase,
    ReturnCase,
    WithdrawReturn,
)
from .return_case import OVER, Case, answer, cases_of_order, return_case
from .settings import AftersalesSettings
from .worth import Bought, Priced, Taken, Worth, price, shared_points

TRIES = 8
EVERYWHERE = ("admin", "finance", "warehouse")
"""Staff who see the cases of all stores."""
STAFF = (*EVERYWHERE, "seller", "manager")
DECIDERS = ("seller", "manager", "admin")
"""Staff who decide on cases of their stores."""
FAULTS = frozenset({"damaged", "defective", "wrong_item", "not_as_described", "not_received", "late"})
"""Reasons that the seller answers for."""
ON_ITS_WAY = frozenset({"PARTIAL_SHIPPED", "SHIPPED", "IN_TRANSIT", "DELIVERED", "CONFIRMED", "COMPLETED"})
CONFIRMED = frozenset({"CONFIRMED", "COMPLETED"})
_SYSTEM = Principal(id="aftersales", kind="system", roles=frozenset({"admin"}))


class OwnCases(Paging):
    """A page of one's own cases."""


class FindCases(Paging):
    """What staff look for."""

    state: CaseState | None = None
    store: StoreId | None = None
    order_no: OrderNo | None = None


async def request(bus: Bus, who: Principal, order_no: OrderNo, wish: NewReturn) -> ReturnCase:
    """Ask for money back. Case and order change together, so an order with an open case is never confirmed; cases of
    one order are numbered by a claim, so that each is priced from what all before it have left."""
    for _ in range(TRIES):
        try:
            command = await _request(bus, who, order_no, wish)
            return await bus.send_together(command, OpenAfterSale(order_no=order_no, case=command.case))
        except ReturnsMeet:
            continue
    raise ReturnsMeet()


async def _request(bus: Bus, who: Principal, order_no: OrderNo, wish: NewReturn) -> RequestReturn:
    order = await ordering.order(bus.db, order_no)
    placed = order.placed
    if placed is None or not _may_ask(who, placed, wish):
        raise OrderNotFound(f"there is no order {order_no}")
    if order.state not in ON_ITS_WAY:
        raise ReturnStateForbids(
            f"order {order_no} is {order.state}; while it has not left, cancel it", state=order.state
        )
    parcels = await _parcels(bus.db, order_no)
    settings, now = bus.settings.section(AftersalesSettings), bus.now()
    _check_window(settings, wish.reason_code, parcels, now)
    number, earlier = await _earlier(bus.db, order_no)
    with_freight = settings.refund_freight == "always" or (
        settings.refund_freight == "fault" and wish.reason_code in FAULTS
    )
    bought, freight = _bought(placed, parcels)
    priced: Priced = price(wish.lines, bought, freight, earlier, placed.currency, with_freight=with_freight)
    return RequestReturn(
        case=bus.ids.uuid(),
        order_no=order_no,
        buyer=placed.buyer,
        kind=wish.kind,
        payment=order.payment,
        currency=placed.currency,
        lines=priced.lines,
        freight_refund=priced.freight.refund,
        freight_platform_part=priced.freight.platform_part,
        freight_points=priced.freight.points,
        reason=wish.reason,
        reason_code=wish.reason_code,
        number=number,
        settled=order.state in CONFIRMED,
        at=now,
    )


def _may_ask(who: Principal, placed: OrderPlaced, wish: NewReturn) -> bool:
    """The buyer; and on the buyer's word (a telephone call) who decides on returns of all that is to come back."""
    if str(placed.buyer) == who.id or who.has("admin"):
        return True
    stores = {line.line_id: line.store for line in placed.lines}
    return who.has(*DECIDERS) and all(stores.get(line.line_id) in who.stores for line in wish.lines)


async def _parcels(db: Reader, order_no: OrderNo) -> tuple[Parcel, ...]:
    try:
        return (await fulfillment.of_order(db, order_no, _SYSTEM)).parcels
    except OrderNotFound:
        return ()


def _check_window(settings: AftersalesSettings, reason: str, parcels: Sequence[Parcel], now: datetime) -> None:
    """The time runs from when the last parcel was delivered; what is still on its way can always go back."""
    times = [parcel.times.get("delivered") for parcel in parcels if parcel.state != "canceled"]
    delivered = [at for at in times if at is not None]
    if not delivered or len(delivered) < len(times):
        return
    days = settings.fault_days if reason in FAULTS else settings.withdrawal_days
    until = max(delivered) + timedelta(days=days)
    if now > until:
        raise ReturnWindowOver(f"for that reason goods go back within {days} days of delivery", until=until, days=days)


async def _earlier(db: Reader, order_no: OrderNo) -> tuple[int, list[Taken]]:
    """The number of the next case, and what those before it took."""
    keys = [f"{order_no}:{number}" for number in range(1, MAX_CASES + 1)]
    claimed = await db.claimed(cases_of_order.kind, keys)
    if len(claimed) >= MAX_CASES:
        raise ReturnAboveBought(f"order {order_no} has had {MAX_CASES} cases")
    states: dict[str, Case] = await db.states(return_case, claimed.values())
    taken = []
    for case in states.values():
        asked = case.asked
        if asked is not None and case.state not in OVER:
            worth = Worth(
                refund=asked.freight_refund,
                platform_part=asked.freight_platform_part,
                points=asked.points - sum(line.points for line in asked.lines),
            )
            taken.append(Taken(lines=asked.lines, freight=worth))
    return len(claimed) + 1, taken


def _bought(placed: OrderPlaced, parcels: Sequence[Parcel]) -> tuple[list[Bought], Worth]:
    """The order's lines with what was paid for them; all else that was paid is freight."""
    nothing = Decimal(0)
    by_platform = placed.points_amount + sum((use.discount for use in placed.coupons if use.platform_funded), nothing)
    weights = [line.points_discount for line in placed.lines]
    weights.append(placed.points_amount - sum(weights, nothing))
    points = shared_points(placed.points, weights)
    lines = []
    for line, its_points in zip(placed.lines, points, strict=False):
        tax = line.tax if placed.tax_added else nothing
        worth = Worth(
            refund=line.amount - line.discount - line.points_discount + tax,
            platform_part=line.platform_discount + line.points_discount,
            points=its_points,
            tax=tax,
        )
        batch = line.batch or _batch(line.line_id, parcels)
        fields = {"line_id": line.line_id, "sku": line.sku, "store": line.store, "quantity": line.quantity}
        lines.append(Bought(**fields, worth=worth, batch=batch))  # type: ignore[arg-type]
    freight = Worth(
        refund=placed.total - sum((line.worth.refund for line in lines), nothing),
        platform_part=by_platform - sum((line.worth.platform_part for line in lines), nothing),
        points=points[-1],
    )
    return lines, freight


def _batch(line_id: str, parcels: Sequence[Parcel]) -> str | None:
    """The batch that a line was sent from, if it was one."""
    batches = {pick.batch for parcel in parcels for pick in parcel.picks if pick.line_id == line_id}
    return batches.pop() if len(batches) == 1 else None


# Looking.


async def seen(db: Reader, who: Principal, case: CaseId) -> ReturnCase:
    """A case of one's own or, for staff, with lines of their stores; another is as if it were not there."""
    return (await _visible(db, who, case))[1]


async def _visible(db: Reader, who: Principal, case: CaseId) -> tuple[Case, ReturnCase]:
    state = await db.state(return_case, case)
    found = None if state is None else answer(state)
    if state is None or found is None:
        raise ReturnNotFound(f"there is no return {case}")
    if str(found.buyer) == who.id or who.has(*EVERYWHERE):
        return state, found
    lines = _of_stores(found.lines, who)
    if not lines:
        raise ReturnNotFound(f"there is no return {case}")
    return state, _narrowed(found, lines)


def _of_stores(lines: Sequence[PricedReturnLine], who: Principal) -> tuple[PricedReturnLine, ...]:
    return tuple(line for line in lines if line.store in who.stores) if who.has("seller", "manager") else ()


def _narrowed(case: ReturnCase, lines: tuple[PricedReturnLine, ...]) -> ReturnCase:
    """What a seller sees of a case in which there are lines of others."""
    if len(lines) == len(case.lines):
        return case
    fields = {name: getattr(case, name) for name in ReturnCase.__struct_fields__}
    refund = sum((line.refund for line in lines), Decimal(0))
    points = sum(line.points for line in lines)
    return ReturnCase(**{**fields, "lines": lines, "refund": refund, "freight_refund": Decimal(0), "points": points})


async def own(db: Reader, who: Principal, query: OwnCases) -> Page[ReturnCase]:
    """The caller's cases, newest first, right at once."""
    after = Cursor.read(query.cursor, tuple[datetime, str])
    found = await db.owned(return_case, who.id, limit=query.limit + 1, after=after)
    shown = found[: query.limit]
    items = [case for one in shown if (case := answer(one.state)) is not None]
    more = len(found) > query.limit
    return Page(items=items, next=Cursor.write((shown[-1].opened_at, shown[-1].id)) if more else None)


async def find(db: Reader, who: Principal, query: FindCases) -> Page[ReturnCase]:
    """Cases that staff look for, newest first; sellers see their stores'."""
    stores = None if who.has(*EVERYWHERE) else who.stores
    if query.store is not None:
        stores = frozenset({query.store} if stores is None or query.store in stores else ())
    after = Cursor.read(query.cursor, tuple[datetime, UUID]) or (None, None)
    rows = await db.fetch(
        """select "case", requested_at from aftersales.cases
            where tenant = $1 and ($2::text[] is null or stores && $2) and ($3::text is null or state = $3)
              and ($4::text is null or order_no = $4)
              and ($5::timestamptz is null or (requested_at, "case") < ($5, $6))
            order by requested_at desc, "case" desc limit $7""",
        *(db.tenant, None if stores is None else sorted(stores), query.state, query.order_no, *after),
        query.limit + 1,
    )
    shown = rows[: query.limit]
    states = await db.states(return_case, [row["case"] for row in shown])
    items = []
    for state in states.values():
        if (case := answer(state)) is not None:
            items.append(case if who.has(*EVERYWHERE) else _narrowed(case, _of_stores(case.lines, who)))
    more = len(rows) > query.limit
    return Page(items=items, next=Cursor.write((shown[-1]["requested_at"], shown[-1]["case"])) if more else None)


# Deciding.


async def withdraw(bus: Bus, who: Principal, case: CaseId) -> ReturnCase:
    _, found = await _visible(bus.db, who, case)
    if str(found.buyer) != who.id:
        raise ReturnNotFound(f"there is no return {case}")
    return await bus.send(WithdrawReturn(case=case, at=bus.now()))


async def approve(bus: Bus, who: Principal, case: CaseId) -> ReturnCase:
    """Goods may come back; where they need not, the money goes back now."""
    asked = await _decidable(bus.db, who, case)
    settled = await _is_settled(bus.db, asked.order_no)
    return await bus.send(ApproveReturn(case=case, by=who.id, settled=settled, at=bus.now()))


async def reject(bus: Bus, who: Principal, case: CaseId, reason: str) -> ReturnCase:
    await _decidable(bus.db, who, case)
    return await bus.send(RejectReturn(case=case, by=who.id, reason=reason, at=bus.now()))


async def receive(bus: Bus, who: Principal, case: CaseId, arrival: Arrival) -> ReturnCase:
    """The goods are back; the money goes back now. Put on the shelf again where they can be sold."""
    asked = await _decidable(bus.db, who, case)
    await inventory.need_warehouses(bus.db, arrival.warehouse)
    expired = await inventory.expired_of(bus, [(line.sku, line.batch) for line in asked.lines if line.batch])
    settled = await _is_settled(bus.db, asked.order_no)
    received = {"warehouse": arrival.warehouse, "restock": arrival.restock, "expired": expired}
    return await bus.send(ReceiveReturn(case=case, settled=settled, at=bus.now(), **received))


async def retry(bus: Bus, who: Principal, case: CaseId) -> ReturnCase:
    """The provider refused; it is asked again."""
    await _decidable(bus.db, who, case)
    return await bus.send(RetryCase(case=case))


async def _decidable(db: Reader, who: Principal, case: CaseId) -> ReturnCase:
    """A case that somebody may decide on: of which every line is of their stores."""
    state, found = await _visible(db, who, case)
    if not who.has(*EVERYWHERE) and (
        state.asked is None or len(_of_stores(state.asked.lines, who)) < len(state.asked.lines)
    ):
        raise ReturnNotFound(f"return {case} is not of your stores alone; the operator decides on it")
    return found


async def _is_settled(db: Reader, order_no: OrderNo) -> bool:
    """Whether the order's money was shared out, or is just being: from confirmation on. As long as a case is open that
    does not change."""
    return (await ordering.order(db, order_no)).state in CONFIRMED

"""Returns and refunds over HTTP: for buyers, and for staff who decide on them."""

from pasar.kernel.access import Principal, signed_in, staff
from pasar.kernel.bus import Bus
from pasar.kernel.store import Reader
from pasar.kernel.web import Page, route
from pasar.refusals import (
    OrderNotFound,
    OrderStateForbids,
    ReturnAboveBought,
    ReturnNotFound,
    ReturnsMeet,
    ReturnStateForbids,
    ReturnWindowOver,
    WarehouseUnknown,
)
from pasar.vocabulary import OrderNo

from . import facade
from .contract import Arrival, CaseId, NewReturn, Rejection, ReturnCase
from .facade import FindCases, OwnCases

_staff = staff(*facade.STAFF)
_deciders = staff(*facade.DECIDERS)
_DECIDING = [ReturnNotFound, ReturnStateForbids]


@route("POST", "/api/v1/orders/{order_no}/returns", policy=signed_in, key="required", status=201, lane="cart",
       refuses=[OrderNotFound, OrderStateForbids, ReturnStateForbids, ReturnAboveBought, ReturnWindowOver, ReturnsMeet],
       example={"kind": "return", "lines": [{"line_id": "1", "quantity": 1}], "reason_code": "damaged",
                "reason": "two apples are rotten"})  # fmt: skip
async def request(order_no: OrderNo, body: NewReturn, bus: Bus, who: Principal) -> ReturnCase:
    """Ask for your money back, for some units or all. Staff who decide on returns may ask on the buyer's word.

    `refund` is what you would get: your share of what you paid, discounts considered. Freight goes back with the last
    unit where the seller is at fault. An order that has not left yet is cancelled instead.
    """
    return await facade.request(bus, who, order_no, body)


@route("GET", "/api/v1/returns", policy=signed_in)
async def own(query: OwnCases, db: Reader, who: Principal) -> Page[ReturnCase]:
    """Your own returns, newest first."""
    return await facade.own(db, who, query)


@route("GET", "/api/v1/returns/{case}", policy=signed_in, refuses=[ReturnNotFound])
async def seen(case: CaseId, db: Reader, who: Principal) -> ReturnCase:
    """A return: yours or, for staff, one of your stores' goods."""
    return await facade.seen(db, who, case)


@route("POST", "/api/v1/returns/{case}/withdraw", policy=signed_in, key="required", refuses=_DECIDING)
async def withdraw(case: CaseId, bus: Bus, who: Principal) -> ReturnCase:
    """Keep the goods after all, as long as no money is on its way."""
    return await facade.withdraw(bus, who, case)


@route("GET", "/api/v1/staff/returns", policy=_staff, lane="reports")
async def find(query: FindCases, db: Reader, who: Principal) -> Page[ReturnCase]:
    """Returns of goods of the stores that you work for (of all, for the operator's staff), newest first."""
    return await facade.find(db, who, query)


@route("POST", "/api/v1/staff/returns/{case}/approve", policy=_deciders, key="required", refuses=_DECIDING)
async def approve(case: CaseId, bus: Bus, who: Principal) -> ReturnCase:
    """Accept a return. The money goes back when the goods are here, or now where they need not come."""
    return await facade.approve(bus, who, case)


@route("POST", "/api/v1/staff/returns/{case}/reject", policy=_deciders, key="required", refuses=_DECIDING,
       example={"reason": "the goods were used"})  # fmt: skip
async def reject(case: CaseId, body: Rejection, bus: Bus, who: Principal) -> ReturnCase:
    """Do not accept a return, and say why."""
    return await facade.reject(bus, who, case, body.reason)


@route("POST", "/api/v1/staff/returns/{case}/receive", policy=staff("seller", "manager", "admin", "warehouse"),
       key="required", refuses=[*_DECIDING, WarehouseUnknown],
       example={"warehouse": "icheon", "restock": True})  # fmt: skip
async def receive(case: CaseId, body: Arrival, bus: Bus, who: Principal) -> ReturnCase:
    """The goods are back: the money goes back now, the goods on the shelf if they can be sold again."""
    return await facade.receive(bus, who, case, body)


@route("POST", "/api/v1/staff/returns/{case}/retry", policy=staff("admin", "finance"), key="required",
       refuses=_DECIDING)  # fmt: skip
async def retry(case: CaseId, bus: Bus, who: Principal) -> ReturnCase:
    """Ask the provider once more for a refund that failed."""
    return await facade.retry(bus, who, case)

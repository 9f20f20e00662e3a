"""Where the money of an order came from and went: from the shopper's payment to the sellers' payout, each posting.

Read from log and journal alone, so that what is shown is what the books say.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import mark
from pasar.apps.pages.visit import Visit
from pasar.contexts.aftersales import facade as aftersales
from pasar.contexts.finance import facade as finance
from pasar.contexts.ordering import facade as ordering
from pasar.contexts.payment import facade as payment
from pasar.contexts.payment.contract_staff import FindPayments
from pasar.kernel.history import Happened, Posting, happened, postings
from pasar.kernel.ledger import Phase
from pasar.kernel.messages import convert
from pasar.kernel.money import BadMoney, digits, major

from .desk import money

FAMILIES = {
    "clearing": mark("Owed by the payment provider"),
    "liability": mark("Held for the order"),
    "payable": mark("Due to the seller"),
    "commission": mark("Our commission"),
    "bank": mark("Paid out by bank"),
    "platform_discounts": mark("Paid by the platform"),
    "late_money": mark("Came too late"),
    "seller_debt": mark("Owed by the seller"),
    "debt_open": mark("Debt counted up"),
    "debts": mark("Other side of debts"),
    "promises": mark("Promises"),
    "pool": mark("May be sold"),
    "sold": mark("Sold, not allocated"),
    "in_carts": mark("In carts"),
    "stock": mark("In the warehouse"),
    "allocated": mark("Allocated to the order"),
    "supplier": mark("From the supplier"),
    "points": mark("Points of the member"),
    "points_issue": mark("Points issued"),
    "points_spent": mark("Points spent"),
    "coupon_tickets": mark("Coupon uses left"),
    "coupon_used": mark("Coupon uses"),
    "returnable": mark("May be returned"),
    "returned": mark("Returned"),
}
PHASES = {
    Phase.HOLD: mark("held"),
    Phase.SETTLE: mark("settled"),
    Phase.RELEASE: mark("released"),
    Phase.MOVE: mark("moved"),
}
MONEY_STEPS = {
    "payment.PaymentCaptured": mark("The shopper paid"),
    "payment.PaymentCapturedLate": mark("Money came too late"),
    "payment.RefundCompleted": mark("Given back to the shopper"),
    "ordering.OrderPaid": mark("The order was paid"),
    "finance.RevenueRecognized": mark("Shared out after confirmation"),
    "finance.RevenueTakenBack": mark("Taken back by a refund"),
    "finance.SellerSettled": mark("Paid out by a settlement run"),
}


class Booked(NamedTuple):
    """A posting as people read it. `is_money` where its unit is a currency; then `amount` is in its digits."""

    event: Happened
    phase: str
    debit: str
    credit: str
    amount: Decimal
    unit: str
    is_money: bool

    @property
    def counts(self) -> bool:
        """Whether both sides changed by it, other than by setting aside."""
        return self.phase in (PHASES[Phase.SETTLE], PHASES[Phase.MOVE])


def family(account: str) -> str:
    """The kind of an account, in words where it has some."""
    name = account.partition(":")[0]
    return FAMILIES.get(name, name)


def rest(account: str) -> str:
    """Whose account it is."""
    return account.partition(":")[2]


def booked(events: Sequence[Happened], posted: Sequence[Posting]) -> list[Booked]:
    """Postings with the events that they come from, in the order of the log."""
    by_position = {event.position: event for event in events}
    found = []
    for one in posted:
        try:
            digits(one.unit)
        except BadMoney:
            is_money, amount = False, Decimal(one.amount)
        else:
            is_money, amount = True, major(one.amount, one.unit)
        event = by_position[one.position]
        found.append(Booked(event, PHASES[one.phase], one.debit, one.credit, amount, one.unit, is_money))
    return found


async def streams_of(visit: Visit, order_no: str) -> list[tuple[str, str]]:
    """All streams that have to do with an order: its own, payments, parcels, cases, revenue, and what paid it out."""
    db, who = visit.db, visit.who
    found = [(kind, order_no) for kind in ("ordering.order", "fulfillment.fulfillment", "finance.revenue")]
    payments = await payment.find(db, convert({"order_no": order_no, "limit": 50}, FindPayments))
    found += [("payment.payment", str(one.payment)) for one in payments.items]
    cases = await aftersales.find(db, who, convert({"order_no": order_no, "limit": 50}, aftersales.FindCases))
    found += [("aftersales.return_case", str(one.case)) for one in cases.items]
    for share in await finance.shares_of(db, order_no, None):
        if share.settled_run is not None:
            found.append(("finance.settlement", f"{share.settled_run}:{share.store}"))
            found.append(("finance.run", share.settled_run))
    return found


def concerns(posting: Booked, order_no: str) -> bool:
    """A settlement books many orders at once: only its postings that name this one."""
    if not posting.event.kind.startswith("finance.settlement"):
        return True
    return order_no in posting.debit.split(":") or order_no in posting.credit.split(":")


@page("GET", "/console/orders/{order_no}/money", policy=money, lane="reports")
async def trail(visit: Visit) -> Response:
    """One order's money, from the payment to the payout."""
    order_no = visit.path["order_no"]
    seen = await ordering.seen(visit.bus(), visit.who, order_no, "canonical")
    events = await happened(visit.db, await streams_of(visit, order_no))
    posted = booked(events, await postings(visit.db, [event.position for event in events]))
    all_postings = [one for one in posted if concerns(one, order_no)]
    return visit.render(
        "console/money.html",
        order=seen,
        events=events,
        trail=[one for one in all_postings if one.is_money and one.counts],
        postings=all_postings,
        shares=await finance.shares_of(visit.db, order_no, None),
        steps=MONEY_STEPS,
        family=family,
        rest=rest,
    )

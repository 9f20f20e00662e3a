"""Settlement: weekly runs, approved by a second person, with lines and the bank's file; and each store's account."""

from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from pasar.apps.pages.page import page
from pasar.apps.pages.sentences import mark
from pasar.apps.pages.visit import Visit
from pasar.contexts.finance import facade as finance
from pasar.contexts.finance.contract import NewRun, RejectRun
from pasar.kernel.access import staff
from pasar.refusals import StoreNotFound

from .desk import checked, mall_of, money, settled
from .sign_in import ask_again

PAGE = 25
HELD_BACK = {
    "below_minimum": mark("Below the minimum: carries over"),
    "kyc": mark("Seller not verified"),
    "debt": mark("Eaten up by debt"),
}


class SettlementQuery(msgspec.Struct):
    cursor: Annotated[str, Meta(max_length=1024)] | None = None
    format: Annotated[str, Meta(max_length=10)] = "pain.001"


@page("GET", "/console/settlement", policy=settled, lane="reports")
async def runs(visit: Visit) -> Response:
    """Finance sees the runs; a seller the accounts of their stores."""
    if not money.check(visit.who, {}):
        stores = visit.view["own_stores"]
        if len(stores) == 1:
            return visit.go(f"/console/settlement/stores/{stores[0].store}")
        return visit.render("console/settlement.html", runs=[], next=None, stores=stores, currencies=())
    asked = visit.query(SettlementQuery)
    found = await finance.runs(visit.db, checked({"limit": PAGE, "cursor": asked.cursor}, finance.FindRuns))
    stores = list(mall_of(visit).stores.values())
    currencies = sorted({store.settlement_currency for store in stores})
    return visit.render(
        "console/settlement.html", runs=found.items, next=found.next, stores=stores, currencies=currencies
    )


@page("POST", "/console/settlement", policy=money)
async def propose(visit: Visit) -> Response:
    """Propose the run of the last Monday, where the calendar has not."""
    currency = checked({"currency": visit.text("currency")}, NewRun).currency
    bus = visit.bus()
    run = await finance.propose_run(bus, bus.now(), currency, visit.who.id)
    if run.state == "empty":
        visit.say(mark("Nobody is to be paid: the run ends by itself."))
    else:
        visit.say(mark("The run is proposed. A second person lets it be paid."))
    return visit.go(f"/console/settlement/{run.run}")


@page("GET", "/console/settlement/{run}", policy=money)
async def run(visit: Visit) -> Response:
    """A run with what each store gets, and out of which orders."""
    found = await finance.run_of(visit.db, visit.path["run"])
    return visit.render(
        "console/run.html",
        run=found,
        names=mall_of(visit).stores,
        held_back=HELD_BACK,
        is_second=found.proposed_by != visit.who.id,
        paid=[one for one in found.settlements if not one.held_back],
        has_file=found.state == "paid" and visit.who.has("finance"),
    )


@page("POST", "/console/settlement/{run}", policy=money, lane="checkout")
async def decide(visit: Visit) -> Response:
    """Let a run be paid, or not."""
    id, act = visit.path["run"], visit.text("act")
    found = await finance.run_of(visit.db, id)
    if act == "approve":
        title = visit.language.say("Approve the run %(run)s", run=id)
        if (asked := await ask_again(visit, title, mark("Its sellers are paid. That cannot be undone."))) is not None:
            return asked
        await finance.approve_run(visit.bus(), visit.who, found.run)
        visit.say(mark("Approved. The sellers are being paid."))
    else:
        wish = {"run": id, "rejected_by": visit.who.id, "reason": visit.text("reason")}
        reason = checked(wish, RejectRun).reason
        await finance.reject_run(visit.bus(), visit.who, found.run, reason)
        visit.say(mark("Rejected. What it holds is due again in the next run."))
    return visit.go(f"/console/settlement/{id}")


@page("POST", "/console/settlement/{run}/file", policy=staff("finance"), lane="reports", timeout_s=30)
async def payout_file(visit: Visit) -> Response:
    """The transfers for the bank. It names people and their accounts: that it was taken is recorded."""
    id, form = visit.path["run"], visit.text("format")
    chosen = form if form in ("csv", "pain.001") else "pain.001"
    title = visit.language.say("Take the payout file of %(run)s", run=id)
    consequence = mark("It names sellers and their bank accounts. That you took it is recorded.")
    if (asked := await ask_again(visit, title, consequence)) is not None:
        return asked
    body = await finance.payout_file(visit.bus(), visit.who, id, chosen)
    kind, end = ("text/csv", "csv") if chosen == "csv" else ("application/xml", "xml")
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{id}.{end}"'}
    return Response(body, headers=headers, media_type=kind)


@page("GET", "/console/settlement/stores/{store}", policy=settled, lane="reports")
async def account(visit: Visit) -> Response:
    """What a store is due and owes, order by order."""
    code = visit.path["store"]
    if not money.check(visit.who, {}) and code not in visit.who.stores:
        raise StoreNotFound(f"there is no store {code}")
    asked = visit.query(SettlementQuery)
    balance = await finance.balance(visit.bus(), code, None)
    wish = checked({"limit": PAGE, "cursor": asked.cursor}, finance.OfStore)
    found = await finance.statement(visit.db, code, wish)
    return visit.render(
        "console/account.html", store=mall_of(visit).stores.get(code), code=code, balance=balance, lines=found.items,
        next=found.next,
    )  # fmt: skip

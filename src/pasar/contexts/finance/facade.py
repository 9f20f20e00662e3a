"""Sharing out, taking back, and paying: what finance answers (`db`), and what it does after looking around (`bus`)."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from pasar.accounts import debt_open, payable
from pasar.contexts.aftersales.contract import RefundDue
from pasar.contexts.identity import facade as identity
from pasar.contexts.platform import facade as platform
from pasar.kernel.access import Principal
from pasar.kernel.bus import Bus
from pasar.kernel.messages import Refused
from pasar.kernel.money import Currency, major
from pasar.kernel.store import Reader
from pasar.kernel.web import Cursor, Page, Paging
from pasar.refusals import (
    AccountNotFound,
    PayableTooSmall,
    PayoutAccountMissing,
    RefundAboveCaptured,
    SettlementNotFound,
    SettlementStateForbids,
)
from pasar.vocabulary import OrderNo, StoreId

from .claw_back import Returned, taken_back
from .contract import (
    ApproveRun,
    Balance,
    Due,
    NotePayoutFile,
    OrderShare,
    ProposedSettlement,
    ProposeRun,
    RejectRun,
    Run,
    RunId,
    RunState,
    RunSummary,
    SettledOrder,
    Settlement,
    TakeBackRevenue,
)
from .payout_file import Payer, Payout, as_csv, as_pain001
from .proposal import Seller, proposed
from .revenue import Revenue, revenue
from .run import WeeklyRun, answer, pays, run
from .settings import FinanceSettings
from .settlement import Payment, settlement
from .weeks import monday_after, monday_before, name_of_run

TRIES = 8
EVERYWHERE = ("admin", "finance")
AUTOMATIC = "system"
"""Who proposes Monday's run; whoever approves it is the second person."""
NOTHING = Decimal(0)


class FindRuns(Paging):
    state: RunState | None = None
    currency: Currency | None = None


class OfStore(Paging):
    currency: Currency | None = None


async def is_recognized(db: Reader, order_no: OrderNo) -> bool:
    """Whether the order's money was shared out."""
    found: Revenue | None = await db.state(revenue, order_no)
    return found is not None and found.recognized is not None


# Taking back.


async def take_back(bus: Bus, due: RefundDue) -> bool:
    """Take a refund out of what was shared out. False: it is not shared out yet. Where a run pays at the same time, the
    floor of the payable refuses, and the split is made anew."""
    refused: Refused = PayableTooSmall()
    for _ in range(TRIES):
        known: Revenue | None = await bus.db.state(revenue, due.order_no)
        if known is None or known.recognized is None:
            return False
        if due.case in known.cases:
            return True
        try:
            await bus.send(await _taking_back(bus.db, known, due))
        except (PayableTooSmall, RefundAboveCaptured) as faster:
            refused = faster
        else:
            return True
    raise refused


async def _taking_back(db: Reader, known: Revenue, due: RefundDue) -> TakeBackRevenue:
    shares = taken_back(known.left, _goods(due), due.refund + due.platform_part, due.currency)
    balances = await db.balances([payable(share.store, due.order_no, unit=due.currency) for share in shares])
    parts = [min(share.seller, major(units, due.currency)) for share, units in zip(shares, balances, strict=True)]
    return TakeBackRevenue(order_no=due.order_no, case=due.case, shares=shares, from_payable=tuple(parts))


def _goods(due: RefundDue) -> dict[StoreId, Returned]:
    goods: dict[StoreId, Returned] = {}
    for line in due.lines:
        before = goods.get(line.store, Returned(gross=NOTHING, base=NOTHING))
        gross = line.refund + line.platform_part
        goods[line.store] = Returned(gross=before.gross + gross, base=before.base + gross - line.tax)
    return goods


# Runs.


async def propose_run(bus: Bus, at: datetime, currency: Currency, by: str = AUTOMATIC) -> Run:
    """The run of the last Monday before `at`. One that is there is returned as it is; where it was rejected, or had
    nobody to pay and has now, people may propose another, the calendar does not."""
    settings = bus.settings.section(FinanceSettings)
    cut_off = monday_before(at, settings.time_zone)
    before, last = 0, None
    while True:
        name = name_of_run(cut_off, settings.time_zone, currency, before)
        known: WeeklyRun | None = await bus.db.state(run, name)
        if known is None:
            break
        if known.state not in ("rejected", "empty") or by == AUTOMATIC:
            return _answer(known)
        before, last = before + 1, known
    settlements = await _settlements(bus.db, settings, cut_off, currency)
    if last is not None and last.state == "empty" and not pays(settlements):
        return _answer(last)
    return await bus.send(
        ProposeRun(run=name, currency=currency, cut_off=cut_off, settlements=settlements, proposed_by=by)
    )


def _answer(state: WeeklyRun) -> Run:
    found = answer(state)
    assert found is not None
    return found


async def _settlements(
    db: Reader, settings: FinanceSettings, cut_off: datetime, currency: Currency
) -> tuple[ProposedSettlement, ...]:
    """The view says which orders to look at, the accounts say what they are due now."""
    rows = await db.fetch(
        """select store, order_no from finance.due
            where tenant = $1 and currency = $2 and recognized_at <= $3 and settled_run is null and payable > 0
            order by store, recognized_at, order_no""",
        *(db.tenant, currency, cut_off - timedelta(days=settings.settle_after_days)),
    )
    promised, netted = await _promised(db, currency)
    keys = [(row["store"], row["order_no"]) for row in rows if (row["store"], row["order_no"]) not in promised]
    units = await db.balances([payable(store, order_no, unit=currency) for store, order_no in keys])
    due: dict[StoreId, list[SettledOrder]] = {}
    for (store, order_no), amount in zip(keys, units, strict=True):
        if amount > 0:
            due.setdefault(store, []).append(SettledOrder(order_no=order_no, amount=major(amount, currency)))
    debts = await db.balances([debt_open(store, unit=currency) for store in due])
    owed = {store: major(debt, currency) - netted.get(store, NOTHING) for store, debt in zip(due, debts, strict=True)}
    return proposed(due, owed, await _sellers(db, due), settings.minimum(currency))


async def _promised(db: Reader, currency: Currency) -> tuple[set[tuple[str, str]], dict[str, Decimal]]:
    """What runs that are still to be paid will pay and net: no second run proposes it."""
    rows = await db.fetch(
        """select run from finance.runs
            where tenant = $1 and currency = $2 and state in ('proposed', 'approved')""",
        *(db.tenant, currency),
    )
    states: dict[str, WeeklyRun] = await db.states(run, [row["run"] for row in rows])
    orders: set[tuple[str, str]] = set()
    netted: dict[str, Decimal] = {}
    for state in states.values():
        if state.proposed is not None and state.state in ("proposed", "approved"):
            for one in state.proposed.settlements:
                if not one.held_back:
                    orders.update((one.store, order.order_no) for order in one.orders)
                    netted[one.store] = netted.get(one.store, NOTHING) + one.debt_netted
    return orders, netted


async def _sellers(db: Reader, codes: Iterable[StoreId]) -> dict[StoreId, Seller]:
    stores = await platform.stores(db, codes)
    kyc = await identity.kyc(db, {store.owner for store in stores.values()})
    return {code: Seller(account=store.owner, kyc=kyc[store.owner]) for code, store in stores.items()}


async def approve_run(bus: Bus, who: Principal, id: RunId) -> Run:
    """By a second person; then a policy pays each seller."""
    return await bus.send(ApproveRun(run=id, approved_by=who.id))


async def reject_run(bus: Bus, who: Principal, id: RunId, reason: str) -> Run:
    return await bus.send(RejectRun(run=id, rejected_by=who.id, reason=reason))


async def run_of(db: Reader, id: RunId) -> Run:
    found: WeeklyRun | None = await db.state(run, id)
    if found is None:
        raise SettlementNotFound(f"there is no run {id}")
    return _answer(found)


async def runs(db: Reader, query: FindRuns) -> Page[RunSummary]:
    """Newest first."""
    after = Cursor.read(query.cursor, tuple[datetime, str]) or (None, None)
    items = await db.all(
        RunSummary,
        """select run, state, currency, cut_off, sellers, amount from finance.runs
            where tenant = $1 and ($2::text is null or state = $2) and ($3::text is null or currency = $3)
              and ($4::timestamptz is null or (cut_off, run) < ($4, $5))
            order by cut_off desc, run desc limit $6""",
        *(db.tenant, query.state, query.currency, *after, query.limit + 1),
    )
    shown = items[: query.limit]
    more = len(items) > query.limit
    return Page(items=shown, next=Cursor.write((shown[-1].cut_off, shown[-1].run)) if more else None)


async def payout_file(bus: Bus, who: Principal, id: RunId, format: str) -> bytes:
    """Whom the bank is to pay for a run. That somebody saw the accounts is recorded first."""
    found = await run_of(bus.db, id)
    if found.state != "paid":
        raise SettlementStateForbids(f"run {id} is {found.state}, so not all of it is booked", state=found.state)
    names = [f"{id}:{one.store}" for one in found.settlements if not one.held_back]
    states: dict[str, Payment] = await bus.db.states(settlement, names)
    paid = [state.paid for state in states.values() if state.paid is not None]
    await bus.send(NotePayoutFile(run=id, by=who.id, format=format, entries=len(paid)))
    payouts, missing = [], []
    for one in paid:
        name, account = await _bank_account(bus, one.seller)
        if not account:
            missing.append(one.store)
        payouts.append(Payout(one.settlement, one.store, name, account, one.amount))
    if missing:
        raise PayoutAccountMissing(f"no bank account is known of {', '.join(missing)}", stores=missing)
    if format == "csv":
        return as_csv(payouts, found.currency)
    settings, now = bus.settings.section(FinanceSettings), bus.now()
    payer = Payer(settings.debtor_name, settings.debtor_account, settings.debtor_bic)
    return as_pain001(id, payouts, found.currency, payer, now, now)


async def _bank_account(bus: Bus, seller: object) -> tuple[str, str]:
    try:
        known = await bus.keys.open_all(await identity.verification(bus.db, seller))  # type: ignore[arg-type]
    except AccountNotFound:
        return "", ""
    return known.legal_name.plain_text, known.bank_account.plain_text


# What a seller sees.


async def balance(bus: Bus, code: StoreId, currency: Currency | None) -> Balance:
    """What a store is due, and what it owes."""
    settings, now = bus.settings.section(FinanceSettings), bus.now()
    unit = currency or (await platform.store(bus.db, code)).settlement_currency
    next_run = monday_after(now, settings.time_zone)
    row = await bus.db.fetchrow(
        """select coalesce(sum(payable), 0) as payable,
                  coalesce(sum(payable) filter (where recognized_at <= $4), 0) as settleable
             from finance.due where tenant = $1 and store = $2 and currency = $3""",
        *(bus.db.tenant, code, unit, next_run - timedelta(days=settings.settle_after_days)),
    )
    assert row is not None
    debt = major(await bus.db.balance(debt_open(code, unit=unit)), unit)
    return Balance(
        store=code,
        currency=unit,
        payable=row["payable"],
        settleable=row["settleable"],
        debt=debt,
        next_run=next_run,
    )


async def statement(db: Reader, code: StoreId, query: OfStore) -> Page[Due]:
    """A store's orders with what came of them, newest first."""
    after = Cursor.read(query.cursor, tuple[datetime, str]) or (None, None)
    items = await db.all(
        Due,
        """select order_no, currency, amount, commission, taken_back, recognized_at, settled_run, paid
             from finance.due
            where tenant = $1 and store = $2 and ($3::text is null or currency = $3)
              and ($4::timestamptz is null or (recognized_at, order_no) < ($4, $5))
            order by recognized_at desc, order_no desc limit $6""",
        *(db.tenant, code, query.currency, *after, query.limit + 1),
    )
    shown = items[: query.limit]
    more = len(items) > query.limit
    return Page(items=shown, next=Cursor.write((shown[-1].recognized_at, shown[-1].order_no)) if more else None)


async def shares_of(db: Reader, order_no: OrderNo, stores: frozenset[str] | None) -> list[OrderShare]:
    """Who got what of an order's money, and which run paid it; of these stores (None: all). Empty until the order is
    confirmed."""
    return await db.all(
        OrderShare,
        """select store, order_no, currency, amount, commission, taken_back, payable, recognized_at, settled_run, paid
             from finance.due
            where tenant = $1 and order_no = $2 and ($3::text[] is null or store = any ($3)) order by store""",
        *(db.tenant, order_no, None if stores is None else sorted(stores)),
    )


async def settlement_of(db: Reader, code: StoreId, id: RunId) -> Settlement:
    """What a store was paid by a run."""
    found: Payment | None = await db.state(settlement, f"{id}:{code}")
    if found is None or found.paid is None:
        raise SettlementNotFound(f"run {id} has not paid {code}")
    return Settlement(**{name: getattr(found.paid, name) for name in found.paid.__struct_fields__})

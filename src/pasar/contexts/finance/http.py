"""Settlement over HTTP: runs for the operator's finance people, balance and statement for sellers."""

from typing import Literal

from pasar.kernel.access import Principal, own_store, staff
from pasar.kernel.bus import Bus
from pasar.kernel.messages import Value
from pasar.kernel.store import Reader
from pasar.kernel.web import Page, Raw, route
from pasar.refusals import (
    PayoutAccountMissing,
    SecondPersonNeeded,
    SettlementNotFound,
    SettlementStateForbids,
    StoreNotFound,
)
from pasar.vocabulary import StoreId

from . import facade
from .contract import Balance, Due, NewRun, Run, RunId, RunRejection, RunSummary, Settlement
from .facade import FindRuns, OfStore

_finance = staff("finance", "admin")
_of_store = own_store("store") | _finance


class FileFormat(Value):
    format: Literal["csv", "pain.001"] = "pain.001"


class InCurrency(Value):
    currency: facade.Currency | None = None


@route("GET", "/api/v1/finance/runs", policy=_finance, lane="reports")
async def runs(query: FindRuns, db: Reader) -> Page[RunSummary]:
    """Weekly settlement runs, newest first."""
    return await facade.runs(db, query)


@route("POST", "/api/v1/finance/runs", policy=_finance, key="required", example={"currency": "KRW"})
async def propose(body: NewRun, bus: Bus, who: Principal) -> Run:
    """Propose the run of the last Monday, if the calendar has not or its run was rejected.

    It holds what buyers confirmed at least seven days before, less refunds and debts. What is below the minimum, or of
    sellers who are not verified, is held back and carries over.
    """
    return await facade.propose_run(bus, bus.now(), body.currency, who.id)


@route("GET", "/api/v1/finance/runs/{run}", policy=_finance, refuses=[SettlementNotFound])
async def run_of(run: RunId, db: Reader) -> Run:
    """A run with all its settlements."""
    return await facade.run_of(db, run)


@route("POST", "/api/v1/finance/runs/{run}/approve", policy=_finance, key="required",
       refuses=[SettlementNotFound, SettlementStateForbids, SecondPersonNeeded])  # fmt: skip
async def approve(run: RunId, bus: Bus, who: Principal) -> Run:
    """Let a run be paid; somebody else than who proposed it."""
    return await facade.approve_run(bus, who, run)


@route("POST", "/api/v1/finance/runs/{run}/reject", policy=_finance, key="required",
       refuses=[SettlementNotFound, SettlementStateForbids], example={"reason": "under review"})  # fmt: skip
async def reject(run: RunId, body: RunRejection, bus: Bus, who: Principal) -> Run:
    """Do not pay a run; what it holds is due again in the next."""
    return await facade.reject_run(bus, who, run, body.reason)


@route("GET", "/api/v1/finance/runs/{run}/payout-file", policy=staff("finance"), lane="reports",
       refuses=[SettlementNotFound, SettlementStateForbids, PayoutAccountMissing])  # fmt: skip
async def payout_file(run: RunId, query: FileFormat, bus: Bus, who: Principal) -> Raw:
    """The transfers of a paid run for the bank: ISO 20022 pain.001.001.09, or CSV.

    It names sellers and their accounts: that you took it is recorded.
    """
    body = await facade.payout_file(bus, who, run, query.format)
    kind, end = ("text/csv; charset=utf-8", "csv") if query.format == "csv" else ("application/xml", "xml")
    headers = {"cache-control": "no-store", "content-disposition": f'attachment; filename="{run}.{end}"'}
    return Raw(body=body, content_type=kind, headers=headers)


@route("GET", "/api/v1/stores/{store}/balance", policy=_of_store, refuses=[StoreNotFound])
async def balance(store: StoreId, query: InCurrency, bus: Bus) -> Balance:
    """What a store is due and owes, and when the next run is cut off."""
    return await facade.balance(bus, store, query.currency)


@route("GET", "/api/v1/stores/{store}/statement", policy=_of_store, lane="reports")
async def statement(store: StoreId, query: OfStore, db: Reader) -> Page[Due]:
    """A store's confirmed orders: its share, our commission, refunds, and the run that paid; newest first."""
    return await facade.statement(db, store, query)


@route("GET", "/api/v1/stores/{store}/settlements/{run}", policy=_of_store, refuses=[SettlementNotFound])
async def settlement_of(store: StoreId, run: RunId, db: Reader) -> Settlement:
    """What a run paid to a store, order by order."""
    return await facade.settlement_of(db, store, run)

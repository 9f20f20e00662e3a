"""A weekly run: proposed, approved by a second person and paid, or rejected. One that pays nobody ends at once."""

from collections.abc import Iterable
from typing import assert_never

import msgspec

from pasar.kernel.decider import Decider
from pasar.kernel.messages import Value
from pasar.refusals import SecondPersonNeeded, SettlementNotFound, SettlementStateForbids

from .contract import (
    ApproveRun,
    CloseRun,
    NotePayoutFile,
    PayoutFileTaken,
    ProposedSettlement,
    ProposeRun,
    RejectRun,
    Run,
    RunApproved,
    RunLapsed,
    RunPaid,
    RunProposed,
    RunRejected,
    RunState,
)

RunCommand = ProposeRun | ApproveRun | RejectRun | CloseRun | NotePayoutFile
RunEvent = RunProposed | RunLapsed | RunApproved | RunRejected | RunPaid | PayoutFileTaken


class WeeklyRun(Value, omit_defaults=True):
    state: RunState = "new"
    proposed: RunProposed | None = None
    approved_by: str | None = None
    rejected_by: str | None = None
    reason: str = ""


def pays(settlements: Iterable[ProposedSettlement]) -> bool:
    """Whether anybody is to be paid."""
    return any(not one.held_back for one in settlements)


def decide(command: RunCommand, run: WeeklyRun) -> list[RunEvent]:
    if isinstance(command, ProposeRun):
        if run.proposed is not None:
            return []  # What is due by then was proposed.
        wanted = RunProposed(**{name: getattr(command, name) for name in RunProposed.__struct_fields__})
        return [wanted] if pays(command.settlements) else [wanted, RunLapsed(run=command.run)]
    proposed = run.proposed
    if proposed is None:
        raise SettlementNotFound(f"there is no run {command.run}")
    match command, run.state:
        case ApproveRun(approved_by=by), "proposed":
            if by == proposed.proposed_by:
                raise SecondPersonNeeded()
            approved = {"currency": proposed.currency, "settlements": proposed.settlements}
            return [RunApproved(run=proposed.run, approved_by=by, **approved)]  # type: ignore[arg-type]
        case RejectRun(rejected_by=by, reason=reason), "proposed":
            return [RunRejected(run=proposed.run, rejected_by=by, reason=reason)]
        case CloseRun(), "approved":
            return [RunPaid(run=proposed.run)]
        case NotePayoutFile(by=by, format=format, entries=entries), "paid":
            return [PayoutFileTaken(run=proposed.run, by=by, format=format, entries=entries)]
        case (ApproveRun(), "approved" | "paid") | (RejectRun(), "rejected") | (CloseRun(), "paid"):
            return []  # A repeat.
        case _:
            raise SettlementStateForbids(f"run {proposed.run} is {run.state}", state=run.state)


def evolve(run: WeeklyRun, event: RunEvent) -> WeeklyRun:
    match event:
        case RunProposed():
            return WeeklyRun(state="proposed", proposed=event)
        case RunApproved(approved_by=by):
            return msgspec.structs.replace(run, state="approved", approved_by=by)
        case RunRejected(rejected_by=by, reason=reason):
            return msgspec.structs.replace(run, state="rejected", rejected_by=by, reason=reason)
        case RunLapsed():
            return msgspec.structs.replace(run, state="empty")
        case RunPaid():
            return msgspec.structs.replace(run, state="paid")
        case PayoutFileTaken():
            return run
        case _:
            assert_never(event)


def answer(run: WeeklyRun) -> Run | None:
    proposed = run.proposed
    return proposed and Run(
        run=proposed.run,
        state=run.state,
        currency=proposed.currency,
        cut_off=proposed.cut_off,
        settlements=proposed.settlements,
        proposed_by=proposed.proposed_by,
        approved_by=run.approved_by,
        rejected_by=run.rejected_by,
        reason=run.reason,
    )


run = Decider("finance.run", "run", WeeklyRun(), decide, evolve, answer=answer)

"""Parked money until a person has decided: returned to who paid it, or attached to the order that it belongs to.

open → returning → returned; back to open when the provider refuses; stalled while nobody knows
open → attach proposed → attached, by a second person
"""

from collections.abc import Sequence
from decimal import Decimal
from hashlib import blake2b
from typing import assert_never
from uuid import UUID

import msgspec

from pasar.accounts import clearing, unclear_money
from pasar.kernel import ledger
from pasar.kernel.decider import Decider
from pasar.kernel.messages import Value
from pasar.kernel.money import minor
from pasar.refusals import ParkedNotFound, PaymentStateForbids, SecondPersonNeeded

from .contract_staff import (
    AttachParked,
    NoteReturned,
    NoteReturnFailed,
    NoteReturnStalled,
    OpenParked,
    ParkedAttached,
    ParkedAttachProposed,
    ParkedMoney,
    ParkedOpened,
    ParkedReturned,
    ParkedReturnFailed,
    ParkedReturnRequested,
    ParkedReturnStalled,
    ParkedState,
    ProposeAttach,
    ReturnParked,
)

Note = NoteReturned | NoteReturnFailed | NoteReturnStalled
ParkedCommand = OpenParked | ReturnParked | ProposeAttach | AttachParked | Note
ParkedEvent = (
    ParkedOpened
    | ParkedReturnRequested
    | ParkedReturned
    | ParkedReturnFailed
    | ParkedReturnStalled
    | ParkedAttachProposed
    | ParkedAttached
)


class Case(Value, omit_defaults=True):
    state: ParkedState = "open"
    opened: ParkedOpened | None = None
    attempt: int = 0
    order_no: str | None = None
    proposed_by: str | None = None
    failure: str | None = None


def case_of(payment: UUID, provider_ref: str) -> UUID:
    """The case of what was parked: the same for every notice of it."""
    return UUID(bytes=blake2b(f"parked/{payment}/{provider_ref}".encode(), digest_size=16).digest())


def return_number(parked: UUID, attempt: int) -> str:
    """Under which number the provider hears of a return: the same for a repeat, another after its no."""
    return str(UUID(bytes=blake2b(f"return/{parked}/{attempt}".encode(), digest_size=16).digest()))


def decide(command: ParkedCommand, case: Case) -> Sequence[ParkedEvent]:
    if isinstance(command, OpenParked):
        fields = {name: getattr(command, name) for name in ParkedOpened.__struct_fields__}
        return [] if case.opened else [ParkedOpened(**fields)]
    opened = case.opened
    if opened is None:
        raise ParkedNotFound(f"no money is parked as {command.parked}")
    match command:
        case ReturnParked(by=by):
            return _return(by, case, opened)
        case ProposeAttach(order_no=order_no, by=by):
            if case.state == "attach_proposed" and (case.order_no, case.proposed_by) == (order_no, by):
                return []
            _only(case, "open", "attach_proposed")
            return [ParkedAttachProposed(parked=opened.parked, order_no=order_no, by=by)]
        case AttachParked():
            return _attach(command, case, opened)
        case NoteReturned() | NoteReturnFailed() | NoteReturnStalled():
            return _note(command, case, opened)
        case _:
            assert_never(command)


def _only(case: Case, *states: ParkedState) -> None:
    if case.state not in states:
        assert case.opened is not None
        raise PaymentStateForbids(f"parked money {case.opened.parked} is {case.state}", state=case.state)


def _return(by: str, case: Case, opened: ParkedOpened) -> list[ParkedEvent]:
    """After a stall, under the number of the attempt of which nobody knows."""
    if case.state in ("returning", "returned"):
        return []
    _only(case, "open", "attach_proposed", "stalled")
    again = case.state == "stalled"
    return [
        ParkedReturnRequested(
            parked=opened.parked,
            payment=opened.payment,
            gateway=opened.gateway,
            provider_ref=opened.provider_ref,
            told_as=opened.told_as or str(opened.payment),
            amount=opened.amount,
            currency=opened.currency,
            by=by,
            attempt=case.attempt if again else case.attempt + 1,
            again=again,
        )
    ]


def _attach(command: AttachParked, case: Case, opened: ParkedOpened) -> list[ParkedEvent]:
    if case.state == "attached" and case.order_no == command.order_no:
        return []
    _only(case, "attach_proposed")
    assert case.proposed_by is not None
    if case.order_no != command.order_no:
        raise PaymentStateForbids(f"order {case.order_no} was proposed, not {command.order_no}")
    if case.proposed_by == command.by:
        raise SecondPersonNeeded()
    return [
        ParkedAttached(
            parked=opened.parked,
            payment=opened.payment,
            gateway=opened.gateway,
            amount=opened.amount,
            currency=opened.currency,
            order_no=command.order_no,
            proposed_by=case.proposed_by,
            by=command.by,
        )
    ]


def _note(command: Note, case: Case, opened: ParkedOpened) -> list[ParkedEvent]:
    """What is said of an attempt that is not the last one changes nothing; given is given."""
    if command.attempt != case.attempt or case.state not in ("returning", "stalled"):
        return []
    of = {"parked": opened.parked, "attempt": command.attempt}
    match command:
        case NoteReturned():
            return [ParkedReturned(**of)]
        case NoteReturnFailed(reason=reason):
            return [ParkedReturnFailed(**of, reason=reason)]
        case NoteReturnStalled(reason=reason):
            return [] if case.state == "stalled" else [ParkedReturnStalled(**of, reason=reason)]


def evolve(case: Case, event: ParkedEvent) -> Case:
    change = msgspec.structs.replace
    match event:
        case ParkedOpened():
            return Case(opened=event)
        case ParkedReturnRequested(attempt=attempt):
            return change(case, state="returning", attempt=attempt, order_no=None, proposed_by=None, failure=None)
        case ParkedReturned():
            return change(case, state="returned", failure=None)
        case ParkedReturnFailed(reason=reason):
            return change(case, state="open", failure=reason)
        case ParkedReturnStalled(reason=reason):
            return change(case, state="stalled", failure=reason)
        case ParkedAttachProposed(order_no=order_no, by=by):
            return change(case, state="attach_proposed", order_no=order_no, proposed_by=by)
        case ParkedAttached():
            return change(case, state="attached", failure=None)
        case _:
            assert_never(event)


def book(event: ParkedEvent) -> list[ledger.Transfer]:
    match event:
        case ParkedReturnRequested(again=False, attempt=attempt):
            return [ledger.hold(f"return-{attempt}", *_way_back(event))]
        case ParkedReturned(attempt=attempt):
            return [ledger.settle(f"return-{attempt}")]
        case ParkedReturnFailed(attempt=attempt):
            return [ledger.release(f"return-{attempt}")]
        case ParkedAttached():
            return [ledger.move(*_way_back(event))]
        case _:
            return []


def _way_back(event: ParkedReturnRequested | ParkedAttached) -> tuple[ledger.Account, ledger.Account, int]:
    unit, amount = event.currency, Decimal(event.amount)
    return unclear_money(event.gateway, unit=unit), clearing(event.gateway, unit=unit), minor(amount, unit)


def answer(case: Case) -> ParkedMoney | None:
    opened = case.opened
    return opened and ParkedMoney(
        parked=opened.parked,
        payment=opened.payment,
        gateway=opened.gateway,
        provider_ref=opened.provider_ref,
        amount=opened.amount,
        currency=opened.currency,
        reason=opened.reason,
        state=case.state,
        order_no=case.order_no,
        proposed_by=case.proposed_by,
        failure=case.failure,
    )


parked = Decider("payment.parked", "parked", Case(), decide, evolve, book=book, answer=answer)

"""Given … when … then …: checks of deciders without any I/O, floors and claims included."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .decider import Clear, Decider, Give, Set, Take
from .ledger import Account, Phase, Transfer, family_of
from .messages import Command, Event, Refused, encode


class Books:
    """A ledger in memory that judges transfers as the database does: in order, linked, floors on the debit side."""

    def __init__(self, balances: Mapping[Account, int] | None = None) -> None:
        self.balances: Counter[tuple[str, str]] = Counter({(a.id, a.unit): n for a, n in (balances or {}).items()})
        self.holds: dict[tuple[str, str], tuple[Account, Account, int]] = {}

    def balance(self, account: Account) -> int:
        return self.balances[account.id, account.unit]

    def held(self, stream: str, name: str) -> int:
        return self.holds[stream, name][2] if (stream, name) in self.holds else 0

    def post(self, stream: str, transfers: Sequence[Transfer]) -> None:
        """All or nothing; raises the family's refusal, or `AssertionError` where a context books nonsense."""
        balances, holds = self.balances.copy(), dict(self.holds)
        try:
            for transfer in transfers:
                self._one(stream, transfer)
        except BaseException:
            self.balances, self.holds = balances, holds
            raise

    def _one(self, stream: str, transfer: Transfer) -> None:
        if transfer.phase in (Phase.HOLD, Phase.MOVE):
            debit, credit = transfer.debit, transfer.credit
            assert debit is not None
            assert credit is not None
            self.balances[debit.id, debit.unit] -= transfer.amount
            if debit.floor is not None and self.balances[debit.id, debit.unit] < debit.floor:
                family = family_of(debit.id)
                assert family is not None, f"{debit.id} is of no family"
                raise family.refuse(debit.id)
            if transfer.phase is Phase.MOVE:
                self.balances[credit.id, credit.unit] += transfer.amount
            else:
                assert (stream, transfer.name) not in self.holds, f"{stream} used the hold name {transfer.name} before"
                self.holds[stream, transfer.name] = debit, credit, transfer.amount
            return
        assert (stream, transfer.name) in self.holds, f"{stream} has no hold {transfer.name}"
        debit, credit, left = self.holds[stream, transfer.name]
        amount = transfer.amount or left
        assert 0 < amount <= left, f"{stream}: hold {transfer.name} has {left}, not {amount}"
        self.holds[stream, transfer.name] = debit, credit, left - amount
        side = credit if transfer.phase is Phase.SETTLE else debit
        self.balances[side.id, side.unit] += amount


Then = Sequence[Event] | type[Refused]


def scenario(decider: Decider[Any], balances: Mapping[Account, int] | None = None) -> Callable[..., Books]:
    """A `check(given=, when=, then=)` of one decider, whose accounts start with `balances`.

    `given` are events of the stream, `when` a command, `then` the events that must come of it or the refusal that
    must. Events, states, timers and answers are also sent through their JSON form. Returns the books afterwards.
    """

    def check(*, given: Sequence[Event], when: Command, then: Then) -> Books:
        books, stream, state = Books(balances), decider.stream(when), decider.initial
        for event in given:
            books.post(stream, decider.book(event) if decider.book else ())
            state = decider.evolve(state, event)
        try:
            events = list(decider.decide(when, state))
            transfers = [transfer for event in events for transfer in (decider.book(event) if decider.book else ())]
            books.post(stream, transfers)
        except Refused as refusal:
            assert isinstance(then, type), f"refused with {refusal.name}: {refusal.detail}; wanted {then}"
            assert isinstance(refusal, then), f"refused with {refusal!r}, not {then.__name__}"
            return books
        assert not isinstance(then, type), f"not refused with {then.__name__}, but {events}"
        assert events == list(then), f"{events} is not {list(then)}"
        for event in events:
            state = decider.evolve(state, event)
            assert all(isinstance(m, Set | Clear) for m in (decider.timers(event) if decider.timers else ()))
            assert all(isinstance(c, Take | Give) for c in (decider.claims(event) if decider.claims else ()))
        encode([state, decider.answer(state) if decider.answer else None])
        return books

    return check

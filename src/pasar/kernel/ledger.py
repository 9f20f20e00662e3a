"""All that is counted moves between two accounts: hold, settle, release, move.

A transfer goes *from → to*; an account's balance is what came in less what went out. An account with a floor keeps a
live balance that the database refuses to take below it; one without (suppliers, customers, revenue) keeps none and is
summed in the background, so that no row is hot without need.

A hold is named within its stream, once and for ever, and only that stream's events settle or release it.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import ClassVar, NamedTuple

from .messages import Refused


class Account(NamedTuple):
    """One account: its identity, what it counts, and below what it never goes (None: no limit, no live balance)."""

    id: str
    unit: str
    floor: int | None = None


class Phase(IntEnum):
    HOLD = 1
    SETTLE = 2
    RELEASE = 3
    MOVE = 4


class Transfer(NamedTuple):
    """One booking of an event. `amount` 0 of a settle or release means all that remains of the hold."""

    phase: Phase
    name: str = ""
    debit: Account | None = None
    credit: Account | None = None
    amount: int = 0


class BadTransfer(Exception):
    """A context books what cannot be: an amount below one, two units, or one account on both sides."""


def _between(phase: Phase, name: str, debit: Account, credit: Account, amount: int) -> Transfer:
    if amount < 1:
        raise BadTransfer(f"{debit.id} → {credit.id}: amounts start at 1, this is {amount}")
    if debit.unit != credit.unit or debit.id == credit.id:
        raise BadTransfer(f"{debit.id} ({debit.unit}) → {credit.id} ({credit.unit}) is no transfer")
    return Transfer(phase, name, debit, credit, amount)


def hold(name: str, debit: Account, credit: Account, amount: int) -> Transfer:
    """Set `amount` aside: it leaves the debit side's balance at once and reaches the credit side when settled."""
    return _between(Phase.HOLD, name, debit, credit, amount)


def settle(name: str, amount: int = 0) -> Transfer:
    """Let a hold, or `amount` of it, reach its credit side."""
    return Transfer(Phase.SETTLE, name, amount=amount)


def release(name: str, amount: int = 0) -> Transfer:
    """Give a hold, or `amount` of it, back to its debit side."""
    return Transfer(Phase.RELEASE, name, amount=amount)


def move(debit: Account, credit: Account, amount: int) -> Transfer:
    """Transfer at once."""
    return _between(Phase.MOVE, "", debit, credit, amount)


class Family:
    """Accounts of one kind. `pool = Family("pool", unit="piece", floor=0, refusal=InsufficientStock)`; `pool(sku)`.

    A family either has a floor or has none; it never changes its mind, or accounts would fall out of step.
    With `limited`, the floor is −limit and given with each use: a quota that opens on first use.
    """

    all: ClassVar[dict[str, "Family"]] = {}

    def __init__(
        self,
        name: str,
        *,
        meaning: str,
        unit: str | None = None,
        floor: int | None = None,
        limited: bool = False,
        refusal: type[Refused] | Callable[[str], Refused] | None = None,
    ) -> None:
        if name in Family.all:
            raise TypeError(f"two account families are called {name}")
        if ":" in name or (refusal is None) != (floor is None and not limited):
            raise TypeError(f"{name}: a floor and the refusal of it come together")
        self.name, self.meaning, self.unit, self.floor, self.limited = name, meaning, unit, floor, limited
        self.refusal = refusal
        Family.all[name] = self

    def __call__(self, *key: object, unit: str | None = None, limit: int | None = None) -> Account:
        """The account of a key. Money families take their currency as `unit`, quotas their `limit`."""
        if (unit is None) == (self.unit is None) or (limit is not None) != self.limited:
            raise TypeError(
                f"{self.name}: say {'unit' if self.unit is None else 'limit' if self.limited else 'neither'}"
            )
        id = ":".join((self.name, *map(str, key))) if key else self.name
        return Account(id, unit or self.unit or "", self.floor if limit is None else -limit)

    def refuse(self, account_id: str) -> Refused:
        """The refusal of the floor, naming what is short."""
        if self.refusal is None:
            raise TypeError(f"{self.name} has no floor")
        return self.refusal(account_id.partition(":")[2])


def family_of(account_id: str) -> Family | None:
    """The family that an account belongs to, by its name."""
    return Family.all.get(account_id.partition(":")[0])

"""Judges a simulated run when all is quiet: nothing is open, nothing happened twice, and units and money add up."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from pasar import accounts
from pasar.contexts.ordering import facade as ordering
from pasar.contexts.payment.gateway import Facts
from pasar.kernel.messages import decode

from .memory import MemoryStore, rows_of

NOTHING = Decimal(0)
SLACK = timedelta(minutes=10)
"""How late a deadline may be heard: the fault with the longest pause, and the retries after it."""


class Broken(AssertionError):
    """A promise was not kept in a simulated run."""


class Judge:
    """`provider`: what the provider says of each payment; `given_back`: what it gave back for each refund."""

    def __init__(
        self,
        store: MemoryStore,
        stock: int,
        orders: Mapping[str, UUID],
        provider: Mapping[UUID, Facts],
        given_back: Mapping[UUID, Decimal],
    ) -> None:
        self.store, self.stock, self.orders = store, stock, orders
        self.provider, self.given_back = provider, given_back

    def judge(self, now: datetime) -> Counter[str]:
        """How many orders ended in which state. Raises `Broken`."""
        overdue = [place for place, one in self.store.timers.items() if one.due is not None and one.due < now - SLACK]
        if overdue:
            raise Broken(f"deadlines that nobody heard: {overdue[:3]}")
        states = Counter[str]()
        standing = 0
        for order_no in self.orders:
            kept = self.store.streams[1, ordering.order_decider.kind, order_no]
            state = self._order_state(kept.state)
            states[state] += 1
            if state not in ("COMPLETED", "CANCELED"):
                raise Broken(f"order {order_no} is {state} at the end of all")
            if state == "COMPLETED":
                standing += self._units(order_no)
        left = self.store.books.balances[1, accounts.pool("apple").id, "promise"]
        if left != self.stock - standing:
            raise Broken(f"{left} units are left of {self.stock}, {standing} are sold")
        self._judge_money()
        self._judge_events()
        return states

    @staticmethod
    def _order_state(stored: str) -> str:
        return decode(stored, dict[str, Any])["state"]

    def _units(self, order_no: str) -> int:
        placed = self.store.recorded(self._position("ordering.OrderPlaced", order_no))
        event: Any = placed.event
        return sum(line.quantity for line in event.lines)

    def _position(self, type: str, stream: str) -> int:
        return next(no for no, row in enumerate(self.store.log, 1) if (row.type, row.stream) == (type, stream))

    def _judge_money(self) -> None:
        """What the provider took and did not give back is exactly what completed orders cost."""
        taken = sum((f.amount or NOTHING for f in self.provider.values() if f.kind == "captured"), NOTHING)
        kept = taken - sum(self.given_back.values(), NOTHING)
        worth = NOTHING
        for order_no in self.orders:
            stored = self.store.streams[1, ordering.order_decider.kind, order_no].state
            if self._order_state(stored) == "COMPLETED":
                worth += 1000 * self._units(order_no)
        if kept != worth:
            raise Broken(f"{kept} was kept of {taken}, the orders that stand cost {worth}")

    def _judge_events(self) -> None:
        """Nothing that is over comes back, and nothing happens twice."""
        once = ("ordering.OrderPaid", "ordering.OrderCanceled", "ordering.OrderConfirmed", "ordering.OrderCompleted")
        seen: Counter[tuple[str, str]] = Counter()
        over: set[str] = set()
        for row in rows_of(self.store, "ordering.order"):
            seen[row.stream, row.type] += 1
            if row.type in once and seen[row.stream, row.type] > 1:
                raise Broken(f"{row.type} of {row.stream} happened twice")
            if row.stream in over and row.type != "ordering.AfterSaleClosed":
                raise Broken(f"{row.type} of {row.stream} happened after its end")
            if row.type in ("ordering.OrderCanceled", "ordering.OrderCompleted"):
                over.add(row.stream)

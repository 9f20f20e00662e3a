"""Random lives of a sale and its orders, its pool and the shared one: no unit is lost, doubled or oversold."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from contexts.flash.test_sale import ENDS, PREPARE
from contexts.ordering.orders import NOON, line, place, quote
from machines import explore
from pasar.accounts import pool, sale_pool, sale_quota, sold
from pasar.apps.lab.evidence import Evidence
from pasar.contexts.flash.contract import EndSale, Quota, ReturnLeftover, SaleItem, SaleTerms
from pasar.contexts.flash.leftover import leftover
from pasar.contexts.flash.sale import sale
from pasar.contexts.ordering.contract import CancelOrder, CancelPaidOrder, MarkPaid
from pasar.contexts.ordering.order import order
from pasar.kernel.decider import Decider
from pasar.kernel.messages import Refused
from pasar.kernel.testing import Books
from pasar.vocabulary import Period

STOCK, LIMIT = 12, 2
POOL, SALE, SOLD = pool("apple"), sale_pool("apple", "noon"), sold("apple")
ITEM = PREPARE.items[0]


class Bazaar(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.books = Books({POOL: STOCK})
        self.states: dict[tuple[str, str], Any] = {}
        self.orders: dict[str, tuple[int, int, bool]] = {}
        """Number → member, units, whether it is of the sale; those that stand."""
        self.paid: set[str] = set()
        self.count = 0

    def say(self, decider: Decider[Any], command: Any) -> bool:
        """A command as the bus treats it: judged whole, then folded. Whether it was accepted."""
        key = decider.kind, decider.stream(command)
        state = self.states.get(key, decider.initial)
        try:
            events = decider.decide(command, state)
            transfers = [t for event in events for t in (decider.book(event) if decider.book else ())]
            self.books.post("/".join(key), transfers)
        except Refused:
            return False
        self.states[key] = decider.fold(state, events)
        return True

    @property
    def ended(self) -> bool:
        life = self.states.get(("flash.sale", "noon"))
        return life is not None and life.sale.is_ended

    @rule(units=st.integers(1, 14))
    def prepare(self, units: int) -> None:
        self.say(sale, replace(PREPARE, items=(SaleItem(sku="apple", price=ITEM.price, units=units),)))

    @rule(member=st.integers(1, 3), units=st.integers(1, 3), of_sale=st.booleans(), minute=st.integers(-1, 61))
    def order(self, member: int, units: int, of_sale: bool, minute: int) -> None:
        quotas = (Quota(who=f"member-{member}", most=LIMIT),)
        terms = SaleTerms(sale="noon", period=Period(starts_at=NOON, ends_at=ENDS), quotas=quotas)
        self.count += 1
        number = f"2026030100{self.count:02d}"
        at = NOON + timedelta(minutes=minute)
        lines = quote(line(1, "apple", units, 900, sale=terms if of_sale else None))
        wish = replace(place(lines), order_no=number, placed_at=at, buyer=UUID(int=member))
        if self.say(order, wish):
            assert not of_sale or 0 <= minute < 60
            self.orders[number] = member, units, of_sale

    @rule(data=st.data())
    def pay(self, data: Any) -> None:
        if waiting := sorted(self.orders.keys() - self.paid):
            number = data.draw(st.sampled_from(waiting))
            total = self.states["ordering.order", number].placed.total
            paid = MarkPaid(order_no=number, payment=UUID(int=5), gateway="toss", amount=total, currency="KRW")
            assert self.say(order, paid)
            self.paid.add(number)

    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        if self.orders:
            number = data.draw(st.sampled_from(sorted(self.orders)))
            kind = CancelPaidOrder if number in self.paid else CancelOrder
            assert self.say(order, kind(order_no=number, reason="buyer"))
            assert self.say(order, kind(order_no=number, reason="buyer"))  # A repeat.
            del self.orders[number]
            self.paid.discard(number)

    @rule()
    def end(self) -> None:
        self.say(sale, EndSale(sale="noon"))

    @rule(stale=st.integers(0, 2))
    def return_leftover(self, stale: int) -> None:
        """The reaction, which may have read a balance that is no longer true."""
        if self.ended and (units := self.books.balance(SALE) + stale) > 0:
            self.count += 1
            command = ReturnLeftover(leftover=UUID(int=self.count), sale="noon", sku="apple", quantity=units)
            accepted = self.say(leftover, command)
            assert accepted == (stale == 0)
            assert self.say(leftover, command) == accepted  # A repeat.

    @invariant()
    def every_unit_is_somewhere(self) -> None:
        free = self.books.balance(POOL) + self.books.balance(SALE)
        assert free + sum(units for _, units, _ in self.orders.values()) == STOCK
        assert self.books.balance(SOLD) == sum(self.orders[number][1] for number in self.paid)
        assert self.books.balance(POOL) >= 0
        assert self.books.balance(SALE) >= 0

    @invariant()
    def nobody_has_more_than_the_limit(self) -> None:
        for member in (1, 2, 3):
            has = sum(units for who, units, of_sale in self.orders.values() if who == member and of_sale)
            assert has <= LIMIT
            assert self.books.balance(sale_quota("noon", "apple", f"member-{member}", limit=LIMIT)) == -has


def test_every_unit_of_a_sale_is_somewhere(proof: Evidence) -> None:
    explore(Bazaar, proof, night=1_000, least=60, steps=25)

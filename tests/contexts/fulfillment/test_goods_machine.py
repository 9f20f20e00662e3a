"""Whatever happens to goods, in whatever order: no floor breaks, every unit sums to zero, and for every SKU and batch
stock = pool + held + sold − shortfall."""

from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from contexts.goods import Cancel, Ordered, Pay, Place, line, order
from machines import explore
from pasar.accounts import (
    batch_pool,
    batch_shortfall,
    batch_sold,
    in_carts,
    pool,
    shortfall,
    sold,
    stock,
)
from pasar.apps.lab.evidence import Evidence
from pasar.contexts.fulfillment.allocation import Destination, Spot, Wanted, plan
from pasar.contexts.fulfillment.contract import Allocate, Deallocate
from pasar.contexts.fulfillment.fulfillment import fulfillment
from pasar.contexts.inventory.adjustment import adjustment
from pasar.contexts.inventory.contract import (
    AdjustStock,
    ConsumeHold,
    Filling,
    HoldStock,
    MoveStock,
    ReceivedLine,
    ReceiveStock,
    ReleaseHold,
)
from pasar.contexts.inventory.hold import hold
from pasar.contexts.inventory.receipt import receipt, units_of
from pasar.contexts.inventory.transfer import transfer
from pasar.kernel.decider import Decider
from pasar.kernel.ledger import Account, family_of
from pasar.kernel.messages import Command, Refused
from pasar.kernel.private import Private
from pasar.kernel.testing import Books
from pasar.refusals import NotAllocatable
from pasar.vocabulary import Address

SKUS, WAREHOUSES, BATCHES = ("apple", "pear"), ("near", "far"), (None, "b1")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENVELOPE = {"key": "k", "event": str(UUID(int=9)), "field": "f", "box": "AAAA"}
SEALED: Any = Private.__from_json__(ENVELOPE)
ADDRESS = Address(recipient=SEALED, phone=SEALED, line1=SEALED, country="KR")

skus, warehouses, batches = (
    st.sampled_from(("apple", "apple", "apple", "pear")),
    st.sampled_from(WAREHOUSES),
    st.sampled_from(BATCHES),
)
units = st.integers(1, 6)


class Goods(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.books, self.number = Books(), 0
        self.states: dict[tuple[str, str], Any] = {}
        self.carts: list[HoldStock] = []
        self.orders: list[str] = []
        self.pieces: Counter[tuple[str, str, str | None]] = Counter()

    @initialize()
    def fill(self) -> None:
        for warehouse in WAREHOUSES:
            for batch in BATCHES:
                self.arrive("apple", warehouse, batch, 6)

    def id(self) -> UUID:
        self.number += 1
        return UUID(int=self.number)

    def send(self, decider: Decider[Any], command: Command) -> bool:
        """One change, judged as the database would; whether it was done."""
        stream = decider.stream(command)
        state = self.states.get((decider.kind, stream), decider.initial)
        try:
            events = list(decider.decide(command, state))
            transfers = [one for event in events for one in (decider.book(event) if decider.book else ())]
            self.books.post(f"{decider.kind}-{stream}", transfers)
        except Refused:
            return False
        self.states[decider.kind, stream] = decider.fold(state, events)
        return True

    def short(self, sku: str, batch: str | None) -> int:
        return self.books.balance(shortfall(sku) if batch is None else batch_shortfall(sku, batch))

    @rule(sku=skus, warehouse=warehouses, batch=batches, n=units, returned=st.booleans(), fill=st.booleans())
    def receive(self, sku: str, warehouse: str, batch: str | None, n: int, returned: bool, fill: bool) -> None:
        self.arrive(sku, warehouse, batch, n, "return" if returned else "purchase", fill)

    def arrive(
        self, sku: str, warehouse: str, batch: str | None, n: int, origin: Any = "purchase", fill: bool = True
    ) -> None:
        lines = (ReceivedLine(sku=sku, quantity=n, batch=batch),)
        fills = tuple(
            Filling(sku=sku, batch=of, quantity=min(wanted, self.short(sku, of)))
            for (_, of), wanted in units_of(lines).items()
            if fill and self.short(sku, of)
        )
        command = ReceiveStock(receipt=self.id(), warehouse=warehouse, lines=lines, origin=origin, fills=fills)
        assert self.send(receipt, command)
        self.pieces[sku, warehouse, batch] += n

    @rule(sku=skus, warehouse=warehouses, batch=batches, delta=st.integers(-8, 4), guess=st.sampled_from((0, 0, 0, 2)))
    def adjust(self, sku: str, warehouse: str, batch: str | None, delta: int, guess: int) -> None:
        """`guess`: how wrong the split is that was read a moment before; the floors must notice."""
        lost, found = max(-delta, 0), max(delta, 0)
        named = (batch_pool(sku, batch), batch_shortfall(sku, batch)) if batch else (pool(sku), shortfall(sku))
        command = AdjustStock(
            adjustment=self.id(),
            warehouse=warehouse,
            sku=sku,
            batch=batch,
            delta=delta,
            reason="count",
            from_pool=min(lost, self.books.balance(pool(sku)) + guess),
            from_batch_pool=min(lost, self.books.balance(named[0])),
            fills=min(found, self.books.balance(shortfall(sku)) + guess),
            batch_fills=min(found, self.books.balance(named[1])),
        )
        done = self.send(adjustment, command)
        assert done or guess or self.pieces[sku, warehouse, batch] < lost
        if done:
            self.pieces[sku, warehouse, batch] += delta

    @rule(warehouse=warehouses, batch=batches)
    def lose_everything(self, warehouse: str, batch: str | None) -> None:
        self.adjust("apple", warehouse, batch, -self.pieces["apple", warehouse, batch], 0)

    @rule(batch=batches)
    def sell_out(self, batch: str | None) -> None:
        free = self.books.balance(pool("apple") if batch is None else batch_pool("apple", batch))
        if free:
            self.place("apple", batch, min(free, self.books.balance(pool("apple")) or 1))

    @rule(sku=skus, batch=batches, n=units, there=st.booleans())
    def move(self, sku: str, batch: str | None, n: int, there: bool) -> None:
        source, target = WAREHOUSES if there else WAREHOUSES[::-1]
        command = MoveStock(
            transfer=self.id(), from_warehouse=source, to_warehouse=target, sku=sku, batch=batch, quantity=n
        )
        assert self.send(transfer, command) == (self.pieces[sku, source, batch] >= n)
        if self.pieces[sku, source, batch] >= n:
            self.pieces[sku, source, batch] -= n
            self.pieces[sku, target, batch] += n

    @rule(sku=skus, n=units, who=st.integers(1, 2))
    def hold(self, sku: str, n: int, who: int) -> None:
        command = HoldStock(hold=self.id(), owner=UUID(int=who), sku=sku, quantity=n, until=NOON, limit=2)
        free = self.books.balance(pool(sku))
        done = self.send(hold, command)
        mine = sum(one.owner == command.owner for one in self.carts)
        assert done == (free >= n and mine < 2)
        if done:
            self.carts.append(command)

    @rule(consume=st.booleans(), which=st.integers(0, 9))
    def end_hold(self, consume: bool, which: int) -> None:
        if self.carts:
            held = self.carts.pop(which % len(self.carts))
            end = ConsumeHold(hold=held.hold, order_no="1") if consume else ReleaseHold(hold=held.hold)
            assert self.send(hold, end)
            if consume:
                self.place(held.sku, None, held.quantity)

    @rule(sku=skus, batch=batches, n=units)
    def place(self, sku: str, batch: str | None, n: int) -> None:
        order_no = str(self.id().int)
        if self.send(order, Place(order_no=order_no, lines=(line(sku, n, batch=batch),))):
            self.orders.append(order_no)

    def ordered(self, which: int, state: str) -> str | None:
        found = [no for no in self.orders if self.states["goods.order", no].state == state]
        return found[which % len(found)] if found else None

    @rule(which=st.integers(0, 9))
    def pay(self, which: int) -> None:
        for order_no in [self.ordered(which, "placed"), self.ordered(which + 1, "placed")]:
            if order_no is None or self.states["goods.order", order_no].state != "placed":
                continue
            assert self.send(order, Pay(order_no=order_no))

    @rule(which=st.integers(0, 9), strategy=st.sampled_from(["nearest_first", "one_parcel_first"]))
    def allocate(self, which: int, strategy: str) -> None:
        """What was planned from what is there is never refused."""
        if not (order_no := self.ordered(which, "paid")):
            return
        state: Ordered = self.states["goods.order", order_no]
        lines = [
            Wanted(line_id=one.line_id, sku=one.sku, quantity=one.quantity, unit_price=Decimal(1), batch=one.batch)
            for one in state.lines
        ]
        try:
            picks = plan(strategy, lines, self.spots(), Destination(country="KR"), date(2026, 3, 1))
        except NotAllocatable:
            return
        before = self.states.get(("fulfillment.fulfillment", order_no))
        command = Allocate(order_no=order_no, buyer=UUID(int=1), address=ADDRESS, picks=picks)
        assert self.send(fulfillment, command) or before is not None
        if before is None:
            for pick in picks:
                self.pieces[pick.sku, pick.warehouse, pick.batch] -= pick.quantity

    def spots(self) -> list[Spot]:
        return [
            Spot(
                sku=sku,
                warehouse=warehouse,
                batch=batch,
                quantity=n,
                country="KR",
                latitude=Decimal(0),
                longitude=Decimal(0),
                free=None if batch is None else self.books.balance(batch_pool(sku, batch)),
            )
            for (sku, warehouse, batch), n in self.pieces.items()
        ]

    @rule(which=st.integers(0, 9), first=st.booleans())
    def cancel(self, which: int, first: bool) -> None:
        """A paid order is cancelled: what is bound to it goes back before or after its units do."""
        if order_no := self.ordered(which, "paid"):
            allocated = self.states.get(("fulfillment.fulfillment", order_no))
            steps = [(order, Cancel(order_no=order_no)), (fulfillment, Deallocate(order_no=order_no))]
            for decider, command in steps if first else steps[::-1]:
                assert self.send(decider, command)  # type: ignore[arg-type]
            for parcel in allocated.parcels if allocated else ():
                for pick in parcel.picks:
                    self.pieces[pick.sku, pick.warehouse, pick.batch] += pick.quantity
        elif order_no := self.ordered(which, "placed"):
            assert self.send(order, Cancel(order_no=order_no))

    def held(self, *accounts: Account) -> int:
        names = {account.id for account in accounts}
        return sum(left for source, _, left in self.books.holds.values() if source.id in names)

    @invariant()
    def no_floor_is_broken(self) -> None:
        for (name, _), balance in self.books.balances.items():
            family = family_of(name)
            assert family is not None
            assert balance >= (-2 if family.limited else family.floor if family.floor is not None else balance)

    @invariant()
    def nothing_is_sold_less_than_not_at_all(self) -> None:
        for sku in SKUS:
            assert self.books.balance(sold(sku)) >= 0
            assert self.books.balance(batch_sold(sku, "b1")) >= 0

    @invariant()
    def every_unit_sums_to_zero(self) -> None:
        sums = Counter[str]()
        for (_, unit), balance in self.books.balances.items():
            sums[unit] += balance
        for source, _, left in self.books.holds.values():
            sums[source.unit] += left
        assert not any(sums.values())

    @invariant()
    def pieces_lie_where_they_should(self) -> None:
        for (sku, warehouse, batch), n in self.pieces.items():
            assert self.books.balance(stock(sku, warehouse, batch or "-")) == n

    @invariant()
    def stock_is_what_was_promised(self) -> None:
        balance = self.books.balance
        for sku in SKUS:
            lies = sum(n for (of, _, _), n in self.pieces.items() if of == sku)
            promised = balance(pool(sku)) + self.held(pool(sku)) + balance(sold(sku)) + balance(in_carts(sku))
            assert lies == promised - balance(shortfall(sku))
            for batch in ("b1",):
                lies = sum(n for (of, _, which), n in self.pieces.items() if (of, which) == (sku, batch))
                key = sku, batch
                promised = balance(batch_pool(*key)) + self.held(batch_pool(*key)) + balance(batch_sold(*key))
                assert lies == promised - balance(batch_shortfall(*key))


def test_every_piece_is_somewhere_whatever_happens_to_it(proof: Evidence) -> None:
    explore(Goods, proof, night=2_000, least=80, steps=40)

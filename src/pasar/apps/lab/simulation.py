"""Orders, payments, timers and processes of a whole deployment in one thread, in virtual time, with fake providers:
weeks in a second. Chance comes from the seed alone, so that a run is repeated by its seed and commit.

What is real: deciders, the bus, timers, processes, the facade that books what providers say. What is not: the store
(`memory.py`), the provider, the carrier. Faults: workers that die before they have noted what they did, two workers
that believe to have the same lease, notices that are lost, doubled, late and out of order, clocks that are wrong.
"""

import asyncio
import hashlib
import random
from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from pasar.apps import wiring
from pasar.apps.deployment import read_settings
from pasar.contexts.inventory.contract import ReceivedLine, ReceiveStock
from pasar.contexts.ordering.contract import (
    BeginPayment,
    CancelPaidOrder,
    MarkAllocated,
    MarkStage,
    OrderPaid,
    PlaceOrder,
)
from pasar.contexts.payment import facade as payment
from pasar.contexts.payment.contract import (
    CompleteRefund,
    Expire,
    NotePaymentOpened,
    Opening,
    PaymentChecked,
    RefundRequested,
    RefundRetried,
    StartPayment,
)
from pasar.contexts.payment.gateway import Facts
from pasar.contexts.pricing.contract import Quote, QuotedLine
from pasar.kernel.bus import Bus, Contended, Context, Core
from pasar.kernel.commit import Change, Verdict
from pasar.kernel.ids import SeededIds
from pasar.kernel.messages import Refused
from pasar.kernel.private import Private
from pasar.kernel.process import ProcessFollower
from pasar.kernel.store import Recorded
from pasar.kernel.timers import Timers
from pasar.vocabulary import Address

from .memory import MemoryDatabase, MemoryStore
from .simulation_judge import NOTHING, Judge
from .virtual import START, NodeClock, VirtualLoop, run

HOUR, DAY = 3600.0, 86_400.0
NODES = 2


class Plan(NamedTuple):
    """What a run is like. Shares are between 0 and 1."""

    orders: int = 40
    days: float = 10.0
    stock: int = 50
    crash: float = 0.1
    twice: float = 0.1
    lost: float = 0.1
    doubled: float = 0.3
    skew: timedelta = timedelta()
    """How wrong a node's clock may be."""
    jumps: int = 0
    """How often some node's clock is a day wrong for an hour."""
    start: datetime = START


class Outcome(NamedTuple):
    """`steps` are those of the scheduler, `changes` what was put to the store and judged."""

    trace: str
    steps: int
    changes: int
    days: int
    faults: Counter[str]
    states: Counter[str]


class NoSeals:
    """Personal values are made sealed here: nothing is left to seal."""

    def has_private(self, kind: type) -> bool:
        return False

    async def seal(self, tenant: int, event: Any, event_id: UUID) -> Any:
        return event


def _sealed(field: str) -> Private[Any]:
    return Private.sealed("key", "event", field, "box")


HOME = Address(
    recipient=_sealed("recipient"), phone=_sealed("phone"), line1=_sealed("line1"), city="Seoul", country="KR"
)


def quote(units: int, at: datetime) -> Quote:
    amount = Decimal(1000 * units)
    line = QuotedLine(
        line_id="1", sku="apple", quantity=units, unit_price=Decimal(1000), amount=amount, discount=NOTHING,
        platform_discount=NOTHING, points_discount=NOTHING, tax=NOTHING, title="Apple", store="farm",
        commission_rate=Decimal("0.05"),
    )  # fmt: skip
    return Quote(
        channel="web", currency="KRW", lines=(line,), goods=amount, discounts=NOTHING, freight=NOTHING,
        freight_discount=NOTHING, freight_shares=(), taxes=NOTHING, tax_added=NOTHING, points=0,
        points_amount=NOTHING, total=amount, coupons=(), quoted_at=at,
    )  # fmt: skip


class Simulation:
    """`run` it once."""

    def __init__(self, seed: int, plan: Plan) -> None:
        self.seed, self.plan, self.chance = seed, plan, random.Random(seed)
        random.seed(seed)  # The jitter of the bus.
        self.loop = VirtualLoop()
        self.trace, self.changes = hashlib.sha256(), 0
        self.faults: Counter[str] = Counter()
        self.store = MemoryStore(self._heard)
        self.grown = asyncio.Event()
        self.clocks = [NodeClock(self.loop, plan.start) for _ in range(NODES)]
        settings = read_settings({"replay": True})
        self.modules = wiring.modules(settings)
        deciders = [decider for module in self.modules for decider in module.deciders]
        self.databases = [MemoryDatabase(self.store, self._pause) for _ in range(NODES)]
        ids = SeededIds(seed)
        self.cores: list[Core] = [
            Core(database, deciders, clock=clock, ids=ids, keys=NoSeals(), settings=settings)  # type: ignore[arg-type]
            for database, clock in zip(self.databases, self.clocks, strict=True)
        ]
        self.provider: dict[UUID, Facts] = {}
        self.given_back: dict[UUID, Decimal] = {}
        self.orders: dict[str, UUID] = {}

    async def _pause(self) -> None:
        """Everything takes time, and each time another."""
        await asyncio.sleep(self.chance.expovariate(100))

    def _heard(self, change: Change, verdict: Verdict) -> None:
        self.changes += 1
        told = [f"{self.loop.passed_s:.6f}", verdict.name]
        for append in change.appends:
            told += [append.kind, append.id, str(append.expected), *(type for type, _ in append.events)]
        self.trace.update("\x1f".join(told).encode() + b"\n")
        if verdict is Verdict.OK:
            self.grown.set()
            self.grown = asyncio.Event()

    def bus(self, by: str = "lab") -> Bus:
        return self.chance.choice(self.cores).bus(Context(principal=by))

    def run(self) -> Outcome:
        run(self._main(), self.loop)
        states = Judge(self.store, self.plan.stock, self.orders, self.provider, self.given_back).judge(
            min(clock.now() for clock in self.clocks)
        )
        trace, days = self.trace.hexdigest()[:16], int(self.loop.passed_s / DAY)
        return Outcome(trace, self.loop.turns, self.changes, days, self.faults, states)

    async def _main(self) -> None:
        line = ReceivedLine(sku="apple", quantity=self.plan.stock)
        receipt = ReceiveStock(receipt=UUID(int=1), warehouse="icheon", lines=(line,))
        await self.cores[0].bus().send(receipt)
        workers = [self._follow(follower) for follower in self._followers()]
        workers += [self._fire(core) for core in self.cores]
        workers += [self._outside(), self._wrong_clocks()]
        tasks = [asyncio.ensure_future(worker) for worker in workers]
        shoppers = [asyncio.ensure_future(self._shopper(number)) for number in range(self.plan.orders)]
        quiet = asyncio.ensure_future(asyncio.sleep((self.plan.days + 60) * DAY))
        pending: set[asyncio.Future[Any]] = {quiet, *tasks, *shoppers}
        while not quiet.done():
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # What broke breaks the run.

    # Workers.

    def _followers(self) -> list[list[ProcessFollower]]:
        """Each process on every node: a lease that was lost is not always noticed at once."""
        processes = [process for module in self.modules for process in module.processes]
        return [[ProcessFollower(process, core) for core in self.cores] for process in processes]

    async def _follow(self, nodes: list[ProcessFollower]) -> None:
        """Events in their order, one after the other; a crash repeats what was done and not noted."""
        position = 0
        while True:
            while position < len(self.store.log):
                event = self.store.recorded(position + 1)
                if event.type in nodes[0].types:
                    await self._deliver(self.chance.choice(nodes), event)
                    if self.chance.random() < self.plan.twice:
                        self.faults["deliveries by two workers"] += 1
                        await asyncio.gather(*(self._deliver(node, event) for node in nodes))
                    if self.chance.random() < self.plan.crash:
                        self.faults["workers that died"] += 1
                        position = max(0, position - self.chance.randint(0, 3))
                        self.chance.choice(self.databases).forget()
                        await asyncio.sleep(self.chance.uniform(0, 60))
                        continue
                position += 1
            await self.grown.wait()

    async def _deliver(self, node: ProcessFollower, event: Recorded) -> None:
        while True:
            try:
                if node.lane(event) is not None:
                    await node.deliver(event, 0)
                return
            except Contended:
                await asyncio.sleep(1)

    async def _fire(self, core: Core) -> None:
        """Both nodes fire: which of them has the lease is not certain."""
        timers = Timers(core)
        while True:
            await timers.fire()
            due = min((one.due for one in self.store.timers.values() if one.due is not None), default=None)
            rest_s = DAY if due is None else min(DAY, (due - core.clock.now()).total_seconds())
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0, rest_s) + 20 * self.chance.random()):
                    await self.grown.wait()
                    await asyncio.sleep(20 * self.chance.random())

    async def _wrong_clocks(self) -> None:
        for clock in self.clocks:
            clock.skew = self.plan.skew * self.chance.uniform(-1, 1)
        for _ in range(self.plan.jumps):
            await asyncio.sleep(self.chance.uniform(0.2, 1) * DAY * self.plan.days / (self.plan.jumps + 1))
            clock, usual = self.chance.choice([(clock, clock.skew) for clock in self.clocks])
            clock.skew = usual + self.chance.choice((-1, 1)) * timedelta(days=1)
            self.faults["clocks a day wrong"] += 1
            await asyncio.sleep(HOUR)
            clock.skew = usual
        await asyncio.sleep(10_000 * DAY)

    # The world outside.

    async def _shopper(self, number: int) -> None:
        await asyncio.sleep(self.chance.uniform(0, self.plan.days * DAY))
        order_no, buyer, now = f"20260301{number:04}", UUID(int=1000 + number), self.cores[0].clock.now()
        asked, until = quote(self.chance.randint(1, 3), now), now + timedelta(minutes=30)
        place = PlaceOrder(
            order_no=order_no, buyer=buyer, quote=asked, address=HOME, pay_until=until,
            keep_until=until + timedelta(minutes=10), placed_at=now,
        )  # fmt: skip
        try:
            await self.bus("shopper").send(place)
        except Refused:
            self.faults["sold out"] += 1
            return
        self.orders[order_no] = buyer
        if self.chance.random() < 0.8:
            await asyncio.sleep(self.chance.expovariate(1 / 600))
            await self._pay(order_no, buyer, asked.total)

    async def _pay(self, order_no: str, buyer: UUID, total: Decimal) -> None:
        id, now = self.cores[0].ids.uuid(), self.cores[0].clock.now()
        ends = now + timedelta(minutes=10)
        start = StartPayment(
            payment=id, order_no=order_no, buyer=buyer, gateway="toss", amount=total, currency="KRW", title="Apple",
            receiver="lab", expires_at=ends, check_at=now + timedelta(minutes=5),
        )  # fmt: skip
        try:
            await self.bus("shopper").send_together(start, BeginPayment(order_no=order_no, payment=id, until=ends))
        except Refused:
            self.faults["too late to pay"] += 1
            return
        self.provider[id] = Facts(kind="unknown", payment_id=str(id), provider_ref="")
        opening = Opening(provider_ref=f"p{id}", pay_url="https://pay")
        await self.bus("shopper").send(NotePaymentOpened(payment=id, opening=opening))
        await asyncio.sleep(
            self.chance.uniform(0, 500) if self.chance.random() < 0.8 else self.chance.uniform(0, 2 * HOUR)
        )
        if self.provider[id].kind != "unknown" or self.chance.random() < 0.15:
            return  # It was closed meanwhile; or the buyer changes their mind.
        kind = "captured" if self.chance.random() < 0.85 else "failed"
        facts = Facts(
            kind=kind, payment_id=str(id), provider_ref=f"p{id}", amount=total, currency="KRW", receiver="lab"
        )  # fmt: skip
        self.provider[id] = facts
        copies = 1 + (self.chance.random() < self.plan.doubled) * self.chance.randint(1, 3)
        await asyncio.gather(*(self._notice(facts) for _ in range(copies)))

    async def _notice(self, facts: Facts) -> None:
        if self.chance.random() < self.plan.lost:
            self.faults["lost notices"] += 1
            return
        await asyncio.sleep(self.chance.expovariate(1 / 60))
        await self._insist(lambda: payment.apply_facts(self.bus("toss"), "toss", facts))

    async def _insist(self, ask: Any) -> None:
        while True:
            try:
                await ask()
                return
            except Contended:
                await asyncio.sleep(1)

    async def _outside(self) -> None:
        """Providers and carriers hear what they are asked for."""
        position, running = 0, set[asyncio.Task[None]]()
        while True:
            while position < len(self.store.log):
                position += 1
                event = self.store.recorded(position)
                act = _ACTS.get(type(event.event))
                if act is not None:
                    task = asyncio.ensure_future(act(self, event.event))
                    running.add(task)
            for task in [task for task in running if task.done()]:
                running.discard(task)
                task.result()
            await self.grown.wait()

    async def check(self, event: PaymentChecked) -> None:
        """Our worker asks what became of an attempt; at its end it is closed at the provider."""
        await asyncio.sleep(self.chance.uniform(0, 30))
        facts = self.provider.get(event.payment)
        if facts is None:
            return
        if facts.kind != "unknown":
            await self._insist(lambda: payment.apply_facts(self.bus(), "toss", facts))
        elif event.is_last:
            self.provider[event.payment] = Facts(kind="failed", payment_id=str(event.payment), provider_ref="")
            how = Expire(payment=event.payment)
            await self._insist(lambda: payment.end(self.bus(), event.payment, event.order_no, how))

    async def refund(self, event: RefundRequested | RefundRetried) -> None:
        await asyncio.sleep(self.chance.expovariate(1 / HOUR))
        self.given_back[event.refund] = event.amount
        done = CompleteRefund(payment=event.payment, refund=event.refund, provider_refund=f"r{event.refund}")
        for _ in range(1 + (self.chance.random() < self.plan.doubled)):
            await self._insist(lambda: self.bus("toss").send(done))

    async def ship(self, event: OrderPaid) -> None:
        """A warehouse and a carrier, who take their time; some buyers change their mind before."""
        await asyncio.sleep(self.chance.uniform(0, 2 * DAY))
        try:
            if self.chance.random() < 0.15:
                cancel = CancelPaidOrder(order_no=event.order_no, reason="buyer")
                await self._insist(lambda: self.bus().send(cancel))
                return
            await self._insist(lambda: self.bus().send(MarkAllocated(order_no=event.order_no)))
            await asyncio.sleep(self.chance.uniform(0, 3 * DAY))
            await self._insist(lambda: self.bus().send(MarkStage(order_no=event.order_no, stage="DELIVERED")))
        except Refused:
            self.faults["too late to ship"] += 1


_ACTS: dict[type, Any] = {
    PaymentChecked: Simulation.check,
    RefundRequested: Simulation.refund,
    RefundRetried: Simulation.refund,
    OrderPaid: Simulation.ship,
}

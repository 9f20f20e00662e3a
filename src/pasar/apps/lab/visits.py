"""Overload by people instead of requests: visits that arrive by the clock, each from the first page to a paid order,
its next call made when the last one was answered. Who is turned away leaves; what counts is visits that end paid, in
time.

What a shop can take is so many buyers: a request that was served for a visit which is turned away later is work for
nothing. So it has to be the first page that refuses, and whoever has a cart has to get to the till.
"""

import asyncio
import random
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import msgspec

from .burst import request
from .evidence import Evidence
from .load import Answer, Load, Phase, Wanted, arrivals, phase
from .overload import Collapse, browse, kept, record
from .target import HOME, NOBODY, Caller, Target

GOODS, PEOPLE, AT_ONCE = 8, 2_000, 24
MEASURED_S = 15.0
PAID = "paid"
LOOKING = "list", "product"
"""Steps of people who have no cart yet."""
Step = Callable[[str, bytes], Awaitable[bytes]]
"""Sends the request of a step, by its name; the body of the answer. Raises `TurnedAway`."""
Buy = Callable[[Step], Awaitable[None]]
_decode = msgspec.json.decode


class TurnedAway(Exception):
    """A step of a visit was not answered as wished."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Visits:
    """People who come to buy: `buy` makes the steps of one visit. Of each visit one answer is kept: that of its slowest
    step where it ended paid (`PAID`), of the one that ended it otherwise, under the name of the step."""

    def __init__(self, api: str, buy: Buy, seed: int) -> None:
        self._buy, self._chance, self._load = buy, random.Random(seed), Load(api, (), seed)
        self._under_way: set[asyncio.Task[None]] = set()
        self.answers: list[Answer] = []

    async def come(self, per_second: float, seconds: float, *, start_s: float = 0.0) -> None:
        """So many a second, whether earlier ones have ended or not. `start_s` is added to when each was due."""
        async for at, due_s in arrivals(self._chance, per_second, seconds):
            task = asyncio.create_task(self._visit(start_s + due_s, at))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def most(self, seconds: float) -> float:
        """Visits a second that end paid, when `AT_ONCE` people come one after the other: about what it can do."""
        ends, before = perf_counter() + seconds, len(self.answers)

        async def place() -> None:
            while perf_counter() < ends:
                await self._visit(0.0, perf_counter())

        await asyncio.gather(*(place() for _ in range(AT_ONCE)))
        paid = sum(one.good for one in self.answers[before:])
        del self.answers[before:]
        return paid / seconds

    def close(self) -> None:
        self._load.close()

    async def _visit(self, due_s: float, at: float) -> None:
        late_s, slowest = perf_counter() - at, Answer(PAID, due_s, 200, 0.0, 0.0, False)

        async def step(kind: str, data: bytes) -> bytes:
            nonlocal slowest
            answer, body = await self._load.ask(Wanted(kind, 1.0, lambda: data), due_s)
            if answer.status >= 400 or not answer.status:
                raise TurnedAway(answer)
            slowest = max(slowest, answer, key=lambda one: one.took_s)
            return body

        try:
            await self._buy(step)
        except TurnedAway as away:
            self.answers.append(away.answer)
        else:
            self.answers.append(slowest._replace(kind=PAID, took_s=max(slowest.took_s, late_s)))


class _Shopping:
    """The list, a product, the cart, the order, the payment and its end. Who has no cart yet is nobody in particular;
    nobody is in two visits at once."""

    def __init__(self, target: Target, goods: Sequence[tuple[str, str]], people: Sequence[Caller], seed: int) -> None:
        self._target, self._goods, self._people = target, goods, deque(people)
        self._chance = random.Random(seed)

    async def __call__(self, step: Step) -> None:
        (product, sku), api = self._chance.choice(self._goods), self._target.api
        await step("list", browse(api, "/api/v1/products?channel=web&limit=20", NOBODY))
        await step("product", browse(api, f"/api/v1/products/{product}?channel=web", NOBODY))
        who = self._people.popleft()
        try:
            await self._to_the_till(step, who, sku)
        finally:
            self._people.append(who)

    async def _to_the_till(self, step: Step, who: Caller, sku: str) -> None:
        async def write(kind: str, path: str, body: Any) -> Any:
            data = request(self._target.api, "POST", f"/api/v1{path}", body, who, uuid.uuid4().hex)
            return _decode(await step(kind, kept(data)))

        await write("cart", "/cart/items", {"sku": sku, "quantity": 1, "channel": "web"})
        placed = await write("order", "/cart/submit", {"address": HOME})
        wish = {"gateway": "toss", "return_url": f"{self._target.api}/"}
        payment = await write("payment", f"/orders/{placed['order_no']}/payments", wish)
        back = await self._target.agree(payment)
        told = {"payment_key": back["paymentKey"], "order_id": back["orderId"], "amount": int(back["amount"])}
        await write("confirmation", f"/payments/{payment['payment']}/confirm", told)


@asynccontextmanager
async def visitors(target: Target, seed: int) -> AsyncIterator[Visits]:
    """Guests and goods for visits to a deployment with simulated providers."""
    goods = [await target.offer(1_000_000) for _ in range(GOODS)]
    made = Visits(target.api, _Shopping(target, goods, await target.guests(PEOPLE), seed), seed)
    try:
        yield made
    finally:
        made.close()


async def overrun(
    visits: Visits, evidence: Evidence, *, times: float = 10.0, calm_s: float = 10.0, storm_s: float = 20.0
) -> tuple[list[Phase], float]:
    """Calm, storm, calm: the three phases, and the most that it can do, which is measured before and after: a machine
    that others use too is not the same for long. Raises `NotAsExpected` on answers that may never be."""
    await visits.most(2.0)  # Warms up.
    most = await visits.most(MEASURED_S)
    await visits.come(most * 0.8, calm_s)
    await visits.come(most * times, storm_s, start_s=calm_s)
    end = calm_s + storm_s
    await visits.come(most * 0.8, 10.0 + calm_s, start_s=end)
    peak = (most + await visits.most(MEASURED_S)) / 2
    found = [
        phase("before", visits.answers, 0, calm_s),
        phase("storm", visits.answers, calm_s, end),
        phase("after", visits.answers, end + 10.0, end + 10.0 + calm_s),
    ]
    evidence.fault(f"seconds at {times:g}×", int(storm_s))
    evidence.figure("turned away with a cart", str(turned_away_late(visits.answers)))
    evidence.figure("capacity before and after, good/s", f"{most:.0f}, {2 * peak - most:.0f}")
    record(evidence, visits.answers, found, peak)
    return found, peak


def turned_away_late(answers: Sequence[Answer]) -> int:
    return sum(one.refused and one.kind not in (*LOOKING, "cart") for one in answers)


def judge_order(answers: Sequence[Answer]) -> None:
    """Checkout before browsing: of those who have a cart, nine in ten get to the till, while most are turned away."""
    paid, late = sum(one.kind == PAID for one in answers), turned_away_late(answers)
    if late > paid // 9:
        raise Collapse(f"{late} were turned away with a cart, {paid} paid")

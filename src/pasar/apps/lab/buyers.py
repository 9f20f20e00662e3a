"""Buyers who do not give up: each repeats what got no answer, under the same key, and keeps a list of what was
accepted. `reconcile` holds the deployment to that list."""

import asyncio
import itertools
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from time import monotonic
from typing import Any, get_args

import aiohttp

from pasar.vocabulary import OrderState

from .target import Caller, NotAsExpected, Reply, Target, order

PAUSE_S = 0.1
PATIENCE = 100
UNSURE = (409, 429, 500, 502, 503, 504)
_STATES: tuple[OrderState, ...] = get_args(OrderState)
PAID = frozenset(_STATES[_STATES.index("PAID") : _STATES.index("COMPLETED") + 1])
GONE = frozenset({"CANCELED"})
MISSING = "missing"


class Buyers:
    """`shop` until told to stop. `placed`: accepted orders and whose they are; `captured`: those told to be paid."""

    def __init__(self, target: Target, sku: str, *, pay: bool = True) -> None:
        self.target, self.sku, self._pay_at_all = target, sku, pay
        self.placed: dict[str, Caller] = {}
        self.captured: set[str] = set()
        self.broken = 0
        self.server_errors: list[bytes] = []
        self.slowest_s = 0.0
        self.asked = 0
        self.late = 0
        """Requests that had no answer within 30 s, however often they were repeated."""
        self.stopping = asyncio.Event()

    async def shop(self, at_once: int) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(at_once):
                group.create_task(self._shop(pays=self._pay_at_all and number % 3 != 0))

    async def shop_during(self, at_once: int, doing: Coroutine[Any, Any, None]) -> None:
        """`shop` for as long as something else takes. Raises what either fails with, at once; the other ends, too."""
        shopping, other = asyncio.create_task(self.shop(at_once)), asyncio.create_task(doing)
        ended, _ = await asyncio.wait([shopping, other], return_when=asyncio.FIRST_COMPLETED)
        try:
            for one in ended:
                one.result()
            self.stopping.set()
            await shopping
        finally:
            for one in (shopping, other):
                one.cancel()

    async def _shop(self, pays: bool) -> None:
        while not self.stopping.is_set():
            made = await self.insist(lambda _: self.target.ask("POST", "/guests"))
            guest = Caller(made["account"], made["access_token"])
            body = order(guest, self.sku)
            placed = await self.insist(
                lambda key, guest=guest, body=body: self.target.ask("POST", "/orders/create", body, guest, key)
            )
            if placed["order_no"] in self.placed:
                raise NotAsExpected(f"order {placed['order_no']} was accepted for two buyers")
            self.placed[placed["order_no"]] = guest
            if pays:
                await self._pay(guest, placed["order_no"])

    async def _pay(self, guest: Caller, order_no: str) -> None:
        wish = {"gateway": "toss", "return_url": f"{self.target.api}/"}
        path = f"/orders/{order_no}/payments"
        payment = await self.insist(lambda key: self.target.ask("POST", path, wish, guest, key))
        own = f"/payments/{payment['payment']}"
        while not payment["pay_url"]:  # The provider was slow, or we were: look again.
            await asyncio.sleep(PAUSE_S)
            payment = await self.insist(lambda _: self.target.ask("GET", own, who=guest))
        back = await self.target.agree(payment)
        told = {"payment_key": back["paymentKey"], "order_id": back["orderId"], "amount": int(back["amount"])}
        paid = await self.insist(lambda key: self.target.ask("POST", f"{own}/confirm", told, guest, key))
        if paid["state"] == "captured":
            self.captured.add(order_no)

    async def browse(self, paths: Sequence[str], at_once: int) -> None:
        """So many people who only look, at one page after the other."""

        async def looks() -> None:
            for path in itertools.cycle(paths):
                if self.stopping.is_set():
                    return
                answer = await self._answered(lambda _, path=path: self.target.ask("GET", path))
                if answer.status != 200:
                    raise NotAsExpected(f"{path}: {answer.status}")

        await asyncio.gather(*(looks() for _ in range(at_once)))

    async def insist(self, ask: Callable[[str], Awaitable[Reply]]) -> Any:
        """What was answered, however often it has to be asked for; always the same key."""
        return (await self._answered(ask)).ok()

    async def _answered(self, ask: Callable[[str], Awaitable[Reply]]) -> Reply:
        key, began = uuid.uuid4().hex, monotonic()
        while True:
            try:
                async with asyncio.timeout(10):
                    answer = await ask(key)
            except (aiohttp.ClientError, TimeoutError, OSError):
                self.broken += 1
            else:
                if answer.status == 500:
                    self.server_errors.append(answer.body)
                if answer.status not in UNSURE:
                    self._note(monotonic() - began)
                    return answer
            await asyncio.sleep(PAUSE_S)

    def _note(self, seconds: float) -> None:
        self.asked += 1
        self.slowest_s = max(self.slowest_s, seconds)
        self.late += seconds > 30


class Lost(AssertionError):
    """What was accepted is not there, or is there twice."""


async def reconcile(target: Target, buyers: Buyers, units: int, *, patience_s: float = 60.0) -> int:
    """After a quiet phase: every accepted order is there in a legal state, every paid one is paid, and exactly the
    units of the orders that stand are gone. How many stand. Deadlines may still pass meanwhile: for so long after the
    first look at all, what can still change, or is not as it should be, is looked at again. Raises `Lost`."""
    states = await _states(target, buyers, buyers.placed)
    ends = monotonic() + patience_s
    while True:
        wrong = {number: state for number, state in states.items() if not _legal(buyers, number, state)}
        standing, gone = sum(state not in GONE for state in states.values()), units - await target.left(buyers.sku)
        if not wrong and standing == gone:
            return standing
        if monotonic() > ends:
            raise Lost(
                f"{standing} orders stand and {gone} units are gone; not as accepted: {dict(list(wrong.items())[:5])}"
            )
        await asyncio.sleep(0.2)
        open_ones = [number for number, state in states.items() if number in wrong or state not in PAID | GONE]
        states |= await _states(target, buyers, open_ones)


def _legal(buyers: Buyers, order_no: str, state: str) -> bool:
    return state in PAID or (order_no not in buyers.captured and state != MISSING)


async def _states(target: Target, buyers: Buyers, numbers: Iterable[str]) -> dict[str, str]:
    gate = asyncio.Semaphore(16)

    async def look(order_no: str, who: Caller) -> str:
        async with gate:
            answer = await _let_in(target, f"/orders/{order_no}", who)
            if answer.status == 401:  # The guest's token has expired meanwhile: staff still sees the order.
                answer = await _let_in(target, f"/orders/{order_no}", await target.staff())
        return MISSING if answer.status == 404 else answer.ok()["status"]

    asked = list(numbers)
    found = await asyncio.gather(*(look(number, buyers.placed[number]) for number in asked))
    return dict(zip(asked, found, strict=True))


async def _let_in(target: Target, path: str, who: Caller) -> Reply:
    """What is answered to who comes again a few times where there was no place."""
    answer = await target.ask("GET", path, who=who)
    for _ in range(PATIENCE):
        if answer.status not in (429, 503):
            break
        await asyncio.sleep(PAUSE_S)
        answer = await target.ask("GET", path, who=who)
    return answer

"""Playing a plan day by day: orders are placed at their own instants, the rest of their lives goes on beside it.

The clock moves to an invoice's instant before the invoice is placed, and never past one that is not. Invoices of one
instant are placed side by side, those of one customer one after the other. What was begun on a day (paying, shipping,
taking back) is done by the end of the next one; then the buyers confirm.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple

from pasar.apps.replay import steps
from pasar.apps.replay.client import Client
from pasar.apps.replay.journal import Journal
from pasar.apps.replay.plan import Action, PlannedOrder, PlannedReturn
from pasar.apps.replay.reader import CannotReplay
from pasar.apps.replay.stage import WAREHOUSE

AT_ONCE = 12
PAGE = 100
PAUSE_S = 0.05
QUIET_S = 2.0
MOST_NUDGES = 90


class _Day(NamedTuple):
    """The orders of a day, and what was begun on it."""

    orders: Sequence[PlannedOrder] = ()
    work: Sequence[asyncio.Task[None]] = ()


class Drive:
    """`run` plays all that the journal has not. `told` is called with the lines done and the day after each step."""

    def __init__(
        self,
        client: Client,
        journal: Journal,
        *,
        speed_s: float = 0,
        told: Callable[[int, date], None],
    ) -> None:
        self._client, self._journal, self._speed_s, self._told = client, journal, speed_s, told
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._arrived: dict[str, asyncio.Event] = {}
        self._customers: dict[str, str] = {}
        self._now: datetime | None = None
        self._steps = 0

    async def run(self, actions: Iterable[Action]) -> None:
        """Every day, then the confirmations that are left."""
        loop = asyncio.get_running_loop()
        began, first = loop.time(), None
        before, doing = _Day(), _Day()
        async with asyncio.TaskGroup() as group:
            helpers = [group.create_task(self._ship()), group.create_task(self._nudge())]
            for day, of_day in groupby(actions, key=lambda action: action.at.date()):
                first = first or day
                if self._speed_s:
                    await asyncio.sleep(max(0, began + (day - first).days / self._speed_s - loop.time()))
                # Parcels go out until the end of the next day, so that no day waits for its last one.
                await asyncio.gather(*before.work)
                before, doing = doing, await self._day(day, list(of_day), before.orders, group)
            await asyncio.gather(*before.work, *doing.work)
            await self._side_by_side(self._confirm(order) for order in (*before.orders, *doing.orders))
            for helper in helpers:
                helper.cancel()

    async def _day(
        self, day: date, actions: list[Action], arrived: Sequence[PlannedOrder], group: asyncio.TaskGroup
    ) -> "_Day":
        """Play a day's invoices. Of those of two days ago all has arrived: now their buyers confirm."""
        orders = [action for action in actions if isinstance(action, PlannedOrder)]
        self._customers |= {order.invoice: steps.customer_of(order) for order in orders}
        unconfirmed = [order for order in arrived if order.invoice not in self._journal.confirmed]
        left = [action for action in actions if not self._is_done(action)]
        work: list[asyncio.Task[None]] = []
        if left or unconfirmed:
            await self.move_clock(actions[0].at)
            work = [group.create_task(self._confirm(order)) for order in unconfirmed]
            for at, together in groupby(left, key=lambda action: action.at):
                await self.move_clock(at)
                work += await self._instant(list(together), group)
        self._told(0, day)
        return _Day(orders, work)

    def _is_done(self, action: Action) -> bool:
        journal = self._journal
        if isinstance(action, PlannedReturn):
            return action.name in journal.refunded
        return action.invoice in journal.payments and journal.orders[action.invoice] in journal.delivered

    async def _instant(self, actions: list[Action], group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Invoices of one instant: each customer's in their order. What is left of their lives is begun."""
        chains: dict[str, list[Action]] = {}
        for action in actions:
            invoice = action.invoice if isinstance(action, PlannedOrder) else action.order
            chains.setdefault(self._customers[invoice], []).append(action)
        rest: list[Coroutine[Any, Any, None]] = []

        async def one_after_another(chain: list[Action]) -> None:
            for action in chain:
                rest.append(await (self._order(action) if isinstance(action, PlannedOrder) else self._return(action)))

        await asyncio.gather(*map(one_after_another, chains.values()))
        return [group.create_task(coroutine) for coroutine in rest]

    async def _order(self, order: PlannedOrder) -> Coroutine[Any, Any, None]:
        if order.invoice in self._journal.orders:
            await steps.look_after(self._client, self._journal, order)
        else:
            await steps.place(self._client, self._journal, order)
        self._step(len(order.lines), order.at)
        return self._fulfil(order)

    async def _fulfil(self, order: PlannedOrder) -> None:
        order_no = self._journal.orders[order.invoice]
        if order.invoice not in self._journal.payments:
            async with self._slots:
                await steps.pay(self._client, self._journal, order)
        self._step()
        await self._arrival(order_no)

    async def _return(self, case: PlannedReturn) -> Coroutine[Any, Any, None]:
        """Asked for at its instant, unless the goods are still on their way."""
        if self._journal.orders.get(case.order) in self._journal.delivered:
            await self._ask(case)
        return self._take_back(case)

    async def _ask(self, case: PlannedReturn) -> None:
        if case.name not in self._journal.cases:
            await steps.ask(self._client, self._journal, case, self._customers[case.order])

    async def _take_back(self, case: PlannedReturn) -> None:
        await self._arrival(self._journal.orders[case.order])
        async with self._slots:
            await self._ask(case)
            await steps.take_back(self._client, self._journal, case)
        self._step(len(case.lines), case.at)

    async def _confirm(self, order: PlannedOrder) -> None:
        if order.invoice not in self._journal.confirmed:
            async with self._slots:
                await steps.confirm(self._client, self._journal, order)
            self._step()

    # The warehouse.

    async def _arrival(self, order_no: str) -> None:
        if order_no not in self._journal.delivered:
            await self._arrived.setdefault(order_no, asyncio.Event()).wait()

    async def _ship(self) -> None:
        """Work off the list of parcels, again and again."""
        while True:
            if not (self._arrived and await self._ship_page()):
                await asyncio.sleep(PAUSE_S)

    async def _ship_page(self) -> int:
        states = "&".join(f"state={state}" for state in steps.STAGES)
        path = f"/api/v1/fulfillment/parcels?{states}&warehouse={WAREHOUSE}&limit={PAGE}"
        listed = (await self._client.staff("GET", path))["items"]
        parcels = [one for one in listed if one["order_no"] not in self._journal.delivered]
        await self._side_by_side(self._send(one) for one in parcels)
        return len(parcels)

    async def _send(self, parcel: Mapping[str, Any]) -> None:
        async with self._slots:
            await steps.send(self._client, self._journal, parcel)
        self._step()
        if (event := self._arrived.pop(parcel["order_no"], None)) is not None:
            event.set()

    # Time.

    async def move_clock(self, to: datetime) -> None:
        """Forward; a time that has passed is left alone."""
        if self._now is None:
            self._now = datetime.fromisoformat((await self._client.staff("GET", "/api/v1/clock"))["now"])
        if to > self._now:
            await self._client.staff("PUT", "/api/v1/clock", {"to": to})
            self._now = to

    async def _nudge(self) -> None:
        """What the shop tries again after a while waits for the clock: where nothing happens, a minute passes."""
        idle = 0
        while idle < MOST_NUDGES:
            before = self._steps
            await asyncio.sleep(QUIET_S)
            idle = 0 if self._steps != before else idle + 1
            if idle and self._now is not None:
                await self.move_clock(self._now + timedelta(minutes=1))
        raise CannotReplay(f"nothing happens any more: {self._waiting()}")

    def _waiting(self) -> str:
        return f"{len(self._arrived)} orders are not delivered, among them {', '.join(sorted(self._arrived)[:5])}"

    def _step(self, lines: int = 0, at: datetime | None = None) -> None:
        self._steps += 1
        if lines and at is not None:
            self._told(lines, at.date())

    async def _side_by_side(self, work: Iterable[Coroutine[Any, Any, None]]) -> None:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)

"""Sixty days of the demo mall, made by the shop's own commands on a clock of the past; then the present takes over.

Day by day: people act, each at an instant of their own, and all of a day is committed together; then policies,
processes and deadlines come to rest, and providers give back what is owed. Nothing outside is called: payments are
captured, and refunds completed, by the commands in which a provider's answer comes in. A mark is kept of each day, and
what is done for an order has a key, so a load that was cut short goes on where it stopped.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from pasar.apps.demo import MARKS, PASSWORD, WAREHOUSES, batch_lines, is_fresh, mark, product_id, skus_of
from pasar.apps.demo_data import goods
from pasar.apps.demo_paid import payment_of, tell_providers
from pasar.apps.demo_plan import DAYS, MEMBERS, PlannedOrder, Step, address_at, by_day, plan
from pasar.apps.demo_plan import visits as planned_visits
from pasar.apps.deployment import Addresses, Deployment, clock_of, opened
from pasar.apps.pages import visits
from pasar.apps.past import Followers, PastClock
from pasar.contexts.aftersales import facade as aftersales
from pasar.contexts.aftersales.contract import Arrival, NewReturn, ReturnCase
from pasar.contexts.finance import facade as finance
from pasar.contexts.fulfillment import facade as fulfillment
from pasar.contexts.fulfillment.contract import DeliverParcel, PackParcel, PickParcel, ShipParcel
from pasar.contexts.identity import facade as identity
from pasar.contexts.identity.contract import AddAddress, ChangeProfile, OpenGuest
from pasar.contexts.inventory import facade as inventory
from pasar.contexts.inventory.contract import ReceivedLine
from pasar.contexts.ordering import facade as ordering
from pasar.contexts.ordering.contract import BeginPayment, MarkPaid, Placed
from pasar.contexts.payment import facade as payments
from pasar.contexts.payment.contract import Capture, CompleteRefund, Fail, Opening, StartPayment
from pasar.contexts.pricing.contract import CreateCoupon
from pasar.kernel.access import Principal
from pasar.kernel.bus import Bus, Context
from pasar.kernel.messages import Refused, convert, decode
from pasar.kernel.settings import Settings
from pasar.vocabulary import Address, Period

T = TypeVar("T")
GATEWAYS = {"KRW": "toss", "CNY": "wechat"}
CARRIERS = ("CJ Logistics", "Hanjin", "Lotte")
LOT_EVERY, LOT_KEEPS, LOT_UNITS = 15, 24, 60
"""Days between two deliveries of what does not keep, how long it keeps, and how much of each comes."""
LOSSES_ON = 44
LOSSES = {
    "vase-small-celadon": (2, "a pallet fell"),
    "turntable": (4, "water in the hall"),
    "coat-wool-oat-s": (1, "not there when counted"),
    "plate-moon": (5, "cracked in the kiln"),
}
"""What is left of a SKU, and why."""
SAVE_EVERY = 10
"""Days after which it is stored how far everybody is; the last day is one."""
ATTEMPT = timedelta(minutes=10)
REASONS = ("damaged", "no_longer_wanted", "not_as_described", "defective")


async def load_history(settings: Settings, addresses: Addresses, told: Callable[[int], None] | None = None) -> int:
    """What is left of the history of a mall that was opened in the past; of any other mall, nothing. `told`: of each
    day that is done. How many steps of the plan the shop refused: a few, as goods without a parcel are not cancelled."""
    now = clock_of(settings).now()
    clock = PastClock(now)
    async with opened(settings, addresses, clock=clock, lasting=False) as deployment:
        marks = await _marks(deployment)
        if "start" not in marks or f"day-{DAYS}" in marks:
            return 0
        starts_at = datetime.fromisoformat(marks["start"])
        clock.stand_at(starts_at)
        modules = deployment.modules
        outside, views = frozenset({"payment"}), frozenset({"finance"})
        async with Followers(deployment.core, modules, outside=outside, views_of=views) as followers:
            history = _History(deployment, clock, followers, starts_at, now)
            await history.play(frozenset(marks), told)
            return history.refused


async def _marks(deployment: Deployment) -> dict[str, str]:
    rows = await deployment.database.kernel.fetch(
        "select key, body from kernel.answer where tenant = 1 and principal = $1 and route = $1", MARKS
    )
    return {row["key"]: decode(row["body"], str) for row in rows}


class _History:
    def __init__(
        self, deployment: Deployment, clock: PastClock, followers: Followers, starts_at: datetime, now: datetime
    ) -> None:
        self._core, self._clock, self._followers = deployment.core, clock, followers
        self._starts_at, self._now = starts_at, now
        self._people: dict[str, UUID] = {}
        self._orders: dict[int, str] = {}
        self.refused = 0

    async def play(self, done: frozenset[str], told: Callable[[int], None] | None) -> None:
        codes = goods()
        steps = plan(self._starts_at, codes, {code: [sku for sku, _ in skus_of(one)] for code, one in codes.items()})
        steps = [step for step in steps if step.at < self._now]
        firsts: dict[str, datetime] = {}
        for step in steps:
            if not step.order.buyer.is_guest:
                firsts.setdefault(step.order.buyer.name, step.at)
        for day, of_day in by_day(steps, self._starts_at):
            begins = self._starts_at + timedelta(days=day)
            if f"day-{day}" in done:
                continue
            self._clock.stand_at(begins)
            new = [name for name, at in firsts.items() if at < begins + timedelta(days=1) and name not in self._people]
            await asyncio.gather(*(self._join(name, firsts[name] - timedelta(minutes=5)) for name in new))
            await asyncio.gather(self._deliveries(day), self._offers(day), self._losses(day))
            await self._day(of_day, min(begins + timedelta(days=1), self._now))
            if day % SAVE_EVERY == 0:
                await self._followers.save()
            for channel, seen in planned_visits(of_day, day).items():
                visits.add(self._core, 1, channel, begins.date(), seen)
            await visits.tallies_of(self._core).write()
            if day == DAYS:
                await tell_providers(self._core, [(one.order.number, one.at) for one in steps if one.what == "pay"])
            await mark(self._core, f"day-{day}", begins.isoformat())
            if told is not None:
                told(day)

    async def _day(self, steps: Sequence[Step], ends_at: datetime) -> None:
        """What people do, then what follows."""
        by_order = groupby(sorted(steps, key=lambda step: step.order.number), key=lambda step: step.order.number)
        await asyncio.gather(*(self._steps(list(of)) for _, of in by_order))
        await asyncio.gather(self._settle_sellers(ends_at))
        await self._followers.settle(ends_at)
        if back := [step for step in steps if step.what in ("cancel", "receive")]:
            await asyncio.gather(*(self._give_back(step) for step in back))
            await self._followers.settle(ends_at)

    async def _steps(self, steps: Sequence[Step]) -> None:
        """One order's, one after the other. What the shop refuses is left, as people leave it."""
        for step in steps:
            self._clock.is_for_me(step.at)
            try:
                await getattr(self, f"_{step.what}")(step.order, step.at)
            except Refused:
                self.refused += 1

    def _bus(self, principal: str = "demo", key: str | None = None) -> Bus:
        context = Context(principal=principal, correlation_id=f"demo:{key}", route="history", key=key)
        return self._core.bus(context)

    # People.

    async def _join(self, name: str, at: datetime) -> None:
        """A member, with an address to send to, unless they are there."""
        self._clock.is_for_me(at)
        _, full, locale = next(one for one in MEMBERS if one[0] == name)
        bus, number = self._bus(), len(name) % 6 if locale != "zh" else 6
        account = await identity.ensure_account(bus, f"{name}@example.com", PASSWORD, full, ("member",))
        await bus.send(ChangeProfile(account=account, locale=locale))
        book = AddAddress(
            account=account, address_id="home", address=convert(address_at(full, number), Address), is_default=True
        )
        await bus.send(book)
        self._people[name] = account

    async def _who(self, order: PlannedOrder) -> Principal:
        buyer = order.buyer
        if not buyer.is_guest:
            return Principal(id=str(self._people[buyer.name]), kind="member")
        return Principal(id=str(product_id(buyer.name)), kind="guest")

    async def _staff(self, name: str) -> Principal:
        account = await identity.find(self._bus(), f"{name}@example.com")
        return Principal(id=str(account), kind="admin" if name == "admin" else "finance", roles=frozenset({name}))

    # An order's life.

    @staticmethod
    async def _recalled(bus: Bus, kind: type[T]) -> T | None:
        reply = await bus.recall()
        return None if reply is None or reply.status >= 400 else decode(reply.body, kind)

    async def _place(self, order: PlannedOrder, at: datetime) -> None:
        who = await self._who(order)
        if order.buyer.is_guest:
            self._clock.is_for_me(at - timedelta(minutes=3))
            account = UUID(who.id)
            session, _ = identity.new_session(self._bus(), account)
            await self._bus(key=f"{order.number}-guest").send(OpenGuest(account=account, session=session))
            self._clock.is_for_me(at)
        bus = self._bus(who.id, f"{order.number}-place")
        name = order.buyer.name.replace("-", " ").title()
        wish = ordering.NewOrder(
            uid=UUID(who.id),
            items=tuple(ordering.Item(sku_id=sku, qty=units) for sku, units in order.items),
            channel=order.channel,
            coupon_ids=(order.coupon,) if order.coupon else (),
            address=convert(address_at(name, order.place), ordering.AddressGiven),
        )
        placed = await self._recalled(bus, Placed)
        if placed is None:
            try:
                placed = await ordering.create(bus, who, wish)
            except Refused:
                if not order.coupon:
                    raise
                placed = await ordering.create(bus, who, msgspec.structs.replace(wish, coupon_ids=()))
        self._orders[order.number] = placed.order_no

    async def _no(self, order: PlannedOrder) -> str:
        """The number that the shop gave; of an order that it refused, one that there is not."""
        if order.number not in self._orders:
            who = await self._who(order)
            placed = await self._recalled(self._bus(who.id, f"{order.number}-place"), Placed)
            self._orders[order.number] = placed.order_no if placed else "none"
        return self._orders[order.number]

    async def _begin_payment(self, order: PlannedOrder) -> dict[str, Any]:
        placed = (await ordering.order(self._core.database.reader(1), await self._no(order))).placed
        assert placed is not None
        money = {"amount": placed.total, "currency": placed.currency, "gateway": GATEWAYS[placed.currency]}
        payment, until = payment_of(order.number), self._clock.now() + ATTEMPT
        start = StartPayment(
            payment=payment,
            order_no=placed.order_no,
            buyer=placed.buyer,
            title=placed.lines[0].title,
            expires_at=until,
            opening=Opening(provider_ref=None, pay_url=None),
            **money,
        )
        begin = BeginPayment(order_no=placed.order_no, payment=payment, until=until)
        await self._bus(str(placed.buyer), f"{order.number}-start").send_together(start, begin)
        return {"payment": payment, **money}

    async def _pay(self, order: PlannedOrder, at: datetime) -> None:
        self._clock.is_for_me(at - timedelta(seconds=30))
        money = await self._begin_payment(order)
        self._clock.is_for_me(at)
        capture = Capture(provider_ref=f"demo-{order.number:04d}", occurred_at=at, **money)
        paid = MarkPaid(order_no=await self._no(order), **money)
        await self._bus(f"gateway:{money['gateway']}", f"{order.number}-pay").send_together(capture, paid)

    async def _fail(self, order: PlannedOrder, at: datetime) -> None:
        money = await self._begin_payment(order)
        self._clock.is_for_me(at + timedelta(minutes=2))
        fail = Fail(payment=money["payment"], reason="REJECT_CARD_PAYMENT")
        await self._bus(f"gateway:{money['gateway']}", f"{order.number}-fail").send(fail)

    async def _cancel(self, order: PlannedOrder, at: datetime) -> None:
        who = await self._who(order)
        await ordering.cancel(self._bus(who.id, f"{order.number}-cancel"), who, await self._no(order))

    async def _parcels(self, order: PlannedOrder) -> list[str]:
        found = await fulfillment.of_order(self._core.database.reader(1), await self._no(order), _WAREHOUSE)
        return [one.parcel for one in found.parcels if not one.digital]

    async def _ship(self, order: PlannedOrder, at: datetime) -> None:
        no, bus = await self._no(order), self._bus("warehouse")
        for parcel in await self._parcels(order):
            tracking_no = f"{6_300_000_000 + order.number * 7919 + int(parcel)}"
            of = {"order_no": no, "parcel": parcel}
            for hours, command in ((2, PickParcel), (1, PackParcel)):
                before = at - timedelta(hours=hours)
                self._clock.is_for_me(before)
                await bus.send(command(**of, at=before))
            self._clock.is_for_me(at)
            carrier = CARRIERS[order.number % len(CARRIERS)]
            await bus.send(ShipParcel(**of, at=at, carrier=carrier, tracking_no=tracking_no))

    async def _deliver(self, order: PlannedOrder, at: datetime) -> None:
        for parcel in await self._parcels(order):
            await self._bus("carrier").send(DeliverParcel(order_no=await self._no(order), parcel=parcel, at=at))

    async def _confirm(self, order: PlannedOrder, at: datetime) -> None:
        who = await self._who(order)
        await ordering.confirm(self._bus(who.id, f"{order.number}-confirm"), who, await self._no(order))

    # What goes back.

    async def _ask(self, order: PlannedOrder, at: datetime) -> None:
        who, reason = await self._who(order), REASONS[order.number % len(REASONS)]
        wish = {"lines": [{"line_id": "1", "quantity": 1}], "reason_code": reason}
        bus = self._bus(who.id, f"{order.number}-ask")
        if await self._recalled(bus, ReturnCase) is None:
            await aftersales.request(bus, who, await self._no(order), convert(wish, NewReturn))

    async def _case(self, order: PlannedOrder) -> ReturnCase:
        who = await self._who(order)
        case = await self._recalled(self._bus(who.id, f"{order.number}-ask"), ReturnCase)
        if case is None:
            raise aftersales.ReturnNotFound(f"order {order.number} of the plan has no return")
        return case

    async def _approve(self, order: PlannedOrder, at: datetime) -> None:
        who, case = await self._staff("admin"), await self._case(order)
        await aftersales.approve(self._bus(who.id, f"{order.number}-approve"), who, case.case)

    async def _receive(self, order: PlannedOrder, at: datetime) -> None:
        who, case = await self._staff("admin"), await self._case(order)
        arrival = Arrival(warehouse=WAREHOUSES[order.number % 2][0])
        await aftersales.receive(self._bus(who.id, f"{order.number}-receive"), who, case.case, arrival)

    async def _give_back(self, step: Step) -> None:
        """What the provider says to the refunds that it was asked for."""
        self._clock.is_for_me(step.at + timedelta(minutes=1))
        payment = payment_of(step.order.number)
        for one in (await payments.show(self._core.database.reader(1), _FINANCE, payment)).refunds:
            if one.state == "requested":
                done = CompleteRefund(payment=payment, refund=one.refund, provider_refund=f"demo-{one.refund}"[:13])
                await self._bus("gateway").send(done)

    # The shop.

    async def _deliveries(self, day: int) -> None:
        """What does not keep comes fresh, and what is left of it goes when its time is over; on the last day come the
        batches that the shop is shown with."""
        last = day == DAYS
        if day % LOT_EVERY and not last:
            return
        at = self._starts_at + timedelta(days=day, hours=6)
        self._clock.is_for_me(min(at, self._now - timedelta(minutes=10)))

        async def receive(number: int, code: str) -> None:
            one, until = goods()[code], at.date() + timedelta(days=LOT_KEEPS)
            lot = f"{at:%m%d}-{code[:2]}"
            lines = [ReceivedLine(sku=sku, quantity=LOT_UNITS, batch=lot, expires_on=until) for sku, _ in skus_of(one)]
            if last:
                lines = batch_lines(one, self._now.date())
            receipt = product_id(f"receipt:{code}:{day}")
            await inventory.receive(
                self._bus("warehouse"), receipt, WAREHOUSES[number % 2][0], tuple(lines), reference=lot
            )

        fresh = [(number, one.code) for number, one in enumerate(goods().values()) if one.batches and is_fresh(one)]
        await asyncio.gather(*(receive(*one) for one in fresh))

    async def _offers(self, day: int) -> None:
        """Coupons that come, and one that is over."""
        if day == 0:
            self._clock.is_for_me(self._starts_at)
            for coupon in offers(self._starts_at):
                await self._bus().send(coupon)

    async def _losses(self, day: int) -> None:
        """What was counted and not found, so that some things run out."""
        if day == LOSSES_ON:
            self._clock.is_for_me(self._starts_at + timedelta(days=day, hours=17))
            for place in await inventory.places(self._core.database.reader(1), list(LOSSES)):
                left, reason = LOSSES[place.sku]
                what = product_id(f"loss:{place.sku}"), place.warehouse, place.sku, None, left - place.quantity
                await inventory.adjust(self._bus("warehouse"), *what, reason)

    async def _settle_sellers(self, ends_at: datetime) -> None:
        """On Tuesdays finance approves what Monday proposed; the last run waits for whoever looks at the shop."""
        if ends_at.weekday() != 2 or ends_at > self._now - timedelta(days=7):
            return
        self._clock.is_for_me(ends_at - timedelta(hours=13))
        who, bus = await self._staff("finance"), self._bus("finance")
        for run in (await finance.runs(bus.db, finance.FindRuns(state="proposed"))).items:
            await finance.approve_run(self._bus(who.id), who, run.run)


def offers(at: datetime) -> list[CreateCoupon]:
    """Beside those that every demo has: a store's own, and one of the season that is over."""
    autumn = Period(starts_at=at, ends_at=at + timedelta(days=40))
    return [
        CreateCoupon(
            coupon="AUTUMN15",
            kind="percent",
            value=Decimal(15),
            currency="KRW",
            max_discount=Decimal(30000),
            total_limit=200,
            per_person=2,
            store="atelier",
        ),
        CreateCoupon(
            coupon="HARVEST3000", kind="amount", value=Decimal(3000), currency="KRW", min_amount=Decimal(40000),
            per_person=3, period=autumn,
        ),
    ]  # fmt: skip


_WAREHOUSE = Principal(id="warehouse", kind="warehouse", roles=frozenset({"warehouse"}))
_FINANCE = Principal(id="finance", kind="finance", roles=frozenset({"finance"}))

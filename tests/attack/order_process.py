"""`python order_process.py APP_DSN SEED WHAT SIZE EACH FILE`: orders through the bus of a process of its own, 64 at a
time: for each of so many SKUs (or coupons) so many attempts, one thing after the other, so that all are after the last
of it at the same time. Each attempt is a line of the file: what it was for, and the order's number or a dash."""

import asyncio
import sys
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import uvloop
from msgspec.structs import replace

from pasar.apps import wiring
from pasar.apps.deployment import read_settings
from pasar.apps.lab.simulation import HOME, NoSeals, quote
from pasar.contexts.ordering.contract import PlaceOrder
from pasar.contexts.pricing.contract import CouponUse
from pasar.kernel.bus import Contended, Context, Core
from pasar.kernel.clock import SystemClock
from pasar.kernel.ids import SystemIds
from pasar.kernel.pool import PoolExhausted
from pasar.kernel.store import Database
from pasar.refusals import CouponExhausted, CouponLimitReached, InsufficientStock

AT_ONCE = 64
CHANNELS = ("web", "wechat", "tmall", "live")
PEOPLE = 5
"""Those who want coupons."""
NOTHING = Decimal(0)


def place(what: str, thing: str, number: int, order_no: str) -> PlaceOrder:
    now = SystemClock().now()
    until = now + timedelta(minutes=30)
    asked, buyer = quote(1, now), UUID(int=number)
    (line,) = asked.lines
    if what == "units":
        asked = replace(asked, lines=(replace(line, sku=thing),), channel=CHANNELS[number % len(CHANNELS)])
    else:
        use = CouponUse(coupon=thing, discount=NOTHING, limited=True, per_person=1, platform_funded=False)
        asked = replace(asked, lines=(replace(line, is_digital=True),), coupons=(use,))
        buyer = UUID(int=number % PEOPLE)
    return PlaceOrder(order_no=order_no, buyer=buyer, quote=asked, address=HOME, pay_until=until, placed_at=now)


async def attempt(core: Core, what: str, thing: str, number: int, seed: int) -> str:
    """The order's number, or a dash."""
    order_no = f"20260301{seed:04}{number:08}"
    while True:
        try:
            await core.bus(Context(principal="lab")).send(place(what, thing, number, order_no))
        except (InsufficientStock, CouponExhausted, CouponLimitReached):
            return "-"
        except (Contended, PoolExhausted):
            continue
        return order_no


async def main(dsn: str, seed: int, what: str, size: int, each: int, file: str) -> None:
    settings = read_settings()
    deciders = [decider for module in wiring.modules(settings) for decider in module.deciders]
    database = Database(dsn, size=4)
    await database.open()
    core = Core(database, deciders, clock=SystemClock(), ids=SystemIds(), keys=NoSeals(), settings=settings)  # type: ignore[arg-type]
    numbers: Iterator[int] = iter(range(size * each))
    with Path(file).open("a", buffering=1) as told:  # noqa: ASYNC230 a line survives its writer's death

        async def buyer() -> None:
            for number in numbers:
                thing = f"{what}-{number // each}"
                told.write(f"{thing} {await attempt(core, what, thing, number, seed)}\n")

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(buyer())
    await database.close()


if __name__ == "__main__":
    _, dsn, seed, what, size, each, file = sys.argv
    uvloop.run(main(dsn, int(seed), what, int(size), int(each), file))

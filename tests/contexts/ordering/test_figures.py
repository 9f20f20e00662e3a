"""Figures of sales, as the views count them."""

from datetime import UTC, datetime, timedelta

from contexts.ordering.market import Market, item
from kernel.running import caught_up
from pasar.contexts.ordering import facade as ordering
from pasar.contexts.ordering.contract import CancelOrder
from pasar.kernel.access import Principal

ADMIN = Principal(id="a", kind="admin")
SELLER = Principal(id="s", kind="seller", stores=frozenset({"s2"}))


async def test_what_was_paid_for_counts_by_day_store_and_sku(market: Market) -> None:
    await market.stock("apple", 20, price=1_000)
    await market.stock("pear", 20, price=500, store="s2")
    both = (await market.order(item("apple", 2), item("pear", 3))).json
    await market.order(item("apple", 5))  # Never paid.
    lost = (await market.order(item("pear", 1))).json
    await market.pay(both["order_no"], both["total"])
    bus = market.shop.bus()
    await bus.send(CancelOrder(order_no=lost["order_no"], reason="buyer"))
    await market.shop.views_reach(bus)

    [day] = await ordering.days(bus, ADMIN, 7)
    assert (day.day, day.channel, day.currency) == (market.shop.clock.now().date(), "web", "KRW")
    assert (day.orders, day.paid, day.units, day.sales) == (3, 1, 5, 3_500)
    [own] = await ordering.days(bus, SELLER, 7)
    assert (own.orders, own.paid, own.units, own.sales) == (2, 1, 3, 1_500)
    best = await ordering.best_sellers(bus, ADMIN, 7, 5)
    assert [(one.sku, one.units, one.sales) for one in best] == [("pear", 3, 1_500), ("apple", 2, 2_000)]
    assert [one.sku for one in await ordering.best_sellers(bus, SELLER, 7, 5)] == ["pear"]
    assert await ordering.by_status(bus, ADMIN, 7) == {"PAID": 1, "PENDING_PAYMENT": 1, "CANCELED": 1}
    assert await ordering.by_status(bus, SELLER, 7) == {"PAID": 1, "CANCELED": 1}


async def test_yesterday_is_compared_up_to_the_same_time(market: Market) -> None:
    bus, clock = market.shop.bus(), market.shop.clock
    await market.stock("apple", 20, price=1_000)
    day = datetime(2025, 9, 8, tzinfo=UTC)
    # When it was ordered and paid, and how many apples.
    for hour, paid_at, units in ((9, 9.2, 1), (11.8, 12.1, 2), (16, 16.2, 4)):
        clock.set(day + timedelta(hours=hour))
        order = (await market.order(item("apple", units))).json
        clock.set(day + timedelta(hours=paid_at))
        await market.pay(order["order_no"], order["total"])
    clock.set(day + timedelta(days=1, hours=12))
    await caught_up(market.shop.core)
    [yesterday] = await ordering.days(bus, ADMIN, 2)
    assert (yesterday.day, yesterday.orders, yesterday.sales) == (day.date(), 3, 7_000)
    assert (yesterday.orders_by_now, yesterday.sales_by_now) == (2, 1_000)
    assert await ordering.days(bus, ADMIN, 1) == []

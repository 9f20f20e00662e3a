"""Lists of staff: open holds, and batches that expire."""

from datetime import timedelta
from uuid import UUID

from contexts.ordering.market import Market
from pasar.contexts.catalog import facade as catalog
from pasar.contexts.catalog.contract import GridQuestion
from pasar.contexts.inventory import facade as inventory

ANN, BEN = UUID(int=11), UUID(int=12)


async def test_open_holds_are_listed_until_they_end(market: Market) -> None:
    await market.stock("apple", 9)
    bus = market.shop.bus(str(ANN))
    for number, owner in enumerate((ANN, BEN), 1):
        await inventory.hold_stock(bus, UUID(int=number), owner, "apple", number)
    await market.shop.views_reach(bus)
    [first, second] = await inventory.open_holds(bus.db, sku="apple", limit=5)
    assert (first.hold, first.quantity, second.quantity) == (UUID(int=1), 1, 2)
    assert await inventory.open_holds(bus.db, sku=None, limit=5, after=(first.until, first.hold)) == [second]
    assert await inventory.open_holds(bus.db, sku="pear", limit=5) == []
    await inventory.release_hold(bus, ANN, UUID(int=1))
    await inventory.extend_hold(bus, BEN, UUID(int=2))
    await market.shop.views_reach(bus)
    [left] = await inventory.open_holds(bus.db, sku=None, limit=5)
    assert left.until > second.until


async def test_batches_expire_in_their_order_as_long_as_something_is_left(market: Market) -> None:
    today = market.shop.clock.now().date()
    for batch, days in (("late", 40), ("soon", 3), ("next", 9)):
        await market.stock("apple", 2, batch=batch, expires_on=today + timedelta(days=days))
    bus = market.shop.bus()
    await inventory.adjust(bus, UUID(int=5), "w1", "apple", "next", -2, "rotten")
    await market.shop.views_reach(bus)
    found = await inventory.expiring(bus.db, today + timedelta(days=30), limit=5)
    assert [(one.batch, one.quantity) for one in found] == [("soon", 2)]


async def test_the_stock_list_has_what_is_left_of_ones_own(market: Market) -> None:
    await market.stock("apple", 9)
    await market.stock("pear", 2, store="s2")
    db, everything = market.shop.db, GridQuestion()
    rows, more = await catalog.stock_list(db, everything, at_most=None, limit=1, cursor=None)
    assert [(one.sku, one.available, one.held) for one in rows] == [("apple", 9, 0)]
    rows, more = await catalog.stock_list(db, everything, at_most=None, limit=5, cursor=more)
    assert ([one.sku for one in rows], more) == (["pear"], None)
    rows, _ = await catalog.stock_list(db, everything, at_most=5, limit=5, cursor=None)
    assert [one.sku for one in rows] == ["pear"]
    rows, _ = await catalog.stock_list(db, GridQuestion(stores=frozenset({"s1"})), at_most=None, limit=5, cursor=None)
    assert [one.sku for one in rows] == ["apple"]


async def test_the_grid_finds_by_words_and_by_the_beginning_of_a_sku(market: Market) -> None:
    await market.stock("apple-red", 3, title="Red apples")
    await market.stock("pear-1", 3, title="Pears", store="s2")
    db = market.shop.db

    async def found(**question: object) -> list[str]:
        rows, _ = await catalog.grid(db, GridQuestion(**question), "web", 5, None)  # type: ignore[arg-type]
        return [one.title for one in rows]

    assert await found() == ["Pears", "Red apples"]
    assert await found(words="aples") == ["Red apples"]
    assert await found(words="pear-") == ["Pears"]
    assert await found(words="pears", stores=frozenset({"s1"})) == []
    assert await found(state="paused") == []
    first, cursor = await catalog.grid(db, GridQuestion(), "web", 1, None)
    second, end = await catalog.grid(db, GridQuestion(), "web", 1, cursor)
    assert ([one.title for one in (*first, *second)], end) == (["Pears", "Red apples"], None)
    assert (first[0].price, first[0].available) == (1000, 3)

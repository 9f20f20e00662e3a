"""The first page of the console: one working out for all who may see the same, and figures that can be compared."""

import asyncio
from datetime import timedelta

import pytest

from apps.admin.office import Office
from apps.pages.visitor import Visitor
from contexts.ordering.market import counted, item
from kernel.running import caught_up
from pasar.apps.pages.visits import tallies_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _forgotten() -> None:
    """Until nothing is fresh any more."""
    await asyncio.sleep(2.1)


async def test_thirty_two_readers_share_one_working_out(office: Office) -> None:
    admin = await office.as_("admin")
    readers = [Visitor(office.site) for _ in range(32)]
    for has_written in (True, False):  # Who has just signed in has.
        for one in readers:
            one.cookies = {name: text for name, text in admin.cookies.items() if has_written or "after" not in name}
        await _forgotten()
        with counted() as statements:
            pages = await asyncio.gather(*(one.get("/console") for one in readers))
        assert [page.status for page in pages] == [200] * 32
        worked_out = sum("from ordering.orders" in sql for sql in statements)
        assert worked_out < 8 if has_written else worked_out == 1


async def test_a_browser_is_one_visit_a_day(office: Office) -> None:
    core, clock = office.market.shop.core, office.market.shop.clock
    mac, phone, robot = (Visitor(office.site) for _ in range(3))
    for path in ("/", "/search?q=apple", "/", "/no-such-page"):
        await mac.get(path)
        await robot.get(path, user_agent="Mozilla/5.0 (compatible; Googlebot/2.1)")
    await phone.get("/", sec_purpose="prefetch")
    await phone.get("/no-such-page")
    await phone.get("/")
    clock.advance(timedelta(days=1))
    await mac.get("/")
    await mac.get("/")
    await tallies_of(core).write()
    rows = await core.database.kernel.fetch("select * from kernel.tally order by day")
    assert [(row["name"], row["times"]) for row in rows] == [("visits:web", 2), ("visits:web", 1)]
    await _forgotten()
    words = (await (await office.as_("admin")).get("/console")).words
    assert "From visit to payment Visits 3 Orders" in words
    assert "Visits" not in (await (await office.as_("seller")).get("/console")).words


@pytest.mark.requirement("S0-029")
async def test_nobody_is_shown_what_was_worked_out_for_others(office: Office) -> None:
    market = office.market
    await market.stock("fig", 9, price=7_000)
    order = (await market.order(item("fig"))).json
    await market.pay(order["order_no"], order["total"])
    await caught_up(market.shop.core)
    await _forgotten()
    names = ("admin", "manager", "seller", "finance", "warehouse") * 3
    readers = {name: await office.as_(name) for name in names}
    pages = await asyncio.gather(*(readers[name].get("/console") for name in names))
    for name, page in zip(names, pages, strict=True):
        assert page.status == 200
        assert ("Fig" in page.words) == (name != "manager"), name  # Who works for the other store.
        assert ("Stuck and parked" in page.words) == (name == "admin"), name
        assert ("Visits" in page.words) == (name in ("admin", "finance", "warehouse")), (
            name
        )  # They are the whole shop's.
        assert ("Running out" in page.words) == (name in ("admin", "manager", "seller")), name

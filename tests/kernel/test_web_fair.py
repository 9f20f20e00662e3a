"""Nobody takes more than a share, and what nobody waits for is not worked on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from kernel.running import until
from kernel.toy_web import Shop, open_shop
from pasar.kernel.access import anyone, signed_in
from pasar.kernel.messages import Answer
from pasar.kernel.rates import LocalRates
from pasar.kernel.settings_kernel import LimitsSettings
from pasar.kernel.store import Reader
from pasar.kernel.web import route
from pasar.kernel.web_app import Web
from pasar.kernel.web_fair import Fairness
from pasar.kernel.web_lanes import Lanes, Turns
from postgres import TestDatabase

gate = asyncio.Event()


class Done(Answer):
    done: bool = True


@route("GET", "/waits", policy=signed_in)
async def waits() -> Done:
    """Answer when the test says so."""
    await gate.wait()
    return Done()


@route("GET", "/sleeps", policy=anyone, timeout_s=0.3)
async def sleeps(db: Reader) -> Done:
    """Ask the database for something that takes far longer than the caller waits."""
    await db.fetch("select pg_sleep(30)")
    return Done()


@pytest_asyncio.fixture
async def shop(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Shop]:
    gate.clear()
    async with open_shop(database, tmp_path) as found:
        yield found


def with_limits(shop: Shop, **limits: int) -> list[float]:
    """Serve with other limits, by a clock that is set; returns its hand."""
    moment = [0.0]
    fairness = Fairness(LimitsSettings(**limits), LocalRates(lambda: moment[0]))
    lanes = Lanes({"browse": (40, 100)})
    web = Web(
        shop.core,
        [*shop.web.routes, waits, sleeps],
        authenticate=shop.web._authenticate,
        fairness=fairness,
        lanes=lanes,
    )
    shop.web = web
    return moment


async def statuses(shop: Shop, number: int, **more: Any) -> list[int]:
    return [(await shop.ask("GET", "/shelves", **more)).status for _ in range(number)]


@pytest.mark.requirement("S1-038")
async def test_a_buyer_who_asks_too_often_waits_and_others_do_not(shop: Shop) -> None:
    moment = with_limits(shop, person_per_s=2, person_burst=3)
    kim, lee = shop.token("kim"), shop.token("lee")
    assert await statuses(shop, 4, token=kim) == [200, 200, 200, 429]
    refused = await shop.ask("GET", "/shelves", token=kim)
    assert (refused.json["code"], refused.headers["retry-after"]) == (4029, "1")
    assert await statuses(shop, 3, token=lee) == [200, 200, 200]
    assert await statuses(shop, 9, token=shop.token("root", "admin")) == [200] * 9
    moment[0] = 1.0
    assert await statuses(shop, 3, token=kim) == [200, 200, 429]


@pytest.mark.promise("D12")
@pytest.mark.requirement("S1-038")
async def test_a_flood_from_one_address_is_refused_before_anything_is_read(shop: Shop) -> None:
    with_limits(shop, address_per_s=1, address_burst=2)
    assert await statuses(shop, 3) == [200, 200, 429]
    body = await shop.ask("POST", "/baskets/no-uuid", b"{" * 1000, token="nonsense")
    assert body.status == 429


async def test_one_account_has_no_more_than_its_share_of_a_lane(shop: Shop) -> None:
    with_limits(shop, share_percent=25)
    greedy = [asyncio.create_task(shop.ask("GET", "/waits", token=shop.token("bot"))) for _ in range(30)]
    await until(lambda: _done(greedy, 20))
    assert {task.result().status for task in greedy if task.done()} == {429}
    other = asyncio.create_task(shop.ask("GET", "/waits", token=shop.token("lee")))
    await asyncio.sleep(0)
    gate.set()
    assert (await other).status == 200
    answers = await asyncio.gather(*greedy)
    assert sorted(answer.status for answer in answers) == [200] * 10 + [429] * 20
    assert (await shop.ask("GET", "/waits", token=shop.token("bot"))).status == 200


async def test_a_burst_leaves_the_event_loop_to_others_between_its_requests() -> None:
    turns, order = Turns(), list[str]()
    loop = asyncio.get_running_loop()

    async def request(number: int) -> None:
        await turns.take()
        order.append(str(number))

    def tick(left: int) -> None:
        order.append("tick")
        if left:
            loop.call_soon(tick, left - 1)

    requests = [asyncio.create_task(request(number)) for number in range(5 * turns.EACH)]
    requests[70].cancel()
    loop.call_soon(tick, 20)
    await asyncio.gather(*requests, return_exceptions=True)
    numbers = [entry for entry in order if entry != "tick"]
    assert numbers == [str(number) for number in range(5 * turns.EACH) if number != 70]
    runs = "".join("t" if entry == "tick" else "r" for entry in order).split("t")
    assert max(map(len, runs)) <= 2 * turns.EACH


async def test_checkouts_begin_before_others_and_nothing_begins_uninformed() -> None:
    informed, order = [False], list[str]()
    turns = Turns(lambda: informed[0])

    async def request(name: str) -> None:
        await turns.take(urgent=name == "checkout")
        order.append(name)

    names = ["browse"] * 3 + ["checkout"] * 2
    requests = [asyncio.create_task(request(name)) for name in names]
    await asyncio.wait(requests, timeout=0.05)
    assert order == []
    informed[0] = True
    await asyncio.gather(*requests)
    assert order == ["checkout"] * 2 + ["browse"] * 3
    informed[0] = False
    await asyncio.wait_for(request("late"), 60)


async def _done(tasks: list[asyncio.Task[Any]], number: int) -> bool:
    return sum(task.done() for task in tasks) == number


@pytest.mark.promise("C2")
async def test_the_database_stops_what_nobody_waits_for_any_more(shop: Shop) -> None:
    with_limits(shop)
    answer = await shop.ask("GET", "/sleeps")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    await until(lambda: _nothing_sleeps(shop))


async def _nothing_sleeps(shop: Shop) -> bool:
    return not await shop.core.database.kernel.fetchval(
        "select count(*) from pg_stat_activity where query = 'select pg_sleep(30)' and state = 'active'"
    )

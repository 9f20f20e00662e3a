"""Load by the clock; the promises under overload; and the generator itself, tried on servers that stall or collapse."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from journeys.town import Town, make_town
from pasar.apps.lab.evidence import Evidence, scale
from pasar.apps.lab.load import Answer, Load, Wanted, phase, uncollected
from pasar.apps.lab.overload import (
    FLOOR_S,
    Collapse,
    Round,
    crowd,
    fair_share,
    judge_answers,
    judge_goodput,
    judge_share,
)
from pasar.apps.lab.target import Caller, NotAsExpected, order, reaching
from pasar.apps.lab.visits import PAID, judge_order, overrun, visitors
from postgres import TestDatabase, TestServer

pytestmark = pytest.mark.slow

PAGE = Wanted("page", 1.0, lambda: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")


@pytest.fixture(autouse=True)
def nothing_is_collected() -> Iterator[None]:
    with uncollected():
        yield


@pytest.fixture
def busy_town(
    postgres_server: TestServer, template_database: TestDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Town]:
    with make_town(postgres_server, template_database, tmp_path_factory.mktemp("busy")) as town:
        yield town


@pytest.mark.timeout(300)
@pytest.mark.night
@pytest.mark.alone
@pytest.mark.promise("C1")
async def test_goodput_holds_under_overload(busy_town: Town, proof: Evidence) -> None:
    """Ten times as many people as it can serve come to buy."""
    async with reaching(busy_town.api, simulators=busy_town.simulators) as target, visitors(target, 51) as visits:
        found, peak = await overrun(visits, proof, storm_s=40.0)
    judge_goodput(found, peak)
    judge_order(visits.answers)


@pytest.mark.timeout(300)
@pytest.mark.night
@pytest.mark.alone
@pytest.mark.promise("C6")
async def test_others_keep_their_share(busy_town: Town, proof: Evidence) -> None:
    async with reaching(busy_town.api) as target:
        rounds = await fair_share(target, proof, 52, seconds=40.0)
    judge_share(rounds, proof)


@pytest.mark.timeout(600)
@pytest.mark.alone
@pytest.mark.promise("C6")
async def test_other_skus_keep_their_share(town: Town, proof: Evidence) -> None:
    """A crowd wants one SKU; who wants another hardly notices. A machine that is busy is judged by seconds."""
    full = scale() >= 1
    async with reaching(town.api) as target:
        people, seconds = proof.number(5_000, least=50), 60.0 if full else 2.0
        rounds = await crowd(target, proof, 54, people=people, seconds=seconds)
    judge_share(rounds, proof, FLOOR_S if full else 2.0)


@pytest.mark.promise("C6")
async def test_a_bot_has_a_share_of_places(town: Town, proof: Evidence) -> None:
    """One account asks for everything at once, another for a little: the first hears 429 and when to come again."""
    async with reaching(town.api) as target:
        bot, other, sku = await target.guest(), await target.guest(), await target.sell(10)
        number, at_once = proof.number(20_000, least=1_000), asyncio.Semaphore(400)

        async def ask(who: Caller) -> tuple[int, str | None]:
            url, body = target.url("/orders/create"), msgspec.json.encode(order(who, sku))
            headers = {**who.headers, "Content-Type": "application/json", "X-Idempotency-Key": uuid.uuid4().hex}
            async with target.session.post(url, data=body, headers=headers) as got:
                return got.status, got.headers.get("Retry-After")

        async def ask_in_the_flood() -> tuple[int, str | None]:
            async with at_once:
                return await ask(bot)

        flood = asyncio.gather(*(ask_in_the_flood() for _ in range(number)))
        others = [await ask(other) for _ in range(5)]
        answers = await flood
    proof.attempt(number + len(others))
    assert {status for status, _ in others} <= {200, 409}, others
    refused = [again for status, again in answers if status == 429]
    proof.figure("requests of a bot that were refused", f"{len(refused)} of {number}")
    assert len(refused) > number // 10
    assert all(refused), "a refusal without Retry-After"


def test_a_crowd_that_pushes_others_aside_is_found() -> None:
    proof, calm = Evidence("judge", ()), answers(200, 500)
    stalled = answers(200, 500, took_s=0.2)
    judge_share([Round(calm, calm)] * 5, proof)
    judge_share([Round(calm, stalled)] * 2 + [Round(calm, calm)] * 3, proof)
    for bad in (stalled, answers(200, 480) + answers(429, 20), answers(0, 500)):
        with pytest.raises(Collapse):
            judge_share([Round(calm, bad)] * 3 + [Round(calm, calm)] * 2, proof)


@pytest.mark.promise("C1")
async def test_people_buy_in_a_short_storm(busy_town: Town, proof: Evidence) -> None:
    async with reaching(busy_town.api, simulators=busy_town.simulators) as target, visitors(target, 53) as visits:
        await visits.come(10, 1.0)
        await visits.come(400, 3.0, start_s=1.0)
    judge_answers(visits.answers)
    proof.attempt(len(visits.answers))
    assert sum(one.kind == PAID for one in visits.answers) > 10
    assert len(visits.answers) > 900


@asynccontextmanager
async def server(delay_s: float, *, stall_every: int = 0) -> AsyncIterator[str]:
    """Answers one request after the other; now and then it stalls for half a second."""
    served, turn = 0, asyncio.Lock()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        while await reader.readuntil(b"\r\n\r\n"):
            async with turn:
                served += 1
                stalls = stall_every and not served % stall_every
                await asyncio.sleep(0.5 if stalls else delay_s)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()


async def test_who_waits_because_of_a_stall_is_counted() -> None:
    """A closed loop would see one slow answer in a hundred; by the clock, all who came meanwhile have waited."""
    async with server(0.001, stall_every=100) as api:
        load = Load(api, [PAGE], 1)
        await load.run(100, 2.0)
        load.close()
    slow = sum(one.took_s > 0.1 for one in load.answers)
    assert slow > 20, f"{slow} of {len(load.answers)}"


async def test_arrivals_do_not_wait_for_answers() -> None:
    async with server(0.05) as api:  # Twenty a second.
        load = Load(api, [PAGE], 2)
        await load.run(100, 1.0)
        load.close()
    found = phase("storm", load.answers, 0, 1)
    assert found.offered > 70
    assert found.good < 60


def answers(
    status: int, number: int, *, took_s: float = 0.01, retry_after: bool = True, due: float = 0.5
) -> list[Answer]:
    return [Answer("page", due, status, took_s, took_s, retry_after)] * number


def test_a_collapse_is_found() -> None:
    calm, storm = phase("before", answers(200, 100), 0, 1), phase("storm", answers(200, 95) + answers(503, 900), 0, 1)
    judge_goodput([calm, storm, calm], 100)
    for bad in (
        [calm, phase("storm", answers(200, 60), 0, 1), calm],
        [calm, phase("storm", answers(200, 95, took_s=3.0), 0, 1), calm],
        [calm, phase("storm", answers(200, 95) + answers(503, 99, took_s=0.2), 0, 1), calm],
        [calm, storm, phase("after", answers(200, 50), 0, 1)],
    ):
        with pytest.raises(Collapse):
            judge_goodput(bad, 100)


def test_who_is_turned_away_with_a_cart_is_found() -> None:
    def ended(kind: str, status: int, number: int) -> list[Answer]:
        return [one._replace(kind=kind) for one in answers(status, number)]

    paid = ended(PAID, 200, 90)
    judge_order(paid + ended("list", 503, 500) + ended("cart", 503, 100) + ended("order", 503, 10))
    for step in ("order", "payment", "confirmation"):
        with pytest.raises(Collapse):
            judge_order(paid + ended(step, 503, 11))


@pytest.mark.parametrize("bad", [answers(500, 1), answers(503, 1, retry_after=False), answers(404, 1)])
def test_an_answer_that_may_not_be_is_found(bad: list[Answer]) -> None:
    judge_answers(answers(200, 1) + answers(503, 1))
    with pytest.raises(NotAsExpected):
        judge_answers(bad)

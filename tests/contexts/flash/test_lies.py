"""A Redis and a broker that stop, forget, double and make up: people wait longer or hear "no"; nothing is oversold,
nothing accepted is lost, nothing is ordered twice."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from contexts.flash.bazaar import SALES, Bazaar, open_bazaar
from contexts.ordering.market import ANN
from kernel.running import until
from pasar.apps.lab.evidence import Evidence
from pasar.contexts.inventory.facade import unbalanced
from pasar.contexts.ordering import facade_sale
from pasar.contexts.ordering.gateway import Buffer, BufferedOrder
from pasar.contexts.ordering.gateways.amqp import AmqpBuffer
from pasar.kernel.messages import encode
from pasar.kernel.redis_link import RedisLink
from postgres import TestDatabase
from servers import OwnRedis, broker, own_redis

pytestmark = pytest.mark.slow
BUYERS = [UUID(int=500 + n) for n in range(24)]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory):
    with own_redis(Path(tmp_path_factory.mktemp("redis"))) as server:
        yield server


@pytest_asyncio.fixture
async def shared(database: TestDatabase, tmp_path: Path, redis: OwnRedis) -> AsyncIterator[Bazaar]:
    """A bazaar whose queues are in Redis."""
    async with open_bazaar(database, tmp_path, **{"redis.url": redis.url}) as opened:
        await opened.shop.core.tool(RedisLink, lambda: RedisLink(redis.url)).do("FLUSHALL")
        yield opened
        await opened.shop.core.tool(RedisLink).close()


@pytest.mark.promise("B5")
@pytest.mark.timeout(900)
async def test_a_redis_that_forgets_stops_and_makes_up(shared: Bazaar, redis: OwnRedis, proof: Evidence) -> None:
    """One sale after the other, each of eight units for two dozen people."""
    bought: list[str] = []
    for number in range(proof.number(20, 1)):
        await _sold_through(shared, redis, f"sale{number}", f"apple{number}", proof, bought)
    assert sorted(bought) == await shared.placed()
    assert await unbalanced(shared.shop.db) == []


async def _sold_through(
    shared: Bazaar, redis: OwnRedis, sale: str, sku: str, proof: Evidence, bought: list[str]
) -> None:
    await shared.prepare(8, sale=sale, sku=sku, limits={"per_member": 1})
    meta, before = f"pasar:flash:{{1:{sale}:{sku}}}:meta", len(bought)

    async def say(*command: Any) -> None:
        link = RedisLink(redis.url)
        await link.do(*command)
        await link.close()

    async def flush() -> None:
        await say("FLUSHALL")

    async def make_up() -> None:
        """A thousand units that are not there, and no open tickets."""
        await say("HSET", meta, "left", 1000, "out", 0)

    async def nonsense() -> None:
        await say("HSET", meta, "left", "seven", "tokens", "x")

    async def stop() -> None:
        redis.stop()

    async def start() -> None:
        redis.start()

    async def buy(who: UUID) -> None:
        proof.attempt()
        place = (await shared.join(who, sale=sale, sku=sku)).json
        if place.get("state") == "admitted":
            answers = await asyncio.gather(*(shared.take(place["ticket"], who, sale=sale, sku=sku) for _ in range(2)))
            assert {answer.status for answer in answers} <= {200, 409}, [answer.body for answer in answers]
            bought.extend(answer.json["order_no"] for answer in answers if answer.status == 200)

    faults: list[Callable[[], Awaitable[None]]] = [flush, make_up, nonsense, make_up, flush, stop, start, make_up]
    for number, fault in enumerate(faults):
        await fault()
        proof.fault(f"Redis: {fault.__name__}")
        await asyncio.gather(*(buy(who) for who in BUYERS[3 * number : 3 * number + 3]))

    async def all_sold() -> bool:
        await asyncio.gather(*(buy(who) for who in BUYERS))
        return (await shared.units(sale, sku))[0] == 0

    try:
        await until(all_sold)
    finally:
        if not await _answers(redis):
            redis.start()
    assert len(bought) - before == 8
    assert await shared.units(sale, sku) == (0, 3)


async def _answers(redis: OwnRedis) -> bool:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", redis.port)
        writer.close()
        return True
    return False


async def test_two_lanes_admit_from_one_queue(shared: Bazaar, redis: OwnRedis) -> None:
    """Two processes' worth of queues on one Redis."""
    await shared.prepare(4)
    await asyncio.gather(*(shared.join(who) for who in BUYERS[:2]))
    shared.shop.core.equip(_another_lane(shared, redis))
    places = [(await shared.join(who)).json for who in BUYERS[:8]]
    assert [place["state"] for place in places] == ["admitted"] * 4 + ["waiting"] * 4


def _another_lane(bazaar: Bazaar, redis: OwnRedis) -> Any:
    from pasar.contexts.flash.facade_lane import Lane
    from pasar.contexts.flash.gateways.memory import MemoryQueue
    from pasar.contexts.flash.gateways.redis import RedisQueue
    from pasar.kernel.rates import LocalRates

    link = bazaar.shop.core.tool(RedisLink, lambda: RedisLink(redis.url))
    return Lane(RedisQueue(link, MemoryQueue(uuid4), uuid4), LocalRates())


# The broker.


@pytest_asyncio.fixture
async def buffered(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Bazaar]:
    """A bazaar whose orders wait in RabbitMQ; who consumes is up to the test."""
    prefix = f"test-{uuid4().hex}."
    url = broker()
    async with open_bazaar(database, tmp_path, **{"amqp.url": url, "amqp.prefix": prefix}) as opened:
        yield opened
        await without_queues(facade_sale.buffer(opened.shop.core.settings, opened.shop.core))


async def without_queues(buffer: Buffer) -> None:
    """The broker as it was before a test."""
    assert isinstance(buffer, AmqpBuffer)
    import aio_pika

    async with await aio_pika.connect(broker()) as connection:
        channel = await connection.channel()
        for name in (buffer.queue, buffer.queue.replace("orders", "dead")):
            await channel.queue_delete(name)
    await buffer.close()


@contextlib.asynccontextmanager
async def consuming(bazaar: Bazaar) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(facade_sale.consume(bazaar.shop.core, stop))
    try:
        yield
    finally:
        stop.set()
        await running


async def tickets_of(bazaar: Bazaar, buyers: list[UUID]) -> dict[UUID, str]:
    for who in buyers:
        await bazaar.live_at("home", who)
    return {who: (await bazaar.join(who)).json["ticket"] for who in buyers}


@pytest.mark.requirement("S4-073", "S3-143")
@pytest.mark.promise("B5")
async def test_orders_wait_in_the_broker_and_each_buyer_can_ask_for_the_result(buffered: Bazaar) -> None:
    await buffered.prepare(4, limits={"per_member": 1})
    tickets = await tickets_of(buffered, BUYERS[:4])
    handed = [(await buffered.hand_in(ticket, who)).json for who, ticket in tickets.items()]
    assert {one["state"] for one in handed} == {"pending"}
    assert await buffered.placed() == []
    again = [(await buffered.hand_in(ticket, who)).json for who, ticket in tickets.items()]  # Everything twice.
    assert again == handed
    async with consuming(buffered):
        await until(lambda: _results(buffered, handed))
    results = [await buffered.result(one["ticket_id"], who) for who, one in zip(tickets, handed, strict=True)]
    assert {one["state"] for one in results} == {"placed"}
    assert sorted(one["order"]["order_no"] for one in results) == await buffered.placed()
    assert await buffered.units() == (0, 3)


async def _results(bazaar: Bazaar, handed: list[Any]) -> bool:
    results = [await bazaar.result(one["ticket_id"], who) for who, one in zip(BUYERS, handed, strict=False)]
    return all(one["state"] != "pending" for one in results)


@pytest.mark.promise("B5")
async def test_a_broker_that_loses_what_it_confirmed_costs_a_repeat(buffered: Bazaar) -> None:
    await buffered.prepare(1)
    ticket = (await tickets_of(buffered, [ANN]))[ANN]
    handed = (await buffered.hand_in(ticket)).json
    import aio_pika

    buffer = facade_sale.buffer(buffered.shop.core.settings, buffered.shop.core)
    assert isinstance(buffer, AmqpBuffer)
    async with await aio_pika.connect(broker()) as connection:
        queue = await (await connection.channel()).get_queue(buffer.queue, ensure=False)
        assert (await queue.purge()).message_count == 1
    async with consuming(buffered):
        assert (await buffered.result(handed["ticket_id"]))["state"] == "pending"
        await buffered.hand_in(ticket)
        await until(lambda: _state(buffered, handed["ticket_id"], "placed"))
    assert len(await buffered.placed()) == 1


async def _state(bazaar: Bazaar, ticket_id: str, state: str) -> bool:
    return (await bazaar.result(ticket_id))["state"] == state


async def test_an_order_that_lay_there_for_too_long_is_refused_and_its_buyer_hears_it(buffered: Bazaar) -> None:
    await buffered.prepare(1)
    ticket = (await tickets_of(buffered, [ANN]))[ANN]
    handed = (await buffered.hand_in(ticket)).json
    buffered.shop.clock.advance(timedelta(seconds=121))
    async with consuming(buffered):
        await until(lambda: _state(buffered, handed["ticket_id"], "refused"), 20)
    assert (await buffered.result(handed["ticket_id"]))["problem"]["code"] == 6106
    assert (await buffered.join(BUYERS[1])).json["state"] == "admitted"


async def test_an_order_that_is_refused_gives_its_unit_to_the_next(buffered: Bazaar) -> None:
    await buffered.prepare(1)
    ticket = (await tickets_of(buffered, [ANN]))[ANN]
    handed = (await buffered.hand_in(ticket, address="nowhere")).json
    assert (await buffered.join(BUYERS[1])).json["state"] == "waiting"
    async with consuming(buffered):
        await until(lambda: _state(buffered, handed["ticket_id"], "refused"), 20)
    assert (await buffered.join(BUYERS[1])).json["state"] == "admitted"


async def test_a_consumer_comes_back_when_its_queue_was_deleted(buffered: Bazaar) -> None:
    await buffered.prepare(2)
    tickets = await tickets_of(buffered, BUYERS[:2])
    buffer = facade_sale.buffer(buffered.shop.core.settings, buffered.shop.core)
    assert isinstance(buffer, AmqpBuffer)
    async with consuming(buffered):
        handed = [(await buffered.hand_in(tickets[BUYERS[0]], BUYERS[0])).json]
        await until(lambda: _results(buffered, handed), 20)
        import aio_pika

        async with await aio_pika.connect(broker()) as connection:
            await (await connection.channel()).queue_delete(buffer.queue)
        await until(lambda: _there(buffer.queue), 20)
        handed.append((await buffered.hand_in(tickets[BUYERS[1]], BUYERS[1])).json)
        await until(lambda: _results(buffered, handed), 20)
    assert len(await buffered.placed()) == 2


async def _there(name: str) -> bool:
    import aio_pika

    async with await aio_pika.connect(broker()) as connection:
        try:
            await (await connection.channel()).declare_queue(name, durable=True, passive=True)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return False
    return True


@pytest.mark.parametrize("failures", [1, 99])
async def test_what_fails_for_an_unknown_reason_is_tried_once_more_then_set_aside(
    failures: int, buffered: Bazaar
) -> None:
    buffer = facade_sale.buffer(buffered.shop.core.settings, buffered.shop.core)
    assert isinstance(buffer, AmqpBuffer)
    order = BufferedOrder(
        tenant=1, member=str(ANN), sale="noon", sku="apple", units=1, ticket="t", address_id="home"
    )  # fmt: skip
    assert await buffer.put(order)
    tried, stop = [], asyncio.Event()

    async def place(found: BufferedOrder) -> None:
        tried.append(found)
        if len(tried) <= failures:
            raise RuntimeError("nobody knows why")
        stop.set()

    consuming = asyncio.create_task(buffer.consume(place, stop, prefetch=1))
    import aio_pika

    async with await aio_pika.connect(broker()) as connection:
        channel, dead = await connection.channel(), buffer.queue.replace("orders", "dead")
        if failures == 1:
            await asyncio.wait_for(consuming, 20)
            await until(lambda: _count(channel, dead, 0), 10)
        else:
            await until(lambda: _count(channel, dead, 1), 20)
            stop.set()
            await consuming
    assert tried == [order, order]


@pytest.mark.promise("B5")
async def test_what_a_broker_makes_up_is_not_believed(buffered: Bazaar) -> None:
    """Messages that nobody sent: forged tickets, another's ticket, more units, and bytes that are no order at all."""
    await buffered.prepare(5)
    ticket = (await tickets_of(buffered, [ANN]))[ANN]
    altered = ticket[:-1] + chr(ord(ticket[-1]) ^ 1)
    good = BufferedOrder(tenant=1, member=str(ANN), sale="noon", sku="apple", units=1, ticket=ticket, address_id="home")
    from msgspec.structs import replace

    false = [
        replace(good, units=3), replace(good, member=str(BUYERS[0])), replace(good, ticket=altered),
        replace(good, sale="other"), replace(good, ticket=""),
    ]  # fmt: skip
    buffer = facade_sale.buffer(buffered.shop.core.settings, buffered.shop.core)
    assert isinstance(buffer, AmqpBuffer)
    for one in (*false, good, good, good):
        assert await buffer.put(one)
    import aio_pika

    async with await aio_pika.connect(broker()) as connection:
        channel = await connection.channel()
        for body in (b"\xff", b"{}", encode([1])):
            await channel.default_exchange.publish(aio_pika.Message(body), buffer.queue)
        async with consuming(buffered):
            await until(lambda: _empty(channel, buffer.queue))
            await until(lambda: _one_order(buffered))
        dead = await channel.declare_queue(buffer.queue.replace("orders", "dead"), durable=True, passive=True)
        await until(lambda: _count(channel, dead.name, 3))
    assert len(await buffered.placed()) == 1
    assert await buffered.units() == (4, 3)


async def _one_order(bazaar: Bazaar) -> bool:
    return len(await bazaar.placed()) == 1


async def _empty(channel: Any, name: str) -> bool:
    return await _count(channel, name, 0)


async def _count(channel: Any, name: str, messages: int) -> bool:
    found = await channel.declare_queue(name, durable=True, passive=True)
    return found.declaration_result.message_count == messages


@pytest.mark.promise("B5")
async def test_without_its_broker_an_order_is_placed_at_once(database: TestDatabase, tmp_path: Path) -> None:
    async with open_bazaar(database, tmp_path, **{"amqp.url": "amqp://guest:guest@127.0.0.1:9/"}) as bazaar:
        await bazaar.prepare(1)
        ticket = (await tickets_of(bazaar, [ANN]))[ANN]
        handed = (await bazaar.hand_in(ticket)).json
        assert handed["state"] == "placed"
        assert len(await bazaar.placed()) == 1
        lost = await bazaar.shop.ask("GET", f"{SALES}/noon", token=bazaar.token())
        assert lost.json["items"][0]["left"] == 0

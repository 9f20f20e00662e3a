"""Notices that are late, doubled, lost or out of order, and state that outlives its process."""

import asyncio
import json
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from pasar.simulators.outbox import Outbox
from pasar.simulators.testing import Clock, Letter, World, simulated
from pasar.simulators.toss import RETRIES_S
from ports import free_port


def state(letter: Letter) -> str:
    return json.loads(letter.body)["data"]["status"]


async def agree(world: World, order_id: str, amount: int = 1000, outcome: str = "decline") -> None:
    """By default the buyer turns back, which is told at once."""
    query = {"clientKey": world.keys.toss.client_key, "orderId": order_id, "amount": str(amount), "orderName": "x"}
    urls = {"successUrl": "http://shop.test/", "failUrl": "http://shop.test/"}
    async with world.session.get(f"{world.url}/toss/window", params={**query, **urls}) as response:
        assert response.status == 200
    await world.pay("toss", outcome, payment_id=order_id)


async def sent(world: World) -> list[dict[str, object]]:
    async with world.session.get(f"{world.url}/toss/simulator/notices") as response:
        return await response.json()


async def test_a_notice_is_repeated_until_it_is_taken(world: World):
    await world.put_chaos("toss", retry_scale=0.0005)
    world.inbox.answers = [500, 204]  # Only 200 counts.
    await agree(world, "order-0001")
    letters = await world.inbox.wait_for(3)
    assert len({letter.body for letter in letters}) == 1
    await asyncio.sleep(0.3)
    assert len(letters) == 3
    (notice,) = await sent(world)
    assert (notice["state"], notice["attempts"], notice["answer"]) == ("delivered", 3, 200)


async def test_a_notice_is_given_up_after_the_last_repeat(world: World):
    await world.put_chaos("toss", retry_scale=0.0)
    world.inbox.answers = [500] * 20
    await agree(world, "order-0001")
    letters = await world.inbox.wait_for(8)
    await asyncio.sleep(0.3)
    assert len(letters) == 1 + len(RETRIES_S) == 8
    assert (await sent(world))[0]["state"] == "given_up"


async def test_a_notice_comes_twice(world: World):
    await world.put_chaos("toss", notices={"copies": 2})
    await agree(world, "order-0001")
    one, two = await world.inbox.wait_for(2)
    assert one.body == two.body


async def test_a_lost_notice_comes_later(world: World, clock: Clock):
    await world.put_chaos("toss", notices={"drop": True, "times": 1})
    await agree(world, "order-0001")
    await asyncio.sleep(0.1)
    assert world.inbox.letters == []
    clock.ahead = timedelta(seconds=RETRIES_S[0] + 1)
    await world.inbox.wait_for(1, 60)


async def test_notices_come_out_of_order(world: World, clock: Clock):
    await world.put_chaos("toss", notices={"reorder": True, "delay_ms": 60_000})
    for number in range(3):
        await agree(world, f"order-000{number}")
    clock.ahead = timedelta(minutes=2)
    orders = [json.loads(letter.body)["data"]["orderId"] for letter in await world.inbox.wait_for(3, 60)]
    assert orders == ["order-0002", "order-0001", "order-0000"]


async def test_a_plan_with_a_typing_error_is_refused(world: World):
    for body in (b"{", b'{"endpoint": []}', b'{"endpoints": [{"statsu": 500}]}'):
        async with world.session.put(f"{world.url}/wechat/simulator/chaos", data=body) as response:
            assert response.status == 400


async def test_a_restart_forgets_neither_payments_nor_notices(data: Path):
    async with simulated(data) as world:
        world.inbox.answers = [500]
        await agree(world, "order-0001")
        await world.inbox.wait_for(1)
        before = world.keys
    async with simulated(data) as world:
        assert world.keys == before
        (notice,) = await sent(world)
        assert (notice["state"], notice["attempts"]) == ("waiting", 1)
        with pytest.raises(AssertionError, match="ALREADY_PROCESSED_PAYMENT"):
            await world.pay("toss", payment_id="order-0001")


def test_the_address_of_notices_can_be_moved_to_another_host():
    outbox = object.__new__(Outbox)
    outbox.callback_host = "127.0.0.1:8000"
    assert outbox._address("https://shop.example/api/v1/x") == "https://127.0.0.1:8000/api/v1/x"


@pytest.mark.slow
async def test_the_command_serves_and_survives_a_kill(data: Path):
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    async def start() -> asyncio.subprocess.Process:
        command = [sys.executable, "-m", "pasar.simulators", "--data", str(data), "--port", str(port)]
        process = await asyncio.create_subprocess_exec(*command, env=dict(os.environ))
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(f"{url}/healthz") as response:
                        assert response.status == 200
                        return process
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.05)

    first = await start()
    client_key = json.loads((data / "merchant" / "toss.json").read_bytes())["client_key"]
    query = {"clientKey": client_key, "orderId": "order-0001", "amount": "1000", "orderName": "x"}
    urls = {"successUrl": "http://shop.test/", "failUrl": "http://shop.test/"}
    async with aiohttp.ClientSession() as session, session.get(f"{url}/toss/window", params=query | urls) as response:
        assert response.status == 200
    first.send_signal(signal.SIGKILL)
    await first.wait()
    second = await start()
    try:
        wish = {"payment_id": "order-0001", "outcome": "approve"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{url}/toss/simulator/pay", json=wish, allow_redirects=False) as response,
        ):
            assert response.status == 303
    finally:
        second.terminate()
        assert await second.wait() in (0, -signal.SIGTERM)

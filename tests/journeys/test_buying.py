"""From nothing to delivered, as buyers and the warehouse see it."""

import asyncio
import subprocess

import pytest

from journeys.people import City, item
from journeys.town import Town
from pasar.apps.demo import tour


async def test_the_tour_works_as_it_is_printed(town: Town, city: City) -> None:
    await city.receive("apple-fuji", 2)  # Days may have passed in this town, and the demo's apples do not keep.
    printed = tour(town.api, town.simulators)
    script = printed[printed.index("API=") : printed.index("\n\nAccounts")]
    assert script.count("curl") >= 6
    wait = script.splitlines()[-1]  # The last call, repeated until a busy machine has come so far.
    look = f"STATUS=$({wait}\n); [ $STATUS = ALLOCATED ] && break; sleep 0.2"
    again = f"for _ in $(seq 300); do {look}; done; echo $STATUS"
    done = await asyncio.to_thread(
        *(subprocess.run, ["bash", "-eu", "-c", f"{script}\n{again}"]),
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1] == "captured", done.stdout
    assert done.stdout.splitlines()[-1] == "ALLOCATED", done.stdout


@pytest.mark.requirement("S0-147", "S0-148")
async def test_a_guest_buys_and_the_goods_come(city: City) -> None:
    sku = await city.sell(5)
    guest = await city.guest()
    placed = await guest.placed(item(sku, 2, price_snapshot=10_000))
    assert placed["status"] == "CREATED"
    paid = await guest.pay(placed["order_no"])
    assert paid["state"] == "captured"
    await guest.sees(placed["order_no"], "ALLOCATED")
    await city.deliver(placed["order_no"])
    await guest.sees(placed["order_no"], "DELIVERED")
    assert (await guest.post(f"/orders/{placed['order_no']}/confirm"))["status"] == "CONFIRMED"
    assert await city.left(sku) == 3

"""A payment provider behind a bad network: who pays waits a bounded time, everybody else does not notice, and the books
are in order."""

import asyncio
import threading
from collections.abc import Iterator
from time import monotonic
from urllib.parse import urlsplit

import psutil
import pytest

from journeys.town import Town, make_town
from pasar.apps.lab.buyers import PAID
from pasar.apps.lab.evidence import Evidence
from pasar.apps.lab.proxies import ToxicProxy, Toxics
from pasar.apps.lab.target import Target, order, reaching, until
from postgres import TestDatabase, TestServer

DEADLINE_S = 10.0
"""Of a request of ours: whoever waits for a provider that hangs, waits so long."""
BOUND_S = 3 * DEADLINE_S
"""Others use this machine, too."""
BAD = {
    "hanging": Toxics(black_hole=1.0),
    "resets": Toxics(reset=0.5),
    "slow in slices": Toxics(latency_s=0.2, jitter_s=0.3, slice=50),
    "turned bits": Toxics(flip=0.3),
    "half closed": Toxics(half_close=0.5),
}


class InThread:
    """A proxy in a loop of its own, so that it works while the test waits."""

    def __init__(self, proxy: ToxicProxy) -> None:
        self.proxy, self._loop = proxy, asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(proxy.start(), self._loop).result(5)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self.proxy.close(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


@pytest.fixture
def far_town(
    postgres_server: TestServer, template_database: TestDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Town, ToxicProxy]]:
    """A town whose providers are reached through a network with faults."""
    running = InThread(ToxicProxy(("127.0.0.1", 9), seed=31))
    url = f"http://127.0.0.1:{running.proxy.port}"
    folder = tmp_path_factory.mktemp("far")
    with make_town(postgres_server, template_database, folder, PASAR_PAYMENT_SIMULATORS_URL=url) as town:
        running.proxy.upstream = ("127.0.0.1", urlsplit(town.simulators).port or 0)
        yield town, running.proxy
    running.close()


async def waited(target: Target, path: str, number: int) -> float:
    """The longest of so many reads."""
    slowest = 0.0
    for _ in range(number):
        began = monotonic()
        assert (await target.ask("GET", path)).status == 200
        slowest = max(slowest, monotonic() - began)
    return slowest


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.promise("C2")
async def test_toxic_provider(far_town: tuple[Town, ToxicProxy], proof: Evidence) -> None:
    town, proxy = far_town
    api = town.children["api"].process
    assert api is not None
    async with reaching(town.api, simulators=town.simulators) as target:
        sku, who = await target.sell(1000), await target.guest()
        before = psutil.Process(api.pid).memory_info().rss
        for name, toxics in BAD.items():
            proxy.toxics = toxics
            browsing = asyncio.create_task(waited(target, "/products", proof.number(1000, 40)))
            placed = [await target.placed(who, sku) for _ in range(4)]
            await asyncio.gather(*(_begin(target, who, one["order_no"]) for one in placed))
            slowest = await browsing
            proof.attempt(len(placed) + proof.number(1000, 40))
            proof.fault(name)
            proof.figure(f"{name}: others waited at most, s", f"{slowest:.3f}")
            assert slowest < DEADLINE_S, f"{name}: who only browses waits {slowest:.2f} s, as if for the provider"
        grown = psutil.Process(api.pid).memory_info().rss - before
        assert grown < 100 << 20, f"the API grew by {grown >> 20} MiB"
        proxy.toxics = Toxics()
        await _well_again(target)


async def _begin(target: Target, who: object, order_no: str) -> None:
    """Try to pay; an answer or a refusal within the bound."""
    wish = {"gateway": "toss", "return_url": f"{target.api}/"}
    async with asyncio.timeout(BOUND_S):
        answer = await target.ask("POST", f"/orders/{order_no}/payments", wish, who)  # type: ignore[arg-type]
    assert answer.status in (200, 201, 409, 429, 502, 503), (answer.status, answer.body)


async def _well_again(target: Target) -> None:
    """With the network mended, a new order is paid, without anybody doing anything."""
    who, sku = await target.guest(), await target.sell(1000)

    async def pays() -> bool:
        placed = (await target.ask("POST", "/orders/create", order(who, sku), who)).ok()
        begun = await target.ask("POST", f"/orders/{placed['order_no']}/payments", {"gateway": "toss"}, who)
        if begun.status >= 300 or not begun.json["pay_url"]:
            return False
        back = await target.agree(begun.json)
        wish = {"payment_key": back["paymentKey"], "order_id": back["orderId"], "amount": int(back["amount"])}
        answer = await target.ask("POST", f"/payments/{begun.json['payment']}/confirm", wish, who)
        if answer.status != 200:
            return False
        return (await target.ask("GET", f"/orders/{placed['order_no']}", who=who)).ok()["status"] in PAID

    await until(pays, "a payment after the network was mended", 120)

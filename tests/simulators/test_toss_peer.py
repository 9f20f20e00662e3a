"""A merchant's server written from the provider's documents, against the simulated Toss Payments."""

import asyncio
import base64
from datetime import timedelta
from typing import Any

from pasar.simulators.testing import Clock, World


class Peer:
    def __init__(self, world: World) -> None:
        self.world = world
        self.basic = base64.b64encode(f"{world.keys.toss.secret_key}:".encode()).decode()

    async def ask(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, authorization: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Basic {self.basic}" if authorization is None else authorization}
        if key is not None:
            headers["Idempotency-Key"] = key
        url = f"{self.world.url}/toss/v1/payments/{path}"
        async with self.world.session.request(method, url, json=body, headers=headers) as response:
            return response.status, await response.json()

    async def agreed(self, order_id: str, amount: int = 80000) -> str:
        query = {
            "clientKey": self.world.keys.toss.client_key,
            "orderId": order_id,
            "amount": str(amount),
            "orderName": "김치",
            "successUrl": "http://shop.test/success",
            "failUrl": "http://shop.test/fail",
        }
        async with self.world.session.get(f"{self.world.url}/toss/window", params=query) as response:
            assert response.status == 200, await response.text()
        back = await self.world.pay("toss", payment_id=order_id)
        assert (back["orderId"], back["amount"], back["paymentType"]) == (order_id, str(amount), "NORMAL")
        return back["paymentKey"]

    async def confirm(self, payment_key: str, order_id: str, amount: int = 80000, **more: Any):
        body = {"paymentKey": payment_key, "orderId": order_id, "amount": amount}
        return await self.ask("POST", "confirm", body, **more)


async def test_a_payment_and_its_cancels(world: World):
    peer = Peer(world)
    key = await peer.agreed("order-0001")
    status, payment = await peer.confirm(key, "order-0001")
    assert (status, payment["status"], payment["totalAmount"], payment["balanceAmount"]) == (200, "DONE", 80000, 80000)
    assert payment["approvedAt"].endswith("+09:00")
    assert await peer.ask("GET", "orders/order-0001") == (200, payment)

    status, payment = await peer.ask("POST", f"{key}/cancel", {"cancelReason": "x", "cancelAmount": 1000})
    assert (status, payment["status"], payment["balanceAmount"]) == (200, "PARTIAL_CANCELED", 79000)
    status, payment = await peer.ask("POST", f"{key}/cancel", {"cancelReason": "the rest"})
    assert (status, payment["status"], payment["balanceAmount"]) == (200, "CANCELED", 0)
    assert [cancel["cancelAmount"] for cancel in payment["cancels"]] == [1000, 79000]
    assert (await peer.ask("POST", f"{key}/cancel", {"cancelReason": "x"}))[1]["code"] == "ALREADY_CANCELED_PAYMENT"

    letters = await world.inbox.wait_for(3)
    assert [b'"PAYMENT_STATUS_CHANGED"' in letter.body for letter in letters] == [True] * 3


async def test_credentials_are_checked_with_their_colon(world: World):
    peer = Peer(world)
    secret = world.keys.toss.secret_key

    def basic(text: str) -> str:
        return "Basic " + base64.b64encode(text.encode()).decode()

    for authorization, code in (
        ("", "UNAUTHORIZED_KEY"),
        (basic(secret), "INCORRECT_BASIC_AUTH_FORMAT"),
        (basic(f"{secret}:password"), "INCORRECT_BASIC_AUTH_FORMAT"),
        ("Basic %%%", "INCORRECT_BASIC_AUTH_FORMAT"),
        (f"Bearer {secret}:", "INCORRECT_BASIC_AUTH_FORMAT"),
        (basic("test_sk_of_somebody:"), "UNAUTHORIZED_KEY"),
    ):
        status, answer = await peer.ask("GET", "orders/order-0001", authorization=authorization)
        assert (status, answer["code"]) == (401, code), authorization
        assert set(answer) == {"code", "message"}


async def test_an_idempotency_key_brings_the_first_answer_back_for_15_days(world: World, clock: Clock):
    peer = Peer(world)
    one, other = await peer.agreed("order-0001"), await peer.agreed("order-0002", 5)
    first = await peer.confirm(one, "order-0001", key="k")
    assert await peer.confirm(one, "order-0001", key="k") == first
    assert await peer.confirm(other, "order-0002", 5, key="k") == first  # The trap: the path is the same.
    assert (await peer.confirm(one, "order-0001"))[1]["code"] == "ALREADY_PROCESSED_PAYMENT"
    clock.ahead = timedelta(days=14, hours=23)
    assert await peer.confirm(one, "order-0001", key="k") == first
    clock.ahead = timedelta(days=15, hours=1)
    assert (await peer.confirm(one, "order-0001", key="k"))[1]["code"] == "ALREADY_PROCESSED_PAYMENT"
    assert (await peer.confirm(one, "order-0001", key="k" * 301))[0] == 400


async def test_a_repeat_while_the_first_is_running_is_a_conflict(world: World):
    peer = Peer(world)
    key = await peer.agreed("order-0001")
    await world.put_chaos("toss", endpoints=[{"endpoint": "confirm", "latency_ms": 500, "times": 1}])
    both = await asyncio.gather(*(peer.confirm(key, "order-0001", key="k") for _ in range(2)))
    first, second = sorted(both, key=lambda one: one[0])
    assert first[0] == 200
    assert (second[0], second[1]["code"]) == (409, "IDEMPOTENT_REQUEST_PROCESSING")
    assert await peer.confirm(key, "order-0001", key="k") == first


async def test_bodies_and_states_are_checked(world: World):
    peer = Peer(world)
    key = await peer.agreed("order-0001")
    for body in ({}, {"paymentKey": key, "orderId": "order-0001", "amount": "80000"}, [], "text"):
        status, answer = await peer.ask("POST", "confirm", body)
        assert (status, answer["code"]) == (400, "INVALID_REQUEST")
    assert (await peer.confirm(key, "order-0001", 79999))[1]["code"] == "FORBIDDEN_REQUEST"
    assert (await peer.confirm(key, "order-0002"))[1]["code"] == "FORBIDDEN_REQUEST"
    assert (await peer.confirm("invented", "order-0001"))[1]["code"] == "NOT_FOUND_PAYMENT_SESSION"
    assert (await peer.ask("POST", f"{key}/cancel", {"cancelReason": "x"}))[1]["code"] == "NOT_CANCELABLE_PAYMENT"
    assert (await peer.ask("GET", "invented"))[1]["code"] == "NOT_FOUND_PAYMENT"
    assert (await peer.confirm(key, "order-0001"))[0] == 200
    second = await peer.agreed("order-0001")
    assert (await peer.confirm(second, "order-0001"))[1]["code"] == "DUPLICATED_ORDER_ID"
    status, answer = await peer.ask("POST", f"{key}/cancel", {"cancelReason": "x", "cancelAmount": 80001})
    assert answer["code"] == "NOT_CANCELABLE_AMOUNT"
    assert (await peer.ask("POST", f"{key}/cancel", {"cancelReason": ""}))[1]["code"] == "INVALID_REQUEST"


async def test_the_window_takes_only_what_the_script_may_send(world: World):
    good = {
        "clientKey": world.keys.toss.client_key,
        "orderId": "order-0001",
        "amount": "1",
        "orderName": "<script>",
        "successUrl": "http://shop.test/",
        "failUrl": "http://shop.test/",
    }
    for change in ({"clientKey": "x"}, {"orderId": "a b"}, {"amount": "0"}, {"amount": "1.5"}, {"currency": "CNY"}):
        async with world.session.get(f"{world.url}/toss/window", params={**good, **change}) as response:
            assert response.status == 400
    async with world.session.get(f"{world.url}/toss/window", params=good) as response:
        page = await response.text()
    assert "&lt;script&gt;" in page
    assert "<script" not in page

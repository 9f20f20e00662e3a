"""(b)–(e): orders, whole checkouts, lists and carts over HTTP, with worker, views and sealer running."""

import itertools
import random
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import msgspec
import uvloop

from benchmarks import gateway, load, statements
from benchmarks.orders import SKUS, sku
from benchmarks.place import Place, place
from benchmarks.shop import COUPON, PRICE, fill, signed_in
from pasar.apps.deployment import opened
from pasar.kernel.view_tables import rebuild

CLIENTS = (1, 8, 32, 128)
PORT = 18650
CHECKOUT = "whole checkout"
Members = list[tuple[str, str]]
_encode = msgspec.json.encode


def _items(hot: bool) -> list[dict[str, Any]]:
    first = 0 if hot else random.randrange(SKUS)
    second = (first + random.randrange(1, SKUS)) % SKUS
    return [{"sku_id": sku(n), "qty": 1, "price_snapshot": PRICE} for n in (first, second)]


def orders(members: Members, clients: int, number: int, *, hot: bool) -> Iterator[bytes]:
    """POST /orders/create by this connection's share of the members, each time with a fresh key; a coupon in 10 %."""
    mine = members[number::clients] or members
    for turn in itertools.count():
        account, token = mine[turn % len(mine)]
        body = {
            "uid": account,
            "items": _items(hot),
            "shipping_address_id": "home",
            "coupon_ids": [COUPON] if turn % 10 == 0 else [],
        }
        yield load.request("POST", "/api/v1/orders/create", token=token, body=_encode(body), key=str(uuid4()))


def add_to_cart(members: Members, clients: int, number: int) -> Iterator[bytes]:
    mine = members[number::clients] or members
    for turn in itertools.count():
        _, token = mine[turn % len(mine)]
        body = {"sku": sku(random.randrange(50)), "quantity": 1, "channel": "web"}
        yield load.request("POST", "/api/v1/cart/items", token=token, body=_encode(body), key=str(uuid4()))


def product_list(*_: object) -> Iterator[bytes]:
    while True:
        yield load.request("GET", "/api/v1/products?channel=web&limit=20")


def checkouts(members: Members, clients: int, number: int) -> Iterator[bytes]:
    """Whole checkouts of this connection's share of the members, one after the other."""
    mine = members[number::clients] or members
    for turn in itertools.count():
        yield from checkout(mine[turn % len(mine)][1])


def checkout(token: str) -> Any:
    """Cart, order, payment, confirmation: all calls of a buyer, until it is paid. Yields requests; status and body of
    each answer are sent to it."""
    body = {"sku": sku(random.randrange(SKUS)), "quantity": 1, "channel": "web", "price_seen": PRICE}
    yield load.request("POST", "/api/v1/cart/items", token=token, body=_encode(body), key=str(uuid4()))
    submit = _encode({"shipping_address_id": "home"})
    status, answer = yield load.request("POST", "/api/v1/cart/submit", token=token, body=submit, key=str(uuid4()))
    if status >= 400:
        return
    placed = msgspec.json.decode(answer)
    start = _encode({"gateway": "toss", "return_url": "http://127.0.0.1/"})
    path = f"/api/v1/orders/{placed['order_no']}/payments"
    status, answer = yield load.request("POST", path, token=token, body=start, key=str(uuid4()))
    if status >= 400:
        return
    payment = msgspec.json.decode(answer)["payment"]
    confirm = _encode({"payment_key": f"bench_{payment}", "order_id": payment, "amount": placed["total"]})
    path = f"/api/v1/payments/{payment}/confirm"
    yield load.request("POST", path, token=token, body=confirm, key=str(uuid4()))


async def _case(here: Place, what: str, clients: int, seconds: float, script: Any) -> dict[str, Any]:
    before = here.cpu_s()
    outcome = await load.run("127.0.0.1", PORT, clients, seconds, script)
    spent = {name: used - before.get(name, 0) for name, used in here.cpu_s().items()}
    row: dict[str, Any] = {"what": what, "clients": clients, **outcome.row()}
    row["cpu_us"] = {name: round(used / max(1, row["requests"]) * 1e6) for name, used in spent.items()}
    row["lag_s"] = round(await here.lag(120), 2)
    if row["errors"]:
        row["sample"] = {status: body[:300].decode() for status, body in outcome.samples.items() if status >= 400}
    print(row, flush=True)
    return row


async def _all(here: Place, members: Members, seconds: float, only: str) -> list[dict[str, Any]]:
    rows = []
    await load.run("127.0.0.1", PORT, 8, 3, lambda n: orders(members, 8, n, hot=False))
    await here.lag(120)
    for clients in CLIENTS:
        rows += await _at(clients, here, signed_in(here, members), seconds, only)
    return rows


async def _at(clients: int, here: Place, members: Members, seconds: float, only: str) -> list[dict[str, Any]]:
    scripts: dict[str, tuple[str, Any]] = {
        "order created, spread SKUs": ("b", lambda n: orders(members, clients, n, hot=False)),
        "order created, one hot SKU": ("b", lambda n: orders(members, clients, n, hot=True)),
        CHECKOUT: ("c", lambda n: checkouts(members, clients, n)),
        "list of 20 products": ("d", product_list),
        "add to cart": ("e", lambda n: add_to_cart(members, clients, n)),
    }
    rows = [
        await _case(here, what, clients, seconds, script)
        for what, (letter, script) in scripts.items()
        if letter in only
    ]
    for row in rows:
        if row["what"] == CHECKOUT:
            row["per_second"] = round(row["per_second"] / 4, 1)
    return rows


def run(seconds: float, only: str = "bcde", workers: int = 1) -> dict[str, Any]:
    """The tables of (b) to (e)."""
    extra = (
        ("PASAR_SERVER_PORT", str(PORT)),
        ("PASAR_SERVER_WORKERS", str(workers)),
        ("PASAR_SERVER_PUBLIC_URL", f"http://127.0.0.1:{PORT}"),
        *gateway.SETTINGS,
    )
    with place(worker=False, extra=extra) as here:
        members = uvloop.run(fill(here))
        here.start("provider", module="benchmarks.gateway")
        here.start("worker", "work")
        here.start("api", "serve")
        load.wait_ready(PORT)
        rows = uvloop.run(_all(here, members, seconds, only))
        found: dict[str, Any] = {"rows": rows, "memory_mb": here.memory_mb()}
        if "c" in only:
            found["statements"] = uvloop.run(statements.count(here, signed_in(here, members)))
        found["rebuild"] = uvloop.run(_rebuild(here))
        return found


async def _rebuild(here: Place) -> dict[str, float]:
    """Events a second of folding a view anew from all that was logged."""
    found = {}
    async with opened(here.settings, here.addresses) as deployment:
        events = await deployment.database.kernel.fetchval("select count(*) from kernel.event")
        views = {view.table: view for module in deployment.modules for view in module.views}
        for name in ("ordering.orders", "identity.accounts"):
            started = time.perf_counter()
            await rebuild(deployment.database, views[name], deployment.core.clock)
            found[f"{name} ({events:,} events in the log)"] = events / (time.perf_counter() - started)
    return found


if __name__ == "__main__":
    import sys

    print(run(float(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1))

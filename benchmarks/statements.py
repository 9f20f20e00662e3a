"""(c) How many SQL statements a whole checkout costs: counted by the driver, in one process that answers it."""

import asyncio
from statistics import median
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec

from benchmarks.orders import sku
from benchmarks.place import Place
from benchmarks.shop import PRICE
from pasar.apps.serving import make_api

Count = dict[str, int]
BUYERS = 8


async def _call(app: Any, method: str, path: str, token: str, body: dict[str, Any]) -> dict[str, Any]:
    data = msgspec.json.encode(body)
    headers = {
        "host": "bench",
        "authorization": f"Bearer {token}",
        "content-type": "application/json",
        "content-length": str(len(data)),
        "x-idempotency-key": str(uuid4()),
    }
    sent: list[bytes] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": data, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message.get("body", b""))

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "scheme": "http",
        "http_version": "1.1",
    }
    await app(scope, receive, send)
    answer: dict[str, Any] = msgspec.json.decode(b"".join(sent))
    if "code" in answer:
        raise RuntimeError(f"{path}: {answer}")
    return answer


async def count(here: Place, members: list[tuple[str, str]]) -> Count:
    """Statements of each call of a checkout of one line. The first checkout of each member warms the process up, and
    buys what was left in their cart; of the others the middle one counts. The tail of the log, which every process
    reads ten times a second, is not of any checkout and is left out."""
    statements: list[str] = []

    def note(record: Any) -> None:
        if "kernel.event" not in record.query and "pg_snapshot_xmin" not in record.query:
            statements.append(record.query)

    connect = asyncpg.connect

    async def watched(*arguments: Any, **options: Any) -> Any:
        connection = await connect(*arguments, **options)
        connection.add_query_logger(note)
        return connection

    asyncpg.connect = watched
    try:
        app = make_api()
        web = await app.open()
        committer = (
            web.core.database.committer
        )  # Its calls are prepared, so that the driver's logger does not see them.
        checkouts: list[Count] = []
        for _, token in 2 * members[:BUYERS]:
            checkouts.append(counted := {})
            await asyncio.sleep(0.3)
            statements.clear()
            before = committer.groups

            def since(what: str, seen: Count = counted) -> None:
                nonlocal before
                seen[what] = len(statements) + committer.groups - before
                statements.clear()
                before = committer.groups

            line = {"sku": sku(7), "quantity": 1, "channel": "web", "price_seen": PRICE}
            await _call(web, "POST", "/api/v1/cart/items", token, line)
            since("add to cart")
            order = await _call(web, "POST", "/api/v1/cart/submit", token, {"shipping_address_id": "home"})
            since("order")
            path = f"/api/v1/orders/{order['order_no']}/payments"
            payment = await _call(web, "POST", path, token, {"gateway": "toss", "return_url": "http://127.0.0.1/"})
            since("start payment")
            id = payment["payment"]
            body = {"payment_key": f"bench_{id}", "order_id": id, "amount": order["total"]}
            await _call(web, "POST", f"/api/v1/payments/{id}/confirm", token, body)
            since("confirm")
        await app.close()
    finally:
        asyncpg.connect = connect
    # The middle one: what the process does by itself now and then (a filter made anew) is of no checkout either.
    usual = {what: int(median(one[what] for one in checkouts[BUYERS:])) for what in checkouts[-1]}
    return {**usual, "in all": sum(usual.values())}

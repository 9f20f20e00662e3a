"""`python buyer_process.py OWNER_DSN APP_DSN SEED ATTEMPTS SKU…`: orders through the bus of an own process; prints
the sales."""

import asyncio
import sys
import uuid

import msgspec

from pasar.apps.deployment import Addresses, opened, read_settings
from pasar.apps.lab.rush import rush
from pasar.contexts.ordering import facade
from pasar.contexts.ordering.bodies import NewOrder
from pasar.kernel.access import Principal
from pasar.kernel.bus import Context
from pasar.kernel.messages import Refused, decode_untrusted
from pasar.refusals import InsufficientStock

AT_ONCE = 64
HOME = {"recipient": "Kim", "phone": "+821012345678", "line1": "1 Sejong-daero", "city": "Seoul", "country": "KR"}


async def main(owner: str, app: str, seed: int, attempts: int, skus: list[str]) -> list[tuple[str, str]]:
    async with opened(read_settings(), Addresses(owner, app)) as deployment:

        async def buy(sku: str) -> str | None:
            buyer = str(uuid.uuid4())
            body = {"uid": buyer, "items": [{"sku_id": sku, "qty": 1}], "address": HOME}
            bus = deployment.core.bus(Context(principal=buyer))
            try:
                order = decode_untrusted(msgspec.json.encode(body), NewOrder)
                return (await facade.create(bus, Principal(id=buyer, kind="guest"), order)).order_no
            except InsufficientStock:
                return None
            except Refused as refused:
                raise RuntimeError(f"{refused.code} {refused.detail}") from refused

        return await rush(buy, skus, attempts, AT_ONCE, seed)


if __name__ == "__main__":
    _, owner, app, seed, attempts, *skus = sys.argv
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(main(owner, app, int(seed), int(attempts), skus))))

"""Orders to place: quotes as pricing would give them, so that (a) measures the kernel and the order alone."""

import random
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from pasar.contexts.inventory.contract import OpenWarehouse, ReceivedLine
from pasar.contexts.ordering.contract import PlaceOrder
from pasar.contexts.pricing.contract import FreightShare, Quote, QuotedLine
from pasar.kernel.bus import Bus, Context, Core
from pasar.kernel.private import Private
from pasar.vocabulary import Address

SKUS = 1000


def sku(number: int) -> str:
    return f"bench-{number:04d}"


async def stock_up(core: Core) -> None:
    """A thousand SKUs with more than can be sold."""
    from pasar.contexts.inventory import facade

    bus = core.bus(Context(principal="bench"))
    await bus.send(OpenWarehouse(warehouse="bench", name="Bench", country="KR"))
    for first in range(0, SKUS, 500):
        lines = tuple(ReceivedLine(sku=sku(n), quantity=100_000_000) for n in range(first, first + 500))
        await facade.receive(core.bus(Context(principal="bench")), core.ids.uuid(), "bench", lines)


def line(no: int, number: int) -> QuotedLine:
    return QuotedLine(
        line_id=f"i{no}",
        sku=sku(number),
        quantity=1,
        unit_price=Decimal(49000),
        amount=Decimal(49000),
        discount=Decimal(0),
        platform_discount=Decimal(0),
        points_discount=Decimal(0),
        tax=Decimal(4455),
        title="Some product title here",
        store="bench",
        commission_rate=Decimal("0.05"),
    )


def order(bus: Bus, number: int, buyer: UUID, *, hot: bool) -> PlaceOrder:
    """Two lines; when `hot`, the first is of the one SKU that everybody wants."""
    a, b = (0 if hot else random.randrange(SKUS)), random.randrange(1, SKUS)
    lines = (line(1, a), line(2, b if b != a else b % (SKUS - 1) + 1))
    now = bus.now()
    quote = Quote(
        channel="web",
        currency="KRW",
        lines=lines,
        goods=Decimal(98000),
        discounts=Decimal(0),
        freight=Decimal(0),
        freight_discount=Decimal(0),
        freight_shares=(FreightShare(store="bench", amount=Decimal(0)),),
        taxes=Decimal(8910),
        tax_added=Decimal(0),
        points=0,
        points_amount=Decimal(0),
        total=Decimal(98000),
        coupons=(),
        quoted_at=now,
    )
    address = Address(
        recipient=Private("Kim"), phone=Private("010"), line1=Private("1 Sejong-daero"), city="Seoul", country="KR"
    )
    return PlaceOrder(
        order_no=f"{now:%Y%m%d}{number:08d}",
        buyer=buyer,
        quote=quote,
        address=address,
        placed_at=now,
        pay_until=now + timedelta(minutes=30),
    )

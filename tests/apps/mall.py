"""A deployment in a folder, and Kim, who does in it what tells of a person."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from pasar.apps.deployment import Addresses
from pasar.contexts.aftersales.contract import PricedReturnLine, RequestReturn
from pasar.contexts.identity import facade as identity
from pasar.contexts.ordering.contract import PlaceOrder
from pasar.contexts.payment import facade as payment
from pasar.contexts.payment.transfers import ReceivedTransfer
from pasar.contexts.pricing.contract import Quote, QuotedLine
from pasar.kernel.bus import Bus
from pasar.kernel.private import Private
from pasar.kernel.shared_clock import SharedClock
from pasar.vocabulary import Address, ContactPoint
from postgres import TestDatabase

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
CANARIES = ("Kim Minji", "kim@example.com", "12 Hidden Lane", "010-5555-0199")
PAID, UNPAID = "202603010001", "202603010002"
NOTHING = Decimal(0)


class Mall:
    """A deployment in a folder, used from here and by the command line."""

    def __init__(self, folder: Path, database: TestDatabase) -> None:
        self.folder, self.addresses = folder, Addresses(database.dsn, database.app_dsn)
        self.clock = SharedClock(folder / "clock", START)
        self.environment = {
            "PASAR_DATA_DIR": str(folder),
            "PASAR_REPLAY": "true",
            "PASAR_DATABASE_URL": database.dsn,
            "PASAR_DATABASE_APP_URL": database.app_dsn,
        }

    def pasar(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "pasar.apps.cli", *arguments]
        return subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=60, check=False
        )


def placed(order_no: str, buyer: UUID) -> PlaceOrder:
    line = QuotedLine(
        line_id="1", sku="song", quantity=1, unit_price=Decimal(98), amount=Decimal(98), discount=NOTHING,
        platform_discount=NOTHING, points_discount=NOTHING, tax=NOTHING, title="A song", store="s1",
        commission_rate=Decimal("0.05"), is_digital=True,
    )  # fmt: skip
    quote = Quote(
        channel="web", currency="KRW", lines=(line,), goods=Decimal(98), discounts=NOTHING, freight=NOTHING,
        freight_discount=NOTHING, freight_shares=(), taxes=NOTHING, tax_added=NOTHING, points=0,
        points_amount=NOTHING, total=Decimal(98), coupons=(), quoted_at=START,
    )  # fmt: skip
    home = Address(
        recipient=Private(CANARIES[0]), line1=Private(CANARIES[2]), phone=Private(CANARIES[3]), city="Seoul",
        country="KR",
    )  # fmt: skip
    later = START + timedelta(hours=1)
    contact = ContactPoint(mail=Private("kim-at-work@example.com"), language="en")
    return PlaceOrder(
        order_no=order_no, buyer=buyer, quote=quote, address=home, pay_until=later, keep_until=later, placed_at=START,
        contact=contact,
    )  # fmt: skip


async def live(bus: Bus) -> UUID:
    """Kim buys something, complains of it, and leaves another order unpaid."""
    kim = await identity.ensure_account(bus, CANARIES[1], "orange boats sail at noon", CANARIES[0], ("member",))
    for order_no in (PAID, UNPAID):
        await bus.send(placed(order_no, kim))
    await payment.received(bus, PAID, ReceivedTransfer(reference="2026/1", amount=Decimal(98), currency="KRW"))
    returned = PricedReturnLine(
        line_id="1", sku="song", store="s1", quantity=1, refund=Decimal(98), platform_part=NOTHING, points=0, bought=1
    )
    complaint = RequestReturn(
        case=UUID(int=5), order_no=PAID, buyer=kim, kind="refund_only", payment=None, currency="KRW",
        lines=(returned,), freight_refund=NOTHING, reason="out of tune", settled=False, at=START,
    )  # fmt: skip
    await bus.send(complaint)
    return kim

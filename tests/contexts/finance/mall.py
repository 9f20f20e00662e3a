"""A whole mall: orders that are paid, sent, delivered, confirmed, returned and settled. The tests play the provider."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from contexts.ordering.market import MODULES as MARKET
from contexts.ordering.market import Market, item
from contexts.selling import OWNER, open_shop
from kernel.running import caught_up
from pasar.contexts.aftersales.module import module as aftersales
from pasar.contexts.finance.module import module as finance
from pasar.contexts.fulfillment.contract import DeliverParcel, PackParcel, PickParcel, ShipParcel
from pasar.contexts.fulfillment.fulfillment import fulfillment as parcels
from pasar.contexts.fulfillment.module import module as fulfillment
from pasar.contexts.identity.contract import DecideKyc, Register, SubmitKyc
from pasar.contexts.ordering.contract import MarkPaid
from pasar.contexts.ordering.order import order as orders
from pasar.contexts.payment.contract import Capture, CompleteRefund, FailRefund, StartPayment
from pasar.contexts.payment.payment import payment as payments
from pasar.contexts.wallet.module import module as wallet
from pasar.kernel.module import Module
from pasar.kernel.private import Private
from pasar.kernel.process import module as memories
from pasar.processes.cancel_paid_order import cancel_paid_order
from pasar.processes.fulfill_order import fulfill_order
from pasar.processes.return_goods import return_goods
from postgres import TestDatabase

WEEK = timedelta(days=7)
PROCESSES = (fulfill_order(WEEK, WEEK), cancel_paid_order, return_goods)
MODULES = (
    *(*MARKET, fulfillment, aftersales, finance, wallet),
    Module("payment", deciders=(payments,)),
    Module("process", processes=PROCESSES),
    memories,
)


class Mall(Market):
    async def settled_down(self) -> None:
        await caught_up(self.shop.core)

    async def seller(self, *, verified: bool = True) -> None:
        """The owner of all stores, whose bank account we know."""
        bus, texts = self.shop.bus(), [Private[Any](text) for text in ("kim@example.com", "Kim", "hash")]
        mail, name, password = texts
        await bus.send(
            Register(account=OWNER, login_digest="kim", mail=mail, name=name, password_hash=password, roles=("seller",))
        )
        known = {"business_number": "123-45-67890", "legal_name": "Kim & Co", "bank_account": "110-234-567890"}
        await bus.send(SubmitKyc(account=OWNER, **{name: Private(text) for name, text in known.items()}))
        if verified:
            await bus.send(DecideKyc(account=OWNER, verified=True))

    async def paid(self, *items: dict[str, Any], **more: Any) -> str:
        """An order whose money was captured; then what follows by itself."""
        placed = (await self.order(*items, **more)).json
        no, bus, payment = placed["order_no"], self.shop.bus("system"), self.shop.core.ids.uuid()
        found = await self.shop.db.state(orders, no)
        assert found is not None
        assert found.placed is not None
        what: dict[str, Any] = {"amount": Decimal(placed["total"]), "currency": "KRW", "gateway": "toss"}
        until = self.shop.clock.now() + timedelta(minutes=10)
        start = StartPayment(
            payment=payment, order_no=no, buyer=found.placed.buyer, title="order", expires_at=until, **what
        )
        await bus.send(start)
        capture = Capture(payment=payment, provider_ref=f"ref-{no}", **what)
        await bus.send_together(capture, MarkPaid(order_no=no, payment=payment, **what))
        await self.settled_down()
        return no

    async def delivered(self, *items: dict[str, Any], **more: Any) -> str:
        no, bus, at = await self.paid(*items, **more), self.shop.bus("system"), self.shop.clock.now()
        state = await self.shop.db.state(parcels, no)
        assert state is not None
        for one in state.parcels:
            name = {"order_no": no, "parcel": one.parcel, "at": at}
            await bus.send(PickParcel(**name))
            await bus.send(PackParcel(**name))
            await bus.send(ShipParcel(**name, carrier="cj", tracking_no=f"T{no}"))
            await bus.send(DeliverParcel(**name))
        await self.settled_down()
        return no

    async def confirmed(self, units: int, **more: Any) -> str:
        no = await self.delivered(item("apple", units), **more)
        assert (await self.say("POST", f"/api/v1/orders/{no}/confirm")).status == 200
        await self.settled_down()
        return no

    async def ask_back(self, no: str, units: int, **more: Any) -> Any:
        body = {"lines": [{"line_id": "1", "quantity": units}], "reason_code": "damaged", **more}
        return await self.say("POST", f"/api/v1/orders/{no}/returns", body)

    async def staff(self, method: str, target: str, body: Any = b"", *, kind: str = "admin", by: int = 900) -> Any:
        return await self.say(method, target, body, token=self.shop.token(kind, id=UUID(int=by)))

    async def provider(self, no: str, case: str, *, fails: bool = False) -> None:
        """What the provider says to a refund that it was asked for."""
        found = await self.shop.db.state(orders, no)
        assert found is not None
        assert found.payment is not None
        asked = {"payment": found.payment, "refund": UUID(case)}
        await self.shop.bus("system").send(FailRefund(**asked, reason="bank") if fails else CompleteRefund(**asked))
        await self.settled_down()

    async def returned(self, no: str, units: int) -> Any:
        """A return from wish to money."""
        case = (await self.ask_back(no, units)).json["case"]
        assert (await self.staff("POST", f"/api/v1/staff/returns/{case}/approve")).status == 200
        await self.staff("POST", f"/api/v1/staff/returns/{case}/receive", {"warehouse": "w1"})
        await self.settled_down()
        await self.provider(no, case)
        return (await self.say("GET", f"/api/v1/returns/{case}")).json

    async def to_monday(self) -> None:
        """The next one, 00:00 UTC."""
        now = self.shop.clock.now()
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        self.shop.clock.set(midnight + timedelta(days=7 - now.weekday(), seconds=1))


@asynccontextmanager
async def open_mall(database: TestDatabase, folder: Path, **settings: object) -> AsyncIterator[Mall]:
    async with open_shop(database, folder, MODULES, **settings) as shop:
        await shop.open()
        mall = Mall(shop)
        await mall.open()
        await mall.stock("apple", 99, price=10_000)
        yield mall

"""A warehouse with orders: inventory and fulfillment as they are, and orders that book what ordering books of goods."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from contexts.selling import Shop, open_shop
from kernel.running import caught_up
from pasar.accounts import batch_pool, batch_sold, pool, sold
from pasar.contexts.fulfillment.module import module as fulfillment
from pasar.contexts.inventory.contract import OpenWarehouse, ReceivedLine
from pasar.contexts.inventory.facade import receive
from pasar.contexts.inventory.module import module as inventory
from pasar.contexts.ordering.contract import OrderPaid
from pasar.contexts.pricing.contract import QuotedLine
from pasar.kernel import ledger
from pasar.kernel.decider import Decider
from pasar.kernel.messages import Command, Event, Value
from pasar.kernel.module import Module
from pasar.kernel.private import Private
from pasar.vocabulary import Address
from postgres import TestDatabase

ANN, BEN = UUID(int=0xA), UUID(int=0xB)
SITES = {"near": ("37.27", "127.43"), "far": ("35.18", "129.08")}
SEOUL = {"latitude": Decimal("37.5665"), "longitude": Decimal("126.9780")}


class Place(Command):
    order_no: str
    lines: tuple[QuotedLine, ...]


class Pay(Command):
    order_no: str
    buyer: UUID = ANN


class Cancel(Command):
    order_no: str


class Placed(Event):
    order_no: str
    lines: tuple[QuotedLine, ...]


class Canceled(Event):
    order_no: str
    lines: tuple[QuotedLine, ...]
    was_paid: bool


class Ordered(Value):
    state: str = "new"
    lines: tuple[QuotedLine, ...] = ()


def line(sku: str, units: int, *, batch: str | None = None, id: str = "1", **more: Any) -> QuotedLine:
    zero = dict.fromkeys(("discount", "platform_discount", "points_discount", "tax", "commission_rate"), Decimal(0))
    fields: dict[str, Any] = {"unit_price": Decimal(1), "amount": Decimal(units), "title": sku, "store": "s1", **zero}
    return QuotedLine(line_id=id, sku=sku, quantity=units, batch=batch, **{**fields, **more})


def address() -> Address:
    return Address(recipient=Private("Ann"), phone=Private("010-1"), line1=Private("Street 1"), country="KR", **SEOUL)


def paid(order_no: str, buyer: UUID, lines: tuple[QuotedLine, ...]) -> OrderPaid:
    return OrderPaid(
        order_no=order_no, buyer=buyer, channel="web", currency="KRW", total=Decimal(1), payment=None, gateway="toss",
        lines=lines, freight_shares=(), platform_paid=Decimal(0), coupons=(), points=0, programme="points",
        address=address(),
    )  # fmt: skip


def decide(command: Place | Pay | Cancel, state: Ordered) -> list[Placed | OrderPaid | Canceled]:
    match command:
        case Place(order_no=order_no, lines=lines):
            return [Placed(order_no=order_no, lines=lines)]
        case Pay(order_no=order_no, buyer=buyer):
            return [paid(order_no, buyer, state.lines)]
        case _:
            return [Canceled(order_no=command.order_no, lines=state.lines, was_paid=state.state == "paid")]


def evolve(state: Ordered, event: Placed | OrderPaid | Canceled) -> Ordered:
    match event:
        case Placed(lines=lines):
            return Ordered(state="placed", lines=lines)
        case OrderPaid():
            return Ordered(state="paid", lines=state.lines)
        case _:
            return Ordered(state="canceled", lines=state.lines)


def _taken(lines: tuple[QuotedLine, ...]) -> list[tuple[str, ledger.Account, ledger.Account, int]]:
    taken = []
    for each in lines:
        if each.is_digital:
            continue
        taken.append((f"stock-{each.line_id}", pool(each.sku), sold(each.sku), each.quantity))
        if each.batch is not None:
            pools = batch_pool(each.sku, each.batch), batch_sold(each.sku, each.batch)
            taken.append((f"batch-{each.line_id}", *pools, each.quantity))
    return taken


def book(event: Placed | OrderPaid | Canceled) -> list[ledger.Transfer]:
    taken = _taken(event.lines)
    match event:
        case Placed():
            return [ledger.hold(*each) for each in taken]
        case OrderPaid():
            return [ledger.settle(name) for name, *_ in taken]
        case Canceled(was_paid=True):
            return [ledger.move(to, source, units) for _, source, to, units in taken]
        case _:
            return [ledger.release(name) for name, *_ in taken]


order = Decider("goods.order", "order_no", Ordered(), decide, evolve, book=book)
orders = Module("goods", deciders=(order,))


class Goods:
    """A shop, and shorter words for what tests do with it."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.db, self.core = shop, shop.db, shop.core

    async def open(self) -> None:
        for code, (latitude, longitude) in SITES.items():
            command = OpenWarehouse(
                warehouse=code, name=code, country="KR", latitude=Decimal(latitude), longitude=Decimal(longitude)
            )
            await self.shop.bus().send(command)

    async def receive(self, warehouse: str, sku: str, units: int, **more: Any) -> None:
        lines = (ReceivedLine(sku=sku, quantity=units, **more),)
        await receive(self.shop.bus(), self.core.ids.uuid(), warehouse, lines)

    async def order(self, order_no: str, *lines: QuotedLine, buyer: UUID = ANN) -> None:
        """Placed, paid, and whatever follows from that."""
        await self.shop.bus().send(Place(order_no=order_no, lines=lines))
        await self.shop.bus().send(Pay(order_no=order_no, buyer=buyer))
        await caught_up(self.core)

    async def ask(self, method: str, target: str, body: Any = b"", *, kind: str = "warehouse", **who: Any) -> Any:
        """An answer as status and JSON. Each write has a key of its own unless `key` names one."""
        key = who.pop("key", None) or str(self.core.ids.uuid())
        token = self.shop.token(kind, *who.pop("stores", ()), **who)
        headers = [("X-Idempotency-Key", key)] if method in ("POST", "PUT") else []
        answered = await self.shop.ask(method, target, body, token=token, headers=headers)
        return answered.status, answered.json if answered.body else None


@asynccontextmanager
async def open_goods(database: TestDatabase, folder: Path, **settings: object) -> AsyncIterator[Goods]:
    async with open_shop(database, folder, (inventory, fulfillment, orders), **settings) as shop:
        goods = Goods(shop)
        await goods.open()
        yield goods

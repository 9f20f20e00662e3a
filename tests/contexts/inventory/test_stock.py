"""Receipts, batches, adjustments, transfers, warehouses: given … when … then …"""

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from pasar.accounts import batch_pool, batch_shortfall, pool, shortfall, stock
from pasar.contexts.inventory.adjustment import adjustment
from pasar.contexts.inventory.batch import batch
from pasar.contexts.inventory.contract import (
    AdjustStock,
    BatchRegistered,
    Filling,
    MoveStock,
    OpenWarehouse,
    ReceivedLine,
    ReceiveStock,
    RegisterBatch,
    StockAdjusted,
    StockMoved,
    StockReceived,
    WarehouseOpened,
)
from pasar.contexts.inventory.receipt import receipt
from pasar.contexts.inventory.transfer import transfer
from pasar.contexts.inventory.warehouse import warehouse
from pasar.kernel.testing import scenario
from pasar.refusals import InsufficientStock, NotAllocatable, ShortfallIsSmaller, StockIsAnother, WarehouseExists

ID = UUID(int=1)
MAY, JUNE = date(2026, 5, 1), date(2026, 6, 1)
LINES = (ReceivedLine(sku="apple", quantity=5), ReceivedLine(sku="apple", quantity=3, batch="b1", expires_on=MAY))


def receive(lines: Any = LINES, fills: Any = ()) -> ReceiveStock:
    return ReceiveStock(receipt=ID, warehouse="w", lines=lines, fills=fills)


def received(lines: Any = LINES, fills: Any = ()) -> StockReceived:
    return StockReceived(receipt=ID, warehouse="w", lines=lines, origin="purchase", reference="", fills=fills)


def test_a_receipt_raises_stock_and_pools():
    books = scenario(receipt)(given=[], when=receive(), then=[received()])
    assert books.balance(stock("apple", "w", "-")) == 5
    assert books.balance(stock("apple", "w", "b1")) == 3
    assert (books.balance(pool("apple")), books.balance(batch_pool("apple", "b1"))) == (8, 3)


def test_a_receipt_is_booked_once():
    scenario(receipt)(given=[received()], when=receive(), then=[])
    scenario(receipt)(given=[received()], when=receive(LINES[:1]), then=StockIsAnother)


def test_what_arrives_fills_a_shortfall_before_it_is_sold_again():
    fills = (Filling(sku="apple", quantity=6), Filling(sku="apple", batch="b1", quantity=3))
    check = scenario(receipt, {shortfall("apple"): 6, batch_shortfall("apple", "b1"): 3})
    books = check(given=[], when=receive(fills=fills), then=[received(fills=fills)])
    assert (books.balance(pool("apple")), books.balance(shortfall("apple"))) == (2, 0)
    assert (books.balance(batch_pool("apple", "b1")), books.balance(batch_shortfall("apple", "b1"))) == (0, 0)


def test_no_more_is_filled_than_is_short():
    fills = (Filling(sku="apple", quantity=6),)
    scenario(receipt, {shortfall("apple"): 5})(given=[], when=receive(fills=fills), then=ShortfallIsSmaller)


def register(day: date | None) -> RegisterBatch:
    return RegisterBatch(batch_of="apple:b1", sku="apple", batch="b1", expires_on=day)


def test_a_batch_keeps_the_day_that_its_first_receipt_named():
    check, known = scenario(batch), BatchRegistered(sku="apple", batch="b1", expires_on=MAY)
    check(given=[], when=register(MAY), then=[known])
    check(given=[known], when=register(MAY), then=[])
    check(given=[known], when=register(None), then=[])
    check(given=[known], when=register(JUNE), then=StockIsAnother)


def adjust(delta: int, **split: int) -> AdjustStock:
    return AdjustStock(adjustment=ID, warehouse="w", sku="apple", delta=delta, reason="count", **split)


def adjusted(delta: int, from_pool: int, short: int) -> StockAdjusted:
    return StockAdjusted(
        adjustment=ID, warehouse="w", sku="apple", batch=None, delta=delta, from_pool=from_pool, shortfall=short,
        reason="count",
    )  # fmt: skip


SHELF = {stock("apple", "w", "-"): 10, pool("apple"): 4}


def test_a_loss_leaves_the_pool_and_what_the_pool_has_not_is_short():
    books = scenario(adjustment, SHELF)(given=[], when=adjust(-7, from_pool=4), then=[adjusted(-7, 4, 3)])
    assert books.balance(stock("apple", "w", "-")) == 3
    assert (books.balance(pool("apple")), books.balance(shortfall("apple"))) == (0, 3)


def test_a_loss_that_takes_more_than_the_pool_has_is_refused():
    scenario(adjustment, SHELF)(given=[], when=adjust(-7, from_pool=5), then=InsufficientStock)


def test_more_than_lies_there_is_not_lost():
    scenario(adjustment, SHELF)(given=[], when=adjust(-11, from_pool=4), then=NotAllocatable)


def test_what_is_found_fills_the_shortfall_first():
    check = scenario(adjustment, {**SHELF, shortfall("apple"): 3})
    books = check(given=[], when=adjust(5, fills=3), then=[adjusted(5, 0, -3)])
    assert books.balance(stock("apple", "w", "-")) == 15
    assert (books.balance(pool("apple")), books.balance(shortfall("apple"))) == (6, 0)


def test_an_adjustment_is_booked_once_whatever_its_split_would_be_now():
    check = scenario(adjustment, SHELF)
    check(given=[adjusted(-7, 4, 3)], when=adjust(-7), then=[])
    check(given=[adjusted(-7, 4, 3)], when=adjust(-6), then=StockIsAnother)
    check(given=[], when=adjust(0), then=[])


def move(units: int, target: str = "v") -> MoveStock:
    return MoveStock(transfer=ID, from_warehouse="w", to_warehouse=target, sku="apple", quantity=units)


def moved(units: int) -> StockMoved:
    return StockMoved(transfer=ID, from_warehouse="w", to_warehouse="v", sku="apple", batch=None, quantity=units)


def test_a_transfer_changes_where_goods_lie_and_not_what_may_be_sold():
    books = scenario(transfer, SHELF)(given=[], when=move(6), then=[moved(6)])
    assert (books.balance(stock("apple", "w", "-")), books.balance(stock("apple", "v", "-"))) == (4, 6)
    assert books.balance(pool("apple")) == 4


def test_a_transfer_takes_what_is_there_once():
    check = scenario(transfer, SHELF)
    check(given=[], when=move(11), then=NotAllocatable)
    check(given=[moved(6)], when=move(6), then=[])
    check(given=[moved(6)], when=move(5), then=StockIsAnother)
    check(given=[], when=move(5, target="w"), then=[])


def test_a_warehouse_is_opened_once():
    opened = WarehouseOpened(warehouse="w", name="W", country="KR", latitude=Decimal(37), longitude=Decimal(127))
    fields = {"warehouse": "w", "country": "KR", "latitude": Decimal(37), "longitude": Decimal(127)}
    check = scenario(warehouse)
    check(given=[], when=OpenWarehouse(name="W", **fields), then=[opened])  # type: ignore[arg-type]
    check(given=[opened], when=OpenWarehouse(name="W", **fields), then=[])  # type: ignore[arg-type]
    check(given=[opened], when=OpenWarehouse(name="V", **fields), then=WarehouseExists)  # type: ignore[arg-type]

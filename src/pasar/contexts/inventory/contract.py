"""Units: received, held, where they lie. What may be said to inventory, heard from it, and read in it."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from pasar.kernel.messages import Answer, Bounds, Command, Event, Value
from pasar.vocabulary import AccountId, BatchId, CountryCode, HoldId, Sku, Title, Units, WarehouseCode

NO_BATCH = "-"
"""The batch of goods that have none, in account names and views."""


class OpenWarehouse(Command):
    """A place where goods lie. Latitude and longitude in degrees (WGS 84)."""

    opens = True
    warehouse: WarehouseCode
    name: Title
    country: CountryCode
    latitude: Annotated[Decimal, Bounds(ge=Decimal(-90), le=Decimal(90))] = Decimal(0)
    longitude: Annotated[Decimal, Bounds(ge=Decimal(-180), le=Decimal(180))] = Decimal(0)


class WarehouseOpened(Event):
    warehouse: WarehouseCode
    name: str
    country: CountryCode
    latitude: Decimal
    longitude: Decimal


class ReceivedLine(Value):
    """Units of a SKU that arrive; those of a batch with the day after which they are not sold."""

    sku: Sku
    quantity: Units
    batch: BatchId | None = None
    expires_on: date | None = None


class BatchOfSku(Value):
    sku: Sku
    batch: BatchId


class Filling(Value):
    """Units that arrive and go to those who were promised what a loss took away, before they are sold again."""

    sku: Sku
    batch: BatchId | None = None
    quantity: Units


class RegisterBatch(Command):
    """A batch of a SKU and the day after which it is not sold, fixed by its first receipt. A repeat, or one that does
    not name the day, changes nothing; another day is refused. `expires_at` is the end of that day in the shop's time
    zone, which the facade knows."""

    opens = True
    batch_of: str
    sku: Sku
    batch: BatchId
    expires_on: date | None = None
    expires_at: datetime | None = None


class BatchRegistered(Event):
    """Sets the deadline at which the batch expires."""

    sku: Sku
    batch: BatchId
    expires_on: date | None
    expires_at: datetime | None = None


class ExpireBatch(Command):
    """The batch's last day has passed; sent by its deadline."""

    batch_of: str


class BatchExpired(Event):
    """From now on its pieces are blocked wherever they lie or turn up."""

    sku: Sku
    batch: BatchId


class BlockStock(Command):
    """Take pieces out of what may be sold, without their leaving the warehouse. As with a loss, `from_pool` leaves the
    pool and the rest goes to the shortfall; the policy reads pool and stock and says how many."""

    opens = True
    blocking: UUID
    warehouse: WarehouseCode
    sku: Sku
    batch: BatchId
    quantity: Units
    from_pool: Annotated[int, Meta(ge=0)] = 0
    from_batch_pool: Annotated[int, Meta(ge=0)] = 0


class StockBlocked(Event):
    """Moves pieces from stock to blocked, and what they promised out of the pools or into the shortfalls."""

    blocking: UUID
    warehouse: WarehouseCode
    sku: Sku
    batch: BatchId
    quantity: int
    from_pool: int
    from_batch_pool: int
    reason: Literal["expired"] = "expired"


class CoverShortfall(Command):
    """Units that came back to the pool while others are short are not sold again: they are what was lost. `batch`: of
    those who named it."""

    opens = True
    cover: UUID
    sku: Sku
    batch: BatchId | None = None
    quantity: Units


class ShortfallCovered(Event):
    cover: UUID
    sku: Sku
    batch: BatchId | None
    quantity: int


class ReceiveStock(Command):
    """Goods arrive: `purchase` from a supplier, `return` from a buyer, `transfer` is booked by MoveStock. `fills` is
    the part of it that the shortfall gets; the facade reads the shortfall and says how much. `expired` are batches
    whose day has passed: their pieces are blocked at once and promise nothing."""

    opens = True
    receipt: UUID
    warehouse: WarehouseCode
    lines: Annotated[tuple[ReceivedLine, ...], Meta(min_length=1, max_length=1000)]
    origin: Literal["purchase", "return"] = "purchase"
    reference: Annotated[str, Meta(max_length=100)] = ""
    fills: tuple[Filling, ...] = ()
    expired: tuple[BatchOfSku, ...] = ()


class StockReceived(Event):
    """Books stock up and raises the SKUs' pools (and batch pools) by the same, less what fills shortfalls; what has
    expired goes to blocked stock and raises nothing."""

    receipt: UUID
    warehouse: WarehouseCode
    lines: tuple[ReceivedLine, ...]
    origin: Literal["purchase", "return"]
    reference: str
    fills: tuple[Filling, ...] = ()
    expired: tuple[BatchOfSku, ...] = ()


class AdjustStock(Command):
    """What stocktaking found: `delta` pieces more or (negative) less. A loss takes `from_pool` out of the pool and the
    rest goes to the shortfall; what is found gives `fills` to the shortfall and the rest to the pool. The facade reads
    pool and shortfall and says how many; with a batch, also of the batch."""

    opens = True
    adjustment: UUID
    warehouse: WarehouseCode
    sku: Sku
    batch: BatchId | None = None
    delta: Annotated[int, Meta(ge=-1_000_000_000, le=1_000_000_000)]
    from_pool: Annotated[int, Meta(ge=0)] = 0
    from_batch_pool: Annotated[int, Meta(ge=0)] = 0
    fills: Annotated[int, Meta(ge=0)] = 0
    batch_fills: Annotated[int, Meta(ge=0)] = 0
    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class StockAdjusted(Event):
    adjustment: UUID
    warehouse: WarehouseCode
    sku: Sku
    batch: BatchId | None
    delta: int
    from_pool: int
    shortfall: int
    """How much the shortfall grew, or (negative) was filled."""
    reason: str
    from_batch_pool: int = 0
    batch_shortfall: int = 0


class MoveStock(Command):
    """From one warehouse to another; what may be sold stays the same."""

    opens = True
    transfer: UUID
    from_warehouse: WarehouseCode
    to_warehouse: WarehouseCode
    sku: Sku
    batch: BatchId | None = None
    quantity: Units


class StockMoved(Event):
    transfer: UUID
    from_warehouse: WarehouseCode
    to_warehouse: WarehouseCode
    sku: Sku
    batch: BatchId | None
    quantity: int


class HoldStock(Command):
    """Keep units of one SKU for a cart until a time; then a timer gives them back. `owner` holds at most so many."""

    opens = True
    hold: HoldId
    owner: AccountId
    sku: Sku
    quantity: Units
    until: datetime
    limit: Annotated[int, Meta(ge=1)] = 10


class ExtendHold(Command):
    """`limit` times at most. One that is no later than the hold is a repeat."""

    hold: HoldId
    until: datetime
    limit: Annotated[int, Meta(ge=0)] = 2


class ReleaseHold(Command):
    """`due`: sent by the deadline that was set for that instant; it is off when the hold was extended meanwhile."""

    hold: HoldId
    due: datetime | None = None


class ConsumeHold(Command):
    """The order that follows in the same change takes the units over: they go back to the pool, and from there to
    it."""

    hold: HoldId
    order_no: str


class StockHeld(Event):
    hold: HoldId
    owner: AccountId
    sku: Sku
    quantity: int
    until: datetime
    limit: int = 10


class HoldExtended(Event):
    hold: HoldId
    until: datetime


class HoldReleased(Event):
    hold: HoldId


class HoldConsumed(Event):
    hold: HoldId
    order_no: str


class Held(Answer):
    hold: HoldId
    owner: AccountId
    sku: Sku
    quantity: int
    until: datetime
    extensions: int = 0
    state: Literal["new", "held", "released", "consumed"] = "held"


class Availability(Answer):
    sku: Sku
    available: int
    """Units that can still be promised."""


class Place(Value):
    """Where pieces of a SKU lie, for allocation. `free` of them may go to buyers who name no batch: the rest of a batch
    is promised to those who named it."""

    sku: Sku
    warehouse: WarehouseCode
    batch: BatchId | None
    quantity: int
    country: str
    latitude: Decimal
    longitude: Decimal
    expires_on: date | None = None
    free: int | None = None


class Warehouse(Answer):
    warehouse: WarehouseCode
    name: str
    country: CountryCode
    latitude: Decimal
    longitude: Decimal


class Receipt(Answer):
    receipt: UUID
    warehouse: WarehouseCode
    lines: tuple[ReceivedLine, ...]


class Adjustment(Answer):
    adjustment: UUID
    warehouse: WarehouseCode
    sku: Sku
    batch: BatchId | None
    delta: int
    from_pool: int
    shortfall: int
    reason: str


class Transferred(Answer):
    transfer: UUID
    from_warehouse: WarehouseCode
    to_warehouse: WarehouseCode
    sku: Sku
    batch: BatchId | None
    quantity: int


class PlacedStock(Answer):
    """What lies in one place of a warehouse, as of now."""

    sku: Sku
    warehouse: WarehouseCode
    batch: BatchId | None
    quantity: int
    expires_on: date | None = None
    blocked: int = 0
    """Pieces that lie there and have expired."""


class StockOverview(Answer):
    """All that is counted of a SKU at one instant: `stock` = `available` + `in_sales` + `held` + `sold` − `shortfall`.
    With a batch: the same of those who named it. `in_sales` is locked away for sales. `blocked` pieces have expired;
    they lie there, but are not stock."""

    sku: Sku
    batch: BatchId | None = None
    stock: int
    available: int
    held: int
    sold: int
    shortfall: int
    blocked: int = 0
    in_sales: int = 0

    @property
    def difference(self) -> int:
        """0 unless something is wrong."""
        return self.stock - (self.available + self.in_sales + self.held + self.sold - self.shortfall)


class Movement(Answer):
    """One line of the movement journal of a SKU: pieces that came (positive) or went. `expired`: they went to blocked
    stock."""

    at: datetime
    kind: Literal["purchase", "return", "adjustment", "transfer", "allocation", "deallocation", "expired"]
    sku: Sku
    quantity: int
    warehouse: str | None = None
    batch: str | None = None
    reference: str = ""
    position: int = 0
    line: int = 0

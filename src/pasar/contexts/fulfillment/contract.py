"""From allocation to delivery. What may be said to fulfillment, heard from it, and read in it.

One stream for each order, named by its number: its allocation, and a parcel for each warehouse.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from pasar.kernel.messages import Answer, Command, Event, Value
from pasar.vocabulary import AccountId, Address, BatchId, OrderNo, Sku, StoreId, Units, WarehouseCode

ParcelState = Literal["waiting", "preparing", "picked", "packed", "shipped", "in_transit", "delivered", "canceled"]
Carrier = Annotated[
    str, Meta(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9._-]+$", examples=["cj", "lotte", "hanjin"])
]
TrackingNo = Annotated[str, Meta(min_length=4, max_length=40, pattern=r"^[A-Za-z0-9-]+$")]


DIGITAL = "digital"
"""Where what is digital comes from: no warehouse that anybody opened."""


class Pick(Value):
    """So many units of an order line from one batch of one warehouse."""

    line_id: str
    sku: Sku
    quantity: Units
    warehouse: WarehouseCode
    batch: BatchId | None = None
    named_batch: bool = False
    """The buyer named the batch: then it was sold from the batch's pool, too. Otherwise it is taken from that now."""
    store: StoreId | None = None
    digital: bool = False
    """Nothing travels and nothing is counted: delivered as soon as it is allocated."""


class Allocate(Command):
    """Bind a paid order's units to warehouses and batches; refused (8007) where a rival was faster: plan again."""

    opens = True
    order_no: OrderNo
    buyer: AccountId
    address: Address
    picks: Annotated[tuple[Pick, ...], Meta(min_length=1)]
    strategy: str = "nearest_first"
    at: datetime | None = None


class NoteUnallocatable(Command):
    """No plan fits what lies in the warehouses, in whatever order it was tried. A repeat changes nothing."""

    order_no: OrderNo
    buyer: AccountId
    missing: tuple[Sku, ...] = ()


class Deallocate(Command):
    """The order is cancelled before anything left: its pieces go back to stock, its units to what is sold, from where
    the order's own cancellation gives them to the pools, whichever is first. Where nothing was allocated yet, nothing
    will be."""

    order_no: OrderNo
    reason: str = ""


class StartPreparing(Command):
    order_no: OrderNo
    parcel: str
    at: datetime


class PickParcel(Command):
    order_no: OrderNo
    parcel: str
    at: datetime


class PackParcel(Command):
    order_no: OrderNo
    parcel: str
    at: datetime


class ShipParcel(Command):
    order_no: OrderNo
    parcel: str
    carrier: Carrier
    tracking_no: TrackingNo
    at: datetime


class NoteInTransit(Command):
    order_no: OrderNo
    parcel: str
    place: Annotated[str, Meta(max_length=200)] = ""
    at: datetime


class DeliverParcel(Command):
    order_no: OrderNo
    parcel: str
    at: datetime


class Parcel(Value):
    parcel: str
    warehouse: WarehouseCode
    picks: tuple[Pick, ...]
    state: ParcelState = "waiting"
    carrier: str | None = None
    tracking_no: str | None = None
    times: dict[str, datetime] = {}
    digital: bool = False
    place: str = ""
    """Where the carrier saw it last."""


class Allocated(Event):
    """Books stock → allocated(order) and takes the units out of what is sold and not allocated."""

    order_no: OrderNo
    buyer: AccountId
    address: Address
    parcels: tuple[Parcel, ...]
    strategy: str

    @property
    def person(self) -> UUID:
        return self.buyer


class AllocationFailed(Event):
    """The process cancels the order and gives the money back."""

    order_no: OrderNo
    buyer: AccountId
    missing: tuple[Sku, ...]


class AllocationUndone(Event):
    order_no: OrderNo
    parcels: tuple[Parcel, ...]
    reason: str


class ParcelMoved(Event):
    """A parcel reached a stage. `order_stage` is what that means for the order: its slowest parcel decides, and while
    some parcels have left and others have not, it is PARTIAL_SHIPPED."""

    order_no: OrderNo
    buyer: AccountId
    parcel: str
    state: ParcelState
    order_stage: (
        Literal["PREPARING", "PICKED", "PACKED", "PARTIAL_SHIPPED", "SHIPPED", "IN_TRANSIT", "DELIVERED"] | None
    )
    at: datetime
    carrier: str | None = None
    tracking_no: str | None = None
    place: str = ""


class Fulfillment(Answer):
    order_no: OrderNo
    parcels: tuple[Parcel, ...]
    address: Address | None = None


class ParcelToDo(Answer):
    """A parcel in the list of a warehouse."""

    order_no: OrderNo
    parcel: str
    warehouse: WarehouseCode
    state: ParcelState
    stores: tuple[str, ...]
    picks: tuple[Pick, ...]
    carrier: str | None
    tracking_no: str | None
    allocated_at: datetime
    updated_at: datetime


class ShippingLine(Answer):
    """What became of one line of a list of tracking numbers."""

    line: int
    order_no: str
    parcel: str = ""
    shipped: bool
    code: int | None = None
    detail: str = ""

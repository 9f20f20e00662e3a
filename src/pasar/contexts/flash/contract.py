"""Sales that run for a time on units of their own: flash sales, and what a live session sells.

prepared → (starts) → running → ended
units: the SKU's pool → the sale's pool → orders; what is left goes back to the SKU's pool
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from pasar.kernel.messages import Answer, Command, Event, Value
from pasar.kernel.money import Currency
from pasar.vocabulary import ChannelCode, Code, Period, Price, Sku, Title, Units

SaleCode = Code
SaleKind = Literal["flash", "live"]
SalePhase = Literal["upcoming", "running", "sold_out", "ended"]
Limit = Annotated[int, Meta(ge=1, le=1_000_000)]
MAX_ITEMS = 200


class SaleItem(Value):
    """What is sold: units of a SKU, at a unit price of the sale."""

    sku: Sku
    price: Price
    units: Units


class SaleLimits(Value):
    """Units of each SKU that one member, one device, one delivery address may take; None: as many as there are."""

    per_member: Limit | None = None
    per_device: Limit | None = None
    per_address: Limit | None = None


class PrepareSale(Command):
    """Lock the units away for the sale, all or none: 1001 when a pool has not so many. Limits never change."""

    opens = True
    sale: SaleCode
    kind: SaleKind = "flash"
    title: Title
    channel: ChannelCode
    currency: Currency
    starts_at: datetime
    ends_at: datetime
    items: Annotated[tuple[SaleItem, ...], Meta(min_length=1, max_length=MAX_ITEMS)]
    limits: SaleLimits = SaleLimits()
    queued: bool = True
    """Whether an order needs a ticket of the queue."""


class EndSale(Command):
    """By its timer, or earlier by staff."""

    sale: SaleCode


class ReturnLeftover(Command):
    """Give units that a sale has left back to the SKU's pool. `leftover` names the giving, so that it is done once."""

    opens = True
    leftover: UUID
    sale: SaleCode
    sku: Sku
    quantity: Units


class SalePrepared(Event):
    """Moves the units from each SKU's pool into the sale's."""

    sale: SaleCode
    kind: SaleKind
    title: str
    channel: ChannelCode
    currency: Currency
    starts_at: datetime
    ends_at: datetime
    items: tuple[SaleItem, ...]
    limits: SaleLimits
    queued: bool


class SaleEnded(Event):
    sale: SaleCode
    skus: tuple[Sku, ...]


class LeftoverReturned(Event):
    """Moves the units from the sale's pool into the SKU's."""

    leftover: UUID
    sale: SaleCode
    sku: Sku
    quantity: Units


class Quota(Value):
    """How many units of a SKU somebody may take in a sale. `who`: `member-…`, `device-…` or `address-…`."""

    who: str
    most: int


class SaleTerms(Value, omit_defaults=True):
    """What an order line owes to a sale: whose pool its units come from, when it may be placed, and what it counts
    against. All of it is in the order's event, so that its booking needs nothing else."""

    sale: SaleCode
    period: Period
    quotas: tuple[Quota, ...] = ()


class Sale(Answer):
    """A sale as it was prepared."""

    sale: SaleCode
    kind: SaleKind
    title: str
    channel: ChannelCode
    currency: Currency
    starts_at: datetime
    ends_at: datetime
    items: tuple[SaleItem, ...]
    limits: SaleLimits
    queued: bool
    is_ended: bool = False

    def item(self, sku: str) -> SaleItem | None:
        return next((item for item in self.items if item.sku == sku), None)


class ItemOnSale(Value):
    sku: Sku
    price: Decimal
    units: int
    left: int


class SaleStatus(Answer):
    """A sale as buyers see it. `left` may be a moment old; the order decides."""

    sale: SaleCode
    kind: SaleKind
    title: str
    channel: ChannelCode
    currency: Currency
    starts_at: datetime
    ends_at: datetime
    phase: SalePhase
    queued: bool
    limits: SaleLimits
    items: tuple[ItemOnSale, ...]


class QueuePlace(Answer):
    """Where somebody stands for a SKU of a sale. `admitted`: order with `ticket` before `ticket_until`. `waiting`, and
    `full` (others have tickets for all units, and enough people wait for what these leave): ask again after
    `ask_again_s`. `sold_out`: the ledger has not so many units; with a position, one is so far from what may come
    back."""

    state: Literal["waiting", "admitted", "full", "sold_out"]
    position: int = 0
    """How many stand before, and oneself; 0 without a place, and once admitted."""
    expected_wait_s: int | None = None
    ask_again_s: int | None = None
    ticket: str | None = None
    ticket_until: datetime | None = None

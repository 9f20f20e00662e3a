"""The words that every context shares."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from msgspec import Meta

from pasar.kernel.messages import Bounds, Value
from pasar.kernel.private import Private, Purpose

Sku = Annotated[
    str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", examples=["apple-5kg"])
]
"""What is stocked and sold; unique within a tenant."""
Code = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""An identifier that people choose: of a warehouse, a batch, a coupon, a channel, a store."""
Units = Annotated[int, Meta(ge=1, le=1_000_000_000, description="units of a SKU")]
Price = Annotated[Decimal, Bounds(ge=Decimal(0), le=Decimal(999999999999))]
"""A unit price: may carry more digits than its currency, rounded once a line."""
Amount = Annotated[Decimal, Bounds(ge=Decimal(0), le=Decimal(9999999999999))]
"""An amount of money in its currency's digits."""
Title = Annotated[str, Meta(min_length=1, max_length=100)]
Text = Annotated[str, Meta(max_length=10_000)]
Language = Literal["ko", "en", "zh", "ar"]
_MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?=.{1,253}$)[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
CountryCode = Annotated[str, Meta(pattern="^[A-Z]{2}$", description="ISO 3166-1 alpha-2")]
OrderNo = Annotated[
    str, Meta(pattern=r"^[0-9]{8}[0-9]{4,12}$", description="date and number", examples=["202509060001"])
]
"""An order's identity: the day and a number from a block that a process draws; gaps are allowed."""
PaymentId = UUID
HoldId = UUID
AccountId = UUID
"""Whoever acts: guest, member, seller, staff."""
StoreId = Code
WarehouseCode = Code
BatchId = Code
ChannelCode = Code


class Delivery(Purpose, name="delivery"):
    """To bring goods to a person: name, address, telephone."""


class Contact(Purpose, name="contact"):
    """To reach a person and to sign them in: mail, mobile."""


class Identity(Purpose, name="identity"):
    """To know who a seller is (KYC) and whom we pay."""


class Address(Value):
    """Where a person lives or goods go. Country, region and postal code stay readable: freight and stock need them."""

    free_texts: ClassVar[tuple[str, ...]] = ("recipient", "line1", "line2", "city", "region")
    recipient: Private[Delivery]
    phone: Private[Delivery]
    line1: Private[Delivery]
    line2: Private[Delivery] | None = None
    city: Annotated[str, Meta(max_length=100)] = ""
    region: Annotated[str, Meta(max_length=100)] = ""
    postal_code: Annotated[str, Meta(max_length=16)] = ""
    country: CountryCode
    latitude: Annotated[Decimal, Bounds(ge=Decimal(-90), le=Decimal(90))] | None = None
    longitude: Annotated[Decimal, Bounds(ge=Decimal(-180), le=Decimal(180))] | None = None


class ContactPoint(Value):
    """Where mails about one order go, and in which language: a guest's, who has no account that says so."""

    free_texts: ClassVar[tuple[str, ...]] = ("mail",)
    mail: Private[Contact]
    language: Language = "ko"


def is_mail_address(text: str) -> bool:
    return _MAIL.fullmatch(text) is not None


class Line(Value):
    """An order line: SKU × units × price, as it was agreed."""

    line_id: str
    sku: Sku
    quantity: Units
    unit_price: Price
    amount: Amount
    title: str
    store: StoreId
    batch: BatchId | None = None


class Period(Value):
    """From `starts_at` up to, not including, `ends_at`; None is open."""

    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def covers(self, at: datetime) -> bool:
        return (self.starts_at is None or self.starts_at <= at) and (self.ends_at is None or at < self.ends_at)


OrderState = Literal[
    "CREATED", "PENDING_PAYMENT", "PAYMENT_PROCESSING", "PAID", "ALLOCATED", "PREPARING", "PICKED", "PACKED",
    "PARTIAL_SHIPPED", "SHIPPED", "IN_TRANSIT", "DELIVERED", "CONFIRMED", "COMPLETED", "AFTER_SALE_OPEN",
    "PARTIAL_REFUNDED", "REFUNDED", "CANCELED",
]  # fmt: skip

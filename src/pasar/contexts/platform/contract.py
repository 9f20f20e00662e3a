"""Stores, channels and flags: what may be said to platform, heard from it, and read in it."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta

from pasar.kernel.messages import Answer, Bounds, Command, Event, Value
from pasar.kernel.money import Currency
from pasar.vocabulary import AccountId, Amount, ChannelCode, StoreId, Title

Rate = Annotated[Decimal, Bounds(ge=Decimal(0), le=Decimal(1))]


class OpenStore(Command):
    """A seller's shop inside the tenant. `commission_rate` is our share of its sales, 0.05 unless agreed otherwise."""

    opens = True
    store: StoreId
    name: Title
    owner: AccountId
    commission_rate: Rate = Decimal("0.05")
    settlement_currency: Currency = "KRW"


class ChangeStore(Command):
    store: StoreId
    name: Title | None = None
    commission_rate: Rate | None = None


class CloseStore(Command):
    store: StoreId


class StoreOpened(Event):
    store: StoreId
    name: str
    owner: AccountId
    commission_rate: Decimal
    settlement_currency: Currency


class StoreChanged(Event):
    store: StoreId
    name: str
    commission_rate: Decimal


class StoreClosed(Event):
    store: StoreId


class OpenChannel(Command):
    """Where things are sold: its currency, language, tax and freight."""

    opens = True
    channel: ChannelCode
    name: Title
    currency: Currency
    locale: str = "ko"
    tax_rate: Rate = Decimal("0.10")
    prices_include_tax: bool = True
    freight: Amount = Decimal(0)
    free_freight_from: Amount | None = None
    kind: Literal["web", "app", "marketplace", "pos"] = "web"


class ChangeChannel(Command):
    channel: ChannelCode
    name: Title | None = None
    tax_rate: Rate | None = None
    freight: Amount | None = None
    free_freight_from: Amount | None = None


class ChannelOpened(Event):
    channel: ChannelCode
    name: str
    currency: Currency
    locale: str
    tax_rate: Decimal
    prices_include_tax: bool
    freight: Decimal
    free_freight_from: Decimal | None
    kind: str


class ChannelChanged(Event):
    channel: ChannelCode
    name: str
    tax_rate: Decimal
    freight: Decimal
    free_freight_from: Decimal | None


FlagName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_.-]*$")]


class SetFlag(Command):
    """A new function is on for everybody (`default`), for whole `stores`, or for a share of the people, always the
    same ones: raising `percentage` only adds some."""

    name: FlagName
    default: bool = False
    percentage: Annotated[int, Meta(ge=0, le=100)] = 0
    stores: Annotated[tuple[StoreId, ...], Meta(max_length=1000)] = ()
    note: Annotated[str, Meta(max_length=500)] = ""


class FlagSet(Event):
    name: FlagName
    default: bool
    percentage: int
    stores: tuple[StoreId, ...]
    note: str


class Flag(Answer):
    name: FlagName
    default: bool = False
    percentage: int = 0
    stores: tuple[StoreId, ...] = ()
    note: str = ""


class KeepSearch(Command):
    """Keep a search of a list under a name; the same name again is another search. `query` as in an address."""

    account: AccountId
    list: Annotated[str, Meta(pattern=r"^[a-z]{1,20}$")]
    name: Annotated[str, Meta(min_length=1, max_length=40)]
    query: Annotated[str, Meta(max_length=500)]


class ForgetSearch(Command):
    account: AccountId
    list: str
    name: str


class SearchKept(Event):
    account: AccountId
    list: str
    name: str
    query: str


class SearchForgotten(Event):
    account: AccountId
    list: str
    name: str


class KeptSearch(Value):
    list: str
    name: str
    query: str


class Store(Answer):
    store: StoreId
    name: str
    owner: AccountId
    commission_rate: Decimal
    settlement_currency: Currency
    is_open: bool = True


class Channel(Answer):
    channel: ChannelCode
    name: str
    currency: Currency
    locale: str
    tax_rate: Decimal
    prices_include_tax: bool
    freight: Decimal
    free_freight_from: Decimal | None = None
    kind: str = "web"


class Time(Answer):
    """The time that this deployment goes by."""

    now: datetime


class AuditEntry(Answer):
    """Who did what, when, to what: one line of the audit trail, made from the log."""

    at: datetime
    by: str
    type: str
    stream: str
    version: int
    request: str | None = None

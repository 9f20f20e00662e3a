"""A store: a seller's shop inside the tenant, open until it is closed."""

from typing import assert_never

from msgspec.structs import replace

from pasar.kernel.decider import Decider
from pasar.kernel.messages import Value
from pasar.kernel.money import BadMoney, digits
from pasar.refusals import CurrencyUnknown, StoreExists, StoreIsClosed, StoreNotFound

from .contract import ChangeStore, CloseStore, OpenStore, Store, StoreChanged, StoreClosed, StoreOpened

StoreCommand = OpenStore | ChangeStore | CloseStore
StoreEvent = StoreOpened | StoreChanged | StoreClosed


class Shop(Value):
    """Nothing yet, or the store."""

    store: Store | None = None


def decide(command: StoreCommand, shop: Shop) -> list[StoreEvent]:
    store = shop.store
    if isinstance(command, OpenStore):
        return _open(command, store)
    if store is None:
        raise StoreNotFound(f"there is no store {command.store}")
    match command:
        case ChangeStore():
            name = command.name if command.name is not None else store.name
            rate = command.commission_rate if command.commission_rate is not None else store.commission_rate
            if (name, rate) == (store.name, store.commission_rate):
                return []
            if not store.is_open:
                raise StoreIsClosed(f"the store {command.store} is closed")
            return [StoreChanged(store=command.store, name=name, commission_rate=rate)]
        case CloseStore():
            return [StoreClosed(store=command.store)] if store.is_open else []
        case _:
            assert_never(command)


def _open(command: OpenStore, store: Store | None) -> list[StoreEvent]:
    wanted = StoreOpened(**{name: getattr(command, name) for name in command.__struct_fields__})
    if store is not None:
        if evolve(Shop(), wanted).store == store:
            return []  # A repeat.
        raise StoreExists(f"there is a store {command.store}, with other content")
    try:
        digits(command.settlement_currency)
    except BadMoney as wrong:
        raise CurrencyUnknown(str(wrong)) from None
    return [wanted]


def evolve(shop: Shop, event: StoreEvent) -> Shop:
    if isinstance(event, StoreOpened):
        return Shop(store=Store(**{name: getattr(event, name) for name in event.__struct_fields__}))
    assert shop.store is not None
    match event:
        case StoreChanged(name=name, commission_rate=rate):
            return Shop(store=replace(shop.store, name=name, commission_rate=rate))
        case StoreClosed():
            return Shop(store=replace(shop.store, is_open=False))
        case _:
            assert_never(event)


def answer(shop: Shop) -> Store | None:
    return shop.store


def owner(shop: Shop) -> str | None:
    """The account whose store it is."""
    return shop.store and str(shop.store.owner)


store = Decider("platform.store", "store", Shop(), decide, evolve, answer=answer, owner=owner)

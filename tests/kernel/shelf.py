"""A domain of the kernel's own tests: shelves that hold things, which nobody sells."""

from datetime import datetime
from typing import Literal, assert_never

from pasar.kernel import ledger
from pasar.kernel.decider import Clear, Decider, Give, Set, Take, Unique
from pasar.kernel.messages import Answer, Command, Event, Refused, Value


class TooFew(Refused, code=90_001):
    """There are not that many."""


class NameTaken(Refused, code=90_002):
    """Somebody else has that name."""


class IsOver(Refused, code=90_003):
    """That is over."""


shelf = ledger.Family("shelf", meaning="things that lie on a shelf", unit="thing", floor=0, refusal=TooFew)
basket = ledger.Family("basket", meaning="things in a basket", unit="thing")
nature = ledger.Family("nature", meaning="where things come from", unit="thing")
names = Unique("name", NameTaken)


class Fill(Command):
    shelf: str
    things: int


class Filled(Event):
    shelf: str
    things: int


class Filling(Value):
    things: int = 0


class Pick(Command):
    opens = True
    basket: str
    shelf: str
    things: int
    name: str | None = None
    until: datetime | None = None


class Keep(Command):
    basket: str


class PutBack(Command):
    basket: str


class Picked(Event):
    basket: str
    shelf: str
    things: int
    name: str | None = None
    until: datetime | None = None


class Kept(Event):
    basket: str


class WasPutBack(Event):
    basket: str
    name: str | None = None


class Basket(Value):
    state: Literal["new", "picked", "kept", "back"] = "new"
    things: int = 0
    name: str | None = None


class InBasket(Answer):
    state: str
    things: int


def fill_decide(command: Fill, state: Filling) -> list[Filled]:
    return [Filled(shelf=command.shelf, things=command.things)]


def fill_evolve(state: Filling, event: Filled) -> Filling:
    return Filling(things=state.things + event.things)


def fill_book(event: Filled) -> list[ledger.Transfer]:
    return [ledger.move(nature("wood"), shelf(event.shelf), event.things)]


def decide(command: Pick | Keep | PutBack, state: Basket) -> list[Picked | Kept | WasPutBack]:
    match command, state.state:
        case Pick(basket=basket, shelf=shelf, things=things, name=name, until=until), "new":
            return [Picked(basket=basket, shelf=shelf, things=things, name=name, until=until)]
        case Keep(basket=basket), "picked":
            return [Kept(basket=basket)]
        case PutBack(basket=basket), "picked":
            return [WasPutBack(basket=basket, name=state.name)]
        case (Pick(), "picked") | (Keep(), "kept") | (PutBack(), "back" | "kept"):
            return []
        case _:
            raise IsOver(f"{command.basket} is {state.state}")


def evolve(state: Basket, event: Picked | Kept | WasPutBack) -> Basket:
    match event:
        case Picked(things=things, name=name):
            return Basket(state="picked", things=things, name=name)
        case Kept():
            return Basket(state="kept", things=state.things, name=state.name)
        case WasPutBack():
            return Basket(state="back")
        case _:
            assert_never(event)


def book(event: Picked | Kept | WasPutBack) -> list[ledger.Transfer]:
    match event:
        case Picked(shelf=name, things=things, basket=id):
            return [ledger.hold("things", shelf(name), basket(id), things)]
        case Kept():
            return [ledger.settle("things")]
        case WasPutBack():
            return [ledger.release("things")]
        case _:
            assert_never(event)


def timers(event: Picked | Kept | WasPutBack) -> list[Set | Clear]:
    match event:
        case Picked(basket=id, until=until):
            return [Set("until", at=until, send=PutBack(basket=id))] if until else []
        case _:
            return [Clear("until")]


def claims(event: Picked | Kept | WasPutBack) -> list[Take | Give]:
    match event:
        case Picked(name=str() as name):
            return [names.take(name)]
        case WasPutBack(name=str() as name):
            return [names.give(name)]
        case _:
            return []


def answer(state: Basket) -> InBasket:
    return InBasket(state=state.state, things=state.things)


filling = Decider("toy.filling", "shelf", Filling(), fill_decide, fill_evolve, book=fill_book)
baskets = Decider(
    *("toy.basket", "basket", Basket(), decide, evolve), book=book, timers=timers, claims=claims, answer=answer
)

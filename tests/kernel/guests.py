"""Guests of the toy domain: persons, whose name and telephone are private."""

from typing import assert_never
from uuid import UUID

from kernel.persons import Calling, Visiting
from pasar.kernel.decider import Decider
from pasar.kernel.messages import Answer, Command, Event, Value
from pasar.kernel.private import Private


class Welcome(Command):
    opens = True
    guest: UUID
    name: Private[Visiting]
    phones: tuple[Private[Calling], ...] = ()


class Welcomed(Event):
    person: UUID
    name: Private[Visiting]
    phones: tuple[Private[Calling], ...] = ()


class Guest(Value):
    name: Private[Visiting] | None = None
    phones: tuple[Private[Calling], ...] = ()


class GuestCard(Answer):
    name: Private[Visiting] | None


def decide(command: Welcome, state: Guest) -> list[Welcomed]:
    return [Welcomed(person=command.guest, name=command.name, phones=command.phones)] if state.name is None else []


def evolve(state: Guest, event: Welcomed) -> Guest:
    match event:
        case Welcomed(name=name, phones=phones):
            return Guest(name=name, phones=phones)
        case _:
            assert_never(event)


def answer(state: Guest) -> GuestCard:
    return GuestCard(name=state.name)


guests = Decider("toy.guest", "guest", Guest(), decide, evolve, answer=answer)

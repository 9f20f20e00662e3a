"""Personal values of the toy domain: who moved into which house."""

import base64
from uuid import UUID

import msgspec

from pasar.kernel.messages import Event, Value
from pasar.kernel.private import Private, Purpose

KEY = {"PASAR_MASTER_KEY": base64.b64encode(b"k" * 32).decode()}
KIM = UUID("4b8a7a9e-3a57-4f6c-8e11-3d3b9a4a0f4e")
EVENT = UUID("0b8a7a9e-3a57-4f6c-8e11-3d3b9a4a0f4e")


class Visiting(Purpose, name="visiting"):
    """To visit somebody in a test."""


class Calling(Purpose, name="calling"):
    """To call somebody in a test."""


class House(Value):
    street: Private[Visiting]
    door: Private[Visiting] | None = None
    town: str = ""


class MovedIn(Event):
    person: UUID
    house: House
    phones: tuple[Private[Calling], ...] = ()
    old_houses: dict[str, House] = msgspec.field(default_factory=dict)


class Opened(Event):
    town: str


def moved_in(person: UUID = KIM) -> MovedIn:
    house = House(street=Private("Sejong-ro 1"), town="Seoul")
    return MovedIn(person=person, house=house, phones=(Private("+82 10 1"),), old_houses={"a": house})

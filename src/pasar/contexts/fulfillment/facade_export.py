"""What fulfillment keeps of a person, for the export of their own data."""

from uuid import UUID

from pasar.kernel.bus import Bus

from .contract import Fulfillment
from .fulfillment import answer, fulfillment


async def exports(bus: Bus, person: UUID) -> list[Fulfillment]:
    """What was sent to a person: parcels with their numbers, and where to."""
    found = [answer(one.state) async for one in bus.db.every_owned(fulfillment, str(person))]
    return [one for one in found if one is not None]

"""What platform keeps of a person, for the export of their own data."""

from uuid import UUID

from pasar.kernel.bus import Bus

from .contract import Store
from .store import answer, store


async def exports(bus: Bus, person: UUID) -> list[Store]:
    """The stores that a person owns."""
    found = [answer(one.state) async for one in bus.db.every_owned(store, str(person))]
    return [one for one in found if one is not None]

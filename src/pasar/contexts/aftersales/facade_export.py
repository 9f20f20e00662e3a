"""What aftersales keeps of a person, for the export of their own data."""

from uuid import UUID

from pasar.kernel.bus import Bus

from .contract import ReturnCase
from .return_case import answer, return_case


async def exports(bus: Bus, person: UUID) -> list[ReturnCase]:
    """Every return and complaint of a person, and what came of it."""
    found = [answer(one.state) async for one in bus.db.every_owned(return_case, str(person))]
    return [one for one in found if one is not None]

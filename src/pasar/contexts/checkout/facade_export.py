"""What checkout keeps of a person, for the export of their own data."""

from uuid import UUID

from pasar.kernel.bus import Bus

from .contract import Cart
from .facade import cart


async def exports(bus: Bus, person: UUID) -> Cart:
    """What lies in the person's cart."""
    return await cart(bus.db, person)

"""The port to a broker that levels the peaks of a sale: orders wait there and are placed as fast as it goes. Nothing
depends on its memory: the ticket makes one order however often a message comes, and none is owed for one that is
lost, because the buyer may send the same ticket again."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from pasar.kernel.messages import Value
from pasar.vocabulary import Sku


class BufferedOrder(Value):
    """An order of a sale on its way. It names the buyer's address by its entry in the address book: what tells of a
    person does not lie in a broker. `device` is the keyed hash that the sale counts."""

    tenant: int
    member: str
    sale: str
    sku: Sku
    units: int
    ticket: str
    address_id: str
    device: str | None = None
    correlation_id: str = ""


class Later(Exception):
    """It cannot be placed just now: deliver it again."""


Place = Callable[[BufferedOrder], Awaitable[None]]
"""Places or refuses an order for good, or raises `Later`."""


class Buffer(Protocol):
    async def open(self) -> None:
        """Reach the broker, if it answers."""
        ...

    async def close(self) -> None: ...

    async def put(self, order: BufferedOrder) -> bool:
        """Whether the broker has confirmed that it keeps the order."""
        ...

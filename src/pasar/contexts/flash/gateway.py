"""The port to where queues are kept. A queue is a convenience: it says who may try next and spares the others the
trouble. What it forgets, doubles or makes up changes how long people wait, never how many units are sold."""

from typing import Literal, NamedTuple, Protocol


class Line(NamedTuple):
    """One queue: for a SKU of a sale."""

    tenant: int
    sale: str
    sku: str

    def __str__(self) -> str:
        return f"{self.tenant}:{self.sale}:{self.sku}"


class Rules(NamedTuple):
    """`admit_per_s` tickets a second, each good for `ticket_ms`; a place lasts `place_ms` after it was last asked for;
    `waiting_most` people may wait."""

    admit_per_s: int
    ticket_ms: int
    place_ms: int
    waiting_most: int


class Standing(NamedTuple):
    """`position`: how many stand before, and oneself; 0 without a place. `sold_out`: the ledger had not so many when
    it was last asked. `full`: it had, but others have tickets for them, and enough people wait for what these leave.
    `uncounted`: nobody has said yet what is left."""

    state: Literal["waiting", "admitted", "full", "sold_out", "uncounted"]
    position: int = 0
    wait_s: int = 0
    ticket: str = ""
    until_ms: int = 0
    units: int = 0
    """Of the ticket."""


AGAIN = Standing("waiting", wait_s=1)
"""Nobody can say just now."""
Mark = tuple[int, ...]
UNKNOWN = -1
"""In a mark: it could not be taken."""


class Queue(Protocol):
    """Instants are milliseconds since 1970."""

    async def join(self, line: Line, member: str, units: int, now_ms: int, rules: Rules) -> Standing:
        """Take a place, or say where the one stands that is held already. Without room: `full` or `sold_out`, and no
        place."""
        ...

    async def look(self, line: Line, member: str, now_ms: int, rules: Rules) -> Standing | None:
        """Where somebody stands; None: nowhere. Asking keeps the place."""
        ...

    async def keep(self, line: Line, member: str, ticket: str, until_ms: int) -> None:
        """An order with this ticket is under way: its units are not for others until then."""
        ...

    async def done(self, line: Line, member: str, ticket: str, *, sold: bool) -> None:
        """The order was placed or refused for good."""
        ...

    async def mark(self, line: Line) -> Mark:
        """Where the sales stand, to be taken before the ledger is asked what is left."""
        ...

    async def count(self, line: Line, left: int, mark: Mark) -> None:
        """What the ledger says is left, the units of open tickets among it. What was sold since the mark may be in
        this count already or not: for admitting it is taken off, so that there is never a ticket too many. For saying
        "sold out" it is not: a unit too few here would send people away for good."""
        ...

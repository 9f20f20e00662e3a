"""Units of an ended sale that go back to where everybody buys. Booked once; how many there were is read beforehand."""

from pasar.accounts import pool, sale_pool
from pasar.kernel import ledger
from pasar.kernel.decider import Decider
from pasar.kernel.messages import Value

from .contract import LeftoverReturned, ReturnLeftover


class Leftover(Value):
    what: LeftoverReturned | None = None


def decide(command: ReturnLeftover, state: Leftover) -> list[LeftoverReturned]:
    """A repeat may see another balance; what was booked first stands."""
    if state.what is not None:
        return []
    return [LeftoverReturned(**{name: getattr(command, name) for name in command.__struct_fields__})]


def evolve(state: Leftover, event: LeftoverReturned) -> Leftover:
    return Leftover(what=event)


def book(event: LeftoverReturned) -> list[ledger.Transfer]:
    """The floor of the sale's pool refuses to return what an order has taken meanwhile."""
    return [ledger.move(sale_pool(event.sku, event.sale), pool(event.sku), event.quantity)]


leftover = Decider("flash.leftover", "leftover", Leftover(), decide, evolve, book=book)

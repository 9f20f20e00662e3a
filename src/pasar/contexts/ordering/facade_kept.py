"""What law makes us keep of orders: five years from when they were placed."""

from uuid import UUID

from pasar.kernel.bus import Bus
from pasar.kernel.clock import years_after
from pasar.kernel.keystore import Retained

from .order import order as order_decider

KEPT_YEARS = 5
"""Korea: Act on the Consumer Protection in Electronic Commerce, Enforcement Decree Art. 6: contracts 5 years."""


async def retains(bus: Bus, buyer: UUID) -> list[Retained]:
    """Every order that was ever paid: what was bought, for how much, and who received it."""
    found = []
    async for one in bus.db.every_owned(order_decider, str(buyer)):
        placed = one.state.placed
        if placed is None or not one.state.gateway:
            continue
        home = await bus.keys.open_all(placed.address)
        lines = [f"{line.quantity} x {line.sku} ({line.title}) at {line.unit_price}" for line in placed.lines]
        street = [part.plain_text for part in (home.line1, home.line2) if part is not None]
        values = {
            "order_no": placed.order_no,
            "placed_at": placed.placed_at.isoformat(),
            "state": one.state.state,
            "total": f"{placed.total} {placed.currency}",
            "lines": "; ".join(lines),
            "recipient": home.recipient.plain_text,
            "phone": home.phone.plain_text,
            "address": ", ".join(filter(None, (*street, home.city, home.region, home.postal_code, home.country))),
        }
        if values["recipient"]:  # Else the keys are gone already, and what law keeps was copied before.
            found.append(Retained("order", placed.order_no, years_after(placed.placed_at, KEPT_YEARS), values))
    return found

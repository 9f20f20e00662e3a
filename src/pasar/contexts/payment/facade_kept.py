"""What law makes us keep of payments: five years from when they were begun."""

from uuid import UUID

from pasar.kernel.bus import Bus
from pasar.kernel.clock import years_after
from pasar.kernel.keystore import Retained

from .attempt import CAPTURED
from .payment import payment as payment_decider

KEPT_YEARS = 5
"""Korea: Act on the Consumer Protection in Electronic Commerce, Enforcement Decree Art. 6: payments 5 years."""


async def retains(bus: Bus, buyer: UUID) -> list[Retained]:
    """Every payment of which money was taken, with what went back. The order's record says whose it is."""
    found: list[Retained] = []
    async for one in bus.db.every_owned(payment_decider, str(buyer)):
        started = one.state.started
        if started is None or one.state.state not in CAPTURED:
            continue
        values = {
            "payment": str(started.payment),
            "order_no": started.order_no,
            "begun_at": one.opened_at.isoformat(),
            "gateway": started.gateway,
            "provider_ref": one.state.provider_ref or "",
            "amount": f"{started.amount} {started.currency}",
            "given_back": f"{one.state.given_back} {started.currency}",
        }
        found.append(Retained("payment", str(started.payment), years_after(one.opened_at, KEPT_YEARS), values))
    return found

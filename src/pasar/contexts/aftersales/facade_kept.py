"""What law makes us keep of complaints: three years from when they were decided."""

from uuid import UUID

from pasar.kernel.bus import Bus
from pasar.kernel.clock import years_after
from pasar.kernel.keystore import Retained

from .return_case import return_case

KEPT_YEARS = 3
"""Korea: Act on the Consumer Protection in Electronic Commerce, Enforcement Decree Art. 6: complaints 3 years."""


async def retains(bus: Bus, buyer: UUID) -> list[Retained]:
    """Every case: what was complained of, and what came of it."""
    found: list[Retained] = []
    async for one in bus.db.every_owned(return_case, str(buyer)):
        asked = one.state.asked
        if asked is None:
            continue
        values = {
            "case": str(asked.case),
            "order_no": asked.order_no,
            "kind": asked.kind,
            "reason": f"{asked.reason_code} {asked.reason}".strip(),
            "state": one.state.state,
            "resolution": one.state.resolution,
            "refund": f"{asked.refund} {asked.currency}",
            "opened_at": one.opened_at.isoformat(),
        }
        until = years_after(one.state.processed_at or one.opened_at, KEPT_YEARS)
        found.append(Retained("complaint", str(asked.case), until, values))
    return found

"""Nobody takes more than a share: of requests in a while by person and network address, and of the places in a lane.

The address is asked for before anything of a request is read, the person before its body is. Staff have no rate: they
import and export; their share of a lane binds them, too.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from .access import Principal
from .rates import LocalRates, Rate, Rates
from .settings_kernel import LimitsSettings
from .web import Lane
from .web_lanes import Gate
from .web_refusals import TooManyRequests

BUYERS = ("guest", "member")
LEAST = 8
"""Places of a lane that everybody may have at once, however few there are."""


class Fairness:
    """The limits of one process. `shared` counts addresses for all processes; a person is counted by each, because
    that costs every request of everybody."""

    def __init__(self, chosen: LimitsSettings, local: LocalRates | None = None, shared: Rates | None = None) -> None:
        self._local = local or LocalRates()
        self._shared = shared or self._local
        self._person = Rate(chosen.person_per_s, chosen.person_burst) if chosen.person_per_s else None
        self._address = Rate(chosen.address_per_s, chosen.address_burst) if chosen.address_per_s else None
        self._percent = chosen.share_percent
        self._running: Counter[tuple[Lane, int, str]] = Counter()

    async def address(self, address: str) -> None:
        """Refuses (4029) an address that asks too often."""
        if self._address is not None:
            _refuse(await self._shared.take({f"address:{address}": self._address}))

    def person(self, who: Principal) -> None:
        """Refuses (4029) a buyer who asks too often."""
        if self._person is not None and who.kind in BUYERS:
            _refuse(self._local.take_now({f"person:{who.tenant}:{who.id}": self._person}))

    @contextmanager
    def place(self, lane: Lane, gate: Gate, who: Principal) -> Iterator[None]:
        """One of the places that an account may have in a lane; refuses (4029) when it has them all."""
        key = (lane, who.tenant, who.id)
        if who.signed_in and self._running[key] >= max(LEAST, gate.most * self._percent // 100):
            raise TooManyRequests("wait for the answers to your other requests")
        self._running[key] += 1
        try:
            yield
        finally:
            self._running[key] -= 1
            if not self._running[key]:
                del self._running[key]


def _refuse(wait_s: float) -> None:
    if wait_s:
        raise TooManyRequests(retry_after_s=int(wait_s) + 1)

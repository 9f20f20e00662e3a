"""Visits: in how many browsers the shop was opened on a day, by channel. A browser counts once a day; that it did is
noted in the mark that it has anyway. Who it was is not kept, only the number.

Who keeps no cookies counts with each page; robots that say so, and pages that browsers fetch in advance, do not count.
"""

import re
from datetime import date
from zoneinfo import ZoneInfo

from pasar.kernel.bus import Core
from pasar.kernel.store import Reader
from pasar.kernel.tallies import Tallies, times

from .visit import Visit

PREFIX = "visits:"
_ROBOT = re.compile(r"bot|crawl|spider|slurp|preview|curl/|wget/|python-", re.IGNORECASE)


def tallies_of(core: Core) -> Tallies:
    """Those of this process."""
    return core.tool(Tallies, lambda: Tallies(core.database.kernel))


def note(visit: Visit, channel: str) -> None:
    """This page is opened in that channel."""
    if visit.page.method != "GET" or _is_no_visit(visit):
        return
    core = visit.core
    today = core.clock.now().astimezone(ZoneInfo(core.settings.section("ordering").time_zone)).date()
    if visit.session.counted == f"{today:%Y%m%d}":
        return
    visit.session.count(f"{today:%Y%m%d}")
    add(core, visit.who.tenant, channel, today)


def _is_no_visit(visit: Visit) -> bool:
    if not visit.page.path.startswith("/"):  # There is no such page.
        return True
    headers = visit.request.headers
    purpose = headers.get("sec-purpose", "") or headers.get("purpose", "")
    return "prefetch" in purpose or _ROBOT.search(headers.get("user-agent", "")) is not None


def add(core: Core, tenant: int, channel: str, day: date, visits: int = 1) -> None:
    tallies_of(core).add(tenant, PREFIX + channel, day, visits)


async def by_channel(db: Reader, since: date) -> dict[tuple[str, date], int]:
    """The visits of each day, by channel and day."""
    return {(name.removeprefix(PREFIX), day): count for (name, day), count in (await times(db, PREFIX, since)).items()}

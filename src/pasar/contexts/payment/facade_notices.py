"""Notices of providers, kept as they came for `payment.notices_kept_days`: to be shown beside their payment, and to
settle with a provider what it did and did not tell."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

import structlog

from pasar.kernel.bus import Bus, Core
from pasar.kernel.keystore import PersonErased
from pasar.kernel.messages import encode
from pasar.kernel.private import Private
from pasar.kernel.rates import LocalRates, Rate
from pasar.kernel.store import Reader
from pasar.kernel.web import Cursor, Page, Paging
from pasar.refusals import PaymentNotFound

from .gateways.config import PaymentSettings
from .notice import Notice, Sealable, Verdict, named_in, person_of_day
from .notice import masked as masked
from .payment import payment as payment_decider

log = structlog.get_logger(__name__)
STRANGE = Rate(per_s=1, burst=100)
"""How many a process keeps of those that need not be a provider's: anybody can send them."""
LONGEST = 300
_COLUMNS = """id as notice, source as gateway, nullif(subject, '')::uuid as payment, person, at, verdict, reason,
    outcome, size, digest, body"""


class Judged(NamedTuple):
    """What became of a notice. `payment`: the one it is about, where it is genuine."""

    verdict: Verdict
    reason: str = ""
    outcome: str = ""
    payment: UUID | None = None


class FindNotices(Paging):
    """What staff look for. `verdict`: of one kind only."""

    verdict: Verdict | None = None


class _Strange(LocalRates):
    """Those that this process kept."""


async def keep(bus: Bus, gateway: str, body: bytes, judged: Judged) -> None:
    """Keep a notice; that it cannot be kept is no reason not to have booked it."""
    if judged.verdict != "verified" and judged.payment is None and bus.tool(_Strange, _Strange).take_now({"": STRANGE}):
        log.warning("notice not kept: too many of nobody", gateway=gateway)
        return
    try:
        await _keep(bus, gateway, body, judged)
    except Exception as problem:
        log.error("notice not kept", gateway=gateway, error=type(problem).__name__)


async def _keep(bus: Bus, gateway: str, body: bytes, judged: Judged) -> None:
    id, at, tenant = bus.ids.uuid(), bus.now(), bus.context.tenant
    payment = judged.payment or named_in(body)
    attempt = None if judged.payment is None else await bus.db.state(payment_decider, judged.payment)
    person = person_of_day(tenant, at.astimezone(UTC).date())
    if attempt is not None and attempt.started is not None:
        person = attempt.started.buyer
    try:
        text = Private(body.decode(errors="replace").replace("\0", "�"))
        sealed = encode((await bus.keys.seal(tenant, Sealable(person=person, body=text), id)).body).decode()
    except PersonErased:
        sealed = None
    what = tenant, id, gateway[:LONGEST], str(payment or ""), person, at
    told = judged.verdict, judged.reason[:LONGEST], judged.outcome, len(body), sha256(body).hexdigest(), sealed
    values = ", ".join(f"${number}" for number in range(1, 12))
    await bus.db.fetchval(f"select kernel.notice_keep({values}, $12::text::jsonb)", *what, *told)


async def of_payment(db: Reader, payment: UUID, limit: int = 50) -> list[Notice]:
    """What was told about a payment, or said to be, newest first."""
    return await db.all(
        Notice,
        f"select {_COLUMNS} from kernel.notice where tenant = $1 and subject = $2 order by at desc, id desc limit $3",
        *(db.tenant, str(payment), limit),
    )


async def of_person(db: Reader, person: UUID) -> list[Notice]:
    """All that is kept of what providers told of a person, oldest first."""
    return await db.all(
        Notice,
        f"select {_COLUMNS} from kernel.notice where tenant = $1 and person = $2 order by at, id",
        *(db.tenant, person),
    )


async def find(db: Reader, query: FindNotices) -> Page[Notice]:
    """All that were received, newest first."""
    after = Cursor.read(query.cursor, tuple[datetime, UUID]) or (None, None)
    items = await db.all(
        Notice,
        f"""select {_COLUMNS} from kernel.notice
             where tenant = $1 and ($2::text is null or verdict = $2)
               and ($3::timestamptz is null or (at, id) < ($3, $4))
             order by at desc, id desc limit $5""",
        *(db.tenant, query.verdict, *after, query.limit + 1),
    )
    shown = items[: query.limit]
    more = len(items) > query.limit
    return Page(items=shown, next=Cursor.write((shown[-1].at, shown[-1].notice)) if more else None)


async def of_buyer(db: Reader, payment: UUID, notice: UUID) -> Notice:
    """A notice that tells of the payment's buyer, and not of nobody known."""
    found = next((one for one in await of_payment(db, payment) if one.notice == notice), None)
    attempt = await db.state(payment_decider, payment)
    if found is None or attempt is None or attempt.started is None or attempt.started.buyer != found.person:
        raise PaymentNotFound(f"there is no such notice of payment {payment}")
    return found


async def forget(core: Core) -> int:
    """Delete what was kept long enough, by whole days, and the keys of those days; how many."""
    days = core.settings.section(PaymentSettings).notices_kept_days
    before = (core.clock.now().astimezone(UTC) - timedelta(days=days)).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    pool = core.database.kernel
    rows = await pool.fetch(
        "select distinct tenant, (at at time zone 'UTC')::date as day from kernel.notice where at < $1", before
    )
    for row in rows:
        await core.keys.erase(row["tenant"], person_of_day(row["tenant"], row["day"]))  # type: ignore[attr-defined]
    return await pool.fetchval("select kernel.notice_forget($1)", before)

"""Points over HTTP."""

from pasar.kernel.access import Principal, signed_in, staff
from pasar.kernel.bus import Bus
from pasar.kernel.store import Reader
from pasar.kernel.web import Page, route

from . import facade
from .contract import FindEntries, NewGrant, PointsBalance, PointsEntry


@route("GET", "/api/v1/me/points", policy=signed_in)
async def balance(bus: Bus, who: Principal) -> PointsBalance:
    """Your points."""
    return await facade.balance(bus, who)


@route("GET", "/api/v1/me/points/statement", policy=signed_in)
async def statement(query: FindEntries, db: Reader, who: Principal) -> Page[PointsEntry]:
    """Where your points came from and went, newest first."""
    return await facade.statement(db, who, query)


@route(
    *("POST", "/api/v1/points/grants"),
    policy=staff("admin"),
    key="required",
    example={"account": "018f4e6a-7c1b-7cc0-8000-3f1f9d2e4b5a", "points": 500, "reason": "late parcel"},
)
async def grant(body: NewGrant, bus: Bus) -> None:
    """Give points to one member."""
    await facade.grant(bus, body)

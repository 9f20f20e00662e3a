"""How long carts hold units, and where the shop's days end."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from msgspec import Meta

from pasar.kernel.settings import Section, is_time_zone, register


class InventorySettings(Section, frozen=True):
    cart_hold_min: Annotated[int, Meta(ge=1, le=1440, description="Minutes for which a cart keeps units.")] = 15
    hold_extension_min: Annotated[int, Meta(ge=1, le=1440, description="Minutes by which a hold is extended.")] = 15
    hold_extensions: Annotated[int, Meta(ge=0, le=100, description="How often a hold may be extended.")] = 2
    holds_per_person: Annotated[
        int, Meta(ge=1, le=1000, description="Open holds of one person; who holds something keeps the limit they had.")
    ] = 10
    time_zone: Annotated[
        str,
        Meta(description="Whose midnight ends the last day of a batch, in all warehouses (IANA); else `time_zone`."),
    ] = "UTC"

    def problems(self) -> Iterable[str]:
        if not is_time_zone(self.time_zone):
            yield f"time_zone is {self.time_zone!r}, which is no name of a time zone; write for example Asia/Seoul"

    def day_of(self, at: datetime) -> date:
        return at.astimezone(ZoneInfo(self.time_zone)).date()

    def end_of(self, day: date) -> datetime:
        """The midnight with which a day ends, in UTC."""
        return datetime.combine(day + timedelta(days=1), time(), ZoneInfo(self.time_zone)).astimezone(UTC)


register("inventory", InventorySettings)

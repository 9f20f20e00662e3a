"""When an order would come: a promise that the shop can keep, worked out from the day and the country."""

from datetime import date, datetime, timedelta
from typing import NamedTuple

from pasar.contexts.fulfillment.facade import FulfillmentSettings


class Expected(NamedTuple):
    first: date
    last: date


def expected(now: datetime, country: str, settings: FulfillmentSettings) -> Expected:
    """Between which days it arrives. `now` in the warehouse's zone; it works Monday to Friday."""
    leaves = now.date() if now.hour < settings.leaves_until else now.date() + timedelta(days=1)
    leaves = _working(leaves)
    soonest, latest = settings.days_to(country)
    return Expected(_after(leaves, soonest), _after(leaves, latest))


def _working(day: date) -> date:
    while day.weekday() >= 5:
        day += timedelta(days=1)
    return day


def _after(day: date, working_days: int) -> date:
    for _ in range(working_days):
        day = _working(day + timedelta(days=1))
    return day

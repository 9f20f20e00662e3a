"""Mondays at midnight of a place: when runs are cut off, and what they are called."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo


def monday_before(at: datetime, time_zone: str) -> datetime:
    """The last Monday, 00:00 there, that is not after `at`; in UTC."""
    there = at.astimezone(ZoneInfo(time_zone))
    return _midnight(there.date().toordinal() - there.weekday(), time_zone)


def monday_after(at: datetime, time_zone: str) -> datetime:
    """The first one that is after `at`."""
    there = at.astimezone(ZoneInfo(time_zone))
    return _midnight(there.date().toordinal() - there.weekday() + 7, time_zone)


def _midnight(day: int, time_zone: str) -> datetime:
    zone = ZoneInfo(time_zone)
    return (datetime.min.replace(tzinfo=zone) + timedelta(days=day - 1)).astimezone(ZoneInfo("UTC"))


def name_of_run(cut_off: datetime, time_zone: str, currency: str, before: int = 0) -> str:
    """`2026-W47-KRW`: the ISO week that begins with the cut-off; with `-2` and so on where others came before it."""
    year, week, _ = cut_off.astimezone(ZoneInfo(time_zone)).isocalendar()
    again = f"-{before + 1}" if before else ""
    return f"{year:04d}-W{week:02d}-{currency}{again}"

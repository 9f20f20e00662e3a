"""Time comes from here and nowhere else: instants in UTC, from the system or set by hand (tests, replay)."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The present instant, with UTC as its zone."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class SettableClock:
    """Stands still until it is moved, and by itself never goes backwards. Threads may share it."""

    def __init__(self, start: datetime) -> None:
        self._lock = threading.Lock()
        self._now = _in_utc(start)

    def now(self) -> datetime:
        return self._now

    def set(self, at: datetime, *, backwards: bool = False) -> None:
        """Move to an instant; an earlier one is refused unless `backwards` says that it is meant."""
        at = _in_utc(at)
        with self._lock:
            if at < self._now and not backwards:
                raise ValueError(
                    f"the clock stands at {self._now.isoformat()} and does not go back to {at.isoformat()}"
                )
            self._now = at

    def advance(self, by: timedelta) -> datetime:
        """Move forwards; the new instant."""
        if by < timedelta(0):
            raise ValueError(f"the clock does not advance by {by}")
        with self._lock:
            self._now += by
            return self._now


def years_after(at: datetime, years: int) -> datetime:
    """The same day so many years later. A 29 February becomes 1 March: no term ends early."""
    try:
        return at.replace(year=at.year + years)
    except ValueError:
        return at.replace(year=at.year + years, month=3, day=1)


def _in_utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError(f"{instant.isoformat()} has no time zone")
    return instant.astimezone(UTC)

"""A clock that all processes of a replay deployment share and that a person, or a replay, moves forward.

Eight bytes of a file, mapped into memory: reading costs no system call, and a move is seen by everybody at once.
"""

import fcntl
import mmap
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORMAT = struct.Struct("<q")


class ClockMovesForward(ValueError):
    """Time that has passed does not come back."""


class SharedClock:
    """Shows the last instant that was set, to the microsecond, in UTC."""

    def __init__(self, path: Path, start: datetime) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if file.seek(0, 2) < _FORMAT.size:
                file.truncate(0)
                file.write(_FORMAT.pack(_microseconds(start)))
                file.flush()
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), _FORMAT.size)

    def now(self) -> datetime:
        return _EPOCH + timedelta(microseconds=_FORMAT.unpack_from(self._map)[0])

    def set(self, to: datetime) -> datetime:
        """Move to an instant, for all processes; raises `ClockMovesForward` when it is past."""
        wanted = _microseconds(to)
        with open(self._path, "r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if wanted < _FORMAT.unpack_from(self._map)[0]:
                raise ClockMovesForward(f"the clock shows {self.now().isoformat()} and moves forward only")
            _FORMAT.pack_into(self._map, 0, wanted)
            self._map.flush()
        return self.now()


def _microseconds(at: datetime) -> int:
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no time zone")
    return (at - _EPOCH) // timedelta(microseconds=1)

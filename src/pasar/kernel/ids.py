"""Ids and secrets come from here and nowhere else: from the system, or from a seed so that a run can be repeated."""

import base64
import os
import random
import secrets
import struct
import threading
import time
from typing import Protocol
from uuid import UUID

from asyncpg.pgproto.pgproto import UUID as DriverUUID

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62
_LOW_BITS = (1 << 62) - 1
_EIGHT_BYTES = struct.Struct("=512Q")


class Ids(Protocol):
    def uuid(self) -> UUID:
        """A new id (UUID version 7): later ones of one process are greater, so that indexes grow at their end."""
        ...

    def token(self, size: int = 32) -> str:
        """A secret of `size` random bytes in URL-safe letters."""
        ...


class SystemIds:
    """Time and chance of the system. Cheap enough for every row: randomness is drawn in chunks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forget()
        # A forked child must not hand out what its parent will.
        os.register_at_fork(after_in_child=self._forget_after_fork)

    def _forget(self) -> None:
        self._last = 0
        self._random: list[int] = []

    def _forget_after_fork(self) -> None:
        self._lock = threading.Lock()
        self._forget()

    def uuid(self) -> UUID:
        with self._lock:
            if not self._random:
                self._random = list(_EIGHT_BYTES.unpack(os.urandom(_EIGHT_BYTES.size)))
            # RFC 9562 §6.2, method 3: 48 bits of milliseconds, then 12 bits of the millisecond's fraction.
            nanoseconds = time.time_ns()
            instant = nanoseconds // 1_000_000 << 12 | nanoseconds % 1_000_000 * 4096 // 1_000_000
            if instant <= self._last:
                instant = self._last + 1
            self._last = instant
            return _uuid7(instant, self._random.pop())

    def token(self, size: int = 32) -> str:
        return secrets.token_urlsafe(size)


class SeededIds:
    """The same ids for the same seed, on every machine. For tests and simulations: nothing here is a secret."""

    def __init__(self, seed: int) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self._instant = 1_577_836_800_000 << 12  # 2020-01-01, in the millisecond's 4096ths.

    def uuid(self) -> UUID:
        with self._lock:
            self._instant += 1
            return _uuid7(self._instant, self._random.getrandbits(64))

    def token(self, size: int = 32) -> str:
        with self._lock:
            return base64.urlsafe_b64encode(self._random.randbytes(size)).rstrip(b"=").decode()


def _uuid7(instant: int, low: int) -> UUID:
    """As the driver's own UUID, which is made and sent in a third of the time of the standard one."""
    value = instant >> 12 << 80 | _VERSION_7 | (instant & 0xFFF) << 64 | _VARIANT | low & _LOW_BITS
    return DriverUUID(value.to_bytes(16, "big"))

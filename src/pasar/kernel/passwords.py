"""Passwords, hashed with argon2id (RFC 9106) in threads, a few at a time: a flood of sign-ins waits, the rest does not.

OWASP's Password Storage Cheat Sheet (2025): 19 MiB, two passes, one lane.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from .web_refusals import Unavailable

T = TypeVar("T")
MAX_BYTES = 1024
"""Longer ones are refused unseen: hashing them is work that a stranger would give us."""


class Passwords:
    """`threads` hash at once, `queue` more may wait; the next one is refused (9003)."""

    def __init__(self, *, threads: int = 2, queue: int = 32, memory_kib: int = 19 * 1024, passes: int = 2) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=1)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="passwords")
        self._most, self._running = threads + queue, 0
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """The text to keep; raises ValueError where the password is longer than any person's."""
        if len(password.encode()) > MAX_BYTES:
            raise ValueError(f"a password has {MAX_BYTES} bytes at most")
        return await self._in_thread(self._hasher.hash, password)

    async def verify(self, kept: str | None, password: str) -> bool:
        """Whether the password is right. For an account that does not exist (None) it takes as long and says no."""
        if len(password.encode("utf-8", "replace")) > MAX_BYTES:
            return False
        if kept is None:
            if self._nobody is None:
                self._nobody = await self.hash("nobody has this account")
            await self._in_thread(self._verify, self._nobody, password)
            return False
        return await self._in_thread(self._verify, kept, password)

    def needs_rehash(self, kept: str) -> bool:
        """Whether it was made with weaker parameters than today's: hash again at the next sign-in."""
        return self._hasher.check_needs_rehash(kept)

    def _verify(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _in_thread(self, function: Callable[..., T], *arguments: str) -> T:
        if self._running >= self._most:
            raise Unavailable("too many people are signing in just now; try again in a moment")
        self._running += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)
        finally:
            self._running -= 1

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

"""A Bloom filter: what was added is always in it; of what was not, about one in a hundred seems to be."""

from hashlib import blake2b

BITS, HASHES = 10, 7
"""Bits for each key, and places that a key sets: 0.8 % seem to be in it when it is full."""


class Bloom:
    """`capacity` keys; with more in it, more seems to be."""

    __slots__ = ("_bits", "_size", "capacity", "count")

    def __init__(self, capacity: int) -> None:
        self.capacity, self.count = capacity, 0
        self._size = max(64, capacity * BITS)
        self._bits = bytearray(-(-self._size // 8))

    def _places(self, key: str) -> list[int]:
        """Two hashes make all (Kirsch and Mitzenmacher, 2006)."""
        digest = blake2b(key.encode(), digest_size=16).digest()
        first, second = int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big") | 1
        return [(first + n * second) % self._size for n in range(HASHES)]

    def add(self, key: str) -> None:
        if key in self:
            return
        for place in self._places(key):
            self._bits[place >> 3] |= 1 << (place & 7)
        self.count += 1

    def __contains__(self, key: str) -> bool:
        return all(self._bits[place >> 3] >> (place & 7) & 1 for place in self._places(key))

    @property
    def is_full(self) -> bool:
        return self.count >= self.capacity

"""Very many short entries of one size in memory, packed: a quarter of what a dict of them takes.

A hash table that grows by linear hashing (Litwin, 1980; docs/decisions/0018): buckets are split one at a
time, in turn, so that growing never holds anybody up. A bucket is its entries one after the other.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Final, final

from librt.strings import read_i64_be
from mypy_extensions import i64

HASH_BYTES: Final = 8
MOST_A_BUCKET: Final = 4
"""Entries on average, where buckets are split. One that waits for its split may hold twice as many."""


class Entries(ABC):
    """Keys of one size with values of one size. An entry is both together."""

    @abstractmethod
    def get(self, key: bytes) -> bytes | None:
        """Return a key's value."""

    @abstractmethod
    def put(self, entry: bytes) -> None:
        """Set the value of an entry's key."""

    def look_ahead(self, keys: list[bytes]) -> int:
        """Learn which keys, or entries, are got or put next. Returns a sum that nobody needs to know."""
        return 0

    @abstractmethod
    def delete(self, key: bytes) -> None:
        """Remove a key, if there."""

    @abstractmethod
    def __len__(self) -> int: ...


@final
class PackedEntries(Entries):
    """Entries in memory. Keys are evenly spread in their last 8 bytes, as digests are."""

    def __init__(self, key_bytes: int, value_bytes: int) -> None:
        """`key_bytes`: 8 or more."""
        self._key_bytes: i64 = key_bytes
        self._entry_bytes: i64 = key_bytes + value_bytes
        self._hash_at: i64 = key_bytes - HASH_BYTES
        self._buckets = [b""]
        self._mask: i64 = 0
        """That of the buckets' number when the splits of this turn began."""
        self._split: i64 = 0
        """The next bucket to be split: those before it, and those that came of them, have one bit more."""
        self._count = 0

    def get(self, key: bytes) -> bytes | None:
        """Return a key's value."""
        bucket = self._buckets[self._place(key)]
        at = self._find(bucket, key)
        return None if at < 0 else bucket[at + self._key_bytes : at + self._entry_bytes]

    def put(self, entry: bytes) -> None:
        """Set the value of an entry's key."""
        place = self._place(entry)
        bucket = self._buckets[place]
        at = self._find(bucket, entry)
        if at >= 0:
            self._buckets[place] = bucket[:at] + entry + bucket[at + self._entry_bytes :]
            return
        self._buckets[place] = bucket + entry
        self._count += 1
        if self._count > len(self._buckets) * MOST_A_BUCKET:
            self._split_one()

    def look_ahead(self, keys: list[bytes]) -> int:
        """Touch the buckets of keys, or entries: in passes in which no step waits for the one before."""
        met = 0
        for bucket in [self._buckets[self._place(key)] for key in keys]:
            if bucket:
                met += bucket[-1]
        return met

    def delete(self, key: bytes) -> None:
        """Remove a key, if there; buckets are not joined again."""
        place = self._place(key)
        bucket = self._buckets[place]
        at = self._find(bucket, key)
        if at >= 0:
            self._buckets[place] = bucket[:at] + bucket[at + self._entry_bytes :]
            self._count -= 1

    def __len__(self) -> int:
        return self._count

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Return all keys with their values, in any order; nothing may be put meanwhile."""
        for bucket in self._buckets:
            for at in range(0, len(bucket), self._entry_bytes):
                value_at = at + self._key_bytes
                yield bucket[at:value_at], bucket[value_at : at + self._entry_bytes]

    def _place(self, key: bytes) -> i64:
        """Return the number of the bucket of a key, or of an entry."""
        spread = read_i64_be(key, self._hash_at)
        place = spread & self._mask
        if place < self._split:
            place = spread & (2 * self._mask + 1)
        return place

    def _find(self, bucket: bytes, key: bytes) -> i64:
        """Return where the entry of a key, or of an entry, begins; -1: nowhere."""
        hash_at, step = self._hash_at, self._entry_bytes
        spread = read_i64_be(key, hash_at)
        at: i64 = 0
        end: i64 = len(bucket)
        while at < end:
            if read_i64_be(bucket, at + hash_at) == spread:
                size = self._key_bytes
                if bucket[at : at + size] == key[:size]:
                    return at
            at += step
        return -1

    def _split_one(self) -> None:
        """Move what belongs there from the next bucket into a new one, the last."""
        bucket, bit = self._buckets[self._split], self._mask + 1
        stays, goes = [], []
        for at in range(0, len(bucket), self._entry_bytes):
            entry = bucket[at : at + self._entry_bytes]
            if read_i64_be(entry, self._hash_at) & bit:
                goes.append(entry)
            else:
                stays.append(entry)
        self._buckets[self._split] = b"".join(stays)
        self._buckets.append(b"".join(goes))
        self._split += 1
        if self._split == bit:
            self._mask, self._split = 2 * self._mask + 1, 0

"""The ids that a lane remembers: a digest of each usage event's name with a digest of its content.

They are the lane's own store, a block a day and commit: 16 bytes of id digest and 8 of content digest
each. The changelog's key is (day of occurred_at, number); a value starts with what the block does.
"""

import struct
from typing import ClassVar

from streams.domain import shelves
from streams.lanes.job import BaseStore, Batch
from streams.lanes.spaces import Space

DAY_MS = 86_400_000
ID_BYTES = 16
ENTRY_BYTES = 24
ADDED = b"+"
DISCARDED = b"-"
KEY = struct.Struct(">iQ")
NUMBER = struct.Struct(">Q")
BLOCK, DAYS, ID, LAST = b"B", b"D", b"I", b"N"
"""First byte of a key in the space: a block, that it is there, one id, the last block's number."""


class SeenStore(BaseStore):
    """The committed ids in the table's space: blocks as the changelog has them, and each id by itself."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._days: dict[int, dict[bytes, None]] = {}  # day -> keys of its blocks, in order of arrival
        for key, _ in sorted(space.items(DAYS)):
            self._remember(key[1:])
        last = space.get(LAST)
        self.last_number = NUMBER.unpack(last)[0] if last else 0

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take a block, or drop it with all ids that it added and that have not come again since."""
        day, number = KEY.unpack(key)
        if value is None:
            block = self._space.get(BLOCK + key)
            if block is not None:
                self._drop(key, day, block)
            return
        self._remember(key)
        self._space.put(DAYS + key, b"")
        self._space.put(BLOCK + key, value)
        if number > self.last_number:
            self.last_number = number
            self._space.put(LAST, NUMBER.pack(number))
        if value[:1] == ADDED:
            for digest, content in _entries(value):
                self._space.put(ID + digest, content)
        else:
            self._remove(value)

    def content(self, digest: bytes) -> bytes | None:
        """Return the content digest of an id."""
        return self._space.get(ID + digest)

    def keys_before(self, moment: int) -> list[bytes]:
        """Return the keys of the blocks of days that ended at or before a moment."""
        last = moment // DAY_MS
        return [key for day in sorted(self._days) if day < last for key in self._days[day]]

    def __len__(self) -> int:
        """Count the remembered ids by walking over them."""
        return sum(1 for _ in self._space.items(ID))

    def _remove(self, block: bytes) -> None:
        """Forget a block's ids, but for those that are remembered for another content by now."""
        for digest, content in _entries(block):
            if self._space.get(ID + digest) == content:
                self._space.delete(ID + digest)

    def _remember(self, key: bytes) -> None:
        self._days.setdefault(KEY.unpack(key)[0], {})[key] = None

    def _drop(self, key: bytes, day: int, block: bytes) -> None:
        if block[:1] == ADDED:
            self._remove(block)
        self._space.delete(BLOCK + key)
        self._space.delete(DAYS + key)
        blocks = self._days[day]
        del blocks[key]
        if not blocks:
            del self._days[day]


class SeenShelf(shelves.Seen):
    """What the rules ask: committed ids and those of the batch under way."""

    TABLE: ClassVar = "seen-ids"

    def __init__(self, store: SeenStore) -> None:
        self._store = store
        self._added: dict[bytes, bytes] = {}
        self._added_by_day: dict[int, bytearray] = {}
        self._discarded: dict[int, bytearray] = {}
        self._gone: set[bytes] = set()
        self._dropped: list[bytes] = []

    def get(self, digest: bytes) -> bytes | None:
        """Return the content digest of a remembered id."""
        added = self._added.get(digest)
        return added or (None if digest in self._gone else self._store.content(digest))

    def add(self, digest: bytes, content: bytes, occurred_at: int) -> None:
        """Remember an id."""
        self._added[digest] = content
        day = occurred_at // DAY_MS
        block = self._added_by_day.get(day)
        if block is None:
            block = self._added_by_day[day] = bytearray(ADDED)
        block += digest
        block += content

    def discard(self, digest: bytes, occurred_at: int) -> None:
        """Forget one id, so that the event may come again."""
        day = occurred_at // DAY_MS
        if self._added.pop(digest, None) is None:
            content = self._store.content(digest)
            assert content is not None, "only a remembered id is discarded"
            self._gone.add(digest)
            self._discarded.setdefault(day, bytearray(DISCARDED)).extend(digest + content)
            return
        block = self._added_by_day[day]  # of this batch: it is left out of its block
        for at in range(1, len(block), ENTRY_BYTES):
            if block[at : at + ID_BYTES] == digest:
                del block[at : at + ENTRY_BYTES]
                break
        if len(block) == len(ADDED):
            del self._added_by_day[day]

    def forget(self, before: int) -> None:
        """Drop the days that ended before a moment: the forget line refuses their events from now on."""
        self._dropped = self._store.keys_before(before)

    def seal(self, batch: Batch) -> None:
        """Write what changed to the batch: discards first, since a discarded id may have come again."""
        number = self._store.last_number
        for blocks in (self._discarded, self._added_by_day):
            for day, block in blocks.items():
                number += 1
                batch.write(self.TABLE, KEY.pack(day, number), bytes(block))
        for key in self._dropped:
            batch.write(self.TABLE, key, None)

    def committed(self) -> None:
        """Start the next batch."""
        self._added.clear()
        self._added_by_day.clear()
        self._discarded.clear()
        self._gone.clear()
        self._dropped = []


def _entries(block: bytes) -> list[tuple[bytes, bytes]]:
    """Return a block's ids with their contents; all at once, since a generator would take as long again."""
    return [
        (block[at : at + ID_BYTES], block[at + ID_BYTES : at + ENTRY_BYTES])
        for at in range(1, len(block), ENTRY_BYTES)
    ]

"""The ids that a lane remembers: a digest of each usage event's name with a digest of its content.

They are the lane's own store, a block a day and commit: 16 bytes of id digest and 8 of content digest
each. The changelog's key is (day of occurred_at, number); a value starts with what the block does.

An id is forgotten when the forget line has left its day. Its block goes later: to drop the ids of a whole day
at once would hold up everybody for seconds, or minutes, at the day's end.
"""

import struct
from collections.abc import Iterator
from typing import ClassVar

from streams.domain import shelves
from streams.lanes.job import BaseStore, Batch
from streams.lanes.spaces import Space

DAY_MS = 86_400_000
ID_BYTES = 16
ENTRY_BYTES = 24
CONTENT_BYTES = ENTRY_BYTES - ID_BYTES
DROPPED_MORE = 1_000
"""Ids that a commit drops of those forgotten, and as many as it adds besides: so none are left for long."""
AHEAD = 50
"""Ids of a block whose places in memory are met together."""
ADDED = b"+"
DISCARDED = b"-"
KEY = struct.Struct(">iQ")
DAY = struct.Struct(">i")
NUMBER = struct.Struct(">Q")
BLOCK, DAYS, ID, LAST = b"B", b"D", b"I", b"N"
"""First byte of a key in the space: a block, that it is there, one id, the last block's number."""


class SeenStore(BaseStore):
    """The committed ids in the table's space: blocks as the changelog has them, and each id by itself.

    An id's value is its content digest and its day.
    """

    LAYOUT: ClassVar = 2
    """Another one when this changes."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._ids = space.entries(ID, ID_BYTES, CONTENT_BYTES + DAY.size)
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
            of_day = DAY.pack(day)
            for start in range(1, len(value), AHEAD * ENTRY_BYTES):
                stop = min(start + AHEAD * ENTRY_BYTES, len(value))
                entries = [value[at : at + ENTRY_BYTES] + of_day for at in range(start, stop, ENTRY_BYTES)]
                self._ids.look_ahead(entries)
                for entry in entries:
                    self._ids.put(entry)
        else:
            self._remove(value, day)

    def content(self, digest: bytes, first_day: int) -> bytes | None:
        """Return the content digest of an id of this day or a later one."""
        held = self._ids.get(digest)
        if held is None or DAY.unpack_from(held, CONTENT_BYTES)[0] < first_day:
            return None
        return held[:CONTENT_BYTES]

    def look_ahead(self, digests: list[bytes]) -> None:
        """Learn which ids are asked for next."""
        self._ids.look_ahead(digests)

    def oldest(self, before_day: int, ids: int) -> Iterator[bytes]:
        """Yield the keys of the oldest blocks of the days before one, until they hold so many ids."""
        left = ids
        for day in sorted(self._days):
            if day >= before_day:
                return
            for key in self._days[day]:
                yield key
                left -= len(self._space.get(BLOCK + key) or b"") // ENTRY_BYTES
                if left <= 0:
                    return

    def __len__(self) -> int:
        """Count the remembered ids."""
        return len(self._ids)

    def _remove(self, block: bytes, day: int) -> None:
        """Drop a block's ids, but for those that are remembered for another content by now."""
        of_day = DAY.pack(day)
        for at in range(1, len(block), ENTRY_BYTES):
            digest = block[at : at + ID_BYTES]
            if self._ids.get(digest) == block[at + ID_BYTES : at + ENTRY_BYTES] + of_day:
                self._ids.delete(digest)

    def _remember(self, key: bytes) -> None:
        self._days.setdefault(KEY.unpack(key)[0], {})[key] = None

    def _drop(self, key: bytes, day: int, block: bytes) -> None:
        if block[:1] == ADDED:
            self._remove(block, day)
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
        self._first_day = 0

    def get(self, digest: bytes) -> bytes | None:
        """Return the content digest of a remembered id."""
        added = self._added.get(digest)
        return added or (None if digest in self._gone else self._store.content(digest, self._first_day))

    def look_ahead(self, digests: list[bytes]) -> None:
        """Learn which ids are asked for next."""
        self._store.look_ahead(digests)

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
            content = self._store.content(digest, self._first_day)
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
        """Forget the days that ended before a moment: the forget line refuses their events from now on."""
        self._first_day = before // DAY_MS

    def seal(self, batch: Batch) -> None:
        """Write what changed to the batch: discards first, since a discarded id may have come again.

        Some of what is forgotten is dropped with it.
        """
        number = self._store.last_number
        for blocks in (self._discarded, self._added_by_day):
            for day, block in blocks.items():
                number += 1
                batch.write(self.TABLE, KEY.pack(day, number), bytes(block))
        for key in self._store.oldest(self._first_day, DROPPED_MORE + len(self._added)):
            batch.write(self.TABLE, key, None)

    def committed(self) -> None:
        """Start the next batch."""
        self._added.clear()
        self._added_by_day.clear()
        self._discarded.clear()
        self._gone.clear()

"""The ids that a lane remembers: a digest of each usage event's name with a digest of its content.

They are the lane's own store, a block a day and commit: 16 bytes of id digest and 8 of content digest
each. The changelog's key is (day of occurred_at, number); a value starts with what the block does.
"""

import struct
from collections.abc import Iterator

from streams.lanes.job import Batch

DAY_MS = 86_400_000
ID_BYTES = 16
ENTRY_BYTES = 24
ADDED = b"+"
DISCARDED = b"-"
KEY = struct.Struct(">iQ")


class SeenStore:
    """The committed ids, in memory; the table's Store for the engine."""

    def __init__(self) -> None:
        self.contents: dict[bytes, bytes] = {}
        self.last_number = 0
        self._blocks: dict[int, dict[bytes, bytes]] = {}  # day -> changelog key -> block

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take a block, or drop it with all ids that it added and that have not come again since."""
        day, number = KEY.unpack(key)
        self.last_number = max(self.last_number, number)
        if value is None:
            block = self._blocks.get(day, {}).pop(key, b"")
            if block[:1] == ADDED:
                self._remove(block)
            return
        self._blocks.setdefault(day, {})[key] = value
        if value[:1] == ADDED:
            self.contents.update(_entries(value))
        else:
            self._remove(value)

    def _remove(self, block: bytes) -> None:
        """Forget a block's ids, but for those that are remembered for another content by now."""
        for digest, content in _entries(block):
            if self.contents.get(digest) == content:
                del self.contents[digest]

    def keys_before(self, moment: int) -> list[bytes]:
        """Return the keys of the blocks of days that ended at or before a moment; forgets empty days."""
        last = moment // DAY_MS
        for day in [day for day, blocks in self._blocks.items() if day < last and not blocks]:
            del self._blocks[day]
        return [key for day in sorted(self._blocks) if day < last for key in self._blocks[day]]

    def get(self, key: bytes) -> bytes | None:
        """Return a block."""
        return self._blocks.get(KEY.unpack(key)[0], {}).get(key)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Return all blocks."""
        return (item for blocks in self._blocks.values() for item in blocks.items())

    def __len__(self) -> int:
        return len(self.contents)


class SeenShelf:
    """What the rules ask: committed ids and those of the batch under way."""

    TABLE = "seen-ids"

    def __init__(self, store: SeenStore) -> None:
        self._store = store
        self._committed = store.contents
        self._added: dict[bytes, bytes] = {}
        self._added_by_day: dict[int, bytearray] = {}
        self._discarded: dict[int, bytearray] = {}
        self._dropped: list[bytes] = []

    def get(self, digest: bytes) -> bytes | None:
        """Return the content digest of a remembered id."""
        return self._committed.get(digest) or self._added.get(digest)

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
        content = self._committed.pop(digest, None)
        if content is not None:
            self._discarded.setdefault(day, bytearray(DISCARDED)).extend(digest + content)
            return
        del self._added[digest]  # of this batch: it is left out of its block
        block = self._added_by_day[day]
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
        self._dropped = []


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    for at in range(1, len(block), ENTRY_BYTES):
        yield block[at : at + ID_BYTES], block[at + ID_BYTES : at + ENTRY_BYTES]

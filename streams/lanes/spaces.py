"""Where a lane keeps its tables: in memory, or in RocksDB for state beyond RAM. Knows no table's meaning.

A Space is a plain map of bytes. A Keeper holds a lane's spaces and, for each, how far its topic has been
taken in; both change together, so that a restart reads only the rest. In doubt a local store is emptied
and read again from the start: the topics are the truth.
"""

import contextlib
import fcntl
import json
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Protocol, final

import structlog
from mypy_extensions import mypyc_attr
from rocksdict import (
    AccessType,
    BlockBasedOptions,
    MemtableFactory,
    Options,
    Rdict,
    ReadOptions,
    SliceTransform,
    WriteBatch,
)

from streams.lanes.packed import Entries, PackedEntries

STALE_SECONDS = 12 * 3600
"""A store that was away this long is not believed: deletions may have left its topic by compaction
(delete.retention.ms, a day by default)."""
READAHEAD_BYTES = 2 * 1024 * 1024
GATHERED_BUCKETS = 1 << 19
"""What RocksDB gathers before it writes a file, 64 MB, lies in a hash of so many buckets of 8 bytes. In its
usual ordered list an id costs twice as much to write, and has to come in order (docs/decisions/0009)."""
BUCKET_KEY_BYTES = 64
"""So much of a key finds its bucket."""
FILTER_SHARE = 0.1
"""Of the same 64 MB: a filter, so that an id that is not among them is not looked for."""
META = b"\x00"
"""Key of what a RocksDB store knows about itself; tables' keys start with 1, 2, ..."""

log = structlog.get_logger("streams")


class BrokenStoreError(Exception):
    """A local store could not be read: it is gone by now, and the next start builds it anew."""

    def __init__(self, lane: int, fault: Exception) -> None:
        super().__init__(f"lane {lane}: {fault}")


@mypyc_attr(acyclic=True)
@final
class Place:
    """Where a key's value stands in a space. Who writes it again and again keeps this, and looks no more."""

    def __init__(self, key: bytes, value: bytes | None) -> None:
        self.key = key
        self.value = value
        """What stands there, where the space is in memory; None: nothing."""
        self.next = b""
        """What will, once the batch is committed."""
        self.batch: object = None
        """The batch that wrote `next`, by its mark."""


class Space(ABC):
    """A map of bytes; reads see all earlier writes.

    An abstract class rather than a protocol: each event asks for its id, and a compiled call goes straight
    to a class's method.
    """

    @abstractmethod
    def get(self, key: bytes) -> bytes | None: ...

    @abstractmethod
    def put(self, key: bytes, value: bytes) -> None: ...

    @abstractmethod
    def delete(self, key: bytes) -> None: ...

    @abstractmethod
    def place(self, key: bytes) -> Place:
        """Return the place of a key, whether there is a value yet or not."""

    @abstractmethod
    def settle(self, place: Place) -> None:
        """Set the value of a place of this space to its next one."""

    @abstractmethod
    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Return what begins with a prefix, in any order; nothing may be written meanwhile."""

    @abstractmethod
    def entries(self, prefix: bytes, key_bytes: int, value_bytes: int) -> Entries:
        """Return what has a prefix, to be got and set by this alone: very many keys of one size, and values.

        Keys are digests: evenly spread.
        """


class Keeper(Protocol):
    """One lane's spaces."""

    def space(self, table: str) -> Space: ...

    def position(self, table: str) -> int:
        """Return the offset from which the table's topic is still to be taken in."""

    def flush(self, positions: Mapping[str, int]) -> None:
        """Keep everything written so far, together with the tables' new positions."""

    def filled(self) -> None:
        """Learn that all topics are taken in: from now on values come a commit at a time."""

    def reset(self, why: str) -> None:
        """Empty every space: it cannot be believed."""

    def close(self) -> None: ...


OpenKeeper = Callable[[int, Mapping[str, str]], Keeper]
"""Opens a lane's keeper: (lane, identity of each table's topic). Another identity empties the store."""


@final
class MemorySpace(Space):
    """A space in a dict; values whose place was asked for are in another, with that."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._places: dict[bytes, Place] = {}
        self._entries: dict[bytes, PackedEntries] = {}

    def get(self, key: bytes) -> bytes | None:
        """Return a value."""
        value = self._values.get(key)
        if value is None and self._places:
            place = self._places.get(key)
            if place is not None:
                return place.value
        return value

    def put(self, key: bytes, value: bytes) -> None:
        """Set a value."""
        if self._places:
            place = self._places.get(key)
            if place is not None:
                place.value = value
                return
        self._values[key] = value

    def delete(self, key: bytes) -> None:
        """Remove a key, if there."""
        self._values.pop(key, None)
        place = self._places.get(key)
        if place is not None:
            place.value = None

    def place(self, key: bytes) -> Place:
        """Return the place of a key: always the same one."""
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = Place(key, self._values.pop(key, None))
        return place

    def settle(self, place: Place) -> None:
        """Set the value of a place to its next one."""
        place.value = place.next

    def entries(self, prefix: bytes, key_bytes: int, value_bytes: int) -> Entries:
        """Return the entries of a prefix, packed."""
        return self._entries.setdefault(prefix, PackedEntries(key_bytes, value_bytes))

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Return what begins with a prefix."""
        if not prefix and not self._places and not self._entries:
            return iter(self._values.items())
        return self._some(prefix)

    def _some(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key, value in self._values.items():
            if key.startswith(prefix):
                yield key, value
        for key, place in self._places.items():
            if place.value is not None and key.startswith(prefix):
                yield key, place.value
        for start, entries in self._entries.items():
            for rest, value in entries.items():
                key = start + rest
                if key.startswith(prefix):
                    yield key, value


class MemoryKeeper:
    """Spaces that end with the process: every restart restores all."""

    def __init__(self, lane: int, topics: Mapping[str, str]) -> None:
        self._spaces = {table: MemorySpace() for table in topics}

    def space(self, table: str) -> Space:
        """Return a table's space."""
        return self._spaces[table]

    def position(self, table: str) -> int:
        """Return 0: all is to be read."""
        return 0

    def flush(self, positions: Mapping[str, int]) -> None:
        """Do nothing."""

    def filled(self) -> None:
        """Do nothing."""

    def reset(self, why: str) -> None:
        """Do nothing: it is empty when it is opened."""

    def close(self) -> None:
        """Do nothing."""


@final
class RocksSpace(Space):
    """A table's part of a lane's RocksDB, with what is not flushed yet over it."""

    def __init__(self, keeper: "RocksKeeper", database: Rdict, prefix: bytes) -> None:
        self.database = database
        self._keeper = keeper
        self._prefix = prefix
        self.pending: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """Return a value."""
        key = self._prefix + key
        if self.pending and key in self.pending:
            return self.pending[key]
        try:
            value = self.database.get(key)
        except Exception as e:  # rocksdict has one exception for all
            raise self._keeper.broken(e) from e
        assert value is None or isinstance(value, bytes), "a raw database holds bytes"
        return value

    def put(self, key: bytes, value: bytes) -> None:
        """Set a value."""
        self.pending[self._prefix + key] = value

    def delete(self, key: bytes) -> None:
        """Remove a key, if there."""
        self.pending[self._prefix + key] = None

    def place(self, key: bytes) -> Place:
        """Return a place of a key: nothing is kept there."""
        return Place(key, None)

    def settle(self, place: Place) -> None:
        """Set the value of a place to its next one."""
        self.put(place.key, place.next)

    def entries(self, prefix: bytes, key_bytes: int, value_bytes: int) -> Entries:
        """Return the entries of a prefix."""
        return RocksEntries(self, prefix, key_bytes)

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Return what begins with a prefix, flushed or not."""
        self._keeper.write_out()
        start, cut = self._prefix + prefix, len(self._prefix)
        for key, value in self.pending.items():
            if value is not None and key.startswith(start):
                yield key[cut:], value
        last = start
        for stored, content in self.database.items(from_key=start, read_opt=_once_through()):
            assert isinstance(stored, bytes), "a raw database holds bytes"
            assert isinstance(content, bytes), "a raw database holds bytes"
            if not stored.startswith(start):
                return
            last = stored
            if stored not in self.pending:
                yield stored[cut:], content
        self._check_end(last)

    def _check_end(self, last: bytes) -> None:
        """Fail where the database goes on after this key: `items` ends at what it cannot read as well."""
        try:
            cursor = self.database.iter(_once_through())
            cursor.seek(last)
            if cursor.valid():
                cursor.next()
            cursor.status()
        except Exception as e:
            raise self._keeper.broken(e) from e


@final
class RocksEntries(Entries):
    """Entries among what else is in a space."""

    def __init__(self, space: RocksSpace, prefix: bytes, key_bytes: int) -> None:
        self._space = space
        self._prefix = prefix
        self._key_bytes = key_bytes

    def get(self, key: bytes) -> bytes | None:
        """Return a key's value."""
        return self._space.get(self._prefix + key)

    def put(self, entry: bytes) -> None:
        """Set the value of an entry's key."""
        self._space.put(self._prefix + entry[: self._key_bytes], entry[self._key_bytes :])

    def delete(self, key: bytes) -> None:
        """Remove a key, if there."""
        self._space.delete(self._prefix + key)

    def __len__(self) -> int:
        return sum(1 for _ in self._space.items(self._prefix))


class RocksKeeper:
    """One lane's RocksDB: all tables in one database, so that a commit is one write."""

    _database: Rdict
    _spaces: dict[str, RocksSpace]

    def __init__(self, directory: Path, lane: int, topics: Mapping[str, str]) -> None:
        """Open the lane's store, emptied first where it cannot be believed."""
        self._lane = lane
        self._path = directory / f"lane-{lane}"
        self._topics = dict(topics)
        self._is_open = False
        self._open()
        positions = self._believed()
        if isinstance(positions, str):
            self.reset(positions)
        else:
            self._positions.update(positions)

    def space(self, table: str) -> Space:
        """Return a table's space; one that was reset is another."""
        return self._spaces[table]

    def position(self, table: str) -> int:
        """Return the offset from which the table's topic is still to be taken in."""
        return self._positions.get(table, 0)

    def flush(self, positions: Mapping[str, int]) -> None:
        """Write all tables' changes and positions at once."""
        self._positions.update(positions)
        meta = {"topics": self._topics, "positions": self._positions, "written_at": int(time.time())}
        batch = WriteBatch(raw_mode=True)
        for space in self._spaces.values():
            for key in sorted(space.pending) if self._is_filling else space.pending:
                value = space.pending[key]
                if value is None:
                    batch.delete(key)
                else:
                    batch.put(key, value)
            space.pending.clear()
        batch.put(META, json.dumps(meta).encode())
        with self._looking_for_corruption():
            self._database.write(batch)

    def write_out(self) -> None:
        """Write what RocksDB gathers into its files: it has no order, and each iterator would sort it."""
        with self._looking_for_corruption():
            self._database.flush()

    def filled(self) -> None:
        """Open the database anew, to gather in a hash from now on."""
        with self._looking_for_corruption():
            self._is_open = False
            self._database.close()
            self._database = _opened(self._path, is_filling=False)
            self._is_open = True
        self._is_filling = False
        for space in self._spaces.values():
            space.database = self._database

    def reset(self, why: str) -> None:
        """Empty the database."""
        self._throw_away(why)
        self._open()

    def close(self) -> None:
        """Close the database; what was not flushed is gone, and all of it where RocksDB found it broken."""
        if not self._is_open:
            return
        self._is_open = False
        try:
            self._database.close()
        except Exception as e:
            if not _is_corruption(e):
                raise
            self._throw_away(str(e))

    def _open(self) -> None:
        """Open the database to be filled."""
        self._is_filling = True
        try:
            self._database = _opened(self._path, is_filling=True)
        except Exception as e:  # rocksdict has one exception for all; in doubt the store is built anew
            _warn(self._lane, str(e))
            shutil.rmtree(self._path)
            self._database = _opened(self._path, is_filling=True)
        self._is_open = True
        self._positions: dict[str, int] = {}
        self._spaces = {
            table: RocksSpace(self, self._database, bytes([number]))
            for number, table in enumerate(sorted(self._topics), start=1)
        }

    def _believed(self) -> dict[str, int] | str:
        """Return the positions of a store that can be gone on with, or why it cannot."""
        try:
            meta = self._database.get(META)
        except Exception as e:
            return str(e)
        if meta is None:
            keys = self._database.keys(read_opt=_once_through())
            return {} if next(iter(keys), None) is None else "it has no note of its own"
        try:
            known = json.loads(meta)
            fresh = time.time() - known["written_at"] < STALE_SECONDS
            positions: dict[str, int] = known["positions"]
        except (ValueError, KeyError, TypeError):
            return "its note cannot be read"
        if known.get("topics") != self._topics:
            return "it was filled from other topics, or in another way"
        return positions if fresh else "it is too old"

    def broken(self, fault: Exception) -> BrokenStoreError:
        """Throw the store away, or the next start would meet the same fault; return what to raise."""
        if self._is_open:  # a closed one may be another's by now
            self._throw_away(str(fault))
        return BrokenStoreError(self._lane, fault)

    @contextlib.contextmanager
    def _looking_for_corruption(self) -> Iterator[None]:
        """Throw the store away where RocksDB says that it met by itself, behind our back, what is broken.

        What else it says, of a full disk for one, is no reason to.
        """
        try:
            yield
        except Exception as e:
            if not _is_corruption(e):
                raise
            self._throw_away(str(e))
            raise BrokenStoreError(self._lane, e) from e

    def _throw_away(self, why: str) -> None:
        _warn(self._lane, why)
        if self._is_open:
            self._is_open = False
            with contextlib.suppress(Exception):  # it may complain of what it is closed for
                self._database.close()
        shutil.rmtree(self._path)


def _is_corruption(fault: Exception) -> bool:
    """Tell whether RocksDB found its files broken; rocksdict has one exception for all."""
    return str(fault).startswith("Corruption")


def _warn(lane: int, why: str) -> None:
    log.warning("store thrown away, to be built anew from its topics", lane=lane, why=why)


def _opened(path: Path, *, is_filling: bool) -> Rdict:
    """Open a lane's database; one to be filled gathers in order, as a hash has to be ordered for a file."""
    path.mkdir(parents=True, exist_ok=True)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_keep_log_file_num(1)
    options.set_max_open_files(256)
    if not is_filling:
        options.set_memtable_factory(MemtableFactory.hash_link_list(GATHERED_BUCKETS))  # type: ignore[call-arg]
    options.set_prefix_extractor(SliceTransform.create_max_len_prefix(BUCKET_KEY_BYTES))
    options.set_allow_concurrent_memtable_write(False)  # a hash takes one writer
    options.set_memtable_whole_key_filtering(True)
    options.set_memtable_prefix_bloom_ratio(FILTER_SHARE)
    table = BlockBasedOptions()
    table.set_bloom_filter(10, block_based=False)  # most ids that are asked for were never seen
    options.set_block_based_table_factory(table)
    # Named as the column family's too, or rocksdict would gather as the database was opened the last time.
    families = {"default": options}
    return Rdict(str(path), options, column_families=families, access_type=AccessType.read_write())


def _once_through() -> ReadOptions:
    """Return how a table is read from one end to the other: in large pieces, and past the block cache."""
    options = ReadOptions()
    options.set_total_order_seek(True)
    options.fill_cache(False)  # type: ignore[call-arg]  # the stub has no argument, the library has one
    options.set_readahead_size(READAHEAD_BYTES)
    return options


class Slot:
    """A directory that this process alone uses: the first one free, so that a restart finds its stores."""

    def __init__(self, directory: Path) -> None:
        for number in range(1_000):
            self.path = directory / f"slot-{number}"
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock: IO[str] = (self.path / "lock").open("w")
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._lock.close()
                continue
            return
        raise OSError(f"{directory}: a thousand workers hold its slots")

    def keeper(self, lane: int, topics: Mapping[str, str]) -> Keeper:
        """Open a lane's RocksDB in this directory."""
        return RocksKeeper(self.path, lane, topics)

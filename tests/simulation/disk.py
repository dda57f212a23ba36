"""What stands where a worker's RocksDB would: a map that outlives the process, written at one instant."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

Copy = dict[bytes, bytes]


class Disks:
    """The stores of all hosts, by path."""

    def __init__(self) -> None:
        self._stores: dict[Path, Copy] = {}
        self._old: dict[Path, Copy] = {}
        self.on_write: Any = lambda path, when: None
        """Called before and after each write."""

    def open(self, path: Path, *, is_filling: bool) -> "Database":
        """Open or create a store; how it gathers (`is_filling`) makes no difference here."""
        return Database(self, path, self._stores.setdefault(path, {}))

    def rmtree(self, path: Path) -> None:
        """Delete a store."""
        self._stores.pop(path, None)

    def keep_copies(self) -> None:
        """Remember every store as it is now."""
        self._old = {path: dict(store) for path, store in self._stores.items()}

    def injure(self, host: Path, how: str) -> None:
        """Delete the stores of a host, or put earlier copies back."""
        for path in [p for p in self._stores if host in p.parents]:
            if how == "deleted":
                del self._stores[path]
            elif how == "old":
                self._stores[path] = dict(self._old.get(path, {}))


class Batch:
    """A WriteBatch."""

    def __init__(self, *, raw_mode: bool) -> None:
        self.writes: list[tuple[bytes, bytes | None]] = []

    def put(self, key: bytes, value: bytes) -> None:
        """Set a value."""
        self.writes.append((key, value))

    def delete(self, key: bytes) -> None:
        """Remove a key."""
        self.writes.append((key, None))


class Database:
    """An Rdict."""

    def __init__(self, disks: Disks, path: Path, store: Copy) -> None:
        self._disks = disks
        self._path = path
        self._store = store

    def get(self, key: bytes) -> bytes | None:
        """Return a value."""
        return self._store.get(key)

    def keys(self, read_opt: object = None) -> Iterator[bytes]:
        """Return all keys."""
        return iter(sorted(self._store))

    def items(self, from_key: bytes = b"", read_opt: object = None) -> Iterator[tuple[bytes, bytes]]:
        """Return all from a key on, in order; how it is read (`read_opt`) makes no difference here."""
        store = self._store
        return iter([(key, store[key]) for key in sorted(key for key in store if key >= from_key)])

    def iter(self, read_opt: object = None) -> "Cursor":
        """Return a cursor."""
        return Cursor(sorted(self._store))

    def write(self, batch: Batch) -> None:
        """Write a batch as one."""
        self._disks.on_write(self._path, "before")
        for key, value in batch.writes:
            if value is None:
                self._store.pop(key, None)
            else:
                self._store[key] = value
        self._disks.on_write(self._path, "after")

    def flush(self) -> None:
        """Do nothing: what is written is written."""

    def close(self) -> None:
        """Do nothing."""


class Cursor:
    """An RdictIter; no block is ever broken here."""

    def __init__(self, keys: list[bytes]) -> None:
        self._left = keys

    def seek(self, key: bytes) -> None:
        """Go to the first key not before this one."""
        self._left = [other for other in self._left if other >= key]

    def valid(self) -> bool:
        """Tell whether there is a key here."""
        return bool(self._left)

    def next(self) -> None:
        """Go on."""
        self._left = self._left[1:]

    def status(self) -> None:
        """Raise what kept it from going on: nothing does."""

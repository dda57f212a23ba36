"""The directory of a worker's RocksDB stores, and what may happen to it while the worker is down."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path


class Disk:
    """One worker's; nothing here may be called while a worker has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._copy = path.with_name(f"{path.name}-copy")

    def stores(self) -> list[Path]:
        """Return the directories of the lanes' stores."""
        return sorted(self.path.glob("lanes/*/slot-*/lane-*"))

    def keep_a_copy(self) -> None:
        """Remember all stores as they are now."""
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self.path, self._copy)

    def has_files_for(self, how: str) -> bool:
        """Tell whether each store has the files that a way breaks: one just made has no tables yet."""
        return how not in FILES or all(any(store.glob(FILES[how])) for store in self.stores())

    def injure(self, how: str) -> None:
        """Break all stores in one of the WAYS; fails where there is nothing to break."""
        assert self.stores(), f"{self.path} has no store"
        if how == OLD_COPY:
            shutil.rmtree(self.path)
            shutil.copytree(self._copy, self.path)
            return
        for store in self.stores():
            WAYS[how](store)


TABLES, MANIFEST, LOG = "*.sst", "MANIFEST-*", "*.log"


def delete(store: Path) -> None:
    """Remove the store."""
    shutil.rmtree(store)


def break_tables(store: Path) -> None:
    """Overwrite places all over each table file: the store opens, and some of it cannot be read.

    The middle alone may hold ids of usage only, which nobody reads until one of them comes again.
    """
    for file in _some(store, TABLES):
        content = bytearray(file.read_bytes())
        for part in range(1, 16):
            place = len(content) * part // 16
            content[place : place + 64] = bytes(64 * [0xAA])
        file.write_bytes(content)


def delete_a_table(store: Path) -> None:
    """Remove a table file."""
    _some(store, TABLES)[0].unlink()


def break_the_manifest(store: Path) -> None:
    """Overwrite the list of what belongs to the store."""
    for file in _some(store, MANIFEST):
        content = bytearray(file.read_bytes())
        content[: len(content) // 2] = bytes(len(content) // 2)
        file.write_bytes(content)


def cut_the_log(store: Path) -> None:
    """Lose the end of what was written last, as a power failure does."""
    file = max(_some(store, LOG), key=lambda log: log.stat().st_size)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) * 2 // 3])


def _some(store: Path, pattern: str) -> list[Path]:
    found = sorted(store.glob(pattern))
    assert found, f"{store} has no {pattern}"
    return found


OLD_COPY = "an old copy put back"
WAYS: Mapping[str, Callable[[Path], None]] = {
    "stores deleted": delete,
    "table files broken": break_tables,
    "a table file deleted": delete_a_table,
    "manifest broken": break_the_manifest,
    "log cut": cut_the_log,
}
BROKEN_FILES = ("table files broken", "a table file deleted", "manifest broken")
"""Those that no worker may go on with: it must say that it threw the stores away."""
FILES: Mapping[str, str] = {
    "table files broken": TABLES,
    "a table file deleted": TABLES,
    "manifest broken": MANIFEST,
    "log cut": LOG,
}
"""What a way needs in each store; the others need nothing."""

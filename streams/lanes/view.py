"""What the lanes of a worker have committed, as a Faust Table: their own stores, no copy of them."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import faust


class Rows(Protocol):
    """One lane's committed values of a table."""

    def get(self, key: bytes) -> bytes | None: ...

    def items(self) -> Iterator[tuple[bytes, bytes]]: ...


class CommittedRows(Mapping[bytes, bytes]):
    """The rows of all lanes that a worker has now."""

    def __init__(self) -> None:
        self.lanes: dict[int, Rows] = {}

    def __getitem__(self, key: bytes) -> bytes:
        """Return a committed value; raises KeyError, also for what another worker's lane has."""
        for rows in self.lanes.values():
            value = rows.get(key)
            if value is not None:
                return value
        raise KeyError(key)

    def __iter__(self) -> Iterator[bytes]:
        return (key for rows in self.lanes.values() for key, _ in rows.items())

    def __len__(self) -> int:
        """Count the rows by walking over them."""
        return sum(1 for _ in self)


class View(faust.Table):  # type: ignore[misc]
    """A Faust Table that shows committed state and is never written: it has no changelog of its own."""

    def show(self, lane: int, rows: Rows) -> None:
        """Show what a lane that opened has."""
        self._rows.lanes[lane] = rows

    def hide(self, lane: int) -> None:
        """Show nothing of a lane any more."""
        self._rows.lanes.pop(lane, None)

    @property
    def _rows(self) -> CommittedRows:
        rows: CommittedRows = self.data.data
        return rows

    def _new_store(self) -> Any:
        store = super()._new_store()
        store.data = CommittedRows()
        return store

"""Records in aiokafka's batches. Compiled, since every record of a commit passes here."""

from collections.abc import Callable, Sequence
from typing import Any, Final, final

KeyValue = tuple[bytes | None, bytes | None]
NO_HEADERS: Final[list[tuple[str, bytes]]] = []


@final
class Output:
    """The records that a batch writes to one topic, all to the lane's own partition.

    They stand in record batches that `create` makes, each filled through its own compiled builder:
    BatchBuilder.append() around it is plain Python, and half of what a record costs there. `at_ms` becomes
    the records' timestamp.
    """

    def __init__(self, create: Callable[[], Any], at_ms: int) -> None:
        self._create = create
        self._at_ms = at_ms
        self._ended: list[Any] = []
        self._begin()

    def add(self, key: bytes | None, value: bytes | None) -> None:
        """Add a record."""
        if self._append(self._count, self._at_ms, key, value, NO_HEADERS) is None:  # it is full
            self._batch._relative_offset = self._count
            self._ended.append(self._batch)
            self._begin()
            self._append(0, self._at_ms, key, value, NO_HEADERS)  # the first one fits, however large it is
        self._count += 1

    def batches(self) -> Sequence[Any]:
        """Return all batches; nothing is added after that."""
        self._batch._relative_offset = self._count
        return [*self._ended, self._batch]

    def _begin(self) -> None:
        self._batch = self._create()
        self._append = self._batch._builder.append
        self._count = 0

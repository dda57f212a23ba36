"""Records in aiokafka's batches. Compiled, since every record of a commit passes here."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

KeyValue = tuple[bytes | None, bytes | None]
NO_HEADERS: Final[list[tuple[str, bytes]]] = []


def filled(create: Callable[[], Any], records: Iterable[KeyValue], at_ms: int) -> Iterator[Any]:
    """Yield the records in batches that `create` makes, each filled through its own compiled builder.

    BatchBuilder.append() around it is plain Python, and half of what a record costs there. Raises ValueError
    on a record that is larger than a batch. `at_ms` becomes the records' timestamp.
    """
    batch, count = create(), 0
    append = batch._builder.append
    for key, value in records:
        if append(count, at_ms, key, value, NO_HEADERS) is None:  # it is full
            batch._relative_offset = count
            yield batch
            batch, count = create(), 0
            append = batch._builder.append
            if append(count, at_ms, key, value, NO_HEADERS) is None:
                raise ValueError(f"a record of {len(value or b'')} bytes fits no batch")
        count += 1
    if count:
        batch._relative_offset = count
        yield batch

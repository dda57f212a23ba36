"""aiokafka's records as its decoder made them: offset, timestamp, key, value, headers; a lane reads no more.

aiokafka wraps each in a ConsumerRecord, an interpreted dataclass of eleven fields, which costs about as much
as fetching and decoding the record does. There is no extension point for it (fetcher.py, 0.14); the method
replaced here does nothing but that. Without install() everything works the same, slower.
"""

from typing import Any

from aiokafka.consumer import fetcher


class PlainRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of one partition in one fetch."""

    def _consumer_record(self, tp: Any, record: Any) -> Any:
        return record


def install() -> None:
    """Have every aiokafka consumer of this process hand over plain records."""
    fetcher.PartitionRecords = PlainRecords

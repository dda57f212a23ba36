"""aiokafka's client as lanes want it, where it has no setting for it (0.14).

Records are handed over as the decoder made them: offset, timestamp, key, value, headers; a lane reads no
more. aiokafka wraps each in a ConsumerRecord, an interpreted dataclass of eleven fields, which costs about
as much as fetching and decoding the record does; the method replaced here does nothing but that.

lz4 is written at its quick level. aiokafka asks for level 9, which took 1.5 us for a ledger entry of 134
bytes and made it 44; level 1 takes 0.1 us and makes it 48. Without tune() all works, slower.
"""

from typing import Any

from aiokafka import codec
from aiokafka.consumer import fetcher

LZ4_LEVEL = 1


class PlainRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of one partition in one fetch."""

    def _consumer_record(self, tp: Any, record: Any) -> Any:
        return record


def tune() -> None:
    """Have every aiokafka client of this process do both."""
    fetcher.PartitionRecords = PlainRecords
    codec.lz4_encode.__defaults__ = (LZ4_LEVEL,)

"""aiokafka's client as lanes want it, where it has no setting for it (0.14).

Records are handed over as the decoder made them, a whole batch at a time: offset, timestamp, key, value,
headers; a lane reads no more. aiokafka passes each through a generator and wraps it in a ConsumerRecord, an
interpreted dataclass of eleven fields, which costs more than fetching and decoding the record does. What it
does with batches (aborted transactions, markers, offsets) is left to it: it is given, in place of a batch's
records, one Chunk of them all.

lz4 is written at its quick level. aiokafka asks for level 9, which took 1.5 us for a ledger entry of 134
bytes and made it 44; level 1 takes 0.1 us and makes it 48. Without tune() all works, slower.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka import codec
from aiokafka.consumer import fetcher

LZ4_LEVEL = 1


class Chunk:
    """The records of one batch, as aiokafka sees one record: the last."""

    def __init__(self, records: list[Any]) -> None:
        self.records = records
        self.offset = records[-1].offset


class ChunkedBatch:
    """A batch whose records come as one Chunk; all else is the batch's own."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Chunk]:
        records = list(self._batch)
        return iter((Chunk(records),) if records else ())

    def __next__(self) -> Any:
        """Return the next record itself: a transaction marker is read so."""
        return next(self._batch)


class ChunkedRecords:
    """What a fetch brought of one partition, in chunked batches."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.has_next = records.has_next

    def next_batch(self) -> ChunkedBatch:
        """Return the next batch."""
        return ChunkedBatch(self._records.next_batch())


class PlainRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of one partition in one fetch: iterating gives lists of them."""

    def __init__(self, tp: Any, records: Any, *args: Any) -> None:
        super().__init__(tp, ChunkedRecords(records), *args)

    def _consumer_record(self, tp: Any, chunk: Chunk) -> list[Any]:
        first = self.next_fetch_offset
        if chunk.records[0].offset >= first:
            return chunk.records
        return [record for record in chunk.records if record.offset >= first]


class PlainResult(fetcher.FetchResult):  # type: ignore[misc]
    """A fetch's result, taken whole: nobody here asks for fewer records."""

    def getone(self) -> Any:
        """Refuse: lanes take all there is."""
        raise NotImplementedError

    def getall(self, max_records: int | None = None) -> list[Any]:
        """Return all records that the fetch brought."""
        return [record for chunk in super().getall() for record in chunk]


def tune() -> None:
    """Have every aiokafka client of this process do all of this."""
    fetcher.PartitionRecords = PlainRecords
    fetcher.FetchResult = PlainResult
    codec.lz4_encode.__defaults__ = (LZ4_LEVEL,)

"""Whole batches out of aiokafka are what it hands over record by record: same records, same next offset."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from streams.lanes.client import PlainRecords

TP = TopicPartition("usage-events", 0)
ATTRIBUTES_AT = 22
CONTROL_BIT = 0x20
ABORT, COMMIT = b"\x00\x00\x00\x00", b"\x00\x00\x00\x01"
Stock = fetcher.PartitionRecords


@dataclass(frozen=True)
class Written:
    """One batch of the log; a marker ends its producer's transaction."""

    records: int
    producer: int | None
    marker: bytes | None = None


written = st.builds(Written, records=st.integers(1, 4), producer=st.sampled_from([None, 1, 2])) | st.builds(
    Written, records=st.just(1), producer=st.sampled_from([1, 2]), marker=st.sampled_from([ABORT, COMMIT])
)


def log_of(batches: Sequence[Written]) -> tuple[bytes, list[tuple[int, int]], int]:
    """Return the log's bytes, its aborted transactions as a broker lists them, and its end."""
    log, at = b"", 0
    open_since: dict[int, int] = {}
    aborted = []
    for batch in batches:
        producer = batch.producer
        builder = DefaultRecordBatchBuilder(
            magic=2,
            compression_type=0,
            is_transactional=int(producer is not None),
            producer_id=-1 if producer is None else producer,
            producer_epoch=-1 if producer is None else 0,
            base_sequence=-1,
            batch_size=1 << 20,
        )
        for number in range(batch.records):
            key = batch.marker or str(at + number).encode()
            builder.append(number, timestamp=1_000 + at + number, key=key, value=b"v", headers=[])
        data = bytearray(builder.build())
        data[:8] = at.to_bytes(8, "big")
        if batch.marker is not None:
            data[ATTRIBUTES_AT] |= CONTROL_BIT
            assert producer is not None
            since = open_since.pop(producer, None)
            if batch.marker == ABORT and since is not None:
                aborted.append((producer, since))
        elif producer is not None:
            open_since.setdefault(producer, at)
        log += data
        at += batch.records
    return bytes(log), aborted, at


@given(st.lists(written, max_size=12), st.data())
def test_whole_batches_are_what_aiokafka_hands_over_one_by_one(
    batches: list[Written], data: st.DataObject
) -> None:
    log, aborted, end = log_of(batches)
    start = data.draw(st.integers(0, end), label="fetched from")
    both = [
        kind(TP, MemoryRecords(log), aborted, start, None, None, False, READ_COMMITTED)
        for kind in (Stock, PlainRecords)
    ]

    one_by_one = [(r.offset, r.timestamp, r.key, r.value) for r in both[0]]
    whole = [(r.offset, r.timestamp, r.key, r.value) for chunk in both[1] for r in chunk]

    assert whole == one_by_one
    assert both[0].next_fetch_offset == both[1].next_fetch_offset

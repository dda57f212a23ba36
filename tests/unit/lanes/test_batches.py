"""Records in aiokafka's own batches, read back by its decoder."""

from typing import Any

from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch

from streams.lanes.batches import Output

AT_MS = 1_700_000_000_000


def filling(size: int) -> Output:
    def create() -> Any:
        return BatchBuilder(size, 0, is_transactional=True)

    return Output(create, AT_MS)


def read(output: Output) -> list[list[tuple[int, int, bytes | None, bytes | None]]]:
    """Return offset, timestamp, key and value of each record, by batch."""
    built = [bytearray(batch._build()) for batch in output.batches()]
    return [[(r.offset, r.timestamp, r.key, r.value) for r in DefaultRecordBatch(data)] for data in built]


def test_records_stand_in_their_order_numbered_from_0_and_with_the_time_of_all() -> None:
    output = filling(10_000)
    records = [(b"k", b"1"), (None, b"2"), (b"gone", None)]

    for record in records:
        output.add(*record)
    (batch,) = output.batches()

    assert batch.record_count() == 3
    assert read(output) == [[(n, AT_MS, *record) for n, record in enumerate(records)]]


def test_a_full_batch_is_followed_by_another_and_none_is_lost() -> None:
    output = filling(200)

    for n in range(10):
        output.add(b"%d" % n, b"v" * 50)
    counts = [batch.record_count() for batch in output.batches()]
    batches = read(output)

    assert [len(batch) for batch in batches] == counts
    assert len(counts) > 2
    assert [key for batch in batches for _, _, key, _ in batch] == [b"%d" % n for n in range(10)]


def test_a_record_larger_than_a_batch_has_one_of_its_own() -> None:
    output = filling(200)

    for value in (b"small", b"v" * 300, b"small"):
        output.add(b"k", value)

    assert [[value for _, _, _, value in batch] for batch in read(output)] == [
        [b"small"],
        [b"v" * 300],
        [b"small"],
    ]

"""One lane's transactional producer: a whole batch, its offsets included, or nothing.

Opening it fences whoever wrote for the lane before (KIP-98: InitProducerId on one transactional id per
lane). aiokafka speaks the transaction requests of before KIP-447, so nothing else fences.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition

from streams.lanes.batches import Output

Offset = tuple[int, str]
"""A next offset with what is noted beside it in Kafka: nothing, or UNFINISHED."""
UNFINISHED = "unfinished"
"""Noted beside the offset of a barrier of which work is left: such a lane is not at zero lag."""

RETRY_BACKOFF_MS = 5
"""Kafka 4 answers the first produce after a commit with a retriable error to this client: wait little."""
REQUEST_TIMEOUT_MS = 10_000
"""How long any request may go unanswered before its connection is given up and it is sent again: a connection
that died without a word is noticed only by this. Less than the transaction timeout, so that a batch outlives
one; more than a broker needs to take over from a dead one."""
BATCH_BYTES = 512 * 1024
REQUEST_BYTES = 8 * 1024 * 1024
WRITES: Mapping[str, Any] = {
    "acks": "all",
    "compression_type": "lz4",
    "max_batch_size": BATCH_BYTES,
    "max_request_size": REQUEST_BYTES,
    "retry_backoff_ms": RETRY_BACKOFF_MS,
    "request_timeout_ms": REQUEST_TIMEOUT_MS,
}
"""How a lane's producer writes, whatever holds its writes together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """How to reach Kafka, and who the application is there."""

    bootstrap_servers: str
    group: str
    """Consumer group whose offsets the lanes commit; also the start of their transactional ids."""
    transaction_timeout_ms: int


class LaneProducer:
    """Writes one lane's batches."""

    def __init__(self, cluster: Cluster, lane: int) -> None:
        self._cluster = cluster
        self._lane = lane
        self._producer: AIOKafkaProducer | None = None

    async def open(self) -> None:
        """Fence the previous owner and settle what it left open; returns when that is done."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._cluster.bootstrap_servers,
            transactional_id=f"{self._cluster.group}-{self._lane}",
            transaction_timeout_ms=self._cluster.transaction_timeout_ms,
            **WRITES,
        )
        await self._producer.start()

    async def close(self) -> None:
        """Give up the connection; a transaction left open times out or is settled by the next owner."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    def output(self) -> Output:
        """Return where the records of one topic go that one commit writes."""
        assert self._producer is not None, "a batch on a lane that is not open"
        return Output(self._producer.create_batch, time.time_ns() // 1_000_000)

    async def commit(self, outputs: Mapping[str, Output], offsets: Mapping[str, Offset]) -> dict[str, int]:
        """Write records by topic, each in an output() of this, and offsets by input topic in one transaction.

        Returns by topic the offset after the last record written.

        Every record's delivery is awaited before the offsets are sent, so that a refused batch cannot
        be half a commit. Any exception means: stop the process; the next owner settles the transaction.
        """
        producer = self._producer
        assert producer is not None, "commit on a lane that is not open"
        await producer.begin_transaction()
        written = await self._deliver(producer, outputs)
        if offsets:  # none in a batch that only goes on with a barrier's work
            await producer.send_offsets_to_transaction(
                {TopicPartition(topic, self._lane): offset for topic, offset in offsets.items()},
                self._cluster.group,
            )
        await producer.commit_transaction()
        return written

    async def _deliver(self, producer: AIOKafkaProducer, outputs: Mapping[str, Output]) -> dict[str, int]:
        """Send all records and await every delivery; return by topic the offset after the last one."""
        deliveries = []
        for topic, output in outputs.items():
            for batch in output.batches():
                count = batch.record_count()
                deliveries.append(
                    (topic, count, await producer.send_batch(batch, topic, partition=self._lane))
                )
        written: dict[str, int] = {}
        for topic, count, delivery in deliveries:
            written[topic] = max(written.get(topic, 0), (await delivery).offset + count)
        return written

"""Reads a lane's tables back from their topics, read_committed, before the lane touches an event.

Written in the lane instead of Faust's recovery, which under exactly_once may start from empty state
(docs/decisions/0001). The caller has opened the lane's producer first: no open transaction is left.
"""

from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.lanes.job import Store, Table
from streams.lanes.transaction import Cluster

OffsetMap = dict[str, int]


class LogChangedError(Exception):
    """An input's log does not contain the lane's next offset: trimmed, or another topic of the name."""


async def committed_offsets(cluster: Cluster, lane: int, inputs: tuple[str, ...]) -> OffsetMap:
    """Return the lane's next offset of every input; the log's start where none was committed.

    Raises LogChangedError where the next offset lies outside the log, since going on would skip records.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=cluster.bootstrap_servers,
        group_id=cluster.group,
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, lane) for topic in inputs]
        consumer.assign(partitions)
        starts = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        offsets: OffsetMap = {}
        for partition in partitions:
            committed = await consumer.committed(partition)
            if committed is None:
                committed = starts[partition]
            elif not starts[partition] <= committed <= ends[partition]:
                raise LogChangedError(
                    f"{partition.topic}-{lane}: next offset {committed} is outside the log "
                    f"({starts[partition]}..{ends[partition]}); the topic was trimmed or made anew"
                )
            offsets[partition.topic] = committed
        return offsets
    finally:
        await consumer.stop()


async def restore(
    cluster: Cluster, lane: int, tables: Mapping[Table, Store], committed: Mapping[str, int]
) -> int:
    """Fill each table's store from its topic and return the number of records read.

    A changelog is read to the end asked for now; a source table to the lane's committed offset.
    """
    by_topic = {table.topic: (table, store) for table, store in tables.items()}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=cluster.bootstrap_servers,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 * 1024 * 1024,
        check_crcs=False,
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, lane) for topic in by_topic]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        left = set(partitions)
        for partition in partitions:
            table, _ = by_topic[partition.topic]
            if table.source:
                ends[partition] = committed[partition.topic]
        restored = 0
        while left:
            for partition in [p for p in left if await consumer.position(p) >= ends[p]]:
                left.discard(partition)
                consumer.pause(partition)
            if not left:
                break
            for partition, records in (await consumer.getmany(*left, timeout_ms=100)).items():
                apply = by_topic[partition.topic][1].apply
                end = ends[partition]
                for record in records:
                    if record.offset >= end:
                        break
                    if record.key is not None:
                        apply(record.key, record.value)
                        restored += 1
        return restored
    finally:
        await consumer.stop()

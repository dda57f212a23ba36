"""Reads a lane's tables back from their topics, read_committed, before the lane touches an event.

Written in the lane instead of Faust's recovery, which under exactly_once may start from empty state
(docs/decisions/0001). The caller has opened the lane's producer first: no open transaction is left.
"""

from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.lanes.job import Store, Table
from streams.lanes.spaces import Keeper
from streams.lanes.transaction import REQUEST_TIMEOUT_MS, Cluster

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
        request_timeout_ms=REQUEST_TIMEOUT_MS,
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, lane) for topic in inputs]
        consumer.assign(partitions)
        noted = {partition: await consumer.committed(partition) for partition in partitions}
        starts = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)  # after the offsets: another owner may commit meanwhile
        offsets: OffsetMap = {}
        for partition in partitions:
            committed = noted[partition]
            if committed is None:
                committed = starts[partition]
            elif not starts[partition] <= committed <= ends[partition]:
                raise LogChangedError(
                    f"{partition.topic}-{lane}: next offset {committed} is outside the log "
                    f"({starts[partition]}..{ends[partition]}): the topic was trimmed or made anew. "
                    f"Have what is missing sent again, then move the offset: see docs/operations.md"
                )
            offsets[partition.topic] = committed
        return offsets
    finally:
        await consumer.stop()


async def restore(
    cluster: Cluster,
    lane: int,
    keeper: Keeper,
    tables: Mapping[str, Table],
    committed: Mapping[str, int],
) -> tuple[dict[str, Store], int]:
    """Take into each table what its topic holds beyond the keeper's position.

    Returns the tables' stores and the number of records read.

    A changelog is read to the end asked for now; a source table to the lane's committed offset. A keeper
    whose position lies outside a topic is emptied, and all is read from the start.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=cluster.bootstrap_servers,
        enable_auto_commit=False,
        isolation_level="read_committed",
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 * 1024 * 1024,
        check_crcs=False,
    )
    await consumer.start()
    try:
        by_partition = {TopicPartition(table.topic, lane): table for table in tables.values()}
        consumer.assign(list(by_partition))
        starts = await consumer.beginning_offsets(by_partition)
        ends = await consumer.end_offsets(by_partition)
        for partition, table in by_partition.items():
            if table.source:
                ends[partition] = committed[partition.topic]
        positions = {p: keeper.position(table.name) for p, table in by_partition.items()}
        if any(positions[p] and not starts[p] <= positions[p] <= ends[p] for p in by_partition):
            keeper.reset("it is beyond its topics")
            positions = dict.fromkeys(by_partition, 0)
        stores = {name: table.store(keeper.space(name)) for name, table in tables.items()}
        for partition, position in positions.items():
            consumer.seek(partition, max(position, starts[partition]))
        by_table = {p: (table.name, stores[table.name]) for p, table in by_partition.items()}
        restored = await _read(consumer, keeper, by_table, ends)
        keeper.filled()
        return stores, restored
    finally:
        await consumer.stop()


async def _read(
    consumer: AIOKafkaConsumer,
    keeper: Keeper,
    stores: Mapping[TopicPartition, tuple[str, Store]],
    ends: Mapping[TopicPartition, int],
) -> int:
    left, restored = set(stores), 0
    while True:
        reached = {p: await consumer.position(p) for p in left}
        for partition in [p for p in left if reached[p] >= ends[p]]:
            left.discard(partition)
            consumer.pause(partition)
        if not left:
            return restored
        for partition, records in (await consumer.getmany(*left, timeout_ms=100)).items():
            name, store = stores[partition]
            for record in records:
                if record.offset >= ends[partition]:
                    break
                if record.key is not None:
                    store.apply(record.key, record.value)
                    restored += 1
            keeper.flush({name: min(records[-1].offset + 1, ends[partition])})

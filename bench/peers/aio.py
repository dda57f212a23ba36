"""The raw loop again, with aiokafka in place of confluent-kafka: what the lanes stand on."""

import asyncio
import signal
import time
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition

from bench.peers import common
from bench.peers.rules import Billing


async def restore(billing: Billing, topic: str, partitions: list[int]) -> None:
    """Read the changelog of these partitions to its end."""
    reader = AIOKafkaConsumer(bootstrap_servers=common.BROKER, enable_auto_commit=False)
    await reader.start()
    wanted = [TopicPartition(topic, p) for p in partitions]
    reader.assign(wanted)
    ends = await reader.end_offsets(wanted)
    await reader.seek_to_beginning(*wanted)
    while any([await reader.position(p) < ends[p] for p in wanted]):
        for p, batch in (await reader.getmany(timeout_ms=200)).items():
            for m in batch:
                billing.restore(p.partition, m.key, m.value)
    await reader.stop()


async def main() -> None:
    """Bill until SIGTERM."""
    a = common.arguments()
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    billing = Billing()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=common.BROKER,
        group_id=a.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=50,
        max_partition_fetch_bytes=4_000_000,
        max_poll_records=5_000,
        check_crcs=False,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=common.BROKER,
        linger_ms=20,
        compression_type="lz4",
        acks="all",
        max_batch_size=262_144,
        enable_idempotence=True,
    )
    await producer.start()
    positions: dict[Any, int] = {}
    sent: list[Any] = []

    async def commit() -> None:
        for partition, key, value in billing.changes():
            sent.append(await producer.send(a.changelog, value, key, partition=partition))
        await producer.flush()
        for future in sent:
            future.result()
        sent.clear()
        await consumer.commit(dict(positions))
        positions.clear()

    class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
        async def on_partitions_revoked(self, revoked: Any) -> None:
            if positions:
                await commit()
            for p in revoked:
                billing.accounts.pop(p.partition, None)

        async def on_partitions_assigned(self, assigned: Any) -> None:
            if assigned:
                await restore(billing, a.changelog, sorted({p.partition for p in assigned}))

    consumer.subscribe([a.usage, a.payments], listener=Listener())
    await consumer.start()
    out = billing.out
    is_first = True
    due = time.monotonic() + a.commit_s
    while not stopping.is_set():
        for p, batch in (await consumer.getmany(timeout_ms=50)).items():
            if is_first:
                is_first = False
                common.say_first_data()
            handle = billing.usage if p.topic == a.usage else billing.payment
            for m in batch:
                handle(p.partition, m.key, m.value)
            positions[p] = batch[-1].offset + 1
        if out:
            for key, value in out:
                sent.append(await producer.send(a.commands, value, key))
            out.clear()
        if positions and time.monotonic() >= due:
            await commit()
            due = time.monotonic() + a.commit_s
    if positions:
        await commit()
    await consumer.stop()
    await producer.stop()


if __name__ == "__main__":
    asyncio.run(main())

"""A raw loop: one process, confluent-kafka in batches, state in a dict, a changelog; at-least-once.

Everything produced is flushed before the offsets are committed.
"""

import signal
import time
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from bench.peers import common
from bench.peers.rules import Billing


def restore(billing: Billing, topic: str, partitions: list[int]) -> None:
    """Read the changelog of these partitions to its end."""
    reader = Consumer(
        {
            "bootstrap.servers": common.BROKER,
            "group.id": "bench-restore",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    reader.assign([TopicPartition(topic, p, 0) for p in partitions])
    left = set(partitions)
    while left:
        for m in reader.consume(10_000, 1.0):
            if m.error() is None:
                billing.restore(m.partition(), m.key(), m.value())
            elif m.error().code() == KafkaError._PARTITION_EOF:
                left.discard(m.partition())
            else:
                raise KafkaException(m.error())
    reader.close()


def main() -> None:
    """Bill until SIGTERM."""
    a = common.arguments()
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
    billing = Billing()
    consumer = Consumer(
        {
            "bootstrap.servers": common.BROKER,
            "group.id": a.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "fetch.wait.max.ms": 50,
            "max.partition.fetch.bytes": 4_000_000,
            "queued.min.messages": 100_000,
            "queued.max.messages.kbytes": 65_536,
            "fetch.queue.backoff.ms": 5,  # by default a second, and the loop is idle for 40 % of the time
        }
    )
    failed: list[Any] = []
    producer = Producer(
        {
            "bootstrap.servers": common.BROKER,
            "linger.ms": 20,
            "compression.type": "lz4",
            "acks": "all",
            "batch.size": 262_144,
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 500_000,
            "queue.buffering.max.kbytes": 262_144,
            "delivery.report.only.error": True,
            "error_cb": failed.append,
            "on_delivery": lambda error, _: failed.append(error) if error else None,
        }
    )
    positions: dict[tuple[str, int], int] = {}

    def commit() -> None:
        for partition, key, value in billing.changes():
            producer.produce(a.changelog, value, key, partition)
            producer.poll(0)
        producer.flush()
        if failed:
            raise RuntimeError(failed[0])
        offsets = [TopicPartition(topic, p, offset) for (topic, p), offset in positions.items()]
        consumer.commit(offsets=offsets, asynchronous=False)
        positions.clear()

    def assigned(c: Consumer, partitions: list[TopicPartition]) -> None:
        restore(billing, a.changelog, sorted({p.partition for p in partitions}))
        c.assign(partitions)

    def revoked(_: Consumer, partitions: list[TopicPartition]) -> None:
        if positions:
            commit()
        for p in partitions:
            billing.accounts.pop(p.partition, None)

    consumer.subscribe([a.usage, a.payments], on_assign=assigned, on_revoke=revoked)
    usage, payment, out = billing.usage, billing.payment, billing.out
    is_first = True
    due = time.monotonic() + a.commit_s
    while not stopping:
        batch = consumer.consume(2_000, 0.05)
        if batch and is_first:
            is_first = False
            common.say_first_data()
        for m in batch:
            if m.error() is not None:
                raise KafkaException(m.error())
            topic, partition = m.topic(), m.partition()
            (usage if topic == a.usage else payment)(partition, m.key(), m.value())
            positions[topic, partition] = m.offset() + 1
        if out:
            for key, value in out:
                producer.produce(a.commands, value, key)
            producer.poll(0)
            out.clear()
        if positions and time.monotonic() >= due:
            commit()
            due = time.monotonic() + a.commit_s
    if positions:
        commit()
    consumer.close()


if __name__ == "__main__":
    main()

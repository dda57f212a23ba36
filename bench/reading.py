"""Reads whole topics, as far as read_committed can see."""

from collections.abc import Iterator, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

TIMEOUT_SECONDS = 10.0


def read_all(
    bootstrap_servers: str, topic: str, starts: Mapping[int, int] | None = None
) -> Iterator[Message]:
    """Yield every record of a topic, or those from some offsets on; each partition in order of offsets."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "bench-reader",
            "log_level": 0,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "queued.min.messages": 100_000,
            "fetch.queue.backoff.ms": 5,
        }
    )
    try:
        partitions = list(consumer.list_topics(topic, timeout=TIMEOUT_SECONDS).topics[topic].partitions)
        consumer.assign(
            [TopicPartition(topic, partition, (starts or {}).get(partition, 0)) for partition in partitions]
        )
        left = set(partitions)
        while left:
            for message in consumer.consume(10_000, 0.1):
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(message.partition())
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()


def ends(bootstrap_servers: str, topic: str) -> dict[int, int]:
    """Return where each partition of a topic ends, records of a transaction under way included."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "bench-reader",
            "log_level": 0,
            # Else an end is told as before a transaction whose marker is not written everywhere yet.
            "isolation.level": "read_uncommitted",
        }
    )
    try:
        partitions = consumer.list_topics(topic, timeout=TIMEOUT_SECONDS).topics[topic].partitions
        return {
            p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=TIMEOUT_SECONDS)[1]
            for p in partitions
        }
    finally:
        consumer.close()

"""Finds, before a worker starts, lanes that have read their inputs but have lost the state that came of it.

Going on would begin every account anew, without a word, at the offset that was committed.
"""

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams import topics
from streams.lag import REQUEST_SECONDS, lanes_group, patiently
from streams.settings import Settings
from streams.topic_admin import TopicsError

WRITTEN_AT_EACH_COMMIT = "lane"
"""The table of which a lane's changelog cannot be empty once it has committed anything."""


def check(settings: Settings) -> None:
    """Raise TopicsError where offsets of a lane are committed and its changelog never held a record."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "group.id": lanes_group(settings),  # never joined
            "enable.auto.commit": False,
            "isolation.level": "read_uncommitted",  # others' open transactions are not waited for
            "log_level": 0,
        }
    )
    try:
        patiently(lambda: _check(settings, consumer))
    except KafkaException as e:
        raise TopicsError(f"Kafka at {settings.bootstrap_servers}: {e.args[0].str()}") from e
    finally:
        consumer.close()


def _check(settings: Settings, consumer: Consumer) -> None:
    changelog = topics.changelog(settings.application, WRITTEN_AT_EACH_COMMIT)
    names, lanes = [settings.topic(topic.name) for topic in topics.INPUTS], range(settings.lanes)
    inputs = [TopicPartition(name, lane) for name in names for lane in lanes]
    committed = [p for p in consumer.committed(inputs, timeout=REQUEST_SECONDS) if p.offset > 0]
    # Asked after the offsets: a lane's first commit may come in between.
    ends = {
        lane: consumer.get_watermark_offsets(TopicPartition(changelog, lane), timeout=REQUEST_SECONDS)[1]
        for lane in {place.partition for place in committed}
    }
    for place in committed:
        if ends[place.partition] == 0:
            raise TopicsError(
                f"{changelog}-{place.partition} is empty, although {place.topic}-{place.partition} was read "
                f"up to offset {place.offset}: the state of this lane is gone, and going on would begin its "
                "accounts anew. Bring the topic back from a backup: see docs/operations.md"
            )

"""How far consumers are behind, asked of the broker; and waiting until they are not.

Zero lag is sound across groups that feed each other: committed offsets are read before the ends, and
every consumer of ours commits an input only together with, or after, what follows from it. So if no
end lies beyond what was committed, nothing is under way anywhere.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from streams.settings import Settings
from streams.topics import COMMANDS, INPUTS

Answer = TypeVar("Answer")
POLL_SECONDS = 0.04
REQUEST_SECONDS = 10
PASSING = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.UNSTABLE_OFFSET_COMMIT,
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
}
"""What a broker that starts or moves answers for a while."""


class LagError(Exception):
    """Lag that cannot be told, or did not go away in time; one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionLag:
    """One group's place in one partition."""

    group: str
    topic: str
    partition: int
    committed: int
    end: int
    """The last stable offset: what read_committed consumers can reach."""

    @property
    def records(self) -> int:
        """Offsets left to read, transaction markers included."""
        return max(0, self.end - self.committed)


def lanes_group(settings: Settings) -> str:
    """Return the consumer group of the workers."""
    return settings.application


def payments_group(settings: Settings) -> str:
    """Return the consumer group of the payment consumer."""
    return f"{settings.application}-payments"


def reads_of(settings: Settings, groups: Sequence[str]) -> dict[str, list[str]]:
    """Return the full names of the topics that each group of a deployment must read."""
    reads = {
        lanes_group(settings): [settings.topic(topic.name) for topic in INPUTS],
        payments_group(settings): [settings.topic(COMMANDS.name)],
    }
    return {group: reads[group] for group in groups}


def lag(
    bootstrap_servers: str, reads: Mapping[str, Sequence[str]], patience_seconds: float = 0.0
) -> list[PartitionLag]:
    """Return each group's lag on every partition of the topics that it reads; raises LagError.

    What passes by itself, a transaction left open by a killed worker too, is waited for so long.
    """
    try:
        return patiently(lambda: _lag(bootstrap_servers, reads), patience_seconds)
    except KafkaException as e:
        raise LagError(f"cannot ask {bootstrap_servers} for offsets: {e.args[0].str()}") from e


def patiently(ask: Callable[[], Answer], patience_seconds: float = 0.0) -> Answer:
    """Return what Kafka answers, asked again while it says what passes; raises KafkaException."""
    deadline = time.monotonic() + max(patience_seconds, REQUEST_SECONDS)
    while True:
        try:
            return ask()
        except KafkaException as e:
            if e.args[0].code() not in PASSING or time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)


def _lag(bootstrap_servers: str, reads: Mapping[str, Sequence[str]]) -> list[PartitionLag]:
    admin = _admin(bootstrap_servers)
    partitions = _partitions(admin, sorted({topic for topics in reads.values() for topic in topics}))
    committed = {
        group: committed_offsets(bootstrap_servers, group, [p for p in partitions if p.topic in topics])
        for group, topics in reads.items()
    }
    starts = _offsets(admin, partitions, OffsetSpec.earliest())
    ends = _offsets(admin, partitions, OffsetSpec.latest())
    return [
        PartitionLag(
            group=group,
            topic=topic,
            partition=partition,
            committed=starts[topic, partition] if offset < 0 else offset,
            end=ends[topic, partition],
        )
        for group, offsets in committed.items()
        for (topic, partition), offset in offsets.items()
    ]


def wait_for_zero_lag(
    settings: Settings,
    groups: Sequence[str],
    deadline_seconds: float,
    progress: Callable[[int], None] = lambda records: None,
) -> None:
    """Return once no group has anything left to read; raises LagError after the deadline.

    `progress` is told the records left after each look.
    """
    reads = reads_of(settings, groups)
    deadline = time.monotonic() + deadline_seconds
    while True:
        asked = lag(settings.bootstrap_servers, reads, deadline - time.monotonic())
        left = [place for place in asked if place.records]
        progress(sum(place.records for place in left))
        if not left:
            return
        if time.monotonic() > deadline:
            most = max(left, key=lambda place: place.records)
            process = "worker" if most.group == lanes_group(settings) else "payments process"
            raise LagError(
                f"still {sum(place.records for place in left)} records behind after {deadline_seconds:g} s; "
                f"most on {most.topic}-{most.partition} (group {most.group}): is a {process} running?"
            )
        time.sleep(POLL_SECONDS)


@cache
def _reader(bootstrap_servers: str, group: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": group,
            "isolation.level": "read_committed",  # offsets of open transactions are waited for
            "enable.auto.commit": False,
            "log_level": 2,
        }
    )


@cache
def _admin(bootstrap_servers: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 2})


def _partitions(admin: AdminClient, topics: Sequence[str]) -> list[TopicPartition]:
    found = admin.describe_topics(TopicCollection(list(topics)), request_timeout=REQUEST_SECONDS)
    descriptions = []
    for topic, future in found.items():
        try:
            descriptions.append(future.result())
        except KafkaException as e:
            raise LagError(f"topic {topic}: {e.args[0].str()} (run: evergreen topics create)") from e
    return [TopicPartition(d.name, p.id) for d in descriptions for p in d.partitions]


def committed_offsets(
    bootstrap_servers: str, group: str, partitions: Sequence[TopicPartition]
) -> dict[tuple[str, int], int]:
    """Return a group's next offset of each partition, negative where it has read nothing.

    A note beside an offset says that the record before it is not worked off: a tick whose sweep goes on. It
    counts as not read.

    Asked as a member that never joins: the admin client's own request for this ends the process with a
    segmentation fault where the coordinator answers with some errors (librdkafka, rd_kafka_cgrp_op on an
    admin client, seen with confluent-kafka 2.16).
    """
    found = _reader(bootstrap_servers, group).committed(list(partitions), timeout=REQUEST_SECONDS)
    return {(p.topic, p.partition): p.offset - _is_noted(p) for p in found}


def _offsets(
    admin: AdminClient, partitions: Sequence[TopicPartition], spec: OffsetSpec
) -> dict[tuple[str, int], int]:
    asked = admin.list_offsets(
        {TopicPartition(p.topic, p.partition): spec for p in partitions},
        isolation_level=IsolationLevel.READ_COMMITTED,
        request_timeout=REQUEST_SECONDS,
    )
    return {(p.topic, p.partition): future.result().offset for p, future in asked.items()}


def _is_noted(partition: TopicPartition) -> bool:
    """Tell whether something is noted beside an offset.

    A note may come with other memory behind it, which is no text (seen with confluent-kafka 2.16: a byte
    0x9c after the ten letters of "unfinished").
    """
    try:
        return bool(partition.metadata)
    except UnicodeDecodeError:
        return True

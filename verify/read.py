"""Reads the topics of a deployment from Kafka as they stand at one moment, and refuses where that is none.

The moment: no end moved while all ends were asked, and the lanes had taken in every input record by then. A
deployment whose clock ticks is at rest only between two ticks, so this is tried for a while.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from confluent_kafka import (
    OFFSET_INVALID,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from schemas import wire
from streams.lag import committed_offsets
from streams.settings import Settings
from streams.topics import changelog
from verify.topics import ACCOUNTS_CHANGELOG, INPUTS, READ, Log, Record, Topics

REQUEST_SECONDS = 10.0
STALLED_SECONDS = 30.0
"""Without one record for this long, reading is given up."""
BATCH = 20_000

Ends = dict[tuple[str, int], int]


class CannotCheckError(Exception):
    """Why the topics cannot be checked now; one line for the operator."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Every partition's first offset and end, and how far the lanes had read, at one moment."""

    starts: Ends
    ends: Ends
    committed: Ends


def read(
    settings: Settings,
    schemas: wire.Schemas,
    *,
    patience_seconds: float = 10.0,
    progress: Callable[[int, int], None] = lambda records, of: None,
) -> Topics:
    """Return all topics of a deployment at zero lag; raises CannotCheckError.

    `progress` is told the records read so far, and about how many there are.
    """
    names = {full_name(settings, name): name for name in READ}
    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers, "log_level": 2})
    try:
        partitions = _partitions(admin, names, settings)
        moment = _moment_at_rest(admin, settings, partitions, patience_seconds)
        logs = _records(settings, moment, progress)
    except KafkaException as e:
        raise CannotCheckError(f"Kafka at {settings.bootstrap_servers}: {e.args[0].str()}") from e
    topics = Topics.empty(settings.lanes)
    topics.schemas = schemas
    for (full, partition), log in logs.items():
        topics.logs[names[full]][partition] = log
    _refuse_lag(topics, settings, moment)
    return topics


def full_name(settings: Settings, name: str) -> str:
    """Return a topic's name in Kafka."""
    if name == ACCOUNTS_CHANGELOG:
        return changelog(settings.application, "accounts")
    return settings.topic(name)


def _partitions(admin: AdminClient, names: Iterable[str], settings: Settings) -> list[tuple[str, int]]:
    """Return all partitions to read; every topic must be there with as many as there are lanes."""
    there = admin.list_topics(timeout=REQUEST_SECONDS).topics
    for name in names:
        found = len(there[name].partitions) if name in there else 0
        if found == 0:
            raise CannotCheckError(f"topic {name} does not exist (run: evergreen topics create)")
        if found != settings.lanes:
            raise CannotCheckError(
                f"topic {name} has {found} partitions, EVERGREEN_LANES is {settings.lanes}: wrong prefix?"
            )
    return [(name, partition) for name in names for partition in range(settings.lanes)]


def _moment_at_rest(
    admin: AdminClient, settings: Settings, partitions: list[tuple[str, int]], patience_seconds: float
) -> Moment:
    """Return a moment in which nothing was being written and, within patience, no lane was behind."""
    inputs = [p for p in partitions if p[0] in {settings.topic(name) for name in INPUTS}]
    deadline = time.monotonic() + patience_seconds
    while True:
        over = time.monotonic() > deadline
        try:
            before = _offsets(admin, partitions, OffsetSpec.latest())
            committed = _committed(settings, inputs)
            starts = _offsets(admin, partitions, OffsetSpec.earliest())
            ends = _offsets(admin, partitions, OffsetSpec.latest())
        except KafkaException:
            if over:
                raise
            time.sleep(0.1)  # a partition whose leader is being elected, a transaction being committed
            continue
        quiet = before == ends
        behind = any(ends[p] > max(offset, starts[p]) for p, offset in committed.items())
        if quiet and (over or not behind):
            return Moment(starts, ends, committed)  # if behind: perhaps only transaction markers are left
        if over:
            raise CannotCheckError(
                "records are being written all the time: verify needs the lanes at rest (zero lag)"
            )
        time.sleep(0.1)


def _offsets(admin: AdminClient, partitions: list[tuple[str, int]], spec: OffsetSpec) -> Ends:
    """Return offsets of partitions, as far as read_committed can see."""
    asked = admin.list_offsets(
        {TopicPartition(*p): spec for p in partitions},
        isolation_level=IsolationLevel.READ_COMMITTED,
        request_timeout=REQUEST_SECONDS,
    )
    return {(p.topic, p.partition): future.result().offset for p, future in asked.items()}


def _committed(settings: Settings, partitions: list[tuple[str, int]]) -> Ends:
    """Return the next offset of the lanes in each input partition; negative where they have read nothing."""
    asked = [TopicPartition(*p) for p in partitions]
    return committed_offsets(settings.bootstrap_servers, settings.application, asked)


def _records(
    settings: Settings, moment: Moment, progress: Callable[[int, int], None]
) -> dict[tuple[str, int], Log]:
    """Return every partition's committed records up to its end."""
    logs = {p: Log([], moment.starts[p], end) for p, end in moment.ends.items()}
    left = {p for p, log in logs.items() if log.start < log.end}
    total = sum(log.end - log.start for log in logs.values())
    if not left:
        return logs
    consumer = Consumer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "group.id": f"{settings.application}-verify",  # never joined, never committed to
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",
            "fetch.queue.backoff.ms": 5,
            "queued.max.messages.kbytes": 262_144,
            "log_level": 2,
        }
    )
    try:
        consumer.assign([TopicPartition(*p, logs[p].start) for p in left])
        count, heard = 0, time.monotonic()
        while left:
            messages = consumer.consume(BATCH, timeout=0.5)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > STALLED_SECONDS:
                raise CannotCheckError(
                    f"no record for {STALLED_SECONDS:g} s while reading {len(left)} partitions"
                )
            for message in messages:
                count += _take(message, logs, left)
            progress(count, total)
    finally:
        consumer.close()
    return logs


def _take(message: Message, logs: dict[tuple[str, int], Log], left: set[tuple[str, int]]) -> int:
    """Keep a record, or note that its partition is read; returns the records kept."""
    place = (message.topic(), message.partition())
    error = message.error()
    if error is not None:
        if error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
        left.discard(place)
        return 0
    log = logs[place]
    offset = message.offset()
    if offset >= log.end:
        left.discard(place)
        return 0
    headers = message.headers()
    log.records.append(
        Record(
            offset,
            message.timestamp()[1],
            message.key(),
            message.value(),
            tuple(headers) if headers else (),
        )
    )
    if offset == log.end - 1:
        left.discard(place)
    return 1


def _refuse_lag(topics: Topics, settings: Settings, moment: Moment) -> None:
    """Refuse to judge lanes that have records left to read: then outputs are missing without a fault."""
    behind = 0
    for name in INPUTS:
        for partition, log in enumerate(topics.logs[name]):
            offset = moment.committed.get((settings.topic(name), partition), OFFSET_INVALID)
            behind += len(log.between(max(offset, 0), log.end))
    if behind:
        raise CannotCheckError(
            f"lag is not zero: {behind} input records are not taken in yet by group {settings.application} "
            "(run: evergreen lag --wait 60, then verify again)"
        )

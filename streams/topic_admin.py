"""Creates the topics of a deployment and checks them at the start of every process.

Owns what domain.md's retention words mean to Kafka. Never deletes or changes a topic that exists: lanes
are partition numbers, so another number of partitions would send accounts to other lanes.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType, TopicMetadata

from streams import topics
from streams.settings import Settings
from streams.topics import DAY_MS, Keep, Topic

BIG_RECORDS = 8 * 1024 * 1024
"""Bytes of the largest batch where one record may be big: a month's invoice, an account's state, a dead
letter with the whole of its input. The lanes' producers must allow as much."""
MARGIN_DAYS = 7
"""Usage stays in its topic this long after the lanes forget its ids."""
ANSWER_SECONDS = 10.0

_BIG = {topics.INVOICES.name, topics.DEAD_LETTERS.name, topics.JOURNAL.name}
_FOR_EVER = "-1"
_LONG_MAX = str(2**63 - 1)


class TopicsError(Exception):
    """The topics are not as the deployment needs them; the text is one line for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedTopic:
    """A topic as it should be, by its full name."""

    name: str
    records: tuple[str, ...]
    keyed_by_account: bool
    keep: Keep
    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """What `create` did and found."""

    created: tuple[str, ...]
    warnings: tuple[str, ...] = field(default=())
    """Existing topics whose configuration differs, one line each: they are used as they are."""


def wanted(settings: Settings) -> tuple[WantedTopic, ...]:
    """Return every topic of the deployment: the public ones and the changelogs of the lanes' state."""
    public = [
        _wanted(settings, topic, settings.topic(topic.name), big=topic.name in _BIG) for topic in topics.ALL
    ]
    changelogs = [
        _wanted(
            settings,
            Topic(name=table, records=(), keep=Keep.LATEST, keyed_by_account=False),
            topics.changelog(settings.application, table),
            big=True,
        )
        for table in topics.STATE_TABLES
    ]
    return (*public, *changelogs)


def create(settings: Settings) -> Creation:
    """Create the topics that are missing; raises TopicsError, changing nothing, where one does not fit."""
    admin = _admin(settings)
    existing = _existing(admin, settings)
    _refuse_other_partitions(settings, existing)
    missing = [topic for topic in wanted(settings) if topic.name not in existing]
    present = [topic for topic in wanted(settings) if topic.name in existing]
    _refuse_to_make_inputs(settings, missing)
    if missing:
        _create(admin, missing)
        _await(admin, settings, missing)
    return Creation(
        created=tuple(topic.name for topic in missing),
        warnings=(*_other_replication(present, existing), *_other_configuration(admin, present)),
    )


def check(settings: Settings) -> None:
    """Raise TopicsError unless all topics are there with one partition a lane: called before any work."""
    existing = _existing(_admin(settings), settings)
    _refuse_other_partitions(settings, existing)
    missing = [topic.name for topic in wanted(settings) if topic.name not in existing]
    if missing:
        raise TopicsError(f"topic {missing[0]} is missing{_and_more(missing)}: run evergreen topics create")


def topic_ids(settings: Settings) -> dict[str, str]:
    """Return the id that Kafka gave to each topic of the deployment: another id is another topic."""
    names = [topic.name for topic in wanted(settings)]
    admin = _admin(settings)  # answers come only while it lives
    asked = admin.describe_topics(TopicCollection(names), request_timeout=ANSWER_SECONDS)
    try:
        return {name: str(future.result().topic_id) for name, future in asked.items()}
    except KafkaException as e:
        raise TopicsError(f"Kafka at {settings.bootstrap_servers}: {e.args[0].str()}") from e


def found(settings: Settings) -> dict[str, int]:
    """Return the number of partitions of each existing topic of the deployment; raises TopicsError."""
    existing = _existing(_admin(settings), settings)
    return {t.name: len(existing[t.name].partitions) for t in wanted(settings) if t.name in existing}


def _wanted(settings: Settings, topic: Topic, full_name: str, *, big: bool) -> WantedTopic:
    return WantedTopic(
        name=full_name,
        records=topic.records,
        keyed_by_account=topic.keyed_by_account,
        keep=topic.keep,
        partitions=settings.lanes,
        replication=settings.replication,
        config=_config(settings, topic, big=big),
    )


def _config(settings: Settings, topic: Topic, *, big: bool) -> dict[str, str]:
    config = {"compression.type": "producer", "retention.bytes": _FOR_EVER, **_retention(settings, topic)}
    if topic.append_time:
        config["message.timestamp.type"] = "LogAppendTime"
    elif settings.clock == "manual":
        # Simulated months carry their own time: brokers refuse timestamps more than an hour ahead.
        config["message.timestamp.after.max.ms"] = _LONG_MAX
    if big:
        config["max.message.bytes"] = str(BIG_RECORDS)
    if settings.replication >= 3:
        config["min.insync.replicas"] = "2"
    return config


def _retention(settings: Settings, topic: Topic) -> dict[str, str]:
    match topic.keep:
        case Keep.LATEST:
            return {
                "cleanup.policy": "compact",
                "min.cleanable.dirty.ratio": "0.2",
                "segment.bytes": str(64 * 1024 * 1024),
                # The old values of a key are gone within about a day, also where hardly anything is
                # written: an erased profile must be.
                "max.compaction.lag.ms": str(DAY_MS),
            }
        case Keep.LONG:
            days = None
        case Keep.MAX_AGE:
            days = settings.max_age_days + MARGIN_DAYS
        case Keep.WEEK:
            days = 7
    if settings.clock == "manual" and not topic.append_time:
        days = None  # retention goes by the records' time: simulated months would vanish at once
    return {"cleanup.policy": "delete", "retention.ms": _FOR_EVER if days is None else str(days * DAY_MS)}


def _admin(settings: Settings) -> AdminClient:
    quiet = {"log_level": 0, "socket.connection.setup.timeout.ms": 5000}
    return AdminClient({"bootstrap.servers": settings.bootstrap_servers, **quiet})


def _existing(admin: AdminClient, settings: Settings) -> dict[str, TopicMetadata]:
    try:
        described = admin.list_topics(timeout=ANSWER_SECONDS).topics
    except KafkaException as e:
        raise TopicsError(
            f"no Kafka broker answers at {settings.bootstrap_servers} within {ANSWER_SECONDS:.0f} s "
            f"({e.args[0].str()}): see EVERGREEN_BOOTSTRAP_SERVERS"
        ) from None
    return {name: topic for name, topic in described.items() if topic.error is None}


def _refuse_other_partitions(settings: Settings, existing: Mapping[str, TopicMetadata]) -> None:
    differing = [
        f"{topic.name} has {len(existing[topic.name].partitions)}"
        for topic in wanted(settings)
        if topic.name in existing and len(existing[topic.name].partitions) != topic.partitions
    ]
    if differing:
        raise TopicsError(
            f"EVERGREEN_LANES is {settings.lanes}, but {differing[0]} partitions{_and_more(differing)}: "
            "the number of lanes is fixed for a deployment's life"
        )


def _refuse_to_make_inputs(settings: Settings, missing: Sequence[WantedTopic]) -> None:
    inputs = {settings.topic(topic.name) for topic in topics.INPUTS}
    absent = [topic.name for topic in missing if topic.name in inputs]
    if absent and not settings.owns_inputs:
        raise TopicsError(
            f"input topic {absent[0]} is missing{_and_more(absent)}: with EVERGREEN_OUTPUT_PREFIX, "
            "EVERGREEN_TOPIC_PREFIX names the deployment to read"
        )


def _and_more(names: Sequence[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""


def _create(admin: AdminClient, missing: Sequence[WantedTopic]) -> None:
    requests = [
        NewTopic(t.name, t.partitions, replication_factor=t.replication, config=dict(t.config))
        for t in missing
    ]
    for name, answer in admin.create_topics(requests, request_timeout=30.0).items():
        try:
            answer.result()
        except KafkaException as e:
            if e.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # somebody else creates them too
                raise TopicsError(f"topic {name} cannot be created: {e.args[0].str()}") from None


def _await(admin: AdminClient, settings: Settings, missing: Sequence[WantedTopic]) -> None:
    """Return once the broker shows the new topics, with as many partitions as asked."""
    names = {topic.name for topic in missing}
    deadline = time.monotonic() + 30.0
    while not names <= (existing := _existing(admin, settings)).keys():
        if time.monotonic() > deadline:
            raise TopicsError(
                f"the broker does not show {min(names - existing.keys())} 30 s after its creation"
            )
        time.sleep(0.05)
    _refuse_other_partitions(settings, existing)


def _other_replication(
    present: Sequence[WantedTopic], existing: Mapping[str, TopicMetadata]
) -> Iterator[str]:
    for topic in present:
        copies = min(len(partition.replicas) for partition in existing[topic.name].partitions.values())
        if copies != topic.replication:
            yield f"{topic.name}: {copies} replicas, should be {topic.replication}"


def _other_configuration(admin: AdminClient, present: Sequence[WantedTopic]) -> Iterator[str]:
    resources = {t.name: ConfigResource(ResourceType.TOPIC, t.name) for t in present}
    answers = admin.describe_configs(list(resources.values()), request_timeout=30.0) if present else {}
    for topic in present:
        try:
            actual = answers[resources[topic.name]].result()
        except KafkaException as e:
            yield f"{topic.name}: its configuration cannot be read: {e.args[0].str()}"
            continue
        for name, value in topic.config.items():
            if name in actual and actual[name].value != value:
                yield f"{topic.name}: {name} is {actual[name].value}, should be {value}"

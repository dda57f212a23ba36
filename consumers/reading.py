"""Reads topics once, from a start to the end that they have now: for commands, which then are done.

As read_committed consumers see them; joins no group and commits nothing.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from streams.settings import Settings

ANSWER_SECONDS = 10.0
STALLED_SECONDS = 30.0
"""Without one record for this long, reading is given up."""
BATCH = 10_000

Place = tuple[str, int]
"""A topic's full name and a partition."""
Progress = Callable[[int, int], None]
"""Told the records read so far, and about how many there are."""


class ReadError(Exception):
    """Topics that cannot be read; the text is one line for the operator."""


class Read(NamedTuple):
    """One record as it stands."""

    topic: str
    """Full name."""
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def _silent(done: int, of: int) -> None:
    """Tell nobody."""


class Reader:
    """Reads the topics of one deployment; a context manager."""

    def __init__(self, settings: Settings, *, progress: Progress = _silent) -> None:
        self._settings = settings
        self._progress = progress
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap_servers,
                "group.id": f"{settings.application}-commands",  # never joined, never committed to
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "fetch.queue.backoff.ms": 5,
                "fetch.wait.max.ms": 10,
                "log_level": 0,
            }
        )

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def places(self, topics: Iterable[str], partitions: Iterable[int] | None = None) -> list[Place]:
        """Return the partitions of topics (full names), or those among `partitions`; raises ReadError."""
        try:
            there = self._consumer.list_topics(timeout=ANSWER_SECONDS).topics
        except KafkaException as e:
            servers = self._settings.bootstrap_servers
            raise ReadError(f"no Kafka broker answers at {servers}: {e.args[0].str()}") from None
        found: list[Place] = []
        for topic in topics:
            if topic not in there:
                raise ReadError(f"topic {topic} does not exist (run: evergreen topics create)")
            wanted = sorted(there[topic].partitions) if partitions is None else sorted(partitions)
            found += [(topic, partition) for partition in wanted if partition in there[topic].partitions]
        return found

    def since(self, places: Sequence[Place], timestamp: int) -> dict[Place, int]:
        """Return each partition's first offset whose record is not older than a Kafka timestamp."""
        asked = [TopicPartition(topic, partition, timestamp) for topic, partition in places]
        answered = self._consumer.offsets_for_times(asked, timeout=ANSWER_SECONDS)
        return {(found.topic, found.partition): found.offset for found in answered}

    def records(self, places: Sequence[Place], starts: Mapping[Place, int] | None = None) -> Iterator[Read]:
        """Yield every record from the start (or `starts`) to the end; in order within a partition."""
        starts = starts or {}
        left: dict[Place, int] = {}
        total = 0
        for place in places:
            low, high = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=ANSWER_SECONDS)
            start = starts.get(place, low)
            start = high if start < 0 else max(start, low)  # -1: nothing there is that young
            if start < high:
                left[place] = high
                total += high - start
        if not left:
            return
        self._consumer.assign([TopicPartition(*p, starts.get(p, OFFSET_BEGINNING)) for p in left])
        done, heard = 0, time.monotonic()
        while left:
            messages = self._consumer.consume(BATCH, timeout=0.2)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > STALLED_SECONDS:
                raise ReadError(f"no record for {STALLED_SECONDS:g} s while reading {next(iter(left))[0]}")
            for message in messages:
                place = (message.topic(), message.partition())
                error = message.error()
                if error is not None:
                    if error.code() != KafkaError._PARTITION_EOF:
                        raise KafkaException(error)
                    left.pop(place, None)
                    continue
                offset = message.offset()
                if offset >= left.get(place, 0):
                    left.pop(place, None)
                    continue
                done += 1
                if offset == left[place] - 1:
                    del left[place]
                yield Read(
                    *place,
                    offset,
                    message.timestamp()[1],
                    message.key(),
                    message.value(),
                    tuple(message.headers() or ()),
                )
            self._progress(done, total)
        self._consumer.unassign()

    def latest(self, places: Sequence[Place]) -> dict[tuple[str, bytes | None], Read]:
        """Return the last record of each (topic, key): what a compacted topic says now."""
        return {(read.topic, read.key): read for read in self.records(places)}

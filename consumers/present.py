"""What Kafka says now of one partition: the marks of a lane's accounts, and the newest tick.

Reads up to the end as it stands when asked, joins no group, commits nothing. A broker that is away is a
BehindError: then nothing may be decided that rests on it.
"""

import time
from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from consumers.attempts import Mark
from schemas.wire import Schemas
from streams import topics
from streams.settings import Settings

TICKS_LOOKED_AT = 100
"""Of a lane's newest ticks at the start; two tickers may disagree about the last one."""
TICK_AHEAD_MS = 60_000
"""A tick further ahead of its broker's clock is a dead letter (domain.md, Time), unless ticks may jump."""
ANSWER_SECONDS = 5.0
STALLED_SECONDS = 10.0


class BehindError(Exception):
    """The end of a topic cannot be reached at present; one line."""


class Present:
    """Reads marks and ticks of one deployment."""

    def __init__(self, settings: Settings, schemas: Schemas) -> None:
        self._schemas = schemas
        self._ticks, self._attempts = (settings.topic(t.name) for t in (topics.TICKS, topics.ATTEMPTS))
        self._ticks_may_jump = settings.clock == "manual"
        self._next: dict[int, int] = {}
        self._newest: int | None = None
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap_servers,
                "group.id": f"{settings.application}-payments-present",  # never joined
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_uncommitted",  # neither topic has transactions
                "fetch.wait.max.ms": 10,
                "socket.timeout.ms": 10_000,
                "log_level": 0,
            }
        )

    def close(self) -> None:
        """Let the connections go."""
        self._consumer.close()

    def newest_tick(self, lane: int) -> int | None:
        """Return the newest tick, having read the lane's ticks to their end; None before the first."""
        low, high = self._ends(self._ticks, lane)
        start = max(low, self._next.get(lane, high - TICKS_LOOKED_AT))
        for message in self._read(self._ticks, lane, start, high):
            time_ms = self._schemas.decode(message.value() or b"", "tick")[1]["time"]
            if self._ticks_may_jump or time_ms <= message.timestamp()[1] + TICK_AHEAD_MS:
                self._newest = time_ms if self._newest is None else max(self._newest, time_ms)
        self._next[lane] = high
        return self._newest

    def marks(self, lane: int) -> dict[str, Mark]:
        """Return the mark of each account of a lane."""
        found: dict[str, Mark] = {}
        for message in self._read(self._attempts, lane, *self._ends(self._attempts, lane)):
            _, record = self._schemas.decode(message.value() or b"", "payment-attempt")
            account_id = record.pop("account_id")
            mark = Mark(**record)
            if account_id not in found or found[account_id].place <= mark.place:
                found[account_id] = mark  # a process that had lost the lane may have written late
        return found

    def _ends(self, topic: str, lane: int) -> tuple[int, int]:
        try:
            low, high = self._consumer.get_watermark_offsets(
                TopicPartition(topic, lane), timeout=ANSWER_SECONDS
            )
        except KafkaException as e:
            raise BehindError(f"{topic}-{lane}: {e.args[0].str()}") from e
        return low, high

    def _read(self, topic: str, lane: int, start: int, end: int) -> Iterator[Message]:
        if start >= end:
            return
        self._consumer.assign([TopicPartition(topic, lane, start)])
        heard = time.monotonic()
        while True:
            message = self._consumer.poll(0.5)  # consume() would wait for as many as it is asked for
            if message is None:
                if time.monotonic() - heard > STALLED_SECONDS:
                    raise BehindError(f"{topic}-{lane}: nothing read for {STALLED_SECONDS:g} s")
                continue
            heard = time.monotonic()
            error = message.error()
            if error is None:
                yield message
                at = message.offset() + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                at = message.offset()
            else:
                raise BehindError(f"{topic}-{lane}: {error.str()}")
            if at >= end:
                self._consumer.unassign()
                return

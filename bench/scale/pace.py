"""An open loop: usage events at a steady rate, whether or not anybody keeps up, and when each was committed.

Latency counts from the moment that an event was due, so a sender that falls behind hides nothing. What is
watched are events of a few probe accounts; the rest is told apart by key and not decoded.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from bench import reading
from bench.inputs import ANY, Sender
from bench.scale.deployment import LOOK_SECONDS, Deployment, ScaleError
from schemas.wire import fixed
from streams import topics

SLOT_SECONDS = 0.005
PROBES = 200
"""Accounts whose events are watched."""
PROBED_PER_SECOND = 500
"""Most events watched in a second."""


class OpenLoop(threading.Thread):
    """Sends usage events from now on until it is stopped."""

    def __init__(self, place: Deployment, rate: float, occurred_at: Callable[[float], int]) -> None:
        """`occurred_at` gives the moment (ms) of an event that is due at a time; also its record's own."""
        super().__init__(name="open-loop", daemon=True)
        self.rate = rate
        self.count = 0
        self.due: dict[int, float] = {}
        """Number of a watched event: when it was due."""
        self._place = place
        self._occurred_at = occurred_at
        self._stopped = threading.Event()
        self._first = place.sent
        self._error: Exception | None = None

    def run(self) -> None:
        """Send all that is due, slot after slot."""
        try:
            self._run()
        except Exception as e:  # told by stop(), in the thread that asks
            self._error = e

    def _run(self) -> None:
        customers, topic = self._place.customers, self._place.usage_topic
        sender = Sender(self._place.broker, **{"linger.ms": 2})
        every = max(1, round(self.rate / PROBED_PER_SECOND))
        others = max(1, customers.count - PROBES)
        began = time.time()
        while not self._stopped.is_set():
            now = time.time()
            ms = self._occurred_at(now)
            for n in range(self.count, int((now - began) * self.rate)):
                number = self._first + n
                if n % every == 0:
                    account = n // every % PROBES
                    self.due[number] = began + n / self.rate
                else:
                    account = PROBES + n % others
                sender.send(topic, ANY, customers.keys[account], customers.usage(number, account, ms), ms)
                self.count = n + 1
            sender.poll()
            time.sleep(SLOT_SECONDS)
        sender.flush()

    def stop(self) -> None:
        """Send nothing more; returns when all that was sent stands in Kafka."""
        self._stopped.set()
        self.join()
        self._place.sent += self.count
        if self._error is not None:
            raise ScaleError("the load could not be sent") from self._error


class Watch(threading.Thread):
    """Sees what is committed to a topic from now on, as any reader of committed records does."""

    def __init__(self, place: Deployment, topic: topics.Topic, seen: Callable[[list[Message]], None]):
        super().__init__(name=f"watch-{topic.name}", daemon=True)
        self._seen = seen
        self._stopped = threading.Event()
        self._error: Exception | None = None
        self._reader = Consumer(
            {
                "bootstrap.servers": place.broker,
                "group.id": "bench-watch",
                "log_level": 0,
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 20,
            }
        )
        name = place.settings.topic(topic.name)
        ends = reading.ends(place.broker, name)
        self._reader.assign([TopicPartition(name, p, end) for p, end in ends.items()])

    def run(self) -> None:
        """Hand on what arrives."""
        try:
            while not self._stopped.is_set():
                messages = self._reader.consume(5_000, 0.005)
                if messages:
                    self._seen([_sound(message) for message in messages])
        except Exception as e:  # told by stop(), in the thread that asks
            self._error = e
        self._reader.close()

    def stop(self) -> None:
        """See nothing more."""
        self._stopped.set()
        self.join()
        if self._error is not None:
            raise ScaleError("what was committed could not be read") from self._error


def _sound(message: Message) -> Message:
    if (error := message.error()) is not None:
        raise KafkaException(error)
    return message


class Load:
    """A steady load with the latency of its watched events."""

    def __init__(self, place: Deployment, rate: float, occurred_at: Callable[[float], int]) -> None:
        self.loop = OpenLoop(place, rate, occurred_at)
        self.committed = 0
        """Ledger entries seen."""
        self.latencies: list[tuple[float, float]] = []
        """Of each watched event: when it was due, and the seconds until its entry was seen."""
        self._probes = frozenset(place.customers.keys[:PROBES])
        self._decode = fixed().codec("ledger-entry").decode
        self._watch = Watch(place, topics.LEDGER, self._seen)

    def _seen(self, messages: list[Message]) -> None:
        now = time.time()
        self.committed += len(messages)
        for message in messages:
            if message.key() in self._probes:
                due = self.loop.due.get(int(self._decode(message.value() or b"")["event_id"]))
                if due is not None:
                    self.latencies.append((due, now - due))

    def between(self, start: float, stop: float) -> list[float]:
        """Return the latencies of events that were due between two moments."""
        return [seconds for due, seconds in self.latencies if start <= due < stop]

    def start(self) -> None:
        """Watch, then send."""
        self._watch.start()
        self.loop.start()

    def stop(self, limit_seconds: float = 120) -> list[str]:
        """Stop sending, see the rest, and say what is missing or too much."""
        self.loop.stop()
        deadline = time.monotonic() + limit_seconds
        while self.committed < self.loop.count and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        self._watch.stop()
        found = []
        if self.committed != self.loop.count:
            found.append(f"{self.committed} entries seen of {self.loop.count} events")
        if len(self.latencies) != len(self.loop.due):
            found.append(f"{len(self.latencies)} watched events seen of {len(self.loop.due)}")
        return found


@contextmanager
def load(place: Deployment, rate: float, occurred_at: Callable[[float], int]) -> Iterator[Load]:
    """Give a load that runs; the caller stops it, and an error does."""
    given = Load(place, rate, occurred_at)
    given.start()
    try:
        yield given
    except BaseException:
        given.loop._stopped.set()
        raise

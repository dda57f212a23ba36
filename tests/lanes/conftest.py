"""Workers of the counting application on a real Kafka, and what they wrote."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import local
from streams.lag import lag
from tests.lanes.counting import INPUTS, PARTITIONS

KEYS = 2_000


@dataclass
class Counted:
    """What the workers wrote, read_committed."""

    records: int = 0
    unique: int = 0
    breaks: int = 0
    """Keys' counts that do not follow the one before."""
    ticks: list[tuple[int, int]] = field(default_factory=list)
    """(lane, records counted before the tick)."""


class Deployment:
    """One run of the application: its topics, and as many workers as a test wants."""

    def __init__(self, bootstrap: str, prefix: str, directory: Path) -> None:
        self._directory = directory
        self.bootstrap = bootstrap
        self.prefix = prefix
        self.workers: list[subprocess.Popen[bytes]] = []
        self._admin = AdminClient({"bootstrap.servers": bootstrap})
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "linger.ms": 10, "queue.buffering.max.messages": 1_000_000}
        )
        names = [prefix + name for name in (*INPUTS, "counted")]
        topics = [NewTopic(name, PARTITIONS, 1) for name in names]
        topics.append(
            NewTopic(f"{prefix}app-counts-changelog", PARTITIONS, 1, config={"cleanup.policy": "compact"})
        )
        for future in self._admin.create_topics(topics).values():
            future.result()

    def emit(self, start: int, stop: int) -> None:
        """Write records start..stop-1 over both inputs."""
        for number in range(start, stop):
            topic = self.prefix + INPUTS[number % 2]
            self._producer.produce(topic, b"%d" % number, b"key-%d" % (number % KEYS))
            if number % 1_000 == 0:
                self._producer.poll(0)
        assert self._producer.flush(30) == 0

    def tick(self) -> None:
        """Write a tick to every lane."""
        for lane in range(PARTITIONS):
            self._producer.produce(self.prefix + "ticks", b"now", b"t", partition=lane)
        assert self._producer.flush(30) == 0

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker and return once it has opened a lane."""
        said = self._directory / f"worker-{len(self.workers)}.txt"
        with said.open("wb") as out:
            worker = subprocess.Popen(
                [sys.executable, "-m", "tests.lanes.counting", self.bootstrap, self.prefix],
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.workers.append(worker)
        wait_until(lambda: b"opened" in said.read_bytes(), 30, f"a lane of {said}")
        return worker

    def lag(self) -> int:
        """Return how many offsets are not committed."""
        places = lag(self.bootstrap, {f"{self.prefix}app": [self.prefix + topic for topic in INPUTS]})
        return sum(place.records for place in places)

    def counted(self) -> Counted:
        """Read everything the workers committed."""
        reader = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "reader",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
            }
        )
        reader.assign([TopicPartition(f"{self.prefix}counted", p, 0) for p in range(PARTITIONS)])
        found, left, seen, counts = Counted(), PARTITIONS, set(), dict[bytes, int]()
        while left:
            for message in reader.consume(5_000, 1.0):
                if message.error():
                    left -= 1
                    continue
                key, count, payload = (message.value() or b"").split()
                if key == b"tick":
                    found.ticks.append((message.partition() or 0, int(count)))
                    continue
                found.records += 1
                seen.add(payload)
                found.breaks += int(count) != counts.get(key, 0) + 1
                counts[key] = int(count)
        reader.close()
        found.unique = len(seen)
        return found


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Return once the condition holds; fail after the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


@pytest.fixture
def deployment(kafka: local.Broker, prefix: str, tmp_path: Path) -> Iterator[Deployment]:
    """A fresh deployment of the counting application; its workers die with the test."""
    made = Deployment(kafka.bootstrap_servers, prefix, tmp_path)
    yield made
    for worker in made.workers:
        worker.kill()
        worker.wait()

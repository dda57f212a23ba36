"""A deployment with its customers and its shipped workers, and what stands in its topics afterwards."""

import contextlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException, Message
from confluent_kafka.admin import AdminClient

from bench import machine, reading
from bench.inputs import Sender, Told, deployment
from bench.running import Group
from bench.scale.load import Customers
from bench.scale.measure import Bench
from bench.systems import environment, set_time, worker_python
from bench.workload import START_MS
from local.process import OwnedProcess
from producers import records
from producers.emitter import Emitter
from schemas.wire import fixed
from streams import topic_admin, topics

LOOK_SECONDS = 0.05
LIMIT_SECONDS = 1800.0
_INPUTS = (topics.USAGE, topics.PAYMENTS, topics.SETTINGS)


class ScaleError(Exception):
    """A run that came to no end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where the ledger and the journal ended at a moment."""

    ledger: dict[int, int]
    journal: dict[int, int]


class Deployment:
    """Topics of one deployment; in manual time unless the settings say otherwise."""

    def __init__(self, bench: Bench, name: str, customers: int, **settings: object) -> None:
        self.directory = bench.directory / name
        self.directory.mkdir(parents=True)
        self.settings = deployment(
            bench.bootstrap_servers, f"{name}.", **{"state_dir": str(self.directory), **settings}
        )
        self._bench = bench
        self._workers = 0
        topic_admin.create(self.settings)
        if self.settings.clock == "manual":
            set_time(self.settings)
            began_ms = START_MS
        else:
            began_ms = int(time.time() * 1000)
        self.customers = Customers(customers, began_ms)
        self.sent = 0
        """Usage events, and so the number of the next one."""

    @property
    def broker(self) -> str:
        """Where Kafka is."""
        return self.settings.bootstrap_servers

    @property
    def usage_topic(self) -> str:
        """Where usage goes."""
        return self.settings.topic(topics.USAGE.name)

    @property
    def told(self) -> Told:
        """Who is told what goes on."""
        return self._bench.told

    def start(self, store: str = "memory") -> "Worker":
        """Start a worker; it has no state but what is in Kafka and in this deployment's directory."""
        self._workers += 1
        output = self.directory / f"worker-{self._workers}.log"
        return Worker(environment(self.settings) | {"EVERGREEN_STORE": store}, output)

    def fill(self, usage_each: int) -> None:
        """Write prices, and for every account settings, a payment and so many usage events."""
        with Emitter(self.settings) as emitter:
            for price in self.customers.prices():
                emitter.emit(price)
        sender = Sender(self.broker)
        self.customers.open_all(sender, self.settings.topic_prefix, self.told)
        self._send(sender, self.customers.count * usage_each)
        sender.flush()

    def send(self, events: int) -> None:
        """Write usage events."""
        sender = Sender(self.broker)
        self._send(sender, events)
        sender.flush()

    def send_at_once(self, events: int) -> float:
        """Write usage events that all become visible at one moment, which is returned.

        They are one transaction: workers read committed, so none of them sees one before its end.
        """
        sender = Sender(
            self.broker,
            **{"transactional.id": f"{self.settings.topic_prefix}load", "transaction.timeout.ms": 600_000},
        )
        sender.producer.init_transactions(30)
        sender.producer.begin_transaction()
        self._send(sender, events)
        sender.flush()
        at = time.time()
        sender.producer.commit_transaction()
        return at

    def _send(self, sender: Sender, events: int) -> None:
        numbers = range(self.sent, self.sent + events)
        self.customers.send_usage(sender, self.usage_topic, numbers, self.told)
        self.sent += events

    def tick(self, ms: int) -> float:
        """Let the lanes' time come to a moment; return when the tick was sent."""
        at = time.time()
        with Emitter(self.settings) as emitter:
            moment = datetime.fromtimestamp(ms / 1000, UTC)
            emitter.emit(emitter.encoder.tick(records.tick(time=moment, ticker="bench")))
        return at

    def wait(self, *workers: "Worker", limit_seconds: float = LIMIT_SECONDS) -> float:
        """Wait until all that stands in the inputs now is committed; return when that was seen."""
        ends = {
            (name, p): end
            for name in (self.settings.topic(topic.name) for topic in _INPUTS)
            for p, end in reading.ends(self.broker, name).items()
        }
        group = Group(self.broker, self.settings.application, ends)
        deadline = time.monotonic() + limit_seconds
        try:
            while behind := group.behind():
                self.told(f"{behind:,} records behind")
                for worker in workers:
                    worker.must_live()
                if time.monotonic() > deadline:
                    raise ScaleError(f"still {behind} records behind after {limit_seconds:g} s")
                time.sleep(LOOK_SECONDS)
            return time.time()
        finally:
            group.close()

    def wait_open(self, *workers: "Worker") -> None:
        """Wait until the workers have all lanes among them, for three seconds without a change."""
        since, deadline = time.monotonic(), time.monotonic() + LIMIT_SECONDS
        before: list[frozenset[int]] = []
        while True:
            now = [worker.lanes() for worker in workers]
            if now != before or sum(map(len, now)) != self.settings.lanes or not all(now):
                since, before = time.monotonic(), now
            if time.monotonic() - since > 3:
                return
            if time.monotonic() > deadline:
                raise ScaleError(f"lanes are not shared: {now}")
            for worker in workers:
                worker.must_live()
            time.sleep(0.2)

    def mark(self) -> Mark:
        """Return where what is judged later begins."""
        return Mark(ledger=self._ends(topics.LEDGER), journal=self._ends(topics.JOURNAL))

    def problems(self, since: Mark | None, entries: int) -> list[str]:
        """Say what is wrong with what was committed since a mark, or ever: so many entries, and nothing
        that waits, was a duplicate or is dead."""
        journal: Counter[str] = Counter()
        decode = fixed().codec("journal-entry").decode
        for message in self._read(topics.JOURNAL, None if since is None else since.journal):
            entry = decode(message.value() or b"")
            journal.update({name: entry[name] for name in ("waiting", "duplicate", "dead")})
        found = [f"{count} records are {name}" for name, count in journal.items() if count]
        there = sum(1 for _ in self._read(topics.LEDGER, None if since is None else since.ledger))
        if there != entries:
            found.append(f"{there} ledger entries, not {entries}")
        return found

    def problems_of_fill(self) -> list[str]:
        """Say what is wrong with all that was committed so far: every account has its payment and usage."""
        return self.problems(None, self.sent + self.customers.count)

    def _ends(self, topic: topics.Topic) -> dict[int, int]:
        return reading.ends(self.broker, self.settings.topic(topic.name))

    def _read(self, topic: topics.Topic, starts: dict[int, int] | None) -> Iterator[Message]:
        return reading.read_all(self.broker, self.settings.topic(topic.name), starts)

    def remove(self) -> None:
        """Delete its topics and files."""
        admin = AdminClient({"bootstrap.servers": self.broker, "log_level": 0})
        prefix = self.settings.topic_prefix
        there = admin.list_topics(timeout=reading.TIMEOUT_SECONDS).topics
        for future in admin.delete_topics([name for name in there if name.startswith(prefix)]).values():
            future.result()
        shutil.rmtree(self.directory)


class Worker:
    """One worker process as shipped, with its supervisor."""

    def __init__(self, variables: dict[str, str], output: Path) -> None:
        self.output = output
        clean = {k: v for k, v in os.environ.items() if not k.startswith("EVERGREEN_")}
        said = [f"{k}={v}" for k, v in (clean | variables | {"PYTHONSAFEPATH": "1"}).items()]
        self.began = time.time()
        self._process = OwnedProcess(
            ["/usr/bin/env", "-i", *said, worker_python(), "-m", "cli", "worker"], output=output
        )

    def lanes(self) -> frozenset[int]:
        """Return the lanes that it has open, by its log."""
        found: dict[int, bool] = {}
        for _, row in self._log():
            if row.get("event") in {"lane opened", "lane closed"}:
                found[row["lane"]] = row["event"] == "lane opened"
        return frozenset(lane for lane, is_open in found.items() if is_open)

    def opened_at(self) -> float:
        """Return when it opened its last lane."""
        return max(at for at, row in self._log() if row.get("event") == "lane opened")

    def restored(self) -> int:
        """Return how many records its lanes read to open."""
        return sum(row["restored"] for _, row in self._log() if row.get("event") == "lane opened")

    def cpu_s(self) -> float:
        """Return what it has used."""
        return machine.usage(self._process.pid).cpu_s

    def peak_mb(self) -> float:
        """Return the most memory it had."""
        return machine.usage(self._process.pid).peak_rss_mb

    def rss_mb(self) -> float:
        """Return the memory it has."""
        return machine.resident_mb(self._process.pid)

    def must_live(self) -> None:
        """Raise ScaleError where it ended, or had to start again."""
        text = self.output.read_text()
        if not self._process.is_alive() or "worker ended with" in text:
            raise ScaleError(f"a worker ended by itself: {text[-2000:]}")

    def end(self) -> None:
        """Stop it in order; returns when it is gone."""
        self._process.end(patience_s=60)

    def kill(self) -> None:
        """SIGKILL, its supervisor too."""
        self._process.kill()

    def _log(self) -> Iterator[tuple[float, dict[str, Any]]]:
        for text in self.output.read_text().splitlines():
            if text.startswith("{"):
                row = json.loads(text)
                yield datetime.fromisoformat(row["timestamp"]).timestamp(), row


@contextmanager
def deployed(bench: Bench, name: str, customers: int, **settings: object) -> Iterator[Deployment]:
    """Give a deployment of that many customers; its topics and files are gone afterwards."""
    place = Deployment(bench, f"scale-{name}-{time.time_ns() // 10**6}", customers, **settings)
    try:
        yield place
    finally:
        with contextlib.suppress(KafkaException):
            place.remove()


@contextmanager
def running(place: Deployment, count: int = 1, store: str = "memory") -> Iterator[list[Worker]]:
    """Give so many workers that have opened all lanes; they are stopped in order afterwards."""
    workers = [place.start(store) for _ in range(count)]
    try:
        place.wait_open(*workers)
        yield workers
    finally:
        for worker in workers:
            worker.end()


def throughput(place: Deployment, workers: list[Worker], events: int) -> tuple[dict[str, Any], list[str]]:
    """Give running workers a backlog at one moment; return figures until its end, and what went wrong."""
    mark = place.mark()
    began = place.send_at_once(events)
    before = sum(worker.cpu_s() for worker in workers)
    seconds = place.wait(*workers) - began
    cpu = sum(worker.cpu_s() for worker in workers) - before
    figures = {
        "events": events,
        "seconds": round(seconds, 2),
        "events_per_s": round(events / seconds),
        "cpu_s_per_million": round(cpu / events * 1e6, 2),
        "rss_mb": round(sum(worker.rss_mb() for worker in workers)),
        "peak_rss_mb": round(sum(worker.peak_mb() for worker in workers)),
    }
    return figures, place.problems(mark, events)

"""A whole deployment for tests: its topics on the session's broker, its workers as real processes.

A process dies with the test run, however that ends (local/guard.py), and one that ends by itself fails
the test that owns it, with the end of what it said.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition

from local import guard
from local.process import ProcessId
from producers.emitter import Emitter
from producers.records import Tier
from producers.values import Moment
from schemas.wire import Record
from streams import records as deployed
from streams import topic_admin, topics
from streams.lag import lanes_group, payments_group, wait_for_zero_lag
from streams.partition import partition_of
from streams.settings import Settings
from verify import check
from verify import read as reading
from verify.report import Report

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 60.0
Headers = tuple[tuple[str, bytes | None], ...]


def until(condition: Callable[[], object], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Return once the condition holds; fail after the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.01)


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """Return this process's environment with exactly these settings of Evergreen."""
    ours = settings.variables()
    rest = {name: value for name, value in os.environ.items() if not name.startswith("EVERGREEN_")}
    return rest | ours | more


class Process:
    """A process of ours under a guard: it does not outlive the test run."""

    def __init__(
        self, arguments: Sequence[str], env: dict[str, str], output: Path, *, module: str = "cli"
    ) -> None:
        self._output = output
        command = [sys.executable, "-I", guard.__file__, sys.executable, "-m", module, *arguments]
        with output.open("wb") as sink:
            self._guard = subprocess.Popen(
                command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sink
            )
        assert self._guard.stdout is not None
        self.began = time.monotonic()
        self.id = ProcessId.of(int(self._guard.stdout.readline()))
        self.may_end = False

    @property
    def said(self) -> str:
        """All of its output so far, stderr included."""
        return self._output.read_text()

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._guard.poll() is None

    def kill(self) -> None:
        """Kill -9; returns when it is gone."""
        self.may_end = True
        self._send(signal.SIGKILL)
        self.wait(10)

    def stop(self) -> int:
        """SIGTERM; returns its exit code."""
        self.may_end = True
        self._send(signal.SIGTERM)
        return self.wait(30)

    def wait(self, seconds: float) -> int:
        """Return its exit code once it has ended (of a killed one 247, which is -9)."""
        try:
            return self._guard.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still alive after {seconds:g} s:\n{self.said[-3000:]}") from None

    def close(self) -> None:
        """Kill it if it still runs, and let its guard go."""
        self._send(signal.SIGKILL)
        assert self._guard.stdin is not None
        assert self._guard.stdout is not None
        self._guard.stdin.close()
        self._guard.wait(10)
        self._guard.stdout.close()

    def _send(self, number: signal.Signals) -> None:
        if self.id is not None:
            self.id.send(number)

    def pages(self) -> str:
        """Return the address of a worker's /metrics and /health, once it has told it."""
        found: list[str] = []
        until(lambda: found.extend(re.findall(r"http://127\.0\.0\.1:\d+", self.said)) or found, "pages")
        return found[0]


class Read(NamedTuple):
    """One record as a read_committed consumer sees it."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass
class Deployment:
    """One deployment: what emitters, operators and tests may do to it."""

    settings: Settings
    directory: Path
    processes: list[Process] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Why Kafka did not take what send() sent."""

    # -- processes

    def start(self, *arguments: str, **more: str) -> Process:
        """Start `evergreen ...` in this deployment; `more` are environment variables."""
        output = self.directory / f"{arguments[0]}-{len(self.processes)}.log"
        process = Process(arguments, environment(self.settings, **more), output)
        self.processes.append(process)
        return process

    def worker(self, name: str = "", **more: str) -> Process:
        """Start a worker; with a name it is a static member, whose restart need not wait for a rebalance."""
        return self.start("worker", "--once", EVERGREEN_WORKER_NAME=name, **more)

    def start_module(self, module: str, *arguments: str, **more: str) -> Process:
        """Start a process of a test's own in this deployment."""
        output = self.directory / f"{module}-{len(self.processes)}.log"
        process = Process(arguments, environment(self.settings, **more), output, module=module)
        self.processes.append(process)
        return process

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run `evergreen ...` to its end."""
        return subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            cwd=ROOT,
            env=environment(self.settings, **more),
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )

    def check_alive(self) -> None:
        """Fail where a process ended by itself."""
        for process in self.processes:
            if not process.may_end and not process.is_alive():
                raise AssertionError(f"a process ended by itself:\n{process.said[-3000:]}")

    # -- inputs

    @cached_property
    def emit(self) -> Emitter:
        """The emitter of this deployment; settle() flushes it."""
        return Emitter(self.settings)

    @cached_property
    def _producer(self) -> Producer:
        return Producer({"bootstrap.servers": self.settings.bootstrap_servers, "log_level": 0})

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int,
        *,
        headers: Headers = (),
        timestamp: int = 0,
    ) -> None:
        """Send any bytes to a partition; settle() flushes."""
        self._producer.produce(
            self.settings.topic(topic),
            value,
            key,
            partition,
            headers=list(headers),
            timestamp=timestamp,
            on_delivery=self._on_delivery,
        )
        self._producer.poll(0)

    def lane(self, account_id: str) -> int:
        """Return the lane of an account."""
        return partition_of(account_id.encode(), self.settings.lanes)

    def flush(self) -> None:
        """Return once Kafka has taken all that was emitted and sent."""
        self.emit.flush()
        assert self._producer.flush(30) == 0
        assert self.refused == []

    def _on_delivery(self, error: KafkaError | None, _: object) -> None:
        if error is not None:
            self.refused.append(error.str())

    def settle(self, *, payments: bool = False) -> None:
        """Return at zero lag."""
        self.flush()
        groups = [lanes_group(self.settings)]
        if payments:
            groups.append(payments_group(self.settings))
        wait_for_zero_lag(self.settings, groups, DEADLINE_SECONDS, lambda _: self.check_alive())

    def tick(self, time: Moment, *, payments: bool = False) -> None:
        """Say what time it is; return at zero lag."""
        self.flush()
        self.emit.tick(time)
        self.settle(payments=payments)

    # -- outputs

    @cached_property
    def schemas(self):
        """What this deployment decodes with."""
        return deployed.schemas(self.settings)

    def read(self, topic: str) -> list[Read]:
        """Return every committed record of a topic, by partition and offset."""
        name = self.settings.topic(topic)
        consumer = Consumer(
            {
                "bootstrap.servers": self.settings.bootstrap_servers,
                "group.id": self.settings.topic("test"),
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 10,
            }
        )
        try:
            lanes = range(self.settings.lanes)
            consumer.list_topics(name, 20)  # else the first fetch finds no leader and waits half a second
            consumer.assign([TopicPartition(name, lane, OFFSET_BEGINNING) for lane in lanes])
            found: list[Read] = []
            left = set(lanes)
            deadline = time.monotonic() + DEADLINE_SECONDS
            while left:
                assert time.monotonic() < deadline, f"{name} is not read to its end"
                for message in consumer.consume(1_000, 0.02):
                    if message.error():
                        assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                        left.discard(message.partition())
                        continue
                    found.append(
                        Read(
                            message.partition(),
                            message.offset(),
                            message.timestamp()[1],
                            message.key(),
                            message.value(),
                            tuple(message.headers() or ()),
                        )
                    )
            return sorted(found)
        finally:
            consumer.close()

    def records(self, topic: str) -> list[Record]:
        """Return every committed record of a topic, decoded, by partition and offset."""
        (about,) = [known for known in topics.ALL if known.name == topic]
        return [self.schemas.decode(read.value or b"", *about.records)[1] for read in self.read(topic)]

    def journal(self, count: str) -> int:
        """Return a count of the lanes' journals, summed."""
        return sum(entry[count] for entry in self.records("lane-journal"))

    def verify(self) -> Report:
        """Have all invariants checked; fail where one is broken."""
        found = reading.read(self.settings, self.schemas, patience_seconds=30)
        report = check.check(found, self.settings)
        broken = [case for invariant in report.checks for case in invariant.broken]
        assert report.holds, "\n".join(map(str, broken[:20]))
        return report

    def close(self) -> None:
        """End all processes; fail where one had ended by itself."""
        try:
            self.check_alive()
        finally:
            for process in self.processes:
                process.close()


Deploy = Callable[..., Deployment]
_numbers = count(1)


@contextmanager
def deployments(bootstrap_servers: str, directory: Callable[[str], Path]) -> Iterator[Deploy]:
    """Yield a function that makes a deployment by its settings; all of them end with the block."""
    made: list[Deployment] = []

    def deploy(**settings: object) -> Deployment:
        number = next(_numbers)
        usual = {
            "bootstrap_servers": bootstrap_servers,
            "topic_prefix": f"pipeline-{os.getpid()}-{number}.",
            "lanes": 2,
            "clock": "manual",
            "session_timeout_seconds": 6,
        }
        chosen = Settings.model_validate(usual | settings)
        topic_admin.create(chosen)
        deployment = Deployment(chosen, directory(f"deployment-{number}"))
        made.append(deployment)
        return deployment

    try:
        yield deploy
    finally:
        failures: list[AssertionError] = []
        for deployment in made:
            try:
                deployment.close()
            except AssertionError as failure:
                failures.append(failure)
        if failures:
            raise failures[0]


def publish_price(deployment: Deployment) -> None:
    """One unit of the meter calls costs 0.01 USD."""
    deployment.emit.price(
        meter="calls",
        currency="USD",
        version=1,
        unit="call",
        valid_from="2024-01-01T00:00Z",
        late=True,
        tiers=[Tier(unit_price="0.01")],
    )

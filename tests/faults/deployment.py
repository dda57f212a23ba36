"""One deployment under test: its topics, its workers as processes of their own, what they commit.

Processes are started as the shipped commands and die with this one, however it ends.
"""

import gc
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from confluent_kafka import Consumer, IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from local.process import OwnedProcess, ProcessId
from producers.emissions import Emission
from producers.emitter import Emitter
from producers.values import moment
from schemas.wire import Record, fixed
from streams import topic_admin
from streams.lag import LagError, lanes_group, payments_group, wait_for_zero_lag
from streams.settings import Settings
from streams.topics import JOURNAL, LEDGER, USAGE
from tests.faults.disks import Disk
from tests.faults.dying_worker import ORDER
from verify import check
from verify import read as reading
from verify.report import Report
from verify.topics import Topics

ROOT = Path(__file__).parents[2]
LANES = 4
SESSION_SECONDS = 6
DEADLINE_SECONDS = 90.0
WORKER = ("cli", "worker")
DYING_WORKER = ("tests.faults.dying_worker",)
_OPENED = re.compile(r"lane opened\s+lane=(\d+)")
_CLOSED = re.compile(r"lane closed\s+lane=(\d+)")


def wait_until(
    condition: Callable[[], object], what: str, *, seconds: float = DEADLINE_SECONDS, poll: float = 0.02
) -> None:
    """Return once the condition holds; fail after the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(poll)


class Process:
    """A command of ours, started with a deployment's settings."""

    def __init__(self, environment: dict[str, str], module: Sequence[str], log: Path) -> None:
        pairs = [f"{name}={value}" for name, value in {**environment, "PYTHONPATH": str(ROOT)}.items()]
        self.log = log
        self._owned = OwnedProcess(["env", *pairs, sys.executable, "-m", *module], output=log)
        self.pid = self._owned.pid

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        self._owned.kill()

    def ask_to_end(self) -> None:
        """SIGTERM; returns at once."""
        assert self._owned.id is not None
        self._owned.id.send(signal.SIGTERM)

    def end(self) -> None:
        """SIGTERM; returns when it is gone, and fails where it had to be killed."""
        identity = self._owned.id
        assert identity is not None
        self.ask_to_end()
        wait_until(lambda: not identity.is_alive(), f"the end of {self.log.stem}", seconds=60)
        self._owned.end()

    def is_gone(self) -> bool:
        """Tell whether it has ended."""
        return not self._owned.is_alive()

    def said(self, words: str) -> int:
        """Return how often its log has these words."""
        return self.log.read_text(errors="replace").count(words)


class Worker(Process):
    """`evergreen worker`: a supervisor, and the child that folds."""

    def __init__(
        self, environment: dict[str, str], module: Sequence[str], log: Path, name: str, disk: Disk
    ) -> None:
        self._order = log.with_suffix(".order")
        own = {"EVERGREEN_WORKER_NAME": name, "EVERGREEN_STATE_DIR": str(disk.path), ORDER: str(self._order)}
        super().__init__({**environment, **own}, module, log)
        self.name = name
        self.disk = disk

    def order_death(self, point: str) -> None:
        """Let the child die when it comes to a point of dying_worker.py; it must be run by that."""
        order = self._order.with_suffix(".new")
        order.write_text(point)
        order.rename(self._order)

    @property
    def is_dying_ordered(self) -> bool:
        """True until a child has died as ordered."""
        return self._order.exists()

    def child(self) -> ProcessId | None:
        """Return the process that folds, if there is one now."""
        try:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        except OSError:
            return None
        return ProcessId.of(int(children[0])) if children else None

    def lanes(self) -> set[int]:
        """Return the lanes that the child has open, by what it says; none while there is no child."""
        lanes: set[int] = set()
        for line in self.log.read_text(errors="replace").splitlines():
            if "worker starts" in line or "worker ended with" in line:
                lanes = set()
            elif opened := _OPENED.search(line):
                lanes.add(int(opened[1]))
            elif closed := _CLOSED.search(line):
                lanes.discard(int(closed[1]))
        return lanes

    @property
    def openings(self) -> int:
        """How many lanes it has opened."""
        return self.said("lane opened")

    @property
    def restarts(self) -> int:
        """How often its child ended and was started again."""
        return self.said("worker ended with")


@dataclass(frozen=True, slots=True)
class Commit:
    """One entry of the journal; moments are seconds since 1970."""

    made: float
    """When its transaction was written: one that was under way at an injury is not a recovery from it."""
    seen: float
    """When it could be read."""
    lane: int
    worker: str
    usage: int


class Journal(threading.Thread):
    """Follows the lane-journal: who committed what, and when."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="journal", daemon=True)
        self.commits: list[Commit] = []
        self._ending = threading.Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap_servers,
                "group.id": f"{settings.application}-watch",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 50,
                "log_level": 0,
            }
        )
        topic = settings.topic(JOURNAL.name)
        self._consumer.assign([TopicPartition(topic, lane, 0) for lane in range(settings.lanes)])

    def run(self) -> None:
        decode = fixed().codec("journal-entry").decode
        while not self._ending.is_set():
            for message in self._consumer.consume(200, timeout=0.05):
                if message.error() is None:
                    self._take(message.timestamp()[1] / 1000, decode(message.value()))
        self._consumer.close()

    def _take(self, made: float, entry: Record) -> None:
        usage = sum(run["to"] - run["from"] for run in entry["runs"] if run["topic"] == USAGE.name)
        self.commits.append(Commit(made, time.time(), entry["lane"], entry["worker"], usage))

    def close(self) -> None:
        """End the thread."""
        self._ending.set()
        self.join(20)

    def after(self, moment: float, lanes: Iterable[int]) -> dict[int, float]:
        """Return when the first commit of each of these lanes made after a moment was seen, where one was."""
        wanted, first = set(lanes), dict[int, float]()
        for commit in reversed(list(self.commits)):
            if commit.seen < moment:
                break
            if commit.made > moment and commit.lane in wanted:
                first[commit.lane] = commit.seen
        return first

    @property
    def moves(self) -> int:
        """How often a lane's next commit was another worker's than its last."""
        last: dict[int, str] = {}
        moves = 0
        for commit in list(self.commits):
            moves += last.get(commit.lane, commit.worker) != commit.worker
            last[commit.lane] = commit.worker
        return moves


class Deployment:
    """Everything under one prefix."""

    def __init__(self, bootstrap_servers: str, prefix: str, directory: Path, **settings: Any) -> None:
        """Settings by their names in settings.py, where they are not the usual ones here."""
        self.settings = Settings(
            bootstrap_servers=bootstrap_servers,
            topic_prefix=prefix,
            session_timeout_seconds=SESSION_SECONDS,
            **{"clock": "manual", "lanes": LANES, **settings},
        )
        self.environment = {
            "EVERGREEN_BOOTSTRAP_SERVERS": bootstrap_servers,
            "EVERGREEN_TOPIC_PREFIX": prefix,
            "EVERGREEN_LANES": str(LANES),
            "EVERGREEN_CLOCK": "manual",
            "EVERGREEN_SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
            **{f"EVERGREEN_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self.directory = directory
        directory.mkdir()
        self.processes: list[Process] = []
        self.usage_sent = 0
        topic_admin.create(self.settings)
        self.emitter = Emitter(self.settings, ticker="storm")
        self.journal = Journal(self.settings)
        self.journal.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Kill every process."""
        for process in self.processes:
            process.kill()
        self.journal.close()

    def start_worker(
        self, name: str = "", module: Sequence[str] = WORKER, disk: Disk | None = None
    ) -> Worker:
        """Start a worker, with a name as a static member of the group; returns at once."""
        number = len(self.processes)
        log = self.directory / f"{name or 'worker'}-{number}.log"
        disk = disk or Disk(self.directory / f"disk-{name or number}")
        worker = Worker(self.environment, module, log, name, disk)
        self.processes.append(worker)
        return worker

    def start_payments(self) -> Process:
        """Start a payment consumer; returns at once."""
        log = self.directory / f"payments-{len(self.processes)}.log"
        process = Process(self.environment, ("cli", "payments"), log)
        self.processes.append(process)
        return process

    def ask_what_they_do(self) -> None:
        """Have every worker that runs write its tasks into its log: a test has failed (dying_worker.py)."""
        children = [child for worker in self.workers if not worker.is_gone() and (child := worker.child())]
        for child in children:
            child.send(signal.SIGRTMIN)
        time.sleep(2 if children else 0)

    @property
    def workers(self) -> list[Worker]:
        """All workers ever started."""
        return [process for process in self.processes if isinstance(process, Worker)]

    @property
    def payments(self) -> list[Process]:
        """All payment consumers ever started."""
        return [process for process in self.processes if not isinstance(process, Worker)]

    def send(self, emissions: Iterable[Emission], tick: int | None = None) -> None:
        """Send records, and then a tick that finds all of them in their topics."""
        for emission in emissions:
            self.emitter.emit(emission)
            self.usage_sent += emission.topic == USAGE.name
        self.emitter.flush()
        if tick is not None:
            self.emitter.tick(moment(tick))
            self.emitter.flush()

    def settle(self, *, payments: bool = False) -> None:
        """Return once all that was sent is applied, and with payments all that followed from it."""
        groups = [lanes_group(self.settings)] + [payments_group(self.settings)] * payments
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                return wait_for_zero_lag(self.settings, groups, deadline - time.monotonic())
            except LagError:  # a broker that has just come back refuses some questions for a moment
                if time.monotonic() > deadline:
                    raise

    def read(self) -> Topics:
        """Return all topics, at zero lag."""
        return reading.read(self.settings, fixed())

    def verify(self) -> tuple[Topics, Report]:
        """Return all topics, and what `evergreen verify` finds in them."""
        gc.disable()  # as the command does: millions of small values that stay
        try:
            topics = self.read()
            return topics, check.check(topics, self.settings)
        finally:
            gc.enable()

    def ends(self, topic: str, level: IsolationLevel = IsolationLevel.READ_UNCOMMITTED) -> dict[int, int]:
        """Return where a topic's partitions end now, by default open transactions included."""
        name = self.settings.topic(topic)
        # A new client each time: a kept one asks with the leader epoch of before a broker's restart.
        admin = AdminClient({"bootstrap.servers": self.settings.bootstrap_servers, "log_level": 0})
        asked = admin.list_offsets(
            {TopicPartition(name, lane): OffsetSpec.latest() for lane in range(self.settings.lanes)},
            isolation_level=level,
            request_timeout=20,
        )
        return {place.partition: future.result().offset for place, future in asked.items()}

    def aborted(self, topic: str = LEDGER.name) -> int:
        """Return how many records of a topic stand in aborted transactions."""
        counts = [self.count(topic, level) for level in ("read_uncommitted", "read_committed")]
        return counts[0] - counts[1]

    def count(self, topic: str, isolation: str = "read_committed") -> int:
        """Return how many records a topic holds."""
        return len(self.values(topic, isolation))

    def values(self, topic: str, isolation: str = "read_committed") -> list[tuple[bytes, bytes]]:
        """Return key and value of all records of a topic, lane by lane in order."""
        reader = self.reader(isolation, eof=True)
        lanes = range(self.settings.lanes)
        reader.assign([TopicPartition(self.settings.topic(topic), lane, 0) for lane in lanes])
        found: list[tuple[bytes, bytes]] = []
        ended = set[int]()
        while len(ended) < len(lanes):
            for message in reader.consume(10_000, timeout=1.0):
                if message.error() is None:
                    found.append((message.key(), message.value()))
                else:
                    ended.add(message.partition())
        reader.close()
        return found

    def reader(self, isolation: str, *, eof: bool = False) -> Consumer:
        """Return a consumer that is in no group."""
        return Consumer(
            {
                "bootstrap.servers": self.settings.bootstrap_servers,
                "group.id": f"{self.settings.application}-look",
                "enable.auto.commit": False,
                "enable.partition.eof": eof,
                "isolation.level": isolation,
                "fetch.wait.max.ms": 20,
                "log_level": 0,
            }
        )


def broken(report: Report) -> list[str]:
    """Return a line for each case that the verification found broken, the first ones of each invariant."""
    return [
        f"{case.invariant}. {case.rule} ({check.broken_count}): {case.account} {case.place}, "
        f"expected {case.expected}, found {case.found}"
        for check in report.checks
        for case in check.broken[:5]
    ]


def assert_holds(report: Report) -> None:
    """Fail where the verification found something broken, and say all of it."""
    assert report.holds, "\n".join(broken(report))

"""Who is measured: how each system is started on the inputs, and how its answer is checked.

A system's run has a name of its own, under which everything that it writes stands.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from bench import check_ours
from bench.inputs import LANES, Inputs, deployment
from bench.reading import TIMEOUT_SECONDS
from bench.workload import START_MS
from schemas.wire import fixed
from streams import topic_admin
from streams.settings import Settings
from streams.topics import changelog

MAX_AGE_MS = 35 * 86_400_000


@dataclass(slots=True, kw_only=True)
class Run:
    """One run of one system."""

    name: str
    inputs: Inputs
    directory: Path
    """For whatever it keeps on disk."""

    @property
    def broker(self) -> str:
        """Where Kafka is."""
        return self.inputs.bootstrap_servers


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a run's answer is right, and what it wrote."""

    problems: Sequence[str]
    wrote: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """When the first record reached the code, and the CPU seconds until then where the system says so."""

    at: float
    cpu_s: float | None


class System(Protocol):
    """A system that can be measured."""

    @property
    def name(self) -> str:
        """What `--only` calls it."""

    @property
    def title(self) -> str:
        """What the table calls it."""

    def missing(self) -> str | None:
        """Return why it cannot run here, or None."""

    def topics(self, inputs: Inputs) -> tuple[str, str]:
        """Return the input topics whose end it must reach."""

    def group(self, run: Run) -> str:
        """Return the consumer group that commits its offsets."""

    def prepare(self, run: Run) -> tuple[list[str], dict[str, str]]:
        """Make its topics; return the command and what to add to the environment."""

    def first(self, line: str) -> First | None:
        """Return what a line of its output says of the first record."""

    def check(self, run: Run) -> Verdict:
        """Compare its answer with the right one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evergreen:
    """This pipeline: the worker as shipped, or with one thing left out (bench/worker.py)."""

    name: str
    title: str
    store: str = "memory"
    without: str | None = None
    settings: dict[str, object] = field(default_factory=dict)

    def missing(self) -> str | None:
        """Nothing: it is here."""
        return None

    def topics(self, inputs: Inputs) -> tuple[str, str]:
        """Return its own."""
        return inputs.ours

    def group(self, run: Run) -> str:
        """Return the application's."""
        return self._deployment(run).application

    def prepare(self, run: Run) -> tuple[list[str], dict[str, str]]:
        """Make its outputs, with the lanes' time at the start of the first month as after a tick."""
        settings = self._deployment(run)
        topic_admin.create(settings)
        _set_time(settings)
        command = ["cli", "worker"] if self.without is None else ["bench.worker", "--without", self.without]
        environment = {
            "EVERGREEN_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
            "EVERGREEN_TOPIC_PREFIX": settings.topic_prefix,
            "EVERGREEN_OUTPUT_PREFIX": settings.output_prefix,
            "EVERGREEN_LANES": str(settings.lanes),
            "EVERGREEN_CLOCK": settings.clock,
            "EVERGREEN_STORE": settings.store,
            "EVERGREEN_STATE_DIR": settings.state_dir,
            "EVERGREEN_LOG_FORMAT": "json",
            "EVERGREEN_LOG_LEVEL": "info",
        }
        return [sys.executable, "-m", *command], environment

    def first(self, line: str) -> First | None:
        """A lane that opens has read nothing yet: a little early, never late."""
        if '"lane opened"' not in line:
            return None
        return First(at=datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp(), cpu_s=None)

    def check(self, run: Run) -> Verdict:
        """Check balances, ledger and journal."""
        found = check_ours.check(
            self._deployment(run), run.inputs.answer, has_ledger=self.without != "ledger"
        )
        wrote = {
            "charges": found.charges,
            "ledger_entries": found.ledger_entries,
            "commands": found.commands,
            "commits": found.commits,
        }
        return Verdict(problems=found.problems, wrote=wrote)

    def _deployment(self, run: Run) -> Settings:
        return deployment(
            run.broker,
            run.inputs.prefix,
            output_prefix=f"{run.name}.",
            store=self.store,
            state_dir=str(run.directory),
        )


def _set_time(settings: Settings) -> None:
    """Write what a tick at the start of the first month would have left in every lane."""
    topic = changelog(settings.application, "lane")
    state = {"time": START_MS, "forget_before": START_MS - MAX_AGE_MS, "waited": 0}
    value = fixed().codec("state-lane").encode(state)
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers})
    for lane in range(LANES):
        producer.produce(topic, value, b"lane", lane)
    producer.flush()


def remove(run: Run) -> None:
    """Delete every topic of a run."""
    admin = AdminClient({"bootstrap.servers": run.broker})
    names = [name for name in admin.list_topics(timeout=TIMEOUT_SECONDS).topics if run.name in name]
    if names:
        for future in admin.delete_topics(names).values():
            future.result()


SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        Evergreen(name="evergreen", title="Evergreen, memory"),
        Evergreen(name="evergreen-rocksdb", title="Evergreen, RocksDB", store="rocksdb"),
    )
}

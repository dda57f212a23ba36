"""This pipeline as a system: the worker as shipped, and with one thing left out; and all systems by name."""

import json
import os
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from confluent_kafka import Producer

from bench import check_ours
from bench.inputs import Inputs, deployment
from bench.peer_systems import PEERS
from bench.system import First, Run, System, Verdict
from bench.workload import START_MS
from schemas.wire import fixed
from streams import topic_admin
from streams.settings import Settings
from streams.topics import changelog

MAX_AGE_MS = 35 * 86_400_000
LANE_KEY = b"lane"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evergreen:
    """This pipeline: the worker as shipped, or with one thing left out (bench/worker.py)."""

    name: str
    title: str
    store: str = "memory"
    without: str | None = None
    most_events: int | None = None

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
        set_time(settings)
        command = ["cli", "worker"] if self.without is None else ["bench.worker", "--without", self.without]
        return [worker_python(), "-m", *command], environment(settings) | _only_bench_from_here(run)

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


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables of a worker of a deployment: all settings, or some would be measured as others."""
    return settings.model_copy(update={"log_format": "json", "log_level": "info"}).variables()


def worker_python() -> str:
    """Return the Python of the worker: the one of `make fast`, where it was given, else this one."""
    return os.environ.get("BENCH_WORKER_PYTHON") or sys.executable


def is_compiled() -> bool:
    """Tell whether the worker runs as `make fast` built it: another Python that has it installed."""
    return worker_python() != sys.executable


def _only_bench_from_here(run: Run) -> dict[str, str]:
    """Have the worker import what its own Python has installed, and from this checkout bench/ alone."""
    if not is_compiled():
        return {}
    place = run.directory / "path"
    place.mkdir(parents=True, exist_ok=True)
    (place / "bench").symlink_to(Path(__file__).parent.resolve())
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(place.resolve())}


def lane_state() -> bytes:
    """Return what a tick at the start of the first month would have left in a lane."""
    state = {"time": START_MS, "forget_before": START_MS - MAX_AGE_MS, "waited": 0}
    return fixed().codec("state-lane").encode(state)


def set_time(settings: Settings) -> None:
    """Let every lane begin with its time at the start of the first month."""
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers, "log_level": 0})
    for lane in range(settings.lanes):
        producer.produce(changelog(settings.application, "lane"), lane_state(), LANE_KEY, lane)
    producer.flush()


OURS = (
    Evergreen(name="evergreen", title="Evergreen, memory"),
    Evergreen(name="evergreen-rocksdb", title="Evergreen, RocksDB", store="rocksdb"),
    Evergreen(name="evergreen-job", title="Evergreen, the yardstick's job alone, memory", without="ledger"),
    Evergreen(
        name="evergreen-job-rocksdb",
        title="Evergreen, the yardstick's job alone, RocksDB",
        without="ledger",
        store="rocksdb",
    ),
    Evergreen(name="evergreen-plain", title="Evergreen without transactions, memory", without="transactions"),
)
SELDOM = frozenset({"evergreen-job-rocksdb"})
"""Left out unless asked for: what keeps the default form under its time."""
SYSTEMS: dict[str, System] = {system.name: system for system in (*OURS, *PEERS)}

"""What a system is to the runner: how it is started on the inputs, and how its answer is checked.

A system's run has a name of its own, under which everything that it writes stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from confluent_kafka.admin import AdminClient

from bench.inputs import Inputs
from bench.reading import TIMEOUT_SECONDS


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

    @property
    def most_events(self) -> int | None:
        """The most usage events to give it, where it is too slow for all; None: all."""

    def missing(self) -> str | None:
        """Return why it cannot run here, or None; it may first build or install what it needs."""

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


def remove(run: Run) -> None:
    """Delete every topic of a run."""
    admin = AdminClient({"bootstrap.servers": run.broker, "log_level": 0})
    names = [name for name in admin.list_topics(timeout=TIMEOUT_SECONDS).topics if run.name in name]
    if names:
        for future in admin.delete_topics(names).values():
            future.result()

"""Runs one system from offset zero to zero lag and says what it took.

The same clock for all: it starts when the first record reaches the system's code (as the system says) and
stops when its group's committed offsets are seen at the end of both inputs.
"""

import contextlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from bench import machine
from bench.inputs import Inputs, Told
from bench.system import First, Run, System, remove
from local.process import OwnedProcess

LOOK_SECONDS = 0.05
REQUEST_SECONDS = 5.0

Result = dict[str, Any]


class RunError(Exception):
    """A run that came to no end; the text says what its output says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Care:
    """How a run is done."""

    directory: Path
    limit_seconds: float
    quiet_seconds: float
    keep: bool
    """Leave its topics and files."""


def measure(system: System, inputs: Inputs, round_number: int, care: Care, told: Told) -> Result:
    """Run a system once and return its line; raises RunError where it ends by itself or too late."""
    name = f"bench-{system.name}-{round_number}-{int(time.time())}"
    run = Run(name=name, inputs=inputs, directory=care.directory / name)
    run.directory.mkdir(parents=True)
    output = run.directory / "output.log"
    try:
        told("making topics")
        command, environment = system.prepare(run)
        told("waiting for a quiet machine")
        waited = machine.wait_for_quiet(care.quiet_seconds)
        result = _timed(system, run, care, told, command=command, environment=environment, output=output)
        told("checking its answer")
        verdict = system.check(run)
    finally:
        if not care.keep:
            with contextlib.suppress(KafkaException):
                remove(run)
    result |= {
        "waited_s": round(waited, 1),
        **verdict.wrote,
        "correct": not verdict.problems,
        "problems": list(verdict.problems[:3]),
    }
    if verdict.problems:  # a wrong run has no number
        for figure in ("events_per_s", "cpu_s_per_million"):
            result[figure] = None
    elif not care.keep:
        shutil.rmtree(run.directory)
    about = {
        "system": system.name,
        "title": system.title,
        "round": round_number,
        "workload": str(inputs.shape),
    }
    return about | result


def _timed(
    system: System,
    run: Run,
    care: Care,
    told: Told,
    *,
    command: list[str],
    environment: dict[str, str],
    output: Path,
) -> Result:
    topics = system.topics(run.inputs)
    ends = {(t, p): end for t in topics for p, end in run.inputs.ends[t].items()}
    total = sum(ends.values())
    group = Group(run.broker, system.group(run), ends)
    broker = machine.broker_process(run.broker)
    broker_before = machine.usage(broker).cpu_s if broker else 0.0
    busy_before, own_before = machine.busy_seconds(), time.process_time()
    began = time.time()
    # A clean environment: what somebody exported for a deployment of his own must not reach a run.
    clean = {k: v for k, v in os.environ.items() if not k.startswith("EVERGREEN_")} | environment
    variables = [f"{k}={v}" for k, v in clean.items()]
    process = OwnedProcess(["/usr/bin/env", "-i", *variables, *command], output=output)
    samples: list[tuple[float, machine.Usage]] = []
    try:
        while True:
            at = time.time()
            with contextlib.suppress(OSError):
                samples.append((at, machine.usage(process.pid)))
            behind = group.behind()
            told(f"{total - behind:,} of {total:,} events")
            if behind == 0:
                break
            if not process.is_alive():
                raise RunError(f"{system.name} ended by itself: {output.read_text()[-2000:]}")
            if at - began > care.limit_seconds:
                raise RunError(f"{system.name} was {behind} events behind after {care.limit_seconds:g} s")
            time.sleep(LOOK_SECONDS)
        ended, spent = time.time(), machine.usage(process.pid)
        broker_cpu = machine.usage(broker).cpu_s - broker_before if broker else None
        own_cpu = time.process_time() - own_before
        others = machine.busy_seconds() - busy_before - spent.cpu_s - own_cpu - (broker_cpu or 0)
    finally:
        process.end()
        group.close()
    first = _first(system, output)
    cpu_before = first.cpu_s if first.cpu_s is not None else _cpu_until(first.at, samples)
    seconds, cpu = ended - first.at, spent.cpu_s - cpu_before
    return {
        "events": total,
        "events_per_s": round(total / seconds),
        "seconds": round(seconds, 2),
        "cpu_s_per_million": round(cpu / total * 1e6, 2),
        "seconds_with_startup": round(ended - began, 2),
        "cpu_s_with_startup": round(spent.cpu_s, 2),
        "peak_rss_mb": round(spent.peak_rss_mb),
        "broker_cpu_s": None if broker_cpu is None else round(broker_cpu, 2),
        "others_cores": round(max(others, 0.0) / (ended - began), 2),
    }


def _first(system: System, output: Path) -> First:
    said = [found for line in output.read_text().splitlines() if (found := system.first(line)) is not None]
    if not said:
        raise RunError(f"{system.name} never said that its first record came: {output.read_text()[-2000:]}")
    return min(said, key=lambda first: first.at)


def _cpu_until(moment: float, samples: list[tuple[float, machine.Usage]]) -> float:
    """Return what was used at the last look before a moment: the rest counts as work."""
    return max((usage.cpu_s for at, usage in samples if at <= moment), default=0.0)


class Group:
    """How far a consumer group is, asked as a member that never joins."""

    def __init__(self, bootstrap_servers: str, group: str, ends: dict[tuple[str, int], int]) -> None:
        self._ends = ends
        self._partitions = [TopicPartition(*place) for place in ends]
        self._reader = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": group,
                "enable.auto.commit": False,
                # Offsets of a transaction under way do not count, and are not waited for.
                "isolation.level": "read_uncommitted",
                "log_level": 0,
            }
        )

    def behind(self) -> int:
        """Return how many records are not committed; all of them where Kafka cannot say."""
        try:
            found = self._reader.committed(self._partitions, timeout=REQUEST_SECONDS)
        except KafkaException:
            return sum(self._ends.values())
        return sum(max(0, self._ends[p.topic, p.partition] - max(p.offset, 0)) for p in found)

    def close(self) -> None:
        """Let go of the connection."""
        self._reader.close()

"""Bugs planted in the worker on purpose, to show that storms can fail: each is found, by a storm of seconds.

A storm without a bug goes first: it holds, so that what is found after it is the bug.
"""

import signal
import sys
from collections.abc import Callable, Sequence

import pytest

from tests.faults.deployment import Deployment, Worker, assert_holds, broken, wait_until
from tests.faults.injuries import Injuries
from tests.faults.inputs import Load, Stage
from verify.report import Report

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the folding process in /proc"),
]

Injure = Callable[[Deployment, str, Stage, Worker], None]


def worker(deployment: Deployment, bug: str, name: str) -> Worker:
    """Start a worker with a bug."""
    return deployment.start_worker(name, ("tests.faults.broken_worker", bug))


def unhurt(deployment: Deployment, bug: str, stage: Stage, victim: Worker) -> None:
    """Send a stage."""
    deployment.send(stage.records, stage.tick)


def kill(deployment: Deployment, bug: str, stage: Stage, victim: Worker) -> None:
    """Send a stage and kill the worker in a transaction of it."""
    with Injuries(deployment).kill_in_a_transaction(victim):
        deployment.send(stage.records, stage.tick)


def freeze(deployment: Deployment, bug: str, stage: Stage, victim: Worker) -> None:
    """Send a stage, stop the worker in a transaction of it, and let it go on when another has its lanes."""
    injuries = Injuries(deployment)
    with injuries.freeze_in_a_transaction(victim):
        deployment.send(stage.records, stage.tick)
    (injury,) = injuries.done
    other = worker(deployment, bug, "other")
    wait_until(lambda: other.lanes() >= injury.lanes, "another owner of the frozen lanes")
    assert injury.frozen is not None
    injury.frozen.send(signal.SIGCONT)


def short_storm(deployment: Deployment, bug: str, injuries: Sequence[Injure]) -> Report:
    """Send a small load, injure the first worker in the middle of it; return what the verification finds."""
    victim = worker(deployment, bug, "victim")
    hurt = {3 + 2 * n: injure for n, injure in enumerate(injuries)}
    for stage in Load(seed=3, accounts=200, events=4_000, stages=6).stages():
        if stage.settled:
            deployment.settle()
        hurt.get(stage.number, unhurt)(deployment, bug, stage, victim)
    deployment.settle()
    return deployment.verify()[1]


def test_a_short_storm_holds_without_a_bug(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy("right")

    report = short_storm(deployment, "nothing", [kill, freeze])

    assert_holds(report)
    assert deployment.aborted() > 0


@pytest.mark.parametrize(
    ("bug", "injure", "found"),
    [
        ("commit_offsets_before_state", kill, {8}),
        ("forget_ids", unhurt, {2, 8}),
        ("start_empty", kill, {2, 7, 8}),
        ("fence_nobody", freeze, {1, 2, 8}),
    ],
)
def test_a_planted_bug_is_found(
    bug: str,
    injure: Injure,
    found: set[int],
    deploy: Callable[[str], Deployment],
    tell: Callable[[str], None],
) -> None:
    report = short_storm(deploy(bug), bug, [injure])

    shown = [f"{line:.150}" for line in broken(report)[:3]]
    tell("\n  ".join([f"planted: {bug}; broken: invariants {sorted(report.failing())}", *shown]))
    assert report.failing() >= found

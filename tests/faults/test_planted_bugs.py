"""Bugs planted in the worker on purpose, to show that storms can fail: each is found, by a storm of seconds.

A storm without a bug goes first: it holds, so that what is found after it is the bug.
"""

import signal
import sys
from collections.abc import Callable, Sequence

import pytest

from streams.lag import LagError
from tests.faults.broken_worker import fence_nobody
from tests.faults.deployment import Deployment, Worker, assert_holds, broken, wait_until
from tests.faults.disks import OLD_COPY
from tests.faults.injuries import Injuries
from tests.faults.inputs import Load, Stage
from tests.faults.report import Entry, Kind
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


def copy_stores(deployment: Deployment, bug: str, stage: Stage, victim: Worker) -> None:
    """Remember the worker's stores as they are, and send a stage."""
    victim.kill()
    victim.disk.keep_a_copy()
    worker(deployment, bug, "victim")
    deployment.send(stage.records, stage.tick)


def old_stores(deployment: Deployment, bug: str, stage: Stage, victim: Worker) -> None:
    """Send a stage, then put the copy of the stores back under the worker."""
    deployment.send(stage.records, stage.tick)
    deployment.settle()
    deployment.workers[-1].kill()
    Injuries(deployment).break_stores(victim.disk, [OLD_COPY])
    worker(deployment, bug, "victim")


def settle(deployment: Deployment, bug: str) -> None:
    """Return once all that was sent is applied, though no owner of a lane stops the one before it.

    A commit of the one before may set a committed position back, behind what the owner has read and will not
    read again: whoever starts from there does.
    """
    try:
        deployment.settle()
    except LagError:
        if bug != fence_nobody.__name__:
            raise
        for each in deployment.workers:
            each.kill()
        worker(deployment, bug, "next")
        deployment.settle()


def short_storm(deployment: Deployment, bug: str, injuries: Sequence[Injure]) -> Report:
    """Send a small load, injure the first worker in the middle of it; return what the verification finds."""
    victim = worker(deployment, bug, "victim")
    hurt = {3 + 2 * n: injure for n, injure in enumerate(injuries)}
    for stage in Load(seed=3, accounts=200, events=4_000, stages=6).stages():
        if stage.settled:
            settle(deployment, bug)
        hurt.get(stage.number, unhurt)(deployment, bug, stage, victim)
    settle(deployment, bug)
    return deployment.verify()[1]


@pytest.mark.long
def test_a_short_storm_holds_without_a_bug(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy("right")

    report = short_storm(deployment, "nothing", [kill, freeze])

    assert_holds(report)
    assert deployment.aborted() > 0


@pytest.mark.parametrize(
    ("bug", "injuries", "found"),
    [
        ("commit_offsets_before_state", [kill, kill], {8}),  # one may come after its transaction's end
        ("forget_ids", [unhurt], {2, 8}),
        ("fence_nobody", [freeze], {1, 2, 8}),
        pytest.param("start_empty", [kill], {2, 7, 8}, marks=pytest.mark.long),
        pytest.param("believe_the_store", [copy_stores, old_stores], {7}, marks=pytest.mark.long),
    ],
)
def test_a_planted_bug_is_found(
    bug: str,
    injuries: Sequence[Injure],
    found: set[int],
    *,
    deploy: Callable[..., Deployment],
    tell: Callable[[str], None],
    report: Entry,
) -> None:
    deployment = deploy(bug, store="rocksdb" if old_stores in injuries else "memory")

    judged = short_storm(deployment, bug, injuries)

    shown = [f"{line:.150}" for line in broken(judged)[:3]]
    tell("\n  ".join([f"planted: {bug}; broken: invariants {sorted(judged.failing())}", *shown]))
    assert judged.failing() >= found
    report.inject(Kind.PLANTED)
    report.verdict = "holds"  # what was to be found, was

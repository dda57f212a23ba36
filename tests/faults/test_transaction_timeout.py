"""The broker gives up the open transaction of a worker that is dead or frozen; the lane goes on exactly."""

import signal
import sys
from collections.abc import Callable, Sequence

import pytest
from confluent_kafka import IsolationLevel

from streams.topics import LEDGER
from tests.faults.deployment import Deployment, assert_holds, wait_until
from tests.faults.injuries import Injuries
from tests.faults.inputs import Load, Stage
from tests.faults.outcome import differences, outcome
from tests.faults.report import Entry
from tests.faults.test_storm import run_undisturbed

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the folding process in /proc"),
]
TIMEOUT_SECONDS = 5


@pytest.fixture
def deployment(deploy: Callable[..., Deployment]) -> Deployment:
    """Transactions of its workers are given up soon."""
    return deploy("timeout", transaction_timeout_seconds=TIMEOUT_SECONDS)


def test_a_worker_killed_in_a_transaction_and_back_after_its_timeout_goes_on_exactly(
    deployment: Deployment, deploy: Callable[[str], Deployment], report: Entry
) -> None:
    stages, injuries = load(), Injuries(deployment)
    worker = deployment.start_worker()

    sent = 0
    while sent == 0 or not is_open(deployment):  # a kill may come when the commit is through
        with injuries.kill_in_a_transaction(worker):
            sent = send_next(deployment, stages, sent)
        worker.kill()
        if not is_open(deployment):
            worker = deployment.start_worker()
    wait_until(lambda: not is_open(deployment), "the broker giving the transaction up", seconds=60)
    worker = deployment.start_worker()
    send_rest(deployment, stages, sent)

    exact(deployment, deploy, injuries, stages, report)
    assert worker.restarts == 0


def test_a_worker_frozen_in_a_transaction_beyond_its_timeout_stops_and_goes_on_exactly(
    deployment: Deployment, deploy: Callable[[str], Deployment], report: Entry
) -> None:
    stages, injuries = load(), Injuries(deployment)
    worker = deployment.start_worker()

    sent = 0
    while True:
        with injuries.freeze_in_a_transaction(worker):
            sent = send_next(deployment, stages, sent)
        if is_open(deployment):
            break
        go_on(injuries)
    wait_until(lambda: not is_open(deployment), "the broker giving the transaction up", seconds=60)
    restarts = worker.restarts
    go_on(injuries)
    wait_until(lambda: worker.restarts > restarts, "the refusal of what was frozen")
    send_rest(deployment, stages, sent)

    exact(deployment, deploy, injuries, stages, report)


def load() -> list[Stage]:
    """Return stages with work enough to be met in."""
    return list(Load(seed=41, accounts=300, events=20_000, stages=10).stages())


def send_next(deployment: Deployment, stages: Sequence[Stage], sent: int) -> int:
    """Send the opening first, later a stage of usage; return how many were sent."""
    if sent == 0:
        deployment.send(stages[0].records, stages[0].tick)
        sent = 1
    if stages[sent].settled:
        deployment.settle()
    deployment.send(stages[sent].records, stages[sent].tick)
    return sent + 1


def send_rest(deployment: Deployment, stages: Sequence[Stage], sent: int) -> None:
    """Send what is left; return when it is applied."""
    while sent < len(stages):
        sent = send_next(deployment, stages, sent)
    deployment.settle()


def is_open(deployment: Deployment) -> bool:
    """Tell whether a transaction holds readers of the ledger back."""
    ends = [
        deployment.ends(LEDGER.name, level)
        for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
    ]
    return ends[0] != ends[1]


def go_on(injuries: Injuries) -> None:
    """Let what is frozen go on."""
    injury = injuries.done[-1]
    assert injury.frozen is not None
    injury.frozen.send(signal.SIGCONT)
    injury.frozen = None


def exact(
    deployment: Deployment,
    deploy: Callable[[str], Deployment],
    injuries: Injuries,
    stages: Sequence[Stage],
    report: Entry,
) -> None:
    """Fail where the deployment differs from one that nobody hurt."""
    topics, found = deployment.verify()
    report.took(deployment, injuries)
    report.judged(found)
    undisturbed = run_undisturbed(deploy("calm"), stages)

    assert_holds(found)
    assert differences(undisturbed, outcome(topics)) == []
    assert deployment.aborted() > 0

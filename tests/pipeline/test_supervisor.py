"""A supervised worker: how it comes back, how it ends, and that nobody waits for its session to be over."""

import signal
import subprocess

import pytest

from local.process import ProcessId
from tests.pipeline.deployment import Deploy, Deployment, Process, publish_price, until

pytestmark = pytest.mark.kafka

SESSION_SECONDS = 300.0
"""Longer than any wait in here."""


class Pair:
    """Two supervised workers without names, with a lane each."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        publish_price(deployment)
        deployment.emit.settings(
            account_id="acme",
            revision=1,
            currency="USD",
            zone="UTC",
            changed_at="2024-09-01T00:00Z",
            changed_by="test",
        )
        self.first, self.second = deployment.start("worker"), deployment.start("worker")
        until(lambda: lanes(self.first) == lanes(self.second) == 1, "a lane for each")

    def use(self, event: str) -> None:
        """Use something, and let the clock tick in both lanes; return when all of it is booked."""
        self.deployment.emit.usage(
            account_id="acme",
            source="test",
            event_id=event,
            meter="calls",
            quantity=1,
            occurred_at="2024-09-10T12:00Z",
        )
        self.deployment.tick("2024-09-10T13:00Z")


def lanes(worker: Process) -> int:
    """Return how many lanes a worker's process has open, by what it says."""
    said = worker.said.rpartition("worker starts")[2]
    return said.count("lane opened") - said.count("lane closed")


def child(worker: Process) -> ProcessId:
    """Return the process that folds for a supervisor."""
    assert worker.id is not None
    found = subprocess.run(
        ["pgrep", "-P", str(worker.id.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert len(found) == 1
    process = ProcessId.of(int(found[0]))
    assert process is not None
    return process


@pytest.fixture(scope="module")
def pair(deploy: Deploy) -> Pair:
    return Pair(deploy(session_timeout_seconds=SESSION_SECONDS))


def test_a_killed_worker_takes_its_lanes_back_at_once(pair: Pair) -> None:
    pair.use("before")
    other = child(pair.second)

    child(pair.first).send(signal.SIGKILL)
    until(lambda: "worker ended with -9; starting again in 0.5 s" in pair.first.said, "the end")
    until(lambda: lanes(pair.first) == 1, "its lane again")
    pair.use("after")

    assert child(pair.second) == other
    assert lanes(pair.second) == 1
    assert len(pair.deployment.read("ledger-entries")) == 2


def test_a_worker_that_is_told_to_stop_leaves_its_lanes_to_the_other_at_once(pair: Pair) -> None:
    last = child(pair.first)

    code = pair.first.stop()
    until(lambda: lanes(pair.second) == 2, "both lanes")
    pair.use("when it was gone")

    assert code == 0
    assert not last.is_alive()
    pair.deployment.verify()


def test_a_worker_ends_with_its_supervisor(pair: Pair) -> None:
    last = child(pair.second)

    pair.second.kill()

    until(lambda: not last.is_alive(), "the worker's end")

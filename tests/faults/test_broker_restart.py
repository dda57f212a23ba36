"""Kafka itself goes away under load: the workers come back by themselves, and nothing is lost or doubled."""

import sys
import time
from collections.abc import Callable

import pytest

import local
from tests.faults.deployment import Deployment, broken, wait_until
from tests.faults.injuries import Injuries, table
from tests.faults.inputs import Load

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the folding process in /proc"),
]


def test_workers_outlive_a_killed_and_a_restarted_broker_and_lose_nothing(
    own_kafka: local.Broker, deploy: Callable[[str], Deployment], tell: Callable[[str], None]
) -> None:
    deployment = deploy("broker")
    made = Load(seed=2, accounts=500, events=16_000, stages=8)
    deployment.start_worker()
    deployment.start_worker()
    injuries = Injuries(deployment)

    for stage in made.stages():
        if stage.settled:
            deployment.settle()
        half = len(stage.records) // 2
        match stage.number:
            case 3:
                with injuries.broker("kill of the broker", own_kafka.kill):
                    deployment.send(stage.records[:half])
                own_kafka.restart()
            case 5:
                with injuries.broker("restart of the broker", own_kafka.restart):
                    deployment.send(stage.records[:half])
            case _:
                deployment.send(stage.records[:half])
        deployment.send(stage.records[half:], stage.tick)
        injuries.wait_for_recovery()
    deployment.settle()
    _, report = deployment.verify()
    rows = [(injury.what, injury) for injury in injuries.done]
    restarts = sum(worker.restarts for worker in deployment.workers)
    tell(table("broker", [*rows, ("children started again", restarts)]))

    assert broken(report) == []
    assert len(injuries.done) == 2


def test_workers_wait_for_a_broker_that_stays_away_longer_than_they_try(
    own_kafka: local.Broker, deploy: Callable[[str], Deployment], tell: Callable[[str], None]
) -> None:
    deployment = deploy("outage")
    made = Load(seed=2, accounts=50, events=600, stages=6)
    worker = deployment.start_worker()
    (opening, first, *rest) = made.stages()
    deployment.send(opening.records, opening.tick)
    deployment.settle()

    deployment.send(first.records, first.tick)
    own_kafka.kill()
    began = time.monotonic()
    # Until a child that was started in the outage has given up.
    wait_until(lambda: worker.restarts >= 2 or worker.child() is None, "a second end of the child")
    own_kafka.restart()
    for stage in rest:
        deployment.send(stage.records, stage.tick)
    deployment.settle()
    _, report = deployment.verify()
    tell(table("outage", [("seconds without a broker", f"{time.monotonic() - began:.0f}")]))

    assert broken(report) == []

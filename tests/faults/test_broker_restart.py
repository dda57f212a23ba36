"""Kafka itself goes away under load: the workers come back by themselves, and nothing is lost or doubled."""

import sys
from collections.abc import Callable

import pytest

import local
from tests.faults.deployment import Deployment, assert_holds, wait_until
from tests.faults.injuries import Injuries, table
from tests.faults.inputs import Load
from tests.faults.outcome import differences, outcome
from tests.faults.report import Entry
from tests.faults.test_storm import run_undisturbed

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the folding process in /proc"),
]


def test_workers_outlive_a_killed_and_a_restarted_broker_and_lose_nothing(
    own_kafka: local.Broker, deploy: Callable[[str], Deployment], tell: Callable[[str], None], report: Entry
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
    _, found = deployment.verify()
    report.took(deployment, injuries)
    report.judged(found)
    rows = [(injury.what, injury) for injury in injuries.done]
    restarts = sum(worker.restarts for worker in deployment.workers)
    tell(table("broker", [*rows, ("children started again", restarts)]))

    assert_holds(found)
    assert len(injuries.done) == 2


KILLS = 16
"""Three more are in test_brokers.py, one above."""


@pytest.mark.long
@pytest.mark.timeout(900)
def test_many_kills_of_the_broker_change_no_charge_tax_line_or_balance(
    own_kafka: local.Broker, deploy: Callable[[str], Deployment], tell: Callable[[str], None], report: Entry
) -> None:
    stages = list(Load(seed=51, accounts=500, events=32_000, stages=KILLS + 2).stages())
    undisturbed = run_undisturbed(deploy("calm"), stages)
    deployment = deploy("kills")
    deployment.start_worker()
    deployment.start_worker()
    injuries = Injuries(deployment)

    for stage in stages:
        if stage.settled:
            deployment.settle()
        half = len(stage.records) // 2
        if 1 <= stage.number <= KILLS:
            with injuries.broker("kill of the broker", own_kafka.kill):
                deployment.send(stage.records[:half])
            own_kafka.restart()
        else:
            deployment.send(stage.records[:half])
        deployment.send(stage.records[half:], stage.tick)
        injuries.wait_for_recovery()
    deployment.settle()
    topics, found = deployment.verify()
    report.took(deployment, injuries)
    report.judged(found)
    restarts = sum(worker.restarts for worker in deployment.workers)
    rows = [("children started again", restarts), *((injury.what, injury) for injury in injuries.done)]
    tell(table("kills of the broker", rows))

    assert_holds(found)
    assert differences(undisturbed, outcome(topics)) == []
    assert len(injuries.done) == KILLS


@pytest.mark.long
def test_a_worker_that_is_started_again_while_the_broker_is_away_waits_for_it(
    own_kafka: local.Broker, deploy: Callable[[str], Deployment]
) -> None:
    deployment = deploy("outage")
    worker = deployment.start_worker()
    wait_until(worker.lanes, "its lanes")
    child = worker.child()
    assert child is not None

    own_kafka.kill()
    child.kill()
    try:
        wait_until(lambda: worker.restarts > 1 or worker.is_gone(), "the end of the next try", seconds=60)
    finally:
        own_kafka.restart()

    assert not worker.is_gone()
    wait_until(worker.lanes, "its lanes")

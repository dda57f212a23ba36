"""Three brokers with three copies of everything: each is killed in turn under load, and no record is lost.

What is committed is on two of them at least, so the lanes go on while one is away.
"""

import sys
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient

from streams import topic_admin
from tests.faults.cluster import Three, three
from tests.faults.deployment import Deployment, assert_holds, wait_until
from tests.faults.injuries import Injuries, table
from tests.faults.inputs import Load
from tests.faults.outcome import differences, outcome
from tests.faults.report import Entry
from tests.faults.test_storm import run_undisturbed

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the folding process in /proc"),
]
COPIES = 3
ROUNDS = 1


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Three]:
    """Three brokers."""
    with three(tmp_path_factory.mktemp("brokers")) as there:
        yield there


@pytest.fixture
def servers(cluster: Three) -> str:
    """All three."""
    return cluster.bootstrap_servers


@pytest.mark.timeout(600)
def test_brokers_killed_one_after_the_other_take_no_record_with_them(
    cluster: Three, deploy: Callable[..., Deployment], tell: Callable[[str], None], report: Entry
) -> None:
    stages = list(Load(seed=31, accounts=500, events=20_000, stages=COPIES * ROUNDS + 5).stages())
    deployment = deploy("three", replication=COPIES)
    deployment.start_worker()
    deployment.start_worker()
    injuries = Injuries(deployment)

    for stage in stages:
        if stage.settled:
            deployment.settle()
        half = len(stage.records) // 2
        if not 1 <= stage.number <= COPIES * ROUNDS:
            deployment.send(stage.records, stage.tick)
            continue
        number = stage.number % COPIES
        broker = cluster.brokers[number]
        with injuries.broker(f"kill of broker {number + 1}", broker.kill):
            deployment.send(stage.records[:half])
        deployment.send(stage.records[half:], stage.tick)
        injuries.wait_for_recovery()  # while the broker is away
        broker.restart()
        wait_until(lambda: is_whole(deployment), "three copies of everything", poll=0.3)
    deployment.settle()
    topics, found = deployment.verify()
    report.took(deployment, injuries)
    report.judged(found)
    restarts = sum(worker.restarts for worker in deployment.workers)
    rows = [("children started again", restarts), *((injury.what, injury) for injury in injuries.done)]
    tell(table("three brokers", rows))
    undisturbed = run_undisturbed(deploy("calm", replication=COPIES), stages)

    assert_holds(found)
    assert differences(undisturbed, outcome(topics)) == []
    assert len(injuries.done) == COPIES * ROUNDS


def is_whole(deployment: Deployment) -> bool:
    """Tell whether every partition has all its copies in step."""
    names = [topic.name for topic in topic_admin.wanted(deployment.settings)]
    client = AdminClient({"bootstrap.servers": deployment.settings.bootstrap_servers, "log_level": 0})
    found = client.describe_topics(TopicCollection(names), request_timeout=10)
    return all(
        len(partition.isr) == COPIES for future in found.values() for partition in future.result().partitions
    )

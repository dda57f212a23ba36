"""Topics are trimmed or made anew: lanes stop and say where and what to do, skip nothing, and can be mended.

A worker stops as a whole with its first lane that stops. Mended as the alarm and docs/operations.md say, the
deployment comes to what an undisturbed one does.
"""

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from streams import topic_admin
from streams.lag import committed_offsets, lanes_group
from streams.lanes.transport import FETCH_WAIT_MS
from streams.topics import STATE_TABLES, USAGE, changelog
from tests.faults.deployment import LANES, Deployment, Worker, wait_until
from tests.faults.inputs import Load, Stage
from tests.faults.outcome import Outcome, differences, outcome
from tests.faults.report import Entry, Kind
from tests.faults.test_storm import run_undisturbed

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the folding process in /proc"),
]
LANE = 1
LEFT = 3
"""Records that the trimming leaves in the lane."""
DOWN, FROZEN, RUNNING = "down", "frozen", "running"


@pytest.mark.parametrize("state", [DOWN, FROZEN])
def test_a_topic_trimmed_below_the_next_offset_stops_the_lane_with_an_alarm(
    state: str, deploy: Callable[[str], Deployment], report: Entry
) -> None:
    stages = some_stages()
    deployment = deploy("trimmed")
    worker = first_half(deployment, stages)
    offset = next_offsets(deployment)[LANE]

    with out_of_the_way(worker, state):
        deployment.send(stages[2].records)
        start = deployment.ends(USAGE.name)[LANE] - LEFT
        trim(deployment, start)
    report.inject(Kind.TOPIC)
    worker = worker if state == FROZEN else deployment.start_worker()
    wait_until(lambda: worker.restarts >= 2, "the alarm, again after a restart")

    place = f"{deployment.settings.topic(USAGE.name)}-{LANE}"
    end = deployment.ends(USAGE.name)[LANE]
    assert worker.said(f"{place}: next offset {offset} is outside the log ({start}..{end})")
    assert worker.said("Have what is missing sent again, then move the offset: see docs/operations.md")
    assert next_offsets(deployment)[LANE] == offset

    worker.kill()
    move_offsets(deployment, {LANE: start})
    mended_as_if_nothing_had_been(deploy, deployment, stages, report)


@pytest.mark.parametrize("state", [RUNNING, DOWN, FROZEN])
def test_a_topic_made_anew_stops_the_lane_with_an_alarm(
    state: str, deploy: Callable[[str], Deployment], report: Entry
) -> None:
    stages = some_stages()
    deployment = deploy("anew")
    worker = first_half(deployment, stages)
    before, old = next_offsets(deployment), usage_id(deployment)

    with out_of_the_way(worker, state):
        make_anew(deployment, [deployment.settings.topic(USAGE.name)])
        if state == FROZEN:  # more than the old one had: no offset is outside the log
            deployment.send(stages[1].records)
        deployment.send(stages[2].records)
    report.inject(Kind.TOPIC)
    worker = deployment.start_worker() if state == DOWN else worker
    wait_until(lambda: worker.restarts >= 2, "the alarm, again after a restart")

    new, topic = usage_id(deployment), deployment.settings.topic(USAGE.name)
    assert any(
        worker.said(
            f"{topic}-{n}: the topic was made anew (id {new}) since this lane read it (id {old}) up to"
        )
        for n in range(LANES)
    )
    assert worker.said(f"EVERGREEN_ACCEPT_TOPICS={new}: see docs/operations.md")
    if state == DOWN:
        assert any(worker.said(f"(id {old}) up to offset {before[n]}.") for n in range(LANES))
        assert set(next_offsets(deployment).values()) == {-1001}

    worker.kill()
    move_offsets(deployment, dict.fromkeys(range(LANES), 0))
    deployment.environment["EVERGREEN_ACCEPT_TOPICS"] = new
    mended_as_if_nothing_had_been(deploy, deployment, stages, report)


def test_changelogs_made_anew_refuse_every_worker(deploy: Callable[[str], Deployment], report: Entry) -> None:
    deployment, stages = deploy("amnesia"), some_stages()
    worker = first_half(deployment, stages)
    worker.end()
    application = deployment.settings.application

    make_anew(deployment, [changelog(application, table) for table in STATE_TABLES])
    report.inject(Kind.TOPIC)
    commits = len(deployment.journal.commits)
    worker = deployment.start_worker()
    wait_until(worker.is_gone, "the end of a worker without state")

    assert worker.said(f"evergreen: {changelog(application, 'lane')}-")
    assert worker.said("the state of this lane is gone")
    assert len(deployment.journal.commits) == commits
    report.verdict = "holds"


def some_stages() -> list[Stage]:
    """Return the opening and two stages of usage, before any month closes."""
    return list(Load(seed=4, accounts=100, events=6_000, stages=10).stages())[:3]


def first_half(deployment: Deployment, stages: Sequence[Stage]) -> Worker:
    """Apply all but the last stage."""
    deployment.environment["EVERGREEN_LOG_FORMAT"] = "json"  # an alarm on one line
    worker = deployment.start_worker()
    for stage in stages[:-1]:
        deployment.send(stage.records, stage.tick)
        deployment.settle()
    return worker


@contextmanager
def out_of_the_way(worker: Worker, state: str) -> Iterator[None]:
    """Have the worker look away during the block; one that is down stays so."""
    child = worker.child()
    assert child is not None
    if state == DOWN:
        worker.end()
    elif state == FROZEN:
        child.send(signal.SIGSTOP)
        time.sleep(5 * FETCH_WAIT_MS / 1000)  # a fetch that it had asked for would bring what is sent now
    yield
    if state == FROZEN:
        child.send(signal.SIGCONT)


def mended_as_if_nothing_had_been(
    deploy: Callable[[str], Deployment], deployment: Deployment, stages: Sequence[Stage], report: Entry
) -> None:
    """Send again what may be missing; the books must then be those of an undisturbed run."""
    deployment.start_worker()
    last = stages[-1]
    deployment.send(last.records, last.tick)
    deployment.settle()
    report.took(deployment)
    undisturbed = run_undisturbed(deploy("calm"), stages)

    assert differences(books(undisturbed), books(outcome(deployment.read()))) == []
    report.verdict = "holds"


def books(of: Outcome) -> Outcome:
    """Leave out dead letters: they name offsets, and were sent again."""
    return replace(of, dead_letters=type(of.dead_letters)())


def trim(deployment: Deployment, start: int) -> None:
    """Delete what stands before an offset of the lane's usage."""
    place = TopicPartition(deployment.settings.topic(USAGE.name), LANE, start)
    client = admin(deployment)  # answers come only while it lives
    for future in client.delete_records([place]).values():
        future.result(20)


def make_anew(deployment: Deployment, names: Sequence[str]) -> None:
    """Delete topics, and create them again."""
    client = admin(deployment)
    for future in client.delete_topics(list(names)).values():
        future.result(20)
    wait_until(lambda: not set(names) & client.list_topics(timeout=10).topics.keys(), f"the end of {names}")
    topic_admin.create(deployment.settings)


def usage_id(deployment: Deployment) -> str:
    """Return the id of the topic that is there now."""
    return topic_admin.topic_ids(deployment.settings)[deployment.settings.topic(USAGE.name)]


def next_offsets(deployment: Deployment) -> dict[int, int]:
    """Return the lanes' committed offsets of usage."""
    name = deployment.settings.topic(USAGE.name)
    places = [TopicPartition(name, lane) for lane in range(LANES)]
    settings = deployment.settings
    found = committed_offsets(settings.bootstrap_servers, lanes_group(settings), places)
    return {lane: offset for (_, lane), offset in found.items()}


def move_offsets(deployment: Deployment, offsets: dict[int, int]) -> None:
    """Do what kafka-consumer-groups --reset-offsets does, once the group has no member."""
    group, name = lanes_group(deployment.settings), deployment.settings.topic(USAGE.name)
    consumer = Consumer({"bootstrap.servers": deployment.settings.bootstrap_servers, "group.id": group})
    places = [TopicPartition(name, lane, offset) for lane, offset in offsets.items()]

    def moved() -> bool:
        try:
            return all(place.error is None for place in consumer.commit(offsets=places, asynchronous=False))
        except KafkaException:  # the killed worker is a member until its session is over
            return False

    wait_until(moved, "the offsets to be moved", poll=0.5)
    consumer.close()


def admin(deployment: Deployment) -> AdminClient:
    """Return a client of its own: a kept one would go on with what it knew of the old topic."""
    return AdminClient({"bootstrap.servers": deployment.settings.bootstrap_servers, "log_level": 0})

"""The lanes of one worker: which are open, what a rebalance does to them, how a fault ends the process."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from streams.lanes.group import LaneGroup
from streams.lanes.lane import Pace
from tests.unit.lanes.doubles import CLUSTER, Job, World, fetch, quiet, until


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


@pytest.fixture
def faults() -> list[tuple[int, str]]:
    return []


@pytest.fixture
async def group(world: World, faults: list[tuple[int, str]]) -> AsyncIterator[LaneGroup]:
    made = LaneGroup(
        job=Job(),
        cluster=CLUSTER,
        pace=Pace(gather_seconds=0, batch_records=100),
        observer=world.observer,
        on_fault=lambda lane, fault: faults.append((lane, str(fault))),
    )
    made.attach(world.reach)
    yield made
    for producer in world.producers.values():
        producer.gate.set()
        producer.open_gate.set()
    await made.assign([])


async def test_lanes_are_open_once_they_are_restored(world: World, group: LaneGroup) -> None:
    world.producer(1).open_gate.clear()

    await group.assign([2, 0, 1])
    await until(lambda: group.open_lanes == [0, 2])
    await quiet()
    before = group.open_lanes
    world.producer(1).open_gate.set()
    await until(lambda: group.open_lanes == [0, 1, 2])

    assert before == [0, 2]


async def test_a_fetch_goes_to_its_lane_and_one_of_a_lane_that_is_elsewhere_nowhere(
    world: World, group: LaneGroup
) -> None:
    await group.assign([0])
    await until(lambda: group.open_lanes == [0])

    here, elsewhere = fetch("a", 0, lane=0), fetch("a", 0, lane=1)
    wanted = (group.wants(here), group.wants(elsewhere))
    group.deliver(elsewhere)
    group.deliver(here)
    await until(lambda: world.producer(0).commits)

    assert wanted == (True, False)
    assert 1 not in world.producers


async def test_lanes_that_went_elsewhere_are_closed_and_those_that_stay_read_on(
    world: World, group: LaneGroup
) -> None:
    await group.assign([0, 1])
    await until(lambda: group.open_lanes == [0, 1])
    group.deliver(fetch("a", 0, 1, lane=0))
    await until(lambda: world.producer(0).commits)
    world.reach.seeks.clear()

    await group.assign([0, 2])
    await until(lambda: group.open_lanes == [0, 2] and {"a": 2, "b": 0, "ticks": 0} in world.reach.seeks)

    assert world.producer(1).closed
    assert not world.producer(0).closed
    assert "closed 1" in world.observer.told


async def test_a_quiet_group_commits_nothing_until_the_next_assignment(
    world: World, group: LaneGroup
) -> None:
    await group.assign([0])
    await until(lambda: group.open_lanes == [0])

    await group.quiesce()
    await group.quiesce()  # two revocations in a row
    group.deliver(fetch("a", 0))
    await quiet()
    while_quiet = list(world.producer(0).commits)
    await group.assign([0])
    await until(lambda: world.producer(0).commits)

    assert while_quiet == []


async def test_quieting_waits_for_the_commit_under_way(world: World, group: LaneGroup) -> None:
    await group.assign([0])
    await until(lambda: group.open_lanes == [0])
    world.producer(0).gate.clear()
    group.deliver(fetch("a", 0))
    await until(lambda: world.producer(0).waiting)

    quieting = asyncio.create_task(group.quiesce())
    await quiet()
    before = quieting.done()
    world.producer(0).gate.set()
    await quieting

    assert not before
    assert len(world.producer(0).commits) == 1


async def test_a_lane_held_by_a_revocation_can_be_closed_and_opened_again(
    world: World, group: LaneGroup
) -> None:
    await group.assign([0, 1])
    await until(lambda: group.open_lanes == [0, 1])

    await group.quiesce()
    await group.assign([1])
    await group.quiesce()
    await group.assign([0, 1])
    await until(lambda: group.open_lanes == [0, 1])
    group.deliver(fetch("a", 0, lane=0))
    await until(lambda: world.producer(0).commits)

    assert world.observer.told.count("opened 0") == 2
    assert world.observer.told.count("opened 1") == 1


async def test_a_lane_that_still_opens_is_given_up_at_once(world: World, group: LaneGroup) -> None:
    world.producer(0).open_gate.clear()
    await group.assign([0])
    await quiet()

    async with asyncio.timeout(5):
        await group.assign([])

    assert group.open_lanes == []
    assert world.observer.told == ["closed 0"]


async def test_a_lanes_fault_is_told_and_ends_the_process(
    world: World, group: LaneGroup, faults: list[tuple[int, str]]
) -> None:
    await group.assign([0])
    await until(lambda: group.open_lanes == [0])
    world.producer(0).fails = True

    group.deliver(fetch("a", 0))
    await until(lambda: faults)

    assert faults == [(0, "fenced")]
    assert "faulted 0 fenced" in world.observer.told


async def test_lanes_need_a_consumer(world: World) -> None:
    lost = LaneGroup(
        job=Job(), cluster=CLUSTER, pace=Pace(gather_seconds=0, batch_records=1), observer=world.observer
    )

    with pytest.raises(AssertionError, match="attached"):
        await lost.assign([0])

"""A lane of a replay folds what the script says, in its order, and nothing else."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest

from streams.lanes import replay
from streams.lanes.job import Record, Run
from streams.lanes.lane import Pace
from streams.lanes.replay import ReplayingLane, ScriptError, Step
from tests.unit.lanes.doubles import CLUSTER, Job, Line, World, fetch, until


class Log:
    """Inputs that hold every offset that is asked for; a tick's value says how much work it leaves."""

    def __init__(self, touched: bool, work: int) -> None:
        self.touched = touched
        self.work = work
        self.is_closed = False

    async def open(self, topics: Sequence[str], offsets: Mapping[str, int]) -> set[str]:
        return set() if self.touched else set(topics)

    async def read(self, run: Run) -> Sequence[Record]:
        await asyncio.sleep(0)
        value = b"%d" % self.work if run.topic == "ticks" else b"v"
        return [Line(offset, value) for offset in range(run.start, run.stop)]

    async def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


@asynccontextmanager
async def replaying(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    steps: Sequence[Step],
    *,
    touched: bool = False,
    work: int = 0,
    batch_records: int = 100,
) -> AsyncIterator[tuple[ReplayingLane, Job, "asyncio.Task[None]"]]:
    """Run lane 0 over the steps for the block."""
    log = Log(touched, work)
    monkeypatch.setattr(replay, "InputLog", lambda *_: log)

    async def script(lane: int) -> AsyncGenerator[Step, None]:
        for step in steps:
            yield step

    job = Job()
    pace = Pace(gather_seconds=0, batch_records=batch_records)
    lane = ReplayingLane(
        0, script=script, job=job, cluster=CLUSTER, pace=pace, reach=world.reach, observer=world.observer
    )
    task = asyncio.create_task(lane.run())
    try:
        await until(lambda: lane.at_end.is_set() or task.done())
        yield lane, job, task
        lane.stop()
        await asyncio.wait([task], timeout=5)
    finally:
        task.cancel()
    assert log.is_closed


def step(*runs: tuple[str, int, int], **stood: int) -> Step:
    return Step(runs=[Run(*run) for run in runs], stood=stood)


STEPS = [
    step(("b", 0, 2), ("a", 0, 1)),
    step(("a", 1, 2), ("ticks", 0, 1), a=2, b=2),
    step(),
    step(("a", 2, 3)),
    step(("b", 2, 3), ("ticks", 1, 2), ("ticks", 2, 3), a=3, b=2),
]


def seen(job: Job) -> list[str]:
    assert job.fold is not None
    return job.fold.seen


async def test_the_script_alone_says_what_is_folded_and_in_which_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replaying(world, monkeypatch, STEPS) as (lane, job, _):
        assert seen(job) == ["b@0", "b@1", "a@0", "a@1", "tick@0", "a@2", "b@2", "tick@1", "tick@2"]
        assert not lane.wants(fetch("a", 3))


async def test_a_barrier_is_told_where_the_inputs_stood_and_ends_its_batch(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replaying(world, monkeypatch, STEPS) as (_, job, _task):
        assert job.fold is not None
        assert job.fold.ends == [{"a": 2, "b": 2}, {"a": 3, "b": 2}, {"a": 3, "b": 2}]

    offsets = [commit.offsets for commit in world.producer(0).commits]
    assert [{topic: offset for topic, (offset, _) in of.items()} for of in offsets] == [
        {"a": 2, "b": 2, "ticks": 1},
        {"a": 3, "b": 3, "ticks": 3},
    ]


async def test_the_work_of_a_barrier_is_done_before_anything_else_is_folded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replaying(world, monkeypatch, STEPS[:4], work=2) as (_, job, _task):
        assert seen(job)[-4:] == ["tick@0", "work", "work", "a@2"]


async def test_a_full_batch_is_committed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with replaying(world, monkeypatch, STEPS[:2], batch_records=1):
        assert len(world.producer(0).commits) == 2


async def test_what_was_replayed_before_is_not_folded_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.next_offsets = {"a": 2, "b": 2, "ticks": 1}

    async with replaying(world, monkeypatch, STEPS, touched=True) as (_, job, _task):
        assert seen(job) == ["a@2", "b@2", "tick@1", "tick@2"]


@pytest.mark.parametrize(
    ("start", "touched"),
    [({"a": 1, "b": 0, "ticks": 0}, False), ({"a": 0, "b": 1, "ticks": 0}, True)],
    ids=["the head of an input is gone", "the replay of something else"],
)
async def test_a_script_that_does_not_fit_stops_the_lane_before_it_commits(
    world: World, monkeypatch: pytest.MonkeyPatch, start: dict[str, int], touched: bool
) -> None:
    world.next_offsets = start

    async with replaying(world, monkeypatch, STEPS, touched=touched) as (_, _job, task):
        with pytest.raises(ScriptError, match="would go on at 0, and is at 1"):
            await task

    assert world.producer(0).commits == []

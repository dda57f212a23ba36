"""A lane's own logic: what it takes of what the consumer hands over, and what it commits, in which order."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from streams.lanes import lane as lane_module
from streams.lanes.lane import STEP_RECORDS, TURN_SECONDS, Fetch, Lane
from streams.lanes.transaction import UNFINISHED
from tests.unit.lanes.doubles import Job, Line, World, fetch, quiet, until


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


@asynccontextmanager
async def running(world: World, job: Job, **pace: Any) -> AsyncIterator[Lane]:
    """Run a lane for the block, opened; then let it end."""
    lane = world.lane(job, **pace)
    task = asyncio.create_task(lane.run())
    try:
        await until(lambda: lane.is_ready or task.done())
        yield lane
        lane.stop()
        async with asyncio.timeout(5):
            await task
    finally:
        task.cancel()


def seen(job: Job) -> list[str]:
    assert job.fold is not None
    return job.fold.seen


def tick(offset: int, work: int = 0) -> Fetch:
    """Return a fetch of one tick that leaves so many chunks of work."""
    return Fetch("ticks", 0, [Line(offset, b"%d" % work)], offset, offset + 1, offset + 1)


def held(world: World) -> Callable[[], bool]:
    """Hold the next commit; return whether one is held."""
    world.producer(0).gate.clear()
    return lambda: world.producer(0).waiting


# -- what it takes


async def test_an_opening_lane_seeks_to_its_committed_offsets_and_then_folds(world: World) -> None:
    world.next_offsets = {"a": 5, "b": 0, "ticks": 3}
    job = Job()

    async with running(world, job) as lane:
        assert world.reach.seeks == [{"a": 5, "b": 0, "ticks": 3}]
        lane.deliver(fetch("a", 5, 6))
        await until(lambda: seen(job))

    assert seen(job) == ["a@5", "a@6"]
    assert world.observer.told[0] == "opened 0"


async def test_what_comes_while_a_lane_opens_is_dropped(world: World) -> None:
    job = Job()
    world.producer(0).open_gate.clear()
    lane = world.lane(job)
    task = asyncio.create_task(lane.run())
    await quiet()

    wanted = lane.wants(fetch("a", 0))
    lane.deliver(fetch("a", 0))
    world.producer(0).open_gate.set()
    await until(lambda: lane.is_ready)
    lane.deliver(fetch("a", 0, 1))
    await until(lambda: seen(job))
    lane.stop()
    await task

    assert not wanted
    assert seen(job) == ["a@0", "a@1"]


async def test_what_a_lane_has_already_is_dropped(world: World) -> None:
    job = Job()

    async with running(world, job) as lane:
        lane.deliver(fetch("a", 0, 1, 2))
        again = lane.wants(fetch("a", 1, 2))
        lane.deliver(fetch("a", 1, 2))
        lane.deliver(fetch("a", 3))
        await until(lambda: len(seen(job)) == 4)

    assert not again
    assert seen(job) == ["a@0", "a@1", "a@2", "a@3"]


async def test_of_an_overlapping_fetch_only_the_news_is_folded(world: World) -> None:
    job = Job()

    async with running(world, job) as lane:
        lane.deliver(fetch("a", 0, 1, 2))
        lane.deliver(fetch("a", 1, 2, 3, 4))
        await until(lambda: len(seen(job)) == 5)

    assert seen(job) == [f"a@{n}" for n in range(5)]


async def test_a_fetch_after_a_lost_one_is_not_taken_and_the_lost_one_is_read_again(world: World) -> None:
    job = Job()

    async with running(world, job) as lane:
        lane.deliver(fetch("a", 0, 1))
        lane.deliver(fetch("a", 5, 6))
        await until(lambda: len(world.reach.seeks) == 2)
        await quiet()
        before = list(seen(job))
        lane.deliver(fetch("a", 2, 3, 4, 5, 6))
        await until(lambda: len(seen(job)) == 7)

    assert world.reach.seeks[1] == {"a": 2}
    assert before == ["a@0", "a@1"]
    assert seen(job) == [f"a@{n}" for n in range(7)]


async def test_offsets_that_hold_no_records_are_no_gap(world: World) -> None:
    """Compaction and transaction markers leave holes; the fetch says from where on it is complete."""
    job = Job()

    async with running(world, job) as lane:
        lane.deliver(fetch("a", 0, 1))
        lane.deliver(fetch("a", 9, start=2))
        lane.deliver(fetch("a", start=10, end=12))
        await until(lambda: len(world.producer(0).commits) > 0 and len(seen(job)) == 3)
        await until(lambda: world.producer(0).commits[-1].offsets.get("a") == (12, ""))

    assert len(world.reach.seeks) == 1
    assert seen(job) == ["a@0", "a@1", "a@9"]


async def test_after_an_assignment_every_input_is_read_on_from_where_the_lane_is(world: World) -> None:
    job = Job()

    async with running(world, job) as lane:
        lane.deliver(fetch("a", 0, 1))
        lane.seek_again()
        await until(lambda: len(world.reach.seeks) == 2)

    assert world.reach.seeks[1] == {"a": 2, "b": 0, "ticks": 0}


async def test_leading_inputs_are_folded_up_to_their_ends_before_any_other(world: World) -> None:
    job = Job(leading=("b",))
    world.reach.stable = {"b": 2}

    async with running(world, job) as lane:
        early = lane.wants(fetch("a", 0))
        lane.deliver(fetch("a", 0))
        lane.deliver(fetch("b", 0, 1))
        await until(lambda: len(world.reach.seeks) == 2)
        lane.deliver(fetch("a", 0))
        await until(lambda: len(seen(job)) == 3)

    assert not early
    assert world.reach.seeks[1] == {"a": 0, "b": 2, "ticks": 0}
    assert seen(job) == ["b@0", "b@1", "a@0"]


async def test_a_lane_with_too_much_queued_pauses_its_inputs_until_it_has_caught_up(world: World) -> None:
    job = Job()

    async with running(world, job, batch_records=10) as lane:
        is_held = held(world)
        lane.deliver(fetch("a", 0))
        await until(is_held)
        lane.deliver(fetch("a", *range(1, 16)))
        assert world.reach.paused == []
        lane.deliver(fetch("b", *range(5)))
        assert world.reach.paused == ["pause"]
        lane.deliver(fetch("a", 16))
        world.producer(0).gate.set()
        await until(lambda: len(seen(job)) == 22)

    assert world.reach.paused == ["pause", "resume"]


# -- what it commits


async def test_a_batch_is_one_commit_of_outputs_table_values_and_offsets(world: World) -> None:
    job = Job()

    async with running(world, job) as lane:
        lane.deliver(fetch("a", 0, 1))
        await until(lambda: world.producer(0).commits)

    (commit,) = world.producer(0).commits
    assert commit.writes == {
        "out": [(b"k", b"v")] * 2,
        "sealed": [(None, b"2")],
        "counts-changelog": [(b"total", b"2")],
    }
    assert commit.offsets["a"] == (2, "")
    assert "b" not in commit.offsets


async def test_state_reaches_the_store_after_its_commit_and_not_before(world: World) -> None:
    job = Job()

    async with running(world, job) as lane:
        is_held = held(world)
        lane.deliver(fetch("a", 0))
        await until(is_held)
        before = job.store.get(b"total")
        world.producer(0).gate.set()
        await until(lambda: job.store.get(b"total"))

    assert before is None
    assert job.store.get(b"total") == b"1"


async def test_what_arrives_during_a_commit_is_the_next_batch(world: World) -> None:
    job = Job()

    async with running(world, job) as lane:
        is_held = held(world)
        lane.deliver(fetch("a", 0))
        await until(is_held)
        lane.deliver(fetch("a", 1, 2))
        lane.deliver(fetch("b", 0))
        await quiet()
        assert seen(job) == ["a@0"]
        world.producer(0).gate.set()
        await until(lambda: len(world.producer(0).commits) == 2)

    assert [c.offsets.get("a") for c in world.producer(0).commits] == [(1, ""), (3, "")]
    assert world.producer(0).commits[1].writes["sealed"] == [(None, b"3")]


async def test_a_full_batch_is_committed_before_more_is_folded(world: World) -> None:
    job = Job()

    async with running(world, job, batch_records=2) as lane:
        is_held = held(world)
        lane.deliver(fetch("a", 0, 1))
        await until(is_held)
        for offset in range(2, 6):
            lane.deliver(fetch("a", offset))
        world.producer(0).gate.set()
        await until(lambda: len(world.producer(0).commits) == 3)

    assert [c.writes["sealed"] for c in world.producer(0).commits] == [[(None, b"2")]] * 3


async def test_a_fetch_larger_than_a_batch_is_committed_in_parts_and_ends_where_it_says(world: World) -> None:
    """Where a part ends is where the next record stands: offsets between the two hold none."""
    job = Job()

    async with running(world, job, batch_records=2) as lane:
        lane.deliver(Fetch("a", 0, [Line(at) for at in (0, 1, 4, 5, 6)], 0, 9, 9))
        await until(lambda: len(world.producer(0).commits) == 3)

    assert [c.offsets["a"] for c in world.producer(0).commits] == [(4, ""), (6, ""), (9, "")]
    assert len(seen(job)) == 5


async def test_fetches_of_one_input_that_follow_each_other_are_one_run(world: World) -> None:
    job = Job()

    async with running(world, job, batch_records=5) as lane:
        is_held = held(world)
        lane.deliver(fetch("b", 0))
        await until(is_held)
        for part in (fetch("a", 0, 1), fetch("a", 2), fetch("b", 1), fetch("a", 3)):
            lane.deliver(part)
        world.producer(0).gate.set()
        await until(lambda: len(world.producer(0).commits) == 2)

    runs = [(run.topic, run.start, run.stop) for run in world.observer.batches[-1].runs]
    assert runs == [("a", 0, 3), ("b", 1, 2), ("a", 3, 4)]


async def test_a_lane_that_is_behind_gathers_and_one_that_has_caught_up_does_not_wait(world: World) -> None:
    job = Job()

    async with running(world, job, gather_seconds=30) as lane:
        lane.deliver(fetch("a", 0, end=3))
        await quiet()
        gathered = list(world.producer(0).commits)
        lane.deliver(fetch("a", 1, 2, end=3))
        await until(lambda: world.producer(0).commits)
        lane.deliver(fetch("a", 3, end=4))
        await until(lambda: len(world.producer(0).commits) == 2)

    assert gathered == []
    assert [c.offsets["a"] for c in world.producer(0).commits] == [(3, ""), (4, "")]
    assert world.observer.lags == [0, 0]


async def test_a_lane_that_is_behind_gathers_no_more_than_a_batch(world: World) -> None:
    job = Job()

    async with running(world, job, gather_seconds=30, batch_records=2) as lane:
        lane.deliver(fetch("a", 0, end=9))
        await quiet()
        gathered = list(world.producer(0).commits)
        lane.deliver(fetch("a", 1, end=9))
        await until(lambda: world.producer(0).commits)

    assert gathered == []
    assert world.producer(0).commits[0].offsets["a"] == (2, "")


async def test_a_failed_commit_ends_the_lane_and_nothing_of_it_reaches_the_store(world: World) -> None:
    job = Job()
    world.producer(0).fails = True
    lane = world.lane(job)
    task = asyncio.create_task(lane.run())
    await until(lambda: lane.is_ready)

    lane.deliver(fetch("a", 0))
    with pytest.raises(ConnectionError, match="fenced"):
        await task

    assert job.store.get(b"total") is None
    assert job.fold is not None
    assert job.fold.committed_batches == 0
    assert not world.producer(0).closed  # its transaction is for the next owner to settle
    assert world.observer.told == ["opened 0", "closed 0"]


async def test_a_lane_that_is_stopped_finishes_the_commit_under_way_and_no_other(world: World) -> None:
    job = Job()
    lane = world.lane(job)
    task = asyncio.create_task(lane.run())
    await until(lambda: lane.is_ready)
    is_held = held(world)
    lane.deliver(fetch("a", 0))
    await until(is_held)

    lane.deliver(fetch("a", 1))
    lane.stop()
    world.producer(0).gate.set()
    await task

    assert [c.offsets["a"] for c in world.producer(0).commits] == [(1, "")]
    assert world.producer(0).closed
    assert not lane.is_ready


async def test_who_holds_the_lane_finds_it_between_two_batches(world: World) -> None:
    job = Job()

    async with running(world, job) as lane:
        is_held = held(world)
        lane.deliver(fetch("a", 0))
        await until(is_held)
        holding = asyncio.create_task(lane.turning.acquire())
        await quiet()
        assert not holding.done()
        world.producer(0).gate.set()
        await holding
        lane.deliver(fetch("a", 1))
        await quiet()
        assert len(world.producer(0).commits) == 1
        lane.turning.release()
        await until(lambda: len(world.producer(0).commits) == 2)


async def test_others_have_the_event_loop_between_the_parts_of_a_long_batch(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, turns, found = Job(), 0, list[int]()

    def slow(_: Any) -> None:
        found.append(turns)
        time.sleep(TURN_SECONDS)

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with running(world, job, batch_records=1_000) as lane:
        assert job.fold is not None
        monkeypatch.setattr(job.fold, "apply", lambda topic, records, batch: slow(topic))
        monkeypatch.setattr(job.fold, "seal", lambda batch: map(slow, range(3)))
        task = asyncio.create_task(other())
        lane.deliver(fetch("a", *range(5 * STEP_RECORDS)))
        await until(lambda: job.fold is not None and job.fold.committed_batches)
        task.cancel()

    assert len(found) == 5 + 3
    assert all(before < after for before, after in pairwise(found))


async def two_lanes_fold(world: World, monkeypatch: pytest.MonkeyPatch, stretch: float) -> list[int]:
    """Give two lanes of one worker four turns each, at once; return whose parts were folded, in order."""
    folded = list[int]()

    def slow(number: int) -> None:
        folded.append(number)
        time.sleep(TURN_SECONDS)

    monkeypatch.setattr(lane_module, "STRETCH_SECONDS", stretch)
    folding, jobs = asyncio.Lock(), (Job(), Job())
    pace: dict[str, Any] = {"folding": folding, "batch_records": 1_000}
    async with running(world, jobs[0], **pace) as a, running(world, jobs[1], number=1, **pace) as b:
        for number, (lane, job) in enumerate(zip((a, b), jobs, strict=True)):
            assert job.fold is not None
            monkeypatch.setattr(job.fold, "apply", lambda topic, records, batch, n=number: slow(n))
            lane.deliver(fetch("a", *range(4 * STEP_RECORDS), lane=number))
        await until(lambda: all(job.fold and job.fold.committed_batches for job in jobs))
    return folded


async def test_one_lane_folds_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await two_lanes_fold(world, monkeypatch, stretch=60) == [0] * 4 + [1] * 4


async def test_a_lane_that_waits_to_fold_is_let_in_after_a_stretch(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await two_lanes_fold(world, monkeypatch, stretch=0) == [0, 1] * 4


async def test_a_lane_commits_while_another_folds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    folding, first, second = asyncio.Lock(), Job(), Job()
    async with (
        running(world, first, folding=folding) as a,
        running(world, second, number=1, folding=folding) as b,
    ):
        is_held = held(world)
        a.deliver(fetch("a", 0))
        await until(is_held)
        b.deliver(fetch("a", 0, lane=1))
        await until(lambda: world.producer(1).commits)
        assert not world.producer(0).commits
        world.producer(0).gate.set()


# -- barriers


async def test_a_tick_waits_for_what_stood_in_the_other_inputs_when_it_was_read(world: World) -> None:
    job = Job()
    world.reach.stable = {"a": 2, "b": 1}

    async with running(world, job) as lane:
        lane.deliver(tick(0))
        await until(lambda: world.reach.asked == 1)
        lane.deliver(fetch("a", 0))
        await until(lambda: len(seen(job)) == 1)
        lane.deliver(fetch("b", 0))
        await until(lambda: len(seen(job)) == 2)
        lane.deliver(fetch("a", 1, 2))
        await until(lambda: "tick@0" in seen(job))

    assert seen(job) == ["a@0", "b@0", "a@1", "a@2", "tick@0"]
    assert world.producer(0).commits[-1].offsets["ticks"] == (1, "")


async def test_a_tick_with_nothing_before_it_is_acted_on_at_once(world: World) -> None:
    job = Job()

    async with running(world, job) as lane:
        lane.deliver(tick(0))
        await until(lambda: seen(job))

    assert seen(job) == ["tick@0"]


async def test_all_ticks_of_a_batch_share_one_asking_and_the_next_is_asked_again(world: World) -> None:
    job = Job()
    world.reach.stable = {"a": 1}

    async with running(world, job) as lane:
        lane.deliver(tick(0))
        lane.deliver(tick(1))
        await until(lambda: world.reach.asked == 2)
        lane.deliver(fetch("a", 0))
        await until(lambda: "tick@1" in seen(job))
        world.reach.stable = {"a": 2}
        lane.deliver(tick(2))
        lane.deliver(fetch("a", 1))
        await until(lambda: "tick@2" in seen(job))

    assert job.fold is not None
    assert [ends["a"] for ends in job.fold.ends] == [1, 1, 2]
    assert world.reach.asked == 3  # the first time for what leads, when the lane opened


async def test_the_work_of_a_tick_goes_on_in_chunks_between_live_records(world: World) -> None:
    job = Job()

    async with running(world, job) as lane:
        is_held = held(world)
        lane.deliver(tick(0, work=3))
        await until(is_held)
        lane.deliver(fetch("a", 0))
        world.producer(0).gate.set()
        await until(lambda: len(seen(job)) == 5)

    assert seen(job) == ["tick@0", "work", "a@0", "work", "work"]


async def test_no_tick_is_acted_on_while_work_of_the_one_before_is_left(world: World) -> None:
    job = Job()

    async with running(world, job) as lane:
        is_held = held(world)
        lane.deliver(tick(0, work=3))
        await until(is_held)
        lane.deliver(tick(1))
        world.producer(0).gate.set()
        await until(lambda: "tick@1" in seen(job))

    assert seen(job) == ["tick@0", "work", "work", "work", "tick@1"]


async def test_a_ticks_offset_says_that_work_is_left_until_none_is(world: World) -> None:
    job = Job()

    async with running(world, job) as lane:
        lane.deliver(tick(0, work=3))
        await until(lambda: len(world.producer(0).commits) == 3)
        lane.deliver(fetch("a", 0))
        await until(lambda: len(world.producer(0).commits) == 4)

    noted = [c.offsets.get("ticks") for c in world.producer(0).commits]
    assert noted == [(1, UNFINISHED), None, (1, ""), None]


async def test_work_that_the_last_owner_left_is_finished_first_and_the_note_taken_back(world: World) -> None:
    world.next_offsets["ticks"] = 4
    job = Job(left=2)

    async with running(world, job) as lane:
        await until(lambda: len(world.producer(0).commits) == 2)
        lane.deliver(fetch("a", 0))
        await until(lambda: len(seen(job)) == 3)

    assert seen(job) == ["work", "work", "a@0"]
    assert [c.offsets.get("ticks") for c in world.producer(0).commits][:2] == [None, (4, "")]


async def test_the_note_is_taken_back_where_the_last_of_the_work_writes_nothing(world: World) -> None:
    world.next_offsets["ticks"] = 4
    job = Job(left=0)

    async with running(world, job):
        await until(lambda: world.producer(0).commits)

    assert [c.offsets for c in world.producer(0).commits] == [{"ticks": (4, "")}]


async def test_a_lane_that_never_had_a_tick_commits_nothing_when_it_opens(world: World) -> None:
    async with running(world, Job()):
        await quiet()

    assert world.producer(0).commits == []


async def test_a_lane_without_a_barrier_topic_works_as_well(world: World) -> None:
    job = Job(barrier_topic=None)

    async with running(world, job) as lane:
        lane.deliver(fetch("ticks", 0))
        await until(lambda: world.producer(0).commits)

    assert seen(job) == ["ticks@0"]
    assert world.producer(0).commits[0].offsets == {"ticks": (1, "")}

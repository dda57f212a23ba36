"""The lanes of one worker: opened and closed as the consumer group assigns them."""

import asyncio
import os
from collections.abc import Callable, Iterable

from streams.lanes.job import Job, Observer
from streams.lanes.lane import Fetch, Lane, Pace, Reach
from streams.lanes.spaces import MemoryKeeper, OpenKeeper
from streams.lanes.transaction import Cluster

FAULT_EXIT = 70
"""Exit code of a worker that stopped rather than commit anything doubtful (EX_SOFTWARE)."""


def exit_at_once(lane: int, fault: BaseException) -> None:
    """End the process with nothing more committed; a supervisor restarts it."""
    os._exit(FAULT_EXIT)


class LaneGroup:
    """Owns every Lane of this process and what runs it."""

    def __init__(
        self,
        *,
        job: Job,
        cluster: Cluster,
        pace: Pace,
        observer: Observer,
        open_keeper: OpenKeeper = MemoryKeeper,
        make_lane: Callable[..., Lane] = Lane,
        on_fault: Callable[[int, BaseException], None] = exit_at_once,
    ) -> None:
        """`make_lane` is Lane or takes what it does; `on_fault` is called with the lane and its exception and
        must end the process.
        """
        self.inputs = tuple(job.inputs)
        self._job = job
        self._cluster = cluster
        self._pace = pace
        self._observer = observer
        self._open_keeper = open_keeper
        self._make_lane = make_lane
        self._on_fault = on_fault
        self._reach: Reach | None = None
        self._lanes: dict[int, Lane] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._held: list[Lane] = []
        self._folding = asyncio.Lock()

    def attach(self, reach: Reach) -> None:
        """Give the lanes their way to the consumer."""
        self._reach = reach

    @property
    def open_lanes(self) -> list[int]:
        """Numbers of the lanes that are restored and fold."""
        return sorted(number for number, lane in self._lanes.items() if lane.is_ready)

    def wants(self, fetch: Fetch) -> bool:
        """Tell whether a fetch is news to its lane."""
        lane = self._lanes.get(fetch.partition)
        return lane is not None and lane.wants(fetch)

    def deliver(self, fetch: Fetch) -> None:
        """Hand a fetch to its lane; one of a lane that is not here is dropped."""
        lane = self._lanes.get(fetch.partition)
        if lane is not None:
            lane.deliver(fetch)

    async def quiesce(self) -> None:
        """Let every lane finish the commit under way and hold it there until the next assignment."""
        for lane in self._lanes.values():
            if lane.is_ready and lane not in self._held:
                await lane.turning.acquire()
                self._held.append(lane)

    async def assign(self, numbers: Iterable[int]) -> None:
        """Own exactly these lanes: those kept go on, those gone are closed, new ones open by themselves."""
        wanted = set(numbers)
        gone = [number for number in self._lanes if number not in wanted]
        ready = {number: self._lanes[number].is_ready for number in gone}
        for number in gone:
            self._lanes[number].stop()
        for number in wanted & set(self._lanes):
            self._lanes[number].seek_again()  # the assignment made the consumer forget where it was
        for lane in self._held:
            lane.turning.release()
        self._held.clear()
        for number in gone:
            lane, task = self._lanes.pop(number), self._tasks.pop(number)
            if not ready[number]:
                task.cancel()
            await asyncio.wait([task])
        for number in sorted(wanted - set(self._lanes)):
            self._open(number)

    def _open(self, number: int) -> None:
        assert self._reach is not None, "lanes were assigned before the consumer was attached"
        lane = self._make_lane(
            number,
            job=self._job,
            cluster=self._cluster,
            pace=self._pace,
            reach=self._reach,
            observer=self._observer,
            open_keeper=self._open_keeper,
            folding=self._folding,
        )
        self._lanes[number] = lane
        task = asyncio.create_task(lane.run(), name=f"lane-{number}")
        task.add_done_callback(lambda done: self._ended(number, done))
        self._tasks[number] = task

    def _ended(self, number: int, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._observer.faulted(number, fault)
            self._on_fault(number, fault)

"""A lane that folds once more what was folded before, in the order that a script tells.

The script says which range of which input comes next, and at a barrier where the inputs stood; so nothing
is asked of the consumer, which hands this lane nothing. All else, commits above all, is the lane's.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.lanes.job import Batch, Record, Run
from streams.lanes.lane import Lane
from streams.lanes.restore import LogChangedError

FETCH_WAIT_MS = 10
"""All that is asked for is there: no fetch has to wait for records that are still to come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one commit folded: ranges of inputs in order, barriers last."""

    runs: Sequence[Run]
    stood: Mapping[str, int]
    """Where the other inputs ended, asked for its barriers; empty without one."""


Script = Callable[[int], AsyncGenerator[Step, None]]
"""The steps of a lane from the first offsets on. The lane is at its end when they are."""


class ScriptError(Exception):
    """The script does not fit the inputs, or what was replayed of them before."""


@dataclass(slots=True)
class Piece:
    """A run with its records."""

    run: Run
    records: Sequence[Record]
    stood: Mapping[str, int]


class ReplayingLane(Lane):
    """One lane of a replay while this worker owns it."""

    def __init__(self, number: int, *, script: Script, **lane: Any) -> None:
        super().__init__(number, **lane)
        self._steps = script(number)
        self._plan: deque[Piece] = deque()
        self._log = InputLog(self._cluster.bootstrap_servers, self._cluster.group, number)
        self._untouched: set[str] = set()  # inputs of which nothing is committed
        self.at_end = asyncio.Event()
        """Set once all steps are committed."""

    def wants(self, fetch: object) -> bool:
        """Take nothing of the consumer."""
        return False

    def seek_again(self) -> None:
        """Need no place in the consumer, and have it fetch nothing for this lane."""
        self._reach.pause(self.number)

    async def run(self) -> None:
        """Open, then fold and commit until stopped; raises what must end the process."""
        try:
            await super().run()
        finally:
            await self._steps.aclose()
            await self._log.close()

    async def _open(self) -> None:
        await super()._open()
        self._lead = {}  # the script says what led
        self._untouched = await self._log.open(tuple(self._job.inputs), self._folded)
        self._reach.pause(self.number)

    async def _gather(self) -> None:
        """Read what is folded next: steps up to one with a barrier, or until a batch is full."""
        records = 0
        while not (self._stopping or self._working or (self._plan and self._is_full(records))):
            step = await anext(self._steps, None)
            if step is None:
                if not self._plan:
                    await self._rest()
                return
            for run in step.runs:
                if self._is_news(run):
                    found = await self._log.read(run)
                    self._plan.append(Piece(run, found, step.stood))
                    records += len(found)

    def _is_full(self, records: int) -> bool:
        """Tell whether a batch ends here: no two commits' barriers share one, for each asked anew."""
        return records >= self._pace.batch_records or self._plan[-1].run.topic == self._job.barrier_topic

    async def _rest(self) -> None:
        self.at_end.set()
        while not self._stopping:
            self._arrived.clear()
            await self._arrived.wait()

    def _is_news(self, run: Run) -> bool:
        """Tell whether a run is still to be folded; raises where it does not follow on what was."""
        topic, start = run.topic, self._expected[run.topic]
        if topic not in self._untouched and run.stop <= start:
            return False
        if run.start != start:
            raise ScriptError(
                f"{topic}-{self.number} would go on at {run.start}, and is at {start}: "
                "its head was removed, or this is the replay of something else"
            )
        self._untouched.discard(topic)
        self._expected[topic] = run.stop
        return True

    async def _fold_queue(self, batch: Batch) -> None:
        """Fold the plan up to its barriers."""
        while self._plan and self._plan[0].run.topic != self._job.barrier_topic:
            piece = self._plan.popleft()
            await self._fold_part(batch, piece.run.topic, piece.records, piece.run.stop)

    def _act_on_barriers(self, batch: Batch) -> None:
        """Finish the last barrier's work, then act on those that are next in the plan."""
        if self._working:
            self._working = self._fold.work(batch)
        while not self._working and self._plan and self._plan[0].run.topic == self._job.barrier_topic:
            piece = self._plan.popleft()
            for record in piece.records:
                self._fold.barrier(record, piece.stood, batch)
                self._working = self._fold.work(batch)
            self._took(batch, piece.run.topic, piece.run.stop, len(piece.records))


class InputLog:
    """Reads ranges of a lane's inputs by offset, read_committed, from one to the next."""

    def __init__(self, bootstrap_servers: str, group: str, lane: int) -> None:
        self._lane = lane
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap_servers,
            group_id=group,  # not joined: to be asked what is committed
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        self._ahead: dict[str, deque[Record]] = {}  # read beyond the last range

    async def open(self, topics: Sequence[str], offsets: Mapping[str, int]) -> set[str]:
        """Stand at these offsets; return the topics of which the group has committed nothing."""
        await self._consumer.start()
        partitions = [TopicPartition(topic, self._lane) for topic in topics]
        self._consumer.assign(partitions)
        for partition in partitions:
            self._consumer.seek(partition, offsets[partition.topic])
        self._ahead = {topic: deque() for topic in topics}
        return {p.topic for p in partitions if await self._consumer.committed(p) is None}

    async def read(self, run: Run) -> Sequence[Record]:
        """Return the records of a run, which begins where the last one of its topic ended.

        Raises LogChangedError where the log ends before the run does.
        """
        partition = TopicPartition(run.topic, self._lane)
        ahead = self._ahead[run.topic]
        found: list[Record] = []
        while True:
            while ahead and ahead[0].offset < run.stop:
                found.append(ahead.popleft())
            if ahead or await self._consumer.position(partition) >= run.stop:
                return found
            fetched = await self._consumer.getmany(partition, timeout_ms=1_000)
            if not fetched and await self._consumer.position(partition) < run.stop:
                await self._check_end(partition, run)
            for records in fetched.values():
                ahead.extend(records)

    async def _check_end(self, partition: TopicPartition, run: Run) -> None:
        end = (await self._consumer.end_offsets([partition]))[partition]
        if end < run.stop:
            raise LogChangedError(
                f"{run.topic}-{self._lane} ends at {end}, was read to {run.stop}: it was made anew"
            )

    async def close(self) -> None:
        """Give up the connection."""
        await self._consumer.stop()

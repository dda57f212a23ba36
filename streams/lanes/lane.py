"""A lane: one partition number across all inputs, folded serially, committed a batch at a time.

Owns the order of steps that exactly-once rests on: open the producer (fences), restore, take the
committed offsets, and only then fold; state reaches the stores after its commit and in no other way.
Any doubt raises, which ends the process before something is committed; a restart is always safe.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from streams.lanes.job import Batch, Fold, Job, KeyedStore, Observer, Record, Run, Store, Table, Times
from streams.lanes.restore import committed_offsets, restore
from streams.lanes.spaces import Keeper, MemoryKeeper, OpenKeeper
from streams.lanes.transaction import UNFINISHED, Cluster, LaneProducer, Offset

TURN_SECONDS = 0.02
"""How long a lane keeps the event loop: then the other lanes' commits and the consumer have their turns.

A large commit waits for dozens of answers, and each of them for a turn.
"""
STRETCH_SECONDS = 0.2
"""How long a lane folds, turn after turn, while others that could fold wait: the accounts of one lane stay in
the processor's cache, those of all lanes in turn do not."""
STEP_RECORDS = 50
"""Folded in one go: one that opens an account is 20 times as dear as others, so the clock is looked at soon.
What so many accounts are stays in the processor's nearest caches (docs/decisions/0017)."""


@dataclass(slots=True)
class Fetch:
    """What one fetch brought of one input partition."""

    topic: str
    partition: int
    records: Sequence[Record]
    start: int
    """From here on the fetch holds all there is; never after its first record."""
    next_offset: int
    """Where the consumer reads on: after the last record and any transaction markers."""
    end: int
    """The partition's last stable offset as of this fetch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How batches are made."""

    gather_seconds: float
    """How long a lane that is behind gathers before it commits."""
    batch_records: int
    """Most records in one batch."""

    @property
    def queue_records(self) -> int:
        """Records waiting in a lane at which its partitions are paused."""
        return 2 * self.batch_records


class Reach(Protocol):
    """What a lane needs of the consumer: seek, pause, and where the inputs end."""

    async def seek(self, lane: int, offsets: Mapping[str, int]) -> None:
        """Make the consumer read on from these offsets, by topic."""

    async def ends(self, lane: int, topics: Sequence[str]) -> Mapping[str, int]:
        """Return the last stable offset of each topic's partition, asked now."""

    def pause(self, lane: int) -> None:
        """Stop delivering to the lane."""

    def resume(self, lane: int) -> None:
        """Deliver again."""


class Lane:
    """One lane while this worker owns it."""

    def __init__(
        self,
        number: int,
        *,
        job: Job,
        cluster: Cluster,
        pace: Pace,
        reach: Reach,
        observer: Observer,
        open_keeper: OpenKeeper = MemoryKeeper,
        folding: asyncio.Lock | None = None,
    ) -> None:
        """`folding` is held by the one lane of a worker that folds."""
        self.number = number
        self._job = job
        self._cluster = cluster
        self._pace = pace
        self._reach = reach
        self._observer = observer
        self._producer = LaneProducer(cluster, number)
        self._open_keeper = open_keeper
        self._keeper: Keeper | None = None
        self._tables: dict[str, Table] = {table.name: table for table in job.tables}
        self._topics: Mapping[str, str] = {table.name: table.topic for table in job.tables}
        self._stores: dict[str, Store] = {}
        self._fold: Fold
        self._folded: dict[str, int] = {}  # per input: first offset not folded
        self._expected: dict[str, int] = {}  # per input: first offset not queued
        self._ends: dict[str, int] = {}  # per input but the barriers: its end as last seen
        self._lead: Mapping[str, int] = {}  # leading inputs: how far to fold them before any other
        self._lost: set[str] = set()  # inputs of which a fetch was lost: to be read again
        self._queue: deque[Fetch] = deque()
        self._queued = 0
        self._begun = 0  # records of the first fetch queued that are folded already
        self._barriers = BarrierQueue()
        self._working = True  # the last barrier, maybe acted on by another worker, left work to do
        self._noted = True  # what Kafka has of that
        self._paused = False
        self._ready = False
        self._stopping = False
        self._arrived = asyncio.Event()
        self._folding = folding or asyncio.Lock()
        self._turn_began = 0.0
        self._stretch_began = 0.0
        self.turning = asyncio.Lock()
        """Held while a batch is folded and committed; who takes it holds the lane between two batches."""

    # -- what the consumer and the group call

    def deliver(self, fetch: Fetch) -> None:
        """Queue a fetch; what the lane has already is dropped, all of it while the lane is opening."""
        if not self.wants(fetch):
            return
        topic = fetch.topic
        expected = self._expected[topic]
        if fetch.start > expected:  # a fetch before this one was lost on its way
            self._lost.add(topic)
            self._arrived.set()
            return
        self._lost.discard(topic)
        if fetch.records and fetch.records[0].offset < expected:
            fetch.records = [record for record in fetch.records if record.offset >= expected]
        self._expected[topic] = fetch.next_offset
        if topic == self._job.barrier_topic:
            self._barriers.put(fetch)
        else:
            self._ends[topic] = fetch.end
            self._queue.append(fetch)
            self._queued += len(fetch.records)
            if self._queued >= self._pace.queue_records and not self._paused:
                self._paused = True
                self._reach.pause(self.number)
        self._arrived.set()

    def wants(self, fetch: Fetch) -> bool:
        """Tell whether the fetch reaches beyond what is queued."""
        if not self._ready or (self._lead and fetch.topic not in self._lead):
            return False
        return fetch.next_offset > self._expected[fetch.topic]

    def seek_again(self) -> None:
        """Have every input read on from where this lane is; one that is opening will seek anyway."""
        self._lost.update(self._expected)
        self._arrived.set()

    def stop(self) -> None:
        """Ask the lane to end after the commit under way."""
        self._stopping = True
        self._arrived.set()

    @property
    def is_ready(self) -> bool:
        """True once the lane is restored and folds."""
        return self._ready

    # -- the lane's own task

    async def run(self) -> None:
        """Open, then fold and commit until stopped; raises what must end the process."""
        try:
            await self._open()
            while not self._stopping:
                if self._lead and _reached(self._folded, self._lead):
                    self._lead = {}
                    self.seek_again()  # for what was not taken meanwhile
                await self._gather()
                async with self.turning:
                    if not self._stopping:
                        await self._turn()
        finally:
            self._ready = False
            self._observer.closed(self.number)
            if self._keeper is not None:
                self._keeper.close()
        await self._producer.close()

    async def _open(self) -> None:
        began = time.perf_counter()
        await self._producer.open()
        committed = await committed_offsets(self._cluster, self.number, tuple(self._job.inputs))
        self._keeper = self._open_keeper(self.number, self._topics)
        self._stores, restored = await restore(
            self._cluster, self.number, self._keeper, self._tables, committed
        )
        self._fold = self._job.open(self.number, self._stores)
        self._folded = dict(committed)
        self._expected = dict(committed)
        self._noted = committed.get(self._job.barrier_topic or "", 0) > 0  # if in doubt, as left unfinished
        lead = await self._reach.ends(self.number, self._job.leading)
        self._lead = {} if _reached(committed, lead) else lead
        self._ready = True
        await self._reach.seek(self.number, committed)
        self._observer.opened(self.number, restored, time.perf_counter() - began)

    async def _gather(self) -> None:
        """Wait for something to do; while behind, for more of it. Caught up: not at all."""
        while not (self._stopping or self._queue or self._working or self._barriers.is_due(self._folded)):
            self._arrived.clear()
            if self._lost:
                await self._seek_lost()
            if self._barriers.unasked:
                await self._ask_ends()
            else:
                await self._arrived.wait()
        if self._lost:
            await self._seek_lost()
        deadline = time.monotonic() + self._pace.gather_seconds
        while (
            self._queue
            and not self._stopping
            and self._queued < self._pace.batch_records
            and any(self._expected[topic] < end for topic, end in self._ends.items())
            and (left := deadline - time.monotonic()) > 0
        ):
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), left)
        if self._barriers.unasked:
            await self._ask_ends()

    async def _seek_lost(self) -> None:
        lost = {topic: self._expected[topic] for topic in self._lost}
        self._lost.clear()
        await self._reach.seek(self.number, lost)

    async def _ask_ends(self) -> None:
        """Fix how far the other inputs must be folded before the barriers read so far are acted on."""
        asked = self._barriers.unasked
        others = [topic for topic in self._job.inputs if topic != self._job.barrier_topic]
        self._barriers.cover(asked, await self._reach.ends(self.number, others))

    async def _turn(self) -> None:
        """Fold and commit one batch."""
        batch = Batch(self._producer.output, self._topics)
        async with self._folding:
            began = self._turn_began = self._stretch_began = time.perf_counter()
            await self._fold_queue(batch)
            self._act_on_barriers(batch)
            if not (batch.runs or batch.outputs or batch.writes or self._working is not self._noted):
                return
            for _ in self._fold.seal(batch):
                await self._let_others()
            folded = time.perf_counter()
        await self._commit(batch)
        times = Times(fold=folded - began, commit=time.perf_counter() - folded)
        lag = sum(end - self._folded[topic] for topic, end in self._ends.items())
        self._observer.committed(self.number, batch, times, max(0, lag))

    async def _fold_queue(self, batch: Batch) -> None:
        """Fold what is queued, up to a batch."""
        while self._queue and batch.records < self._pace.batch_records:
            fetch, first = self._queue[0], self._begun
            left = len(fetch.records) - first
            count = min(left, STEP_RECORDS, self._pace.batch_records - batch.records)
            self._queued -= count
            if count < left:
                self._begun += count
                stop = fetch.records[self._begun].offset
            else:
                self._begun = 0
                self._queue.popleft()
                stop = fetch.next_offset
            await self._fold_part(batch, fetch.topic, fetch.records[first : first + count], stop)
        if self._paused and self._queued < self._pace.batch_records:
            self._paused = False
            self._reach.resume(self.number)

    async def _fold_part(self, batch: Batch, topic: str, records: Sequence[Record], stop: int) -> None:
        """Fold records of one input, which is then folded up to `stop`."""
        if records:
            first = records[0].timestamp
            batch.oldest_ms = first if batch.oldest_ms is None else min(batch.oldest_ms, first)
            self._fold.apply(topic, records, batch)
        self._took(batch, topic, stop, len(records))
        await self._let_others()

    async def _let_others(self) -> None:
        """Leave the event loop to others where it was this lane's for long enough, and folding to lanes."""
        now = time.perf_counter()
        if now - self._turn_began < TURN_SECONDS:
            return
        if now - self._stretch_began < STRETCH_SECONDS:
            await asyncio.sleep(0)
        else:
            self._folding.release()
            await asyncio.sleep(0)
            await self._folding.acquire()  # after those that wait: it is first come, first served
            self._stretch_began = time.perf_counter()
        self._turn_began = time.perf_counter()

    def _act_on_barriers(self, batch: Batch) -> None:
        """Go on with the last barrier's work; that done, act on the barriers that are due."""
        if self._working:
            self._working = self._fold.work(batch)
        while not self._working and self._barriers.is_due(self._folded):
            topic, record, next_offset = self._barriers.take()
            if record is not None:
                self._fold.barrier(record, self._barriers.ends, batch)
                self._working = self._fold.work(batch)
            self._took(batch, topic, next_offset, 0 if record is None else 1)
            if batch.records >= self._pace.batch_records:
                break

    def _took(self, batch: Batch, topic: str, stop: int, records: int) -> None:
        """Note what was folded; parts of an input that follow each other are one run, barriers never."""
        start, runs = self._folded[topic], batch.runs
        if runs and runs[-1].topic == topic and topic != self._job.barrier_topic:
            start = runs.pop().start
        runs.append(Run(topic, start, stop))
        batch.records += records
        self._folded[topic] = stop

    async def _commit(self, batch: Batch) -> None:
        """Write the batch; only then do its values become the lane's committed state."""
        for name in batch.writes:
            if not self._tables[name].source:
                batch.emit_writes(name)
        offsets = self._offsets(batch)
        written = await self._producer.commit(batch.outputs, offsets)
        positions = {}
        for name, values in batch.writes.items():
            table = self._tables[name]
            self._stores[name].apply_all(values)
            positions[name] = offsets[table.topic][0] if table.source else written[table.topic]
        for name, places in batch.places.items():
            store = self._stores[name]
            assert isinstance(store, KeyedStore), "only a keyed table has places"
            store.settle_all(places)
            positions[name] = written[self._tables[name].topic]
        assert self._keeper is not None, "a lane folds only once it is open"
        self._keeper.flush(positions)
        self._fold.committed(batch)

    def _offsets(self, batch: Batch) -> dict[str, Offset]:
        """Return the next offsets; a barrier's says so while work of it is left, and again when none is."""
        offsets: dict[str, Offset] = {run.topic: (run.stop, "") for run in batch.runs}
        barriers = self._job.barrier_topic
        if barriers is not None and (barriers in offsets or self._working is not self._noted):
            offsets[barriers] = (self._folded[barriers], UNFINISHED if self._working else "")
            self._noted = self._working
        return offsets


class BarrierQueue:
    """Records of the barrier topic, each waiting until the other inputs are folded far enough."""

    def __init__(self) -> None:
        self._fetches: deque[tuple[Fetch, deque[Record]]] = deque()
        self._covered = 0  # fetches at the left whose ends are known
        self.ends: Mapping[str, int] = {}
        """Where the other inputs ended, as last asked."""

    def put(self, fetch: Fetch) -> None:
        """Add what was read of the barrier topic."""
        self._fetches.append((fetch, deque(fetch.records)))

    @property
    def unasked(self) -> int:
        """Fetches that wait for their ends to be asked: all of them, once none is covered."""
        return 0 if self._covered else len(self._fetches)

    def cover(self, fetches: int, ends: Mapping[str, int]) -> None:
        """Say where the other inputs ended after the first `fetches` were read.

        Never while a batch is folded: all barriers of a batch share one asking, and its journal tells it.
        """
        self._covered = fetches
        self.ends = ends

    def is_due(self, folded: Mapping[str, int]) -> bool:
        """Tell whether the next barrier may be acted on."""
        return self._covered > 0 and _reached(folded, self.ends)

    def take(self) -> tuple[str, Record | None, int]:
        """Return the next barrier's topic, record (None: only transaction markers) and next offset."""
        fetch, records = self._fetches[0]
        record = records.popleft() if records else None
        if records:
            assert record is not None
            return fetch.topic, record, record.offset + 1
        self._fetches.popleft()
        self._covered -= 1
        return fetch.topic, record, fetch.next_offset


def _reached(folded: Mapping[str, int], ends: Mapping[str, int]) -> bool:
    return all(folded[topic] >= end for topic, end in ends.items())

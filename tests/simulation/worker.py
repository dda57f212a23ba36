"""A worker: the shipped lanes, group and transport over stand-ins for Faust's service machinery.

Real: LaneGroup, Lane, LaneProducer, restore, RocksKeeper, Thread._fetch_records and its seeks,
Consumer._drain_messages, Lanes, ConsumerReach, and the whole BillingJob. Not real: Faust's threads, its
conductor and agent queue (here: a queue with a delay), and aiokafka's clients.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition
from faust.types import TP

from streams.agents.job import BillingJob
from streams.lanes.group import LaneGroup
from streams.lanes.job import Batch, Fold, Observer, Record, Store, Times
from streams.lanes.lane import Pace
from streams.lanes.spaces import Keeper, MemoryKeeper, RocksKeeper
from streams.lanes.transaction import Cluster
from streams.lanes.transport import Consumer, ConsumerReach, Lanes, Thread
from tests.simulation.clients import ask
from tests.simulation.injuries import Killed
from tests.simulation.processes import Process

if TYPE_CHECKING:
    from tests.simulation.world import World

GROUP = "evergreen"
POLL_SECONDS = 4.0


class Position:
    """aiokafka's state of an assigned partition."""

    def __init__(self, position: int | None) -> None:
        self.position = position or 0
        self.has_valid_position = position is not None
        self.lso: int | None = None
        self.sought = 0
        """Raised by every seek: what was fetched before it is not handed over."""


class Assignment:
    """aiokafka's assignment: another object after every rebalance."""

    def __init__(self, positions: Mapping[TopicPartition, int | None]) -> None:
        self._states = {tp: Position(position) for tp, position in positions.items()}
        self.tps = frozenset(self._states)

    def state_value(self, partition: TopicPartition) -> Position:
        """Return a partition's state."""
        return self._states[partition]


class KafkaConsumer:
    """aiokafka's consumer, as far as the transport's thread looks into it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._subscription = SimpleNamespace(subscription=SimpleNamespace(assignment=Assignment({})))
        self._fetcher = self
        self._subscriptions = SimpleNamespace(fetch_context=nullcontext)
        self._closed = False

    @property
    def now(self) -> Assignment:
        """The assignment."""
        assignment: Assignment = self._subscription.subscription.assignment
        return assignment

    def assign(self, positions: Mapping[TopicPartition, int | None]) -> None:
        """Take over what the group assigned."""
        self._subscription.subscription.assignment = Assignment(positions)

    def assignment(self) -> frozenset[TopicPartition]:
        """Return the partitions assigned."""
        return self.now.tps

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from an offset."""
        state = self.now.state_value(partition)
        state.position, state.has_valid_position = offset, True
        state.sought += 1
        self._process.world.broker_changed()

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return last stable offsets."""
        broker = self._process.broker
        return await ask(
            self._process, "ends", lambda: {tp: broker.logs[tuple(tp)].stable for tp in partitions}
        )

    async def fetched_records(
        self, partitions: set[TP], *, timeout: float, max_records: int | None
    ) -> dict[TopicPartition, list[Record]]:
        """Return what a fetch of these partitions brings; nothing after the timeout."""
        process, assignment = self._process, self.now
        logs, random = process.broker.logs, process.world.random
        wanted = [
            (tp, state)
            for tp in (TopicPartition(*p) for p in sorted(partitions))
            if tp in assignment.tps and (state := assignment.state_value(tp)).has_valid_position
        ]
        if not any(logs[tuple(tp)].stable > state.position for tp, state in wanted):
            await process.world.news(POLL_SECONDS)
            return {}
        most = random.choice((1, 2, 4, 30, 30))
        sought = [state.sought for _, state in wanted]

        def fetch() -> list[Any]:
            found = []
            for tp, state in wanted:
                log = logs[tuple(tp)]
                if random.random() < 0.85 and log.stable > state.position:  # else another fetch brings it
                    found.append((tp, state, *log.read(state.position, most), log.stable))
            return found

        found = await ask(process, "fetch", fetch)
        if self.now is not assignment:
            return {}
        before = dict(zip((tp for tp, _ in wanted), sought, strict=True))
        records = {}
        for tp, state, some, position, stable in found:
            if state.sought == before[tp]:
                state.position, state.lso = position, stable
                if some:
                    records[tp] = some
        return records


class WorkerThread(Thread):
    """The shipped thread's fetches and seeks, in the loop of everything else."""

    def __init__(self, process: Process, consumer: "WorkerConsumer") -> None:
        self.process = process
        self.consumer = consumer
        self.kafka = KafkaConsumer(process)

    def _ensure_consumer(self) -> KafkaConsumer:
        return self.kafka

    async def call_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Cross to the consumer's thread."""
        if function == self._seek_all:
            await self.process.point("seek:before")
        await asyncio.sleep(self.process.world.latency() / 10)
        result = await function(*arguments)
        if function == self._seek_all:
            await self.process.point("seek:after")
        return result


class WorkerConsumer(Consumer):
    """The shipped consumer's delivery of fetches, without Faust's services around it."""

    def __init__(self, process: Process, app: Any) -> None:
        self.process = process
        self.app = app
        self.transport = SimpleNamespace(app=app)
        self._stopped = SimpleNamespace(is_set=lambda: process.is_dead)
        self._thread = WorkerThread(process, self)
        self.flow_active = False
        self.suspend_flow = asyncio.Event()
        self._flowing = asyncio.Event()
        self.paused: set[TP] = set()
        self.queue: deque[Any] = deque()
        self.queued = asyncio.Event()

    def flow(self, active: bool) -> None:
        """Stop or start the flow of fetches, as Faust does around a rebalance."""
        self.flow_active = active
        if active:
            self.suspend_flow.clear()
            self._flowing.set()
        else:
            self.suspend_flow.set()
            self._flowing.clear()

    async def _wait_next_records(self, timeout: float) -> Any:
        await self._flowing.wait()
        thread = self._thread
        active = {tp for p in thread.kafka.assignment() if (tp := TP(*p)) not in self.paused}
        if not active:
            await self.process.world.news(POLL_SECONDS)
            return {}, active
        fetched = await thread._fetch_records(thread.kafka, active, timeout, None)
        if fetched and self.process.world.random.random() < 0.01:
            return {}, active  # lost on its way from thread to loop, as by a call that was cancelled
        return fetched, active

    async def wait_first(self, *work: Any, timeout: Any = None) -> Any:
        """Wait for the first; the second, a stop of the flow, is looked at by the caller anyway."""
        work[1].close()
        await work[0]

    async def callback(self, message: Any) -> None:
        """Queue a fetch for the agent, as Faust's conductor does."""
        self.queue.append(message.value)
        self.queued.set()

    def pause_partitions(self, tps: Any) -> None:
        """Fetch no more of these."""
        self.paused |= set(tps)

    def resume_partitions(self, tps: Any) -> None:
        """Fetch these again."""
        self.paused -= set(tps)
        self.process.world.broker_changed()


class WorkerLanes(Lanes):
    """The shipped hooks of a rebalance."""

    def __init__(self, app: Any, consumer: WorkerConsumer) -> None:
        self.app = app
        self.consumer = consumer


class PointedFold:
    """A lane's fold whose every step is a point."""

    def __init__(self, process: Process, fold: Fold) -> None:
        self._process = process
        self._fold = fold

    def apply(self, topic: str, records: Sequence[Record], batch: Batch) -> None:
        """Fold records."""
        self._process.pass_point("fold:before")
        self._fold.apply(topic, records, batch)
        self._process.pass_point("fold:after")

    def barrier(self, record: Record, ends: Mapping[str, int], batch: Batch) -> None:
        """Act on a tick."""
        self._process.pass_point("barrier:before")
        self._fold.barrier(record, ends, batch)
        self._process.pass_point("barrier:after")

    def work(self, batch: Batch) -> bool:
        """Do a part of a sweep."""
        self._process.pass_point("work:before")
        more = self._fold.work(batch)
        self._process.pass_point("work:after")
        return more

    def seal(self, batch: Batch) -> Iterator[None]:
        """Encode."""
        self._process.pass_point("seal:before")
        yield from self._fold.seal(batch)
        self._process.pass_point("seal:after")

    def committed(self, batch: Batch) -> None:
        """Learn of the commit."""
        self._process.pass_point("committed:before")
        self._fold.committed(batch)
        self._process.pass_point("committed:after")


class PointedJob(BillingJob):
    """The billing job whose folds have points."""

    process: Process

    def open(self, lane: int, stores: Mapping[str, Store]) -> Fold:
        """Return a lane's fold."""
        return PointedFold(self.process, super().open(lane, stores))


class PointedMemory(MemoryKeeper):
    """Memory whose flush is a point."""

    process: Process

    def flush(self, positions: Mapping[str, int]) -> None:
        """Pass the points."""
        self.process.pass_point("store:before")
        super().flush(positions)
        self.process.pass_point("store:after")


class Quiet(Observer):
    """Tells the world of faults only."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def opened(self, lane: int, restored: int, seconds: float) -> None:
        """A lane is restored."""
        self._process.world.tell(self._process, f"lane {lane} opened, {restored} restored")

    def committed(self, lane: int, batch: Batch, times: Times, lag: int) -> None:
        """A batch is committed."""
        self._process.world.tell(self._process, f"lane {lane} committed {batch.records} records")

    def closed(self, lane: int) -> None:
        """A lane is closed."""
        self._process.world.tell(self._process, f"lane {lane} closed")

    def faulted(self, lane: int, fault: BaseException) -> None:
        """A lane ends the process."""
        if not isinstance(fault, Killed) and not self._process.is_dead:
            self._process.world.faulted(self._process, lane, fault)


class Worker(Process):
    """One life of a worker on a host."""

    def __init__(self, world: "World", host: int, life: int) -> None:
        super().__init__(world, f"worker-{host}.{life}")
        self.host = host
        job = PointedJob(world.settings, world.policy, world.schemas, worker=self.name)
        job.process = self
        self.group = LaneGroup(
            job=job,
            cluster=Cluster(bootstrap_servers=self.name, group=GROUP, transaction_timeout_ms=20_000),
            pace=Pace(gather_seconds=world.script.gather_seconds, batch_records=world.script.batch_records),
            observer=Quiet(self),
            open_keeper=self._keeper,
            on_fault=lambda lane, fault: self.kill(),
        )
        self._app = SimpleNamespace(
            lane_group=self.group, consumer_generation_id=0, should_stop=False, inputs=job.inputs
        )
        self.consumer = WorkerConsumer(self, self._app)
        self._lanes = WorkerLanes(self._app, self.consumer)
        self._held: set[TP] = set()

    def _keeper(self, lane: int, topics: Mapping[str, str]) -> Keeper:
        if self.world.script.store == "memory":
            keeper = PointedMemory(lane, topics)
            keeper.process = self
            return keeper
        return RocksKeeper(self.directory, lane, topics)

    @property
    def directory(self) -> Path:
        """Where this host's stores are."""
        return Path(f"/host-{self.host}")

    def start(self) -> None:
        """Join the group, fetch, deliver."""
        self.group.attach(ConsumerReach(self.consumer, self.group.inputs))
        for work in (self._belong(), self._fetch(), self._deliver()):
            self.spawn(work)

    async def _belong(self) -> None:
        """Follow the group through its rebalances."""
        membership = self.world.membership
        while True:
            self.consumer.flow(False)
            self._app.consumer_generation_id += 1
            self.consumer.paused.clear()  # as Faust does when partitions are revoked
            await self._lanes.on_partitions_revoked(self._held)
            await self.point("join:before")
            lanes = await membership.join(self)
            await self.point("join:after")
            inputs = self.group.inputs
            positions: dict[TopicPartition, int | None] = {}
            for topic in inputs:
                for lane in lanes:
                    noted = self.broker.offsets.get((topic, lane))
                    positions[TopicPartition(topic, lane)] = None if noted is None else noted[0]
            self.consumer._thread.kafka.assign(positions)
            assigned = {TP(*tp) for tp in positions}
            before, self._held = self._held, assigned
            await self._lanes.on_rebalance(assigned, before - assigned, assigned - before)
            self.consumer.flow(True)
            while membership.is_member(self):
                await asyncio.sleep(2.5)  # heartbeats
                await self.point("heartbeat:before")
                membership.heard(self)

    async def _fetch(self) -> None:
        await self.consumer._drain_messages(SimpleNamespace(_stopped=self.consumer._stopped))

    async def _deliver(self) -> None:
        """The agent: gives whole fetches to their lanes, one after the other, not always at once."""
        queue, random = self.consumer.queue, self.world.random
        while True:
            while not queue:
                self.consumer.queued.clear()
                await self.consumer.queued.wait()
            if random.random() < 0.1:
                await asyncio.sleep(self.world.latency())
                await self.point("deliver:before")
            if queue:
                self.group.deliver(queue.popleft())

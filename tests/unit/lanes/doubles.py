"""A lane without a broker: a consumer, a producer and an application that only remember what was asked.

They prove our own logic. What Kafka does with it is tests/lanes' and tests/pipeline's to say.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from streams.lanes import lane as lane_module
from streams.lanes.batches import KeyValue, Output
from streams.lanes.job import Batch, Header, KeyedStore, Record, Store, Table, Times
from streams.lanes.lane import Fetch, Lane, Pace
from streams.lanes.spaces import Keeper, MemorySpace
from streams.lanes.transaction import Cluster, Offset
from tests.batches import listed, records_in

DEADLINE_SECONDS = 5.0
CLUSTER = Cluster(bootstrap_servers="nowhere:1", group="app", transaction_timeout_ms=20_000)


@dataclass(frozen=True, slots=True)
class Line:
    """A consumed record."""

    offset: int
    value: bytes | None = b"v"
    key: bytes | None = b"k"
    timestamp: int = 1_000
    headers: Sequence[Header] = ()


def fetch(
    topic: str, *offsets: int, start: int | None = None, end: int | None = None, lane: int = 0
) -> Fetch:
    """Return a fetch of records; it begins at its first and ends after its last unless told otherwise."""
    first = offsets[0] if offsets else 0
    after = offsets[-1] + 1 if offsets else (end or 0)
    begin = first if start is None else start
    return Fetch(topic, lane, [Line(offset) for offset in offsets], begin, after, max(after, end or 0))


@dataclass
class Reach:
    """The consumer as a lane sees it."""

    stable: dict[str, int] = field(default_factory=dict)
    """Where the inputs end."""
    seeks: list[dict[str, int]] = field(default_factory=list)
    asked: int = 0
    paused: list[str] = field(default_factory=list)

    async def seek(self, lane: int, offsets: Mapping[str, int]) -> None:
        self.seeks.append(dict(offsets))

    async def ends(self, lane: int, topics: Sequence[str]) -> Mapping[str, int]:
        self.asked += 1
        return {topic: self.stable.get(topic, 0) for topic in topics}

    def pause(self, lane: int) -> None:
        self.paused.append("pause")

    def resume(self, lane: int) -> None:
        self.paused.append("resume")


@dataclass
class Committed:
    """One transaction."""

    writes: dict[str, list[KeyValue]]
    offsets: dict[str, Offset]


class Producer:
    """The lane's producer: commits when its gate is open, fails when told to."""

    def __init__(self) -> None:
        self.commits: list[Committed] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = False
        self.fails = False
        self.open_gate = asyncio.Event()
        self.open_gate.set()
        self.closed = False

    async def open(self) -> None:
        await self.open_gate.wait()

    async def close(self) -> None:
        self.closed = True

    def output(self) -> Output:
        return listed()

    async def commit(self, outputs: Mapping[str, Output], offsets: Mapping[str, Offset]) -> dict[str, int]:
        self.waiting = True
        await self.gate.wait()
        self.waiting = False
        if self.fails:
            raise ConnectionError("fenced")
        records = {topic: records_in(output) for topic, output in outputs.items()}
        self.commits.append(Committed(records, dict(offsets)))
        return dict.fromkeys(outputs, len(self.commits))


class Fold:
    """Remembers what it was given, in order; a barrier leaves as many chunks of work as its value says."""

    def __init__(self, job: "Job") -> None:
        self.job = job
        self.seen: list[str] = []
        self.ends: list[dict[str, int]] = []
        self.committed_batches = 0
        self.left = job.left

    def apply(self, topic: str, records: Sequence[Record], batch: Batch) -> None:
        for record in records:
            self.seen.append(f"{topic}@{record.offset}")
            batch.emit("out", record.key, record.value)
            batch.write("counts", b"total", b"%d" % len(self.seen))

    def barrier(self, record: Record, ends: Mapping[str, int], batch: Batch) -> None:
        self.seen.append(f"tick@{record.offset}")
        self.ends.append(dict(ends))
        self.left = int(record.value or 0)

    def work(self, batch: Batch) -> bool:
        if self.left:
            self.left -= 1
            self.seen.append("work")
            batch.emit("out", None, b"work")
        return self.left > 0

    def seal(self, batch: Batch) -> Iterator[None]:
        batch.emit("sealed", None, b"%d" % batch.records)
        yield

    def committed(self, batch: Batch) -> None:
        self.committed_batches += 1


@dataclass
class Job:
    """Two inputs and ticks."""

    inputs: Sequence[str] = ("a", "b", "ticks")
    leading: Sequence[str] = ()
    barrier_topic: str | None = "ticks"
    left: int = 0
    """Chunks of work that an earlier owner left."""
    store: KeyedStore = field(default_factory=lambda: KeyedStore(MemorySpace()))
    fold: Fold | None = None

    @property
    def tables(self) -> Sequence[Table]:
        return (Table(name="counts", topic="counts-changelog", store=lambda space: self.store),)

    def open(self, lane: int, stores: Mapping[str, Store]) -> Fold:
        self.fold = Fold(self)
        return self.fold


@dataclass
class Observer:
    """Remembers what it was told."""

    told: list[str] = field(default_factory=list)
    lags: list[int] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)

    def opened(self, lane: int, restored: int, seconds: float) -> None:
        self.told.append(f"opened {lane}")

    def committed(self, lane: int, batch: Batch, times: Times, lag: int) -> None:
        self.told.append(f"committed {lane}")
        self.lags.append(lag)
        self.batches.append(batch)

    def closed(self, lane: int) -> None:
        self.told.append(f"closed {lane}")

    def faulted(self, lane: int, fault: BaseException) -> None:
        self.told.append(f"faulted {lane} {fault}")


class World:
    """What stands where Kafka would: next offsets, producers by lane."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.next_offsets: dict[str, int] = {"a": 0, "b": 0, "ticks": 0}
        self.producers: dict[int, Producer] = {}
        self.reach = Reach()
        self.observer = Observer()
        monkeypatch.setattr(lane_module, "LaneProducer", lambda _, lane: self.producer(lane))
        monkeypatch.setattr(lane_module, "committed_offsets", self._committed)
        monkeypatch.setattr(lane_module, "restore", self._restore)

    def producer(self, lane: int) -> Producer:
        """Return a lane's producer, the same for every owner."""
        return self.producers.setdefault(lane, Producer())

    async def _committed(self, cluster: Cluster, lane: int, inputs: tuple[str, ...]) -> dict[str, int]:
        return dict(self.next_offsets)

    async def _restore(
        self,
        cluster: Cluster,
        lane: int,
        keeper: Keeper,
        tables: Mapping[str, Table],
        committed: Mapping[str, int],
    ) -> tuple[dict[str, Store], int]:
        return {name: table.store(keeper.space(name)) for name, table in tables.items()}, 7

    def lane(
        self,
        job: Job,
        *,
        number: int = 0,
        batch_records: int = 100,
        gather_seconds: float = 0.0,
        folding: asyncio.Lock | None = None,
    ) -> Lane:
        """Return a lane, not yet running."""
        return Lane(
            number,
            job=job,
            cluster=CLUSTER,
            pace=Pace(gather_seconds=gather_seconds, batch_records=batch_records),
            reach=self.reach,
            observer=self.observer,
            folding=folding,
        )


async def until(condition: Callable[[], object]) -> None:
    """Return once the condition holds; fail after the deadline."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():
            await asyncio.sleep(0)


async def quiet() -> None:
    """Let everything run that can run."""
    for _ in range(100):
        await asyncio.sleep(0)

"""What stands where aiokafka's producer and consumer would, over the simulated broker.

Every request passes the worker's points before it is sent and after its reply came, takes time both ways, and
arrives even where its sender was killed meanwhile.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from aiokafka import TopicPartition
from aiokafka.errors import ConcurrentTransactions, IllegalOperation, KafkaTimeoutError

from tests.simulation.broker import KeyValue, Place
from tests.simulation.injuries import LOSE
from tests.simulation.processes import Process
from verify.topics import Record

Result = TypeVar("Result")
BATCH_BYTES = 4_000
"""Small, so that histories of few records have commits of several batches."""
BACKOFF = 0.02


async def ask(process: Process, name: str, effect: Callable[[], Result]) -> Result:
    """Send a request to the broker and return its reply; `effect` happens there at one instant."""
    await process.point(f"{name}:before")
    while True:
        reply: asyncio.Future[Result] = process.loop.create_future()
        process.later(lambda reply=reply: _arrive(process, effect, reply))
        try:
            result = await reply
        except ConcurrentTransactions:
            await asyncio.sleep(BACKOFF)
            continue
        if await process.point(f"{name}:after") == LOSE:
            raise KafkaTimeoutError(f"no reply to {name}")
        return result


def _arrive(process: Process, effect: Callable[[], Result], reply: "asyncio.Future[Result]") -> None:
    try:
        result = effect()
    except Exception as error:  # whatever the broker refuses with travels back
        process.later(lambda error=error: reply.done() or reply.set_exception(error))
        return
    process.later(lambda: reply.done() or reply.set_result(result))


class Builder:
    """aiokafka's DefaultRecordBatchBuilder, as far as a lane uses it."""

    def __init__(self) -> None:
        self.records: list[KeyValue] = []
        self._bytes = 0

    def append(
        self, offset: int, timestamp: int, key: bytes | None, value: bytes | None, headers: list[Any]
    ) -> object | None:
        """Add a record; None: it does not fit any more."""
        assert offset == len(self.records), "records of a batch are numbered from 0"
        size = len(key or b"") + len(value or b"")
        if self.records and self._bytes + size > BATCH_BYTES:
            return None
        self._bytes += size
        self.records.append((key, value))
        return self


class Batch:
    """A record batch under construction: aiokafka's BatchBuilder."""

    def __init__(self) -> None:
        self._builder = Builder()
        self._relative_offset = 0

    @property
    def records(self) -> list[KeyValue]:
        """Return what it holds."""
        return self._builder.records

    def record_count(self) -> int:
        """Return how many records it has."""
        return self._relative_offset


class Delivered:
    """Where a batch came to stand."""

    __slots__ = ("offset",)

    def __init__(self, offset: int) -> None:
        self.offset = offset


class Producer:
    """AIOKafkaProducer, as far as a lane uses it."""

    def __init__(self, *, bootstrap_servers: str, transactional_id: str, **_: Any) -> None:
        self._process = Process.named(bootstrap_servers)
        self._broker = self._process.broker
        self._id = transactional_id
        self._epoch: int | None = None
        self._in_transaction = False
        self._sent = False
        self._order: dict[Place, asyncio.Future[Delivered]] = {}

    async def start(self) -> None:
        """Fence earlier producers of the id."""
        self._epoch = await ask(self._process, "init_producer", lambda: self._broker.init_producer(self._id))

    async def stop(self) -> None:
        """Close the connection."""

    async def begin_transaction(self) -> None:
        """Begin, here only: the broker hears of it with the first record."""
        if self._in_transaction:
            raise IllegalOperation("a transaction is open already")
        self._in_transaction, self._sent = True, False

    def create_batch(self) -> Batch:
        """Return an empty batch."""
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[Delivered]":
        """Have a batch delivered in the background, those of one partition in order."""
        if not self._in_transaction:
            raise IllegalOperation("no transaction is open")
        place = (topic, partition)
        before = self._order.get(place)
        delivery = self._process.spawn(self._deliver(batch, place, before))
        self._order[place] = delivery
        self._sent = True
        return delivery

    async def _deliver(
        self, batch: Batch, place: Place, before: "asyncio.Future[Delivered] | None"
    ) -> Delivered:
        if before is not None and not before.done():
            await before
        process, epoch = self._process, self._epoch
        assert epoch is not None
        return Delivered(
            await ask(
                process,
                "append",
                lambda: self._broker.produce(self._id, epoch, place, process.world.now_ms(), batch.records),
            )
        )

    async def send_offsets_to_transaction(
        self, offsets: Mapping[TopicPartition, tuple[int, str]], group: str
    ) -> None:
        """Add next offsets to the transaction."""
        if not self._in_transaction:
            raise IllegalOperation("no transaction is open")
        self._sent = True
        epoch = self._epoch
        assert epoch is not None
        noted = {(tp.topic, tp.partition): offset for tp, offset in offsets.items()}
        await ask(self._process, "send_offsets", lambda: self._broker.send_offsets(self._id, epoch, noted))

    async def commit_transaction(self) -> None:
        """Commit what was sent."""
        await asyncio.gather(*self._order.values())  # aiokafka flushes first
        self._order.clear()
        epoch = self._epoch
        assert epoch is not None
        if self._sent:
            await ask(self._process, "commit", lambda: self._broker.end(self._id, epoch, commit=True))
        self._in_transaction = False


class Reader:
    """AIOKafkaConsumer without a group's assignment: for committed offsets and for restores."""

    def __init__(
        self, *, bootstrap_servers: str, isolation_level: str = "read_uncommitted", **_: Any
    ) -> None:
        self._process = Process.named(bootstrap_servers)
        self._broker = self._process.broker
        self._uncommitted = isolation_level != "read_committed"
        self._positions: dict[TopicPartition, int] = {}

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Close the connection."""

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Read these, from the start."""
        self._positions = dict.fromkeys(partitions, 0)

    async def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return where logs begin."""
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return where logs end, as far as this reads."""
        logs, asked, uncommitted = self._broker.logs, list(partitions), self._uncommitted

        def ends() -> dict[TopicPartition, int]:
            return {tp: logs[tuple(tp)].end if uncommitted else logs[tuple(tp)].stable for tp in asked}

        return await ask(self._process, "ends", ends)

    async def committed(self, partition: TopicPartition) -> int | None:
        """Return the group's next offset."""
        noted = await ask(
            self._process, "committed_offsets", lambda: self._broker.offsets.get(tuple(partition))
        )
        return None if noted is None else noted[0]

    async def position(self, partition: TopicPartition) -> int:
        """Return where this reads on."""
        return self._positions[partition]

    def pause(self, *partitions: TopicPartition) -> None:
        """Read no more of these."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from an offset."""
        self._positions[partition] = offset

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int
    ) -> dict[TopicPartition, list[Record]]:
        """Return some records of some partitions."""
        most = self._process.world.random.choice((1, 3, 50, 50))

        def read() -> dict[TopicPartition, tuple[list[Record], int]]:
            return {
                tp: self._broker.logs[tuple(tp)].read(
                    self._positions[tp], most, uncommitted=self._uncommitted
                )
                for tp in partitions
            }

        found = await ask(self._process, "restore", read)
        records = {}
        for tp, (some, position) in found.items():
            self._positions[tp] = position
            if some:
                records[tp] = some
        return records

"""A simulated Kafka: partition logs, transactions with markers, producer epochs, a group's offsets.

Everything here happens at one instant; what takes time on the way is network.py's. It is strict: what a real
broker refuses raises here too, with aiokafka's own errors.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field

from aiokafka.errors import (
    ConcurrentTransactions,
    InvalidProducerEpoch,
    InvalidTxnState,
    ProducerFenced,
)

from verify.topics import Record

Place = tuple[str, int]
Noted = tuple[int, str]
KeyValue = tuple[bytes | None, bytes | None]
Schedule = Callable[[Callable[[], None]], None]
"""Has something done a little later."""


@dataclass(eq=False, slots=True)
class Transaction:
    """One transaction, from its first record on."""

    owner: str
    began: float
    places: set[Place] = field(default_factory=set)
    offsets: dict[Place, Noted] = field(default_factory=dict)
    sends_offsets: bool = False
    ended: bool | None = None
    """None: open; True: committed; False: aborted. Decided before the markers are written."""
    left: int = 0
    """Markers still to be written."""


class Partition:
    """One log."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._of: list[Transaction | None] = []
        self.end = 0
        self._open: dict[Transaction, int] = {}  # with the first offset of each

    def append(
        self,
        timestamp: int,
        records: list[tuple[KeyValue, tuple[tuple[str, bytes | None], ...]]],
        of: Transaction | None = None,
    ) -> int:
        """Append records and return the first one's offset."""
        first = self.end
        if of is not None:
            self._open.setdefault(of, first)
        for (key, value), headers in records:
            self.records.append(Record(self.end, timestamp, key, value, headers))
            self._of.append(of)
            self.end += 1
        return first

    def mark(self, of: Transaction) -> None:
        """Write the marker that ends a transaction here; it takes an offset."""
        self._open.pop(of, None)
        self.end += 1

    @property
    def stable(self) -> int:
        """The last stable offset: what read_committed can reach."""
        return min(self._open.values(), default=self.end)

    def read(self, position: int, most: int, *, uncommitted: bool = False) -> tuple[list[Record], int]:
        """Return records from a position on, and where to read on; committed ones unless told otherwise."""
        stable = self.end if uncommitted else self.stable
        found: list[Record] = []
        at = bisect_left(self.records, position, key=_offset)
        while at < len(self.records):
            record = self.records[at]
            if record.offset >= stable:
                break
            if len(found) >= most:
                return found, record.offset
            of = self._of[at]
            if of is None or of.ended or uncommitted:
                found.append(record)
            at += 1
        return found, max(position, stable)

    def committed(self) -> list[Record]:
        """Return every committed record."""
        return self.read(0, len(self.records) + 1)[0]


def _offset(record: Record) -> int:
    return record.offset


@dataclass(slots=True)
class Producer:
    """What the coordinator knows of a transactional id."""

    epoch: int = -1
    under_way: Transaction | None = None
    last: bool | None = None
    """How the last transaction ended, for an end that is asked again."""


class Broker:
    """All partitions, the transaction coordinator, and the offsets of one consumer group."""

    def __init__(
        self, topics: list[str], lanes: int, *, clock: Callable[[], float], schedule: Schedule, timeout: float
    ) -> None:
        self.logs = {(topic, lane): Partition() for topic in topics for lane in range(lanes)}
        self.offsets: dict[Place, Noted] = {}
        self._producers: dict[str, Producer] = {}
        self._clock = clock
        self._schedule = schedule
        self._timeout = timeout
        self.aborted = 0
        self.commits = 0

    # -- transactions

    def init_producer(self, transactional_id: str) -> int:
        """Fence earlier producers of an id, abort what they left open; ConcurrentTransactions: ask again."""
        producer = self._producers.setdefault(transactional_id, Producer())
        if (transaction := producer.under_way) is not None:
            if transaction.ended is None:
                producer.epoch += 1  # the old owner is out from now on
                self._end(producer, transaction, commit=False)
            raise ConcurrentTransactions
        producer.epoch += 1
        producer.last = None
        return producer.epoch

    def produce(
        self, transactional_id: str, epoch: int, place: Place, timestamp: int, records: list[KeyValue]
    ) -> int:
        """Append a batch within the producer's transaction, beginning one; returns the first offset."""
        transaction = self._transaction(transactional_id, epoch)
        transaction.places.add(place)
        return self.logs[place].append(timestamp, [(record, ()) for record in records], transaction)

    def send_offsets(self, transactional_id: str, epoch: int, offsets: dict[Place, Noted]) -> None:
        """Have the transaction move the group's offsets when it commits."""
        transaction = self._transaction(transactional_id, epoch)
        for place in offsets:
            if place not in self.logs:
                raise KeyError(place)
        transaction.sends_offsets = True
        transaction.offsets.update(offsets)

    def end(self, transactional_id: str, epoch: int, *, commit: bool) -> None:
        """End the producer's transaction; asked again it answers the same."""
        producer = self._fenced(transactional_id, epoch)
        transaction = producer.under_way
        if transaction is None:
            if producer.last is commit:
                return
            raise InvalidTxnState
        if transaction.ended is None:
            self._end(producer, transaction, commit=commit)
        elif transaction.ended is not commit:
            raise InvalidTxnState

    def expire(self) -> None:
        """Abort what has been open for too long, and fence whoever left it open."""
        for producer in self._producers.values():
            transaction = producer.under_way
            if transaction is None or transaction.ended is not None:
                continue
            if self._clock() - transaction.began > self._timeout:
                producer.epoch += 1
                self._end(producer, transaction, commit=False)

    @property
    def open_transactions(self) -> int:
        """How many transactions are open or being ended."""
        return sum(producer.under_way is not None for producer in self._producers.values())

    def is_newest(self, transactional_id: str, epoch: int) -> bool:
        """Whether nobody opened a producer of the id after this epoch's."""
        newest = self._producers.get(transactional_id)  # none: a planted bug may name its producers anyhow
        return newest is not None and newest.epoch == epoch

    def _fenced(self, transactional_id: str, epoch: int) -> Producer:
        producer = self._producers[transactional_id]
        if epoch < producer.epoch:
            raise ProducerFenced
        if epoch > producer.epoch:
            raise InvalidProducerEpoch
        return producer

    def _transaction(self, transactional_id: str, epoch: int) -> Transaction:
        producer = self._fenced(transactional_id, epoch)
        if producer.under_way is None:
            producer.under_way = Transaction(transactional_id, self._clock())
        elif producer.under_way.ended is not None:
            raise ConcurrentTransactions  # the markers of the one before are being written
        return producer.under_way

    def _end(self, producer: Producer, transaction: Transaction, *, commit: bool) -> None:
        """Decide; the markers follow one by one, each at its own time."""
        transaction.ended = commit
        self.commits += commit
        self.aborted += not commit
        transaction.left = len(transaction.places) + 1

        def marked(write: Callable[[], None]) -> Callable[[], None]:
            def do() -> None:
                write()
                transaction.left -= 1
                if not transaction.left:
                    producer.under_way, producer.last = None, commit

            return do

        for place in sorted(transaction.places):
            log = self.logs[place]
            self._schedule(marked(lambda log=log: log.mark(transaction)))
        self._schedule(marked(lambda: self.offsets.update(transaction.offsets) if commit else None))

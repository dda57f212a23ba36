"""What an application gives the engine: its topics, its tables, and a Fold for each lane."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from streams.lanes.batches import Output
from streams.lanes.spaces import Place, Space

Header = tuple[str, bytes | None]


class Record(Protocol):
    """One consumed record, as aiokafka hands it over."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int:
        """Kafka timestamp in milliseconds."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[Header]: ...


@dataclass(frozen=True, slots=True)
class Run:
    """A half-open range of offsets of one input that was folded as one."""

    topic: str
    start: int
    stop: int
    """The offset after the last, transaction markers included."""


class Store(Protocol):
    """One table of a lane over its space; it sees a value only after its commit."""

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take a committed value, None deletes; called in log order, also while restoring."""

    def apply_all(self, values: dict[bytes, bytes | None]) -> None:
        """Take all values of one commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A keyed state of every lane with the topic that it is restored from."""

    name: str
    topic: str
    """Its changelog; or, for a source table, the input topic that holds the values themselves."""
    store: Callable[[Space], Store]
    source: bool = False
    """True: written by others and read as an input; restored up to the lane's committed offset."""


@dataclass(slots=True)
class Batch:
    """What one commit will write: outputs, table values, and the ranges of inputs it answers for."""

    new_output: Callable[[], Output]
    topics: Mapping[str, str] = field(default_factory=dict)
    """Each table's topic."""
    outputs: dict[str, Output] = field(default_factory=dict)
    """By full topic name."""
    writes: dict[str, dict[bytes, bytes | None]] = field(default_factory=dict)
    """By table name; the last value of a key counts."""
    places: dict[str, list[Place]] = field(default_factory=dict)
    """By table name, what was written at its place: each place once, its record is among the outputs."""
    mark: Any = field(default_factory=object)
    """Tells this batch from others; a place may outlive it."""
    runs: list[Run] = field(default_factory=list)
    records: int = 0
    oldest_ms: int | None = None
    """Kafka timestamp of the oldest record folded, barriers apart."""

    def emit(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        """Add one output record."""
        out = self.outputs.get(topic)
        if out is None:
            out = self.outputs[topic] = self.new_output()
        out.add(key, value)

    def write(self, table: str, key: bytes, value: bytes | None) -> None:
        """Set a table's value, None deletes it."""
        values = self.writes.get(table)
        if values is None:
            values = self.writes[table] = {}
        values[key] = value

    def write_at(self, table: str, place: Place, value: bytes) -> None:
        """Set a value at its place in a table, and add its record at once; of several the last one counts.

        For what is mostly written once a batch: nothing of it is looked for again at the commit.
        """
        if place.batch is not self.mark:
            place.batch = self.mark
            places = self.places.get(table)
            if places is None:
                places = self.places[table] = []
            places.append(place)
        place.next = value
        self.emit(self.topics[table], place.key, value)

    def emit_writes(self, table: str) -> None:
        """Add the records of a table's values, once no more are written."""
        topic = self.topics[table]
        for key, value in self.writes[table].items():
            self.emit(topic, key, value)


class Fold(Protocol):
    """One lane's logic: takes records in, puts what follows into the batch. Never awaits."""

    def apply(self, topic: str, records: Sequence[Record], batch: Batch) -> None:
        """Fold records of one input, in offset order."""

    def barrier(self, record: Record, ends: Mapping[str, int], batch: Batch) -> None:
        """Act on a record of the barrier topic: the other inputs were folded up to `ends` or further.

        `ends` says by topic where they ended at a moment after the record was read.
        """

    def work(self, batch: Batch) -> bool:
        """Do a bounded part of what the last barrier left to do; True while more is left."""

    def seal(self, batch: Batch) -> Iterator[None]:
        """Encode what changed, once, when nothing more will be folded into this batch.

        In parts: wherever it yields, others may have the event loop. It is complete when it ends.
        """

    def committed(self, batch: Batch) -> None:
        """Learn that the batch is committed and its writes stand in the stores."""


class Job(Protocol):
    """An application of the engine."""

    @property
    def inputs(self) -> Sequence[str]:
        """Full names of all input topics; equal numbers of partitions."""

    @property
    def leading(self) -> Sequence[str]:
        """Inputs that an opening lane folds up to where they end then, before it folds any other."""

    @property
    def barrier_topic(self) -> str | None:
        """The input whose records wait until the others were read up to where they then stood."""

    @property
    def tables(self) -> Sequence[Table]: ...

    def open(self, lane: int, stores: Mapping[str, Store]) -> Fold:
        """Return the logic of a lane over its restored stores."""


class BaseStore:
    """What all stores do alike."""

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take a committed value."""
        raise NotImplementedError

    def apply_all(self, values: dict[bytes, bytes | None]) -> None:
        """Take all values of one commit: here, since this is compiled."""
        for key, value in values.items():
            self.apply(key, value)


class KeyedStore(BaseStore):
    """A table as it is: the last value of each key."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take a committed value."""
        if value is None:
            self._space.delete(key)
        else:
            self._space.put(key, value)

    def get(self, key: bytes) -> bytes | None:
        """Return the committed value."""
        return self._space.get(key)

    def place(self, key: bytes) -> Place:
        """Return where the committed value of a key stands, or will."""
        return self._space.place(key)

    def settle_all(self, places: list[Place]) -> None:
        """Take the next values of places: they are committed."""
        space = self._space
        for place in places:
            space.settle(place)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Return all committed values, in any order."""
        return self._space.items()


class Observer(Protocol):
    """Who is told what the lanes do: metrics, health, views. Must be quick and must not raise."""

    def opened(self, lane: int, restored: int, seconds: float) -> None: ...
    def committed(self, lane: int, batch: Batch, times: "Times", lag: int) -> None:
        """`lag`: offsets of the lane's inputs that are not folded yet, as last seen."""

    def closed(self, lane: int) -> None: ...
    def faulted(self, lane: int, fault: BaseException) -> None:
        """The lane met something doubtful; the process ends right after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long a batch took, in seconds."""

    fold: float
    commit: float

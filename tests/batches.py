"""Batches without a client: records are kept in lists, and a commit is that stores take the values."""

from collections.abc import Mapping
from typing import Any

from streams.lanes.batches import KeyValue, Output
from streams.lanes.job import Batch, KeyedStore
from streams.topics import BALANCES, PROFILES, STATE_TABLES

TABLES = (*STATE_TABLES, BALANCES.name, PROFILES.name)


class Listed:
    """The client's record batch and its builder: the records as they were added."""

    def __init__(self) -> None:
        self.records: list[KeyValue] = []
        self._relative_offset = 0

    @property
    def _builder(self) -> "Listed":
        return self

    def append(self, offset: int, at_ms: int, key: bytes | None, value: bytes | None, headers: Any) -> object:
        assert offset == len(self.records), "records of a batch are numbered from 0"
        self.records.append((key, value))
        return self


def listed() -> Output:
    """Return an output that is never sent."""
    return Output(Listed, 0)


def records_in(output: Output) -> list[KeyValue]:
    """Return the records that were added so far."""
    return [record for batch in output.batches() for record in batch.records]


def new_batch(records: int = 0) -> Batch:
    """Return an empty batch; a table's topic has the table's name."""
    return Batch(listed, {table: table for table in TABLES}, records=records)


def records_of(batch: Batch) -> dict[str, list[KeyValue]]:
    """Return all records that were added so far, by topic."""
    return {topic: records_in(output) for topic, output in batch.outputs.items()}


def written(batch: Batch) -> dict[str, dict[bytes, bytes | None]]:
    """Return all tables' values, the last one of each key, whether written at a place or not."""
    placed = {table: {p.key: p.next for p in places} for table, places in batch.places.items()}
    return {**batch.writes, **placed}


def take(batch: Batch, stores: Mapping[str, Any]) -> None:
    """Take a batch's values into stores, as the lane does after its commit."""
    for table, values in batch.writes.items():
        stores[table].apply_all(values)
    for table, places in batch.places.items():
        store = stores[table]
        assert isinstance(store, KeyedStore)
        store.settle_all(places)

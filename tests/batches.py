"""Batches without a client: records are kept in lists, and a commit is that stores take the values."""

from collections.abc import Mapping, Sequence
from typing import Any

from streams.lanes.batches import KeyValue
from streams.lanes.job import Batch, KeyedStore, Output
from streams.topics import BALANCES, PROFILES, STATE_TABLES

TABLES = (*STATE_TABLES, BALANCES.name, PROFILES.name)


class Listed(Output):
    """Records as they were added."""

    def __init__(self) -> None:
        self.records: list[KeyValue] = []

    def add(self, key: bytes | None, value: bytes | None) -> None:
        self.records.append((key, value))

    def batches(self) -> Sequence[Any]:
        raise AssertionError("nothing of it is sent")


def new_batch(records: int = 0) -> Batch:
    """Return an empty batch; a table's topic has the table's name."""
    return Batch(Listed, {table: table for table in TABLES}, records=records)


def records_of(batch: Batch) -> dict[str, list[KeyValue]]:
    """Return all records that were added so far, by topic."""
    found = {}
    for topic, output in batch.outputs.items():
        assert isinstance(output, Listed)
        found[topic] = output.records
    return found


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

"""The shipped worker with one planted bug: `python -m tests.faults.broken_worker BUG`.

Supervised as the shipped one. Each bug is one that a plausible mistake would make; the storms must find
every one of them.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.producer import sender

from cli.supervisor import supervise
from streams.agents.seen import SeenShelf
from streams.app import run
from streams.lanes import lane, restore, transaction
from streams.lanes.batches import KeyValue, Output
from streams.lanes.job import Store, Table
from streams.lanes.spaces import Keeper
from streams.lanes.transaction import Cluster, LaneProducer, Offset


def commit_offsets_before_state() -> None:
    """Commit the offsets in a transaction of their own, before the one with the state and the outputs."""
    commit = LaneProducer.commit

    async def in_two(
        self: LaneProducer, writes: Mapping[str, Output], offsets: Mapping[str, Offset]
    ) -> dict[str, int]:
        await commit(self, {}, offsets)
        return await commit(self, writes, {})

    LaneProducer.commit = in_two  # type: ignore[method-assign]


def forget_ids() -> None:
    """Take every usage event for a new one."""
    SeenShelf.get = lambda self, digest: None  # type: ignore[method-assign]


def start_empty() -> None:
    """Restore nothing."""

    async def no_records(
        cluster: Cluster, number: int, keeper: Keeper, tables: Mapping[str, Table], *_: object
    ) -> tuple[dict[str, Store], int]:
        return {name: table.store(keeper.space(name)) for name, table in tables.items()}, 0

    lane.restore = no_records  # type: ignore


def fence_nobody() -> None:
    """Give each process transactional ids of its own: a lane's new owner does not stop the old one."""

    def producer(**settings: Any) -> AIOKafkaProducer:
        transactional_id = f"{settings.pop('transactional_id')}-{os.getpid()}"
        return AIOKafkaProducer(transactional_id=transactional_id, **settings)

    transaction.AIOKafkaProducer = producer  # type: ignore


def believe_the_store() -> None:
    """Take a local store that is there for all there is: an old copy too."""
    read = restore._read

    async def unread(
        consumer: Any, keeper: Keeper, stores: Mapping[Any, tuple[str, Store]], ends: Any
    ) -> int:
        if any(keeper.position(name) for name, _ in stores.values()):
            return 0
        return await read(consumer, keeper, stores, ends)

    restore._read = unread


class Kept:
    """Records that are put into batches anew each time they are sent."""

    def __init__(self, new_output: Callable[[], Output]) -> None:
        self._new_output = new_output
        self._records: list[KeyValue] = []

    def add(self, key: bytes | None, value: bytes | None) -> None:
        """Add a record."""
        self._records.append((key, value))

    def batches(self) -> Sequence[Any]:
        """Return new batches of all."""
        output = self._new_output()
        for record in self._records:
            output.add(*record)
        return output.batches()


def commit_again_without_reply() -> None:
    """Take a commit whose reply is lost for an abort, and write the batch once more."""
    do, commit, new_output = sender.BaseHandler.do, LaneProducer.commit, LaneProducer.output
    unheard: set[object] = set()

    async def impatient(self: sender.EndTxnHandler, node_id: int) -> bool:
        heard: bool = await do(self, node_id)
        if not heard:
            unheard.add(self._sender)
            self._sender._txn_manager.complete_transaction()
        return heard

    async def twice(
        self: LaneProducer, writes: Mapping[str, Output], offsets: Mapping[str, Offset]
    ) -> dict[str, int]:
        written = await commit(self, writes, offsets)
        assert self._producer is not None
        if self._producer._sender in unheard:
            unheard.clear()
            return await commit(self, writes, offsets)
        return written

    sender.EndTxnHandler.do = impatient
    LaneProducer.commit = twice  # type: ignore[method-assign]
    LaneProducer.output = lambda self: Kept(lambda: new_output(self))  # type: ignore


def nothing() -> None:
    """Leave the worker as it is."""


BUGS: Mapping[str, Callable[[], None]] = {
    bug.__name__: bug
    for bug in (
        believe_the_store,
        commit_again_without_reply,
        commit_offsets_before_state,
        fence_nobody,
        forget_ids,
        nothing,
        start_empty,
    )
}


def work(bug: str, instance: str) -> int:
    """Run a worker with the bug."""
    BUGS[bug]()
    return run(instance)


if __name__ == "__main__":
    sys.exit(supervise(partial(work, sys.argv[1])))

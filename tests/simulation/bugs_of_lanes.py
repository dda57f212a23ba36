"""Bugs planted into the engine, the stores and the application of the lanes: each a plausible mistake.

Where engine.md's table of holes has a number for it, the docstring says so.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError

from streams.lanes import lane as lane_module
from streams.lanes import restore as restore_module
from streams.lanes.batches import Output
from streams.lanes.job import Batch, Store
from streams.lanes.lane import BarrierQueue, Fetch, Lane
from streams.lanes.spaces import RocksKeeper
from streams.lanes.transaction import LaneProducer, Offset
from tests.simulation import clients
from tests.simulation.planting import wrap, wrap_async
from tests.simulation.processes import Process

Writes = Mapping[str, Output]
Offsets = Mapping[str, Offset]


def offsets_apart_from_state(patch: pytest.MonkeyPatch) -> None:
    """Hole 1: the offsets are committed in a transaction of their own, after the one with the state."""
    commit = LaneProducer.commit

    async def in_two(self: LaneProducer, writes: Writes, offsets: Offsets) -> dict[str, int]:
        written = await commit(self, writes, {})
        await commit(self, {}, offsets)
        return written

    patch.setattr(LaneProducer, "commit", in_two)


def offsets_committed_early(patch: pytest.MonkeyPatch) -> None:
    """Hole 2: the commit overtakes the writes that it covers."""
    commit = LaneProducer.commit

    async def in_two(self: LaneProducer, writes: Writes, offsets: Offsets) -> dict[str, int]:
        await commit(self, {}, offsets)
        return await commit(self, writes, {})

    patch.setattr(LaneProducer, "commit", in_two)


def a_lost_delivery_is_only_logged(patch: pytest.MonkeyPatch) -> None:
    """Hole 2, its other half: one record batch in twenty is not delivered, and nobody stops."""
    send = clients.Producer.send_batch
    sent = [0]

    async def lossy(self: clients.Producer, batch: clients.Batch, topic: str, *, partition: int) -> Any:
        sent[0] += 1
        if sent[0] % 20 == 0:
            lost: asyncio.Future[clients.Delivered] = asyncio.get_running_loop().create_future()
            lost.set_result(clients.Delivered(0))
            return lost
        return await send(self, batch, topic, partition=partition)

    patch.setattr(clients.Producer, "send_batch", lossy)


def nobody_is_fenced(patch: pytest.MonkeyPatch) -> None:
    """Hole 3: each process has transactional ids of its own."""
    start = clients.Producer.__init__

    def alone(self: clients.Producer, *, bootstrap_servers: str, transactional_id: str, **more: Any) -> None:
        start(
            self,
            bootstrap_servers=bootstrap_servers,
            transactional_id=f"{transactional_id}-{bootstrap_servers}",
            **more,
        )

    patch.setattr(clients.Producer, "__init__", alone)


def the_commit_comes_mid_event(patch: pytest.MonkeyPatch) -> None:
    """Hole 4: state is in the transaction, the offset of the last record is not."""

    def offsets(right: Any, self: Lane, batch: Batch) -> dict[str, Offset]:
        found: dict[str, Offset] = right(self, batch)
        if batch.runs and self._queue:
            last = batch.runs[-1]
            if last.topic != self._job.barrier_topic:
                found[last.topic] = (last.start, "")
        return found

    wrap(patch, Lane, "_offsets", offsets)


def outputs_bypass_the_transaction(patch: pytest.MonkeyPatch) -> None:
    """Hole 5: what nobody here consumes is sent outside the transaction."""
    commit = LaneProducer.commit

    async def around(self: LaneProducer, writes: Writes, offsets: Offsets) -> dict[str, int]:
        process = Process.named(self._cluster.bootstrap_servers)
        inside = {}
        for topic, output in writes.items():
            if topic in {"notifications", "invoices", "top-up-commands", "ledger-entries"}:
                for batch in output.batches():
                    for key, value in batch.records:
                        process.world.append(topic, self._lane, key, value, process.world.now_ms())
            else:
                inside[topic] = output
        return await commit(self, inside, offsets)

    patch.setattr(LaneProducer, "commit", around)


def restore_finds_an_empty_end(patch: pytest.MonkeyPatch) -> None:
    """Hole 6: the end of the changelog is unknown, so that a lane starts from empty state."""

    async def nothing(
        cluster: Any, lane: int, keeper: Any, tables: Any, committed: Any
    ) -> tuple[dict[str, Store], int]:
        return {name: table.store(keeper.space(name)) for name, table in tables.items()}, 0

    patch.setattr(lane_module, "restore", nothing)


def restore_stops_one_record_short(patch: pytest.MonkeyPatch) -> None:
    """The restore ends before the last record of each changelog."""
    read = restore_module._read

    async def short(consumer: Any, keeper: Any, stores: Any, ends: Any) -> int:
        last = {}
        for tp, end in ends.items():
            records = consumer._broker.logs[tuple(tp)].records
            last[tp] = records[-1].offset if records and stores[tp][0] == "accounts" else end
        return await read(consumer, keeper, stores, last)

    patch.setattr(restore_module, "_read", short)


def restore_reads_what_was_aborted(patch: pytest.MonkeyPatch) -> None:
    """The restore does not read committed records only."""
    start = clients.Reader.__init__
    patch.setattr(
        clients.Reader, "__init__", lambda self, **how: start(self, **{**how, "isolation_level": "any"})
    )


def restore_before_the_fence(patch: pytest.MonkeyPatch) -> None:
    """The state is read before the previous owner is out."""
    restore = lane_module.restore
    opened = LaneProducer.open
    held: dict[tuple[str, int], LaneProducer] = {}

    async def later(self: LaneProducer) -> None:
        held[self._cluster.bootstrap_servers, self._lane] = self

    async def first(cluster: Any, lane: int, *more: Any) -> Any:
        found = await restore(cluster, lane, *more)
        await opened(held.pop((cluster.bootstrap_servers, lane)))
        return found

    patch.setattr(LaneProducer, "open", later)
    patch.setattr(lane_module, "restore", first)


def offsets_before_the_fence(patch: pytest.MonkeyPatch) -> None:
    """The committed offsets are read before the previous owner is out, the state after."""
    committed = lane_module.committed_offsets
    opened = LaneProducer.open
    held: dict[tuple[str, int], LaneProducer] = {}

    async def later(self: LaneProducer) -> None:
        held[self._cluster.bootstrap_servers, self._lane] = self

    async def first(cluster: Any, lane: int, inputs: Any) -> Any:
        found = await committed(cluster, lane, inputs)
        await opened(held.pop((cluster.bootstrap_servers, lane)))
        return found

    patch.setattr(LaneProducer, "open", later)
    patch.setattr(lane_module, "committed_offsets", first)


def the_store_is_written_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """Hole 7: values reach the local store before they are committed, with the positions they will have."""

    async def commit(right: Any, self: Lane, batch: Batch) -> None:
        assert self._keeper is not None
        for name, values in batch.writes.items():
            for key, value in values.items():
                self._stores[name].apply(key, value)
        for name, places in batch.places.items():
            for place in places:
                self._stores[name].apply(place.key, place.next)
        self._keeper.flush({})
        await right(self, batch)

    wrap_async(patch, Lane, "_commit", commit)


def the_stores_position_is_written_first(patch: pytest.MonkeyPatch) -> None:
    """Hole 7, its other half: a store's position and its values are two writes."""

    def flush(right: Any, self: RocksKeeper, positions: Mapping[str, int]) -> None:
        pending = [dict(space.pending) for space in self._spaces.values()]
        for space in self._spaces.values():
            space.pending.clear()
        right(self, positions)
        for space, values in zip(self._spaces.values(), pending, strict=True):
            space.pending.update(values)
        right(self, positions)

    wrap(patch, RocksKeeper, "flush", flush)


def timers_have_no_catch_up(patch: pytest.MonkeyPatch) -> None:
    """Hole 12: a sweep that a crash cut off is not gone on with."""

    async def opened(right: Any, self: Lane) -> None:
        await right(self)
        self._working = False

    wrap_async(patch, Lane, "_open", opened)


def a_barrier_does_not_wait(patch: pytest.MonkeyPatch) -> None:
    """A tick is acted on as soon as it is read."""

    def cover(right: Any, self: BarrierQueue, fetches: int, ends: Mapping[str, int]) -> None:
        right(self, fetches, dict.fromkeys(ends, 0))

    wrap(patch, BarrierQueue, "cover", cover)


def a_lost_fetch_is_not_noticed(patch: pytest.MonkeyPatch) -> None:
    """A fetch that begins beyond what is expected is taken all the same."""

    def deliver(right: Any, self: Lane, fetch: Fetch) -> None:
        if self.wants(fetch):
            fetch.start = min(fetch.start, self._expected[fetch.topic])
        right(self, fetch)

    wrap(patch, Lane, "deliver", deliver)


def a_fetch_is_folded_twice(patch: pytest.MonkeyPatch) -> None:
    """What a lane has already is not dropped from a fetch that brings it again."""

    def deliver(right: Any, self: Lane, fetch: Fetch) -> None:
        if self.wants(fetch) and fetch.start < self._expected[fetch.topic]:
            self._expected[fetch.topic] = fetch.start
        right(self, fetch)

    wrap(patch, Lane, "deliver", deliver)


def kept_lanes_do_not_seek(patch: pytest.MonkeyPatch) -> None:
    """After a rebalance the consumer of a kept lane stays where the assignment put it."""
    patch.setattr(Lane, "seek_again", lambda self: None)


def the_ends_are_asked_before_the_offsets(patch: pytest.MonkeyPatch) -> None:
    """An opening lane that is slow meets offsets of another owner that lie beyond the ends it knows."""
    committed, end_offsets = clients.Reader.committed, clients.Reader.end_offsets

    async def ends_first(self: Any, partition: Any) -> int | None:
        if not hasattr(self, "early"):
            self.early = await end_offsets(self, list(self._positions))
        return await committed(self, partition)

    async def known_ends(self: Any, partitions: Any) -> Any:
        return self.early if hasattr(self, "early") else await end_offsets(self, partitions)

    patch.setattr(clients.Reader, "committed", ends_first)
    patch.setattr(clients.Reader, "end_offsets", known_ends)


def a_note_stays_where_nothing_is_left_to_write(patch: pytest.MonkeyPatch) -> None:
    """A sweep whose last part writes nothing commits nothing, and counts as unfinished for ever."""

    def act(right: Any, self: Lane, batch: Batch) -> None:
        right(self, batch)
        if not (batch.runs or batch.outputs or batch.writes):
            self._noted = self._working

    wrap(patch, Lane, "_act_on_barriers", act)


def a_commit_without_reply_is_written_again(patch: pytest.MonkeyPatch) -> None:
    """A batch whose commit got no reply is written once more, in a new transaction."""
    commit = LaneProducer.commit

    async def again(self: LaneProducer, writes: Writes, offsets: Offsets) -> dict[str, int]:
        try:
            return await commit(self, writes, offsets)
        except KafkaTimeoutError:
            producer: Any = self._producer
            producer._in_transaction = False
            return await commit(self, writes, offsets)

    patch.setattr(LaneProducer, "commit", again)


def a_crowded_batch_is_cut_off(patch: pytest.MonkeyPatch) -> None:
    """Of a topic's record batches in one commit only the first is written."""
    batches = Output.batches
    patch.setattr(Output, "batches", lambda self: batches(self)[:1])


BUGS = (
    offsets_apart_from_state,
    offsets_committed_early,
    a_lost_delivery_is_only_logged,
    nobody_is_fenced,
    the_commit_comes_mid_event,
    outputs_bypass_the_transaction,
    restore_finds_an_empty_end,
    restore_stops_one_record_short,
    restore_reads_what_was_aborted,
    restore_before_the_fence,
    offsets_before_the_fence,
    the_store_is_written_before_the_commit,
    the_stores_position_is_written_first,
    timers_have_no_catch_up,
    a_barrier_does_not_wait,
    a_lost_fetch_is_not_noticed,
    a_fetch_is_folded_twice,
    kept_lanes_do_not_seek,
    the_ends_are_asked_before_the_offsets,
    a_note_stays_where_nothing_is_left_to_write,
    a_commit_without_reply_is_written_again,
    a_crowded_batch_is_cut_off,
)

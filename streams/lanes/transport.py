"""Faust's transport with the lanes in it: whole fetches to the agents, no commit of Faust's own.

Extension points used: App._new_transport, Transport.Consumer, Transport.TransactionManager, the
consumer's _drain_messages and its thread's _create_worker_consumer, on_thread_stop and _fetch_records.
Group membership, co-partitioned assignment, flow control, agents and worker stay Faust's.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import aiokafka
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError, NoOffsetForPartitionError
from faust.transport.consumer import TransactionManager
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from streams.lanes.group import LaneGroup
from streams.lanes.lane import Fetch
from streams.lanes.transaction import REQUEST_TIMEOUT_MS

FETCH_WAIT_MS = 100
"""How long the broker may hold a fetch open: a partition left out of it waits that long at most."""
POLL_SECONDS = 0.05
"""How soon transaction markers at an input's end are noticed."""
ASKED_AT_MOST = 6
"""How often the end of an input is asked for: a broker that is away for a minute is waited for."""
PARTITION_BYTES = 4 * 1024 * 1024

Fetched = dict[TP, Fetch]


class Thread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """The consumer's thread; hands over records together with where they begin and end.

    A fetch may be lost on its way (a rebalance, a cancelled call). So each says from which offset on it
    is complete: from where the last one ended, or from a seek. What cannot say that begins at its first
    record, and a lane that expected an earlier one seeks.
    """

    _handed: dict[TP, int]
    _handed_of: Any = None  # the assignment that _handed is of

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        conf = self.app.conf
        self._assignor = self.app.assignor
        return aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            bootstrap_servers=driver.server_list(transport.url, transport.default_port),
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="none",  # a next offset that the log does not hold stops the worker
            isolation_level="read_committed",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_partition_fetch_bytes=PARTITION_BYTES,
            check_crcs=conf.broker_check_crcs,
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
        )

    async def on_thread_stop(self) -> None:
        """Stop; aiokafka's coordinator leaves the group by its member id, and only where it is not static."""
        if self._consumer is not None and self.app.leaves_group:
            self._consumer._coordinator._group_instance_id = None
        await super().on_thread_stop()

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Fetched:
        try:
            records = await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        except NoOffsetForPartitionError:  # nothing was committed yet: the lane seeks when it has opened
            await asyncio.sleep(timeout or 0)
            return {}
        assignment = consumer._subscription.subscription.assignment
        if assignment is not self._handed_of:
            self._handed, self._handed_of = {}, assignment
        if assignment is None:
            return {}
        fetched: Fetched = {}
        for tp in active_partitions:
            partition = TopicPartition(*tp)
            if partition not in assignment.tps:
                continue
            state = assignment.state_value(partition)
            if not state.has_valid_position:
                continue
            here, position = records.get(partition, ()), state.position
            start = min(self._handed.get(tp, position), here[0].offset if here else position)
            end = position if state.lso is None else max(state.lso, position)
            self._handed[tp] = position
            fetched[tp] = Fetch(tp.topic, tp.partition, here, start, position, end)
        return fetched

    async def last_stable_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TP, int]:
        """Ask the broker where read_committed consumers can read to now; one that does not answer, again."""
        for _ in range(ASKED_AT_MOST - 1):
            with contextlib.suppress(KafkaTimeoutError):
                return await self._ends(partitions)
        return await self._ends(partitions)

    async def _ends(self, partitions: Sequence[TopicPartition]) -> Mapping[TP, int]:
        ends = await self.call_thread(self._ensure_consumer().end_offsets, partitions)
        return {TP(*tp): end for tp, end in ends.items()}

    async def seek_now(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Move the consumer in its own thread."""
        await self.call_thread(self._seek_all, offsets)

    async def _seek_all(self, offsets: Mapping[TopicPartition, int]) -> None:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        for partition, offset in offsets.items():
            if partition in assigned:
                consumer.seek(partition, offset)
                if self._handed_of is consumer._subscription.subscription.assignment:
                    self._handed[TP(*partition)] = offset


class Consumer(driver.Consumer):  # type: ignore[misc]
    """Delivers a fetch as one message, in order of arrival, and never commits."""

    def _new_consumer_thread(self) -> Thread:
        return Thread(self, loop=self.loop, beacon=self.beacon)

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Do nothing: offsets travel in the lanes' transactions."""
        return True

    async def perform_seek(self) -> None:
        """Do nothing: a lane seeks when it has opened."""

    async def _drain_messages(self, fetcher: Any) -> None:
        stopped = self._stopped.is_set
        try:
            while not (stopped() or fetcher._stopped.is_set()):
                fetched, _ = await self._wait_next_records(POLL_SECONDS)
                generation = self.app.consumer_generation_id
                for tp, fetch in (fetched or {}).items():
                    if generation != self.app.consumer_generation_id or not self.flow_active:
                        break
                    if self.app.lane_group.wants(fetch):
                        message = self._fetch_message(tp, fetch)
                        await self.wait_first(self.callback(message), self.suspend_flow.wait())
                await asyncio.sleep(0)
        except (*self.consumer_stopped_errors, asyncio.CancelledError):
            if not self.transport.app.should_stop:
                raise

    def _fetch_message(self, tp: TP, fetch: Fetch) -> ConsumerMessage:
        """Wrap a fetch as the message that Faust's conductor hands to the agent of the topic."""
        return ConsumerMessage(
            tp.topic, tp.partition, fetch.next_offset, 0.0, 0, (), None, fetch, None, None, None, tp,
            generation_id=self.app.consumer_generation_id,
        )  # fmt: skip


class Lanes(TransactionManager):  # type: ignore[misc]
    """Stands where Faust's transaction manager would: told of every rebalance, sends nothing itself."""

    @property
    def group(self) -> LaneGroup:
        """The lanes of this worker."""
        group: LaneGroup = self.app.lane_group
        return group

    async def on_start(self) -> None:
        """Let the lanes reach the consumer."""
        self.group.attach(ConsumerReach(self.consumer, self.group.inputs))

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish the commits under way; which lanes stay is known at the assignment."""
        await self.group.quiesce()

    async def on_rebalance(self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP]) -> None:
        """Close the lanes that went elsewhere, open those that came."""
        await self.group.assign({tp.partition for tp in assigned if tp.topic in self.group.inputs})

    async def on_stop(self) -> None:
        """Finish and close every lane."""
        await self.group.assign(set())

    async def commit(self, offsets: Any, start_new_transaction: bool = True) -> bool:
        """Do nothing: each lane commits its own."""
        return True

    async def flush(self) -> None:
        """Do nothing: a lane's batch is flushed in its commit."""


class ConsumerReach:
    """The lanes' way to the consumer."""

    def __init__(self, consumer: Consumer, inputs: Sequence[str]) -> None:
        self._consumer = consumer
        self._inputs = inputs

    async def seek(self, lane: int, offsets: Mapping[str, int]) -> None:
        """Make the consumer read on from these offsets, by topic."""
        await self._consumer._thread.seek_now(
            {TopicPartition(topic, lane): offset for topic, offset in offsets.items()}
        )

    async def ends(self, lane: int, topics: Sequence[str]) -> Mapping[str, int]:
        """Return the last stable offset of each topic's partition, asked now."""
        ends = await self._consumer._thread.last_stable_offsets([TopicPartition(t, lane) for t in topics])
        return {tp.topic: end for tp, end in ends.items()}

    def pause(self, lane: int) -> None:
        """Stop delivering to the lane."""
        self._consumer.pause_partitions({TP(topic, lane) for topic in self._inputs})

    def resume(self, lane: int) -> None:
        """Deliver again."""
        self._consumer.resume_partitions({TP(topic, lane) for topic in self._inputs})


class Transport(driver.Transport):  # type: ignore[misc]
    """Faust's aiokafka transport with the parts above."""

    Consumer = Consumer
    TransactionManager = Lanes

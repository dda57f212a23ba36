"""A worker with one thing left out, to measure what it costs: `python -m bench.worker --without ...`.

Only bench/ has it: the shipped worker knows no such switch, and no deployment could ever want one.

ledger        no ledger entry is written: what is left is the yardsticks' job alone
transactions  the same batches, then the offsets, with nothing that holds them together: a crash between
              the two charges the batch again
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition

from streams import app
from streams.agents.job import BillingJob
from streams.lanes import lane, transport
from streams.lanes.batches import Output
from streams.lanes.transaction import WRITES, LaneProducer, Offset

LEDGERLESS_JOB = partial(BillingJob, ledger=False)


class CommittingReach(transport.ConsumerReach):
    """Lets a lane's producer commit offsets as a member of the group does."""

    commit: Callable[[Mapping[TopicPartition, Offset]], Any]

    def __init__(self, consumer: transport.Consumer, inputs: Any) -> None:
        super().__init__(consumer, inputs)
        thread = consumer._thread

        async def commit(offsets: Mapping[TopicPartition, Offset]) -> None:
            await thread.call_thread(thread._ensure_consumer().commit, offsets)

        CommittingReach.commit = staticmethod(commit)


class PlainProducer(LaneProducer):
    """Writes one lane's batches, awaits every delivery, and only then commits: at-least-once."""

    async def open(self) -> None:
        """Connect; nobody is fenced."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._cluster.bootstrap_servers,
            enable_idempotence=True,
            **WRITES,
        )
        await self._producer.start()

    async def commit(self, outputs: Mapping[str, Output], offsets: Mapping[str, Offset]) -> dict[str, int]:
        """Write all records by topic, then the offsets."""
        producer = self._producer
        assert producer is not None, "commit on a lane that is not open"
        written = await self._deliver(producer, outputs)
        if offsets:
            places = {TopicPartition(topic, self._lane): offset for topic, offset in offsets.items()}
            await CommittingReach.commit(places)
        return written


def leave_out(what: str) -> None:
    """Put the worker of this process together without something."""
    if what == "ledger":
        app.BillingJob = LEDGERLESS_JOB  # type: ignore[assignment,attr-defined]
    else:
        lane.LaneProducer = PlainProducer  # type: ignore[attr-defined]
        transport.ConsumerReach = CommittingReach  # type: ignore[misc]


def main() -> int:
    """Run a worker once."""
    p = argparse.ArgumentParser(prog="python -m bench.worker", description=__doc__)
    p.add_argument("--without", choices=("ledger", "transactions"), required=True)
    leave_out(p.parse_args().without)
    return app.run()


if __name__ == "__main__":
    sys.exit(main())

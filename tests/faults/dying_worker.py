"""The shipped worker, which kills itself (SIGKILL) at a point of a commit or of a restore when told.

    python -m tests.faults.dying_worker

Supervised as the shipped one. The point is named in the file EVERGREEN_TEST_DEATH; the first process that
comes there takes the file away and dies. Only for tests: the product has no such points.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from cli.supervisor import supervise
from streams.app import run
from streams.lanes import restore
from streams.lanes.spaces import MemoryKeeper, RocksKeeper
from streams.lanes.transaction import LaneProducer

ORDER = "EVERGREEN_TEST_DEATH"
IN_A_COMMIT = (
    "transaction begun",
    "records written, offsets not sent",
    "offsets sent, not committed",
    "committed, not in the store",
    "in the store",  # or, of a restore that fills the store, in the middle of it
)
IN_A_RESTORE = ("producer open", "store open", "restored, not folding")


def die_if_told(point: str) -> None:
    """Die here if it was ordered."""
    order = Path(os.environ[ORDER])
    try:
        if order.read_text() != point:
            return
        order.unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()


def tell_what_runs(*_: object) -> None:
    """Write every task of every event loop to stderr: a test has failed."""
    for task in [task for task in asyncio.tasks._all_tasks if not task.done()]:  # type: ignore[attr-defined]
        task.print_stack(file=sys.stderr)


def arm() -> None:
    """Put the points around the methods of the lanes."""
    signal.signal(signal.SIGRTMIN, tell_what_runs)
    opened, deliver, read = LaneProducer.open, LaneProducer._deliver, restore._read
    send_offsets, commit = AIOKafkaProducer.send_offsets_to_transaction, AIOKafkaProducer.commit_transaction

    async def dying_open(self: LaneProducer) -> None:
        await opened(self)
        die_if_told("producer open")

    async def dying_deliver(self: LaneProducer, producer: Any, writes: Any) -> dict[str, int]:
        die_if_told("transaction begun")
        written = await deliver(self, producer, writes)
        die_if_told("records written, offsets not sent")
        return written

    async def dying_send_offsets(self: Any, *arguments: Any) -> None:
        await send_offsets(self, *arguments)
        die_if_told("offsets sent, not committed")

    async def dying_commit(self: Any) -> None:
        await commit(self)
        die_if_told("committed, not in the store")

    async def dying_read(consumer: Any, keeper: Any, stores: Any, ends: Any) -> int:
        die_if_told("store open")
        restored = await read(consumer, keeper, stores, ends)
        die_if_told("restored, not folding")
        return restored

    for kind in (MemoryKeeper, RocksKeeper):
        kind.flush = _dying_flush(kind.flush)  # type: ignore[method-assign]
    LaneProducer.open, LaneProducer._deliver = dying_open, dying_deliver  # type: ignore
    AIOKafkaProducer.send_offsets_to_transaction = dying_send_offsets
    AIOKafkaProducer.commit_transaction = dying_commit
    restore._read = dying_read  # type: ignore


def _dying_flush(flush: Any) -> Any:
    def dying(self: Any, positions: Mapping[str, int]) -> None:
        flush(self, positions)
        die_if_told("in the store")

    return dying


def work(instance: str) -> int:
    """Run a worker that dies where it is told to."""
    arm()
    return run(instance)


if __name__ == "__main__":
    sys.exit(supervise(work))

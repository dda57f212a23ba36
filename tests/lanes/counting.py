"""An application of the engine that is not billing: counts records per key, one output a record.

Run as `python -m tests.lanes.counting BOOTSTRAP PREFIX [DIRECTORY]`; with a directory state is in RocksDB.
Output values are `{key} {n} {payload}`, so that a reader sees every loss, every double and every break of
a key's count. Ticks flush nothing; each writes one `tick` output with the number of records seen before it.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from streams.lanes.app import LanesApp
from streams.lanes.job import Batch, Fold, KeyedStore, Record, Store, Table, Times
from streams.lanes.lane import Pace
from streams.lanes.spaces import MemoryKeeper, Slot
from streams.lanes.transaction import Cluster

PARTITIONS = 4
INPUTS = ("numbers", "more-numbers", "ticks")


class CountingJob:
    """Two inputs and ticks in, one output, one table."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.inputs = [prefix + topic for topic in INPUTS]
        self.leading = [prefix + "more-numbers"]
        self.barrier_topic = prefix + "ticks"
        self.tables = [Table(name="counts", topic=f"{prefix}app-counts-changelog", store=KeyedStore)]

    def open(self, lane: int, stores: Mapping[str, Store]) -> Fold:
        """Return a lane's counter."""
        counts = stores["counts"]
        assert isinstance(counts, KeyedStore)
        return Counter(self.prefix + "counted", counts)


class Counter:
    """Counts one lane."""

    def __init__(self, output: str, store: KeyedStore) -> None:
        self.output = output
        self.store = store
        self.total = int(store.get(b"") or 0)

    def apply(self, topic: str, records: Sequence[Record], batch: Batch) -> None:
        """Count records per key."""
        pending = batch.writes.get("counts", {})
        for record in records:
            key = record.key or b"-"
            count = int(pending.get(key) or self.store.get(key) or 0) + 1
            batch.write("counts", key, b"%d" % count)
            pending = batch.writes["counts"]
            batch.emit(self.output, key, b"%s %d %s" % (key, count, record.value or b""))
        self.total += len(records)

    def barrier(self, record: Record, ends: Mapping[str, int], batch: Batch) -> None:
        """Say how many records were counted before the tick."""
        batch.emit(self.output, b"tick", b"tick %d %s" % (self.total, record.value or b""))

    def work(self, batch: Batch) -> bool:
        """Leave nothing to do."""
        return False

    def seal(self, batch: Batch) -> Iterator[None]:
        """Keep the total."""
        yield
        batch.write("counts", b"", b"%d" % self.total)

    def committed(self, batch: Batch) -> None:
        """Need nothing."""


class Printer:
    """Says on stdout what the lanes do."""

    def opened(self, lane: int, restored: int, seconds: float) -> None:
        """Print an opened lane."""
        print(f"opened {lane} restored {restored} in {seconds:.2f}", flush=True)

    def committed(self, lane: int, batch: Batch, times: Times, lag: int) -> None:
        """Print a commit."""
        print(f"committed {lane} {batch.records} {times.fold:.3f} {times.commit:.3f}", flush=True)

    def closed(self, lane: int) -> None:
        """Print a closed lane."""
        print(f"closed {lane}", flush=True)

    def faulted(self, lane: int, fault: BaseException) -> None:
        """Print what went wrong."""
        print(f"faulted {lane} {fault!r}", flush=True)


def main() -> None:
    """Run one worker until it is told to stop."""
    bootstrap, prefix = sys.argv[1:3]
    cluster = Cluster(bootstrap_servers=bootstrap, group=prefix + "app", transaction_timeout_ms=20_000)
    app = LanesApp(
        cluster=cluster,
        job=CountingJob(prefix),
        pace=Pace(gather_seconds=0.3, batch_records=20_000),
        observer=Printer(),
        partitions=PARTITIONS,
        open_keeper=Slot(Path(sys.argv[3])).keeper if len(sys.argv) > 3 else MemoryKeeper,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=1.0,
    )
    app.run_worker()


if __name__ == "__main__":
    main()

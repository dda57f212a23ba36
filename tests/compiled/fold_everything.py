"""Fold the whole simulation through one lane in this process and print what came of it, as one number.

`python -m tests.compiled.fold_everything`: run by two builds of the same files, it must print the same.
"""

import sys
from dataclasses import dataclass
from hashlib import sha256

from producers.everything import Everything
from schemas.wire import fixed
from streams.agents.job import BillingJob
from streams.app import IS_COMPILED, policy
from streams.lanes.job import Run
from streams.lanes.spaces import MemorySpace
from streams.settings import Settings
from streams.topics import INPUTS
from tests.batches import new_batch, records_of, take, written


@dataclass(slots=True)
class Arrived:
    """A record as a fetch has it."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: tuple[tuple[str, bytes | None], ...] = ()


def digest(accounts: int, months: int) -> tuple[int, str]:
    """Return how many records were folded, and the sha256 of all outputs and all values of all tables."""
    settings = Settings(bootstrap_servers="127.0.0.1:1", lanes=1, clock="manual", schema_registry_url="")
    job = BillingJob(settings, policy(settings), fixed(), worker="one")
    stores = {table.name: table.store(MemorySpace()) for table in job.tables}
    fold = job.open(0, stores)
    found, ends, count = sha256(), dict.fromkeys((settings.topic(t.name) for t in INPUTS), 0), 0
    for step in Everything(seed=7, accounts=accounts, months=months, lanes=1, schemas=fixed()).steps():
        batch = new_batch()
        for emission in (emission for phase in step.phases for emission in phase):
            topic = settings.topic(emission.topic)
            headers = tuple((name, value.encode()) for name, value in emission.headers)
            record = Arrived(ends[topic], emission.key, emission.value, step.tick, headers)
            fold.apply(topic, [record], batch)
            batch.runs.append(Run(topic, record.offset, record.offset + 1))
            ends[topic] += 1
            count += 1
        tick = fixed().codec("tick").encode({"time": step.tick, "ticker": "test"})
        fold.barrier(Arrived(step.number, b"tick", tick, step.tick), ends, batch)
        while fold.work(batch):
            pass
        list(fold.seal(batch))
        for topic, records in sorted(records_of(batch).items()):
            for key, value in records:
                found.update(repr((topic, key, value)).encode())
        for table, values in sorted(written(batch).items()):
            for key, value in sorted(values.items()):
                found.update(repr((table, key, value)).encode())
        take(batch, stores)
        fold.committed(batch)
    return count, found.hexdigest()


if __name__ == "__main__":
    print(IS_COMPILED, *digest(int(sys.argv[1]), int(sys.argv[2])))

"""The benchmarks' workload through the lanes' real fold and through the raw loop's rule, without Kafka."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from bench.encoding import OurWriter, PeerWriter
from bench.inputs import deployment, opening
from bench.peers.rules import Billing
from bench.systems import LANE_KEY, lane_state
from bench.workload import START_MS, Shape, Usage, account_id, workload
from producers.emissions import Encoder
from schemas.wire import fixed
from streams.agents.job import BillingJob
from streams.app import policy
from streams.lanes.job import Batch
from streams.lanes.spaces import MemorySpace
from streams.settings import Settings
from streams.topics import BALANCES, PAYMENTS, USAGE
from tests.batches import new_batch, records_of, take, written

BATCH = 10_000
FETCH = 1_000
LATER_MS = START_MS + 90 * 86_400_000


@dataclass(slots=True)
class Arrived:
    """A record as a fetch has it."""

    offset: int
    key: bytes
    value: bytes
    timestamp: int = LATER_MS
    headers: tuple[tuple[str, bytes], ...] = ()


Fetched = tuple[str, list[Arrived]]


@dataclass(kw_only=True)
class Folding:
    """One lane that has it all; `made` is every batch as it would be sent."""

    shape: Shape
    open_job: Callable[..., BillingJob] = BillingJob
    made: list[Batch] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings: Settings = deployment("127.0.0.1:1", "bench.").model_copy(update={"lanes": 1})
        job = self.open_job(self.settings, policy(self.settings), fixed(), worker="bench")
        self._stores = {table.name: table.store(MemorySpace()) for table in job.tables}
        self._stores["lane"].apply(LANE_KEY, lane_state())
        self._fold = job.open(0, self._stores)
        self.fold(self._opening())

    def fold(self, fetches: Iterable[Fetched]) -> None:
        """Fold fetches, and commit every so many records as a lane does."""
        batch = new_batch()
        for topic, records in fetches:
            self._fold.apply(topic, records, batch)
            batch.records += len(records)
            if batch.records >= BATCH:
                self._commit(batch)
                batch = new_batch()
        self._commit(batch)

    @cached_property
    def fetches(self) -> list[Fetched]:
        """All usage and payments, in the order of time, as fetches of one topic each."""
        writer = OurWriter(self.shape.accounts, fixed())
        usage, payments = self.settings.topic(USAGE.name), self.settings.topic(PAYMENTS.name)
        arrived: dict[str, list[Arrived]] = {usage: [], payments: []}
        for event in workload(self.shape):
            is_usage = isinstance(event, Usage)
            value = writer.usage(event) if isinstance(event, Usage) else writer.payment(event)
            records = arrived[usage if is_usage else payments]
            records.append(Arrived(len(records), account_id(event.account).encode(), value))
        return [
            (topic, records[first : first + FETCH])
            for topic, records in ((payments, arrived[payments]), (usage, arrived[usage]))
            for first in range(0, len(records), FETCH)
        ]

    def outputs(self, name: str) -> Sequence[tuple[bytes | None, bytes | None]]:
        """Return all that was put out to a topic; balances are a table of the lane."""
        if name == BALANCES.name:
            return [record for batch in self.made for record in written(batch).get(name, {}).items()]
        topic = self.settings.topic(name)
        return [record for batch in self.made for record in records_of(batch).get(topic, [])]

    def _opening(self) -> Iterable[Fetched]:
        for offset, emission in enumerate(opening(Encoder(fixed()), self.shape)):
            assert emission.key is not None
            assert emission.value is not None
            yield self.settings.topic(emission.topic), [Arrived(offset, emission.key, emission.value)]

    def _commit(self, batch: Batch) -> None:
        list(self._fold.seal(batch))
        take(batch, self._stores)
        self._fold.committed(batch)
        self.made.append(batch)


class RawLoop:
    """The peers' rule over the same workload, committed as often."""

    def __init__(self, shape: Shape) -> None:
        self._billing = Billing()
        writer = PeerWriter(shape.accounts)
        events = list(workload(shape))
        self.payments = [
            (account_id(e.account).encode(), writer.payment(e)) for e in events if not isinstance(e, Usage)
        ]
        self.usage = [
            (account_id(e.account).encode(), writer.usage(e)) for e in events if isinstance(e, Usage)
        ]

    def fold(self) -> int:
        """Bill all of it; return how many states were encoded."""
        states = 0
        for handle, records in ((self._billing.payment, self.payments), (self._billing.usage, self.usage)):
            for number, (key, value) in enumerate(records, start=1):
                handle(0, key, value)
                if number % BATCH == 0:
                    states += sum(1 for _ in self._billing.changes())
        return states + sum(1 for _ in self._billing.changes())

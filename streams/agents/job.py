"""The billing application of the lanes: records in, the rules' outcome out, one journal entry a commit.

Decides nothing: what a record means is streams.domain's to say.
"""

import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from schemas.wire import Schemas
from streams import metrics
from streams.agents import input_logs, outputs
from streams.agents.entries import EntryWriter
from streams.agents.input_logs import InputLogs
from streams.agents.intake import Intake
from streams.agents.seen import SeenShelf, SeenStore
from streams.agents.shelves import (
    AccountShelf,
    AdjustmentShelf,
    LaneShelf,
    PaymentShelf,
    PriceShelf,
    ProfileShelf,
    ProfileStore,
    WaitingShelf,
)
from streams.domain.book import Book, Outcome, Policy
from streams.domain.events import Event, Origin, ProfileChanged, ProfileErased, Tick, UsageEvent
from streams.domain.outputs import Announcement, DeadLetter, LedgerEntry, TopUpDecided
from streams.domain.reasons import Rejected
from streams.domain.shelves import Shelves
from streams.lanes.job import Batch, Fold, KeyedStore, Record, Store, Table
from streams.lanes.view import View
from streams.settings import Settings
from streams.topics import (
    BALANCES,
    INPUTS,
    JOURNAL,
    LEDGER,
    PRICES,
    PROFILES,
    SETTINGS,
    STATE_TABLES,
    TICKS,
    USAGE,
    changelog,
)

SWEEP_ACCOUNTS = 100
"""Accounts woken in one go, between which live events are folded. A month's close takes the longer the fewer
they are, and usage beside it waits the longer the more: 1.7 s at p99 with 500, 1.0 s with 200."""
DRAIN_OUTPUTS = 200
"""Outputs that are encoded in one go, soon after they were made: they are still in the processor's cache."""
SPREAD = 0.5
"""Accounts an event from which on a batch counts as spread over many."""
COMMITS_KEY = b"commits"
COMMITS = struct.Struct(">Q")

_APPLIED = Outcome.APPLIED  # an enum's attribute is slow to reach


class BillingJob:
    """Opens the books."""

    def __init__(
        self,
        settings: Settings,
        policy: Policy,
        schemas: Schemas,
        *,
        worker: str,
        topic_ids: Mapping[str, str] | None = None,
        ledger: bool = True,
    ) -> None:
        """`topic_ids` tell one topic from another of the same name; without them nobody does.

        `ledger` False leaves the ledger entries out: bench/ measures what they cost, nobody else may.
        """
        self.ledger = ledger
        self.topic_ids = topic_ids or {}
        self.settings = settings
        self.policy = policy
        self.schemas = schemas
        self.worker = worker
        self.view: View | None = None
        """Where the committed balances are shown: the last record of each account, as its topic has it."""
        self.inputs = [settings.topic(topic.name) for topic in INPUTS]
        self.leading = [settings.topic(topic.name) for topic in (PRICES, SETTINGS, PROFILES)]
        """A backlog of usage meets the prices and settings that were published while nobody worked."""
        self.barrier_topic = settings.topic(TICKS.name)
        self.tables = [
            Table(
                name=name,
                topic=changelog(settings.application, name),
                store=SeenStore if name == SeenShelf.TABLE else KeyedStore,
            )
            for name in STATE_TABLES
        ]
        self.tables.append(Table(name=BALANCES.name, topic=settings.topic(BALANCES.name), store=KeyedStore))
        profiles = settings.topic(PROFILES.name)
        self.tables.append(
            Table(
                name=PROFILES.name,
                topic=profiles,
                store=lambda space: ProfileStore(space, schemas),
                source=True,
            )
        )

    def open(self, lane: int, stores: Mapping[str, Store]) -> Fold:
        """Return the fold of a lane over its restored stores."""
        balances = stores[BALANCES.name]
        assert isinstance(balances, KeyedStore)
        if self.view is not None:
            self.view.show(lane, balances)
        return BillingFold(self, lane, stores)


@dataclass(slots=True)
class Counts:
    """What became of a batch's records."""

    applied: int = 0
    waiting: int = 0
    duplicate: int = 0
    dead: int = 0


class BillingFold:
    """One lane's book, between the wire and the batch."""

    def __init__(self, job: BillingJob, lane: int, stores: Mapping[str, Store]) -> None:
        codec = job.schemas.codec
        self._job = job
        self._lane = lane
        self._topics = {job.settings.topic(topic.name): topic for topic in INPUTS}
        at_hand = job.settings.cached_accounts // job.settings.lanes + 1
        seen_store = stores[SeenShelf.TABLE]
        assert isinstance(seen_store, SeenStore)
        self._seen = SeenShelf(seen_store)
        self._ledger = job.settings.topic(LEDGER.name)
        self._entries = EntryWriter(codec("ledger-entry"))
        keyed = {name: store for name, store in stores.items() if isinstance(store, KeyedStore)}
        self._profiles = ProfileShelf(keyed[PROFILES.name], codec("account-profile"))
        self._accounts = AccountShelf(
            keyed[AccountShelf.STATES],
            keyed[BALANCES.name],
            codec("state-account"),
            codec("account-balance"),
            at_hand,
        )
        self._intake = Intake(job.schemas, lane, job.settings.lanes, self._accounts)
        payments = PaymentShelf(keyed["payments"], codec("state-payment"))
        adjustments = AdjustmentShelf(keyed["adjustments"], codec("state-adjustment"))
        prices = PriceShelf(keyed["prices"], codec("price"))
        lane_state = LaneShelf(keyed["lane"], codec("state-lane"))
        waiting = WaitingShelf(keyed["waiting"], codec("state-waiting"))
        self._cabinets = [shelf.cabinet for shelf in (payments, adjustments, prices, lane_state, waiting)]
        self._book = Book(
            job.policy,
            Shelves(
                accounts=self._accounts,
                payments=payments,
                adjustments=adjustments,
                prices=prices,
                profiles=self._profiles,
                lane=lane_state,
                waiting=waiting,
                seen=self._seen,
            ),
        )
        self._counts = Counts()
        self._reasons: Counter[str] = Counter()
        self._decisions: Counter[str] = Counter()
        self._tick: int | None = None
        self._stood: dict[str, int] = {}  # where the other inputs ended, asked for the batch's barriers
        commits = keyed["lane"].get(COMMITS_KEY)
        self._commit = COMMITS.unpack(commits)[0] if commits else 0
        logs = (*job.inputs, *(table.topic for table in job.tables))
        ids = {topic: job.topic_ids[topic] for topic in logs if topic in job.topic_ids}
        accepted = job.settings.accept_topics.split(",")
        self._logs = InputLogs(lane, ids, keyed["lane"].get(input_logs.KEY), accepted=accepted)
        self._is_spread = False  # few events of the last batch shared an account

    def apply(self, topic: str, records: Sequence[Record], batch: Batch) -> None:
        """Fold records of one input."""
        spec = self._topics[topic]
        intake, said = self._intake, self._book.outputs
        decoded = [intake.decode(spec, record) for record in records]
        if spec is USAGE:
            self._look_ahead([event for _, event in decoded if type(event) is UsageEvent])
        for origin, event in decoded:
            self._take(origin, intake.placed(event), batch)
            if len(said) >= DRAIN_OUTPUTS:
                self._drain(batch)
        self._drain(batch)
        if self._is_spread:
            for _ in self._accounts.seal(self._book.touched(), batch):
                pass

    def barrier(self, record: Record, ends: Mapping[str, int], batch: Batch) -> None:
        """Act on a tick; the journal entry tells the ends of one asking, which all ticks of a batch share."""
        stood = {self._topics[topic].name: end for topic, end in ends.items()}
        assert not self._stood or self._stood == stood, "the ends were asked again within a batch"
        self._stood = stood
        origin, event = self._intake.read(TICKS, record)
        if isinstance(event, Tick):
            event = replace(event, stood=stood)
        self._take(origin, event, batch)

    def work(self, batch: Batch) -> bool:
        """Wake a bounded number of accounts that are due."""
        more = self._book.work(SWEEP_ACCOUNTS)
        self._drain(batch)
        return more

    def seal(self, batch: Batch) -> Iterator[None]:
        """Encode the changed state, the balances and the journal entry of a batch, in parts."""
        self._drain(batch)
        yield from self._accounts.seal(self._book.touched(), batch)
        for cabinet in self._cabinets:
            yield from cabinet.seal(batch)
        self._seen.seal(batch)
        self._journal(batch)

    def committed(self, batch: Batch) -> None:
        """Count, and start the next batch."""
        self._accounts.committed()
        for cabinet in self._cabinets:
            cabinet.committed()
        self._seen.committed()
        self._profiles.committed()
        self._is_spread = len(batch.places.get(BALANCES.name, ())) > batch.records * SPREAD
        for outcome, count in asdict(self._counts).items():
            metrics.RECORDS.labels(outcome).inc(count)
        for reason, count in self._reasons.items():
            metrics.DEAD_LETTERS.labels(reason).inc(count)
        for reason, count in self._decisions.items():
            metrics.TOP_UP_DECISIONS.labels(reason).inc(count)
        self._counts = Counts()
        self._reasons.clear()
        self._decisions.clear()
        self._book.settled_applied = self._book.settled_dead = 0
        self._tick = None
        self._stood = {}

    def _look_ahead(self, events: list[UsageEvent]) -> None:
        """Meet in memory what events are about to ask for."""
        self._seen.look_ahead([event.digest for event in events])
        if self._is_spread:
            self._accounts.look_ahead([event.account_id for event in events])

    def _take(self, origin: Origin, event: Event | Rejected, batch: Batch) -> None:
        outcome = event if isinstance(event, Rejected) else self._book.apply(event)
        if isinstance(outcome, Rejected):
            self._counts.dead += 1
            account_id = None if isinstance(event, Rejected) else getattr(event, "account_id", None)
            self._reject(origin, outcome, account_id, batch)
            return
        if outcome is not _APPLIED:
            if outcome is Outcome.WAITING:
                self._counts.waiting += 1
            else:
                self._counts.duplicate += 1
            return
        self._counts.applied += 1
        if type(event) is UsageEvent:  # the hot path
            return
        if isinstance(event, ProfileChanged | ProfileErased):
            assert origin.key is not None, "intake passes no record without a key"
            batch.write(PROFILES.name, origin.key, origin.value)
        elif isinstance(event, Tick):
            self._tick = event.time

    def _reject(self, origin: Origin, rejected: Rejected, account_id: str | None, batch: Batch) -> None:
        letter = DeadLetter(
            origin=origin,
            reason=rejected.reason,
            detail=rejected.detail,
            account_id=account_id,
            rejected_at=self._book.time,
        )
        self._emit(letter, batch)

    def _drain(self, batch: Batch) -> None:
        """Encode what the rules put out, in order."""
        said, has_ledger = self._book.outputs, self._job.ledger
        for output in said:
            if type(output) is LedgerEntry:  # the hot path
                if not has_ledger:
                    continue
                key = output.account_id.encode()
                batch.emit(self._ledger, key, self._entries.encode(output, key))
            else:
                self._emit(output, batch)
        said.clear()

    def _emit(self, output: Announcement, batch: Batch) -> None:
        if isinstance(output, DeadLetter):
            self._reasons[output.reason] += 1
        elif isinstance(output, TopUpDecided):
            self._decisions[output.decision] += 1
        topic, key, record_type, record = outputs.record_of(output)
        value = self._job.schemas.codec(record_type).encode(record)
        batch.emit(self._job.settings.topic(topic), None if key is None else key.encode(), value)

    def _journal(self, batch: Batch) -> None:
        self._commit += 1
        batch.write("lane", COMMITS_KEY, COMMITS.pack(self._commit))
        if logs := self._logs.took(batch.runs):
            batch.write("lane", input_logs.KEY, logs)
        entry = {
            "lane": self._lane,
            "commit": self._commit,
            "worker": self._job.worker,
            "runs": [
                {"topic": self._topics[run.topic].name, "from": run.start, "to": run.stop}
                for run in batch.runs
            ],
            **asdict(self._counts),
            "settled_applied": self._book.settled_applied,
            "settled_dead": self._book.settled_dead,
            "tick": self._tick,
            "stood": [{"topic": topic, "offset": offset} for topic, offset in self._stood.items()],
        }
        value = self._job.schemas.codec("journal-entry").encode(entry)
        batch.emit(self._job.settings.topic(JOURNAL.name), str(self._lane).encode(), value)

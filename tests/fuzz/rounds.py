"""One round: records through the lane's real intake, rules and outputs, each outcome judged by others.

Whether a record can be read at all is spec.envelope's to say, to the exact reason; what the rules make of it
verify's, which has rules of its own, here over the second decoder.
"""

import gc
import signal
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from schemas.wire import fixed
from streams.agents.job import BillingJob
from streams.app import policy
from streams.lanes.job import Batch, Run
from streams.lanes.spaces import MemorySpace
from streams.settings import Settings
from streams.topics import BALANCES, TICKS
from tests.batches import new_batch, records_of, take, written
from tests.fuzz import spec
from tests.fuzz.made import LANE, LANES, TOPICS, Maker, Sent
from verify import check
from verify.partitions import partition_of
from verify.topics import ACCOUNTS_CHANGELOG, Topics
from verify.topics import Record as Line

BATCH = 500
LOGS = {"accounts": ACCOUNTS_CHANGELOG, BALANCES.name: BALANCES.name}
"""The tables whose logs verify reads."""
STALLED_SECONDS = 240
SETTINGS = Settings(
    bootstrap_servers="nowhere:1", topic_prefix="", output_prefix="", lanes=LANES, clock="auto"
)
ENVELOPE = frozenset(
    (
        *(
            "null_value",
            "null_key",
            "bad_magic",
            "unknown_schema",
            "wrong_schema",
            "truncated",
            "undecodable",
        ),
        *("trailing_bytes", "bad_key", "key_mismatch", "wrong_partition"),
    )
)
"""The reasons that only spec.envelope gives; out_of_range is also the rules'."""


ALARMS = frozenset({"an answer names a command that was made"})
"""What verify finds wrong in what was sent, not in what the lane made of it."""


@dataclass
class Round:
    """What came of a round."""

    name: str
    records: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Lane:
    """Lane 0 in this process: batches are committed to logs as Kafka would hold them."""

    def __init__(self) -> None:
        self.topics = Topics.empty(LANES)
        job = BillingJob(SETTINGS, policy(SETTINGS), fixed(), worker="fuzz")
        self._stores = {table.name: table.store(MemorySpace()) for table in job.tables}
        self._fold = job.open(LANE, self._stores)
        self._folded = dict.fromkeys(TOPICS, 0)

    def take(self, records: Iterable[Sent]) -> None:
        """Fold records in batches; a tick ends its batch."""
        batch, run = new_batch(), list[Line]()
        topic = ""
        for here, line in records:
            log = self.topics.log(here, LANE)
            log.records.append(line)
            log.end = line.offset + 1
            if run and (here != topic or here == TICKS.name):
                self._apply(topic, run, batch)
                run = []
            topic = here
            if here == TICKS.name:
                self._tick(line, batch)
                batch = self._commit(batch)
                continue
            run.append(line)
            if batch.records + len(run) >= BATCH:
                self._apply(topic, run, batch)
                run = []
                batch = self._commit(batch)
        if run:
            self._apply(topic, run, batch)
        self._commit(batch)

    def _apply(self, topic: str, run: list[Line], batch: Batch) -> None:
        self._fold.apply(SETTINGS.topic(topic), run, batch)
        self._took(topic, len(run), batch)

    def _tick(self, line: Line, batch: Batch) -> None:
        ends = {SETTINGS.topic(name): end for name, end in self._folded.items() if name != TICKS.name}
        self._fold.barrier(line, ends, batch)
        self._took(TICKS.name, 1, batch)
        while self._fold.work(batch):
            pass

    def _took(self, topic: str, count: int, batch: Batch) -> None:
        start = self._folded[topic]
        batch.runs.append(Run(SETTINGS.topic(topic), start, start + count))
        batch.records += count
        self._folded[topic] = start + count

    def _commit(self, batch: Batch) -> Batch:
        if not (batch.runs or batch.outputs):
            return batch
        list(self._fold.seal(batch))
        for name, out in records_of(batch).items():
            if name not in LOGS:  # a table's, below
                for key, value in out:
                    self._write(name, key, value)
        for table, values in written(batch).items():
            for key, value in values.items():
                if table in LOGS:
                    self._write(LOGS[table], key, value)
        take(batch, self._stores)
        self._fold.committed(batch)
        return new_batch()

    def _write(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        log = self.topics.log(topic, LANE)
        log.records.append(Line(log.end, 0, key, value))
        log.end += 1


def play(seed: int, number: int, records: int, *, rules: bool = True) -> Round:
    """Play one round and judge it; without `rules`, only what is decided before them."""
    made = Maker(f"{seed}-{number}")
    found = Round(f"--seed {seed} --round {number}")
    lane = Lane()
    try:
        with _limit(STALLED_SECONDS):
            lane.take(made.opening())
            lane.take(_counted(made.records(records), found))
    except Exception as error:
        found.wrong.append(f"the fold ended with {error!r}")
        return found
    gc.collect()
    gc.disable()  # what is judged lives to the end: looking through it frees nothing
    try:
        _judge(lane.topics, found, rules=rules)
    finally:
        gc.enable()
    return found


def play_asked(asked: tuple[int, int, int]) -> Round:
    """Play a round of a seed, number and size."""
    return play(*asked)


def _counted(records: Iterable[Sent], found: Round) -> Iterator[Sent]:
    for sent in records:
        found.records += 1
        yield sent


def _judge(topics: Topics, found: Round, *, rules: bool) -> None:
    second = spec.Second()
    dead: dict[tuple[str, int], str] = {}
    for line in topics.log("dead-letters", LANE).records:
        letter = second.decode(line.value or b"", "dead-letter")[1]
        place = (letter["topic"], letter["offset"])
        if place in dead:
            found.wrong.append(f"{place} has two dead letters")
        dead[place] = letter["reason"]
        found.outcomes[letter["reason"]] += 1
    for name, topic in TOPICS.items():
        for line in topics.log(name, LANE).records:
            ours = line.key is not None and partition_of(line.key, LANES) == LANE
            expected = spec.envelope(
                second, name, topic.records, key=line.key, value=line.value, is_ours=ours
            )
            told = dead.get((name, line.offset))
            if told != expected and (expected is not None or told in ENVELOPE):
                found.wrong.append(
                    f"{name}@{line.offset}: {told or 'taken'}, should be {expected or 'taken'}; key "
                    f"{line.key!r}, value {None if line.value is None else line.value.hex()}"
                )
    for line in topics.log("lane-journal", LANE).records:
        entry = second.decode(line.value or b"", "journal-entry")[1]
        for outcome in ("applied", "waiting", "duplicate"):
            found.outcomes[outcome] += entry[outcome]
    if rules:
        topics.schemas = second  # type: ignore[assignment]  # decode() is all that verify asks of it
        for judged in check.check(topics, SETTINGS).checks:
            for case in judged.broken:
                if case.rule in ALARMS:
                    continue
                where = f"{case.account} {case.place}: expected {case.expected}, found {case.found}"
                found.wrong.append(f"verify {judged.number}: {case.rule}; {where}")


@contextmanager
def _limit(seconds: int) -> Iterator[None]:
    """Raise TimeoutError where the fold stalls."""

    def stalled(signum: int, frame: object) -> None:
        raise TimeoutError(f"no end within {seconds} s")

    before = signal.signal(signal.SIGALRM, stalled)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)

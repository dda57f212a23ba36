"""The checks of a run: right answers pass, and each kind of wrong one is seen."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench import check_ours, check_peers, reference
from bench.peers.rules import Billing
from bench.reference import Reference
from bench.workload import Shape
from schemas.wire import fixed
from streams.topics import BALANCES, COMMANDS, JOURNAL, LEDGER
from tests.bench.folding import Folding, RawLoop

SHAPE = Shape(events=2_000, accounts=50)
Records = list[tuple[bytes, bytes]]


@dataclass
class Message:
    record: tuple[bytes | None, bytes | None]

    def key(self) -> bytes | None:
        return self.record[0]

    def value(self) -> bytes | None:
        return self.record[1]


@dataclass
class Log:
    """Topics of records in memory, in place of a Kafka."""

    topics: dict[str, Records] = field(default_factory=dict)

    def read_all(self, bootstrap_servers: str, topic: str) -> Iterator[Message]:
        return (Message(record) for record in self.topics.get(topic, []))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    found = Log()
    for module in (check_ours, check_peers, reference):
        monkeypatch.setattr(module, "read_all", found.read_all)
    return found


@pytest.fixture
def answer(log: Log) -> Reference:
    loop = RawLoop(SHAPE)
    log.topics |= {"peer-usage": loop.usage, "peer-payments": loop.payments}
    return reference.reference("", "peer-usage", "peer-payments")


def billed() -> tuple[Folding, dict[str, Records]]:
    folding = Folding(shape=SHAPE)
    folding.fold(folding.fetches)
    names = (LEDGER.name, BALANCES.name, JOURNAL.name, COMMANDS.name)
    topics = {folding.settings.topic(name): list(folding.outputs(name)) for name in names}
    return folding, topics


def test_what_the_lanes_put_out_is_right(log: Log, answer: Reference):
    folding, topics = billed()
    log.topics |= topics

    found = check_ours.check(folding.settings, answer, has_ledger=True)

    assert found.problems == []
    assert found.charges == answer.charges == SHAPE.events - answer.duplicates
    assert answer.duplicates
    assert found.ledger_entries == answer.charges + answer.payments["succeeded"] + answer.payments["refunded"]


def without_one(records: Records) -> Records:
    return records[:-1]


def with_one_cent_more(records: Records) -> Records:
    codec = fixed().codec("account-balance")
    key, value = records[-1]
    record = codec.decode(value)
    return [*records[:-1], (key, codec.encode(record | {"balance": record["balance"] + 10**10}))]


def twice(records: Records) -> Records:
    return [*records, records[-1]]


@pytest.mark.parametrize(
    ("topic", "wrong"),
    [
        (LEDGER.name, without_one),
        (LEDGER.name, twice),
        (BALANCES.name, with_one_cent_more),
        (JOURNAL.name, without_one),
        (JOURNAL.name, twice),
    ],
)
def test_what_is_wrong_is_seen(log: Log, answer: Reference, topic: str, wrong: Callable[[Records], Records]):
    folding, topics = billed()
    log.topics |= topics
    name = folding.settings.topic(topic)
    log.topics[name] = wrong(log.topics[name])

    assert check_ours.check(folding.settings, answer, has_ledger=True).problems


def test_a_ledger_where_there_must_be_none_is_seen(log: Log, answer: Reference):
    folding, topics = billed()
    log.topics |= topics

    (problem,) = check_ours.check(folding.settings, answer, has_ledger=False).problems

    assert problem.endswith("ledger entries where there must be none")


def test_a_peers_states_and_commands_are_right_and_a_lost_event_is_seen(log: Log, answer: Reference):
    log.topics |= {"commands": [], "changelog": []}
    _run_raw(RawLoop(SHAPE), log)
    right, commands = check_peers.check("", check_peers.avro_states, "changelog", "commands", answer)

    loop = RawLoop(SHAPE)
    del loop.usage[500]
    _run_raw(loop, log)
    wrong, _ = check_peers.check("", check_peers.avro_states, "changelog", "commands", answer)

    assert right == []
    assert commands > 0
    assert any(problem.startswith("balance") for problem in wrong)
    assert any(problem.startswith("month") for problem in wrong)


def _run_raw(loop: RawLoop, log: Log) -> None:
    billing = Billing()
    for key, value in loop.payments:
        billing.payment(0, key, value)
    for key, value in loop.usage:
        billing.usage(0, key, value)
    log.topics["changelog"] = [(key, value) for _, key, value in billing.changes()]
    log.topics["commands"] = list(billing.out)


def test_a_reference_is_read_as_it_was_written(answer: Reference, tmp_path: Path):
    answer.save(tmp_path / "reference.json")

    assert Reference.load(tmp_path / "reference.json") == answer

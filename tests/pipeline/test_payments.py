"""The payments process on a real broker: each command answered, whatever ends the process."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

import local
from consumers import payments
from consumers.events import payment_event
from consumers.provider import Answer
from consumers.sandbox import Sandbox
from schemas import wire
from schemas.wire import Record
from streams import topic_admin
from streams.partition import partition_of
from streams.settings import Settings
from tests.golden.records import EXAMPLES, NOON

pytestmark = pytest.mark.kafka
SCHEMAS = wire.fixed()
DEADLINE_SECONDS = 60.0


def commands(count: int) -> list[Record]:
    return [
        EXAMPLES["top-up-command"]
        | {"account_id": f"acct-{n % 50}", "command_id": f"acct-{n % 50}:{n}:1", "episode": n, "attempt": 1}
        for n in range(count)
    ]


def send(deployment: Settings, values: Sequence[tuple[str, bytes]]) -> None:
    producer = Producer(
        {"bootstrap.servers": deployment.bootstrap_servers, "partitioner": "murmur2_random", "linger.ms": 5}
    )
    for account_id, value in values:
        producer.produce(deployment.topic("top-up-commands"), value=value, key=account_id.encode())
        producer.poll(0)
    assert producer.flush(30) == 0


def tick(deployment: Settings, time_ms: int = NOON) -> None:
    value = SCHEMAS.codec("tick").encode({"time": time_ms, "ticker": "test"})
    producer = Producer({"bootstrap.servers": deployment.bootstrap_servers})
    for lane in range(deployment.lanes):
        producer.produce(deployment.topic("clock-ticks"), value=value, key=b"test", partition=lane)
    assert producer.flush(30) == 0


def encoded(records: Sequence[Record]) -> list[tuple[str, bytes]]:
    encode = SCHEMAS.codec("top-up-command").encode
    return [(record["account_id"], encode(record)) for record in records]


class Events:
    """Every payment event so far, in the order of its partition."""

    def __init__(self, deployment: Settings) -> None:
        self.values: list[bytes] = []
        self._records: list[Record] = []
        self._consumer = Consumer(
            {
                "bootstrap.servers": deployment.bootstrap_servers,
                "group.id": deployment.topic("test"),
                "enable.auto.commit": False,
            }
        )
        topic = deployment.topic("payment-events")
        self._consumer.assign([TopicPartition(topic, n, 0) for n in range(deployment.lanes)])

    def until(self, count: int, *, repeats: bool = False) -> list[Record]:
        """Read until there are `count` events, repeats counted or not."""
        return self._read_until(
            lambda: len(self.values if repeats else set(self.values)) >= count, f"{count} events"
        )

    def until_answered(self, asked: Sequence[Record]) -> list[Record]:
        """Read until each command has an event."""
        wanted = {command["command_id"] for command in asked}
        return self._read_until(
            lambda: wanted <= {event["command_id"] for event in self._records}, f"{len(wanted)} answered"
        )

    def _read_until(self, condition: Callable[[], bool], what: str) -> list[Record]:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"only {len(self.values)} events, not {what}"
            for message in self._consumer.consume(1_000, timeout=0.05):
                event = SCHEMAS.codec("payment-event").decode(message.value())
                assert message.key() == event["account_id"].encode()
                assert message.partition() == partition_of(message.key(), 4)
                self.values.append(message.value())
                self._records.append(event)
        return list(self._records)

    def close(self) -> None:
        self._consumer.close()


@pytest.fixture
def events(deployment: Settings) -> Iterator[Events]:
    topic_admin.create(deployment)
    tick(deployment)
    reader = Events(deployment)
    yield reader
    reader.close()


@contextmanager
def running(deployment: Settings, provider=None, **more: float) -> Iterator[list[payments.Served]]:
    """Run the process in a thread for as long as the block lasts; the list has its account after it."""
    stop, served = threading.Event(), []
    thread = threading.Thread(
        target=lambda: served.append(payments.run(deployment, provider or Sandbox(), stop, **more))
    )
    thread.start()
    try:
        yield served
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def process(deployment: Settings, memory: Path) -> subprocess.Popen[str]:
    code = "import typer; from cli.payments import payments; typer.run(payments)"
    environment = {
        "EVERGREEN_BOOTSTRAP_SERVERS": deployment.bootstrap_servers,
        "EVERGREEN_TOPIC_PREFIX": deployment.topic_prefix,
        "EVERGREEN_SESSION_TIMEOUT_SECONDS": "6",
    }
    return subprocess.Popen(
        [sys.executable, "-c", code, "--memory", str(memory)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def committed(deployment: Settings) -> int:
    """How many commands the group has left behind it."""
    consumer = Consumer(
        {
            "bootstrap.servers": deployment.bootstrap_servers,
            "group.id": f"{deployment.application}-payments",
        }
    )
    topic = deployment.topic("top-up-commands")
    positions = consumer.committed([TopicPartition(topic, n) for n in range(deployment.lanes)], timeout=20)
    consumer.close()
    return sum(max(position.offset, 0) for position in positions)


def test_each_command_is_answered_once_with_the_providers_answer(deployment: Settings, events: Events):
    asked = commands(1_200)

    with running(deployment) as served:
        send(deployment, encoded(asked))
        answers = events.until(1_200)

    known = Sandbox()
    expected = {c["command_id"]: payment_event(c, known.charge(c)) for c in asked}
    assert {answer["command_id"]: answer for answer in answers} == expected
    assert len(answers) == 1_200
    assert served == [payments.Served(commands=1_200, events=1_200, undecodable=0)]
    assert committed(deployment) == 1_200


def test_a_command_sent_again_is_answered_again_to_the_byte(deployment: Settings, events: Events):
    (once,) = encoded(commands(1))

    with running(deployment) as served:
        send(deployment, [once, once])
        events.until(2, repeats=True)

    assert len(events.values) == 2
    assert len(set(events.values)) == 1
    assert served[0].events == 2


def wait_until(condition) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline


def test_a_cancel_gets_the_providers_final_word(deployment: Settings, events: Events):
    asked = commands(1_000)
    known = Sandbox()
    by_kind = {known.charge(c).kind: c for c in asked}
    charges = [by_kind[kind] for kind in ("succeeded", "failed", "requires_action")]
    sandbox = Sandbox()

    with running(deployment, sandbox):
        send(deployment, encoded(charges))
        events.until(3)
        send(deployment, encoded([c | {"kind": "cancel"} for c in charges]))
        answers = events.until(6, repeats=True)

    said = {
        c["command_id"]: [a["kind"] for a in answers if a["command_id"] == c["command_id"]] for c in charges
    }
    assert list(said.values()) == [
        ["succeeded", "succeeded"],
        ["failed", "failed"],
        ["requires_action", "cancelled"],
    ]


def test_what_is_no_command_is_skipped_and_counted_and_the_others_are_answered(
    deployment: Settings, events: Events
):
    asked = encoded(commands(10))
    noise = [("acct-1", b""), ("acct-1", b"\x00\x00\x00\x00\x0c\xff"), ("acct-1", b"hello")]

    with running(deployment) as served:
        send(deployment, [*asked[:5], *noise, *asked[5:]])
        events.until(10)
        wait_until(lambda: committed(deployment) == 13)

    assert served == [payments.Served(commands=10, events=10, undecodable=3)]


def test_a_command_of_a_transaction_that_was_aborted_is_not_answered(deployment: Settings, events: Events):
    aborted, kept = encoded(commands(2))
    producer = Producer(
        {
            "bootstrap.servers": deployment.bootstrap_servers,
            "transactional.id": deployment.topic("lane"),
            "partitioner": "murmur2_random",
        }
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(deployment.topic("top-up-commands"), value=aborted[1], key=aborted[0].encode())
    producer.flush(30)
    producer.abort_transaction(30)

    with running(deployment) as served:
        send(deployment, [kept])
        answers = events.until(1)

    assert [answer["command_id"] for answer in answers] == ["acct-1:1:1"]
    assert served[0].commands == 1


@pytest.mark.long
def test_a_killed_process_loses_no_command_and_charges_none_twice(
    deployment: Settings, events: Events, tmp_path: Path
):
    asked = commands(20_000)
    send(deployment, encoded(asked))
    victim = process(deployment, tmp_path / "sandbox")
    try:
        wait_until(lambda: committed(deployment) > 0)
    finally:
        victim.kill()
        victim.communicate()
    done = committed(deployment)
    sandbox = Sandbox(memory=tmp_path / "sandbox")

    with running(deployment, sandbox):
        answers = events.until(20_000)

    assert 0 < done < 20_000
    known = Sandbox()
    expected = {c["command_id"]: payment_event(c, known.charge(c)) for c in asked}
    assert {answer["command_id"]: answer for answer in answers} == expected
    assert len(set(events.values)) == 20_000
    succeeded = {a["command_id"] for a in answers if a["kind"] == "succeeded"}
    assert {command_id for command_id, times in sandbox.charges().items() if times == 1} == succeeded
    assert max(sandbox.charges().values()) == 1


class Watching:
    """Answers as the sandbox, and looks at what is committed whenever it is asked."""

    def __init__(self, deployment: Settings) -> None:
        self.deployment = deployment
        self.asked: list[str] = []

    def charge(self, command: Record) -> Answer:
        self.asked.append(command["command_id"])
        if len(self.asked) == 1:
            raise RuntimeError("the provider is broken")
        return Sandbox().charge(command)

    def lookup(self, command: Record) -> Answer | None:
        return None

    def cancel(self, command: Record) -> Answer | None:
        return None


def test_a_provider_that_breaks_stops_the_process_before_anything_is_committed(
    deployment: Settings, events: Events
):
    send(deployment, encoded(commands(1)))
    provider = Watching(deployment)

    with pytest.raises(RuntimeError, match="the provider is broken"):
        payments.run(deployment, provider, threading.Event())
    before = committed(deployment)
    with running(deployment, provider):
        events.until(1)

    assert before == 0
    assert provider.asked == ["acct-0:0:1", "acct-0:0:1"]


def test_sigterm_ends_the_process_in_order(deployment: Settings, events: Events, tmp_path: Path):
    send(deployment, encoded(commands(10)))
    child = process(deployment, tmp_path / "sandbox")
    events.until(10)

    child.send_signal(signal.SIGTERM)
    output, errors = child.communicate(timeout=30)

    assert child.returncode == 0, errors
    assert "10 commands answered with 10 payment events" in output
    assert committed(deployment) == 10


def test_without_its_topics_the_process_says_how_to_create_them(deployment: Settings, tmp_path: Path):
    child = process(deployment, tmp_path / "sandbox")

    output, errors = child.communicate(timeout=30)

    assert child.returncode == 1
    assert errors.startswith(f"evergreen: topic {deployment.topic('usage-events')} is missing")
    assert errors.count("\n") == 1
    assert output == ""


def test_the_sandbox_is_refused_in_production(
    deployment: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("EVERGREEN_PRODUCTION", "true")
    monkeypatch.setenv("EVERGREEN_REPLICATION", "3")
    child = process(deployment, tmp_path / "sandbox")

    _, errors = child.communicate(timeout=30)

    assert child.returncode == 1
    assert errors == "evergreen: EVERGREEN_PRODUCTION refuses the sandbox provider: it moves no money\n"


@pytest.mark.long
def test_a_broker_that_goes_away_is_waited_for():
    with local.broker(own=True, progress=False) as broker:
        deployment = Settings(
            bootstrap_servers=broker.bootstrap_servers, topic_prefix="", lanes=4, replication=1, clock="auto"
        )
        topic_admin.create(deployment)
        tick(deployment)
        reader = Events(deployment)
        with running(deployment) as served:
            send(deployment, encoded(commands(100)))
            reader.until(100)
            broker.kill()
            broker.restart()
            send(deployment, encoded(commands(200)[100:]))
            answers = reader.until(200)
        reader.close()

    assert len({answer["command_id"] for answer in answers}) == 200
    assert served[0].commands >= 200

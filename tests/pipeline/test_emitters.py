"""Emitters against a real Kafka: each kind of record arrives, at the partition that all clients agree on."""

import time
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
import typer
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from typer.testing import CliRunner

from cli import emit
from cli.focus import import_focus
from producers.emissions import Emission
from producers.emitter import DeliveryError, EmitError, Emitter
from producers.records import ReversedUsage, Tier
from schemas.wire import fixed
from streams import topic_admin
from streams.partition import partition_of
from streams.settings import Settings

pytestmark = pytest.mark.kafka

SAMPLE = Path(__file__).parents[2] / "data" / "focus" / "focus_sample_500.csv"
LARGE = Random(7).randbytes(5_000)
AT = datetime(2024, 9, 1, tzinfo=UTC)


@pytest.fixture
def manual(deployment: Settings) -> Settings:
    settings = deployment.model_copy(update={"clock": "manual"})
    topic_admin.create(settings)
    return settings


@pytest.fixture
def narrow(deployment: Settings) -> Settings:
    """A deployment whose usage topic refuses records of more than 500 bytes."""
    admin = AdminClient({"bootstrap.servers": deployment.bootstrap_servers})
    topic = NewTopic(deployment.topic("usage-events"), 4, 1, config={"max.message.bytes": "500"})
    admin.create_topics([topic])[topic.topic].result()
    return deployment


def read(settings: Settings, topic: str) -> list[Message]:
    """Return every record of a topic, by partition and offset."""
    name = settings.topic(topic)
    consumer = Consumer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "group.id": "reads",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 10,
        }
    )
    try:
        partitions = list(consumer.list_topics(name).topics[name].partitions)
        consumer.assign([TopicPartition(name, partition, OFFSET_BEGINNING) for partition in partitions])
        found: list[Message] = []
        ends = 0
        while ends < len(partitions):
            message = consumer.poll(20)
            assert message is not None, f"{name} is not read to its end"
            if message.error():
                assert message.error().code() == KafkaError._PARTITION_EOF
                ends += 1
            else:
                found.append(message)
        return sorted(found, key=lambda message: (message.partition(), message.offset()))
    finally:
        consumer.close()


def values(settings: Settings, topic: str, schema: str) -> list[dict[str, object]]:
    return [fixed().decode(message.value(), schema)[1] for message in read(settings, topic)]


def test_each_kind_of_record_arrives_with_its_key_at_its_partition(manual: Settings) -> None:
    usage = {"source": "api", "event_id": "e1", "meter": "api-calls", "quantity": Decimal("1.5")}
    with Emitter(manual) as emitter:
        emitter.usage(account_id="acme", occurred_at=AT, ce_type="com.acme.call", **usage)  # type: ignore[arg-type]
        emitter.payment(
            account_id="acme",
            payment_id="pi_1",
            kind="succeeded",
            amount_minor=1000,
            currency="USD",
            occurred_at=AT,
        )
        emitter.settings(
            account_id="acme", revision=1, currency="USD", zone="UTC", changed_at=AT, changed_by="user-1"
        )
        emitter.profile(
            account_id="acme", name="Acme", address=["1 Way"], country="US", email="a@acme.example"
        )
        emitter.erase_profile("acme")
        emitter.price(
            meter="api-calls",
            currency="USD",
            version=1,
            unit="call",
            valid_from=AT,
            tiers=[Tier(unit_price="0.01")],
        )
        emitter.adjustment(
            account_id="acme",
            adjustment_id="a1",
            kind="reversal",
            currency="USD",
            reason="wrong",
            author="agent-7",
            occurred_at=AT,
            usage=ReversedUsage(occurred_at=AT, **usage),  # type: ignore[arg-type]
        )
        emitter.tick(AT)
    assert emitter.delivered == 6 + 2 * manual.lanes

    lane = partition_of(b"acme", manual.lanes)
    topics = ("usage-events", "payment-events", "account-settings", "account-profiles", "adjustments")
    for topic in topics:
        assert {(m.key(), m.partition()) for m in read(manual, topic)} == {(b"acme", lane)}, topic
    for topic in ("prices", "clock-ticks"):
        assert [m.partition() for m in read(manual, topic)] == list(range(manual.lanes)), topic
    (event,) = read(manual, "usage-events")
    assert fixed().decode(event.value(), "usage-event")[1]["quantity"] == 1_500_000_000_000
    assert dict(event.headers())["ce_id"] == b"e1"
    assert abs(event.timestamp()[1] / 1000 - time.time()) < 60
    assert [m.value() is None for m in read(manual, "account-profiles")] == [False, True]


def test_an_emission_keeps_its_null_and_empty_values(manual: Settings) -> None:
    with Emitter(manual) as emitter:
        emitter.emit(Emission("usage-events", b"acme", None))
        emitter.emit(Emission("usage-events", b"acme", b""))
        emitter.emit(Emission("usage-events", None, b"x", 3))

    found = {(m.key(), m.value()) for m in read(manual, "usage-events")}
    assert found == {(b"acme", None), (b"acme", b""), (None, b"x")}


def test_what_kafka_refuses_is_raised_and_counted_and_the_rest_arrives(narrow: Settings) -> None:
    emitter = Emitter(narrow)
    emitter.emit(Emission("usage-events", b"acme", b"small"))
    emitter.flush()
    for _ in range(2):
        emitter.emit(Emission("usage-events", b"acme", LARGE))
        with pytest.raises(DeliveryError, match=r"1 of the emitted records .*[Mm]essage size too large"):
            emitter.flush()

    emitter.emit(Emission("usage-events", b"acme", b"small again"))
    emitter.flush()

    assert [m.value() for m in read(narrow, "usage-events")] == [b"small", b"small again"]


def test_an_error_of_the_block_is_not_hidden_by_a_failed_delivery(narrow: Settings) -> None:
    emitter = Emitter(narrow)
    emitter.emit(Emission("usage-events", b"acme", LARGE))

    with pytest.raises(KeyError) as raised, emitter:
        raise KeyError("ours")

    assert "did not reach Kafka" in raised.value.__notes__[0]


def test_what_cannot_be_sent_at_all_is_refused_at_once(manual: Settings) -> None:
    with Emitter(manual) as emitter:
        with pytest.raises(EmitError, match="no-such-topic does not exist"):
            emitter.emit(Emission("no-such-topic", b"acme", b"x"))
        with pytest.raises(EmitError, match="without key"):
            emitter.emit(Emission("usage-events", None, b"x"))
        with pytest.raises(EmitError, match="Message size too large"):
            emitter.emit(Emission("usage-events", b"acme", b"x" * 2_000_000))
        with pytest.raises(EmitError, match="partition"):
            emitter.emit(Emission("usage-events", b"acme", b"x", 99))
    assert emitter.delivered == 0
    assert manual.topic("no-such-topic") not in topic_admin.found(manual)


def test_a_deployment_by_the_machines_clock_takes_no_ticks_from_emitters(manual: Settings) -> None:
    automatic = manual.model_copy(update={"clock": "auto"})

    with Emitter(automatic) as emitter, pytest.raises(EmitError, match="EVERGREEN_CLOCK=manual"):
        emitter.tick(AT)

    assert read(manual, "clock-ticks") == []


def test_the_commands_send_what_their_options_and_files_say(
    manual: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EVERGREEN_BOOTSTRAP_SERVERS", manual.bootstrap_servers)
    monkeypatch.setenv("EVERGREEN_TOPIC_PREFIX", manual.topic_prefix)
    monkeypatch.setenv("EVERGREEN_CLOCK", "manual")
    app = typer.Typer()
    app.add_typer(emit.app, name="emit")
    app.command()(emit.tick)
    lines = "".join(
        f'{{"account_id":"acme","source":"api","event_id":"{i}","meter":"m",'
        f'"quantity":0.1,"occurred_at":"2024-09-01T00:00Z"}}\n'
        for i in range(3)
    )
    bulk = tmp_path / "usage.jsonl"
    bulk.write_text(lines + "{}\n")

    def invoke(*arguments: str, stdin: str | None = None) -> str:
        return CliRunner().invoke(app, arguments, input=stdin).output

    assert "sent usage: event_id e1" in invoke(
        "emit", "usage", "--account=acme", "--meter=m", "--quantity=1.5", "--event-id=e1"
    )
    assert "sent price: version 1" in invoke(
        "emit",
        "price",
        "--meter=m",
        "--valid-from=2024-09-01T00:00Z",
        "--tier=10:2",
        "--tier=1",
        "--model=volume",
    )
    assert "erased the profile of acme" in invoke("emit", "profile", "--account=acme", "--erase")
    assert "in 4 lanes" in invoke("tick", "2024-09-01T00:00Z")
    assert "sent 3 usage records" in invoke("emit", "usage", "--from-jsonl=-", stdin=lines)
    assert "line 4: account_id: is missing (3 before it were sent" in invoke(
        "emit", "usage", f"--from-jsonl={bulk}"
    )

    quantities = [event["quantity"] for event in values(manual, "usage-events", "usage-event")]
    assert quantities == [1_500_000_000_000] + 6 * [100_000_000_000]
    assert len(read(manual, "clock-ticks")) == manual.lanes


def test_a_focus_file_imported_twice_sends_the_same_bytes_twice(
    manual: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERGREEN_BOOTSTRAP_SERVERS", manual.bootstrap_servers)
    monkeypatch.setenv("EVERGREEN_TOPIC_PREFIX", manual.topic_prefix)
    app = typer.Typer()
    app.command()(import_focus)

    for _ in range(2):
        assert CliRunner().invoke(app, [str(SAMPLE)]).exit_code == 0

    for topic, distinct, copies in (
        ("usage-events", 499, 2),
        ("prices", 168, 2 * manual.lanes),
        ("adjustments", 1, 2),
    ):
        sent = Counter(message.value() for message in read(manual, topic))
        assert len(sent) == distinct, topic
        assert set(sent.values()) == {copies}, topic

"""An account has one partition, whichever client asks; tests/golden/partitions.tsv is Java's word."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from schemas import wire
from streams import topic_admin
from streams.partition import partition_of
from streams.settings import Settings
from tests.golden import account_ids
from tests.golden.records import EXAMPLES

GOLDEN = Path(account_ids.__file__).with_name("partitions.tsv")


def golden() -> Iterator[tuple[str, int, int, int]]:
    """(account id, its partition of 4, of 12, of 1000), as the Java client says."""
    for line in GOLDEN.read_text(encoding="utf-8").removesuffix("\n").split("\n"):
        account_id, of_4, of_12, of_1000 = line.split("\t")
        yield account_id, int(of_4), int(of_12), int(of_1000)


def test_the_golden_file_holds_the_ten_thousand_seeded_account_ids():
    assert [account_id for account_id, *_ in golden()] == account_ids.account_ids()


def test_the_account_ids_are_of_every_shape():
    encoded = [account_id.encode() for account_id, *_ in golden()]

    assert len(set(encoded)) == 10_000
    assert sum(not key.isascii() for key in encoded) > 5_000
    assert {len(key) % 4 for key in encoded} == {0, 1, 2, 3}
    assert b"" in encoded
    assert max(map(len, encoded)) >= 2_000


def test_the_workers_own_check_agrees_with_the_java_client():
    for account_id, of_4, of_12, of_1000 in golden():
        key = account_id.encode()
        assert (partition_of(key, 4), partition_of(key, 12), partition_of(key, 1000)) == (
            of_4,
            of_12,
            of_1000,
        )


@pytest.mark.kafka
def test_our_producers_put_every_account_where_the_java_client_does(deployment: Settings):
    topic = deployment.topic("keys")
    admin = AdminClient({"bootstrap.servers": deployment.bootstrap_servers})
    admin.create_topics([NewTopic(topic, 12, 1)])[topic].result()
    placed: dict[bytes, int] = {}
    producer = Producer(
        {"bootstrap.servers": deployment.bootstrap_servers, "partitioner": "murmur2_random", "acks": "all"}
    )

    def delivered(error, message):
        assert error is None
        placed[message.key() or b""] = message.partition()

    for account_id, *_ in golden():
        producer.produce(topic, value=b"", key=account_id.encode(), on_delivery=delivered)
        producer.poll(0)
    left = producer.flush(60)

    assert left == 0
    assert placed == {account_id.encode(): of_12 for account_id, _, of_12, _ in golden()}
    admin.delete_topics([topic])[topic].result()


def kcat(*arguments: str, stdin: bytes = b"") -> bytes:
    """Run Debian's kcat, a client that shares no code path with ours; returns its standard output."""
    program = shutil.which("kcat")
    assert program, "kcat is missing, and this check cannot be left out: apt-get install kcat"
    done = subprocess.run([program, *arguments], input=stdin, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.kafka
def test_kcat_reads_the_very_bytes_that_we_produced(deployment: Settings):
    topic_admin.create(deployment)
    topic = deployment.topic("usage-events")
    event = EXAMPLES["usage-event"]
    key, value = event["account_id"].encode(), wire.fixed().codec("usage-event").encode(event)
    producer = Producer({"bootstrap.servers": deployment.bootstrap_servers, "partitioner": "murmur2_random"})
    producer.produce(topic, value=value, key=key)
    assert producer.flush(30) == 0

    # %S and %K are lengths, so that values with any bytes can be told apart
    seen = kcat("-C", "-b", deployment.bootstrap_servers, "-t", topic, "-e", "-q", "-f", r"%p|%K|%S|%k%s")

    assert seen == f"{partition_of(key, 4)}|{len(key)}|{len(value)}|".encode() + key + value


@pytest.mark.kafka
def test_our_decoder_reads_what_kcat_produced_where_the_worker_looks_for_it(
    deployment: Settings, tmp_path: Path
):
    from confluent_kafka import Consumer, TopicPartition

    topic_admin.create(deployment)
    topic = deployment.topic("usage-events")
    event = EXAMPLES["usage-event"]
    record = tmp_path / "record"
    record.write_bytes(wire.fixed().codec("usage-event").encode(event))
    broker = deployment.bootstrap_servers

    kcat(
        "-P",
        "-b",
        broker,
        "-t",
        topic,
        "-X",
        "partitioner=murmur2_random",
        "-k",
        event["account_id"],
        str(record),
    )

    consumer = Consumer({"bootstrap.servers": broker, "group.id": topic, "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, partition_of(event["account_id"].encode(), 4), 0)])
    (message,) = consumer.consume(1, timeout=30)
    consumer.close()
    assert message.key() == event["account_id"].encode()
    assert wire.fixed().decode(message.value()) == ("usage-event", event)

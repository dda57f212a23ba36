"""A real Kafka of our own: it serves, it comes back with its data, it leaves nothing behind."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

import local
from local.process import ProcessId
from local.server import listens

pytestmark = pytest.mark.kafka

OWNER = """
import json, sys
from pathlib import Path
import local
with local.broker(state_dir=Path(sys.argv[1]), own=True, progress=False) as broker:
    print(json.dumps([broker.pid, broker.bootstrap_servers, str(broker.log)]), flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local.Broker]:
    with local.broker(state_dir=tmp_path_factory.mktemp("state"), own=True, progress=False) as broker:
        yield broker


def create(broker: local.Broker, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    for created in admin.create_topics([NewTopic(topic, 1, 1)]).values():
        created.result(timeout=10)


def write(broker: local.Broker, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "acks": "all"})
    producer.produce(topic, value)
    assert producer.flush(10) == 0


def read_one(broker: local.Broker, topic: str) -> bytes | None:
    consumer = Consumer(
        {"bootstrap.servers": broker.bootstrap_servers, "group.id": topic, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    try:
        message = consumer.poll(20)
        assert message is not None
        assert message.error() is None
        return message.value()
    finally:
        consumer.close()


def test_a_record_that_was_written_is_read(broker: local.Broker) -> None:
    create(broker, "greetings")

    write(broker, "greetings", b"hello")

    assert read_one(broker, "greetings") == b"hello"


def test_topics_are_not_created_by_mistake(broker: local.Broker) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})

    admin.list_topics("mistake", timeout=10)

    assert "mistake" not in admin.list_topics(timeout=10).topics


def test_after_a_kill_it_comes_back_on_its_address_with_its_records(broker: local.Broker) -> None:
    create(broker, "survivors")
    write(broker, "survivors", b"still here")
    address, first_pid = broker.bootstrap_servers, broker.pid

    broker.kill()
    gone = not listens(int(address.rpartition(":")[2]))
    broker.restart()

    assert gone
    assert broker.bootstrap_servers == address
    assert broker.pid != first_pid
    assert read_one(broker, "survivors") == b"still here"


def test_it_listens_on_loopback_only_and_writes_into_its_own_directory(broker: local.Broker) -> None:
    assert broker.log is not None
    settings = (broker.log.parent / "server.properties").read_text()

    assert broker.bootstrap_servers.startswith("127.0.0.1:")
    assert settings.count("://127.0.0.1:") == 2
    assert f"log.dirs={broker.log.parent / 'data'}\n" in settings
    assert broker.log.stat().st_size > 0


def test_a_killed_owner_leaves_no_broker_and_the_next_start_no_directory(
    tmp_path: Path, python, until
) -> None:  # type: ignore[no-untyped-def]
    """The owner has an empty PATH: neither Java nor Maven nor anything else of the system's is used."""
    with python(OWNER, tmp_path, PATH=str(tmp_path)) as owner:
        pid, address, log = json.loads(owner.stdout.readline())
        orphan = ProcessId.of(pid)
        assert orphan is not None

        owner.kill()

        until(lambda: not orphan.is_alive())
    assert not listens(int(address.rpartition(":")[2]))
    assert Path(log).exists()

    with local.broker(state_dir=tmp_path, own=True, progress=False):
        assert not Path(log).parent.exists()

    assert os.listdir(tmp_path / "brokers") == ["lock"]

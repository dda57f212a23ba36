"""The emitter's promises that need no broker: nothing is dropped silently, a full queue is waited for."""

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError

from producers import emitter as module
from producers.emitter import DeliveryError, EmitError, Emitter
from producers.values import FieldError
from streams.settings import Settings

SETTINGS = Settings(
    bootstrap_servers="127.0.0.1:1", topic_prefix="a.", clock="manual", schema_registry_url=""
)
AT = datetime(2024, 9, 1, tzinfo=UTC)


class FullThenRefusing:
    """Stands in for confluent_kafka's Producer: its queue is full at first, then it gives up some records."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        self.configuration = configuration
        self.full = 2
        self.refuse = False
        self.produced: list[tuple[Any, ...]] = []
        self._callbacks: list[Callable[[Any, Any], None]] = []

    def list_topics(self, timeout: float) -> Any:
        topic = SimpleNamespace(partitions={0: None, 1: None})
        return SimpleNamespace(topics={"a.usage-events": topic, "a.prices": topic, "b.usage-events": topic})

    def produce(self, topic: str, value: Any, key: Any, *, on_delivery: Any, **where: Any) -> None:
        if self.full:
            self.full -= 1
            raise BufferError
        self.produced.append((topic, key, where))
        self._callbacks.append(on_delivery)

    def poll(self, timeout: float) -> int:
        return 0

    def flush(self) -> int:
        error = KafkaError(KafkaError._MSG_TIMED_OUT) if self.refuse else None
        for callback in self._callbacks:
            callback(error, None)
        self._callbacks.clear()
        return 0


@pytest.fixture
def producers(monkeypatch: pytest.MonkeyPatch) -> list[FullThenRefusing]:
    made: list[FullThenRefusing] = []

    def make(configuration: dict[str, Any]) -> FullThenRefusing:
        made.append(FullThenRefusing(configuration))
        return made[-1]

    monkeypatch.setattr(module, "Producer", make)
    return made


def send(emitter: Emitter, **changes: Any) -> None:
    values = {"source": "api", "event_id": "e1", "meter": "m", "quantity": 1, "occurred_at": AT}
    emitter.usage(account_id="acme", **{**values, **changes})


def test_a_full_queue_is_waited_for(producers: list[FullThenRefusing]) -> None:
    with Emitter(SETTINGS) as emitter:
        send(emitter)

    assert producers[0].produced == [("a.usage-events", b"acme", {})]
    assert emitter.delivered == 1


def test_every_failed_delivery_is_counted_and_raised_once(producers: list[FullThenRefusing]) -> None:
    emitter = Emitter(SETTINGS)
    producers[0].refuse = True
    send(emitter)
    send(emitter)

    with pytest.raises(
        DeliveryError, match="2 of the emitted records did not reach Kafka; the first: "
    ) as raised:
        emitter.flush()

    assert raised.value.failed == 2
    emitter.flush()
    assert emitter.delivered == 0


def test_the_end_of_the_block_raises_what_failed(producers: list[FullThenRefusing]) -> None:
    emitter = Emitter(SETTINGS)
    producers[0].refuse = True

    with pytest.raises(DeliveryError), emitter:
        send(emitter)


def test_nothing_is_sent_of_a_record_that_does_not_fit(producers: list[FullThenRefusing]) -> None:
    with Emitter(SETTINGS) as emitter, pytest.raises(FieldError, match=r"quantity: 0\.1 is a float"):
        send(emitter, quantity=0.1)

    assert producers[0].produced == []


def test_only_topics_of_the_deployment_are_known(producers: list[FullThenRefusing]) -> None:
    emitter = Emitter(SETTINGS)

    assert emitter.partitions("usage-events") == 2
    with pytest.raises(EmitError, match=r"topic a\.clock-ticks does not exist"):
        emitter.tick(AT)


def test_the_producer_is_idempotent_and_partitions_as_java_does(producers: list[FullThenRefusing]) -> None:
    Emitter(SETTINGS)

    configuration = producers[0].configuration
    assert configuration["enable.idempotence"] is True
    assert configuration["acks"] == "all"
    assert configuration["partitioner"] == "murmur2_random"

"""What the payments process writes to Kafka: marks and payment events, delivered before it goes on."""

import threading

import structlog
from confluent_kafka import KafkaError, Message, Producer

from schemas.wire import Record, Schemas
from streams import topics
from streams.settings import Settings

LAST_FLUSH_SECONDS = 10.0
"""What a process that is asked to stop gives the broker to take what it already has."""

log = structlog.get_logger(__name__)


class DeliveryError(Exception):
    """Records that the broker will never take; one line for the operator."""


class Outbox:
    """One producer for marks and events."""

    def __init__(self, settings: Settings, schemas: Schemas, stop: threading.Event) -> None:
        self._stop = stop
        self._attempts, self._payments = (settings.topic(t.name) for t in (topics.ATTEMPTS, topics.PAYMENTS))
        self._encode_attempt = schemas.codec("payment-attempt").encode
        self._encode_event = schemas.codec("payment-event").encode
        self._undelivered: list[str] = []
        self._producer = Producer(
            {
                "bootstrap.servers": settings.bootstrap_servers,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 2,
                "compression.type": "lz4",
                "socket.timeout.ms": 10_000,  # a connection that died without a word is noticed by this
                "message.timeout.ms": 0,  # for ever: a broker that is away is waited for
            }
        )

    def attempt(self, record: Record) -> None:
        """Write a PaymentAttempt; deliver() tells when it is there."""
        self._produce(self._attempts, record["account_id"], self._encode_attempt(record))

    def event(self, record: Record) -> None:
        """Write a PaymentEvent; deliver() tells when it is there."""
        self._produce(self._payments, record["account_id"], self._encode_event(record))

    def deliver(self) -> bool:
        """Return True once all is on the brokers, False where the process was asked to stop first."""
        while self._producer.flush(LAST_FLUSH_SECONDS):
            if self._stop.is_set():
                log.warning("stopped before the broker took everything: commands are asked again")
                return False
            log.warning("the broker takes nothing: waiting")
        if self._undelivered:
            raise DeliveryError(f"{len(self._undelivered)} records not delivered: {self._undelivered[0]}")
        return True

    def _produce(self, topic: str, account_id: str, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(
                    topic, value=value, key=account_id.encode(), on_delivery=self._delivered
                )
            except BufferError:  # the broker takes nothing at present
                self._producer.poll(0.1)
            else:
                return

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._undelivered.append(error.str())

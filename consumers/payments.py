"""The payments process: top-up commands in, a provider's answers out as payment events.

At least once: offsets are committed only after the events of their commands were delivered, so a crash
repeats commands and never loses one. A repeat is harmless because an event is a function of its command
and its answer: the provider answers an id again as before, and the lanes apply each payment once.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from consumers.provider import Answer, Provider
from schemas.wire import Record, WireError
from streams import records, topic_admin, topics
from streams.settings import Settings

BATCH = 500
WAIT_SECONDS = 0.05
"""How long a batch gathers: what an answer waits at most while there is little to do."""
LAST_FLUSH_SECONDS = 10.0
"""What a process that is asked to stop gives the broker to take the answers it already has."""

_HOPELESS = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
}

log = structlog.get_logger(__name__)


class PaymentsError(Exception):
    """The process cannot go on; the text is one line for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What one run did."""

    commands: int
    events: int
    undecodable: int


def run(settings: Settings, provider: Provider, stop: threading.Event) -> Served:
    """Answer top-up commands until `stop` is set; raises PaymentsError, TopicsError or RegistryError."""
    topic_admin.check(settings)
    desk = _Desk(settings, provider, stop)
    try:
        return desk.serve()
    finally:
        desk.close()


def payment_event(command: Record, answer: Answer) -> Record:
    """Return the event that says what the provider answered to a command."""
    return {
        "account_id": command["account_id"],
        "payment_id": answer.payment_id,
        "kind": answer.kind,
        "amount_minor": command["amount_minor"],
        "currency": command["currency"],
        "occurred_at": answer.occurred_at,
        "reference": None,
        "command_id": command["command_id"],
        "payment_method_ref": command["payment_method_ref"],
        "decline_code": answer.decline_code,
        "hard_decline": answer.hard_decline,
        "action_url": answer.action_url,
    }


class _Desk:
    """One run's clients and counts."""

    def __init__(self, settings: Settings, provider: Provider, stop: threading.Event) -> None:
        self._provider = provider
        self._stop = stop
        self._schemas = records.schemas(settings)
        self._encode = self._schemas.codec("payment-event").encode
        self._events_topic = settings.topic(topics.PAYMENTS.name)
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap_servers,
                "group.id": f"{settings.application}-payments",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "session.timeout.ms": int(settings.session_timeout_seconds * 1000),
                "fetch.queue.backoff.ms": 5,
                "enable.partition.eof": True,  # tells where transaction markers end: committed as read
                "fetch.wait.max.ms": 50,  # an end is told only when a fetch comes back empty
            }
        )
        self._producer = Producer(
            {
                "bootstrap.servers": settings.bootstrap_servers,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 2,
                "compression.type": "lz4",
                "message.timeout.ms": 0,  # for ever: a broker that is away is waited for
            }
        )
        self._consumer.subscribe([settings.topic(topics.COMMANDS.name)])
        log.info("answering top-up commands", topic=settings.topic(topics.COMMANDS.name))
        self._undelivered: list[str] = []
        self.commands = self.events = self.undecodable = 0

    def close(self) -> None:
        self._consumer.close()

    def serve(self) -> Served:
        while not self._stop.is_set():
            batch = self._consumer.consume(BATCH, timeout=WAIT_SECONDS)
            if batch:
                self._answer(batch)
        return Served(commands=self.commands, events=self.events, undecodable=self.undecodable)

    def _answer(self, batch: Sequence[Message]) -> None:
        next_offsets: dict[int, TopicPartition] = {}
        for message in batch:
            partition, next_offset = message.partition(), message.offset()
            if message.error() is None:
                self._take(message)
                next_offset += 1
            elif message.error().code() != KafkaError._PARTITION_EOF:
                _judge(message.error())
                continue
            next_offsets[partition] = TopicPartition(message.topic(), partition, next_offset)
        if self._deliver() and next_offsets:
            self._commit(list(next_offsets.values()))

    def _take(self, message: Message) -> None:
        """Ask the provider about one command and hand its answer to the producer."""
        try:
            _, command = self._schemas.decode(message.value() or b"", "top-up-command")
        except WireError as e:
            # The lane sends a command again after an hour of silence; stopping here would stop all accounts.
            self.undecodable += 1
            log.error(  # noqa: TRY400 (the reason is the whole story)
                "command skipped: it cannot be decoded",
                topic=message.topic(),
                partition=message.partition(),
                offset=message.offset(),
                reason=str(e),
                skipped=self.undecodable,
            )
            return
        self.commands += 1
        ask = self._provider.cancel if command["kind"] == "cancel" else self._provider.charge
        answer = ask(command)
        if answer is None:
            return
        value = self._encode(payment_event(command, answer))
        key = command["account_id"].encode()
        while True:
            try:
                self._producer.produce(self._events_topic, value=value, key=key, on_delivery=self._delivered)
            except BufferError:  # the broker takes nothing at present
                self._producer.poll(0.1)
            else:
                break
        self.events += 1

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._undelivered.append(error.str())

    def _deliver(self) -> bool:
        """Return True once every event is delivered, False where the process was asked to stop first."""
        while self._producer.flush(LAST_FLUSH_SECONDS):
            if self._stop.is_set():
                log.warning("stopped before the broker took all answers: their commands are asked again")
                return False
            log.warning("the broker takes no answers: waiting")
        if self._undelivered:
            raise PaymentsError(
                f"{len(self._undelivered)} payment events not delivered: {self._undelivered[0]}"
            )
        return True

    def _commit(self, offsets: list[TopicPartition]) -> None:
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as e:
            # Another process has the partition now, or the broker is away: the commands are asked again.
            log.warning("offsets not committed: their commands may be asked again", reason=e.args[0].str())


def _judge(error: KafkaError) -> None:
    """Raise where waiting cannot help; the client deals with every other disturbance by itself."""
    if error.fatal() or error.code() in _HOPELESS:
        raise PaymentsError(f"top-up commands cannot be read: {error.str()}")
    log.warning("reading top-up commands is disturbed", reason=error.str())

"""The emitter: what a service embeds to send usage, payments, settings, profiles, prices and adjustments.

Safe to send again: every record carries its own identity, and the lanes count what they have seen as a
duplicate. Nothing is lost without a word: what Kafka did not take is raised by `flush`, at the latest
when the `with` block ends. Never sets Kafka timestamps: topics keep records by them.

    with Emitter(settings.read()) as emitter:
        emitter.usage(account_id="acme", source="api", event_id="01J9...", meter="api-calls",
                      quantity=Decimal("1.5"), occurred_at=datetime.now(UTC))
"""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, Producer

from producers import records
from producers.emissions import EVERY_PARTITION, Emission, Encoder
from producers.records import (
    AdjustmentKind,
    AutomaticTopUp,
    PaymentKind,
    PriceModel,
    ReversedUsage,
    TaxRate,
    Tier,
)
from producers.values import Exact, Moment, text
from schemas.wire import Schemas
from streams.records import schemas as schemas_of
from streams.settings import Settings

REQUEST_SECONDS = 10.0
"""How long a request may go unanswered before it is sent again on a new connection."""
METADATA_SECONDS = 10.0
"""How long to wait for a broker to answer at all."""
NEW_TOPIC_SECONDS = 1.0
"""How long a topic that was made just now may be unknown to a broker that did not make it."""
QUEUE_RECORDS = 100_000
"""Most records under way; beyond it emitting waits."""


class EmitError(Exception):
    """Kafka did not take what was emitted, or cannot be asked to; the text is one line for the operator."""


class DeliveryError(EmitError):
    """`failed` records were given up by the client; `first` says why the first one was."""

    def __init__(self, failed: int, first: str) -> None:
        super().__init__(f"{failed} of the emitted records did not reach Kafka; the first: {first}")
        self.failed = failed
        self.first = first


class Emitter:
    """Idempotent producer of every input topic. Not for several threads at once: give each its own."""

    def __init__(
        self,
        settings: Settings,
        *,
        schemas: Schemas | None = None,
        delivery_seconds: float = 60.0,
        ticker: str = "manual",
    ) -> None:
        """Connect; raises EmitError where no broker answers, RegistryError where a registry does not.

        `schemas` are the ids in use, by default those of the deployment; `delivery_seconds` is how long a
        record may take until it counts as failed; `ticker` is who `tick` says it is.
        """
        self.encoder = Encoder(schemas or schemas_of(settings))
        self._settings = settings
        self._ticker = ticker
        self._failed = 0
        self._first = ""
        self._broker_error = ""
        self.delivered = 0
        """Records that Kafka has taken, copies to each partition counted."""
        self._producer = Producer(_configuration(settings, delivery_seconds, self._on_error))
        self._partitions = self._read_partitions()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Flush. An error of the block goes first; a failed delivery is then added to it as a note."""
        try:
            self.flush()
        except EmitError as failure:
            if error is None:
                raise
            error.add_note(str(failure))

    def usage(
        self,
        *,
        account_id: str,
        source: str,
        event_id: str,
        meter: str,
        quantity: Exact,
        occurred_at: Moment,
        ce_type: str | None = None,
    ) -> None:
        """Send a usage event; with `ce_type` also as a CloudEvent in binary mode."""
        record = records.usage(
            account_id=account_id,
            source=source,
            event_id=event_id,
            meter=meter,
            quantity=quantity,
            occurred_at=occurred_at,
        )
        self.emit(self.encoder.usage(record, ce_type=ce_type))

    def payment(
        self,
        *,
        account_id: str,
        payment_id: str,
        kind: PaymentKind,
        currency: str,
        occurred_at: Moment,
        amount_minor: int = 0,
        reference: str | None = None,
        command_id: str | None = None,
        payment_method_ref: str | None = None,
        decline_code: str | None = None,
        hard_decline: bool = False,
        action_url: str | None = None,
    ) -> None:
        """Send what the payment provider says happened to a payment."""
        record = records.payment(
            account_id=account_id,
            payment_id=payment_id,
            kind=kind,
            currency=currency,
            occurred_at=occurred_at,
            amount_minor=amount_minor,
            reference=reference,
            command_id=command_id,
            payment_method_ref=payment_method_ref,
            decline_code=decline_code,
            hard_decline=hard_decline,
            action_url=action_url,
        )
        self.emit(self.encoder.payment(record))

    def settings(
        self,
        *,
        account_id: str,
        revision: int,
        currency: str,
        zone: str,
        changed_at: Moment,
        changed_by: str,
        tax_rates: Sequence[TaxRate] = (),
        automatic_top_up: AutomaticTopUp | None = None,
        warning_level_minor: int | None = None,
        overdraft_minor: int = 0,
        closed: bool = False,
    ) -> None:
        """Send an account's settings as a whole, under the revision that this change makes."""
        record = records.settings(
            account_id=account_id,
            revision=revision,
            currency=currency,
            zone=zone,
            changed_at=changed_at,
            changed_by=changed_by,
            tax_rates=tax_rates,
            automatic_top_up=automatic_top_up,
            warning_level_minor=warning_level_minor,
            overdraft_minor=overdraft_minor,
            closed=closed,
        )
        self.emit(self.encoder.settings(record))

    def profile(
        self,
        *,
        account_id: str,
        name: str,
        address: Sequence[str],
        country: str,
        email: str,
        language: str = "en",
        tax_id: str | None = None,
    ) -> None:
        """Send the personal data of an account."""
        record = records.profile(
            account_id=account_id,
            name=name,
            address=address,
            country=country,
            email=email,
            language=language,
            tax_id=tax_id,
        )
        self.emit(self.encoder.profile(record))

    def erase_profile(self, account_id: str) -> None:
        """Erase the personal data of an account."""
        self.emit(self.encoder.erasure(text("account_id", account_id)))

    def price(
        self,
        *,
        meter: str,
        currency: str,
        version: int,
        unit: str,
        valid_from: Moment,
        tiers: Sequence[Tier],
        model: PriceModel = "per_unit",
        late: bool = False,
        package_size: Exact | None = None,
        free_allowance: Exact | None = None,
    ) -> None:
        """Send a price, one copy to every partition; at least 10 minutes before it is valid, or as late."""
        record = records.price(
            meter=meter,
            currency=currency,
            version=version,
            unit=unit,
            valid_from=valid_from,
            tiers=tiers,
            model=model,
            late=late,
            package_size=package_size,
            free_allowance=free_allowance,
        )
        self.emit(self.encoder.price(record))

    def adjustment(
        self,
        *,
        account_id: str,
        adjustment_id: str,
        kind: AdjustmentKind,
        currency: str,
        reason: str,
        author: str,
        occurred_at: Moment,
        amount: Exact | None = None,
        usage: ReversedUsage | None = None,
    ) -> None:
        """Send a credit, a debit or the reversal of one usage event."""
        record = records.adjustment(
            account_id=account_id,
            adjustment_id=adjustment_id,
            kind=kind,
            currency=currency,
            reason=reason,
            author=author,
            occurred_at=occurred_at,
            amount=amount,
            usage=usage,
        )
        self.emit(self.encoder.adjustment(record))

    def tick(self, time: Moment) -> None:
        """Send a tick to every partition; raises EmitError unless the deployment's clock is manual."""
        if self._settings.clock != "manual":
            raise EmitError(
                "ticks come from the elected worker here; only EVERGREEN_CLOCK=manual takes others"
            )
        self.emit(self.encoder.tick(records.tick(time=time, ticker=self._ticker)))

    def emit(self, emission: Emission) -> None:
        """Send an emission; returns once it is queued, and waits while the queue is full."""
        partitions = self.partitions(emission.topic)
        if emission.key is None and emission.partition is None:
            raise EmitError(f"{emission.topic}: a record without key and partition could land in any lane")
        if emission.partition == EVERY_PARTITION:
            for partition in range(partitions):
                self._produce(emission, partition)
        else:
            self._produce(emission, emission.partition)

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has; raises EmitError where it does not exist."""
        found = self._partitions.get(topic)
        deadline = time.monotonic() + NEW_TOPIC_SECONDS
        while found is None and time.monotonic() < deadline:
            time.sleep(0.1)
            self._partitions = self._read_partitions()
            found = self._partitions.get(topic)
        if found is None:
            raise EmitError(
                f"topic {self._settings.topic(topic)} does not exist (run: evergreen topics create)"
            )
        return found

    def flush(self) -> None:
        """Wait until Kafka has taken all that was emitted; raises DeliveryError for what it has not."""
        self._producer.flush()  # ends: each record is delivered or given up after delivery_seconds
        if self._failed:
            failed, first = self._failed, self._first
            self._failed, self._first = 0, ""
            raise DeliveryError(failed, first)

    def _produce(self, emission: Emission, partition: int | None) -> None:
        topic = self._settings.topic(emission.topic)
        where: dict[str, Any] = {} if partition is None else {"partition": partition}
        if emission.headers:
            where["headers"] = list(emission.headers)
        while True:
            try:
                self._producer.produce(
                    topic, emission.value, emission.key, on_delivery=self._on_delivery, **where
                )
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as e:
                raise EmitError(f"{topic}: {e.args[0].str()}") from e
            else:
                self._producer.poll(0)
                return

    def _on_delivery(self, error: KafkaError | None, _: object) -> None:
        if error is None:
            self.delivered += 1
            return
        self._failed += 1
        self._first = self._first or error.str()

    def _on_error(self, error: KafkaError) -> None:
        self._broker_error = error.str()

    def _read_partitions(self) -> dict[str, int]:
        # All topics at once: asking for one that does not exist could make the broker create it.
        try:
            metadata = self._producer.list_topics(timeout=METADATA_SECONDS)
        except KafkaException as e:
            self._producer.poll(0)  # hands over what the connection said
            reason = self._broker_error or e.args[0].str()
            servers = self._settings.bootstrap_servers
            raise EmitError(f"no Kafka broker answers at {servers}: {reason}") from e
        prefix = self._settings.topic_prefix
        return {
            name.removeprefix(prefix): len(topic.partitions)
            for name, topic in metadata.topics.items()
            if name.startswith(prefix)
        }


def _configuration(settings: Settings, delivery_seconds: float, on_error: Any) -> dict[str, Any]:
    return {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": f"{settings.application}-emitter",
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",  # Java's; librdkafka's own default puts keys elsewhere
        "compression.type": "lz4",
        "linger.ms": 20,
        "socket.timeout.ms": int(REQUEST_SECONDS * 1000),
        "delivery.timeout.ms": int(delivery_seconds * 1000),
        "queue.buffering.max.messages": QUEUE_RECORDS,
        "error_cb": on_error,
        "log_level": 0,  # what matters is raised; the client's own lines on stderr would only say it twice
    }

"""From records to what goes on the wire: topic, key, value, and the partition where the key does not decide.

Pure: the same record is the same bytes for ever, so an emission sent again is a duplicate and no other event.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from producers import records
from producers.records import Record
from producers.values import moment
from schemas.wire import Schemas
from streams import topics

EVERY_PARTITION = -1
"""For prices and ticks, which are an input of each lane."""

Headers = tuple[tuple[str, str | bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Emission:
    """One Kafka record to be. `topic` is without the deployment's prefix, `partition` None means: by key."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: Headers = ()


class Encoder:
    """Builds emissions under the schema ids in use."""

    def __init__(self, schemas: Schemas) -> None:
        self.schemas = schemas
        self._encode_usage = schemas.codec("usage-event").encode

    def usage(self, record: Record, *, ce_type: str | None = None) -> Emission:
        """Return a UsageEvent's emission, with CloudEvents headers where a type is given."""
        return Emission(
            topics.USAGE.name,
            record["account_id"].encode(),
            self._encode_usage(record),
            headers=cloud_event(record, ce_type) if ce_type else (),
        )

    def payment(self, record: Record) -> Emission:
        """Return a PaymentEvent's emission."""
        return self._by_account(topics.PAYMENTS, record)

    def settings(self, record: Record) -> Emission:
        """Return an AccountSettings' emission."""
        return self._by_account(topics.SETTINGS, record)

    def profile(self, record: Record) -> Emission:
        """Return an AccountProfile's emission."""
        return self._by_account(topics.PROFILES, record)

    def erasure(self, account_id: str) -> Emission:
        """Return the emission that erases a profile: no value."""
        return Emission(topics.PROFILES.name, account_id.encode(), None)

    def adjustment(self, record: Record) -> Emission:
        """Return an Adjustment's emission."""
        return self._by_account(topics.ADJUSTMENTS, record)

    def price(self, record: Record) -> Emission:
        """Return a Price's emission: one copy to every partition."""
        value = self.schemas.codec("price").encode(record)
        return Emission(topics.PRICES.name, records.price_key(record).encode(), value, EVERY_PARTITION)

    def tick(self, record: Record) -> Emission:
        """Return a Tick's emission: one to every partition."""
        value = self.schemas.codec("tick").encode(record)
        return Emission(topics.TICKS.name, record["ticker"].encode(), value, EVERY_PARTITION)

    def _by_account(self, topic: topics.Topic, record: Record) -> Emission:
        (name,) = topic.records
        return Emission(topic.name, record["account_id"].encode(), self.schemas.codec(name).encode(record))

    @property
    def by_kind(self) -> Mapping[str, Callable[[Record], Emission]]:
        """The records a caller may emit in bulk, by the word that names them on the command line."""
        return {
            "usage": self.usage,
            "payment": self.payment,
            "settings": self.settings,
            "profile": self.profile,
            "price": self.price,
            "adjustment": self.adjustment,
        }


def cloud_event(record: Record, ce_type: str) -> Headers:
    """Return a usage event's CloudEvents attributes as headers.

    Binary mode of https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
    """
    return (
        ("ce_specversion", "1.0"),
        ("ce_id", record["event_id"]),
        ("ce_source", record["source"]),
        ("ce_type", ce_type),
        ("ce_time", moment(record["occurred_at"]).isoformat(timespec="milliseconds")),
    )

"""What goes wrong upstream: records that the lanes must put among the dead letters, each with its reason.

One per step, all kinds in turn, from random numbers of its own: the customers do not notice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from random import Random

from producers import records
from producers.customers import Arrival, Customer
from producers.emissions import EVERY_PARTITION, Emission, Encoder
from producers.market import DAY_MS, METERS
from producers.values import moment
from schemas.wire import HEADER, MAGIC, Schemas
from streams.partition import partition_of

_UNKNOWN_SCHEMA_ID = 999_999
_FAR_AHEAD = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where and when a disturbance happens: lane time is `before`."""

    random: Random
    number: int
    customer: Customer
    other: Customer
    original: Arrival | None
    """A usage event of an earlier step."""
    before: int
    lanes: int
    max_age_days: int
    schemas: Schemas

    @property
    def encoder(self) -> Encoder:
        """Encodes what is well-formed at least."""
        return Encoder(self.schemas)

    def usage(
        self, *, meter: str = METERS[0].name, quantity: int = 7, at: datetime | None = None
    ) -> Emission:
        """Return a usage event of the customer that would be right but for what is given."""
        record = records.usage(
            account_id=self.customer.account_id,
            source="disturbance",
            event_id=f"disturbance-{self.number}",
            meter=meter,
            quantity=quantity,
            occurred_at=at or moment(self.before),
        )
        return self.encoder.usage(record)

    def value(self) -> bytes:
        """Return the bytes of such an event."""
        value = self.usage().value
        assert value is not None
        return value


def _negative_quantity(scene: Scene) -> Emission:
    codec = scene.schemas.codec("usage-event")
    record = codec.decode(scene.value())
    return replace(scene.usage(), value=codec.encode({**record, "quantity": -record["quantity"]}))


def _id_conflict(scene: Scene) -> Emission | None:
    if scene.original is None or scene.original.record is None:
        return None
    record = dict(scene.original.record)
    record["quantity"] += 1
    return scene.encoder.usage(record)


def _bad_magic(scene: Scene) -> Emission:
    return replace(scene.usage(), value=b"\x7b" + scene.value()[1:])


def _truncated(scene: Scene) -> Emission:
    value = scene.value()
    return replace(scene.usage(), value=value[: scene.random.randrange(len(value))])


def _unknown_schema(scene: Scene) -> Emission:
    header = HEADER.pack(MAGIC, _UNKNOWN_SCHEMA_ID)
    return replace(scene.usage(), value=header + scene.value()[HEADER.size :])


def _wrong_schema(scene: Scene) -> Emission:
    header = HEADER.pack(MAGIC, scene.schemas.codec("adjustment").schema_id)
    return replace(scene.usage(), value=header + scene.value()[HEADER.size :])


def _trailing_bytes(scene: Scene) -> Emission:
    return replace(scene.usage(), value=scene.value() + b"\0\0")


def _null_key(scene: Scene) -> Emission:
    return replace(scene.usage(), key=None, partition=scene.random.randrange(scene.lanes))


def _null_value(scene: Scene) -> Emission:
    return replace(scene.usage(), value=None)


def _bad_key(scene: Scene) -> Emission:
    return replace(scene.usage(), key=b"\xff\xfe")


def _key_mismatch(scene: Scene) -> Emission | None:
    if scene.other is scene.customer:
        return None
    return replace(scene.usage(), key=scene.other.account_id.encode())


def _wrong_partition(scene: Scene) -> Emission | None:
    right = partition_of(scene.customer.account_id.encode(), scene.lanes)
    return replace(scene.usage(), partition=(right + 1) % scene.lanes) if scene.lanes > 1 else None


def _from_the_future(scene: Scene) -> Emission:
    return scene.usage(at=_FAR_AHEAD)


def _too_old(scene: Scene) -> Emission:
    days = scene.max_age_days + 1 + scene.random.randrange(30)
    return scene.usage(at=moment(scene.before - days * DAY_MS))


def _no_price(scene: Scene) -> Emission:
    return scene.usage(meter="teleports")


def _currency_mismatch(scene: Scene) -> Emission:
    record = records.payment(
        account_id=scene.customer.account_id,
        payment_id=f"pi_disturbance_{scene.number}",
        kind="succeeded",
        amount_minor=100,
        currency="CHF",
        occurred_at=moment(scene.before),
    )
    return scene.encoder.payment(record)


def _bad_settings(scene: Scene) -> Emission:
    record = records.settings(
        account_id=scene.customer.account_id,
        revision=1_000 + scene.number,
        currency=scene.customer.place.currency,
        zone=scene.customer.place.zone,
        changed_at=moment(scene.before),
        changed_by="disturbance",
    )
    return scene.encoder.settings({**record, "zone": "Mars/Olympus_Mons"})


def _late_price(scene: Scene) -> Emission:
    record = records.price(
        meter=METERS[0].name,
        currency="USD",
        version=1_000 + scene.number,
        unit=METERS[0].unit,
        valid_from=moment(scene.before - 5 * DAY_MS),
        tiers=[records.Tier(unit_price=Decimal(1000))],
    )
    return scene.encoder.price(record)


_KINDS: Sequence[tuple[str, Callable[[Scene], Emission | None]]] = (
    ("negative_quantity", _negative_quantity),
    ("from_the_future", _from_the_future),
    ("id_conflict", _id_conflict),
    ("bad_magic", _bad_magic),
    ("truncated", _truncated),
    ("unknown_schema", _unknown_schema),
    ("wrong_schema", _wrong_schema),
    ("trailing_bytes", _trailing_bytes),
    ("null_key", _null_key),
    ("null_value", _null_value),
    ("bad_key", _bad_key),
    ("key_mismatch", _key_mismatch),
    ("wrong_partition", _wrong_partition),
    ("too_old", _too_old),
    ("no_price", _no_price),
    ("currency_mismatch", _currency_mismatch),
    ("bad_settings", _bad_settings),
    ("late_price", _late_price),
)
REASONS = tuple(reason for reason, _ in _KINDS)
"""The dead letters that a simulation brings about."""


def disturbance(scene: Scene) -> tuple[str, Emission, int] | None:
    """Return the reason, the emission and the number of dead letters; None where it cannot be."""
    reason, make = _KINDS[scene.number % len(_KINDS)]
    emission = make(scene)
    if emission is None:
        return None
    return reason, emission, scene.lanes if emission.partition == EVERY_PARTITION else 1

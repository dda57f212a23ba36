"""What goes wrong upstream: records that the lanes must put among the dead letters, each with its reason.

One per step, all kinds in turn, from random numbers of its own: the customers do not notice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Protocol

from producers import records
from producers.customers import Arrival
from producers.emissions import EVERY_PARTITION, Emission, Encoder
from producers.market import DAY_MS, METERS, Place
from producers.records import Record
from producers.values import moment
from schemas.wire import HEADER, MAGIC, Schemas
from streams.partition import partition_of

_UNKNOWN_SCHEMA_ID = 999_999
_FAR_AHEAD = datetime(2100, 1, 1, tzinfo=UTC)


class Person(Protocol):
    """A customer, as far as a disturbance is about one."""

    account_id: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where and when a disturbance happens: lane time is `before`."""

    random: Random
    number: int
    customer: Person
    other: Person
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


Kind = tuple[str, Callable[[Scene], Emission | None]]
"""The reason for which it must be a dead letter, and what makes it."""


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


def _bad_payment(scene: Scene) -> Emission:
    record = _payment(scene, "nothing")
    return scene.encoder.payment({**record, "amount_minor": 0})


def _payment(scene: Scene, name: str) -> Record:
    return records.payment(
        account_id=scene.customer.account_id,
        payment_id=f"pi_disturbance_{name}_{scene.number}",
        kind="succeeded",
        amount_minor=100,
        currency=scene.customer.place.currency,
        occurred_at=moment(scene.before),
    )


def _bad_adjustment(scene: Scene) -> Emission:
    record = records.adjustment(
        account_id=scene.customer.account_id,
        adjustment_id=f"disturbance-{scene.number}",
        kind="credit",
        amount=1,
        currency=scene.customer.place.currency,
        reason="disturbance",
        author="disturbance",
        occurred_at=moment(scene.before),
    )
    return scene.encoder.adjustment({**record, "amount": -record["amount"]})


def _price(scene: Scene, version: int) -> Record:
    return records.price(
        meter=METERS[0].name,
        currency="USD",
        version=version,
        unit="disturbance",
        valid_from=moment(scene.before + DAY_MS),
        tiers=[records.Tier(unit_price=Decimal(1000))],
    )


def _bad_price(scene: Scene) -> Emission:
    return scene.encoder.price({**_price(scene, 1_000 + scene.number), "tiers": []})


def _price_conflict(scene: Scene) -> Emission:
    return scene.encoder.price(_price(scene, 1))


_KINDS: Sequence[Kind] = (
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
EVERY_KIND = (
    *_KINDS,
    ("bad_payment", _bad_payment),
    ("bad_adjustment", _bad_adjustment),
    ("bad_price", _bad_price),
    ("price_conflict", _price_conflict),
)
"""Those of the whole simulation."""


def disturbance(scene: Scene, kinds: Sequence[Kind] = _KINDS) -> tuple[str, Emission, int] | None:
    """Return the reason, the emission and the number of dead letters; None where it cannot be."""
    reason, make = kinds[scene.number % len(kinds)]
    emission = make(scene)
    if emission is None:
        return None
    return reason, emission, scene.lanes if emission.partition == EVERY_PARTITION else 1

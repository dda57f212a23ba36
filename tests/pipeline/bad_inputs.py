"""Every kind of bad input, as tables: what is wrong, on which topic, and the reason that it must die of.

A case makes the records to send for one account of its own; the last of them is the bad one, those
before it are good and make it bad (an event whose id it takes, a payment that it passes).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from schemas.wire import Record, fixed
from streams.partition import partition_of

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
NOON = 1_726_401_600_000
"""2024-09-15T12:00Z: the lanes' time while the bad inputs come, and the Kafka timestamp of all records."""
NOW = 0
"""As a Kafka timestamp: that of the machine."""
ABSURD = 2**62
YEAR_9001 = 221_876_928_000_000
MARKER = "marker-text"
"""Stands in a text field of every record, so that its bytes are easily found and spoilt."""
WIDE = 10**37
"""A decimal of 16 bytes, to be overwritten by one that no decimal(38,12) holds."""
METER = "calls"

USAGE, PAYMENTS, ADJUSTMENTS = "usage-events", "payment-events", "adjustments"
SETTINGS, PROFILES, PRICES, TICKS = "account-settings", "account-profiles", "prices", "clock-ticks"
BY_ACCOUNT = (USAGE, PAYMENTS, ADJUSTMENTS, SETTINGS, PROFILES)
ALL = (*BY_ACCOUNT, PRICES, TICKS)
SCHEMA = {
    USAGE: "usage-event",
    PAYMENTS: "payment-event",
    ADJUSTMENTS: "adjustment",
    SETTINGS: "account-settings",
    PROFILES: "account-profile",
    PRICES: "price",
    TICKS: "tick",
}


@dataclass(frozen=True, slots=True)
class Sent:
    """One record to send."""

    key: bytes | None
    value: bytes | None
    timestamp: int = NOON


@dataclass(frozen=True, slots=True)
class At:
    """Where a case plays: an account of its own, its lane, and accounts beside it."""

    account_id: str
    lanes: int

    @property
    def lane(self) -> int:
        return partition_of(self.account_id.encode(), self.lanes)

    @property
    def neighbour(self) -> str:
        """Another account of the same lane."""
        return self._other(lambda lane: lane == self.lane)

    @property
    def stranger(self) -> str:
        """An account of another lane."""
        return self._other(lambda lane: lane != self.lane)

    def _other(self, fits: Callable[[int], bool]) -> str:
        names = (f"{self.account_id}-other-{n}" for n in range(1_000))
        return next(name for name in names if fits(partition_of(name.encode(), self.lanes)))

    def record(self, topic: str, **changes: object) -> Record:
        """Return a record of a topic that is as it should be, but for the changes."""
        return _RECORDS[topic](self.account_id) | changes

    def sent(self, topic: str, *, timestamp: int = NOON, **changes: object) -> Sent:
        """Return a record with its right key."""
        record = self.record(topic, **changes)
        if topic == PROFILES:
            timestamp = NOW  # a compacted topic: what is old there may be gone at once
        key = record["account_id"] if topic in BY_ACCOUNT else f"{topic}-key"
        if topic == PRICES:
            key = f"{record['meter']}/{record['currency']}/{record['version']}"
        return Sent(key.encode(), encoded(topic, record), timestamp)

    def good(self, topic: str, tag: str) -> Sent:
        """Return a record that must be applied, another one for each tag."""
        match topic:
            case "usage-events":
                return self.sent(USAGE, event_id=f"good-{tag}")
            case "payment-events":
                return self.sent(PAYMENTS, payment_id=f"{self.account_id}-good-{tag}")
            case "adjustments":
                return self.sent(ADJUSTMENTS, adjustment_id=f"good-{tag}")
            case "account-settings":
                return self.sent(SETTINGS, revision={"before": 50, "after": 51}[tag])
            case "account-profiles":
                return self.sent(PROFILES, language=tag)
            case "prices":
                return self.sent(PRICES, meter=f"{self.account_id}-{tag}")
            case _:
                return self.sent(TICKS)


@dataclass(frozen=True, slots=True)
class Bad:
    """One kind of bad input."""

    what: str
    topic: str
    reason: str
    make: Callable[[At], list[Sent]] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.topic}: {self.what}"


def encoded(topic: str, record: Record) -> bytes:
    """Return the wire bytes of a record of a topic."""
    return fixed().codec(SCHEMA[topic]).encode(record)


_RECORDS: dict[str, Callable[[str], Record]] = {
    USAGE: lambda account_id: {
        "account_id": account_id,
        "source": MARKER,
        "event_id": "event",
        "meter": METER,
        "quantity": 10**12,
        "occurred_at": NOON,
    },
    PAYMENTS: lambda account_id: {
        "account_id": account_id,
        "payment_id": f"{account_id}-payment",
        "kind": "succeeded",
        "amount_minor": 1_000,
        "currency": "USD",
        "occurred_at": NOON,
        "reference": None,
        "command_id": None,
        "payment_method_ref": MARKER,
        "decline_code": None,
        "hard_decline": False,
        "action_url": None,
    },
    ADJUSTMENTS: lambda account_id: {
        "account_id": account_id,
        "adjustment_id": "adjustment",
        "kind": "credit",
        "amount": 10**12,
        "currency": "USD",
        "reason": MARKER,
        "author": "test",
        "occurred_at": NOON,
        "usage": None,
    },
    SETTINGS: lambda account_id: {
        "account_id": account_id,
        "revision": 60,
        "currency": "USD",
        "zone": "UTC",
        "tax_rates": [],
        "automatic_top_up": None,
        "warning_level_minor": None,
        "overdraft_minor": 0,
        "closed": False,
        "changed_at": NOON,
        "changed_by": MARKER,
    },
    PROFILES: lambda account_id: {
        "account_id": account_id,
        "name": MARKER,
        "address": ["1 Way"],
        "country": "US",
        "tax_id": None,
        "email": "a@b.example",
        "language": "en",
    },
    PRICES: lambda account_id: {
        "meter": f"{account_id}-meter",
        "currency": "USD",
        "version": 1,
        "unit": MARKER,
        "valid_from": NOON - DAY_MS,
        "late": True,
        "model": "per_unit",
        "tiers": [{"up_to": None, "unit_price": 10**10}],
        "package_size": None,
        "free_allowance": None,
    },
    TICKS: lambda account_id: {"time": NOON, "ticker": MARKER},
}


def spoilt(spoil: Callable[[bytes], bytes]) -> Callable[[str], Callable[[At], list[Sent]]]:
    """Return makers of a good record whose bytes were spoilt."""

    def of_topic(topic: str) -> Callable[[At], list[Sent]]:
        def make(at: At) -> list[Sent]:
            good = at.sent(topic)
            return [replace(good, value=spoil(good.value or b""))]

        return make

    return of_topic


def changed(topic: str, *, timestamp: int = NOON, **changes: object) -> Callable[[At], list[Sent]]:
    """Return a maker of one record with changed fields."""
    return lambda at: [at.sent(topic, timestamp=timestamp, **changes)]


def after(topic: str, first: Record, second: Record) -> Callable[[At], list[Sent]]:
    """Return a maker of a good record and a bad one that follows it."""
    return lambda at: [at.sent(topic, **first), at.sent(topic, **second)]


def with_key(topic: str, key: bytes | None) -> Callable[[At], list[Sent]]:
    """Return a maker of a good value under this key."""
    return lambda at: [replace(at.sent(topic), key=key)]


def _of_another_type(topic: str) -> Callable[[At], list[Sent]]:
    other = ALL[(ALL.index(topic) + 1) % len(ALL)]
    return lambda at: [replace(at.sent(topic), value=at.sent(other).value)]


def bytes_that_are_no_record() -> Iterator[Bad]:
    """Wire reasons, on every topic."""
    table: tuple[tuple[str, str, Callable[[bytes], bytes]], ...] = (
        ("another magic byte", "bad_magic", lambda v: b"\x01" + v[1:]),
        ("plain JSON", "bad_magic", lambda v: b'{"account_id": "acme"}'),
        ("an unknown schema id", "unknown_schema", lambda v: v[:1] + b"\x00\x00\x03\xe7" + v[5:]),
        ("no bytes at all", "truncated", lambda v: b""),
        ("half a header", "truncated", lambda v: v[:3]),
        ("only a header", "truncated", lambda v: v[:5]),
        ("the last byte missing", "truncated", lambda v: v[:-1]),
        ("the half missing", "truncated", lambda v: v[: len(v) // 2]),
        ("a byte too much", "trailing_bytes", lambda v: v + b"\x00"),
        ("a record too much", "trailing_bytes", lambda v: v + v),
        ("a text not in UTF-8", "undecodable", lambda v: v.replace(MARKER.encode(), b"\xff" * len(MARKER))),
    )
    for topic in ALL:
        for what, reason, spoil in table:
            yield Bad(what, topic, reason, spoilt(spoil)(topic))
        yield Bad("a record of another topic", topic, "wrong_schema", _of_another_type(topic))


def keys_and_values_that_are_not_right() -> Iterator[Bad]:
    """Keys, on every topic."""
    for topic in ALL:
        if topic != PROFILES:  # brokers take no record without a key for a compacted topic
            yield Bad("no key", topic, "null_key", with_key(topic, None))
            yield Bad("no value", topic, "null_value", lambda at, t=topic: [Sent(at.sent(t).key, None)])
            yield Bad("neither key nor value", topic, "null_value", lambda _: [Sent(None, None)])
    for topic in BY_ACCOUNT:
        yield Bad("a key not in UTF-8", topic, "bad_key", with_key(topic, b"\xff\xfe"))
        yield Bad("an empty key", topic, "key_mismatch", with_key(topic, b""))
        yield Bad(
            "another account's key",
            topic,
            "key_mismatch",
            lambda at, t=topic: [replace(at.sent(t), key=at.neighbour.encode())],
        )
        yield Bad(
            "an account of another partition",
            topic,
            "wrong_partition",
            lambda at, t=topic: [at.sent(t, account_id=at.stranger)],
        )
        yield Bad(
            "the key of an account of another partition",
            topic,
            "key_mismatch",
            lambda at, t=topic: [replace(at.sent(t), key=at.stranger.encode())],
        )
        yield Bad(
            "no record, and an account of another partition",
            topic,
            "bad_magic",
            lambda at, t=topic: [replace(at.sent(t), key=at.stranger.encode(), value=b"hello")],
        )
    yield Bad(
        "the erasure of an account of another partition",
        PROFILES,
        "wrong_partition",
        lambda at: [Sent(at.stranger.encode(), None, NOW)],
    )


def _wide(topic: str, number: bytes, **fields: object) -> Callable[[At], list[Sent]]:
    """Return a maker of a record of which the decimal WIDE is overwritten by these bytes."""
    placeholder = WIDE.to_bytes(16, "big")
    assert len(number) in {16, 200}
    length = b"\x20" if len(number) == 16 else b"\x90\x03"

    def make(at: At) -> list[Sent]:
        good = at.sent(topic, **fields)
        assert good.value is not None
        assert b"\x20" + placeholder in good.value
        return [replace(good, value=good.value.replace(b"\x20" + placeholder, length + number))]

    return make


def numbers_out_of_range() -> Iterator[Bad]:
    """Numbers that no field holds, and numbers that nothing can be booked by."""
    decimals: tuple[tuple[str, dict[str, object]], ...] = (
        (USAGE, {"quantity": WIDE}),
        (ADJUSTMENTS, {"amount": WIDE}),
        (PRICES, {"tiers": [{"up_to": None, "unit_price": WIDE}]}),
        (SETTINGS, {"tax_rates": [{"valid_from": 0, "rate": WIDE}]}),
    )
    for topic, fields in decimals:
        for what, number in (
            ("a decimal of 39 digits", (10**38).to_bytes(16, "big")),
            ("a decimal of minus 39 digits", (-(10**38)).to_bytes(16, "big", signed=True)),
            ("a decimal of 200 bytes", b"\x7f" * 200),
        ):
            yield Bad(what, topic, "out_of_range", _wide(topic, number, **fields))
    yield Bad("a quantity of 10^24", USAGE, "out_of_range", changed(USAGE, quantity=10**36))
    yield Bad("the largest decimal", USAGE, "out_of_range", changed(USAGE, quantity=10**38 - 1))
    yield Bad(
        "a time after the year 9000",
        USAGE,
        "out_of_range",
        changed(USAGE, occurred_at=YEAR_9001, timestamp=YEAR_9001),
    )
    yield Bad("the largest amount", PAYMENTS, "out_of_range", changed(PAYMENTS, amount_minor=2**63 - 1))
    yield Bad("the largest decimal", ADJUSTMENTS, "out_of_range", changed(ADJUSTMENTS, amount=10**38 - 1))
    for topic in (PAYMENTS, ADJUSTMENTS):
        for when in (-1, ABSURD, 2**63 - 1, -(2**63)):
            yield Bad(f"a time of {when}", topic, "out_of_range", changed(topic, occurred_at=when))
    for when in (-1, ABSURD, 2**63 - 1, -(2**63)):
        yield Bad(f"a time of {when}", TICKS, "out_of_range", changed(TICKS, time=when))


def usage_that_cannot_be_charged() -> Iterator[Bad]:
    """What the rules refuse of usage."""
    for what, quantity in (("the least negative", -1), ("the most negative", -(10**38) + 1)):
        yield Bad(f"{what} quantity", USAGE, "negative_quantity", changed(USAGE, quantity=quantity))
    for what, when in (
        ("a millisecond too far ahead", NOON + 5 * MINUTE_MS + 1),
        ("absurdly far ahead", 2**63 - 1),
    ):
        yield Bad(what, USAGE, "from_the_future", changed(USAGE, occurred_at=when))
    for what, when in (
        ("a millisecond too old", NOON - 35 * DAY_MS - 1),
        ("from before 1970", -1),
        ("absurdly old", -(2**63)),
    ):
        yield Bad(what, USAGE, "too_old", changed(USAGE, occurred_at=when))
    for name, value in (("quantity", 2 * 10**12), ("meter", "other"), ("occurred_at", NOON - 1)):
        yield Bad(f"an id with another {name}", USAGE, "id_conflict", after(USAGE, {}, {name: value}))
    yield Bad("a meter without a price", USAGE, "no_price", changed(USAGE, meter="nothing"))
    yield Bad(
        "from before its first price",
        USAGE,
        "no_price",
        lambda at: [at.sent(USAGE, occurred_at=NOON - 20 * DAY_MS, meter="recent")],
    )


def payments_that_cannot_be_booked() -> Iterator[Bad]:
    """What the rules refuse of payments."""
    for kind in ("succeeded", "refunded", "disputed", "dispute_won", "returned"):
        for amount in (0, -1, -(2**63)):
            change = {"kind": kind, "amount_minor": amount, "reference": "r"}
            yield Bad(f"{kind} by {amount}", PAYMENTS, "bad_payment", changed(PAYMENTS, **change))
    for kind in ("refunded", "disputed", "dispute_won", "returned"):
        yield Bad(f"{kind} without a reference", PAYMENTS, "bad_payment", changed(PAYMENTS, kind=kind))
    for currency in ("EUR", "JPY", "usd", ""):
        yield Bad(
            f"the currency {currency!r}", PAYMENTS, "currency_mismatch", changed(PAYMENTS, currency=currency)
        )
    for kind in ("refunded", "disputed", "returned"):
        too_much = {"kind": kind, "amount_minor": 1_001, "reference": "r"}
        yield Bad(f"more {kind} than paid", PAYMENTS, "refund_exceeds_payment", after(PAYMENTS, {}, too_much))


def adjustments_that_cannot_be_booked() -> Iterator[Bad]:
    """What the rules refuse of adjustments."""
    for kind in ("credit", "debit"):
        for amount in (None, 0, -1):
            yield Bad(
                f"{kind} by {amount}",
                ADJUSTMENTS,
                "bad_adjustment",
                changed(ADJUSTMENTS, kind=kind, amount=amount),
            )
    yield Bad("no id", ADJUSTMENTS, "bad_adjustment", changed(ADJUSTMENTS, adjustment_id=""))
    yield Bad("another currency", ADJUSTMENTS, "currency_mismatch", changed(ADJUSTMENTS, currency="EUR"))
    yield Bad(
        "an id with another amount", ADJUSTMENTS, "adjustment_conflict", after(ADJUSTMENTS, {}, {"amount": 1})
    )


def _top_up(**changes: object) -> Record:
    usual: Record = {
        "enabled": True,
        "threshold_minor": 1_000,
        "amount_minor": 2_500,
        "target_minor": None,
        "monthly_limit_minor": None,
        "payment_method_ref": "card",
        "consent": None,
        "resumes": 0,
    }
    return {"automatic_top_up": usual | changes}


def settings_that_cannot_be_applied() -> Iterator[Bad]:
    """What the rules refuse of settings."""
    table: tuple[tuple[str, Record], ...] = (
        ("revision 0", {"revision": 0}),
        ("an unknown currency", {"currency": "XXQ"}),
        ("a currency that nobody can pay in", {"currency": "XAU"}),
        ("an unknown zone", {"zone": "Mars/Olympus"}),
        ("no zone", {"zone": ""}),
        ("a path as zone", {"zone": "../../etc/passwd"}),
        ("an absurd time", {"changed_at": ABSURD}),
        ("a time before 1970", {"changed_at": -1}),
        ("two tax rates from one moment", {"tax_rates": [{"valid_from": 0, "rate": 0}] * 2}),
        ("a tax rate above 1", {"tax_rates": [{"valid_from": 0, "rate": 10**12 + 1}]}),
        ("a negative tax rate", {"tax_rates": [{"valid_from": 0, "rate": -1}]}),
        ("a negative overdraft", {"overdraft_minor": -1}),
        ("an absurd overdraft", {"overdraft_minor": 2**63 - 1}),
        ("a negative warning level", {"warning_level_minor": -1}),
        ("top-up below a negative threshold", _top_up(threshold_minor=-1)),
        ("top-up by nothing", _top_up(amount_minor=0)),
        ("top-up by amount and target", _top_up(target_minor=5_000)),
        ("top-up by neither amount nor target", _top_up(amount_minor=None)),
        ("top-up to a target below the threshold", _top_up(amount_minor=None, target_minor=999)),
        ("top-up up to a negative limit", _top_up(monthly_limit_minor=-1)),
        ("top-up without a method", _top_up(payment_method_ref="")),
    )
    for what, changes in table:
        yield Bad(what, SETTINGS, "bad_settings", changed(SETTINGS, **changes))
    yield Bad(
        "another currency after a booking", SETTINGS, "currency_mismatch", changed(SETTINGS, currency="EUR")
    )


def prices_that_cannot_be_used() -> Iterator[Bad]:
    """What the rules refuse of prices."""
    first, last = {"up_to": 10**12, "unit_price": 1}, {"up_to": None, "unit_price": 1}
    table: tuple[tuple[str, Record], ...] = (
        ("version 0", {"version": 0}),
        ("no meter", {"meter": ""}),
        ("an unknown currency", {"currency": "XXQ"}),
        ("an absurd time", {"valid_from": ABSURD}),
        ("no tier", {"tiers": []}),
        ("an end of the last tier", {"model": "graduated", "tiers": [{"up_to": 1, "unit_price": 1}]}),
        ("tiers that do not rise", {"model": "volume", "tiers": [first, first, last]}),
        ("two tiers per unit", {"tiers": [{"up_to": 1, "unit_price": 1}, last]}),
        ("a negative unit price", {"tiers": [{"up_to": None, "unit_price": -1}]}),
        ("a unit price of 10^14", {"tiers": [{"up_to": None, "unit_price": 10**26}]}),
        ("a package without size", {"model": "package"}),
        ("a package of nothing", {"model": "package", "package_size": 0}),
        ("a package size per unit", {"package_size": 10**12}),
        ("a negative allowance", {"free_allowance": -1}),
    )
    for what, changes in table:
        yield Bad(what, PRICES, "bad_price", changed(PRICES, **changes))
    short = {"late": False, "valid_from": NOON + 10 * MINUTE_MS - 1}
    yield Bad("a notice of less than 10 minutes", PRICES, "late_price", changed(PRICES, **short))
    yield Bad("a version with another price", PRICES, "price_conflict", after(PRICES, {}, {"tiers": [last]}))


CASES: tuple[Bad, ...] = (
    *bytes_that_are_no_record(),
    *keys_and_values_that_are_not_right(),
    *numbers_out_of_range(),
    *usage_that_cannot_be_charged(),
    *payments_that_cannot_be_booked(),
    *adjustments_that_cannot_be_booked(),
    *settings_that_cannot_be_applied(),
    *prices_that_cannot_be_used(),
)

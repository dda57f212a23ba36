"""Records of one lane, good ones and every way to spoil one. A function of its seed."""

import struct
from collections.abc import Callable, Iterator
from random import Random

from schemas.wire import Record, fixed
from streams.topics import INPUTS
from verify.partitions import partition_of
from verify.topics import Record as Line

LANES = 4
LANE = 0
ONE = 10**12
START = 1_727_739_000_000  # 2024-09-30T23:30Z: a month closes on the way
STEP_MS = 300
ZONES = ("UTC", "America/New_York", "Asia/Kolkata")
METERS = ("calls", "gigabytes", "seats")

SCHEMAS = fixed()
TOPICS = {topic.name: topic for topic in INPUTS}
Sent = tuple[str, Line]
"""Topic, without prefix, and the record at its offset."""


def _accounts(ours: bool, count: int) -> list[str]:
    found, number = [], 0
    while len(found) < count:
        name = f"account-{number}"
        if (partition_of(name.encode(), LANES) == LANE) is ours:
            found.append(name)
        number += 1
    return found


OURS, FOREIGN = _accounts(True, 60), _accounts(False, 20)
KNOWN = OURS[:50]
"""Accounts with settings; the others are opened by their first usage or payment."""
WEIGHTS = {
    "usage-events": 76,
    "payment-events": 8,
    "adjustments": 5,
    "account-settings": 4,
    "account-profiles": 3,
    "prices": 2,
    "clock-ticks": 2,
}


class Maker:
    """Makes a round's records, one after the other."""

    def __init__(self, seed: str, *, spoiled: float = 0.85) -> None:
        self._random = Random(seed)
        self._spoiled = spoiled
        self._offsets = dict.fromkeys(TOPICS, 0)
        self._time = START
        self._number = 0
        self._sent: dict[str, list[tuple[bytes | None, bytes | None]]] = {name: [] for name in TOPICS}

    def opening(self) -> Iterator[Sent]:
        """Yield prices and settings, unspoiled, and a first tick."""
        for meter in METERS[:2]:
            yield self._place("prices", *self._price(meter, 1, late=True))
        for number, account in enumerate(KNOWN):
            yield self._place("account-settings", *self._settings(account, 1, ZONES[number % 3]))
        yield self._place("clock-ticks", *self._tick())

    def records(self, count: int) -> Iterator[Sent]:
        """Yield so many records, most of them spoiled, in bursts of one topic."""
        random = self._random
        while count > 0:
            topic = random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            burst = 1 if topic == "clock-ticks" else min(count, random.randint(1, 60))
            for _ in range(burst):
                key, value = self._good(topic)
                if random.random() < self._spoiled:
                    key, value = self._spoil(topic, key, value)
                yield self._place(topic, key, value)
            count -= burst

    def _place(self, topic: str, key: bytes | None, value: bytes | None) -> Sent:
        offset = self._offsets[topic]
        self._offsets[topic] += 1
        self._time += STEP_MS
        sent = self._sent[topic]
        if len(sent) < 5_000:
            sent.append((key, value))
        return topic, Line(offset, self._time, key, value)

    # -- good ones

    def _good(self, topic: str) -> tuple[bytes, bytes]:
        random = self._random
        account = random.choice(OURS)
        self._number += 1
        match topic:
            case "usage-events":
                return self._usage(account)
            case "payment-events":
                kind = random.choice(["succeeded"] * 6 + ["failed", "refunded", "disputed", "returned"])
                return self._encoded(account, "payment-event", {
                    "payment_id": f"{account}-{random.randrange(400)}", "kind": kind,
                    "amount_minor": random.choice([100, 2_500]), "currency": "USD", "occurred_at": self._time,
                    "reference": None if kind in {"succeeded", "failed"} else f"r-{random.randrange(3)}",
                    "command_id": None, "payment_method_ref": None, "decline_code": None,
                    "hard_decline": False, "action_url": None,
                })  # fmt: skip
            case "adjustments":
                return self._encoded(account, "adjustment", {
                    "adjustment_id": f"a-{random.randrange(600)}", "kind": random.choice(["credit", "debit"]),
                    "amount": ONE, "currency": "USD", "reason": "why", "author": "fuzz",
                    "occurred_at": self._time, "usage": None,
                })  # fmt: skip
            case "account-settings":
                known = random.choice(KNOWN)
                return self._settings(known, random.randint(1, 5), random.choice(ZONES))
            case "account-profiles":
                return self._encoded(account, "account-profile", {
                    "name": f"N {self._number}", "address": ["1 Way"], "country": "US", "tax_id": None,
                    "email": "a@b.c", "language": "en",
                })  # fmt: skip
            case "prices":
                return self._price(random.choice(METERS), random.randint(1, 4), late=random.random() < 0.7)
        return self._tick()

    def _usage(self, account: str, **other: object) -> tuple[bytes, bytes]:
        random = self._random
        record = {
            "source": "fuzz", "event_id": str(random.randrange(20_000)), "meter": random.choice(METERS),
            "quantity": random.randrange(10) * ONE, "occurred_at": self._time - random.randrange(10**6),
        }  # fmt: skip
        return self._encoded(account, "usage-event", record | other)

    def _settings(self, account: str, revision: int, zone: str) -> tuple[bytes, bytes]:
        return self._encoded(account, "account-settings", {
            "revision": revision, "currency": "USD", "zone": zone,
            "tax_rates": [{"valid_from": 0, "rate": 19 * ONE // 100}], "automatic_top_up": None,
            "warning_level_minor": 500, "overdraft_minor": 0, "closed": False, "changed_at": START,
            "changed_by": "fuzz",
        })  # fmt: skip

    def _price(self, meter: str, version: int, *, late: bool) -> tuple[bytes, bytes]:
        record = {
            "meter": meter, "currency": "USD", "version": version, "unit": "u",
            "valid_from": START - 10**9,
            "late": late, "model": "graduated",
            "package_size": None, "free_allowance": None,
            "tiers": [
                {"up_to": 100 * ONE, "unit_price": ONE // 100}, {"up_to": None, "unit_price": ONE // 200}
            ],
        }  # fmt: skip
        return f"{meter}/USD/{version}".encode(), SCHEMAS.codec("price").encode(record)

    def _tick(self) -> tuple[bytes, bytes]:
        return b"fuzz", SCHEMAS.codec("tick").encode({"time": self._time, "ticker": "fuzz"})

    def _encoded(self, account: str, name: str, record: Record) -> tuple[bytes, bytes]:
        return account.encode(), SCHEMAS.codec(name).encode({"account_id": account, **record})

    # -- spoiled ones

    def _spoil(self, topic: str, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        random = self._random
        way = random.choices([way for way, _ in WAYS], [weight for _, weight in WAYS])[0]
        spoiled = way(self, topic, key, value)
        if random.random() < 0.05:  # two flaws at once: which comes first is told
            other = random.choice(WAYS)[0]
            if spoiled[0] is not None and spoiled[1]:
                spoiled = other(self, topic, *spoiled)
        return spoiled

    def flips(self, topic: str, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        spoiled = bytearray(value)
        for _ in range(self._random.choice([1, 1, 1, 2, 5])):
            at = self._random.randrange(len(spoiled))
            spoiled[at] ^= 1 << self._random.randrange(8)
        return key, bytes(spoiled)

    def flips_key(self, topic: str, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        spoiled = bytearray(key or b"k")
        spoiled[self._random.randrange(len(spoiled))] ^= 1 << self._random.randrange(8)
        return bytes(spoiled), value

    def cuts(self, topic: str, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        return key, value[: self._random.randrange(len(value))]

    def inserts(self, topic: str, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        at = self._random.randrange(len(value) + 1)
        return key, value[:at] + self._random.randbytes(self._random.choice([1, 1, 2, 8])) + value[at:]

    def appends(self, topic: str, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        return key, value + self._random.choice([b"\x00", b"\x02", self._random.randbytes(3)])

    def leaves_out(self, topic: str, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        at = self._random.randrange(len(value))
        return key, value[:at] + value[at + self._random.choice([1, 1, 2, 8]) :]

    def overwrites(self, topic: str, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        at = self._random.randrange(min(len(value), 5), len(value) + 1)
        pieces = (
            b"\xff" * 9 + b"\x01",
            b"\xff" * 10,
            b"\x01",
            b"\x80\x00",
            b"\x20" + b"\x7f" * 16,
            b"\x80" * 9 + b"\x02",
        )
        piece = self._random.choice(pieces)
        return key, value[:at] + piece + value[at + len(piece) :]

    def swaps_ids(self, topic: str, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        schema_id = self._random.choice([*range(25), 101, 105, 10**6, 2**32 - 1])
        return key, value[:1] + struct.pack(">I", schema_id) + value[5:]

    def is_of_another_topic(self, topic: str, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        return self._good(self._random.choice(list(TOPICS)))

    def has_another_key(self, topic: str, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        return self._random.choice([*OURS, *FOREIGN]).encode(), value

    def has_no_key(self, topic: str, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        return self._random.choice([None, None, b"", b"\xff\xfe", key + b"\xc3"]), value

    def has_no_value(self, topic: str, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        return self._random.choice([key, key, None, b"\xff"]), self._random.choice([None, None, b"", b"\x00"])

    def is_elsewhere(self, topic: str, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        if topic != "usage-events":
            return self._random.choice(FOREIGN).encode(), value
        return self._usage(self._random.choice(FOREIGN))

    def is_noise(self, topic: str, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        return key, value[: self._random.choice([0, 5, 5])] + self._random.randbytes(
            self._random.randrange(40)
        )

    def comes_again(self, topic: str, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        return self._random.choice(self._sent[topic] or [(key, value)])

    def breaks_a_rule(self, topic: str, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        if topic != "usage-events":
            return self.flips(topic, key, value)
        other: dict[str, object] = self._random.choice([
            {"quantity": -1}, {"quantity": 10**36}, {"quantity": 10**38 - 1},
            {"occurred_at": self._time + 300_000 + self._random.randint(0, 2 * STEP_MS)},
            {"occurred_at": self._time - 35 * 86_400_000 - self._random.randrange(10**6)},
            {"occurred_at": -1}, {"occurred_at": 2**62}, {"meter": "unpriced"}, {"event_id": "same"},
        ])  # fmt: skip
        return self._usage(key.decode(errors="replace"), **other)


Way = Callable[[Maker, str, bytes, bytes], tuple[bytes | None, bytes | None]]
WAYS: list[tuple[Way, int]] = [
    (Maker.flips, 30), (Maker.flips_key, 4), (Maker.cuts, 8), (Maker.inserts, 8), (Maker.appends, 4),
    (Maker.leaves_out, 6), (Maker.overwrites, 8), (Maker.swaps_ids, 5), (Maker.is_of_another_topic, 3),
    (Maker.has_another_key, 4), (Maker.has_no_key, 3), (Maker.has_no_value, 3), (Maker.is_elsewhere, 3),
    (Maker.is_noise, 4), (Maker.comes_again, 8), (Maker.breaks_a_rule, 8),
]  # fmt: skip

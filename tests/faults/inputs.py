"""What the storms send: months of usage, payments and bad records as stages, each ended by a tick.

Pure: the same arguments are the same bytes in the same order. What a record becomes must not hang on how
far the lanes have come when it arrives, or a disturbed run could rightly differ from an undisturbed one:

- Settings and prices are sent in a stage of their own, and applied before the next stage is sent.
- What occurred before the end of a month is sent before the tick that closes it. It is not waited for:
  the tick is a barrier, so a lane applies what stood before it first.
- From that tick until it is acted on everywhere (`Stage.settled` of a later stage) only what occurred in
  the new month is sent. After it comes late usage of the closed month again.
- What waits for its account or price is sent only where every earlier tick was acted on: which tick ends
  the waiting depends on which was read after it.
- No account has automatic top-up: when it fires may depend on the interleaving.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Any

from producers import market, records
from producers.emissions import Emission, Encoder
from producers.market import DAY_MS, METERS, PLACES, Place
from producers.records import TaxRate
from producers.values import moment
from schemas.wire import HEADER, MAGIC, WireError, fixed
from streams.domain.money import ONE
from streams.topics import INPUTS, PROFILES

RECORDS = {topic.name: topic.records for topic in INPUTS}
STEPS = {meter.name: int(Decimal(meter.step) * ONE) for meter in METERS}
PER_MILLE_AGAIN = 25
"""Sent again within the stage; and as many once more later."""
PER_MILLE_POISON = 10
"""Records of any topic whose bytes are sent a second time, mutated until nobody can read them."""
PER_MILLE_LATE = 15
LATE_DAYS = 15
REMEMBERED_DAYS = 25
"""Less than max_age: at that, whether an event is a duplicate or too old depends on the last tick."""


def at(year: int, month: int, day: int, hour: int = 0) -> int:
    """Return a moment in UTC as milliseconds."""
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp() * 1000)


START = at(2024, 9, 1, 6)
"""September in every zone of the market, so that only the CLOSES close months."""
CLOSES = (at(2024, 10, 1, 6), at(2024, 11, 1, 6))
"""A month has ended in New York, grace included: closed in every zone of the market."""
END = at(2024, 11, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What is sent before a tick."""

    number: int
    records: Sequence[Emission]
    tick: int
    usage: int
    """Usage records among them, bad ones not counted."""
    settled: bool
    """True where all that was sent before must be applied before this is sent."""
    closes: bool
    """True where the tick closes a month."""


class Load:
    """`events` usage events of `accounts` accounts over two months, in `stages` stages after the opening."""

    def __init__(self, *, seed: int, accounts: int, events: int, stages: int) -> None:
        self._random = Random(seed)
        self._apart = Random(seed + 1)  # so that poison of other topics leaves all usage as it is
        self._encoder = Encoder(fixed())
        self._accounts = accounts
        self._per_stage = events // stages
        self._ticks = _ticks(stages)
        self._sent: list[records.Record] = []
        self._unknown_may_come = False
        self.events = self.again = self.late = self.bad = self.payments = 0
        """How much was made of what; known once all stages were."""
        self.poison: Counter[bytes] = Counter()
        """Values that must come out as dead letters and as nothing else; of profiles none is kept."""

    def stages(self) -> Iterator[Stage]:
        """Yield the stages, the opening first; may be asked for once."""
        yield self._stage(0, list(self._poisoned(self._opening())), START, usage=0)
        settled = True
        for number, (begin, tick) in enumerate(pairwise(self._ticks), 1):
            after_close = begin in CLOSES
            if settled:
                self._unknown_may_come = number > 1
            made = self._usage(begin, tick, late=begin > START and not after_close)
            usage = len(made)
            if number == 1:
                made += [
                    self._encoder.usage(self._record(account, begin))
                    for account in filter(_is_unknown, range(self._accounts))
                ]
            if settled and number > 1:
                made.append(self._encoder.usage(self._record(0, begin) | {"meter": "teleports"}))
            made += self._bad(number, begin)
            self._random.shuffle(made)
            money = list(self._poisoned(self._money(number, begin, tick)))
            yield self._stage(number, money + made, tick, usage, settled=settled)
            settled = after_close

    def _stage(
        self, number: int, made: Sequence[Emission], tick: int, usage: int, *, settled: bool = False
    ) -> Stage:
        return Stage(
            number=number, records=made, tick=tick, usage=usage, settled=settled, closes=tick in CLOSES
        )

    def _opening(self) -> list[Emission]:
        # All versions at once: their valid_from decides, and no usage can overtake a later one.
        made = [self._encoder.price(price) for _, price in market.prices(START)]
        for number in range(self._accounts):
            if _is_unknown(number):
                continue
            made.append(self._encoder.settings(self._settings(number, 1)))
            if number % 3 == 0:
                made.append(self._encoder.profile(_profile(number)))
        return made

    def _settings(self, number: int, revision: int, zone: str | None = None) -> records.Record:
        place = _place(number)
        rates = [*place.tax_rates(START)]
        if place.currency == "EUR":
            rates.append(TaxRate(rate="0.21", valid_from=moment(at(2024, 10, 12))))
        return records.settings(
            account_id=_name(number),
            revision=revision,
            currency=place.currency,
            zone=zone or place.zone,
            tax_rates=rates,
            changed_at=moment(START),
            changed_by="storm",
        )

    def _usage(self, begin: int, tick: int, *, late: bool) -> list[Emission]:
        draw, made = self._random.randrange, []
        for _ in range(self._per_stage):
            occurred_at = begin + draw(tick - begin)
            if late and draw(1000) < PER_MILLE_LATE:
                occurred_at = max(START, occurred_at - draw(LATE_DAYS * DAY_MS))
                self.late += 1
            # A few accounts have most of the usage, as in life.
            number = draw(self._accounts) if draw(4) else draw(1 + self._accounts // 50)
            if _is_unknown(number) and not self._unknown_may_come:
                number -= 1
            record = self._record(number, occurred_at)
            made.append(self._encoder.usage(record))
            if draw(100) == 0:
                self._sent.append(record)
            if draw(1000) < PER_MILLE_AGAIN:
                self.again += 1
                made.append(made[-1])
            elif self._sent and draw(1000) < PER_MILLE_AGAIN:
                self.again += 1
                made.append(self._encoder.usage(self._remembered(begin)))
            if draw(1000) < PER_MILLE_POISON:
                made.append(self._poison(self._encoder.usage(record), self._random))
        return made

    def _poisoned(self, made: Sequence[Emission]) -> Iterator[Emission]:
        """Yield what was made, some of it a second time as poison."""
        for right in made:
            yield right
            if self._apart.randrange(1000) < PER_MILLE_POISON:
                yield self._poison(right, self._apart)

    def _poison(self, right: Emission, random: Random) -> Emission:
        """Return a record with some bytes changed, lost or added, so that its topic has no such record."""
        draw = random.randrange
        value = bytearray(right.value or b"")
        while True:
            place = draw(len(value))
            match draw(3):
                case 0:
                    value[place] ^= 1 + draw(255)
                case 1:
                    del value[place:]
                case _:
                    value.insert(place, draw(256))
            try:
                fixed().decode(bytes(value), *RECORDS[right.topic])
            except WireError:
                if right.topic != PROFILES.name:  # their dead letters tell nothing of the customer
                    self.poison[bytes(value)] += 1
                return replace(right, value=bytes(value))

    def _remembered(self, begin: int) -> records.Record:
        """Return an event sent before whose id no lane has forgotten yet, however far it has come."""
        known = [record for record in self._sent if record["occurred_at"] > begin - REMEMBERED_DAYS * DAY_MS]
        return known[self._random.randrange(len(known))]

    def _record(self, number: int, occurred_at: int) -> records.Record:
        draw = self._random.randrange
        meter = METERS[draw(len(METERS))]
        self.events += 1
        return {
            "account_id": _name(number),
            "source": ("api", "batch", "edge")[number % 3],
            "event_id": f"e-{self.events}",
            "meter": meter.name,
            "quantity": STEPS[meter.name] * (1 + draw(meter.most)),
            "occurred_at": occurred_at,
        }

    def _money(self, number: int, begin: int, tick: int) -> list[Emission]:
        """Return manual payments, some twice or refunded, a few credits and debits, moves to a new zone."""
        draw, made = self._random.randrange, []
        for n in range(1 + self._accounts // 40):
            payer = draw(self._accounts)
            if _is_unknown(payer):
                continue
            place, paid_at = _place(payer), moment(begin + draw(tick - begin))
            payment: dict[str, Any] = {
                "account_id": _name(payer),
                "payment_id": f"pay-{number}-{n}",
                "currency": place.currency,
                "occurred_at": paid_at,
            }
            amount = (5 + draw(40)) * place.minor
            made.append(
                self._encoder.payment(records.payment(**payment, kind="succeeded", amount_minor=amount))
            )
            self.payments += 1
            if n % 10 == 0:
                made.append(made[-1])
            if n % 15 == 0:
                refund = records.payment(**payment, kind="refunded", amount_minor=amount // 3, reference="re")
                made.append(self._encoder.payment(refund))
            if n % 20 == 0:
                adjustment = records.adjustment(
                    account_id=_name(payer),
                    adjustment_id=f"adj-{number}-{n}",
                    kind="credit" if draw(2) else "debit",
                    amount=Decimal(1 + draw(500)) / 100,
                    currency=place.currency,
                    reason="storm",
                    author="storm",
                    occurred_at=paid_at,
                )
                made.append(self._encoder.adjustment(adjustment))
        if number == 3:  # from October on
            made += [
                self._encoder.settings(self._settings(mover, 2, zone="UTC"))
                for mover in range(0, self._accounts, 30)
                if not _is_unknown(mover)
            ]
        return made

    def _bad(self, number: int, begin: int) -> list[Emission]:
        """Return records that must become dead letters."""
        if number < 2 or begin in CLOSES:
            return []
        draw = self._random.randrange
        known = [n for n in (draw(self._accounts) for _ in range(9)) if not _is_unknown(n)]
        record = {
            "account_id": _name(known[0]),
            "source": "bad",
            "event_id": f"bad-{number}",
            "meter": METERS[0].name,
            "quantity": ONE,
            "occurred_at": begin,
        }
        codec, right = fixed().codec("usage-event"), self._encoder.usage(record)
        value = right.value or b""
        conflicting = self._remembered(begin)
        made = [
            replace(right, value=value[: draw(len(value))]),
            replace(right, value=HEADER.pack(MAGIC, 999_999) + value[HEADER.size :]),
            replace(right, value=codec.encode({**record, "quantity": -ONE})),
            self._encoder.usage({**conflicting, "quantity": conflicting["quantity"] + 1}),
            self._encoder.usage({**record, "event_id": f"old-{number}", "occurred_at": START - 60 * DAY_MS}),
        ]
        self.bad += len(made)
        return made


def _ticks(stages: int) -> list[int]:
    """Return where stages begin and end: evenly spread, but for the closes and the noons before them."""
    noons = [close - 18 * 3_600_000 for close in CLOSES]
    fixed_ticks = {START, END, *CLOSES, *noons}
    left = stages + 1 - len(fixed_ticks)
    spans = [(START, noons[0], left // 2), (CLOSES[0], noons[1], left - left // 2)]
    for begin, end, count in spans:
        fixed_ticks |= {begin + (end - begin) * n // (count + 1) for n in range(1, count + 1)}
    return sorted(fixed_ticks)


def _is_unknown(number: int) -> bool:
    """An account without settings: its first usage opens it."""
    return number % 40 == 7


def _place(number: int) -> Place:
    return PLACES[0] if _is_unknown(number) else PLACES[number % len(PLACES)]


def _name(number: int) -> str:
    return f"acct-{number:05d}"


def _profile(number: int) -> records.Record:
    place = _place(number)
    return records.profile(
        account_id=_name(number),
        name=f"Customer {number}",
        address=[f"{number} Storm Street", place.city],
        country=place.country,
        email=f"{_name(number)}@example.com",
    )

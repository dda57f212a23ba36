"""One simulated customer: what it uses, pays and changes, day by day, from its own random numbers.

Each customer draws from a generator seeded by (seed, number), so that one more customer changes nothing
about the others. Whole numbers only: the same seed is the same bytes on every machine.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from producers import records
from producers.emissions import Emission, Encoder
from producers.market import DAY_MS, HOUR_MS, METERS, PLACES
from producers.records import AutomaticTopUp, Consent, Record
from producers.values import moment

# Stripe's test payment methods: https://docs.stripe.com/testing
PAYS = "pm_card_visa"
DECLINES = "pm_card_visa_chargeDeclinedInsufficientFunds"
LOST = "pm_card_visa_chargeDeclinedLostCard"
NEEDS_ACTION = "pm_card_authenticationRequired"

KINDS = (
    ("steady", 40),
    ("bursty", 15),
    ("idle", 20),
    ("never_paying", 8),
    ("near_threshold", 12),
    ("unknown", 5),
)
"""How many in a hundred customers; `unknown` ones have no settings: their first usage opens the account."""
LAST_JOIN_DAY = 20
PER_MILLE_DUPLICATE = 10
PER_MILLE_LATE = 20
PER_MILLE_VERY_LATE = 3


@dataclass(frozen=True, slots=True)
class Arrival:
    """An emission and when it arrives. `kind` says what the lanes are to count it as."""

    at: int
    emission: Emission
    kind: str
    late: bool = False
    record: Record | None = None


class Customer:
    """Customer `number` of a simulation; `life` may be asked for once."""

    def __init__(self, seed: int, number: int, start: int, encoder: Encoder) -> None:
        self._random = Random(f"{seed}/customer/{number}")
        self._start = start
        self._encoder = encoder
        self._count = 0
        draw = self._random.randrange(100)
        for kind, share in KINDS:
            self.kind = kind
            draw -= share
            if draw < 0:
                break
        self.account_id = f"sim-{number:05d}"
        # Accounts that usage opens have the deployment's currency and zone: the first place's.
        self.place = PLACES[0] if self.kind == "unknown" else PLACES[self._random.randrange(len(PLACES))]
        self.join_day = self._random.randrange(LAST_JOIN_DAY) if self._one_in(4) else 0
        self._source = ("api", "batch", "edge")[self._random.randrange(3)]
        self._per_day = 3 + self._random.randrange(4)
        self._method = self._payment_method()
        self._revision = 0
        self._change_day = self.join_day + 5 + self._random.randrange(80) if self._one_in(5) else -1

    def life(self, days: int) -> Iterator[list[Arrival]]:
        """Yield the arrivals that each day brings about; late ones arrive on later days."""
        yield self._opening() if self.join_day == 0 else []
        for day in range(days):
            arrivals: list[Arrival] = []
            if day > 0 and day == self.join_day:
                arrivals += self._opening()
            if day > self.join_day or self.join_day == 0:
                arrivals += self._day(day)
            yield arrivals

    def _day(self, day: int) -> list[Arrival]:
        begin = self._start + day * DAY_MS
        arrivals = [arrival for _ in range(self._events_of_day()) for arrival in self._usage(begin)]
        if self.kind == "unknown":
            return arrivals
        if day == self._change_day:
            arrivals += self._change(begin)
        if self.kind != "never_paying" and (day == self.join_day + 1 or self._one_in(80)):
            arrivals += self._manual_payment(begin)
        if self._one_in(500):
            arrivals.append(self._adjustment(begin))
        return arrivals

    def _events_of_day(self) -> int:
        match self.kind:
            case "bursty":
                return 30 + self._random.randrange(20) if self._one_in(25) else self._random.randrange(2)
            case "idle":
                return 1 if self._one_in(10) else 0
            case "never_paying" | "unknown":
                return self._random.randrange(5)
            case _:
                return self._random.randrange(2 * self._per_day + 1)

    def _usage(self, begin: int) -> list[Arrival]:
        meter = METERS[self._random.randrange(len(METERS))]
        occurred_at = begin + self._random.randrange(DAY_MS)
        self._count += 1
        record = records.usage(
            account_id=self.account_id,
            source=self._source,
            event_id=f"{self.account_id}-{self._count}",
            meter=meter.name,
            quantity=Decimal(meter.step) * (1 + self._random.randrange(meter.most)),
            occurred_at=moment(occurred_at),
        )
        ce_type = "evergreen.simulated.usage" if self._source == "edge" else None
        emission = self._encoder.usage(record, ce_type=ce_type)
        delay = self._delay()
        first = Arrival(occurred_at + delay, emission, "usage", delay > DAY_MS, record)
        if self._random.randrange(1000) >= PER_MILLE_DUPLICATE:
            return [first]
        later = self._random.randrange(10 * DAY_MS) if self._one_in(2) else 0
        return [first, Arrival(first.at + later, emission, "duplicate", record=record)]

    def _delay(self) -> int:
        draw = self._random.randrange(1000)
        if draw < PER_MILLE_VERY_LATE:
            return 5 * DAY_MS + self._random.randrange(15 * DAY_MS)
        if draw < PER_MILLE_VERY_LATE + PER_MILLE_LATE:
            return HOUR_MS + self._random.randrange(71 * HOUR_MS)
        return 0

    def _opening(self) -> list[Arrival]:
        """Return settings and profile, before the first use of the account."""
        if self.kind == "unknown":
            return []
        at = self._start + self.join_day * DAY_MS if self.join_day else self._start - HOUR_MS
        profile = records.profile(
            account_id=self.account_id,
            name=f"Simulated {self.kind.replace('_', ' ')} {self.account_id[4:]}",
            address=[f"{1 + self._random.randrange(200)} Evergreen Way", self.place.city],
            country=self.place.country,
            email=f"{self.account_id}@customers.example",
            language=self.place.language,
        )
        return [Arrival(at, self._encoder.profile(profile), "profile"), self._settings(at)]

    def _settings(self, at: int, *, zone: str | None = None) -> Arrival:
        self._revision += 1
        minor = self.place.minor
        record = records.settings(
            account_id=self.account_id,
            revision=self._revision,
            currency=self.place.currency,
            zone=zone or self.place.zone,
            tax_rates=self.place.tax_rates(self._start),
            automatic_top_up=self._top_up(),
            warning_level_minor=(6 if self.kind == "near_threshold" else 3) * minor,
            overdraft_minor=5 * minor if self.kind == "bursty" else 0,
            changed_at=moment(at),
            changed_by=f"user-of-{self.account_id}",
        )
        return Arrival(at, self._encoder.settings(record), "settings")

    def _top_up(self) -> AutomaticTopUp | None:
        if not self._method:
            return None
        minor = self.place.minor
        near, bursty = self.kind == "near_threshold", self.kind == "bursty"
        return AutomaticTopUp(
            threshold_minor=(5 if near else 10) * minor,
            amount_minor=None if bursty else (2 if near else 25) * minor,
            target_minor=40 * minor if bursty else None,
            monthly_limit_minor=100 * minor if bursty else None,
            payment_method_ref=self._method,
            consent=Consent(
                given_by=f"user-of-{self.account_id}",
                given_at=moment(self._start + self.join_day * DAY_MS - 2 * HOUR_MS),
                text_version="2024-01",
            ),
        )

    def _payment_method(self) -> str:
        """Return the saved payment method, empty for customers without automatic top-up."""
        match self.kind:
            case "steady" | "bursty" | "near_threshold":
                return NEEDS_ACTION if self._one_in(40) else PAYS
            case "never_paying" if self._one_in(2):
                return LOST if self._one_in(3) else DECLINES
            case _:
                return ""

    def _change(self, begin: int) -> list[Arrival]:
        """Return a new revision of the settings, and at times the old one once more."""
        at = begin + self._random.randrange(DAY_MS)
        zone = "UTC" if self._one_in(4) else None
        old = self._settings(at, zone=zone)
        new = self._settings(at + 1, zone=zone)
        return [old, new, Arrival(at + 2 * DAY_MS, old.emission, "settings_duplicate")]

    def _manual_payment(self, begin: int) -> list[Arrival]:
        at = begin + self._random.randrange(DAY_MS)
        amount = (5 + self._random.randrange(6 if self.kind == "near_threshold" else 40)) * self.place.minor
        self._count += 1
        payment_id = f"pi_{self.account_id}_{self._count}"
        paid = self._payment(at, payment_id, "succeeded", amount)
        arrivals = [paid]
        if self._one_in(15):  # the webhook after the API's answer
            arrivals.append(
                Arrival(at + self._random.randrange(2 * DAY_MS), paid.emission, "payment_duplicate")
            )
        if self._one_in(25):
            arrivals.append(self._payment(at + 3 * DAY_MS, payment_id, "refunded", amount // 2, "re_1"))
        elif self._one_in(40):
            arrivals.append(self._payment(at + 5 * DAY_MS, payment_id, "disputed", amount, "dp_1"))
            if self._one_in(2):
                arrivals.append(self._payment(at + 20 * DAY_MS, payment_id, "dispute_won", amount, "dp_1"))
        return arrivals

    def _payment(
        self,
        at: int,
        payment_id: str,
        kind: records.PaymentKind,
        amount: int,
        reference: str | None = None,
    ) -> Arrival:
        record = records.payment(
            account_id=self.account_id,
            payment_id=payment_id,
            kind=kind,
            amount_minor=amount,
            currency=self.place.currency,
            occurred_at=moment(at),
            reference=reference,
        )
        return Arrival(at, self._encoder.payment(record), "payment")

    def _adjustment(self, begin: int) -> Arrival:
        at = begin + self._random.randrange(DAY_MS)
        self._count += 1
        record = records.adjustment(
            account_id=self.account_id,
            adjustment_id=f"adj-{self.account_id}-{self._count}",
            kind="debit" if self._one_in(3) else "credit",
            amount=Decimal(self.place.minor * (50 + self._random.randrange(200))) / 10_000,
            currency=self.place.currency,
            reason="simulated goodwill or correction",
            author="agent-7",
            occurred_at=moment(at),
        )
        return Arrival(at, self._encoder.adjustment(record), "adjustment")

    def _one_in(self, chances: int) -> bool:
        return self._random.randrange(chances) == 0

"""One customer of the whole simulation: everything that may happen to an account happens to some of them.

The kind is the customer's number in turn, so that a small simulation has all kinds too; the rest is drawn
from a generator seeded by (seed, number). Whole numbers only: the same seed is the same bytes everywhere.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from random import Random

from producers import records, world
from producers.customers import DECLINES, LOST, NEEDS_ACTION, PAYS, Arrival
from producers.emissions import Encoder
from producers.market import DAY_MS, HOUR_MS
from producers.records import AutomaticTopUp, Consent, Record, ReversedUsage, TaxRate
from producers.values import moment

KINDS = (
    "steady",
    "closes_with_money",
    "moves_east",
    "idle",
    "soft_declines",
    "refunded",
    "unknown",
    "target_and_limit",
    "moves_west",
    "disputed",
    "closes_owing",
    "hard_declines",
    "returned",
    "erased",
    "needs_action",
    "turns_off_and_on",
    "late_settings",
    "overdrawn",
    "near_threshold",
    "never_paying",
)
"""In turn by number. `unknown` never has settings, `late_settings` has them after its first usage."""
OPENED_BY_USAGE = frozenset({"unknown", "late_settings"})
BY_HAND = frozenset({"closes_with_money", "refunded", "disputed", "returned", "idle", "erased", "overdrawn"})
"""Kinds that pay by hand; the others leave it to the automatic top-up, if they pay."""
CUSTOMER_CLOSE_DAYS = 12
"""Usage goes on so long after an account was closed."""

IN_1000_DUPLICATE = 15
IN_1000_LATE = 25
IN_1000_VERY_LATE = 8
IN_1000_REVERSED = 25
IN_1000_LONG_FORGOTTEN = 2
"""Copies that come when their id is forgotten."""

Action = Callable[[int], list[Arrival]]


class Life:
    """Customer `number`; `days` may be asked for once."""

    def __init__(self, seed: int, number: int, start: int, length: int, encoder: Encoder) -> None:
        self._random = Random(f"{seed}/life/{number}")
        self._start = start
        self._length = length
        self._encoder = encoder
        self._count = 0
        self.kind = KINDS[number % len(KINDS)]
        self.account_id = f"every-{number:05d}"
        self.place = world.default_place() if self.kind in OPENED_BY_USAGE else world.place(number)
        self.join_day = self._random.randrange(20) if number % 7 == 6 else 0
        self._source = ("api", "batch", "edge")[number % 3]
        self._per_day = 1 + self._random.randrange(3)
        self._revision = 0
        self._zone = self.place.zone
        self._method = {
            "soft_declines": DECLINES,
            "hard_declines": LOST,
            "needs_action": NEEDS_ACTION,
            "never_paying": "",
            "idle": "",
            "closes_owing": DECLINES,
        }.get(self.kind, PAYS)
        self._enabled = True
        self._resumes = 0
        self._more_rates: list[TaxRate] = []
        self._closed = False
        self._last_usage_day = length
        self._planned: dict[int, list[Action]] = defaultdict(list)
        self._plan()

    def days(self) -> Iterator[list[Arrival]]:
        """Yield first what there is before the first day, then the arrivals that each day brings about."""
        opens = self.kind not in OPENED_BY_USAGE
        yield self._opening(self._start - HOUR_MS) if opens and self.join_day == 0 else []
        for day in range(self._length):
            begin = self._start + day * DAY_MS
            arrivals: list[Arrival] = []
            if opens and 0 < day == self.join_day:
                arrivals += self._opening(begin)
            if day > self.join_day or self.join_day == 0:
                for action in self._planned.pop(day, ()):
                    arrivals += action(begin)
                if day <= self._last_usage_day:
                    for _ in range(self._events_of_day(day)):
                        arrivals += self._usage(begin)
            yield arrivals

    def _plan(self) -> None:
        """Lay out what happens on which day."""
        draw, length = self._random.randrange, self._length
        middle = self.join_day + 12 + draw(max(1, length // 2))
        if self.kind in BY_HAND:
            day = self.join_day + 1
            while day < length:
                self._planned[day].append(self._payment_by_hand)
                day += 12 + draw(20)
        match self.kind:
            case "closes_with_money" | "closes_owing":
                self._last_usage_day = middle + CUSTOMER_CLOSE_DAYS
                self._planned[middle].append(self._close)
                self._planned[middle + 20].append(self._erase)
            case "erased":
                self._planned[middle].append(self._erase)
            case "moves_east" | "moves_west":
                for day in range(self.join_day + 3 + draw(9), length, 24 + draw(20)):
                    self._planned[day].append(self._move)
            case "hard_declines" | "soft_declines":
                for day in range(self.join_day + 20 + draw(9), length, 45):
                    self._planned[day].append(self._new_method)
            case "turns_off_and_on" | "near_threshold":
                for day in range(self.join_day + 8 + draw(9), length, 11 + draw(20)):
                    self._planned[day].append(self._turn)
            case "late_settings":
                self._planned[self.join_day + 5 + draw(12)].append(self._opening_settings)
            case "overdrawn":
                for day in range(self.join_day + 10, length, 50):
                    self._planned[day].append(self._other_tax)
            case _:
                pass
        if self.kind != "unknown":
            for day in range(self.join_day + 3 + draw(40), length, 25 + draw(40)):
                self._planned[day].append(self._correction)

    def _events_of_day(self, day: int) -> int:
        match self.kind:
            case "idle":  # whole months without an entry
                return 2 if day % 97 == 13 else 0
            case "steady":
                return 12 + self._random.randrange(8) if self._one_in(9) else self._random.randrange(2)
            case _:
                return self._random.randrange(self._per_day + 1)

    # usage

    def _usage(self, begin: int) -> list[Arrival]:
        meter = world.METERS[self._random.randrange(len(world.METERS))]
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
        arrivals = [first]
        draw = self._random.randrange(1000)
        if draw < IN_1000_DUPLICATE:
            later = self._random.randrange(10 * DAY_MS) if self._one_in(2) else 0
            arrivals.append(Arrival(first.at + later, emission, "duplicate", record=record))
        elif draw < IN_1000_DUPLICATE + IN_1000_LONG_FORGOTTEN:
            at = occurred_at + (60 + self._random.randrange(20)) * DAY_MS
            arrivals.append(Arrival(at, emission, "forgotten_duplicate", record=record))
        elif draw < IN_1000_DUPLICATE + IN_1000_LONG_FORGOTTEN + IN_1000_REVERSED:
            arrivals += self._reversals(first, record)
        return arrivals

    def _delay(self) -> int:
        draw = self._random.randrange(1000)
        if draw < IN_1000_VERY_LATE:
            return 5 * DAY_MS + self._random.randrange(15 * DAY_MS)
        if draw < IN_1000_VERY_LATE + IN_1000_LATE:
            return HOUR_MS + self._random.randrange(71 * HOUR_MS)
        return 0

    # corrections

    def _reversals(self, first: Arrival, usage: Record) -> list[Arrival]:
        """Return the reversal of a usage event, of one of many kinds."""
        occurred_at, draw = usage["occurred_at"], self._random.randrange
        soon = first.at + HOUR_MS + draw(3 * DAY_MS)
        match draw(10):
            case 0:
                return [self._reversal(first.at, usage, "reversal_early")]
            case 1 | 2 | 3:
                return [self._reversal(soon, usage)]
            case 4 | 5 | 6:
                at = max(soon, occurred_at + (24 + draw(9)) * DAY_MS)
                return [self._reversal(at, usage, "reversal_late")]
            case 7:
                again = self._reversal(soon + 2 * DAY_MS + draw(9 * DAY_MS), usage, "reversal_again")
                return [self._reversal(soon, usage), again]
            case 8:
                sent = self._reversal(soon, usage)
                copy = Arrival(soon + draw(3 * DAY_MS), sent.emission, "adjustment_duplicate")
                return [sent, copy]
            case _:
                other = {**usage, "quantity": usage["quantity"] + 1}
                never = {**usage, "event_id": f"{usage['event_id']}-never-sent"}
                return [
                    self._reversal(soon, other, "reversal_of_other"),
                    self._reversal(soon, never, "reversal_of_none"),
                    self._reversal(occurred_at + 70 * DAY_MS, usage, "reversal_too_late"),
                ]

    def _reversal(self, at: int, usage: Record, kind: str = "reversal") -> Arrival:
        self._count += 1
        record = records.adjustment(
            account_id=self.account_id,
            adjustment_id=f"rev-{self.account_id}-{self._count}",
            kind="reversal",
            currency=self.place.currency,
            reason="simulated reversal",
            author="agent-7",
            occurred_at=moment(at),
            usage=ReversedUsage(
                source=usage["source"],
                event_id=usage["event_id"],
                meter=usage["meter"],
                quantity=Decimal(usage["quantity"]).scaleb(-12),
                occurred_at=moment(usage["occurred_at"]),
            ),
        )
        return Arrival(at, self._encoder.adjustment(record), kind)

    def _correction(self, begin: int) -> list[Arrival]:
        """Return a credit or a debit, sometimes twice."""
        at = begin + self._random.randrange(DAY_MS)
        self._count += 1
        debit = self._one_in(3)
        record = records.adjustment(
            account_id=self.account_id,
            adjustment_id=f"adj-{self.account_id}-{self._count}",
            kind="debit" if debit else "credit",
            amount=Decimal(self.place.minor * (50 + self._random.randrange(200))) / 10_000,
            currency=self.place.currency,
            reason="simulated goodwill or correction",
            author="agent-7",
            occurred_at=moment(at),
        )
        arrivals = [Arrival(at, self._encoder.adjustment(record), "debit" if debit else "credit")]
        if self._one_in(4):
            later = at + self._random.randrange(4 * DAY_MS)
            arrivals.append(Arrival(later, arrivals[0].emission, "adjustment_duplicate"))
        if self._one_in(6):
            other = self._encoder.adjustment({**record, "amount": record["amount"] + 1})
            arrivals.append(Arrival(at + 3 * DAY_MS, other, "adjustment_conflict"))
        return arrivals

    # payments by hand

    def _payment_by_hand(self, begin: int) -> list[Arrival]:
        at = begin + self._random.randrange(DAY_MS)
        amount = (8 + self._random.randrange(20)) * self.place.minor
        if self.kind == "closes_with_money":
            amount += 7  # something is left in the end
        self._count += 1
        payment_id = f"pi_{self.account_id}_{self._count}"
        paid = self._payment(at, payment_id, "succeeded", amount)
        arrivals = [paid]
        if self._one_in(5):
            failed = self._payment(at - HOUR_MS, payment_id, "failed", amount)
            arrivals.insert(0, replace(failed, at=begin))
        if self._one_in(4):  # the webhook after the API's answer
            later = at + self._random.randrange(2 * DAY_MS)
            arrivals.append(Arrival(later, paid.emission, "payment_duplicate"))
        match self.kind:
            case "refunded":
                arrivals += self._refunds(paid, payment_id, amount)
            case "disputed" if self._one_in(2):
                arrivals.append(self._payment(at + 3 * DAY_MS, payment_id, "disputed", amount, "dp_1"))
                if self._one_in(2):
                    won = self._payment(at + 16 * DAY_MS, payment_id, "dispute_won", amount, "dp_1")
                    arrivals += [won, Arrival(won.at + DAY_MS, won.emission, "payment_duplicate")]
            case "returned" if self._one_in(3):
                arrivals.append(self._payment(at + 4 * DAY_MS, payment_id, "returned", amount, "rt_1"))
            case _:
                pass
        return arrivals

    def _refunds(self, paid: Arrival, payment_id: str, amount: int) -> list[Arrival]:
        """Return two refunds, one of them sometimes before the payment or again, and one too many."""
        part = amount // 3
        first_at = paid.at + 2 * DAY_MS
        if self._one_in(3):
            first_at = paid.at - DAY_MS - self._random.randrange(2 * DAY_MS)
        first_at = max(first_at, self._start + self.join_day * DAY_MS)
        first = self._payment(first_at, payment_id, "refunded", part, "re_1")
        second = self._payment(paid.at + 5 * DAY_MS, payment_id, "refunded", part, "re_2")
        arrivals = [first, second]
        if first.at < paid.at:
            arrivals[0] = replace(first, kind="refund_before_payment")
        if self._one_in(3):
            arrivals.append(Arrival(second.at + DAY_MS, second.emission, "payment_duplicate"))
        if self._one_in(3):
            too_much = self._payment(paid.at + 7 * DAY_MS, payment_id, "refunded", amount, "re_3")
            arrivals.append(replace(too_much, kind="refund_too_much"))
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
        return Arrival(at, self._encoder.payment(record), kind)

    # settings and profile

    def _opening(self, at: int) -> list[Arrival]:
        return [self._profile(at), self._settings(at)]

    def _opening_settings(self, begin: int) -> list[Arrival]:
        """Return the first settings of an account that usage opened; they move it to another zone."""
        self._zone = "Asia/Kathmandu"
        return self._opening(begin + self._random.randrange(DAY_MS))

    def _profile(self, at: int) -> Arrival:
        profile = records.profile(
            account_id=self.account_id,
            name=f"Simulated {self.kind.replace('_', ' ')} {self.account_id[6:]}",
            address=[f"{1 + self._random.randrange(200)} Evergreen Way", self.place.city],
            country=self.place.country,
            email=f"{self.account_id}@customers.example",
            language=self.place.language,
        )
        return Arrival(at, self._encoder.profile(profile), "profile")

    def _settings(self, at: int, kind: str = "settings") -> Arrival:
        self._revision += 1
        minor = self.place.minor
        record = records.settings(
            account_id=self.account_id,
            revision=self._revision,
            currency=self.place.currency,
            zone=self._zone,
            tax_rates=[*self.place.tax_rates(self._start), *self._more_rates],
            automatic_top_up=self._top_up(),
            warning_level_minor=2 * minor if self.kind != "idle" else None,
            overdraft_minor=5 * minor if self.kind == "overdrawn" else 0,
            closed=self._closed,
            changed_at=moment(at),
            changed_by=f"user-of-{self.account_id}",
        )
        return Arrival(at, self._encoder.settings(record), kind)

    def _top_up(self) -> AutomaticTopUp | None:
        if not self._method or self.kind in BY_HAND:
            return None
        minor = self.place.minor
        near, target = self.kind == "near_threshold", self.kind == "target_and_limit"
        return AutomaticTopUp(
            enabled=self._enabled,
            threshold_minor=(1 if near else 3) * minor,
            amount_minor=None if target else (minor // 2 if near else 4 * minor),
            target_minor=10 * minor if target else None,
            monthly_limit_minor={"target_and_limit": 14 * minor, "near_threshold": 6 * minor}.get(self.kind),
            payment_method_ref=self._method,
            consent=Consent(
                given_by=f"user-of-{self.account_id}",
                given_at=moment(self._start + self.join_day * DAY_MS - 2 * HOUR_MS),
                text_version="2023-12",
            ),
            resumes=self._resumes,
        )

    def _close(self, begin: int) -> list[Arrival]:
        self._closed = True
        return [self._settings(begin + self._random.randrange(DAY_MS), "close")]

    def _erase(self, begin: int) -> list[Arrival]:
        at = begin + self._random.randrange(DAY_MS)
        return [Arrival(at, self._encoder.erasure(self.account_id), "erasure")]

    def _move(self, begin: int) -> list[Arrival]:
        """Return settings of another zone; the revision of before comes once more."""
        step = 1 + self._random.randrange(7)
        at = world.ZONES.index(self._zone) + (step if self.kind == "moves_east" else -step)
        self._zone = world.ZONES[at % len(world.ZONES)]
        moved = self._settings(begin + self._random.randrange(DAY_MS), "zone_change")
        return [moved, Arrival(moved.at + 2 * DAY_MS, moved.emission, "settings_duplicate")]

    def _new_method(self, begin: int) -> list[Arrival]:
        self._method = f"{PAYS}_{self._revision}" if self._one_in(2) else self._method
        self._resumes += 1
        return [self._settings(begin + self._random.randrange(DAY_MS))]

    def _turn(self, begin: int) -> list[Arrival]:
        self._enabled = not self._enabled
        return [self._settings(begin + self._random.randrange(DAY_MS))]

    def _other_tax(self, begin: int) -> list[Arrival]:
        """Return settings with one more tax rate, valid from a few days later."""
        at = begin + self._random.randrange(DAY_MS)
        rate = Decimal(5 + self._random.randrange(20)).scaleb(-2)
        self._more_rates.append(TaxRate(rate=rate, valid_from=moment(begin + 4 * DAY_MS + 12_345)))
        return [self._settings(at, "tax_change")]

    def _one_in(self, chances: int) -> bool:
        return self._random.randrange(chances) == 0

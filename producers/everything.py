"""The whole simulation: everything that may happen to accounts over months, in steps of a few phases.

What the contract leaves to the order across topics (a late price, a reversal, an account's close against
the usage of the same hours) comes in a phase of its own, so that a seed is the same charges, tax and lines
for ever. Pure: the same arguments are the same bytes.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import count
from random import Random

from producers import world
from producers.customers import Arrival
from producers.disturbances import EVERY_KIND, Scene, disturbance
from producers.emissions import EVERY_PARTITION, Emission, Encoder
from producers.lives import OPENED_BY_USAGE, Life
from producers.market import DAY_MS, HOUR_MS
from producers.simulator import DEAD, SimulationError, Step, first_of_month
from producers.values import millis
from schemas.wire import Schemas, fixed
from streams import topics

START = datetime(2023, 12, 1, tzinfo=UTC)
"""14 months from here have a leap day, both changes to and from summer time, and rule changes of zones."""
QUIET_FROM_MONTHS = 8
"""A simulation this long has a gap of more than two months in which no worker runs and no tick comes."""
QUIET_DAYS = 71

FIRST, TOGETHER, THEN, LAST = range(4)
_PHASES = {
    "price": FIRST,
    "late_price": FIRST,
    "reversal_early": FIRST,
    "reversal": THEN,
    "reversal_late": THEN,
    "reversal_again": THEN,
    "reversal_of_other": THEN,
    "reversal_of_none": THEN,
    "reversal_too_late": THEN,
    "adjustment_duplicate": THEN,  # it may be a reversal's, and must not overtake it into the usage
    "adjustment_conflict": THEN,
    "close": LAST,
    "erasure": LAST,
}
"""The phase of each kind of arrival; all others come together."""
_BEFORE_THE_GAP_IS_SENT = frozenset({"settings", "zone_change", "tax_change", "profile"})
"""Settings that within so long a gap would be in force for usage of the same step."""


class Everything:
    """`accounts` customers over `months` calendar months (UTC) from `start`, for `lanes` partitions."""

    def __init__(
        self,
        *,
        seed: int = 7,
        accounts: int = 1000,
        months: int = 14,
        start: datetime = START,
        lanes: int = 4,
        max_age_days: int = 35,
        schemas: Schemas | None = None,
    ) -> None:
        """Raise SimulationError for what makes no simulation."""
        if accounts < 1 or months < 1 or lanes < 1:
            raise SimulationError("a simulation has accounts, months and lanes")
        if max_age_days != 35:
            raise SimulationError("what is forgotten here is planned for a max_age of 35 days")
        self.seed = seed
        self.accounts = accounts
        self.lanes = lanes
        self.start = millis("start", start)
        if self.start % DAY_MS or start.day != 1:
            raise SimulationError("a simulation starts at midnight UTC on the first of a month")
        self._schemas = schemas or fixed()
        self._max_age_days = max_age_days
        self._firsts = [millis("month", first_of_month(start, n)) for n in range(months + 1)]
        self._usage_end = self._firsts[-1]
        self.quiet: tuple[int, int] | None = None
        """First and last moment of the gap without workers and ticks, in long simulations."""
        if months >= QUIET_FROM_MONTHS:
            begins = self._firsts[5] + 9 * DAY_MS
            self.quiet = (begins, begins + QUIET_DAYS * DAY_MS)
        self.ticks = self._all_ticks()
        """All moments to tick at, in rising order; the first one is the start."""

    @property
    def end(self) -> int:
        """The last tick: after the last month has closed in every zone."""
        return self.ticks[-1]

    def steps(self) -> Iterator[Step]:
        """Yield the steps in order; each call yields the same."""
        encoder = Encoder(self._schemas)
        days = (self._usage_end - self.start) // DAY_MS
        customers = [Life(self.seed, n, self.start, days, encoder) for n in range(self.accounts)]
        lives = [customer.days() for customer in customers]
        order, waiting = count(), list[tuple[int, int, Arrival]]()

        def expect(arrival: Arrival) -> None:
            at = min(arrival.at, self.end - 1) if arrival.kind == "usage" else arrival.at
            if at < self.end:  # a copy that would come after the end does not come
                heappush(waiting, (at, next(order), arrival))

        for at, kind, price in world.prices(self.start, self._firsts[:-1], self.quiet):
            expect(Arrival(at, encoder.price(price), kind))
        for life in lives:
            for arrival in next(life):
                expect(arrival)
        next_day, before, original = self.start, self.start, None
        known = [c for c in customers if c.kind not in OPENED_BY_USAGE and c.join_day == 0]
        for number, tick in enumerate(self.ticks):
            while next_day < min(tick, self._usage_end):
                for life in lives:
                    for arrival in next(life):
                        expect(arrival)
                next_day += DAY_MS
            arrived = []
            while waiting and waiting[0][0] < tick:
                arrived.append(heappop(waiting)[2])
            bad = self._disturbance(number, before, known, original) if number else None
            yield self._step(number, arrived, bad, before, tick)
            original = next((a for a in arrived if a.kind == "usage"), original)
            before = tick

    def expected(self) -> Counter[str]:
        """Return how many records the whole simulation sends as what; takes a pass over it."""
        counts: Counter[str] = Counter()
        for step in self.steps():
            counts += step.counts
        return counts

    def closes(self, tick: int) -> bool:
        """Tell whether a month of some zone ends about a tick."""
        return any(abs(tick - first) <= 20 * HOUR_MS for first in self._firsts[1:])

    def _step(
        self,
        number: int,
        arrived: Sequence[Arrival],
        bad: tuple[str, Emission, int] | None,
        before: int,
        tick: int,
    ) -> Step:
        down = self.quiet is not None and (before, tick) == self.quiet
        counts = Counter(arrival.kind for arrival in arrived)
        counts["usage_late"] = sum(arrival.late for arrival in arrived)
        phases: list[list[Emission]] = [[], [], [], []]
        mixed = []
        for arrival in arrived:
            phase = _PHASES.get(arrival.kind, TOGETHER)
            if down and arrival.kind in _BEFORE_THE_GAP_IS_SENT:
                phase = FIRST
            if arrival.emission.topic == topics.USAGE.name:
                mixed.append(arrival.emission)
            else:
                phases[phase].append(arrival.emission)
        if bad is not None:
            reason, emission, dead_letters = bad
            mixed.append(emission)
            counts[DEAD + reason] += dead_letters
        Random(f"{self.seed}/order/{number}").shuffle(mixed)
        phases[TOGETHER] += mixed
        every = (emission for phase in phases for emission in phase)
        counts["records"] = sum(self.lanes if e.partition == EVERY_PARTITION else 1 for e in every)
        return Step(
            number=number, phases=phases, tick=tick, closes=self.closes(tick), counts=counts, down=down
        )

    def _disturbance(
        self, number: int, before: int, known: Sequence[Life], original: Arrival | None
    ) -> tuple[str, Emission, int] | None:
        """Return this step's bad record, about a customer whose account is open by now."""
        if not known:
            return None
        random = Random(f"{self.seed}/disturbance/{number}")
        scene = Scene(
            random=random,
            number=number,
            customer=known[random.randrange(len(known))],
            other=known[random.randrange(len(known))],
            original=original,
            before=before,
            lanes=self.lanes,
            max_age_days=self._max_age_days,
            schemas=self._schemas,
        )
        return disturbance(scene, EVERY_KIND)

    def _all_ticks(self) -> Sequence[int]:
        """Every two days at noon; around the end of a month every six hours and at the hour of grace.

        Months end from 10:00 UTC on the last day (Kiritimati) to 12:00 UTC on the first (Etc/GMT+12).
        """
        ticks = {self.start, *range(self.start + 12 * HOUR_MS, self._usage_end, 2 * DAY_MS)}
        for first in self._firsts[1:]:
            ticks |= {first + hours * HOUR_MS for hours in (-18, -12, -6, 0, 6, 12, 18)}
            ticks |= {
                first + HOUR_MS - 1,
                first + HOUR_MS,
            }  # the last moment of grace, and the first after it
        if self.quiet is not None:
            begins, ends = self.quiet
            ticks = {tick for tick in ticks if not begins < tick < ends} | {begins, ends}
        return sorted(ticks)

"""Customers over months, as steps: what arrives until a moment, and then that moment as a tick.

Owns the order of arrival and the count of what was sent as what, so that a run can be checked against
it. `Simulation` is pure: the same arguments are the same bytes; `run` sends it to a deployment whose
clock is manual.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from random import Random
from zoneinfo import ZoneInfo

from producers import market
from producers.customers import Arrival, Customer
from producers.disturbances import Scene, disturbance
from producers.emissions import EVERY_PARTITION, Emission, Encoder
from producers.emitter import Emitter
from producers.market import DAY_MS
from producers.values import millis, moment
from schemas.wire import Schemas, fixed
from streams import topics

DEFAULT_START = datetime(2024, 9, 1, tzinfo=UTC)
AFTER_CLOSE = timedelta(hours=1, minutes=30)
"""Local time of the extra tick on the first of a month: after the default grace of an hour."""
DEAD = "dead_letter:"
"""Before the reason, in the names of counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What arrives before `tick`, in the order to send it."""

    number: int
    phases: Sequence[Sequence[Emission]]
    """Each is sent once all before it is applied: what the order across topics must not decide."""
    tick: int
    closes: bool
    """True where a month of some zone ends with this tick."""
    counts: Counter[str]
    """How many records are expected to be what: `Expected` says the words."""
    down: bool = False
    """True where no worker runs while the longest phase is sent: months of downtime."""

    @property
    def records(self) -> Sequence[Emission]:
        """All that arrives, in the order to send it."""
        return [emission for phase in self.phases for emission in phase]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a whole simulation sends, by what the lanes must find it to be."""

    usage: int
    """Usage events with a new id: exactly these are charged, once each."""
    usage_late: int
    """Of these, how many arrive more than a day after they occurred."""
    usage_duplicates: int
    payments: int
    payment_duplicates: int
    adjustments: int
    settings: int
    settings_duplicates: int
    profiles: int
    prices: int
    """Price versions; each is one record in every lane."""
    dead_letters: dict[str, int]
    """By reason; a price that is refused is so in every lane."""
    records: int
    """Kafka records, copies to every partition counted, without ticks."""
    ticks: int


class SimulationError(ValueError):
    """Arguments that make no simulation; one line."""


class Simulation:
    """`accounts` customers over `months` calendar months (UTC) from `start`, for `lanes` partitions."""

    def __init__(
        self,
        *,
        seed: int = 7,
        accounts: int = 200,
        months: int = 3,
        start: datetime = DEFAULT_START,
        lanes: int = 4,
        ticks_per_day: int = 1,
        max_age_days: int = 35,
        schemas: Schemas | None = None,
    ) -> None:
        """Raise SimulationError for what makes no simulation."""
        if accounts < 1 or months < 1 or lanes < 1 or not 1 <= ticks_per_day <= 24:
            raise SimulationError("a simulation has accounts, months and lanes, and 1 to 24 ticks a day")
        if max_age_days < 35:
            raise SimulationError("events arrive up to 30 days late here: max_age must be at least 35 days")
        self.seed = seed
        self.accounts = accounts
        self.lanes = lanes
        self.start = millis("start", start)
        if self.start % DAY_MS or moment(self.start).day != 1:
            raise SimulationError("a simulation starts at midnight UTC on the first of a month")
        self._max_age_days = max_age_days
        self._schemas = schemas or fixed()
        self._firsts = [first_of_month(moment(self.start), n) for n in range(months + 1)]
        self._usage_end = millis("end", self._firsts[-1])
        self._closes = self._close_ticks()
        self.ticks = self._all_ticks(ticks_per_day)
        """All moments to tick at, in rising order; the first one is the start."""

    @property
    def end(self) -> int:
        """The last tick: after the last month has closed in every zone."""
        return self.ticks[-1]

    def steps(self) -> Iterator[Step]:
        """Yield the steps in order; each call yields the same."""
        encoder = Encoder(self._schemas)
        customers = [Customer(self.seed, number, self.start, encoder) for number in range(self.accounts)]
        days = (self._usage_end - self.start) // DAY_MS
        lives = [customer.life(days) for customer in customers]
        order = count()
        waiting: list[tuple[int, int, Arrival]] = []

        def expect(arrival: Arrival) -> None:
            at = min(arrival.at, self.end - 1) if arrival.kind == "usage" else arrival.at
            if at < self.end:  # a copy that would come after the end does not come
                heappush(waiting, (at, next(order), arrival))

        for at, price in market.prices(self.start):
            expect(Arrival(at, encoder.price(price), "price"))
        for life in lives:
            for arrival in next(life):
                expect(arrival)
        next_day, before, original = self.start, self.start, None
        for number, tick in enumerate(self.ticks):
            while next_day < min(tick, self._usage_end):
                for life in lives:
                    for arrival in next(life):
                        expect(arrival)
                next_day += DAY_MS
            arrived = []
            while waiting and waiting[0][0] < tick:
                arrived.append(heappop(waiting)[2])
            yield self._step(
                number=number,
                arrived=arrived,
                before=before,
                tick=tick,
                customers=customers,
                original=original,
            )
            original = next((a for a in arrived if a.kind == "usage"), original)
            before = tick

    def expected(self) -> Expected:
        """Return what the whole simulation sends; takes a pass over it."""
        counts: Counter[str] = Counter()
        for step in self.steps():
            counts += step.counts
        return Expected(
            usage=counts["usage"],
            usage_late=counts["usage_late"],
            usage_duplicates=counts["duplicate"],
            payments=counts["payment"],
            payment_duplicates=counts["payment_duplicate"],
            adjustments=counts["adjustment"],
            settings=counts["settings"],
            settings_duplicates=counts["settings_duplicate"],
            profiles=counts["profile"],
            prices=counts["price"],
            dead_letters={k.removeprefix(DEAD): n for k, n in sorted(counts.items()) if k.startswith(DEAD)},
            records=counts["records"],
            ticks=len(self.ticks),
        )

    def _step(
        self,
        *,
        number: int,
        arrived: Sequence[Arrival],
        before: int,
        tick: int,
        customers: Sequence[Customer],
        original: Arrival | None,
    ) -> Step:
        counts = Counter(arrival.kind for arrival in arrived)
        counts["usage_late"] = sum(arrival.late for arrival in arrived)
        in_order = [a.emission for a in arrived if a.emission.topic != topics.USAGE.name]
        mixed = [a.emission for a in arrived if a.emission.topic == topics.USAGE.name]
        if number > 0:
            self._disturb(
                number=number,
                before=before,
                customers=customers,
                original=original,
                emissions=mixed,
                counts=counts,
            )
        Random(f"{self.seed}/order/{number}").shuffle(mixed)
        records = in_order + mixed
        counts["records"] = sum(self.lanes if r.partition == EVERY_PARTITION else 1 for r in records)
        return Step(number=number, phases=[records], tick=tick, closes=tick in self._closes, counts=counts)

    def _disturb(
        self,
        *,
        number: int,
        before: int,
        customers: Sequence[Customer],
        original: Arrival | None,
        emissions: list[Emission],
        counts: Counter[str],
    ) -> None:
        """Add this step's bad record, about a customer whose account is open by now."""
        known = [c for c in customers if c.kind != "unknown" and c.join_day == 0]
        if not known:
            return
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
        found = disturbance(scene)
        if found:
            reason, emission, dead_letters = found
            emissions.append(emission)
            counts[DEAD + reason] += dead_letters

    def _close_ticks(self) -> set[int]:
        return {
            millis("tick", first.replace(tzinfo=ZoneInfo(zone)) + AFTER_CLOSE)
            for first in self._firsts[1:]
            for zone in market.ZONES
        }

    def _all_ticks(self, ticks_per_day: int) -> Sequence[int]:
        every = DAY_MS // ticks_per_day
        regular = range(self.start, self._usage_end + 1, every)
        return sorted({*regular, *self._closes})


def run(
    simulation: Simulation,
    emitter: Emitter,
    wait_for_zero_lag: Callable[[], None],
    on_step: Callable[[Step], None] = lambda _: None,
) -> None:
    """Send a simulation to a running deployment with a manual clock.

    Before each tick all that was sent is applied, and all that followed from it; after a tick that ends
    a month likewise. So which month a record falls into does not hang on how fast the lanes are.
    """
    for step in simulation.steps():
        for emission in step.records:
            emitter.emit(emission)
        emitter.flush()
        wait_for_zero_lag()
        emitter.tick(moment(step.tick))
        emitter.flush()
        if step.closes:
            wait_for_zero_lag()
        on_step(step)
    wait_for_zero_lag()


def first_of_month(start: datetime, months: int) -> datetime:
    """Return the first of the month so many months after the start's."""
    month = start.year * 12 + start.month - 1 + months
    return datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)

"""How much good usage a lane folds in a second of CPU time beside 1 % poison, and without; interleaved."""

import time
from dataclasses import dataclass
from statistics import median

from streams.topics import USAGE
from tests.fuzz.made import START, Maker, Sent
from tests.fuzz.rounds import Lane
from verify.topics import Record as Line

GOOD = 10_000
EVERY = 100
"""One record in so many is poison."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Good events in a second of CPU time, the median of all turns."""

    alone: float
    with_poison: float

    @property
    def ratio(self) -> float:
        """What is left of the throughput of good events."""
        return self.with_poison / self.alone


def measured(turns: int, seed: int = 1) -> Beside:
    """Fold the same good events with and without poison, in turn."""
    good = _usage(f"good-{seed}", GOOD, spoiled=0.0)
    poison = _usage(f"poison-{seed}", GOOD // EVERY, spoiled=1.0)
    mixed: list[Line] = []
    for number, line in enumerate(good):
        mixed.append(line)
        if number % EVERY == EVERY - 1:
            mixed.append(poison[number // EVERY])
    rates: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(2 * turns):
        is_mixed = turn % 2 == 1
        rates[is_mixed].append(GOOD / _seconds(mixed if is_mixed else good))
    return Beside(median(rates[False]), median(rates[True]))


def _usage(seed: str, count: int, *, spoiled: float) -> list[Line]:
    """Return usage records, all of them good or all spoiled."""
    maker, found = Maker(seed, spoiled=spoiled), list[Line]()
    while len(found) < count:
        found += [line for topic, line in maker.records(count) if topic == USAGE.name]
    return found[:count]


def _seconds(lines: list[Line]) -> float:
    """Return the CPU time of folding and encoding it all in a lane that has prices and accounts."""
    lane = Lane()
    lane.take(Maker("opening").opening())
    records: list[Sent] = [
        (USAGE.name, line._replace(offset=offset, timestamp=START + 3 * 3_600_000))
        for offset, line in enumerate(lines)
    ]
    began = time.process_time()
    lane.take(records)
    return time.process_time() - began

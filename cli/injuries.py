"""When which process of a whole simulation is killed: a function of the seed and the steps, nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

MONTHS_PER_PAYMENTS_KILL = 5
"""After a kill the payment consumer waits a minute, until no post can be under way: it is killed rarely."""


@dataclass(frozen=True, slots=True)
class Injury:
    """One SIGKILL."""

    in_close: bool
    """After the tick, so that documents are being written; else after the usage was sent."""
    payments: bool
    """The payment consumer; else a worker."""
    choice: int
    """Which worker, counted beyond the last one again."""
    after_ms: int
    lanes_move: bool
    """True where the worker comes back only when its session has ended, and its lanes are another's."""


def plan(seed: int, closes: Sequence[bool]) -> Mapping[int, Injury]:
    """Return the injuries by the number of their step; `closes` tells for each step if a month ends with it.

    Two for each month that ends, one of them elsewhere; every few months one of the payment consumer.
    """
    random = Random(f"{seed}/injuries")
    ends = [n for n, closing in enumerate(closes) if closing and n]
    others = [n for n, closing in enumerate(closes) if not closing and n]
    months = sum(1 for n in ends if not closes[n - 1])
    chosen = {n: _injury(random, in_close=True) for n in _some(random, ends, months)}
    elsewhere = _some(random, others, months + 1 + months // MONTHS_PER_PAYMENTS_KILL)
    for at, number in enumerate(elsewhere):
        chosen[number] = _injury(random, in_close=False, payments=at > months)
    if elsewhere and not any(injury.payments for injury in chosen.values()):
        chosen[elsewhere[-1]] = _injury(random, in_close=False, payments=True)
    return chosen


def _some(random: Random, of: Sequence[int], count: int) -> list[int]:
    return random.sample(of, min(count, len(of)))


def _injury(random: Random, *, in_close: bool, payments: bool = False) -> Injury:
    return Injury(
        in_close=in_close,
        payments=payments,
        choice=random.randrange(1_000),
        after_ms=random.randrange(120),
        lanes_move=random.randrange(5) == 0,
    )

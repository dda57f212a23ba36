"""What a measure is: something that yields lines, and how the page shows them. Pure."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.inputs import Told

Line = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of everything."""

    accounts: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    """Compared with each other."""
    many: int = 1_000_000
    """Accounts of a restore; memory takes a tenth and a half of them."""
    closing: int = 100_000
    """Accounts that a month's close invoices."""
    few: int = 10_000
    """Accounts where their number does not matter."""
    events: int = 500_000
    """Usage events of one run of a throughput."""
    rounds: int = 3
    rate: int = 2_000
    """Usage events a second of the load that goes on beside a close, an outage, a soak."""
    seconds: float = 30.0
    """How long one latency is watched."""
    outage_seconds: float = 60.0
    minutes: float = 20.0
    """Of the soak."""

    def small(self) -> "Sizes":
        """Return sizes that only show that everything works."""
        return Sizes(
            accounts=tuple(max(500, n // 50) for n in self.accounts),
            many=self.many // 50,
            closing=self.closing // 50,
            few=self.few // 10,
            events=self.events // 20,
            rounds=1,
            rate=self.rate // 4,
            seconds=5.0,
            outage_seconds=5.0,
            minutes=1.0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where and how much to measure."""

    bootstrap_servers: str
    directory: Path
    sizes: Sizes
    told: Told


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a measure's table."""

    heading: str
    figure: str
    form: str = ",.0f"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the project asks of a measure: a figure of one case, or its ratio to that of another."""

    about: str
    figure: str
    case: str
    to: str | None = None
    bound: float
    is_least: bool = False
    form: str = ",.2f"

    def measured(self, lines: Sequence[Line]) -> float | None:
        """Return the median of the right runs, as a ratio where one is asked; None without runs."""
        found = median(lines, self.case, self.figure)
        if found is None or self.to is None:
            return found
        base = median(lines, self.to, self.figure)
        return found / base if base else None

    def holds(self, value: float) -> bool:
        """Tell whether a value is what was asked."""
        return value >= self.bound if self.is_least else value <= self.bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One thing that is measured."""

    name: str
    title: str
    about: str
    """How it is measured, for the page."""
    columns: tuple[Column, ...]
    asked: tuple[Asked, ...] = ()
    run: Callable[[Bench], Iterator[Line]]
    """Yields a line a run: `case`, figures, `correct`, `problems`. A wrong run has no figures."""


def line(case: str, problems: Sequence[str], figures: Line) -> Line:
    """Return the line of a run; a wrong run has no number."""
    kept = dict.fromkeys(figures) if problems else figures
    return {"case": case, **kept, "correct": not problems, "problems": list(problems[:3])}


def median(lines: Sequence[Line], case: str, figure: str) -> float | None:
    """Return the median of a figure over the right runs of a case."""
    values = [row[figure] for row in lines if row["case"] == case and row.get(figure) is not None]
    return statistics.median(values) if values else None


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the least value that so large a share of all does not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def slope_per_hour(samples: Sequence[tuple[float, float]]) -> float | None:
    """Return the least squares slope of (seconds, value), by the hour."""
    if len(samples) < 2:
        return None
    line_of = statistics.linear_regression([s for s, _ in samples], [v for _, v in samples])
    return line_of.slope * 3600

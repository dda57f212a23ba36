"""From the lines of runs to medians, ratios and what the project asks of itself. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Line = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Median, least and most of one figure over the rounds."""

    median: float
    least: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One system's runs of one workload. Without a right run it has no number."""

    system: str
    title: str
    events: int
    runs: int
    right: int
    rate: Spread | None
    """Events a second."""
    cpu: Spread | None
    """CPU seconds per million events."""
    memory: Spread | None
    """Peak, in MB."""
    broker_cpu: Spread | None
    """The broker's CPU seconds per million events, from the system's start."""
    others: Spread | None
    """Cores that neither the system nor the broker nor the runner had: a quiet machine has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A ratio that the project asks of itself: medians of the same rounds."""

    of: str
    to: str
    figure: str
    bound: float
    is_least: bool

    def measured(self, found: dict[str, Figures]) -> float | None:
        """Return the ratio, None where one of the two has no number."""
        pair = [getattr(found[name], self.figure) if name in found else None for name in (self.of, self.to)]
        if pair[0] is None or pair[1] is None:
            return None
        return float(pair[0].median / pair[1].median)

    def holds(self, ratio: float) -> bool:
        """Tell whether a ratio is what was asked."""
        return ratio >= self.bound if self.is_least else ratio <= self.bound


WISHES = (
    Wish(of="evergreen-job-rocksdb", to="streams", figure="rate", bound=1.2, is_least=True),
    Wish(of="evergreen-job-rocksdb", to="streams", figure="cpu", bound=0.75, is_least=False),
    Wish(of="evergreen-job", to="streams", figure="rate", bound=1.2, is_least=True),
    Wish(of="evergreen-job", to="streams", figure="cpu", bound=0.75, is_least=False),
    Wish(of="evergreen-rocksdb", to="streams", figure="rate", bound=1.0, is_least=True),
    Wish(of="evergreen-rocksdb", to="streams", figure="cpu", bound=1.0, is_least=False),
    Wish(of="evergreen", to="streams", figure="rate", bound=1.0, is_least=True),
    Wish(of="evergreen", to="streams", figure="cpu", bound=1.0, is_least=False),
    Wish(of="evergreen", to="quix", figure="rate", bound=2.5, is_least=True),
    Wish(of="evergreen", to="faust", figure="rate", bound=15.0, is_least=True),
    Wish(of="evergreen", to="evergreen-plain", figure="rate", bound=0.85, is_least=True),
)


def figures(lines: Sequence[Line]) -> list[Figures]:
    """Return every system's figures, in the order in which they first ran."""
    by_system: dict[str, list[Line]] = {}
    for line in lines:
        by_system.setdefault(line["system"], []).append(line)
    return [_figures(system, runs) for system, runs in by_system.items()]


def _figures(system: str, runs: Sequence[Line]) -> Figures:
    right = [run for run in runs if run["correct"]]
    for run in right:
        per_million = run["events"] / 1e6
        run["broker_cpu"] = None if run["broker_cpu_s"] is None else run["broker_cpu_s"] / per_million
    return Figures(
        system=system,
        title=runs[0]["title"],
        events=runs[0]["events"],
        runs=len(runs),
        right=len(right),
        rate=_spread(right, "events_per_s"),
        cpu=_spread(right, "cpu_s_per_million"),
        memory=_spread(right, "peak_rss_mb"),
        broker_cpu=_spread(right, "broker_cpu"),
        others=_spread(right, "others_cores"),
    )


def _spread(runs: Sequence[Line], name: str) -> Spread | None:
    values = [run[name] for run in runs if run[name] is not None]
    if not values:
        return None
    return Spread(median=statistics.median(values), least=min(values), most=max(values))

"""What the fault tests injected and what it came to: one table over all of them, and whether it was enough.

A test that injures nothing proves nothing, however green it is. So every test enters what it did, and a run
that is asked for a size (`--faults-asked`, the Makefile says which) fails where too little came together, or
where a test that injured something has no verdict of `evergreen verify`.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import verify.report
    from tests.faults.deployment import Deployment
    from tests.faults.injuries import Injuries

REPORT = Path(__file__).parents[2] / ".evergreen" / "faults" / "report.json"
NO_VERDICT = "none"


class Kind(StrEnum):
    """What can be injected."""

    WORKER_KILL = "worker kills"
    FREEZE = "freezes beyond the session"
    REBALANCE = "rebalances 1->3->1"
    STORE = "broken stores"
    DISK_FULL = "full disks"
    PAYMENTS_KILL = "payment consumer kills"
    BROKER_KILL = "broker kills"
    NETWORK = "network faults"
    CLOCK = "wrong clocks"
    TOPIC = "broken topics"
    PROVIDER = "provider faults"
    PLANTED = "planted bugs found"


ASKED: Mapping[str, Mapping[Kind, int]] = {
    "long": {
        Kind.WORKER_KILL: 200,
        Kind.FREEZE: 40,
        Kind.REBALANCE: 40,
        Kind.STORE: 20,
        Kind.DISK_FULL: 1,
        Kind.PAYMENTS_KILL: 4,
        Kind.BROKER_KILL: 20,
        Kind.NETWORK: 30,
        Kind.CLOCK: 1,
        Kind.TOPIC: 5,
        Kind.PROVIDER: 10,
    },
    "short": {
        Kind.WORKER_KILL: 12,
        Kind.FREEZE: 3,
        Kind.REBALANCE: 1,
        Kind.STORE: 2,
        Kind.DISK_FULL: 1,
        Kind.BROKER_KILL: 1,
        Kind.NETWORK: 7,
        Kind.CLOCK: 1,
    },
}
"""At least so much, over all tests of a run of this size."""


@dataclass(slots=True)
class Entry:
    """One test's part of the report."""

    test: str
    injected: Counter[Kind] = field(default_factory=Counter)
    events: int = 0
    """Usage records that the journal accounts for."""
    commits: int = 0
    lane_moves: int = 0
    """How often a lane's next commit was another worker's than its last."""
    recoveries: list[float] = field(default_factory=list)
    """Seconds from a kill of a worker to the next commit of a lane that it had: one for each such lane."""
    verdict: str = NO_VERDICT
    """What the oracle found: "holds", or which invariants are broken."""

    def inject(self, kind: Kind, count: int = 1) -> None:
        """Enter an injury that was done."""
        self.injected[kind] += count

    def took(self, deployment: "Deployment", injuries: "Injuries | None" = None) -> None:
        """Enter what a deployment committed, and what was done to it through an Injuries."""
        commits = list(deployment.journal.commits)
        self.events += sum(commit.usage for commit in commits)
        self.commits += len(commits)
        self.lane_moves += deployment.journal.moves
        for injury in injuries.done if injuries else ():
            self.inject(injury.kind)
            if injury.kind is Kind.WORKER_KILL:
                self.recoveries.extend(injury.lane_seconds.values())

    def judged(self, found: "verify.report.Report") -> None:
        """Enter what `evergreen verify` found; of several deployments the worst counts."""
        if not found.holds:
            self.verdict = f"broken: {sorted(found.failing())}"
        elif self.verdict == NO_VERDICT:
            self.verdict = "holds"


def lacking(entries: Sequence[Entry], size: str) -> list[str]:
    """Return a line for each thing that a run of this size lacks."""
    injected = total(entries)
    lines = [
        f"{kind}: {injected[kind]} of at least {count}"
        for kind, count in ASKED[size].items()
        if injected[kind] < count
    ]
    return lines + [
        f"{entry.test}: no verdict" for entry in entries if entry.injected and entry.verdict == NO_VERDICT
    ]


def total(entries: Iterable[Entry]) -> Counter[Kind]:
    """Return how much of each kind was injected."""
    return sum((entry.injected for entry in entries), Counter())


def percentile(values: Iterable[float], share: float) -> float:
    """Return the least value that this share of all does not pass (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(seconds: Sequence[float]) -> str:
    """Return median, p95 and max for people."""
    if not seconds:
        return "-"
    return " / ".join(
        f"{value:.1f}" for value in (*(percentile(seconds, p) for p in (0.5, 0.95)), max(seconds))
    )


def table(entries: Sequence[Entry]) -> list[str]:
    """Return one table over all tests, as Markdown: it can be put into a page as it is."""
    head = [
        "test",
        "injected",
        "events",
        "commits",
        "lane moves",
        "kill to commit, s: median / p95 / max",
        "verify",
    ]
    rows = [[*_row(entry)] for entry in entries if entry.injected or entry.events]
    rows.append(_row(_sum(entries)))
    return ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]


def write(entries: Sequence[Entry], size: str | None, path: Path = REPORT) -> None:
    """Write all of it as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = {
        "asked": {kind.value: count for kind, count in ASKED[size].items()} if size else {},
        "lacking": lacking(entries, size) if size else [],
        "total": _plain(_sum(entries)),
        "tests": [_plain(entry) for entry in entries],
    }
    path.write_text(json.dumps(shown, indent=2) + "\n")


def _sum(entries: Sequence[Entry]) -> Entry:
    broken = [entry.test for entry in entries if entry.verdict not in {"holds", NO_VERDICT}]
    return Entry(
        "all",
        injected=total(entries),
        events=sum(entry.events for entry in entries),
        commits=sum(entry.commits for entry in entries),
        lane_moves=sum(entry.lane_moves for entry in entries),
        recoveries=[seconds for entry in entries for seconds in entry.recoveries],
        verdict=f"broken in {len(broken)}" if broken else "holds",
    )


def _row(entry: Entry) -> list[str]:
    injected = ", ".join(f"{entry.injected[kind]} {kind}" for kind in Kind if entry.injected[kind])
    figures = [f"{count:,}" for count in (entry.events, entry.commits, entry.lane_moves)]
    return [entry.test, injected or "-", *figures, spread(entry.recoveries), entry.verdict]


def _plain(entry: Entry) -> dict[str, object]:
    seconds = entry.recoveries
    return {
        "test": entry.test,
        "injected": {kind.value: entry.injected[kind] for kind in Kind if entry.injected[kind]},
        "events": entry.events,
        "commits": entry.commits,
        "lane_moves": entry.lane_moves,
        "kill_to_commit_seconds": {
            "lanes": len(seconds),
            **(
                {"median": percentile(seconds, 0.5), "p95": percentile(seconds, 0.95), "max": max(seconds)}
                if seconds
                else {}
            ),
        },
        "verdict": entry.verdict,
    }

"""What a verification found, as values: checks, their cases, the broken ones. Prints nothing."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

KEPT = 100
"""Broken cases kept per invariant; all are counted."""


class Place(NamedTuple):
    """Where a record stands."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """One case in which an invariant does not hold."""

    invariant: int
    account: str | None
    place: Place | None
    rule: str
    expected: str
    found: str


@dataclass(slots=True)
class Check:
    """One invariant: what was looked at, how often, and what was broken."""

    number: int
    title: str
    cases: Counter[str] = field(default_factory=Counter)
    """How many cases of each kind were looked at; a kind stands here with 0 where there were none."""
    broken: list[Broken] = field(default_factory=list)
    """The first broken cases."""
    broken_count: int = 0
    notes: list[str] = field(default_factory=list)
    """What could not be looked at, and why."""

    def looked_at(self, kind: str, count: int = 1) -> None:
        """Count cases of a kind; 0 makes the kind visible."""
        self.cases[kind] += count

    def expect(
        self,
        found: Any,
        expected: Any,
        rule: str,
        *,
        account: str | None,
        place: Place | None,
        said: Callable[[Any], str] = str,
    ) -> bool:
        """Return whether both are equal; where not, the case is broken. `said` words a value for people."""
        if found == expected:
            return True
        self.fail(rule, account=account, place=place, expected=said(expected), found=said(found))
        return False

    def fail(self, rule: str, *, account: str | None, place: Place | None, expected: str, found: str) -> None:
        """Note a broken case."""
        self.broken_count += 1
        if len(self.broken) < KEPT:
            self.broken.append(
                Broken(
                    invariant=self.number,
                    account=account,
                    place=place,
                    rule=rule,
                    expected=expected,
                    found=found,
                )
            )

    @property
    def verdict(self) -> str:
        """broken, holds, or nothing to check: what saw no case has proved nothing."""
        if self.broken_count:
            return "broken"
        return "holds" if sum(self.cases.values()) else "nothing to check"


@dataclass(slots=True)
class Report:
    """All checks of one verification."""

    checks: list[Check]
    notes: list[str] = field(default_factory=list)
    """Limits of the whole verification: trimmed topics, settings it relied on."""

    @property
    def holds(self) -> bool:
        """True when no invariant was found broken."""
        return not any(check.broken_count for check in self.checks)

    def failing(self) -> set[int]:
        """Return the numbers of the invariants found broken."""
        return {check.number for check in self.checks if check.broken_count}

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it."""
        return {
            "holds": self.holds,
            "notes": self.notes,
            "invariants": [
                {
                    "number": check.number,
                    "title": check.title,
                    "verdict": check.verdict,
                    "cases": dict(check.cases),
                    "broken": check.broken_count,
                    "first_broken": [
                        {
                            "account": b.account,
                            "topic": b.place.topic if b.place else None,
                            "partition": b.place.partition if b.place else None,
                            "offset": b.place.offset if b.place else None,
                            "rule": b.rule,
                            "expected": b.expected,
                            "found": b.found,
                        }
                        for b in check.broken
                    ],
                    "notes": check.notes,
                }
                for check in self.checks
            ],
        }

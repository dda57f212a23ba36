"""What became of a FOCUS file's rows, and what their usage will cost: each row is counted exactly once."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import assert_never

from producers.focus import Adjusted, Outcome, Reason, Skipped, Used
from producers.values import UNIT


@dataclass(slots=True)
class Report:
    """Counts of an import as it goes; every row is in exactly one of the counts."""

    prices: int = 0
    used: int = 0
    credits: int = 0
    debits: int = 0
    skipped: Counter[Reason] = field(default_factory=Counter)
    examples: dict[Reason, Skipped] = field(default_factory=dict)
    """The first row skipped for each reason."""
    accounts: set[str] = field(default_factory=set)
    _unrounded: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        """The rows accounted for."""
        return self.used + self.credits + self.debits + self.skipped.total()

    @property
    def pairs(self) -> int:
        """Pairs of account and meter within a month: each is priced and rounded as one."""
        return len(self._unrounded)

    @property
    def charges(self) -> int:
        """What the usage costs before tax, in 10^-12: each pair's quantity times price, rounded half-even."""
        return sum(_half_even(total) for total in self._unrounded.values())

    def add(self, outcome: Outcome) -> None:
        """Count one row."""
        match outcome:
            case Used(usage, unit_price):
                self.used += 1
                self.accounts.add(usage["account_id"])
                when = datetime.fromtimestamp(usage["occurred_at"] // 1000, UTC)
                pair = (usage["account_id"], usage["meter"], f"{when:%Y-%m}")
                self._unrounded[pair] += usage["quantity"] * unit_price
            case Adjusted(adjustment):
                if adjustment["kind"] == "credit":
                    self.credits += 1
                else:
                    self.debits += 1
                self.accounts.add(adjustment["account_id"])
            case Skipped():
                self.skipped[outcome.reason] += 1
                self.examples.setdefault(outcome.reason, outcome)
            case _:
                assert_never(outcome)


def _half_even(total: int) -> int:
    """Return a product of two decimals (10^-24) in 10^-12, rounded half-even."""
    whole, rest = divmod(total, UNIT)
    if 2 * rest > UNIT or (2 * rest == UNIT and whole % 2):
        return whole + 1
    return whole

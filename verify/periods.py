"""Billing periods: calendar months of a time zone, half-open, as indices (year * 12 + month - 1).

Owns the borders of months and which months are closed at a moment. Reads no clock.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

_FIRST_YEAR = 1900
_YEARS = 400
FIRST = _FIRST_YEAR * 12
"""The first month that can be told; moments outside of 1900 to 2299 count in the nearest one."""
LAST = FIRST + _YEARS * 12 - 2


@lru_cache(maxsize=10_000)
def index_of(text: str) -> int:
    """Return the index of YYYY-MM; raises ValueError."""
    year, month = text.split("-")
    if len(year) != 4 or len(month) != 2 or not 1 <= int(month) <= 12:
        raise ValueError(f"{text!r} is not YYYY-MM")
    index = int(year) * 12 + int(month) - 1
    if not FIRST < index < LAST:
        raise ValueError(f"{text!r} is not a month of these centuries")
    return index


@lru_cache(maxsize=10_000)
def text_of(index: int) -> str:
    """Return YYYY-MM of an index."""
    return f"{index // 12:04d}-{index % 12 + 1:02d}"


@lru_cache(maxsize=1_000)
def _starts(zone: str) -> list[int]:
    place = ZoneInfo(zone)
    return [
        round(datetime(year, month, 1, tzinfo=place).timestamp() * 1000)
        for year in range(_FIRST_YEAR, _FIRST_YEAR + _YEARS)
        for month in range(1, 13)
    ]


def start_of(index: int, zone: str) -> int:
    """Return the first moment of a month in a zone, in milliseconds."""
    return _starts(zone)[index - FIRST]


def end_of(index: int, zone: str) -> int:
    """Return the first moment after a month in a zone, in milliseconds."""
    return start_of(index + 1, zone)


def month_of(moment: int, zone: str) -> int:
    """Return the month of a moment in a zone."""
    return min(max(FIRST + bisect_right(_starts(zone), moment) - 1, FIRST), LAST)


@dataclass(slots=True)
class Zones:
    """The time zones of one account: a change starts with the period after the one in which it was made.

    Months follow each other without gap or overlap: each begins where the one before it ends, and ends at
    midnight of the zone that is in force for it.
    """

    changes: list[tuple[int, str]] = field(default_factory=list)
    """(first month, zone), in order of months."""
    read_at: dict[int, int] = field(default_factory=dict)
    """By first month of a change: the lane's time when it was read."""

    def change(self, zone: str, *, made_at: int, time: int | None, grace_ms: int) -> None:
        """Take a zone that was set at a moment and read when the lane's time was `time`.

        What is closed by then stays as it is: a change that is read late starts with the first open period.
        """
        if not self.changes:
            self.changes.append((FIRST, zone))
        elif zone != self.latest:
            month = max(self.month_of(made_at) + 1, self.first_open(time, grace_ms))
            kept = [change for change in self.changes if change[0] < month]
            self.changes = kept if kept and kept[-1][1] == zone else [*kept, (month, zone)]
            self.read_at[month] = time or 0

    @property
    def latest(self) -> str:
        """The zone that was set last."""
        return self.changes[-1][1]

    def of(self, month: int) -> str:
        """Return the zone in force for a month."""
        return next((zone for first, zone in reversed(self.changes) if first <= month), self.changes[0][1])

    def known_at(self, month: int) -> int:
        """Return the lane's time from which on the zone in force for a month was known."""
        first = next((first for first, _ in reversed(self.changes) if first <= month), FIRST)
        return self.read_at.get(first, 0)

    def end(self, month: int) -> int:
        """Return the first moment after a month, in milliseconds."""
        return end_of(month, self.of(month))

    def start(self, month: int) -> int:
        """Return the first moment of a month, in milliseconds."""
        return self.end(month - 1)

    def month_of(self, moment: int) -> int:
        """Return the month of a moment."""
        if len(self.changes) == 1:
            return month_of(moment, self.changes[0][1])
        near = [month_of(moment, zone) for _, zone in self.changes]
        month = max(min(near) - 1, FIRST + 1)
        while month < LAST and moment >= self.end(month):
            month += 1
        return month

    def is_closed(self, month: int, time: int | None, grace_ms: int) -> bool:
        """Return whether a period is closed at a lane's time; none is before the first tick."""
        return time is not None and month < LAST and time >= self.end(month) + grace_ms

    def first_open(self, time: int | None, grace_ms: int) -> int:
        """Return the first period that is open at a lane's time."""
        return FIRST if time is None else self.month_of(time - grace_ms)

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
    """The time zones of one account: which months may be in which.

    A change starts with the next period. Which one that is, is certain in general; where it depends on
    how one reads the contract (before the first tick, in the hour of grace, at the border itself) both
    readings are accepted.
    """

    changes: list[tuple[int, int, str]] = field(default_factory=list)
    """(first month that may be in the zone, first month that must be, zone), in order of time."""

    def change(self, zone: str, *, time: int | None, grace_ms: int, booked: bool) -> None:
        """Take a zone that was set when the lane's time was `time`."""
        if not self.changes:
            self.changes.append((FIRST, FIRST, zone))
            return
        before = self.changes[-1][2]
        if zone == before:
            return
        if time is None:
            self.changes.append((FIRST, LAST if booked else FIRST, zone))
            return
        surely = month_of(time, before) + 1
        perhaps = month_of(time - grace_ms, before) + 1 if booked else FIRST
        self.changes.append((perhaps, surely, zone))

    @property
    def latest(self) -> str:
        """The zone that was set last."""
        return self.changes[-1][2]

    def of(self, month: int) -> list[str]:
        """Return the zones that a month may be in."""
        found: list[str] = []
        for perhaps, surely, zone in self.changes:
            if surely <= month:
                found = []
            if perhaps <= month:
                found.append(zone)
        return found

    def borders(self, month: int) -> set[int]:
        """Return the moments at which a month may end and the next begin."""
        return {end_of(month, z) for z in self.of(month)} | {
            start_of(month + 1, z) for z in self.of(month + 1)
        }

    def months_of(self, moment: int) -> list[int]:
        """Return the months that a moment may be in; one, away from a change of zone."""
        if len(self.changes) == 1:
            return [month_of(moment, self.changes[0][2])]
        near = {month_of(moment, zone) for _, _, zone in self.changes}
        return [
            month
            for month in range(max(min(near) - 1, FIRST + 1), min(max(near) + 1, LAST) + 1)
            if min(self.borders(month - 1)) <= moment < max(self.borders(month))
        ]

    def may_be_closed(self, month: int, time: int | None, grace_ms: int) -> bool:
        """Return whether a period is closed at a lane's time by some reading; never before the first tick."""
        return time is not None and month < LAST and time >= min(self.borders(month)) + grace_ms

    def must_be_closed(self, month: int, time: int | None, grace_ms: int) -> bool:
        """Return whether a period is closed at a lane's time by every reading."""
        return time is not None and month < LAST and time >= max(self.borders(month)) + grace_ms

    def billed_in(self, moment: int, time: int | None, grace_ms: int) -> tuple[tuple[int, int], ...]:
        """Return the (month, billing period) pairs that are right for a moment booked at a lane's time.

        The period is the month if that is still open, else the earliest open one.
        """
        if len(self.changes) == 1:
            zone = self.changes[0][2]
            month = period = month_of(moment, zone)
            while time is not None and period < LAST and time >= end_of(period, zone) + grace_ms:
                period += 1
            return ((month, period),)
        pairs = []
        for month in self.months_of(moment):
            last = month
            while self.may_be_closed(last, time, grace_ms):
                last += 1
            pairs += [
                (month, period)
                for period in range(month, last + 1)
                if not self.must_be_closed(period, time, grace_ms)
            ]
        return tuple(pairs)

"""Billing periods: calendar months in an account's time zone, half-open, as month indexes and instants.

A month index is year * 12 + month - 1. An account's zone may change, from one period on: that period
begins where the one before ends (in the old zone) and ends in the new zone.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from mypy_extensions import mypyc_attr

EARLIEST = 0
"""First moment that the rules accept: 1970."""
LATEST = 221_845_392_000_000
"""First moment that they no longer accept: the year 9000."""
EVER = 0
"""Month index before all others."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_labels: dict[int, str] = {}


def label(month: int) -> str:
    """Return a month as YYYY-MM."""
    found = _labels.get(month)
    if found is None:
        found = _labels[month] = f"{month // 12:04d}-{month % 12 + 1:02d}"
    return found


def month_named(text: str) -> int:
    """Return the month index of YYYY-MM."""
    return int(text[:4]) * 12 + int(text[5:]) - 1


def in_range(moment: int) -> bool:
    """Whether a moment is one that the rules can place in a calendar."""
    return EARLIEST <= moment < LATEST


def is_zone(name: str) -> bool:
    """Whether a name is an IANA time zone that is known here."""
    try:
        _zone(name)
    except (KeyError, ValueError, OSError):  # what zoneinfo raises for names of all shapes
        return False
    return True


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True)
class ZoneFrom:
    """A time zone and the first month that it ends."""

    month: int
    zone: str


Zones = tuple[ZoneFrom, ...]


class Calendar:
    """The months of one zone history: when each begins and ends, and which one a moment is in."""

    __slots__ = ("_ends", "_first", "month", "since", "until", "zones")

    def __init__(self, zones: Zones) -> None:
        self.zones = zones
        self._first = 1970 * 12
        """Month of the first of _ends; _ends is contiguous."""
        self._ends: list[int] = []
        self.month = 0
        """The month asked for last: since <= moment < until; read on the hot path instead of a call."""
        self.since = 0
        self.until = 0

    def month_of(self, moment: int) -> int:
        """Return the month that a moment (ms) is in; the moment is in_range()."""
        if self.since <= moment < self.until:
            return self.month
        utc = _EPOCH + moment * _MILLISECOND
        guess = utc.year * 12 + utc.month - 1
        self._cover(guess + 1)
        self._cover(guess - 2)
        at = bisect_right(self._ends, moment)
        self.month = self._first + at
        self.since, self.until = self._ends[at - 1], self._ends[at]
        return self.month

    def start(self, month: int) -> int:
        """Return the first moment of a month."""
        return self.end(month - 1)

    def end(self, month: int) -> int:
        """Return the first moment after a month."""
        self._cover(month)
        return self._ends[month - self._first]

    def zone_of(self, month: int) -> str:
        """Return the zone in force in a month."""
        name = self.zones[0].zone
        for change in self.zones:
            if change.month <= month:
                name = change.zone
        return name

    def first_open(self, moment: int, grace_ms: int) -> int:
        """Return the first month whose end + grace is after a moment."""
        return self.month_of(max(EARLIEST, moment - grace_ms))

    def _cover(self, month: int) -> None:
        if not self._ends:
            self._first = month
        while month < self._first:
            self._ends.insert(0, _midnight(self._first, self.zone_of(self._first - 1)))
            self._first -= 1
        while month >= self._first + len(self._ends):
            last = self._first + len(self._ends)
            self._ends.append(_midnight(last + 1, self.zone_of(last)))


@cache
def calendar(zones: Zones) -> Calendar:
    """Return the calendar of a zone history; accounts of one history share it."""
    return Calendar(zones)


def changed(zones: Zones, zone: str, month: int) -> Zones:
    """Return a zone history in which `zone` is in force from `month` on."""
    kept = tuple(change for change in zones if change.month < month)
    if kept and kept[-1].zone == zone:
        return kept
    return (*kept, ZoneFrom(month, zone))


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _midnight(month: int, zone: str) -> int:
    """Return the first moment of a month in a zone.

    Where midnight happens twice it is the first of them, where the clocks jump over it the jump
    (fold=0 of PEP 495, and its rule for gaps).
    """
    return (datetime(month // 12, month % 12 + 1, 1, tzinfo=_zone(zone)) - _EPOCH) // _MILLISECOND

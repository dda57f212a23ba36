"""Months have the borders of their zone, and a change of zone starts with the next period."""

import pytest

from tests.unit.verify.history import at
from verify.accounts import Account
from verify.periods import Zones, index_of

JANUARY, FEBRUARY, MARCH = index_of("2026-01"), index_of("2026-02"), index_of("2026-03")
HOUR = 3_600_000


def berlin() -> Zones:
    """Return an account that was in Berlin from the start."""
    zones = Zones()
    zones.change("Europe/Berlin", made_at=0, time=None, grace_ms=HOUR)
    return zones


def moved(zone: str, when: str, *, read_at: str | None = None) -> Zones:
    """Return the same after it was moved."""
    zones = berlin()
    zones.change(zone, made_at=at(when), time=at(read_at or when), grace_ms=HOUR)
    return zones


def test_the_first_moment_of_a_month_in_berlin_is_the_last_hour_in_utc() -> None:
    zones = berlin()

    assert zones.month_of(at("2026-01-31T22:59:59.999")) == JANUARY
    assert zones.month_of(at("2026-01-31T23:00")) == FEBRUARY
    assert zones.month_of(at("2026-06-30T22:00")) == index_of("2026-07")


def test_a_charge_after_the_close_goes_to_the_first_open_period() -> None:
    account, moment = Account("a", "EUR", zones=berlin()), at("2026-01-20T00:00")

    assert account.billed_in(moment, None, HOUR) == (JANUARY, JANUARY)
    assert account.billed_in(moment, at("2026-01-31T23:59:59.999"), HOUR) == (JANUARY, JANUARY)
    assert account.billed_in(moment, at("2026-02-01T00:00"), HOUR) == (JANUARY, FEBRUARY)
    assert account.billed_in(moment, at("2026-03-01T00:00"), HOUR) == (JANUARY, MARCH)


def test_a_change_of_zone_starts_with_the_next_period() -> None:
    zones = moved("America/New_York", "2026-01-15T00:00")

    assert (zones.of(JANUARY), zones.of(FEBRUARY)) == ("Europe/Berlin", "America/New_York")
    assert zones.month_of(at("2026-01-31T22:59")) == JANUARY
    assert zones.month_of(at("2026-02-28T23:00")) == FEBRUARY
    assert zones.month_of(at("2026-03-01T05:00")) == MARCH


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo", "Pacific/Kiritimati", "Pacific/Niue"])
def test_between_two_zones_there_is_neither_gap_nor_overlap(zone: str) -> None:
    zones = moved(zone, "2026-01-15T00:00")

    assert zones.start(FEBRUARY) == zones.end(JANUARY) == at("2026-01-31T23:00")
    assert zones.month_of(zones.end(JANUARY) - 1) == JANUARY
    assert zones.month_of(zones.end(JANUARY)) == FEBRUARY
    assert zones.month_of(zones.end(FEBRUARY)) == MARCH


def test_a_change_in_the_hour_of_grace_was_made_in_the_month_that_has_begun() -> None:
    zones = moved("UTC", "2026-01-31T23:30")

    assert (zones.of(FEBRUARY), zones.of(MARCH)) == ("Europe/Berlin", "UTC")


def test_a_change_that_is_read_months_later_leaves_closed_periods_alone() -> None:
    zones = moved("UTC", "2025-11-15T00:00", read_at="2026-02-10T00:00")

    assert (zones.of(JANUARY), zones.of(FEBRUARY)) == ("Europe/Berlin", "UTC")


def test_the_second_change_of_a_month_takes_the_place_of_the_first() -> None:
    zones = moved("UTC", "2026-01-15T00:00")
    zones.change("Europe/Berlin", made_at=at("2026-01-16T00:00"), time=at("2026-01-16T00:00"), grace_ms=HOUR)

    assert zones.of(MARCH) == "Europe/Berlin"

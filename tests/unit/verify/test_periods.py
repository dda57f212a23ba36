"""Months have the borders of their zone, and a change of zone starts with the next period."""

from tests.unit.verify.history import at
from verify.periods import Zones, index_of

JANUARY, FEBRUARY, MARCH = index_of("2026-01"), index_of("2026-02"), index_of("2026-03")
HOUR = 3_600_000


def berlin() -> Zones:
    """Return an account that was in Berlin from the start."""
    zones = Zones()
    zones.change("Europe/Berlin", time=None, grace_ms=HOUR, booked=False)
    return zones


def test_the_first_moment_of_a_month_in_berlin_is_the_last_hour_in_utc() -> None:
    zones = berlin()

    assert zones.months_of(at("2026-01-31T22:59:59.999")) == [JANUARY]
    assert zones.months_of(at("2026-01-31T23:00")) == [FEBRUARY]
    assert zones.months_of(at("2026-06-30T22:00")) == [index_of("2026-07")]


def test_a_charge_after_the_close_goes_to_the_first_open_period() -> None:
    zones, moment = berlin(), at("2026-01-20T00:00")

    assert zones.billed_in(moment, None, HOUR) == ((JANUARY, JANUARY),)
    assert zones.billed_in(moment, at("2026-01-31T23:59:59.999"), HOUR) == ((JANUARY, JANUARY),)
    assert zones.billed_in(moment, at("2026-02-01T00:00"), HOUR) == ((JANUARY, FEBRUARY),)
    assert zones.billed_in(moment, at("2026-03-01T00:00"), HOUR) == ((JANUARY, MARCH),)


def test_a_change_of_zone_starts_with_the_next_period() -> None:
    zones = berlin()
    zones.change("America/New_York", time=at("2026-01-15T00:00"), grace_ms=HOUR, booked=True)

    assert zones.of(JANUARY) == ["Europe/Berlin"]
    assert zones.of(FEBRUARY) == ["America/New_York"]
    assert zones.months_of(at("2026-01-31T22:59")) == [JANUARY]
    assert zones.months_of(at("2026-02-28T23:00")) == [FEBRUARY]
    assert zones.months_of(at("2026-03-01T05:00")) == [MARCH]


def test_at_the_border_between_two_zones_both_readings_are_accepted() -> None:
    zones = berlin()
    zones.change("America/New_York", time=at("2026-01-15T00:00"), grace_ms=HOUR, booked=True)

    assert zones.months_of(at("2026-02-01T01:00")) == [JANUARY, FEBRUARY]


def test_in_the_hour_of_grace_the_next_period_may_be_either() -> None:
    zones = berlin()
    zones.change("UTC", time=at("2026-01-31T23:30"), grace_ms=HOUR, booked=True)

    assert zones.of(FEBRUARY) == ["Europe/Berlin", "UTC"]
    assert zones.of(MARCH) == ["UTC"]

"""Billing periods: months in a zone, half-open, contiguous whatever the zone does."""

from datetime import datetime
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.domain.periods import EVER, Calendar, ZoneFrom, calendar, changed, is_zone, label, month_named
from tests.unit.domain.build import HOUR, at, month


def in_zone(zone: str) -> Calendar:
    return calendar((ZoneFrom(EVER, zone),))


@pytest.mark.parametrize(
    ("zone", "name", "begins"),
    [
        ("UTC", "2025-02", "2025-02-01 00:00"),
        ("Pacific/Kiritimati", "2025-02", "2025-01-31 10:00"),
        ("Pacific/Niue", "2025-02", "2025-02-01 11:00"),
        ("Europe/Berlin", "2025-04", "2025-03-31 22:00"),
        ("Europe/Berlin", "2025-11", "2025-10-31 23:00"),
        ("America/New_York", "2025-12", "2025-12-01 05:00"),
        ("Asia/Kathmandu", "2025-01", "2024-12-31 18:15"),
        ("America/Asuncion", "2017-10", "2017-10-01 04:00"),  # the clocks jump over this midnight
    ],
)
def test_a_month_begins_at_local_midnight(zone: str, name: str, begins: str) -> None:
    months = in_zone(zone)

    assert months.start(month(name)) == at(begins)
    assert months.month_of(at(begins)) == month(name)
    assert months.month_of(at(begins) - 1) == month(name) - 1


def test_every_zone_places_moments_in_its_local_month() -> None:
    for zone in sorted(available_timezones()):
        months = in_zone(zone)
        for moment in (at("2024-02-29 23:59"), at("2025-01-01 00:00"), at("2025-10-31 12:00")):
            local = datetime.fromtimestamp(moment / 1000, ZoneInfo(zone))
            assert label(months.month_of(moment)) == f"{local:%Y-%m}", zone


def test_a_new_zone_ends_the_period_from_which_it_is_in_force() -> None:
    zones = changed((ZoneFrom(EVER, "UTC"),), "Asia/Tokyo", month("2025-02"))
    months = calendar(zones)

    assert months.end(month("2025-01")) == at("2025-02-01")
    assert months.start(month("2025-02")) == at("2025-02-01")
    assert months.end(month("2025-02")) == at("2025-02-28 15:00")
    assert [months.zone_of(month(m)) for m in ("2025-01", "2025-02")] == ["UTC", "Asia/Tokyo"]


def test_a_zone_changed_back_before_it_was_in_force_never_was() -> None:
    utc = (ZoneFrom(EVER, "UTC"),)

    assert changed(changed(utc, "Asia/Tokyo", 24_301), "UTC", 24_301) == utc


def test_the_first_open_period_is_the_first_whose_end_and_grace_are_ahead() -> None:
    months = in_zone("UTC")

    assert months.first_open(at("2025-02-01 01:00") - 1, HOUR) == month("2025-01")
    assert months.first_open(at("2025-02-01 01:00"), HOUR) == month("2025-02")


def test_labels_and_indexes_are_inverse() -> None:
    assert label(month("2025-12")) == "2025-12"
    assert month_named("2025-12") == month("2025-12")


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "Europe", "\0"])
def test_what_is_no_zone_is_known_as_none(name: str) -> None:
    assert not is_zone(name)


@given(
    moments=st.lists(st.integers(0, at("2100-01-01")), min_size=1),
    zone=st.sampled_from(["UTC", "Pacific/Apia", "Africa/Casablanca", "America/St_Johns", "Asia/Tehran"]),
)
@settings(deadline=None, max_examples=50)
def test_months_are_half_open_and_contiguous_in_whatever_order_they_are_asked_for(
    moments: list[int], zone: str
) -> None:
    months = Calendar((ZoneFrom(EVER, zone),))

    for moment in moments:
        found = months.month_of(moment)
        assert months.start(found) <= moment < months.end(found)
        assert months.end(found) == months.start(found + 1)

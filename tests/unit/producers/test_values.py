"""What emitters accept: exact decimals and moments with a zone, nothing that would have to be guessed."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.values import FieldError, millis, moment, pico, text, truth, whole


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("1.5"), 1_500_000_000_000),
        ("0.000000000001", 1),
        (3, 3_000_000_000_000),
        ("1E+3", 1_000_000_000_000_000),
        ("1.5000000000000000", 1_500_000_000_000),
        (Decimal("0E-400"), 0),
        ("99999999999999999999999999.999999999999", 10**38 - 1),
    ],
)
def test_a_decimal_becomes_a_whole_number_of_its_smallest_units(value: Any, expected: int) -> None:
    assert pico("quantity", value) == expected


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (1.5, "a float is not exact"),
        (True, "is a bool"),
        (None, "is a NoneType"),
        ("1.0000000000001", "more than 12 decimal places"),
        (Decimal("1E-400000"), "more than 12 decimal places"),
        (Decimal("1E+400000"), "more than 38 digits"),
        ("100000000000000000000000000", "more than 38 digits"),
        ("NaN", "not a finite number"),
        ("Infinity", "not a finite number"),
        ("1,5", "not a decimal number"),
        ("-1", "is negative"),
    ],
)
def test_a_number_that_is_not_exact_is_refused_by_its_field_name(value: Any, problem: str) -> None:
    with pytest.raises(FieldError, match=f"quantity: .*{problem}"):
        pico("quantity", value)


@given(st.integers(min_value=-(10**38) + 1, max_value=10**38 - 1))
def test_every_number_of_38_digits_survives_the_way_through_text(units: int) -> None:
    sign, digits = ("-" if units < 0 else ""), f"{abs(units):013d}"

    assert pico("quantity", f"{sign}{digits[:-12]}.{digits[-12:]}", least=None) == units


@pytest.mark.parametrize(
    "value",
    [
        datetime(2024, 9, 1, 2, tzinfo=UTC),
        datetime(2024, 9, 1, 4, tzinfo=timezone(timedelta(hours=2))),
        "2024-09-01T02:00Z",
        "2024-09-01T04:00:00+02:00",
        datetime(2024, 9, 1, 2, 0, 0, 999, tzinfo=UTC),
    ],
)
def test_a_moment_is_the_same_in_every_zone_and_cut_to_milliseconds(value: Any) -> None:
    assert millis("occurred_at", value) == 1_725_156_000_000


@pytest.mark.parametrize("value", [datetime(2024, 9, 1), "2024-09-01T02:00", "2024-09-01"])  # noqa: DTZ001
def test_a_time_without_a_zone_is_refused(value: Any) -> None:
    with pytest.raises(FieldError, match=r"occurred_at: .* has no time zone"):
        millis("occurred_at", value)


@pytest.mark.parametrize("value", ["yesterday", 1_725_156_000_000, 1.5, None])
def test_what_is_no_time_is_refused(value: Any) -> None:
    with pytest.raises(FieldError, match="occurred_at: "):
        millis("occurred_at", value)


@given(st.integers(min_value=-(10**12), max_value=10**13))
def test_a_moment_goes_to_milliseconds_and_back(milliseconds: int) -> None:
    assert millis("at", moment(milliseconds)) == milliseconds


@pytest.mark.parametrize("value", ["", "x" * 1_001, "\ud800", b"acme", None])
def test_a_text_that_no_record_can_hold_is_refused(value: Any) -> None:
    with pytest.raises(FieldError, match="account_id: "):
        text("account_id", value)


@pytest.mark.parametrize("value", [-1, 2**63, 1.0, "1", True])
def test_a_whole_number_is_an_int_of_64_bits(value: Any) -> None:
    with pytest.raises(FieldError, match="revision: "):
        whole("revision", value)


def test_only_true_and_false_are_booleans() -> None:
    with pytest.raises(FieldError, match="late: 'yes' is a str"):
        truth("late", "yes")  # type: ignore[arg-type]

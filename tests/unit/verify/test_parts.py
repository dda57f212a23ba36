"""Which part of a period a document is about, where an account was closed within it."""

import pytest

from tests.unit.verify.history import at
from verify import parts, periods
from verify.accounts import Account, Cut
from verify.parts import Part

FEBRUARY = periods.index_of("2026-02")
START, NOON, END = at("2026-02-01T00:00"), at("2026-02-10T12:00"), at("2026-03-01T00:00")


def account(*cuts: int) -> Account:
    """Return an account in UTC that was closed at these moments."""
    found = Account("acme", "EUR")
    found.zones.change("UTC", made_at=0, time=None, grace_ms=0)
    found.cuts = [Cut(time, FEBRUARY, 0) for time in cuts]
    return found


@pytest.mark.parametrize(
    ("cuts", "start", "end", "number"),
    [
        ((), START, END, 0),
        ((NOON,), START, NOON, 0),
        ((NOON,), NOON, END, 1),
        ((START,), START, START, 0),  # closed at the first moment of the month
        ((START,), START, END, 1),
        ((NOON, NOON), START, NOON, 0),  # closed, opened and closed again at one tick
        ((NOON, NOON), NOON, NOON, 1),
        ((NOON, NOON), NOON, END, 2),
    ],
)
def test_a_part_may_be_one_instant(cuts: tuple[int, ...], start: int, end: int, number: int) -> None:
    invoice = {"period": "2026-02", "period_start": start, "period_end": end}

    assert parts.of_invoice(account(*cuts), invoice) == Part(FEBRUARY, number)

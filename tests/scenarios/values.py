"""Moments, amounts and quantities as a scenario writes them, to and from the integers of the rules."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

TIME = r"\d{4}-\d\d-\d\d(?: \d\d:\d\d(?::\d\d(?:\.\d{3})?)?)?"
NUMBER = r"-?\d+(?:\.\d+)?"
NAME = r"[\w.:/-]+"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(text: str) -> int:
    """Return "2025-01-31 23:59:59.999" (UTC; parts may be left out from the right) in ms."""
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)


def utc_month(time: int) -> int:
    """Return the month index of a moment in UTC."""
    utc = _EPOCH + timedelta(milliseconds=time)
    return utc.year * 12 + utc.month - 1


def pico(text: str) -> int:
    """Return a number as the integer of 10^-12; ValueError where it has more digits than that."""
    return _whole(Decimal(text).scaleb(12), text)


def minor(text: str, digits: int) -> int:
    """Return an amount in whole minor units; ValueError where it is none."""
    return _whole(Decimal(text).scaleb(digits), text)


def shown(amount: int, digits: int = 2) -> str:
    """Return an amount exactly, with at least its currency's digits."""
    sign, (whole, rest) = "-" if amount < 0 else "", divmod(abs(amount), 10**12)
    decimals = f"{rest:012d}".rstrip("0").ljust(digits, "0")
    return f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}"


def quantity(amount: int) -> str:
    """Return a quantity exactly."""
    return shown(amount, 0)


def shown_minor(amount: int, digits: int) -> str:
    """Return an amount given in minor units."""
    return shown(amount * 10 ** (12 - digits), digits)


def _whole(value: Decimal, text: str) -> int:
    if value != int(value):
        raise ValueError(f"{text} has too many decimals")
    return int(value)

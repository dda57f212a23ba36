"""What an emitter accepts: exact decimals, moments with a zone, plain text. Refuses all else by field name.

Owns the way from a caller's values to the wire's integers (10^-12, milliseconds since 1970 UTC).
Never rounds a decimal and never guesses a time zone.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from iso4217 import Currency

from schemas.binary import LIMIT
from schemas.wire import SCALE

Exact = Decimal | int | str
"""A number without rounding. Floats are refused: 0.1 is none."""
Moment = datetime | str
"""An aware datetime, or ISO 8601 with an offset (2024-09-01T00:00Z). Below a millisecond it is cut off."""

UNIT: int = 10**SCALE
"""One whole, in units of 10^-12."""
MAX_TEXT = 1_000
"""Longest text of any one field, in characters."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LONG = 2**63


class FieldError(ValueError):
    """A value that no record may hold; the text is one sentence that begins with the field's name."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


def pico(field: str, value: Exact, *, least: int | None = 0) -> int:
    """Return a decimal in units of 10^-12; `least` is the smallest one allowed (None: any)."""
    number = value * UNIT if type(value) is int else _pico_of_decimal(field, value)
    if not -LIMIT < number < LIMIT:
        raise FieldError(field, "has more than 38 digits")
    if least is not None and number < least:
        raise FieldError(field, f"{value} is negative" if least == 0 else f"{value} is not positive")
    return number


def _pico_of_decimal(field: str, value: object) -> int:
    if isinstance(value, str):
        try:
            value = Decimal(value.strip())
        except InvalidOperation:
            raise FieldError(field, f"{value!r} is not a decimal number") from None
    if not isinstance(value, Decimal):
        hint = " (a float is not exact)" if isinstance(value, float) else ""
        raise FieldError(
            field, f"{value!r} is a {type(value).__name__}, not a Decimal, int or text of digits{hint}"
        )
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise FieldError(field, f"{value} is not a finite number")
    if len(digits) + exponent > 38:
        raise FieldError(field, "has more than 38 digits")
    unscaled = int("".join(map(str, digits)))
    shift = exponent + SCALE
    number: int
    if shift >= 0:
        number = unscaled * 10**shift
    else:
        # Where all digits lie below 10^-12 there is nothing to divide: 10^-shift might be huge.
        number, rest = divmod(unscaled, 10**-shift) if -shift <= len(digits) else (0, unscaled)
        if rest:
            raise FieldError(field, f"{value} has more than {SCALE} decimal places")
    return -number if sign else number


def millis(field: str, value: Moment) -> int:
    """Return a moment in milliseconds since 1970 UTC; refuses one whose zone is not told."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise FieldError(field, f"{value!r} is not an ISO 8601 time") from None
    if not isinstance(value, datetime):
        raise FieldError(field, f"{value!r} is a {type(value).__name__}, not a datetime or ISO 8601 text")
    if value.utcoffset() is None:
        raise FieldError(field, f"{value.isoformat()} has no time zone (write Z or an offset)")
    return (value - _EPOCH) // _MILLISECOND


def moment(milliseconds: int) -> datetime:
    """Return the aware UTC datetime of milliseconds since 1970."""
    return _EPOCH + milliseconds * _MILLISECOND


def text(field: str, value: str) -> str:
    """Return a text that is not empty, not too long and can be written in UTF-8."""
    if not isinstance(value, str):
        raise FieldError(field, f"{value!r} is a {type(value).__name__}, not text")
    if not value:
        raise FieldError(field, "is empty")
    if len(value) > MAX_TEXT:
        raise FieldError(field, f"is longer than {MAX_TEXT} characters")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise FieldError(field, f"{value!r} cannot be written in UTF-8") from None
    return value


def optional_text(field: str, value: str | None) -> str | None:
    """Return a text as `text` does, or None."""
    return None if value is None else text(field, value)


def whole(field: str, value: int, *, least: int | None = 0) -> int:
    """Return a whole number of 64 bits, at least `least` (None: any)."""
    if type(value) is not int:
        raise FieldError(field, f"{value!r} is a {type(value).__name__}, not a whole number")
    if least is not None and value < least:
        raise FieldError(field, f"{value} is less than {least}")
    if not -_LONG <= value < _LONG:
        raise FieldError(field, "does not fit 64 bits")
    return value


def optional_whole(field: str, value: int | None, *, least: int | None = 0) -> int | None:
    """Return a whole number as `whole` does, or None."""
    return None if value is None else whole(field, value, least=least)


def truth(field: str, value: bool) -> bool:
    """Return a boolean; refuses what only looks like one."""
    if type(value) is not bool:
        raise FieldError(field, f"{value!r} is a {type(value).__name__}, not true or false")
    return value


def currency_code(field: str, value: str) -> str:
    """Return an ISO 4217 code."""
    text(field, value)
    try:
        Currency(value)
    except ValueError:
        raise FieldError(field, f"{value!r} is no ISO 4217 currency") from None
    return value

"""How amounts, moments and periods are written for people."""

from datetime import UTC, datetime
from decimal import Decimal


def amount(pico: int | None) -> str:
    """Return an amount, quantity or rate of 10^-12 in whole units."""
    return "none" if pico is None else f"{Decimal(pico).scaleb(-12).normalize():f}"


def moment(milliseconds: int | None) -> str:
    """Return a moment in UTC; a lane that has not seen a tick has none."""
    if milliseconds is None:
        return "no time yet"
    try:
        text = datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
        return text.removesuffix("+00:00").removesuffix(".000") + "Z"
    except (ValueError, OverflowError, OSError):
        return f"{milliseconds} ms"

"""What cannot be booked: moments outside the calendar, numbers that no ledger holds.

Where only the sum with what was there before decides, a dead letter is believed from a tenth of the limit on.
"""

AFTER_LAST = 221_845_392_000_000
"""The first moment of the year 9000; moments go from 1970 to there."""
MOST = 10**26
"""No balance, no month of a meter and no unit price may reach this (10^14 currency units)."""
MOST_QUANTITY = 10**36
"""No month's quantity may reach this."""
MOST_MINOR = 10**15
"""No amount in settings may be more minor units than this."""
MONEY_AHEAD_MS = 24 * 3_600_000
"""How far a payment or an adjustment may be ahead of its own record."""


def is_no_time(moment: int) -> bool:
    """Return whether a moment is outside of what can be booked."""
    return not 0 <= moment < AFTER_LAST


def may_be_too_much(amount: int) -> bool:
    """Return whether an amount can have been too much for the sum that it is added to."""
    return abs(amount) * 10 >= MOST

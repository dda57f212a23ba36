"""Exact money: integers of 10^-12 of a currency unit ("pico"), rounded half-even where a rule says so.

Quantities and rates are integers of 10^-12 too. No float, no Decimal.
"""

ONE = 10**12
"""One unit of currency, of quantity, or a rate of 100 %."""
DIGITS = 12
MOST = 10**26
"""No balance and no month's sum of one meter may reach this (10^14 currency units): in minor units of
every currency it fits into 64 bits."""
MOST_QUANTITY = 10**36
"""No month's quantity may reach this; decimal(38,12) leaves room above it."""
MOST_MINOR = 10**15
"""No amount in settings, and no top-up, may be more minor units than this."""


def half_even(numerator: int, denominator: int = ONE) -> int:
    """Return numerator / denominator, rounded half-even; the denominator is positive."""
    quotient, rest = divmod(numerator, denominator)
    twice = rest + rest
    if twice > denominator or (twice == denominator and quotient & 1):
        return quotient + 1
    return quotient


def round_up(numerator: int, denominator: int) -> int:
    """Return numerator / denominator, rounded towards plus infinity."""
    return -(-numerator // denominator)


def minor_unit(digits: int) -> int:
    """Return the pico of one minor unit of a currency with so many decimal digits."""
    unit: int = 10 ** (DIGITS - digits)
    return unit

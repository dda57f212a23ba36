"""What a month's quantity costs: this check's own price formula, in exact integers.

All amounts, quantities and rates are integers of 10^-12. The one rounding (half-even) is at the end.
"""

from dataclasses import dataclass

from schemas.wire import Record

UNIT = 10**12


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One step of a price; `up_to` None: no end."""

    up_to: int | None
    unit_price: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """One version of a meter's price in a currency."""

    meter: str
    currency: str
    version: int
    unit: str
    valid_from: int
    late: bool
    model: str
    tiers: tuple[Tier, ...]
    package_size: int | None
    free_allowance: int | None

    @classmethod
    def of(cls, record: Record) -> "Price":
        """Return the price that a record tells."""
        tiers = tuple(Tier(up_to=t["up_to"], unit_price=t["unit_price"]) for t in record["tiers"])
        return cls(**{**record, "tiers": tiers})


def cost(price: Price, quantity: int) -> int:
    """Return P(quantity), the price of a cumulative monthly quantity, rounded half-even to 10^-12."""
    units = max(0, quantity - (price.free_allowance or 0))
    match price.model:
        case "per_unit":
            exact = units * price.tiers[0].unit_price
        case "graduated":
            exact = _graduated(price.tiers, units)
        case "volume":
            exact = units * _tier_with(price.tiers, units).unit_price
        case "package":
            assert price.package_size is not None, price
            return -(-units // price.package_size) * price.tiers[0].unit_price
        case _:
            raise ValueError(f"no such price model: {price.model}")
    return half_even(exact, UNIT)


def tax(rate: int, net: int) -> int:
    """Return T = rate x net, rounded half-even to 10^-12."""
    return half_even(rate * net, UNIT)


def to_minor(amount: int, exponent: int) -> int:
    """Return an amount in minor units of a currency with this exponent, rounded half-even."""
    return half_even(amount, minor_unit(exponent))


def minor_unit(exponent: int) -> int:
    """Return one minor unit of a currency with this exponent, in 10^-12."""
    return int(10 ** (12 - exponent))


def half_even(numerator: int, denominator: int) -> int:
    """Return a quotient rounded to the nearest integer, from the middle to the even one."""
    whole, rest = divmod(numerator, denominator)
    if rest * 2 > denominator or (rest * 2 == denominator and whole % 2):
        return whole + 1
    return whole


def _graduated(tiers: tuple[Tier, ...], units: int) -> int:
    total = below = 0
    for tier in tiers:
        end = units if tier.up_to is None else min(units, tier.up_to)
        if end > below:
            total += (end - below) * tier.unit_price
            below = end
    return total


def _tier_with(tiers: tuple[Tier, ...], units: int) -> Tier:
    return next(tier for tier in tiers if tier.up_to is None or units <= tier.up_to)

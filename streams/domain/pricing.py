"""What usage costs: P(q) of a cumulative monthly quantity, T of its tax, and which price is in force.

A charge is P(after) - P(before) and its tax T(after) - T(before); P and T are rounded half-even here,
once, and nowhere else. Knows no account.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping

from streams.domain.events import Price, PriceModel, TaxRate
from streams.domain.money import MOST, ONE, half_even, round_up
from streams.domain.outputs import LineTier
from streams.domain.periods import in_range
from streams.domain.reasons import Reason, Rejected

NOTICE_MS = 10 * 60_000
"""A price that is valid sooner than this after it is published must be marked as late."""
MOST_TIERS = 1_000


class Formula:
    """What a quantity above the free allowance costs. Classes, not closures: those are slow when compiled."""

    __slots__ = ()

    def amount(self, quantity: int) -> int:
        """Return P without the allowance; `quantity` > 0."""
        raise NotImplementedError


class PerUnit(Formula):
    """Quantity x unit price."""

    __slots__ = ("_unit_price",)

    def __init__(self, unit_price: int) -> None:
        self._unit_price = unit_price

    def amount(self, quantity: int) -> int:
        """Return the quantity at its one price."""
        quotient, rest = divmod(quantity * self._unit_price, ONE)
        if rest + rest < ONE:  # half_even(), without the call
            return quotient
        return quotient + 1 if rest + rest > ONE or quotient & 1 else quotient


class Package(Formula):
    """Every package that was begun costs the unit price."""

    __slots__ = ("_size", "_unit_price")

    def __init__(self, size: int, unit_price: int) -> None:
        self._size = size
        self._unit_price = unit_price

    def amount(self, quantity: int) -> int:
        """Return the price of the packages."""
        return round_up(quantity, self._size) * self._unit_price


class Volume(Formula):
    """All of the quantity costs what the tier says that it reaches."""

    __slots__ = ("_price",)

    def __init__(self, price: Price) -> None:
        self._price = price

    def amount(self, quantity: int) -> int:
        """Return the quantity at the price of the tier it is in."""
        return half_even(quantity * _tier_price(self._price, quantity))


class Graduated(Formula):
    """Each tier's part of the quantity costs what that tier says."""

    __slots__ = ("_before", "_bounds")

    def __init__(self, price: Price) -> None:
        self._bounds: list[int] = []  # where each tier ends
        self._before: list[tuple[int, int, int]] = []  # where each begins, its price, the exact cost below it
        start = cost = 0
        for tier in price.tiers:
            self._before.append((start, tier.unit_price, cost))
            if tier.up_to is not None:
                self._bounds.append(tier.up_to)
                cost += (tier.up_to - start) * tier.unit_price
                start = tier.up_to

    def amount(self, quantity: int) -> int:
        """Return the sum over the tiers, rounded once."""
        bounds = self._bounds
        at = 0
        while at < len(bounds) and quantity > bounds[at]:
            at += 1
        begin, unit_price, below = self._before[at]
        return half_even(below + (quantity - begin) * unit_price)


class Rating:
    """One price version, ready to be used."""

    __slots__ = ("_allowance", "_formula", "price", "version")

    def __init__(self, price: Price) -> None:
        self.price = price
        self.version = price.version
        self._allowance = price.free_allowance or 0
        self._formula = _formula(price)

    def amount(self, quantity: int) -> int:
        """Return P: what a cumulative monthly quantity costs."""
        charged = quantity - self._allowance
        return self._formula.amount(charged) if charged > 0 else 0

    def tiers(self, quantity: int, before: int = 0) -> tuple[LineTier, ...]:
        """Return how P(quantity) - P(before) comes about; the parts' amounts add up to it exactly.

        None where there is no such way: nothing was added, or all of it has another volume price now.
        """
        price, allowance = self.price, self._allowance
        if quantity <= before or (before and price.model is PriceModel.VOLUME):
            return ()
        free = max(0, min(quantity, allowance) - before)
        parts = [LineTier(quantity=free, unit_price=0, amount=0)] if free else []
        start, end = max(0, before - allowance), max(0, quantity - allowance)
        if end == start:
            return tuple(parts)
        match price.model:
            case PriceModel.PACKAGE:
                size = price.package_size or 1
                packages = (round_up(end, size) - round_up(start, size)) * ONE
                if packages:
                    parts.append(self._tier(packages, price.tiers[0].unit_price, before, quantity))
            case PriceModel.PER_UNIT | PriceModel.VOLUME:
                parts.append(self._tier(end - start, _tier_price(price, end), before, quantity))
            case PriceModel.GRADUATED:
                below = 0
                for tier in price.tiers:
                    upper = end if tier.up_to is None else min(end, tier.up_to)
                    lower = max(below, start)
                    if upper > lower:
                        part = self._tier(
                            upper - lower, tier.unit_price, allowance + lower, allowance + upper
                        )
                        parts.append(part)
                    below = max(below, upper)
        return tuple(parts)

    def _tier(self, quantity: int, unit_price: int, before: int, after: int) -> LineTier:
        amount = self.amount(after) - self.amount(before)
        return LineTier(quantity=quantity, unit_price=unit_price, amount=amount)


class RateCard:
    """All versions of one meter's price in one currency."""

    __slots__ = ("_by_version", "_ratings", "_since", "last", "last_since")

    def __init__(self, prices: Iterable[Price]) -> None:
        """Of two versions valid from the same moment the higher one is in force."""
        ordered = sorted(prices, key=lambda p: (p.valid_from, p.version))
        self._ratings = [Rating(price) for price in ordered]
        self._since = [price.valid_from for price in ordered]
        self._by_version = {rating.version: rating for rating in self._ratings}
        self.last = self._ratings[-1]
        """The latest price and its first moment: read on the hot path instead of a call."""
        self.last_since = self._since[-1]

    def at(self, moment: int) -> Rating | None:
        """Return the price in force at a moment, or None before the first."""
        place = bisect_right(self._since, moment)
        return self._ratings[place - 1] if place else None

    def version(self, version: int) -> Rating | None:
        """Return a version."""
        return self._by_version.get(version)


def tax_of(rate: int, amount: int) -> int:
    """Return T: rate x P, rounded half-even."""
    return half_even(rate * amount)


def rate_at(rates: tuple[TaxRate, ...], moment: int) -> int | None:
    """Return the tax rate in force at a moment, or None; rates are in order of valid_from."""
    for tax_rate in reversed(rates):
        if tax_rate.valid_from <= moment:
            return tax_rate.rate
    return None


def flaw(price: Price, minor_digits: Mapping[str, int]) -> Rejected | None:
    """Return what is wrong with a price by itself, or None."""
    problem = _problem(price, minor_digits)
    return Rejected(reason=Reason.BAD_PRICE, detail=problem) if problem else None


def _problem(price: Price, minor_digits: Mapping[str, int]) -> str | None:
    tiers = price.tiers
    if price.currency not in minor_digits:
        return f"currency {price.currency!r} is not known"
    if price.version < 1 or not price.meter:
        return "version must be 1 or more, and the meter named"
    if not in_range(price.valid_from):
        return "valid_from is outside the calendar"
    if not 1 <= len(tiers) <= MOST_TIERS:
        return f"{len(tiers)} tiers: there must be 1 to {MOST_TIERS}"
    if price.model in {PriceModel.PER_UNIT, PriceModel.PACKAGE} and len(tiers) != 1:
        return f"a {price.model} price has one tier, not {len(tiers)}"
    if tiers[-1].up_to is not None:
        return "the last tier must have no up_to"
    below = 0
    for tier in tiers[:-1]:
        if tier.up_to is None or tier.up_to <= below:
            return "tiers must rise, each up_to above the one before"
        below = tier.up_to
    if any(not 0 <= tier.unit_price < MOST for tier in tiers):
        return "a unit_price is negative or too large"
    if (price.model is PriceModel.PACKAGE) != (price.package_size is not None):
        return "package_size belongs to a package price, and only to that"
    if price.package_size is not None and price.package_size <= 0:
        return "package_size must be positive"
    if price.free_allowance is not None and price.free_allowance < 0:
        return "free_allowance is negative"
    return None


def _formula(price: Price) -> Formula:
    match price.model:
        case PriceModel.PER_UNIT:
            return PerUnit(price.tiers[0].unit_price)
        case PriceModel.PACKAGE:
            return Package(price.package_size or 1, price.tiers[0].unit_price)
        case PriceModel.VOLUME:
            return Volume(price)
        case PriceModel.GRADUATED:
            return Graduated(price)


def _tier_price(price: Price, quantity: int) -> int:
    for tier in price.tiers:
        if tier.up_to is None or quantity <= tier.up_to:
            return tier.unit_price
    raise AssertionError("the last tier has no end")

"""The rate card of one lane as its price records made it: which price is in force, which is refused."""

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import pairwise

from schemas.wire import Record as Content
from verify import limits
from verify.accounts import exponent_of
from verify.pricing import Price

MOST_TIERS = 1_000
NOTICE_MS = 10 * 60_000
"""A price must be published this long before it is valid, or be marked as late."""


@dataclass(slots=True)
class Rates:
    """All prices that a lane took in."""

    by_version: dict[tuple[str, str, int], Price] = field(default_factory=dict)
    _in_order: dict[tuple[str, str], list[tuple[int, int, Price]]] = field(default_factory=dict)

    def add(self, price: Price) -> None:
        """Take in a price."""
        self.by_version[price.meter, price.currency, price.version] = price
        order = self._in_order.setdefault((price.meter, price.currency), [])
        order.append((price.valid_from, price.version, price))
        order.sort(key=lambda row: row[:2])

    def in_force(self, meter: str, currency: str, moment: int) -> Price | None:
        """Return the price in force at a moment: the latest valid_from, of two the higher version."""
        order = self._in_order.get((meter, currency))
        if not order:
            return None
        at = bisect_right(order, moment, key=lambda row: row[0])
        return order[at - 1][2] if at else None


def is_bad(price: Content) -> bool:
    """Return whether a price record cannot be a price."""
    tiers = price["tiers"]
    ends = [tier["up_to"] for tier in tiers]
    if not tiers or ends[-1] is not None or None in ends[:-1]:
        return True
    rising = all(low < high for low, high in pairwise([0, *ends[:-1]]))
    single = price["model"] in {"per_unit", "package"}
    size = price["package_size"]
    return (
        not rising
        or (single and len(tiers) != 1)
        or (price["model"] == "package" and (size is None or size <= 0))
        or (price["free_allowance"] or 0) < 0
        or exponent_of(price["currency"]) is None
    )


def may_be_bad(price: Content) -> bool:
    """Return whether the contract leaves open if a price is refused; then the dead letter decides."""
    return (
        is_bad(price)
        or price["version"] < 1
        or not price["meter"]
        or not price["unit"]
        or limits.is_no_time(price["valid_from"])
        or len(price["tiers"]) > MOST_TIERS
        or any(not 0 <= tier["unit_price"] < limits.MOST for tier in price["tiers"])
        or (price["model"] != "package" and price["package_size"] is not None)
    )

"""This check's own price formula, against figures worked out by hand."""

import pytest

from tests.unit.verify.history import pico
from verify import pricing
from verify.pricing import Price, Tier

TIERS = (("100", "0.10"), ("1000", "0.05"), (None, "0.01"))


def price(
    model: str, *tiers: tuple[str | None, str], size: str | None = None, free: str | None = None
) -> Price:
    """Return a price of this model."""
    return Price(
        meter="api-calls",
        currency="EUR",
        version=1,
        unit="call",
        valid_from=0,
        late=False,
        model=model,
        tiers=tuple(
            Tier(up_to=None if end is None else pico(end), unit_price=pico(unit)) for end, unit in tiers
        ),
        package_size=None if size is None else pico(size),
        free_allowance=None if free is None else pico(free),
    )


@pytest.mark.parametrize(
    ("of", "quantity", "cost"),
    [
        (price("per_unit", (None, "0.01")), "0", "0"),
        (price("per_unit", (None, "0.01")), "1.5", "0.015"),
        (price("per_unit", (None, "0.01"), free="100"), "100", "0"),
        (price("per_unit", (None, "0.01"), free="100"), "101", "0.01"),
        (price("per_unit", (None, "0.000000000001")), "0.5", "0"),
        (price("per_unit", (None, "0.000000000001")), "1.5", "0.000000000002"),
        (price("per_unit", (None, "0.000000000001")), "2.5", "0.000000000002"),
        (price("graduated", *TIERS), "100", "10"),
        (price("graduated", *TIERS), "101", "10.05"),
        (price("graduated", *TIERS), "2000", "65"),
        (price("graduated", *TIERS, free="1000"), "2000", "55"),
        (price("volume", *TIERS), "100", "10"),
        (price("volume", *TIERS), "101", "5.05"),
        (price("volume", *TIERS), "1001", "10.01"),
        (price("package", (None, "3"), size="50"), "0", "0"),
        (price("package", (None, "3"), size="50"), "50", "3"),
        (price("package", (None, "3"), size="50"), "50.000000000001", "6"),
        (price("package", (None, "3"), size="50", free="50"), "51", "3"),
    ],
)
def test_a_month_quantity_has_one_price(of: Price, quantity: str, cost: str) -> None:
    assert pricing.cost(of, pico(quantity)) == pico(cost)


@pytest.mark.parametrize(
    ("amount", "minor"),
    [("0.005", 0), ("0.015", 2), ("0.025", 2), ("-0.005", 0), ("-0.015", -2), ("1.2351", 124)],
)
def test_minor_units_are_rounded_half_even(amount: str, minor: int) -> None:
    assert pricing.to_minor(pico(amount), 2) == minor


def test_tax_is_rounded_half_even() -> None:
    assert pricing.tax(pico("0.5"), 1) == 0
    assert pricing.tax(pico("0.5"), 3) == 2
    assert pricing.tax(pico("0.19"), pico("16")) == pico("3.04")

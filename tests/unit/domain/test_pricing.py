"""P and T: what a cumulative monthly quantity costs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.domain.events import PriceModel, TaxRate
from streams.domain.money import ONE, half_even
from streams.domain.pricing import RateCard, Rating, flaw, rate_at, tax_of
from tests.unit.domain.build import money, policy, price

LADDER = [("100", "0.10"), ("1000", "0.05"), (None, "0.01")]


@pytest.mark.parametrize(
    ("model", "more", "quantity", "cost"),
    [
        (PriceModel.PER_UNIT, {"unit_price": "0.25"}, "3", "0.75"),
        (PriceModel.PER_UNIT, {"unit_price": "0.25", "free_allowance": money(2)}, "3", "0.25"),
        (PriceModel.PER_UNIT, {"unit_price": "0.25", "free_allowance": money(2)}, "2", "0"),
        (PriceModel.GRADUATED, {"tiers": LADDER}, "100", "10"),
        (PriceModel.GRADUATED, {"tiers": LADDER}, "101", "10.05"),
        (PriceModel.GRADUATED, {"tiers": LADDER}, "1100", "56"),
        (PriceModel.GRADUATED, {"tiers": LADDER, "free_allowance": money(50)}, "150", "10"),
        (PriceModel.VOLUME, {"tiers": LADDER}, "100", "10"),
        (PriceModel.VOLUME, {"tiers": LADDER}, "101", "5.05"),
        (PriceModel.PACKAGE, {"unit_price": "5", "package_size": money(100)}, "0", "0"),
        (PriceModel.PACKAGE, {"unit_price": "5", "package_size": money(100)}, "0.5", "5"),
        (PriceModel.PACKAGE, {"unit_price": "5", "package_size": money(100)}, "100", "5"),
        (PriceModel.PACKAGE, {"unit_price": "5", "package_size": money(100)}, "100.000000000001", "10"),
    ],
)
def test_each_model_prices_a_month_quantity(
    model: PriceModel, more: dict[str, object], quantity: str, cost: str
) -> None:
    rating = Rating(price(model=model, **more).price)  # type: ignore[arg-type]

    assert rating.amount(money(quantity)) == money(cost)


def test_rounding_is_half_even_once() -> None:
    half = Rating(price("0.000000000001").price)

    assert [half.amount(money(q)) for q in ("0.5", "1.5", "2.5", "2.500000000001")] == [0, 2, 2, 3]
    assert half_even(-5, 10) == 0
    assert half_even(-15, 10) == -2


def test_tax_is_the_rate_of_p_rounded_half_even() -> None:
    assert tax_of(money("0.19"), money("1.50")) == money("0.285")
    assert tax_of(money("0.5"), 1) == 0
    assert tax_of(money("0.5"), 3) == 2


def test_the_latest_rate_not_after_the_moment_is_in_force() -> None:
    rates = (TaxRate(100, 1), TaxRate(200, 2))

    assert [rate_at(rates, t) for t in (99, 100, 199, 200)] == [None, 1, 1, 2]


def test_a_price_is_in_force_from_its_first_moment_until_the_next_one() -> None:
    card = RateCard([price(version=2, valid_from=200).price, price(version=1, valid_from=100).price])

    found = [card.at(t) for t in (99, 100, 199, 200)]

    assert [rating and rating.version for rating in found] == [None, 1, 1, 2]


def test_of_two_prices_from_the_same_moment_the_higher_version_is_in_force() -> None:
    card = RateCard([price(version=2, valid_from=100).price, price(version=1, valid_from=100).price])

    assert card.last.version == 2


@pytest.mark.parametrize(
    "more",
    [
        {"tiers": [("10", "1"), ("10", "1"), (None, "1")], "model": PriceModel.GRADUATED},
        {"tiers": [("10", "1"), ("20", "1")], "model": PriceModel.VOLUME},
        {"tiers": [(None, "1"), (None, "1")], "model": PriceModel.VOLUME},
        {"tiers": [("10", "1"), (None, "1")], "model": PriceModel.PER_UNIT},
        {"unit_price": "-1"},
        {"package_size": money(1)},
        {"model": PriceModel.PACKAGE},
        {"model": PriceModel.PACKAGE, "package_size": 0},
        {"free_allowance": -1},
        {"currency": "XXX"},
        {"version": 0},
        {"valid_from": -1},
    ],
)
def test_a_price_that_makes_no_sense_is_refused(more: dict[str, object]) -> None:
    assert flaw(price(**more).price, policy().minor_digits) is not None  # type: ignore[arg-type]


QUANTITIES = st.integers(0, 10**18)


@given(
    model=st.sampled_from(PriceModel),
    quantity=QUANTITIES,
    free=st.none() | QUANTITIES,
    prices=st.lists(st.integers(0, 10**14), min_size=3, max_size=3),
    bounds=st.lists(st.integers(1, 10**17), min_size=2, max_size=2, unique=True),
)
@settings(deadline=None)
def test_the_tiers_of_a_line_add_up_to_p_exactly(
    model: PriceModel, quantity: int, free: int | None, prices: list[int], bounds: list[int]
) -> None:
    base = price(model=model, free_allowance=free, package_size=10**13).price
    low, high = sorted(bounds)
    tiers = tuple(
        type(base.tiers[0])(up_to, each) for up_to, each in zip((low, high, None), prices, strict=True)
    )
    if model in {PriceModel.PER_UNIT, PriceModel.PACKAGE}:
        tiers = tiers[-1:]
    rating = Rating(type(base)(**{f: getattr(base, f) for f in base.__slots__} | {"tiers": tiers}))

    parts = rating.tiers(quantity)

    assert sum(part.amount for part in parts) == rating.amount(quantity)
    if model is not PriceModel.PACKAGE:
        assert sum(part.quantity for part in parts) == quantity
        assert all(abs(part.amount * ONE - part.quantity * part.unit_price) <= ONE for part in parts)

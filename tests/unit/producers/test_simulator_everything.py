"""The whole simulation: everything happens, also in a small one; the same seed is the same bytes."""

from collections import Counter
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from producers import world
from producers.disturbances import EVERY_KIND
from producers.everything import QUIET_FROM_MONTHS, START, Everything
from producers.lives import KINDS
from producers.market import DAY_MS, HOUR_MS
from producers.simulator import DEAD, SimulationError, Step
from producers.values import millis
from schemas.wire import fixed

GOLDEN = "7cc916fc4b402ed6287712b647288e0335dc3de6d735acdd4430ba500c7876cf"
"""Of seed 7, 20 accounts, 1 month."""


def small(**changes: Any) -> Everything:
    return Everything(**{"seed": 7, "accounts": 20, "months": 1, **changes})


def digest(steps: list[Step]) -> str:
    content = sha256()
    for step in steps:
        content.update(f"tick {step.tick} {step.down}\n".encode())
        for phase in step.phases:
            content.update(b"".join(repr(emission).encode() + b"\n" for emission in phase) + b"\n")
    return content.hexdigest()


def test_the_same_seed_is_the_same_bytes_for_ever() -> None:
    assert digest(list(small().steps())) == digest(list(small().steps())) == GOLDEN
    assert digest(list(small(seed=8).steps())) != GOLDEN


def test_a_small_simulation_has_everything_in_it() -> None:
    counts = small(accounts=40, months=3).expected()

    must = {
        *("usage", "usage_late", "duplicate", "forgotten_duplicate", "late_price", "settings", "profile"),
        *("zone_change", "tax_change", "close", "erasure", "succeeded", "failed", "refunded"),
        *(
            "refund_before_payment",
            "refund_too_much",
            "disputed",
            "dispute_won",
            "returned",
            "credit",
            "debit",
        ),
        *("payment_duplicate", "settings_duplicate", "adjustment_duplicate", "adjustment_conflict"),
        *("reversal", "reversal_late", "reversal_early", "reversal_again", "reversal_of_other"),
        *("reversal_of_none", "reversal_too_late"),
        *(DEAD + reason for reason, _ in EVERY_KIND),
    }
    assert {kind for kind in must if not counts[kind]} == set()


def test_each_kind_of_customer_is_found_in_each_zone() -> None:
    zones = len(world.ZONES)
    pairs = {(n % len(KINDS), n % zones) for n in range(len(KINDS) * zones)}

    assert len(pairs) == len(KINDS) * zones
    assert len(set(world.ZONES)) == zones
    for zone in world.ZONES:
        ZoneInfo(zone)


def test_all_price_models_have_versions_within_a_month_and_some_come_late() -> None:
    simulation = small(months=6)
    prices = [price for *_, price in world.prices(simulation.start, _months(6), None)]
    late = {price["meter"] for price in prices if price["late"] and price["version"] > 1}

    assert {price["model"] for price in prices} == {"per_unit", "graduated", "volume", "package"}
    assert Counter(price["meter"] for price in prices).total() > 2 * len(world.METERS) * 7
    assert late
    for at, kind, price in world.prices(simulation.start, _months(6), None):
        notice = price["valid_from"] - at
        assert price["version"] == 1 or (notice >= 10 * 60_000) is (kind == "price")


def _months(count: int) -> list[int]:
    return [
        millis("month", datetime(2023 + (11 + n) // 12, (11 + n) % 12 + 1, 1, tzinfo=UTC))
        for n in range(count)
    ]


def test_a_long_simulation_has_months_without_a_tick_in_which_usage_goes_on() -> None:
    simulation = Everything(accounts=20, months=QUIET_FROM_MONTHS)

    [gap] = [step for step in simulation.steps() if step.down]

    assert simulation.quiet == (gap.tick - 71 * DAY_MS, gap.tick)
    assert gap.counts["usage"] > 20 * 30
    assert small().quiet is None


def test_what_the_order_across_topics_would_decide_is_in_a_phase_of_its_own() -> None:
    schemas, topics = fixed(), [Counter[str]() for _ in range(4)]
    for step in small(accounts=40, months=3).steps():
        for phase, found in zip(step.phases, topics, strict=True):
            found.update(emission.topic for emission in phase)
    closing = [
        schemas.decode(emission.value, "account-settings")[1]["closed"]
        for step in small(accounts=40, months=3).steps()
        for emission in step.phases[3]
        if emission.value is not None
    ]

    assert set(topics[0]) == {"prices", "adjustments"}  # reversals before their usage
    assert set(topics[2]) == {"adjustments"}
    assert set(topics[3]) == {"account-settings", "account-profiles"}
    assert closing
    assert all(closing)


def test_months_end_in_every_zone_between_two_ticks() -> None:
    simulation = small(months=2)

    for zone in world.ZONES:
        end = millis("end", datetime(2024, 1, 1, tzinfo=ZoneInfo(zone)))
        assert min(tick - end for tick in simulation.ticks if tick >= end) <= 6 * HOUR_MS
        assert max(simulation.ticks) > end + HOUR_MS + 31 * DAY_MS - DAY_MS


@pytest.mark.parametrize(
    "changes",
    [{"accounts": 0}, {"months": 0}, {"lanes": 0}, {"max_age_days": 36}, {"start": START.replace(day=2)}],
)
def test_what_makes_no_simulation_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(SimulationError):
        small(**changes)

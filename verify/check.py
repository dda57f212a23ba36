"""Runs every invariant over one deployment's topics. No I/O: topics in, report out."""

from collections.abc import Callable

from streams.settings import Settings
from verify.evidence import Evidence
from verify.invariants import charges, inputs, invoices, numbers, ownership, payments, state, sums, top_ups
from verify.report import Check, Report
from verify.topics import Topics

INVARIANTS: tuple[Callable[[Evidence], Check], ...] = (
    sums.check,
    charges.check,
    invoices.check,
    top_ups.check,
    payments.check,
    numbers.check,
    state.check,
    inputs.check,
    ownership.check,
)


def check(topics: Topics, settings: Settings) -> Report:
    """Return what holds and what does not, invariant by invariant."""
    evidence = Evidence.of(topics, settings)
    notes = [
        f"relies on these settings having been the same all along: max_age {settings.max_age_days} days, "
        f"grace {settings.grace_minutes} min, clock {settings.clock}, defaults {settings.default_currency} "
        f"and {settings.default_zone}"
    ]
    return Report([invariant(evidence) for invariant in INVARIANTS], notes)

"""The laws can fail: a bug planted into the rules is caught by the law that forbids it."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from streams.agents import shelves
from streams.domain import invoice, ledger, money, payments, pricing, reversals, topup, usage
from streams.domain.account import NEVER
from streams.domain.outcomes import Outcome
from streams.domain.reasons import Reason, Rejected
from tests.laws.books import Broken
from tests.laws.check import FAILURES, Law, laws_of, shortest
from tests.laws.history import make
from tests.simulation.bugs_of_agents import what_charges_changed_is_not_read_back
from tests.simulation.bugs_of_rules import a_settled_account_is_written_as_before
from tests.unit.domain.build import SeenDict

SEEDS = 300
LAWS: dict[str, Law] = {law.__name__: law for seed in (0, 1) for law in laws_of(make(seed))}


def caught(law: Law) -> int:
    """Return the first seed on whose history a law breaks."""
    for seed in range(SEEDS):
        try:
            history = make(seed)
        except FAILURES:
            continue  # the bug stopped the rules themselves; here the law must see it
        if law not in laws_of(history):
            continue
        try:
            law(history.events, history.play, Random(seed))
        except Broken:
            return seed
    pytest.fail(f"{law.__name__} holds in {SEEDS} histories in spite of the bug")


def plant(patch: pytest.MonkeyPatch, owner: Any, name: str, bug: Callable[..., Any]) -> None:
    """Replace a function by a bug, that is given the function as its first argument."""
    right = getattr(owner, name)
    patch.setattr(owner, name, lambda *args, **more: bug(right, *args, **more))


def credit_every_delivery(patch: pytest.MonkeyPatch) -> None:
    """A success is credited as often as it is delivered."""

    def succeed(right: Any, desk: Any, account: Any, payment: Any, event: Any) -> Any:
        payment.paid = 0
        return right(desk, account, payment, event)

    plant(patch, payments, "_succeed", succeed)


def forget_ids(patch: pytest.MonkeyPatch) -> None:
    """No usage event is remembered."""
    patch.setattr(SeenDict, "get", lambda *_: None)


def round_down(patch: pytest.MonkeyPatch) -> None:
    """Prices are rounded down."""
    patch.setattr(pricing, "half_even", lambda numerator, denominator=money.ONE: numerator // denominator)


def tax_by_the_newest_rate(patch: pytest.MonkeyPatch) -> None:
    """The newest tax rate counts, whenever usage happened."""
    patch.setattr(pricing, "rate_at", lambda rates, _: rates[-1].rate)


def reverse_again(patch: pytest.MonkeyPatch) -> None:
    """A reversal leaves no mark on its event, so that another one takes it back again."""
    patch.setattr(reversals.usage, "mark", lambda *_: None)


def lose_the_opening(patch: pytest.MonkeyPatch) -> None:
    """An invoice does not begin where the one before ended."""

    def write(right: Any, desk: Any, account: Any, totals: Any) -> None:
        right(desk, account, totals)
        account.opening += 1

    plant(patch, invoice, "write", write)
    patch.setattr(ledger, "check", lambda _: None)


def ignore_what_is_pending(patch: pytest.MonkeyPatch) -> None:
    """A command is made though another one is pending."""

    def blocked(right: Any, account: Any) -> Any:
        reason = right(account)
        return None if reason == topup.Decision.PENDING and account.automatic_top_up else reason

    plant(patch, topup, "_blocked", blocked)


def count_nothing_against_the_limit(patch: pytest.MonkeyPatch) -> None:
    """Each command is held against the whole monthly limit."""

    def taken(right: Any, desk: Any, account: Any) -> int:
        right(desk, account)
        return 0

    plant(patch, topup, "_taken", taken)


def hear_again(patch: pytest.MonkeyPatch) -> None:
    """What moves no money is applied as often as it is said."""
    plant(patch, payments, "_hear", lambda right, *args: (right(*args), Outcome.APPLIED)[1])


def lose_a_field(patch: pytest.MonkeyPatch) -> None:
    """A restart forgets that a mail is due."""

    def account_of(right: Any, values: Any) -> Any:
        account = right(values)
        account.mail_at = NEVER
        return account

    plant(patch, shelves, "account_of", account_of)


def forget_rows_since_the_state_was_written(patch: pytest.MonkeyPatch) -> None:
    """A restart takes the balance and its totals, but not the month quantities that came to them."""

    def catch_up(right: Any, account: Any, values: Any) -> None:
        right(account, [*values[:-1], []])

    plant(patch, shelves, "catch_up", catch_up)


def refuse_usage_before_its_settings(patch: pytest.MonkeyPatch) -> None:
    """Usage of an unknown account is refused instead of waiting for its settings."""

    def apply(right: Any, desk: Any, event: Any) -> Any:
        if desk.accounts.get(event.account_id) is None:
            return Rejected(reason=Reason.NO_PRICE, detail="no account")
        return right(desk, event)

    plant(patch, usage, "apply", apply)


BUGS = [
    ("money_is_conserved", credit_every_delivery),
    ("usage_is_charged_once", forget_ids),
    ("usage_is_charged_once", round_down),
    ("usage_is_charged_once", tax_by_the_newest_rate),
    ("usage_is_charged_once", reverse_again),
    ("each_charge_is_on_one_invoice", lose_the_opening),
    ("one_top_up_is_pending", ignore_what_is_pending),
    ("the_limit_is_never_passed", count_nothing_against_the_limit),
    ("redelivery_changes_nothing", hear_again),
    ("batches_change_nothing", lose_a_field),
    ("batches_change_nothing", what_charges_changed_is_not_read_back),
    ("batches_change_nothing", forget_rows_since_the_state_was_written),
    ("batches_change_nothing", a_settled_account_is_written_as_before),
    ("interleaving_changes_no_charge", refuse_usage_before_its_settings),
]


@pytest.mark.parametrize(("law", "bug"), BUGS, ids=lambda value: getattr(value, "__name__", value))
def test_a_planted_bug_is_caught(law: str, bug: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bug(monkeypatch)

    caught(LAWS[law])


def test_every_law_has_a_bug_that_breaks_it() -> None:
    assert {law for law, _ in BUGS} == set(LAWS)


def test_a_failure_is_told_by_few_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    credit_every_delivery(monkeypatch)
    law = LAWS["money_is_conserved"]
    seed = caught(law)

    few = shortest(law, make(seed).events, seed)

    assert len(few) <= 3  # the account's settings, and the success twice

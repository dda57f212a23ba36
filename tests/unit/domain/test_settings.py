"""Settings: the highest revision wins, and what may not change does not."""

import pytest

from streams.domain.events import TaxRate
from streams.domain.outcomes import Outcome
from streams.domain.periods import EVER, ZoneFrom
from streams.domain.reasons import Reason, Rejected
from tests.laws.restart import published
from tests.unit.domain.build import START, Lane, at, auto, money, month, pay, price, settings, tick, usage


def reason(outcome: Outcome | Rejected) -> Reason:
    assert isinstance(outcome, Rejected)
    return outcome.reason


def test_a_revision_that_is_not_above_the_last_is_a_duplicate() -> None:
    lane = Lane(settings(2, overdraft_minor=5))

    outcomes = [lane.send(settings(revision, overdraft_minor=9)) for revision in (1, 2, 4, 3)]

    assert outcomes == [Outcome.DUPLICATE, Outcome.DUPLICATE, Outcome.APPLIED, Outcome.DUPLICATE]
    assert lane.account().revision == 4


def test_the_currency_may_change_until_the_first_booking() -> None:
    lane = Lane(settings())

    assert lane.send(settings(2, currency="EUR")) is Outcome.APPLIED
    lane.send(pay(100, currency="EUR"))
    assert reason(lane.send(settings(3, currency="USD"))) is Reason.CURRENCY_MISMATCH
    assert lane.account().currency == "EUR"
    assert lane.account().revision == 2


@pytest.mark.parametrize(
    "more",
    [
        {"revision": 0},
        {"currency": "XXX"},
        {"zone": "Mars/Olympus"},
        {"when": -1},
        {"tax": "-0.01"},
        {"tax": "1.01"},
        {"tax_rates": (TaxRate(0, 1), TaxRate(0, 2))},
        {"overdraft_minor": -1},
        {"warning_level_minor": -1},
        {"automatic_top_up": auto(threshold_minor=-1)},
        {"automatic_top_up": auto(amount_minor=0)},
        {"automatic_top_up": auto(amount_minor=None)},
        {"automatic_top_up": auto(target_minor=3_000)},
        {"automatic_top_up": auto(amount_minor=None, target_minor=1_999)},
        {"automatic_top_up": auto(monthly_limit_minor=-1)},
        {"automatic_top_up": auto(payment_method_ref="")},
    ],
)
def test_settings_that_make_no_sense_are_refused(more: dict[str, object]) -> None:
    lane = Lane()

    assert reason(lane.send(settings(**more))) is Reason.BAD_SETTINGS  # type: ignore[arg-type]
    assert lane.shelves.accounts.get("acme") is None


def test_the_currency_stays_once_a_top_up_was_asked_for_since_its_money_may_still_come() -> None:
    lane = Lane(settings(automatic_top_up=auto()))
    lane.tick(START)
    assert len(lane.commands) == 1

    assert reason(lane.send(settings(2, currency="EUR"))) is Reason.CURRENCY_MISMATCH


def test_the_balance_says_which_settings_are_in_force_and_whether_the_account_was_opened_by_default() -> None:
    lane = Lane(price(), usage(), tick(START))
    opened = [published(account) for account in lane.book.touched()]

    lane.send(settings(7))

    set_up = [published(account) for account in lane.book.touched()]
    assert [(b.revision, b.by_default) for b in opened] == [(0, True)]
    assert [(b.revision, b.by_default) for b in set_up] == [(7, False)]


def test_a_change_of_zone_starts_with_the_period_after_it_was_made() -> None:
    lane = Lane(price(), settings(), tick(START))

    lane.send(settings(2, zone="Asia/Tokyo"))
    lane.send(usage(when=at("2025-01-31 23:30")))
    lane.send(usage(when=at("2025-02-28 15:00")))

    assert lane.account().zones == (ZoneFrom(EVER, "UTC"), ZoneFrom(month("2025-02"), "Asia/Tokyo"))
    assert [e.month for e in lane.entries] == [month("2025-01"), month("2025-03")]


def test_a_change_of_zone_that_is_read_late_does_not_touch_closed_periods() -> None:
    lane = Lane(price(), settings(), usage(), tick(START))
    lane.tick("2025-03-05")

    lane.send(settings(2, zone="Asia/Tokyo", when=START))

    assert lane.account().zones[-1] == ZoneFrom(month("2025-03"), "Asia/Tokyo")


def test_a_zone_that_makes_the_open_period_due_at_once_closes_it_at_once() -> None:
    lane = Lane(price(), settings(), tick(at("2025-01-10")))
    lane.send(usage(when=at("2025-02-10"), read=at("2025-02-10")))
    lane.tick("2025-02-28 20:00")

    lane.send(settings(2, zone="Asia/Tokyo", when=at("2025-01-15")))
    lane.tick("2025-02-28 20:01")

    assert [invoice.period for invoice in lane.invoices] == [month("2025-02")]
    assert lane.invoices[0].period_end == at("2025-02-28 15:00")


def test_tax_rates_are_applied_in_order_of_their_first_moment() -> None:
    rates = (TaxRate(START, money("0.2")), TaxRate(0, money("0.1")))
    lane = Lane(price("1"), settings(tax_rates=rates))

    lane.send(usage(1, when=START - 1))

    assert lane.entries[1].amount == -money("0.1")

"""Bugs planted into the rules: each a plausible mistake about money or time."""

from random import Random
from typing import Any

import pytest

from streams.domain import (
    adjustments,
    closing,
    invoice,
    ledger,
    money,
    payments,
    periods,
    pricing,
    reversals,
    standing,
    topup,
    usage,
    waiting,
)
from streams.domain.book import Book
from streams.domain.desk import Desk
from streams.domain.events import PaymentKind, Tick
from streams.domain.outcomes import Outcome
from tests.simulation.planting import wrap


def command_ids_are_random(patch: pytest.MonkeyPatch) -> None:
    """A command sent again has another id, so that the provider charges it again."""
    random = Random(1)

    def send(right: Any, desk: Desk, account: Any, pending: Any) -> None:
        pending.command_id = f"{account.account_id}:{pending.episode}:{random.randrange(10**6)}"
        right(desk, account, pending)

    wrap(patch, topup, "_send", send)


def invoice_numbers_are_random(patch: pytest.MonkeyPatch) -> None:
    """Numbers of invoices come from a generator."""
    random = Random(1)
    patch.setattr(
        invoice, "number", lambda account, sequence: f"{account.account_id}-{random.randrange(10**6)}"
    )


def a_late_line_is_in_two_invoices(patch: pytest.MonkeyPatch) -> None:
    """What came late is left to be invoiced again."""

    def mark(right: Any, row: Any, sequence: int, period: int) -> None:
        before = (row.invoiced_quantity, row.invoiced_amount, row.invoiced_tax, row.charges)
        had_been_invoiced = bool(row.parts)
        right(row, sequence, period)
        if had_been_invoiced:
            row.invoiced_quantity, row.invoiced_amount, row.invoiced_tax, row.charges = before

    wrap(patch, invoice, "_mark_invoiced", mark)


def the_limit_is_off_by_the_pending_top_up(patch: pytest.MonkeyPatch) -> None:
    """What is pending, or was taken last, does not count against the monthly limit."""

    def make(right: Any, desk: Desk, account: Any, *how: Any) -> None:
        right(desk, account, *how)
        account.top_up.taken_minor -= account.top_up.pending.amount_minor

    def end(right: Any, top_up: Any) -> None:
        pending = top_up.pending
        right(top_up)
        top_up.taken_minor += pending.amount_minor

    wrap(patch, topup, "_make", make)
    wrap(patch, topup, "_end_without_money", end)


def a_month_begins_an_hour_late_in_one_zone(patch: pytest.MonkeyPatch) -> None:
    """The border of months in New York is an hour off."""

    def midnight(right: Any, month: int, zone: str) -> int:
        found: int = right(month, zone)
        return found + 3_600_000 if zone == "America/New_York" else found

    wrap(patch, periods, "_midnight", midnight)
    periods.calendar.cache_clear()


def prices_are_rounded_down(patch: pytest.MonkeyPatch) -> None:
    """P is rounded towards zero."""
    patch.setattr(pricing, "half_even", lambda numerator, denominator=money.ONE: numerator // denominator)


def the_newest_tax_rate_counts(patch: pytest.MonkeyPatch) -> None:
    """Tax is at the newest rate, whenever usage happened."""
    patch.setattr(pricing, "rate_at", lambda rates, moment: rates[-1].rate)


def a_success_is_credited_again(patch: pytest.MonkeyPatch) -> None:
    """A success is credited as often as it is said."""

    def succeed(right: Any, desk: Desk, account: Any, payment: Any, event: Any) -> Any:
        payment.paid = 0
        return right(desk, account, payment, event)

    wrap(patch, payments, "_succeed", succeed)


def a_refund_may_pass_its_payment(patch: pytest.MonkeyPatch) -> None:
    """Each refund alone is held against the payment."""

    def take(right: Any, desk: Desk, account: Any, payment: Any, event: Any) -> Any:
        taken, payment.taken = payment.taken, [t for t in payment.taken if t.kind == PaymentKind.DISPUTED]
        outcome = right(desk, account, payment, event)
        payment.taken = [*[t for t in taken if t not in payment.taken], *payment.taken]
        return outcome

    wrap(patch, payments, "_take", take)


def a_second_command_is_made_while_one_is_pending(patch: pytest.MonkeyPatch) -> None:
    """What is pending does not keep from making another command."""

    def blocked(right: Any, account: Any) -> Any:
        reason = right(account)
        return None if reason is topup.Decision.PENDING and account.automatic_top_up else reason

    wrap(patch, topup, "_blocked", blocked)


def a_closed_period_is_charged(patch: pytest.MonkeyPatch) -> None:
    """Late usage goes to the month of its event, open or not."""

    def charge(right: Any, desk: Desk, account: Any, event: Any, month: int, *more: Any) -> None:
        first_open, account.first_open = account.first_open, min(account.first_open, month)
        right(desk, account, event, month, *more)
        account.first_open = first_open

    wrap(patch, ledger, "charge", charge)


def a_second_copy_counts_as_applied(patch: pytest.MonkeyPatch) -> None:
    """A second copy of an adjustment counts as applied."""

    patch.setattr(adjustments, "again", lambda known, event: Outcome.APPLIED)


def a_reversal_leaves_no_mark(patch: pytest.MonkeyPatch) -> None:
    """A usage event can be taken back twice."""
    patch.setattr(reversals.usage, "mark", lambda *_: None)


def time_goes_back(patch: pytest.MonkeyPatch) -> None:
    """A tick that is behind moves the lane's time back."""

    def tick(right: Any, self: Book, event: Any) -> Any:
        outcome = right(self, event)
        if outcome is Outcome.APPLIED:
            self._desk.time = event.time
            self._desk.keep_lane()
        return outcome

    wrap(patch, Book, "_tick", tick)


def a_period_closes_without_grace(patch: pytest.MonkeyPatch) -> None:
    """Periods close at their end, not an hour after it."""

    def first_open(right: Any, self: Any, moment: int, grace_ms: int) -> int:
        found: int = right(self, moment, 0)
        return found

    wrap(patch, periods.Calendar, "first_open", first_open)


def months_are_forgotten_at_their_close(patch: pytest.MonkeyPatch) -> None:
    """Hole 10: retention takes a month's quantities away, so that late usage begins at the first tier."""

    def drop(desk: Desk, account: Any) -> None:
        for key in [
            key for key, row in account.rows.items() if not row.charges and key[0] < account.first_open
        ]:
            del account.rows[key]

    patch.setattr(closing, "_drop_rows", drop)


def usage_without_account_is_thrown_away(patch: pytest.MonkeyPatch) -> None:
    """A usage event that finds no account counts as a duplicate."""

    def apply(right: Any, desk: Desk, event: Any) -> Any:
        return right(desk, event) if desk.accounts.get(event.account_id) else Outcome.DUPLICATE

    wrap(patch, usage, "apply", apply)


def waiting_usage_meets_the_next_month(patch: pytest.MonkeyPatch) -> None:
    """Accounts are opened as of the tick that settles them, when the month of their usage is closed."""

    def settle(right: Any, desk: Desk, row: Any, before: int) -> None:
        right(desk, row, desk.time)

    wrap(patch, waiting, "_settle", settle)


def a_tick_settles_what_came_after_it(patch: pytest.MonkeyPatch) -> None:
    """What came while a tick was being acted on does not wait for the next."""
    patch.setattr(Tick, "covers", lambda self, origin: True)


def a_status_is_as_it_was_before_the_charge(patch: pytest.MonkeyPatch) -> None:
    """A charge changes no status until something else does."""

    def calm(right: Any, account: Any) -> None:
        right(account)
        account.calm_from = -(10**40)

    wrap(patch, standing, "_set_calm", calm)


def a_settled_account_is_written_as_before(patch: pytest.MonkeyPatch) -> None:
    """What was written of an account's terms and standing once is written again after they changed."""

    def settle(right: Any, desk: Any, account: Any) -> None:
        written = account.is_written
        right(desk, account)
        account.is_written = written

    wrap(patch, standing, "settle", settle)


def the_opening_is_lost(patch: pytest.MonkeyPatch) -> None:
    """An invoice does not begin where the one before ended."""

    def write(right: Any, desk: Desk, account: Any, *args: Any, **more: Any) -> None:
        right(desk, account, *args, **more)
        account.opening += 1

    wrap(patch, invoice, "write", write)
    patch.setattr(ledger, "check", lambda account: None)


def a_command_passes_what_it_may_take(patch: pytest.MonkeyPatch) -> None:
    """Amount mode takes one multiple more than the limit allows."""

    def amount(right: Any, desk: Desk, account: Any, auto: Any) -> int:
        found: int = right(desk, account, auto)
        return found + auto.amount_minor if auto.amount_minor and auto.monthly_limit_minor else found

    wrap(patch, topup, "_amount_minor", amount)


def a_lowered_row_is_not_encoded_again(patch: pytest.MonkeyPatch) -> None:
    """What a reversal takes off a month's row is not said to the store: a restart has the row as it was."""

    def lower(right: Any, desk: Desk, account: Any, *args: Any) -> Any:
        last, changed = account.last, account.changed
        outcome = right(desk, account, *args)
        account.last, account.changed = last, changed
        return outcome

    wrap(patch, reversals, "_lower", lower)


def a_period_is_opened_behind_the_store(patch: pytest.MonkeyPatch) -> None:
    """The first charge of a period is not said to the store, which then knows neither it nor its close."""

    def opened(right: Any, desk: Desk, account: Any, period: int) -> Any:
        was_written = account.is_written
        totals = right(desk, account, period)
        account.is_written = was_written
        return totals

    wrap(patch, ledger, "_open", opened)


BUGS = (
    a_period_is_opened_behind_the_store,
    a_lowered_row_is_not_encoded_again,
    command_ids_are_random,
    invoice_numbers_are_random,
    a_late_line_is_in_two_invoices,
    the_limit_is_off_by_the_pending_top_up,
    a_month_begins_an_hour_late_in_one_zone,
    prices_are_rounded_down,
    the_newest_tax_rate_counts,
    a_success_is_credited_again,
    a_refund_may_pass_its_payment,
    a_second_command_is_made_while_one_is_pending,
    a_closed_period_is_charged,
    a_second_copy_counts_as_applied,
    a_reversal_leaves_no_mark,
    time_goes_back,
    a_period_closes_without_grace,
    months_are_forgotten_at_their_close,
    usage_without_account_is_thrown_away,
    waiting_usage_meets_the_next_month,
    a_tick_settles_what_came_after_it,
    a_status_is_as_it_was_before_the_charge,
    a_settled_account_is_written_as_before,
    the_opening_is_lost,
    a_command_passes_what_it_may_take,
)

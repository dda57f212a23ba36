"""Applying an account's settings: the highest revision wins. Opens the account where it is the first."""

from streams.domain import closing, opening, standing, topup
from streams.domain.account import Account
from streams.domain.desk import Desk
from streams.domain.events import AccountSettings, AutomaticTopUp
from streams.domain.money import MOST_MINOR, ONE
from streams.domain.outcomes import Outcome
from streams.domain.periods import changed, in_range, is_zone
from streams.domain.reasons import Reason, Rejected

MOST_TAX_RATES = 100


def flaw(desk: Desk, event: AccountSettings) -> Rejected | None:
    """Return what is wrong with settings by themselves, or None."""
    problem = _problem(desk, event)
    return Rejected(reason=Reason.BAD_SETTINGS, detail=problem) if problem else None


def apply(desk: Desk, account: Account | None, event: AccountSettings) -> Outcome | Rejected:
    """Apply settings without flaws to their account, which is opened where there is none."""
    if account is not None and event.revision <= account.revision:
        return Outcome.DUPLICATE
    if account is None:
        account = opening.open_account(
            desk,
            event.account_id,
            currency=event.currency,
            zone=event.zone,
            by_default=False,
            closed_until=desk.time,
        )
        _take_over(desk, account, event)
        standing.open_with_status(desk, account)
    else:
        if event.currency != account.currency:
            if account.entries or account.top_up.episode:  # what a command takes could not be credited
                detail = f"{event.currency} on an account with bookings or top-ups in {account.currency}"
                return Rejected(reason=Reason.CURRENCY_MISMATCH, detail=detail)
            account.currency = event.currency
        _change_zone(account, event)
        _take_over(desk, account, event)
    topup.on_settings(desk, account)
    if account.closed and account.closed_at is None:
        closing.end_account(desk, account)
    standing.settle(desk, account)
    if account.due_at <= desk.time:
        closing.wake(desk, account)  # the change of zone moved the end of its first open period
    return Outcome.APPLIED


def _take_over(desk: Desk, account: Account, event: AccountSettings) -> None:
    account.by_default = False
    account.revision = event.revision
    account.tax_rates = tuple(sorted(event.tax_rates, key=lambda r: r.valid_from))
    account.automatic_top_up = event.automatic_top_up
    account.warning_level_minor = event.warning_level_minor
    account.overdraft_minor = event.overdraft_minor
    if not event.closed:
        account.closed_at = None  # an account that is closed again ends its period again
    account.closed = event.closed
    standing.prepare(desk, account)


def _change_zone(account: Account, event: AccountSettings) -> None:
    """Change the zone from the period after the one in which the change was made, or the first open one.

    By changed_at, not by the lane's time: so it does not depend on which record was read first.
    """
    assert account.calendar is not None
    if event.zone != account.zones[-1].zone:
        next_period = account.calendar.month_of(event.changed_at) + 1
        account.zones = changed(account.zones, event.zone, max(next_period, account.first_open))


def _problem(desk: Desk, event: AccountSettings) -> str | None:
    rates = event.tax_rates
    if event.revision < 1:
        return "revision must be 1 or more"
    if event.currency not in desk.policy.minor_digits:
        return f"currency {event.currency!r} is not known"
    if not is_zone(event.zone):
        return f"zone {event.zone!r} is not known"
    if not in_range(event.changed_at):
        return "changed_at is no usable time"
    if len(rates) > MOST_TAX_RATES or len({r.valid_from for r in rates}) != len(rates):
        return "tax_rates are too many, or two are valid from the same moment"
    if any(not 0 <= r.rate <= ONE for r in rates):
        return "a tax rate must lie between 0 and 1: 19 % is 0.19"
    if not 0 <= event.overdraft_minor <= MOST_MINOR:
        return "overdraft_minor is negative or too large"
    if event.warning_level_minor is not None and not 0 <= event.warning_level_minor <= MOST_MINOR:
        return "warning_level_minor is negative or too large"
    return _top_up_problem(event.automatic_top_up) if event.automatic_top_up else None


def _top_up_problem(auto: AutomaticTopUp) -> str | None:
    if not 0 <= auto.threshold_minor <= MOST_MINOR:
        return "threshold_minor is negative or too large"
    if (auto.amount_minor is None) == (auto.target_minor is None):
        return "automatic top-up needs either amount_minor or target_minor"
    if auto.amount_minor is not None and not 0 < auto.amount_minor <= MOST_MINOR:
        return "amount_minor must be positive"
    if auto.target_minor is not None and not max(1, auto.threshold_minor) <= auto.target_minor <= MOST_MINOR:
        return "target_minor must be positive and not below threshold_minor"
    if auto.monthly_limit_minor is not None and auto.monthly_limit_minor < 0:
        return "monthly_limit_minor is negative"
    if auto.enabled and not auto.payment_method_ref:
        return "automatic top-up needs a payment method"
    return None

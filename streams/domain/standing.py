"""How an account stands after something changed: its status, whether to top up, when to look at it again.

Owns status with its mails, and wake_at. settle() follows every change of an account but a charge
that leaves the balance between calm_from and calm_until, where nothing of this can change.
"""

from typing import assert_never

from streams.domain import topup
from streams.domain.account import NEVER, NO_TIME, Account
from streams.domain.desk import Desk
from streams.domain.money import half_even, minor_unit
from streams.domain.outputs import NotificationKind, Status, StatusChanged
from streams.domain.periods import EVER, calendar

FAR = 10**40
"""Beyond any balance."""


def prepare(desk: Desk, account: Account) -> None:
    """Work out what is not stored of an account; once after it was read, and when its settings changed."""
    account.calendar = calendar(account.zones)
    account.zones = account.calendar.zones  # one object for all accounts that have them
    account.cards = desk.cards_of(account.currency)
    account.minor = minor_unit(desk.policy.minor_digits[account.currency])
    set_closing(desk, account)
    _set_calm(account)


def set_closing(desk: Desk, account: Account) -> None:
    """Work out when the first open period closes."""
    assert account.calendar is not None
    if account.first_open == EVER:
        account.closes_at = NO_TIME + 1  # opened before the lane had a time: at its first one
    else:
        account.closes_at = account.calendar.end(account.first_open) + desk.policy.grace_ms
    account.due_at = min(account.wake_at, account.closes_at)


def open_with_status(desk: Desk, account: Account) -> None:
    """Give a new account the status that its balance of 0 gives it, and say so."""
    account.status = account.told_status = _status(account)
    account.status_since = desk.now
    desk.outputs.append(
        StatusChanged(account_id=account.account_id, status=account.status, since=account.status_since)
    )


def settle(desk: Desk, account: Account) -> None:
    """Follow a change: status, automatic top-up, and when to wake."""
    assert account.calendar is not None
    status = _status(account)
    if status is not account.status:
        account.status = status
        account.status_since = desk.now
        account.mail_at = NEVER if status is account.told_status else desk.time + 1
        desk.outputs.append(
            StatusChanged(account_id=account.account_id, status=status, since=account.status_since)
        )
    topup.check(desk, account)
    _set_calm(account)
    wake_at = min(account.mail_at, topup.wake_at(account, desk))
    if account.periods:
        wake_at = min(wake_at, account.calendar.end(account.periods[0].month) + desk.policy.grace_ms)
    account.wake_at = wake_at
    account.due_at = min(wake_at, account.closes_at)
    account.is_written = False
    account.said = None
    desk.keep(account)


def mail_status(desk: Desk, account: Account) -> None:
    """Mail the status that stands at this tick, where it is not the one mailed last."""
    if account.mail_at > desk.time:
        return
    told, account.told_status, account.mail_at = account.told_status, account.status, NEVER
    kind = _mail(told, account.status)
    if kind is not None:
        details = {
            "balance_minor": str(half_even(account.balance, account.minor)),
            "status": account.status.value,
        }
        if account.warning_level_minor is not None:
            details["warning_level_minor"] = str(account.warning_level_minor)
        desk.notify(account, kind, str(desk.time), desk.time, details)


def _mail(told: Status, status: Status) -> NotificationKind | None:
    """Return the one mail of a change; back from suspended to low is one fact, not two."""
    match status:
        case Status.SUSPENDED:
            return NotificationKind.SUSPENDED
        case Status.LOW if told is not Status.SUSPENDED:
            return NotificationKind.LOW_BALANCE
        case Status.ACTIVE | Status.LOW if told is Status.SUSPENDED:
            return NotificationKind.REACTIVATED
        case Status.ACTIVE | Status.LOW | Status.CLOSED:
            return None
        case _:
            assert_never(status)


def _status(account: Account) -> Status:
    """Return the status that a balance gives, with the hysteresis of low."""
    if account.closed:
        return Status.CLOSED
    if account.balance < _reactivated_from(account):
        return Status.SUSPENDED
    level = _low_below(account, is_low=account.status is Status.LOW)
    return Status.LOW if account.balance < level else Status.ACTIVE


def _reactivated_from(account: Account) -> int:
    """Return the least balance that is not suspended: balance + overdraft must be positive."""
    return 1 - account.overdraft_minor * account.minor


def _low_below(account: Account, *, is_low: bool) -> int:
    """Return the balance from which the account is active again (low until 110 %), or low (100 %)."""
    if account.warning_level_minor is None:
        return -FAR
    level = account.warning_level_minor * account.minor
    return level * 11 // 10 if is_low else level


def _set_calm(account: Account) -> None:
    """Work out between which balances neither status nor top-up can change by a charge."""
    match account.status:
        case Status.CLOSED:
            calm_from, calm_until = -FAR, FAR
        case Status.SUSPENDED:
            calm_from, calm_until = -FAR, _reactivated_from(account)
        case Status.LOW:
            calm_from, calm_until = _reactivated_from(account), _low_below(account, is_low=True)
        case Status.ACTIVE:
            calm_from = max(_reactivated_from(account), _low_below(account, is_low=False))
            calm_until = FAR
        case _:
            assert_never(account.status)
    account.calm_from = max(calm_from, topup.asked_below(account))
    account.calm_until = min(calm_until, topup.asked_from(account))

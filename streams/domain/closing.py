"""Closing periods: those that are over, when their account wakes; the running one, when it is closed.

Waking does whatever the lane's time made due since the account was last looked at, before anything else
touches it. So what an account does never depends on where a sweep stands or a batch ends.
"""

from streams.domain import invoice, ledger, standing, topup
from streams.domain.account import NO_TIME, Account
from streams.domain.desk import Desk
from streams.domain.outputs import EntryKind


def wake(desk: Desk, account: Account) -> None:
    """Close the due periods, mail the status that stands, let a waiting top-up act."""
    if desk.time >= account.closes_at:
        _close_periods(desk, account)
    if account.closed and account.closed_at is None:
        end_account(desk, account)  # closed by settings before the lane had a time
    standing.mail_status(desk, account)
    topup.on_tick(desk, account)
    standing.settle(desk, account)


def end_account(desk: Desk, account: Account) -> None:
    """End a closed account's running period at the lane's time, and write off what is below a minor unit.

    Every open period that has begun gets its document now, one in its grace hour too: what comes later for
    these months is in a second document of the running month, at its end. The balance is whole minor units
    then, towards 0; the customer loses, or is let off, less than one. Before the lane's first tick there is
    no instant at which to end anything: it is done at that tick.
    """
    assert account.calendar is not None
    if desk.time == NO_TIME:
        return
    account.closed_at = desk.time
    fraction = abs(account.balance) % account.minor
    if fraction:
        amount = -fraction if account.balance > 0 else fraction
        ledger.move(desk, account, EntryKind.WRITE_OFF, amount, desk.time, shown_as="")
    running = max(account.first_open, account.calendar.month_of(desk.time))
    ledger.check(account)
    for period in account.periods:
        if period.month <= running:
            account.periods = account.periods[1:]
            invoice.write(desk, account, period, until=desk.time)
    account.first_open, account.cut_at = running, desk.time
    ledger.check(account)
    standing.set_closing(desk, account)


def _close_periods(desk: Desk, account: Account) -> None:
    """Close every period whose end + grace has come; a period without entries makes no document."""
    assert account.calendar is not None
    first_open = max(account.first_open, account.calendar.first_open(desk.time, desk.policy.grace_ms))
    ledger.check(account)
    for period in account.periods:
        if period.month < first_open:
            account.periods = account.periods[1:]
            invoice.write(desk, account, period)
    account.first_open = first_open
    _drop_rows(desk, account)
    ledger.check(account)
    standing.set_closing(desk, account)


def _drop_rows(desk: Desk, account: Account) -> None:
    """Forget the months that no usage can reach any more, once all of them is on documents."""
    assert account.calendar is not None
    end = account.calendar.end
    gone = [key for key, row in account.rows.items() if not row.charges and end(key[0]) <= desk.forget_before]
    for key in gone:
        del account.rows[key]

"""Waking an account: whatever its lane's time made due since it was last looked at, and before anything
else touches it. So what an account does never depends on where a sweep stands or a batch ends.
"""

from streams.domain import invoice, ledger, standing, topup
from streams.domain.account import Account
from streams.domain.desk import Desk


def wake(desk: Desk, account: Account) -> None:
    """Close the due periods, mail the status that stands, let a waiting top-up act."""
    if desk.time >= account.closes_at:
        _close_periods(desk, account)
    standing.mail_status(desk, account)
    topup.on_tick(desk, account)
    standing.settle(desk, account)


def _close_periods(desk: Desk, account: Account) -> None:
    """Close every period whose end + grace has come; a period without entries makes no document."""
    assert account.calendar is not None
    first_open = max(account.first_open, account.calendar.first_open(desk.time, desk.policy.grace_ms))
    ledger.check(account)
    for period in sorted(account.periods):
        if period < first_open:
            invoice.write(desk, account, period, account.periods.pop(period))
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

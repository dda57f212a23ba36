"""The ledger: the only place that changes a balance. Every booking is one entry, numbered 1, 2, 3, ...

Decides which billing period an entry belongs to; never whether it may be booked.
"""

from streams.domain.account import NO_TIME, Account, Period, RowKey
from streams.domain.desk import Desk
from streams.domain.events import Adjustment, UsageEvent
from streams.domain.money import MOST
from streams.domain.outputs import EntryKind, LedgerEntry, Movement
from streams.domain.reasons import InvariantBroken

AFTER_CLOSE = "after_close"
"""The reason on charges and tax that were booked on an account after it was closed."""

_CHARGE = EntryKind.CHARGE  # an enum's attribute is slow to reach
_TAX = EntryKind.TAX


def can_hold(account: Account, amount: int) -> bool:
    """Whether the balance stays in range with this added."""
    return -MOST < account.balance + amount < MOST


def charge(  # noqa: PLR0917 - keywords would cost the hot path
    desk: Desk,
    account: Account,
    event: UsageEvent,
    month: int,
    version: int,
    rate: int | None,
    cost: int,
    tax: int,
) -> None:
    """Book the charge of one usage event, and its tax right after where there is any."""
    period = month if month >= account.first_open else account.first_open
    totals = account.period(period)
    if totals is None:
        totals = _open(desk, account, period)
    booked_at = None if desk.time == NO_TIME else desk.time
    reason = AFTER_CLOSE if account.closed else None
    account.entries = number = account.entries + 1
    account.balance = balance = account.balance - cost
    totals.charges += cost
    desk.outputs.append(
        LedgerEntry(
            event.account_id,
            number,
            _CHARGE,
            -cost,
            balance,
            account.currency,
            period,
            month,
            event.occurred_at,
            booked_at,
            event.source,
            event.event_id,
            event.meter,
            event.quantity,
            version,
            rate,
            reason=reason,
        )
    )
    if tax:
        account.entries = number = number + 1
        account.balance = balance = balance - tax
        totals.tax += tax
        desk.outputs.append(
            LedgerEntry(
                event.account_id,
                number,
                _TAX,
                -tax,
                balance,
                account.currency,
                period,
                month,
                event.occurred_at,
                booked_at,
                event.source,
                event.event_id,
                event.meter,
                None,
                version,
                rate,
                reason=reason,
            )
        )


def reverse(desk: Desk, account: Account, event: Adjustment, key: RowKey, *, cost: int, tax: int) -> None:
    """Book what a reversal gives back of a charge and its tax, under the month, price and rate of the charge.

    It belongs to the period of the charge if that is still open, else to the first open one: so within one
    period both net on one line, whichever came first.
    """
    used = event.usage
    assert used is not None
    month, meter, version, rate = key
    period = max(month, account.first_open)
    totals = account.period(period) or _open(desk, account, period)
    totals.charges -= cost
    totals.tax -= tax
    for kind, amount in ((EntryKind.REVERSAL, cost), (EntryKind.REVERSAL_TAX, tax)):
        if kind is EntryKind.REVERSAL_TAX and not tax:
            continue
        account.entries += 1
        account.balance += amount
        desk.outputs.append(
            LedgerEntry(
                account_id=account.account_id,
                number=account.entries,
                kind=kind,
                amount=amount,
                balance_after=account.balance,
                currency=account.currency,
                period=period,
                month=month,
                occurred_at=used.occurred_at,
                booked_at=desk.now,
                source=used.source,
                event_id=used.event_id,
                meter=meter,
                quantity=used.quantity if kind is EntryKind.REVERSAL else None,
                price_version=version,
                tax_rate=rate,
                adjustment_id=event.adjustment_id,
                reason=event.reason,
            )
        )


def move(
    desk: Desk,
    account: Account,
    kind: EntryKind,
    amount: int,
    occurred_at: int,
    *,
    shown_as: str,
    payment_id: str | None = None,
    reference: str | None = None,
    command_id: str | None = None,
    adjustment_id: str | None = None,
    reason: str | None = None,
) -> None:
    """Book money that moves other than by usage; `shown_as` is its reference on the invoice."""
    assert account.calendar is not None
    month = account.calendar.month_of(occurred_at)
    period = max(month, account.first_open)
    totals = account.period(period) or _open(desk, account, period)
    account.entries += 1
    account.balance += amount
    totals.received += amount
    totals.movements = (*totals.movements, Movement(kind.value, shown_as, amount, occurred_at, reason))
    desk.outputs.append(
        LedgerEntry(
            account_id=account.account_id,
            number=account.entries,
            kind=kind,
            amount=amount,
            balance_after=account.balance,
            currency=account.currency,
            period=period,
            month=month,
            occurred_at=occurred_at,
            booked_at=desk.now,
            payment_id=payment_id,
            reference=reference,
            command_id=command_id,
            adjustment_id=adjustment_id,
            reason=reason,
        )
    )


def check(account: Account) -> None:
    """Stop the process where an account's periods and balance do not agree."""
    closing = account.opening
    for period in account.periods:
        closing = period.closing(closing)
    if closing != account.balance:
        raise InvariantBroken(
            f"account {account.account_id}: opening {account.opening} and the open periods make {closing},"
            f" its balance is {account.balance}"
        )


def _open(desk: Desk, account: Account, period: int) -> Period:
    assert account.calendar is not None
    totals = Period(period)
    account.periods = tuple(sorted((*account.periods, totals), key=lambda known: known.month))
    closes_at = account.calendar.end(period) + desk.policy.grace_ms
    account.wake_at = min(account.wake_at, closes_at)
    account.due_at = min(account.due_at, closes_at)
    account.is_written = False
    desk.keep(account)  # its wake_at
    return totals

"""An account's state to and from the values of schemas/state-account.avsc. Field by field, no rule.

A lane over many accounts reads one for almost each event, so it is done without names. What an account works
out from its other fields is not stored: prepare() in the rules does it again.
"""

from collections.abc import Sequence
from sys import intern
from typing import Any, Final, cast

from schemas.wire import Values
from streams.domain.account import Account, Ended, MonthRow, Part, Pending, Period, RowKey, TopUp, shared
from streams.domain.events import AutomaticTopUp, Consent, TaxRate
from streams.domain.outputs import Movement, Status
from streams.domain.periods import ZoneFrom

_STATUS: Final = {status.value: status for status in Status}


def account_values(a: Account) -> Values:
    """Return an account's state in the order of its schema."""
    auto = a.automatic_top_up
    return (
        a.wake_at,
        a.account_id,
        a.currency,
        a.opened_at,
        a.by_default,
        [(z.month, z.zone) for z in a.zones],
        a.first_open,
        a.revision,
        [(r.valid_from, r.rate) for r in a.tax_rates],
        None if auto is None else _automatic(auto),
        a.warning_level_minor,
        a.overdraft_minor,
        a.closed,
        a.closed_at,
        a.cut_at,
        a.opening,
        a.invoices,
        a.credit_notes,
        a.status,
        a.status_since,
        a.told_status,
        a.mail_at,
        _top_up(a.top_up),
        a.balance,
        a.entries,
        [_period(period) for period in a.periods],
        a.rows_made,
        [_row(key, row) for key, row in a.rows.items()],
    )


def account_of(values: Sequence[Any]) -> Account:
    """Return the account of its values; raises KeyError on a status that the rules never wrote."""
    (
        wake_at,
        account_id,
        currency,
        opened_at,
        by_default,
        zones,
        first_open,
        revision,
        tax_rates,
        automatic,
        warning_level_minor,
        overdraft_minor,
        closed,
        closed_at,
        cut_at,
        opening,
        invoices,
        credit_notes,
        status,
        status_since,
        told_status,
        mail_at,
        top_up,
        balance,
        entries,
        periods,
        rows_made,
        rows,
    ) = values
    a = Account(  # texts of which there are few are shared by all accounts that have them
        wake_at,
        account_id,
        intern(currency),
        opened_at,
        by_default,
        tuple([ZoneFrom(month, intern(zone)) for month, zone in zones]),
        first_open,
    )
    a.indexed_at = wake_at
    a.revision = revision
    a.tax_rates = tuple([TaxRate(valid_from, rate) for valid_from, rate in tax_rates])
    a.automatic_top_up = None if automatic is None else _automatic_of(automatic)
    a.warning_level_minor = warning_level_minor
    a.overdraft_minor = overdraft_minor
    a.closed = closed
    a.closed_at = closed_at
    a.cut_at = cut_at
    a.balance = balance
    a.opening = opening
    a.entries = entries
    a.invoices = invoices
    a.credit_notes = credit_notes
    a.status = _STATUS[status]
    a.status_since = status_since
    a.told_status = _STATUS[told_status]
    a.mail_at = mail_at
    found = [_period_of(period) for period in periods]
    if len(found) > 1:
        found.sort(key=_month)  # they were once written in the order in which they were opened
    a.periods = tuple(found)
    for row in rows:
        a.rows[shared((row[0], intern(row[1]), row[2], row[3]))] = _row_of(row)
    a.rows_made = rows_made
    _fill_top_up(a.top_up, top_up)
    return a


def _period(period: Period) -> Values:
    movements = [(m.kind, m.reference, m.amount, m.occurred_at, m.reason) for m in period.movements]
    return (period.month, period.received, period.charges, period.tax, movements)


def _month(period: Period) -> int:
    return period.month


def _row(key: RowKey, row: MonthRow) -> Values:
    return (
        *key,
        row.number,
        row.quantity,
        row.amount,
        row.tax,
        row.charges,
        row.invoiced_quantity,
        row.invoiced_amount,
        row.invoiced_tax,
        [(p.invoice, p.period, p.quantity, p.amount, p.tax) for p in row.parts],
    )


def _automatic(auto: AutomaticTopUp) -> Values:
    consent = auto.consent
    return (
        auto.enabled,
        auto.threshold_minor,
        auto.amount_minor,
        auto.target_minor,
        auto.monthly_limit_minor,
        auto.payment_method_ref,
        None if consent is None else (consent.given_by, consent.given_at, consent.text_version),
        auto.resumes,
    )


def _automatic_of(values: Sequence[Any]) -> AutomaticTopUp:
    enabled, threshold, amount, target, limit, method, consent, resumes = values
    return AutomaticTopUp(
        enabled=enabled,
        threshold_minor=threshold,
        amount_minor=amount,
        target_minor=target,
        monthly_limit_minor=limit,
        payment_method_ref=method,
        consent=None
        if consent is None
        else Consent(given_by=consent[0], given_at=consent[1], text_version=intern(consent[2])),
        resumes=resumes,
    )


def _period_of(values: Sequence[Any]) -> Period:
    month, received, charges, tax, movements = values
    period = Period(month)
    period.received, period.charges, period.tax = received, charges, tax
    if movements:
        period.movements = tuple([Movement(intern(kind), *rest) for kind, *rest in movements])
    return period


def _row_of(values: Sequence[Any]) -> MonthRow:
    row = MonthRow(values[4])
    row.quantity = values[5]
    row.amount = values[6]
    row.tax = values[7]
    row.charges = values[8]
    row.invoiced_quantity = values[9]
    row.invoiced_amount = values[10]
    row.invoiced_tax = values[11]
    if values[12]:
        row.parts = tuple([Part(*part) for part in values[12]])
    return row


def _top_up(t: TopUp) -> Values:
    return (
        t.episode,
        t.attempt,
        t.episode_open,
        None if t.pending is None else _pending(t.pending),
        t.made_at,
        t.retry_at,
        t.paused,
        t.method,
        t.resumes,
        [(method, count) for method, count in t.declines.items()],
        t.month,
        t.taken_minor,
        [(e.command_id, e.amount_minor) for e in t.ended],
        t.told_month,
        t.told_limit,
        t.decision,
    )


def _pending(p: Pending) -> Values:
    return (
        p.command_id,
        p.episode,
        p.attempt,
        p.amount_minor,
        p.currency,
        p.payment_method_ref,
        p.consent,
        p.made_at,
        p.expires_at,
        p.sent_at,
        p.action_at,
        p.cancel_at,
        p.cancel_is_decline,
    )


def _fill_top_up(t: TopUp, values: Sequence[Any]) -> None:
    pending: Any
    (
        t.episode,
        t.attempt,
        t.episode_open,
        pending,
        t.made_at,
        t.retry_at,
        t.paused,
        t.method,
        t.resumes,
        declines,
        t.month,
        t.taken_minor,
        ended,
        t.told_month,
        t.told_limit,
        decision,
    ) = values
    t.decision = intern(decision)
    if pending is not None:
        t.pending = Pending(*cast("list[Any]", pending))
    for method, count in declines:
        t.declines[method] = count
    if ended:
        t.ended = tuple([Ended(command_id, amount_minor) for command_id, amount_minor in ended])

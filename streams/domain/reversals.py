"""Reversals: one usage event taken back, once, at exactly the price and tax rate at which it was charged.

The row of the month that is lowered is the one that counted the event: its number is remembered with the
event's id (usage.py). To ask prices and tax rates again would be wrong. An event charged at version 1; then a
late version 2, valid from before the event; the row in force now never counted it, and P(q) - P(q - quantity)
of that row is another amount, or of a quantity that is not there. The same with tax rates that were corrected
since, or an account that was opened by default, untaxed, and set up later. So sums stay exact: the charges of
a row less its reversals add up to P of its quantity, in every order.
"""

from streams.domain import ledger, pricing, standing, usage
from streams.domain.account import Account, MonthRow, RowKey
from streams.domain.desk import Desk
from streams.domain.events import Adjustment, identity
from streams.domain.money import MOST
from streams.domain.outcomes import Outcome
from streams.domain.reasons import InvariantBroken, Reason, Rejected


def apply(desk: Desk, account: Account, event: Adjustment) -> Outcome | Rejected:
    """Take back an event that was charged; WAITING: it is not known yet, or waits itself."""
    used = event.usage
    assert used is not None
    if used.occurred_at < desk.forget_before:
        detail = f"its event is {desk.forget_before - used.occurred_at} ms before the forget line"
        return Rejected(reason=Reason.TOO_OLD, detail=detail)
    digest = identity(account.account_id, used.source, used.event_id)
    known = desk.seen.get(digest)
    if known is None:
        return Outcome.WAITING
    if known[: usage.CONTENT_BYTES] != usage.content(used.meter, used.quantity, used.occurred_at):
        return Rejected(
            reason=Reason.ID_CONFLICT, detail="the event of this source and event_id says otherwise"
        )
    mark = known[usage.CONTENT_BYTES :]
    if mark == usage.WAITS:
        return Outcome.WAITING
    if mark == usage.REVERSED:
        return Rejected(reason=Reason.ALREADY_REVERSED, detail="another adjustment took this event back")
    found = _row(account, used.meter, int.from_bytes(mark, "big"))
    if found is None:
        return Rejected(reason=Reason.TOO_OLD, detail="the quantities of its month are gone")
    outcome = _lower(desk, account, event, *found)
    if outcome is Outcome.APPLIED:
        usage.mark(desk, digest, usage.REVERSED, used.occurred_at)
    return outcome


def _row(account: Account, meter: str, number: int) -> tuple[RowKey, MonthRow] | None:
    for key, row in account.rows.items():
        if row.number == number and key[1] == meter:
            return key, row
    return None


def _lower(desk: Desk, account: Account, event: Adjustment, key: RowKey, row: MonthRow) -> Outcome | Rejected:
    """Take the event's quantity off its row; with a volume price that may cost instead of giving back."""
    assert event.usage is not None
    _, meter, version, rate = key
    card = desk.card(meter, account.currency)
    rating = card.version(version) if card else None
    quantity = row.quantity - event.usage.quantity
    if rating is None or quantity < 0:
        raise InvariantBroken(f"account {account.account_id}: row {row.number} cannot have counted the event")
    amount = rating.amount(quantity)
    taxed = pricing.tax_of(rate, amount) if rate else 0
    cost, tax = row.amount - amount, row.tax - taxed
    if amount >= MOST or taxed >= MOST or not ledger.can_hold(account, cost + tax):
        return Rejected(reason=Reason.OUT_OF_RANGE, detail="the balance would be too large")
    row.quantity, row.amount, row.tax = quantity, amount, taxed
    row.charges += 1
    account.row_changed(row)
    ledger.reverse(desk, account, event, key, cost=cost, tax=tax)
    standing.settle(desk, account)
    return Outcome.APPLIED

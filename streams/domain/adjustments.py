"""Adjustments by the back office: credit, debit and reversal, each adjustment_id once."""

from hashlib import blake2b

from streams.domain import ledger, reversals, standing
from streams.domain.account import Account, Adjusted
from streams.domain.desk import Desk
from streams.domain.events import Adjustment, AdjustmentKind
from streams.domain.outcomes import Outcome
from streams.domain.outputs import EntryKind
from streams.domain.periods import in_range
from streams.domain.reasons import Reason, Rejected

AHEAD_MS = 24 * 3_600_000
"""How far an adjustment may be ahead of its own record, as with payments."""


def flaw(desk: Desk, event: Adjustment) -> Rejected | None:
    """Return what is wrong with an adjustment by itself, or None."""
    if not event.adjustment_id:
        return Rejected(reason=Reason.BAD_ADJUSTMENT, detail="adjustment_id is empty")
    if event.kind is AdjustmentKind.REVERSAL:  # books at its event's moment: its own decides nothing
        if event.usage is None or event.amount is not None:
            detail = "a reversal needs its usage event, and no amount: that follows from the event"
            return Rejected(reason=Reason.BAD_ADJUSTMENT, detail=detail)
        return None
    if not in_range(event.occurred_at):
        return Rejected(
            reason=Reason.OUT_OF_RANGE, detail=f"occurred_at {event.occurred_at} is no usable time"
        )
    ahead = event.occurred_at - event.origin.timestamp
    if ahead > AHEAD_MS and not desk.policy.manual_clock:
        return Rejected(reason=Reason.FROM_THE_FUTURE, detail=f"{ahead} ms ahead of its own record")
    if event.amount is None or event.amount <= 0 or event.usage is not None:
        detail = f"a {event.kind} needs a positive amount, and no usage event"
        return Rejected(reason=Reason.BAD_ADJUSTMENT, detail=detail)
    return None


def content(event: Adjustment) -> bytes:
    """Return the 8-byte digest of what an adjustment says."""
    used = event.usage
    says = (
        *(event.kind.value, event.amount, event.currency, event.occurred_at, event.reason, event.author),
        *(() if used is None else (used.source, used.event_id, used.meter, used.quantity, used.occurred_at)),
    )
    return blake2b(repr(says).encode(), digest_size=8).digest()


def again(known: bytes, event: Adjustment) -> Outcome | Rejected:
    """Return what a second event of a known adjustment_id is: a duplicate, or a conflict."""
    if known == content(event):
        return Outcome.DUPLICATE
    detail = f"adjustment {event.adjustment_id} was given with other content"
    return Rejected(reason=Reason.ADJUSTMENT_CONFLICT, detail=detail)


def apply(desk: Desk, account: Account, event: Adjustment) -> Outcome | Rejected:
    """Apply an adjustment without flaws to its account; WAITING: a reversal whose event is not there yet."""
    if event.currency != account.currency:
        return Rejected(
            reason=Reason.CURRENCY_MISMATCH, detail=f"{event.currency} on an account in {account.currency}"
        )
    known = desk.shelves.adjustments.get(account.account_id, event.adjustment_id)
    if known is not None:
        return again(known.content, event)
    first_entry = account.entries + 1
    if event.kind is AdjustmentKind.REVERSAL:
        outcome = reversals.apply(desk, account, event)
    else:
        outcome = _move(desk, account, event)
    if outcome is Outcome.APPLIED:
        desk.shelves.adjustments.put(
            Adjusted(account.account_id, event.adjustment_id, content(event), first_entry)
        )
    return outcome


def _move(desk: Desk, account: Account, event: Adjustment) -> Outcome | Rejected:
    kind, sign = EntryKind.CREDIT, 1
    if event.kind is AdjustmentKind.DEBIT:
        kind, sign = EntryKind.DEBIT, -1
    amount = sign * (event.amount or 0)
    if not ledger.can_hold(account, amount):
        return Rejected(reason=Reason.OUT_OF_RANGE, detail="the balance would be too large")
    ledger.move(
        desk,
        account,
        kind,
        amount,
        event.occurred_at,
        shown_as=event.adjustment_id,
        adjustment_id=event.adjustment_id,
        reason=event.reason,
    )
    standing.settle(desk, account)
    return Outcome.APPLIED

"""What waits, and how its waiting ends: for an account, usage for a price, a reversal for its usage event.

It is tried again when what it lacks may have come, and decided for good at the first tick that was read
after it. (What follows a payment waits in the payment, without end: payments.py.)
"""

from streams.domain import adjustments, opening, payments, standing, usage
from streams.domain.account import Account, Waiting
from streams.domain.desk import Desk
from streams.domain.events import (
    AccountEvent,
    Adjustment,
    AdjustmentKind,
    PaymentEvent,
    Tick,
    UsageEvent,
    identity,
)
from streams.domain.outcomes import Outcome
from streams.domain.reasons import Reason, Rejected


def restore(desk: Desk) -> None:
    """Find the reversals among what waits; once, when the lane opens."""
    for row in desk.shelves.waiting.all():
        _await_event(desk, row)


def hold(desk: Desk, event: PaymentEvent | Adjustment) -> Outcome:
    """Let money wait for its account, or a reversal for its event."""
    row = desk.waiting(event)
    desk.shelves.waiting.put(row)
    _await_event(desk, row)
    return Outcome.WAITING


def again(desk: Desk, event: PaymentEvent | Adjustment) -> Outcome | Rejected | None:
    """Return what an event is where it waits already: duplicate or conflict; None: it does not wait."""
    for row in desk.shelves.waiting.of_account(event.account_id):
        known = row.event
        if isinstance(known, PaymentEvent) and isinstance(event, PaymentEvent):
            if payments.same(known, event):
                return Outcome.DUPLICATE
        elif (
            isinstance(known, Adjustment)
            and isinstance(event, Adjustment)
            and known.adjustment_id == event.adjustment_id
        ):
            return adjustments.again(adjustments.content(known), event)
    return None


def retry(desk: Desk, account: Account, row: Waiting) -> None:
    """Apply a waiting event whose account, price or usage event may have come; else it waits on."""
    _end(desk, account, row, _apply(desk, account, row.event))


def retry_all(desk: Desk, account: Account) -> None:
    """Try all that waits for an account; reversals last, since their events may be among it."""
    for is_reversal in (False, True):
        for row in desk.shelves.waiting.of_account(account.account_id):
            if (_reversed_by(row.event) is not None) is is_reversal:
                retry(desk, account, row)


def follow(desk: Desk, account: Account, event: UsageEvent) -> None:
    """Apply what waited for a usage event that has been charged now."""
    for row in list(desk.awaited.get((event.account_id, event.source, event.event_id), ())):
        retry(desk, account, row)


def settle(desk: Desk, tick: Tick, before: int) -> None:
    """End the waiting of everything that stood before a tick; `before` is the time of the tick before.

    Reversals last: what they take back may be settled by the same tick.
    """
    for is_reversal in (False, True):
        for row in desk.shelves.waiting.all():
            if (_reversed_by(row.event) is not None) is is_reversal and tick.covers(row.event.origin):
                _settle(desk, row, before)


def _settle(desk: Desk, row: Waiting, before: int) -> None:
    """End the waiting of an event: open its account by default, or make it a dead letter.

    Its account is opened as of the tick before, so that usage that was waiting when this tick was read
    still finds its month open.
    """
    event = row.event
    account = desk.accounts.get(event.account_id)
    if account is None:
        hopeless = _without_account(desk, event)
        if hopeless is not None:
            _end(desk, None, row, hopeless)
            return
        account = opening.open_by_default(desk, event.account_id, before)
    elif account.calendar is None:
        standing.prepare(desk, account)
    outcome = _apply(desk, account, event)
    if outcome is not None:
        _end(desk, account, row, outcome)
    elif isinstance(event, UsageEvent):
        detail = f"no price in {account.currency} came in time"
        _end(desk, account, row, Rejected(reason=Reason.NO_PRICE, detail=detail))
    elif not _event_waits(desk, event):
        _end(desk, account, row, Rejected(reason=Reason.UNKNOWN_EVENT, detail="its usage event did not come"))


def _without_account(desk: Desk, event: AccountEvent) -> Rejected | None:
    """Return why an event cannot even open an account by default, or None."""
    currency = desk.policy.default_currency
    if isinstance(event, UsageEvent):
        card = desk.card(event.meter, currency)
        if card is None or card.at(event.occurred_at) is None:
            return Rejected(reason=Reason.NO_PRICE, detail=f"no account, and no price in {currency}")
    elif _reversed_by(event) is not None:  # a correction of nothing opens no account
        return Rejected(reason=Reason.UNKNOWN_EVENT, detail="no account, and no usage event of it")
    elif event.currency != currency:
        detail = f"no account, and {event.currency} is not the default currency {currency}"
        return Rejected(reason=Reason.CURRENCY_MISMATCH, detail=detail)
    return None


def _apply(desk: Desk, account: Account, event: AccountEvent) -> Outcome | Rejected | None:
    """Apply an event that waited; None: what it lacks is still not there."""
    if isinstance(event, PaymentEvent):
        return payments.apply(desk, account, event)
    if isinstance(event, Adjustment):
        outcome = adjustments.apply(desk, account, event)
        return None if outcome is Outcome.WAITING else outcome
    outcome = usage.charge_waiting(desk, account, event)
    is_unpriced = isinstance(outcome, Rejected) and outcome.reason is Reason.NO_PRICE
    return None if is_unpriced else outcome


def _end(desk: Desk, account: Account | None, row: Waiting, outcome: Outcome | Rejected | None) -> None:
    """Take a waiting event off its shelf, unless it waits on (None)."""
    if outcome is None:
        return
    desk.shelves.waiting.delete(row)
    key = _reversed_by(row.event)
    if key is not None:
        desk.awaited[key].remove(row)
        if not desk.awaited[key]:
            del desk.awaited[key]
    if isinstance(outcome, Rejected):
        if isinstance(row.event, UsageEvent):
            usage.forget(desk, row.event)
        desk.bury(row.event, outcome)
        return
    if outcome is not Outcome.WAITING:  # one that waits on in its payment is settled there
        desk.settled_applied += 1
    if account is not None and isinstance(row.event, UsageEvent):
        follow(desk, account, row.event)


def _await_event(desk: Desk, row: Waiting) -> None:
    key = _reversed_by(row.event)
    if key is not None:
        desk.awaited.setdefault(key, []).append(row)


def _reversed_by(event: AccountEvent) -> tuple[str, str, str] | None:
    """Return what names the usage event that a reversal takes back; None: it is no reversal."""
    if isinstance(event, Adjustment) and event.kind is AdjustmentKind.REVERSAL and event.usage is not None:
        return event.account_id, event.usage.source, event.usage.event_id
    return None


def _event_waits(desk: Desk, event: PaymentEvent | Adjustment) -> bool:
    """Whether the usage event of a reversal is known: then it waits itself, for a later tick."""
    key = _reversed_by(event)
    return key is not None and desk.seen.get(identity(*key)) is not None

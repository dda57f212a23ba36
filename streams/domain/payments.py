"""Payments: money in by success, out by refund, dispute and return; each once, whoever says it first.

Owns what is remembered of a payment. What a payment means for the automatic top-up is topup.py's.
"""

from streams.domain import ledger, standing, topup
from streams.domain.account import Account, Payment, Taken
from streams.domain.desk import Desk
from streams.domain.events import PaymentEvent, PaymentKind
from streams.domain.money import half_even
from streams.domain.outcomes import Outcome
from streams.domain.outputs import EntryKind, NotificationKind
from streams.domain.periods import in_range
from streams.domain.reasons import Reason, Rejected

AHEAD_MS = 24 * 3_600_000
"""How far a payment may be ahead of its own record; beyond, one wrong clock would book into a far month."""

ENTRY = {
    PaymentKind.REFUNDED: EntryKind.REFUND,
    PaymentKind.DISPUTED: EntryKind.DISPUTE,
    PaymentKind.DISPUTE_WON: EntryKind.DISPUTE_WON,
    PaymentKind.RETURNED: EntryKind.RETURN,
}
"""What follows a success, and how it is booked."""


def flaw(desk: Desk, event: PaymentEvent) -> Rejected | None:
    """Return what is wrong with a payment event by itself, or None."""
    if not in_range(event.occurred_at):
        return Rejected(
            reason=Reason.OUT_OF_RANGE, detail=f"occurred_at {event.occurred_at} is no usable time"
        )
    ahead = event.occurred_at - event.origin.timestamp
    if ahead > AHEAD_MS and not desk.policy.manual_clock:
        return Rejected(reason=Reason.FROM_THE_FUTURE, detail=f"{ahead} ms ahead of its own record")
    if event.amount_minor < 0:
        return Rejected(reason=Reason.BAD_PAYMENT, detail="the amount is negative")
    if event.kind in ENTRY or event.kind is PaymentKind.SUCCEEDED:
        if not event.payment_id:
            return Rejected(reason=Reason.BAD_PAYMENT, detail=f"{event.kind} names no payment")
        if event.amount_minor == 0:
            return Rejected(reason=Reason.BAD_PAYMENT, detail=f"{event.kind} names no amount")
        if event.kind in ENTRY and not event.reference:
            return Rejected(reason=Reason.BAD_PAYMENT, detail=f"{event.kind} names no reference")
    return None


def same(one: PaymentEvent, other: PaymentEvent) -> bool:
    """Whether two events say the same of the same payment, so that the second is a duplicate."""
    return (
        one.payment_id == other.payment_id
        and one.kind is other.kind
        and (one.kind not in ENTRY or one.reference == other.reference)
    )


def apply(desk: Desk, account: Account, event: PaymentEvent) -> Outcome | Rejected:
    """Apply a payment event without flaws to its account."""
    if event.currency != account.currency:
        return _other_currency(account, event)
    payment = desk.shelves.payments.get(account.account_id, event.payment_id)
    if payment is None:
        payment = Payment(account.account_id, event.payment_id)
    if event.kind in ENTRY:
        outcome = _follow(desk, account, payment, event)
    elif event.kind is PaymentKind.SUCCEEDED:
        outcome = _succeed(desk, account, payment, event)
    else:
        outcome = _hear(payment, event)
    if outcome is Outcome.DUPLICATE and topup.awaits(account, event):
        topup.on_payment(desk, account, event)  # heard before, but without the command that it answers
        standing.settle(desk, account)
    if outcome is not Outcome.APPLIED:
        return outcome
    desk.shelves.payments.put(payment)
    if event.kind in topup.OUTCOMES and event.command_id is not None:
        topup.on_payment(desk, account, event)
    _let_waiting_follow(desk, account, payment)
    standing.settle(desk, account)
    return outcome


def _other_currency(account: Account, event: PaymentEvent) -> Rejected:
    detail = f"{event.currency} on an account in {account.currency}"
    return Rejected(reason=Reason.CURRENCY_MISMATCH, detail=detail)


def _hear(payment: Payment, event: PaymentEvent) -> Outcome:
    """Remember what moves no money; once per payment and kind."""
    if event.kind.value in payment.heard:
        return Outcome.DUPLICATE
    payment.heard.append(event.kind.value)
    return Outcome.APPLIED


def _succeed(desk: Desk, account: Account, payment: Payment, event: PaymentEvent) -> Outcome | Rejected:
    """Credit a payment once."""
    if payment.paid:
        return Outcome.DUPLICATE
    amount = event.amount_minor * account.minor
    if not ledger.can_hold(account, amount):
        return Rejected(reason=Reason.OUT_OF_RANGE, detail="the balance would be too large")
    payment.paid = amount
    payment.command_id = event.command_id
    topup.on_success(account, event.payment_method_ref)
    ledger.move(
        desk,
        account,
        EntryKind.PAYMENT,
        amount,
        event.occurred_at,
        shown_as=event.payment_id,
        payment_id=event.payment_id,
        command_id=event.command_id,
    )
    details = {
        "payment_id": event.payment_id,
        "amount_minor": str(event.amount_minor),
        "balance_minor": str(half_even(account.balance, account.minor)),
    }
    kind = NotificationKind.PAYMENT_RECEIVED
    if event.command_id is not None:
        kind = NotificationKind.TOP_UP_SUCCEEDED
        details["command_id"] = event.command_id
    desk.notify(account, kind, event.payment_id, event.occurred_at, details)
    return Outcome.APPLIED


def _follow(desk: Desk, account: Account, payment: Payment, event: PaymentEvent) -> Outcome | Rejected:
    """Apply a refund, dispute, dispute won or return, or let it wait for its payment or dispute."""
    if _is_taken(payment, event) or any(
        isinstance(row.event, PaymentEvent) and same(row.event, event) for row in payment.waiting
    ):
        return Outcome.DUPLICATE
    if not _can_follow(payment, event):
        payment.waiting.append(desk.waiting(event))
        desk.shelves.payments.put(payment)
        return Outcome.WAITING
    return _take(desk, account, payment, event)


def _let_waiting_follow(desk: Desk, account: Account, payment: Payment) -> None:
    """Give every waiting event its turn that has become possible, in order, until none is left."""
    while True:
        row = next((r for r in payment.waiting if _can_follow(payment, _payment_event(r.event))), None)
        if row is None:
            return
        payment.waiting.remove(row)
        outcome = _take(desk, account, payment, _payment_event(row.event))
        if isinstance(outcome, Rejected):
            desk.bury(row.event, outcome)
        else:
            desk.settled_applied += 1


def _payment_event(event: object) -> PaymentEvent:
    assert isinstance(event, PaymentEvent)  # nothing else waits in a payment
    return event


def _can_follow(payment: Payment, event: PaymentEvent) -> bool:
    """Whether what an event follows has been applied."""
    if event.kind is PaymentKind.DISPUTE_WON:
        return _dispute(payment, event) is not None
    return payment.paid > 0


def _dispute(payment: Payment, event: PaymentEvent) -> Taken | None:
    """Return the dispute that a dispute_won answers: the one of the same reference."""
    for taken in payment.taken:
        if taken.kind == PaymentKind.DISPUTED and taken.reference == event.reference:
            return taken
    return None


def _is_taken(payment: Payment, event: PaymentEvent) -> bool:
    return any(t.kind == event.kind and t.reference == event.reference for t in payment.taken)


def _take(desk: Desk, account: Account, payment: Payment, event: PaymentEvent) -> Outcome | Rejected:
    """Book what follows a success; together it may never pass what was paid."""
    if event.currency != account.currency:  # it waited while the account's currency changed
        return _other_currency(account, event)
    amount = event.amount_minor * account.minor
    won = event.kind is PaymentKind.DISPUTE_WON
    if won:
        dispute = _dispute(payment, event)
        most = dispute.amount if dispute else 0
    else:
        most = payment.paid - sum(_sign(t) * t.amount for t in payment.taken)
    if amount > most:
        detail = f"{event.kind} {event.reference} of {amount}e-12 where {most}e-12 is left"
        return Rejected(reason=Reason.REFUND_EXCEEDS_PAYMENT, detail=detail)
    signed = amount if won else -amount
    if not ledger.can_hold(account, signed):
        return Rejected(reason=Reason.OUT_OF_RANGE, detail="the balance would be too large")
    reference = event.reference or ""
    payment.taken.append(Taken(event.kind.value, reference, amount))
    ledger.move(
        desk,
        account,
        ENTRY[event.kind],
        signed,
        event.occurred_at,
        shown_as=reference,
        payment_id=event.payment_id,
        reference=reference,
    )
    if event.kind is PaymentKind.REFUNDED:
        details = {
            "payment_id": event.payment_id,
            "reference": reference,
            "amount_minor": str(event.amount_minor),
        }
        cause = f"{event.payment_id}:{reference}"
        desk.notify(account, NotificationKind.REFUNDED, cause, event.occurred_at, details)
    return Outcome.APPLIED


def _sign(taken: Taken) -> int:
    return -1 if taken.kind == PaymentKind.DISPUTE_WON else 1

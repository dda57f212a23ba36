"""From the rules' announcements to records: (topic, key, record type, record). Names and types only, no rule.

Ledger entries and balances, which come with each event, have writers of their own: entries.py, balances.py.
"""

from typing import Any, NamedTuple, assert_never

from streams import topics
from streams.domain.outputs import (
    Announcement,
    CreditNote,
    DeadLetter,
    Invoice,
    Notification,
    Party,
    StatusChanged,
    TopUpCommand,
    TopUpDecided,
)
from streams.domain.periods import label

Record = dict[str, Any]


class Outgoing(NamedTuple):
    """A record to be sent: what agents hand to the lane."""

    topic: str
    """Without prefix."""
    key: str | None
    """An account id (UTF-8 on the wire); None: no key, and the record goes to the lane's own partition."""
    record_type: str
    record: Record


def record_of(output: Announcement) -> Outgoing:
    """Return an output as a record for its topic."""
    match output:
        case StatusChanged():
            record = {"account_id": output.account_id, "status": output.status.value, "since": output.since}
            return Outgoing(topics.STATUS.name, output.account_id, "account-status", record)
        case TopUpCommand():
            record = top_up_command(output)
            return Outgoing(topics.COMMANDS.name, output.account_id, "top-up-command", record)
        case TopUpDecided():
            record = top_up_decision(output)
            return Outgoing(topics.DECISIONS.name, output.account_id, "top-up-decision", record)
        case Invoice():
            return Outgoing(topics.INVOICES.name, output.account_id, "invoice", invoice(output))
        case CreditNote():
            return Outgoing(topics.INVOICES.name, output.account_id, "credit-note", credit_note(output))
        case Notification():
            record = notification(output)
            return Outgoing(topics.NOTIFICATIONS.name, output.account_id, "notification", record)
        case DeadLetter():
            return Outgoing(topics.DEAD_LETTERS.name, None, "dead-letter", dead_letter(output))
        case _:
            assert_never(output)


def top_up_command(c: TopUpCommand) -> Record:
    """Return a TopUpCommand's record."""
    return {
        "account_id": c.account_id,
        "command_id": c.command_id,
        "kind": c.kind.value,
        "episode": c.episode,
        "attempt": c.attempt,
        "amount_minor": c.amount_minor,
        "currency": c.currency,
        "payment_method_ref": c.payment_method_ref,
        "consent": c.consent,
        "made_at": c.made_at,
        "expires_at": c.expires_at,
    }


def top_up_decision(d: TopUpDecided) -> Record:
    """Return a TopUpDecided's record."""
    return {"account_id": d.account_id, "decision": d.decision, "since": d.since, "balance": d.balance}


def invoice(i: Invoice) -> Record:
    """Return an Invoice's record."""
    return {
        "account_id": i.account_id,
        "number": i.number,
        "sequence": i.sequence,
        "period": label(i.period),
        "period_start": i.period_start,
        "period_end": i.period_end,
        "zone": i.zone,
        "issued_at": i.issued_at,
        "currency": i.currency,
        "seller": party(i.seller),
        "customer": None if i.customer is None else party(i.customer),
        "opening": i.opening,
        "lines": [
            {
                "month": label(n.month),
                "meter": n.meter,
                "unit": n.unit,
                "price_version": n.price_version,
                "model": n.model.value,
                "quantity": n.quantity,
                "amount": n.amount,
                "amount_minor": n.amount_minor,
                "tax_rate": n.tax_rate,
                "tax": n.tax,
                "tiers": [
                    {"quantity": t.quantity, "unit_price": t.unit_price, "amount": t.amount} for t in n.tiers
                ],
            }
            for n in i.lines
        ],
        "taxes": [{"rate": t.rate, "base": t.base, "tax": t.tax} for t in i.taxes],
        "movements": [
            {
                "kind": m.kind,
                "reference": m.reference,
                "amount": m.amount,
                "occurred_at": m.occurred_at,
                "reason": m.reason,
            }
            for m in i.movements
        ],
        "credit_notes": list(i.credit_notes),
        "charges": i.charges,
        "tax": i.tax,
        "received": i.received,
        "charged": i.charged,
        "closing": i.closing,
        "shown": {
            "opening_minor": i.shown.opening_minor,
            "received_minor": i.shown.received_minor,
            "closing_minor": i.shown.closing_minor,
            "charged_minor": i.shown.charged_minor,
            "tax_minor": i.shown.tax_minor,
            "rounding_minor": i.shown.rounding_minor,
        },
    }


def credit_note(c: CreditNote) -> Record:
    """Return a CreditNote's record."""
    return {
        "account_id": c.account_id,
        "number": c.number,
        "sequence": c.sequence,
        "invoice_number": c.invoice_number,
        "period": label(c.period),
        "shown_in": label(c.shown_in),
        "issued_at": c.issued_at,
        "currency": c.currency,
        "seller": party(c.seller),
        "customer": None if c.customer is None else party(c.customer),
        "lines": [
            {
                "month": label(n.month),
                "meter": n.meter,
                "price_version": n.price_version,
                "quantity": n.quantity,
                "amount": n.amount,
                "tax_rate": n.tax_rate,
                "tax": n.tax,
            }
            for n in c.lines
        ],
        "amount": c.amount,
        "tax": c.tax,
    }


def party(p: Party) -> Record:
    """Return a Party's record."""
    return {"name": p.name, "address": list(p.address), "country": p.country, "tax_id": p.tax_id}


def notification(n: Notification) -> Record:
    """Return a Notification's record."""
    return {
        "account_id": n.account_id,
        "notification_id": n.notification_id,
        "kind": n.kind.value,
        "created_at": n.created_at,
        "details": dict(n.details),
    }


def dead_letter(d: DeadLetter) -> Record:
    """Return a DeadLetter's record; that of a profile without value and headers.

    They may hold personal data, which no topic but account-profiles itself ever holds: there it stands.
    """
    origin = d.origin
    is_personal = origin.topic == topics.PROFILES.name
    return {
        "topic": origin.topic,
        "partition": origin.partition,
        "offset": origin.offset,
        "timestamp": origin.timestamp,
        "key": origin.key,
        "value": None if is_personal else origin.value,
        "headers": [] if is_personal else [{"name": name, "value": value} for name, value in origin.headers],
        "reason": d.reason.value,
        "detail": d.detail,
        "account_id": d.account_id,
        "rejected_at": d.rejected_at,
    }

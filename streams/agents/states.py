"""The rules' state to and from the records of schemas/state-*.avsc. Field by field, no rule.

What an account works out from its other fields is not stored: prepare() in the rules does it again.
"""

from dataclasses import asdict
from typing import Any

from streams.agents import events
from streams.domain.account import (
    Account,
    Adjusted,
    Ended,
    LaneState,
    MonthRow,
    Part,
    Payment,
    Pending,
    Period,
    RowKey,
    Taken,
    TopUp,
    Waiting,
)
from streams.domain.events import (
    Adjustment,
    AutomaticTopUp,
    Origin,
    PaymentEvent,
    Price,
    TaxRate,
    UsageEvent,
)
from streams.domain.outputs import Movement, Status
from streams.domain.periods import ZoneFrom
from streams.domain.reasons import InvariantBroken

Record = dict[str, Any]
Values = tuple[Any, ...]
"""A record's values in the order of its schema."""


def account_record(a: Account) -> Values:
    """Return an account's state in the order of its schema: a busy lane has thousands in each commit."""
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
        None if auto is None else _automatic_record(auto),
        a.warning_level_minor,
        a.overdraft_minor,
        a.closed,
        a.closed_at,
        a.cut_at,
        a.balance,
        a.opening,
        a.entries,
        a.invoices,
        a.credit_notes,
        a.status,
        a.status_since,
        a.told_status,
        a.mail_at,
        [_period_record(month, period) for month, period in a.periods.items()],
        [_row(key, row) for key, row in a.rows.items()],
        a.rows_made,
        _top_up_record(a.top_up),
    )


def _row(key: RowKey, row: MonthRow) -> Values:
    month, meter, version, rate = key
    return (
        month,
        meter,
        version,
        rate,
        row.number,
        row.quantity,
        row.amount,
        row.tax,
        row.charges,
        row.invoiced_quantity,
        row.invoiced_amount,
        row.invoiced_tax,
        [(p.invoice, p.period, p.quantity, p.amount, p.tax) for p in row.parts] if row.parts else row.parts,
    )


def account_of(r: Record) -> Account:
    """Return the account of a record; raises KeyError, ValueError on one that the rules never wrote."""
    auto = r["automatic_top_up"]
    a = Account(
        r["wake_at"],
        r["account_id"],
        r["currency"],
        r["opened_at"],
        r["by_default"],
        tuple([ZoneFrom(z["month"], z["zone"]) for z in r["zones"]]),
        r["first_open"],
    )
    a.revision = r["revision"]
    a.tax_rates = tuple([TaxRate(t["valid_from"], t["rate"]) for t in r["tax_rates"]])
    a.automatic_top_up = None if auto is None else events.automatic_top_up_of(auto)
    a.warning_level_minor = r["warning_level_minor"]
    a.overdraft_minor = r["overdraft_minor"]
    a.closed = r["closed"]
    a.closed_at = r["closed_at"]
    a.cut_at = r["cut_at"]
    a.balance = r["balance"]
    a.opening = r["opening"]
    a.entries = r["entries"]
    a.invoices = r["invoices"]
    a.credit_notes = r["credit_notes"]
    a.status = Status(r["status"])
    a.status_since = r["status_since"]
    a.told_status = Status(r["told_status"])
    a.mail_at = r["mail_at"]
    a.periods = {p["month"]: _period_of(p) for p in r["periods"]}
    a.rows = {(w["month"], w["meter"], w["version"], w["rate"]): _row_of(w) for w in r["rows"]}
    a.rows_made = r["rows_made"]
    a.top_up = _top_up_of(r["top_up"])
    return a


def _period_of(r: Record) -> Period:
    period = Period()
    period.received = r["received"]
    period.charges = r["charges"]
    period.tax = r["tax"]
    period.movements = [Movement(**m) for m in r["movements"]]
    return period


def _row_of(r: Record) -> MonthRow:
    row = MonthRow(r["number"])
    row.quantity = r["quantity"]
    row.amount = r["amount"]
    row.tax = r["tax"]
    row.charges = r["charges"]
    row.invoiced_quantity = r["invoiced_quantity"]
    row.invoiced_amount = r["invoiced_amount"]
    row.invoiced_tax = r["invoiced_tax"]
    row.parts = [Part(**part) for part in r["parts"]]
    return row


def payment_record(p: Payment) -> Record:
    """Return a payment's state as a record."""
    return {
        "account_id": p.account_id,
        "payment_id": p.payment_id,
        "paid": p.paid,
        "command_id": p.command_id,
        "taken": [{"kind": t.kind, "reference": t.reference, "amount": t.amount} for t in p.taken],
        "heard": list(p.heard),
        "waiting": [
            {
                "number": w.number,
                "origin": _origin_record(w.event.origin),
                "payment": _payment_event_record(w.event),
            }
            for w in p.waiting
            if isinstance(w.event, PaymentEvent)
        ],
    }


def payment_of(r: Record) -> Payment:
    """Return the payment of a record."""
    return Payment(
        account_id=r["account_id"],
        payment_id=r["payment_id"],
        paid=r["paid"],
        command_id=r["command_id"],
        taken=[Taken(t["kind"], t["reference"], t["amount"]) for t in r["taken"]],
        heard=list(r["heard"]),
        waiting=[
            Waiting(w["number"], _payment_event(r["account_id"], w["payment"], _origin(w["origin"])))
            for w in r["waiting"]
        ],
    )


def adjusted_record(a: Adjusted) -> Record:
    """Return an applied adjustment as a record."""
    return {
        "account_id": a.account_id,
        "adjustment_id": a.adjustment_id,
        "content": a.content,
        "entry": a.entry,
    }


def adjusted_of(r: Record) -> Adjusted:
    """Return the applied adjustment of a record."""
    return Adjusted(r["account_id"], r["adjustment_id"], r["content"], r["entry"])


def lane_record(s: LaneState) -> Record:
    """Return the lane's state as a record."""
    return {"time": s.time, "forget_before": s.forget_before, "waited": s.waited}


def lane_of(r: Record) -> LaneState:
    """Return the lane's state of a record."""
    return LaneState(r["time"], r["forget_before"], r["waited"])


def price_of(r: Record) -> Price:
    """Return the price version of a record."""
    return events.price_of(r)


def price_record(p: Price) -> Record:
    """Return a price version as a record of type price: the lane keeps it as it came."""
    return {
        "meter": p.meter,
        "currency": p.currency,
        "version": p.version,
        "unit": p.unit,
        "valid_from": p.valid_from,
        "late": p.late,
        "model": p.model.value,
        "tiers": [{"up_to": t.up_to, "unit_price": t.unit_price} for t in p.tiers],
        "package_size": p.package_size,
        "free_allowance": p.free_allowance,
    }


def waiting_record(w: Waiting) -> Record:
    """Return a waiting event as a record."""
    event = w.event
    record: Record = {
        "number": w.number,
        "account_id": event.account_id,
        "origin": _origin_record(event.origin),
        "usage": None,
        "payment": None,
        "adjustment": None,
    }
    match event:
        case UsageEvent():
            record["usage"] = {
                "source": event.source,
                "event_id": event.event_id,
                "meter": event.meter,
                "quantity": event.quantity,
                "occurred_at": event.occurred_at,
            }
        case PaymentEvent():
            record["payment"] = _payment_event_record(event)
        case Adjustment():
            record["adjustment"] = _adjustment_record(event)
    return record


def waiting_of(r: Record) -> Waiting:
    """Return the waiting event of a record."""
    account_id, origin = r["account_id"], _origin(r["origin"])
    event: UsageEvent | PaymentEvent | Adjustment
    if r["usage"] is not None:
        event = events.usage({"account_id": account_id, **r["usage"]}, origin)
    elif r["payment"] is not None:
        event = _payment_event(account_id, r["payment"], origin)
    elif r["adjustment"] is not None:
        event = events.adjustment({"account_id": account_id, **r["adjustment"]}, origin)
    else:
        raise InvariantBroken(f"waiting event {r['number']} of {account_id} is empty")
    return Waiting(r["number"], event)


def _automatic_record(auto: AutomaticTopUp) -> Record:
    consent = auto.consent
    return {
        "enabled": auto.enabled,
        "threshold_minor": auto.threshold_minor,
        "amount_minor": auto.amount_minor,
        "target_minor": auto.target_minor,
        "monthly_limit_minor": auto.monthly_limit_minor,
        "payment_method_ref": auto.payment_method_ref,
        "consent": None
        if consent is None
        else {
            "given_by": consent.given_by,
            "given_at": consent.given_at,
            "text_version": consent.text_version,
        },
        "resumes": auto.resumes,
    }


def _period_record(month: int, p: Period) -> Values:
    return (
        month,
        p.received,
        p.charges,
        p.tax,
        [(m.kind, m.reference, m.amount, m.occurred_at, m.reason) for m in p.movements],
    )


def _top_up_record(t: TopUp) -> Values:
    return (
        t.episode,
        t.attempt,
        t.episode_open,
        None if t.pending is None else _pending_record(t.pending),
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


def _pending_record(p: Pending) -> Values:
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


def _top_up_of(r: Record) -> TopUp:
    t = TopUp()
    t.episode = r["episode"]
    t.attempt = r["attempt"]
    t.episode_open = r["episode_open"]
    t.pending = None if r["pending"] is None else Pending(**r["pending"])
    t.made_at = r["made_at"]
    t.retry_at = r["retry_at"]
    t.paused = r["paused"]
    t.method = r["method"]
    t.resumes = r["resumes"]
    t.declines = {d["method"]: d["count"] for d in r["declines"]}
    t.month = r["month"]
    t.taken_minor = r["taken_minor"]
    t.ended = [Ended(**e) for e in r["ended"]]
    t.told_month = r["told_month"]
    t.told_limit = r["told_limit"]
    t.decision = r["decision"]
    return t


def _payment_event_record(e: PaymentEvent) -> Record:
    return {
        "payment_id": e.payment_id,
        "kind": e.kind.value,
        "amount_minor": e.amount_minor,
        "currency": e.currency,
        "occurred_at": e.occurred_at,
        "reference": e.reference,
        "command_id": e.command_id,
        "payment_method_ref": e.payment_method_ref,
        "decline_code": e.decline_code,
        "hard_decline": e.hard_decline,
        "action_url": e.action_url,
    }


def _payment_event(account_id: str, record: Record, origin: Origin) -> PaymentEvent:
    return events.payment({"account_id": account_id, **record}, origin)


def _adjustment_record(e: Adjustment) -> Record:
    return {
        "adjustment_id": e.adjustment_id,
        "kind": e.kind.value,
        "amount": e.amount,
        "currency": e.currency,
        "reason": e.reason,
        "author": e.author,
        "occurred_at": e.occurred_at,
        "usage": None if e.usage is None else asdict(e.usage),
    }


def _origin_record(o: Origin) -> Record:
    return {
        "topic": o.topic,
        "partition": o.partition,
        "offset": o.offset,
        "timestamp": o.timestamp,
        "key": o.key,
        "value": o.value,
        "headers": [{"name": name, "value": value} for name, value in o.headers],
    }


def _origin(r: Record) -> Origin:
    return Origin(
        r["topic"],
        r["partition"],
        r["offset"],
        r["timestamp"],
        r["key"],
        r["value"],
        tuple((h["name"], h["value"]) for h in r["headers"]),
    )

"""The rules' state, accounts apart, to and from the records of schemas/state-*.avsc. No rule."""

from dataclasses import asdict
from typing import Any

from streams.agents import events
from streams.domain.account import (
    Adjusted,
    LaneState,
    Payment,
    Taken,
    Waiting,
)
from streams.domain.events import (
    Adjustment,
    Origin,
    PaymentEvent,
    Price,
    UsageEvent,
)
from streams.domain.reasons import InvariantBroken

Record = dict[str, Any]


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

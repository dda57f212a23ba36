"""The laws that compare two plays of the same inputs: redelivered, split otherwise, interleaved otherwise."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import fields, replace
from random import Random
from typing import Any

from streams.domain.events import Adjustment, Event, PaymentEvent, Tick, UsageEvent
from streams.domain.outcomes import Outcome
from streams.domain.outputs import CreditNote, DeadLetter, Invoice, LedgerEntry
from streams.domain.reasons import Reason, Rejected
from tests.laws.books import TAXES, USAGE_KINDS, Broken, must
from tests.laws.playing import Play, played


def redelivery_changes_nothing(events: Sequence[Event], play: Play, random: Random) -> None:
    """Delivering any tail of the inputs again leaves state and outputs as they were.

    Dead letters stay out of the tail: replaying one may well succeed, once what it lacked has come.
    """
    play.settle()
    buried = {(o.origin.topic, o.origin.offset) for o in play.said() if type(o) is DeadLetter}
    dead: set[tuple[object, ...]] = set()
    for step in play.steps:
        if isinstance(step.outcome, Rejected):
            dead.add(_content(step.event))
        elif (step.event.origin.topic, step.event.origin.offset) in buried:
            dead.add(_name(step.event))
    before = play.state()
    count = len(play.steps)
    for event in events[random.randrange(len(events)) :]:
        if _content(event) in dead or _name(event) in dead:
            continue
        step = play.send(event)
        must(not step.said, "redelivery says nothing", event, step.said)
        outcome = step.outcome
        known = outcome is Outcome.DUPLICATE or type(event) is Tick
        forgotten = isinstance(outcome, Rejected) and outcome.reason is Reason.TOO_OLD
        must(known or forgotten, "redelivery is a duplicate", event, outcome)
    same(before, play.state(), "redelivery changes no state")
    del play.steps[count:]


def _content(event: Event) -> tuple[object, ...]:
    """Return what an event says, wherever it stood."""
    return (type(event), *(getattr(event, f.name) for f in fields(event) if f.name != "origin"))


def _name(event: Event) -> tuple[object, ...]:
    """Return what an event is known by: one that says it again is its duplicate."""
    match event:
        case UsageEvent():
            return (event.account_id, event.source, event.event_id)
        case PaymentEvent():
            return (event.account_id, event.payment_id, event.kind, event.reference)
        case Adjustment():
            return (event.account_id, event.adjustment_id)
        case _:
            return ()


def batches_change_nothing(events: Sequence[Event], play: Play, random: Random) -> None:
    """The same records in the same order, split into other batches with restarts between, lead to the same.

    A batch ends anywhere, also within a sweep, which goes on between the events that follow.
    """
    other, more = Play(), False
    for event in events:
        if type(event) is Tick:
            while more:
                more = other.work(1)
        outcome = other.book.apply(event)
        other._keep(event, outcome)
        more = more or type(event) is Tick
        if more and random.random() < 0.6:
            more = other.work(1)
        chance = random.random()
        if chance < 0.05:
            other.restart()
        elif chance < 0.3:
            other.commit()
    while more:
        more = other.work(1)
    for one in (play, other):
        one.poke()
        one.commit()
    must([s.outcome for s in play.steps] == [s.outcome for s in other.steps], "batches change no outcome")
    said, said_too = play.said_by_account(), other.said_by_account()
    for account_id in said.keys() | said_too.keys():
        ours, theirs = said.get(account_id, []), said_too.get(account_id, [])
        if ours != theirs:
            place = next(
                (n for n, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), -1
            )
            raise Broken(f"batches change what is said: {account_id} {ours[place:][:2]} {theirs[place:][:2]}")
    same(play.state(), other.state(), "batches change no state")
    for account_id, balance in play.balances.items():
        last = other.balances.get(account_id)
        must(balance == last, "batches change no last balance", balance, last)


def interleaving_changes_no_charge(events: Sequence[Event], play: Play, random: Random) -> None:
    """Topics interleaved otherwise between two ticks lead to the same charges, tax, invoices and balances."""
    other = played(interleaved(events, random))
    for one in (play, other):
        one.poke()
    ours, theirs = unordered(play), unordered(other)
    for what, mine in ours.items():
        must(mine == theirs[what], f"the order of topics changes no {what}", mine, theirs[what])


def interleaved(events: Sequence[Event], random: Random) -> list[Event]:
    """Return events with those between two ticks in another order that keeps each topic's own."""
    mixed: list[Event] = []
    topics: dict[str, list[Event]] = defaultdict(list)

    def mix() -> None:
        names = [name for name, waiting in topics.items() for _ in waiting]
        random.shuffle(names)
        mixed.extend(topics[name].pop(0) for name in names)

    for event in events:
        if type(event) is Tick:
            mix()
            mixed.append(event)
        else:
            topics[event.origin.topic].append(event)
    mix()
    return mixed


def unordered(play: Play) -> dict[str, Any]:
    """Return all that must not depend on the order of topics; of a row, charges less reversals."""
    charges: dict[Any, int] = defaultdict(int)
    invoices, notes, balances = [], [], defaultdict(int)
    for output in play.said():
        if type(output) is LedgerEntry:
            balances[output.account_id] += output.amount
            if output.kind in USAGE_KINDS:
                o = output
                key = (o.account_id, o.kind in TAXES, o.period, o.month, o.meter, o.price_version, o.tax_rate)
                charges[key] += o.amount
        elif type(output) is Invoice:
            moved = tuple(
                sorted(output.movements, key=lambda m: (m.kind, m.reference, m.amount, m.occurred_at))
            )
            invoices.append(replace(output, movements=moved))
        elif type(output) is CreditNote:
            notes.append(output)
    invoices.sort(key=lambda invoice: invoice.number)
    notes.sort(key=lambda note: note.number)
    charges = {key: amount for key, amount in charges.items() if amount}
    return {"charge or tax": charges, "balance": balances, "invoice": invoices, "credit note": notes}


def same(one: dict[str, Any], other: dict[str, Any], law: str) -> None:
    """Raise Broken where two states differ, and say where."""
    if one == other:
        return
    for part, rows in one.items():
        if rows == other[part]:
            continue
        if isinstance(rows, dict) and isinstance(other[part], dict):
            for key in rows.keys() | other[part].keys():
                must(
                    rows.get(key) == other[part].get(key),
                    law,
                    part,
                    key,
                    *_difference(rows.get(key), other[part].get(key)),
                )
        raise Broken(f"{law}: {part}")


def _difference(one: Any, other: Any) -> tuple[Any, ...]:
    if isinstance(one, dict) and isinstance(other, dict):
        return tuple((k, v, other.get(k)) for k, v in one.items() if v != other.get(k))
    return (one, other)

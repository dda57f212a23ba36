"""Laws of the rules, over many made-up histories: conservation, redelivery, batches, order of topics."""

from collections import defaultdict
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import pairwise

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from streams.domain.account import Account
from streams.domain.events import (
    AccountSettings,
    AdjustmentKind,
    Event,
    PaymentKind,
    PriceModel,
    Tick,
    UsageEvent,
)
from streams.domain.outcomes import Outcome
from streams.domain.outputs import (
    CreditNote,
    DeadLetter,
    EntryKind,
    Invoice,
    LedgerEntry,
    Output,
    StatusChanged,
)
from streams.domain.reasons import Rejected
from tests.unit.domain.build import (
    DAY,
    HOUR,
    MINUTE,
    START,
    Lane,
    adjust,
    answer,
    auto,
    pay,
    price,
    reverse,
    settings,
    tick,
    usage,
)

ACCOUNTS = ("a", "b")
METERS = ("calls",)
LADDER = [("5", "0.10"), ("9", "0.004"), (None, "0.001")]
SPAN = 75 * DAY
TAKING = [PaymentKind.REFUNDED, PaymentKind.DISPUTED, PaymentKind.RETURNED, PaymentKind.DISPUTE_WON]


@dataclass(frozen=True)
class History:
    """One lane's inputs without ticks, by topic, and when ticks come."""

    prices: tuple[Event, ...]
    settings: tuple[AccountSettings, ...]
    usage: tuple[UsageEvent, ...]
    payments: tuple[Event, ...]
    adjustments: tuple[Event, ...]


@st.composite
def histories(draw: st.DrawFn, *, with_top_up: bool, with_close: bool) -> History:
    """Draw settings, usage (some late, some repeated), payments with what takes them back, adjustments."""
    model = draw(st.sampled_from([PriceModel.PER_UNIT, PriceModel.GRADUATED, PriceModel.VOLUME]))
    tiers = LADDER if model is not PriceModel.PER_UNIT else None
    prices = tuple(price("0.037", meter=meter, model=model, tiers=tiers) for meter in METERS)
    top_up = auto(threshold_minor=10, amount_minor=25) if with_top_up else None
    accounts = tuple(
        settings(
            account=account,
            when=START + draw(st.sampled_from([0, HOUR, 3 * DAY])),
            tax=draw(st.sampled_from([None, "0.19"])),
            zone=draw(st.sampled_from(["UTC", "Asia/Tokyo", "America/New_York"])),
            automatic_top_up=top_up,
            warning_level_minor=50,
        )
        for account in ACCOUNTS
    )
    if with_close:  # and perhaps opened again
        for first in accounts:
            for revision in range(2, draw(st.integers(2, 4))):
                changed = {"revision": revision, "closed": revision % 2 == 0}
                moment = START + revision * 10 * DAY + draw(st.integers(0, 20 * DAY))
                told = settings(account=first.account_id, when=moment).origin
                accounts += (replace(first, **changed, changed_at=moment, origin=told),)
    count = draw(st.integers(5, 25))
    used = []
    for n in range(count):
        moment = START + draw(st.sampled_from([12, 20, 21, 40, 70])) * DAY + draw(st.integers(0, DAY))
        event = usage(
            draw(st.sampled_from(["0", "0.3", "1", "4", "6"])),
            id=f"u{n}",
            account=draw(st.sampled_from(ACCOUNTS)),
            meter=draw(st.sampled_from(METERS)),
            when=moment,
            read=moment + draw(st.sampled_from([0, 2 * HOUR, 20 * DAY])),
        )
        used += [event] * draw(st.sampled_from([1, 1, 1, 2]))
    paid: list[Event] = []
    for n in range(draw(st.integers(0, 4))):
        account, moment = draw(st.sampled_from(ACCOUNTS)), START + draw(st.integers(0, SPAN))
        paid.append(pay(300, id=f"p{n}", account=account, when=moment))
        for kind in draw(st.lists(st.sampled_from(TAKING), unique=True)):
            back = pay(
                draw(st.integers(1, 200)),
                id=f"p{n}",
                account=account,
                kind=kind,
                reference="r",
                when=moment + HOUR,
            )
            paid.insert(draw(st.integers(0, len(paid))), back)
    adjusted: list[Event] = [
        adjust(
            draw(st.sampled_from([AdjustmentKind.CREDIT, AdjustmentKind.DEBIT])),
            "0.77",
            id=f"a{n}",
            account=draw(st.sampled_from(ACCOUNTS)),
            when=START + draw(st.integers(0, SPAN)),
        )
        for n in range(draw(st.integers(0, 2)))
    ]
    for n, event in enumerate(draw(st.lists(st.sampled_from(used), max_size=8))):
        moment = event.origin.timestamp + draw(st.sampled_from([-HOUR, 0, HOUR, 12 * DAY, 40 * DAY]))
        adjusted.append(reverse(event, id=f"r{n}", when=moment))
    return History(prices, accounts, tuple(used), tuple(paid), tuple(adjusted))


def by_time(history: History, *, tick_days: int) -> list[Event]:
    """Return a history in order of its records' time, with a tick every so many days."""
    read = [*history.settings, *history.usage, *history.payments, *history.adjustments]
    timed = [(event.origin.timestamp, 1, event) for event in read]
    timed += [(moment, 0, tick(moment)) for moment in range(START, START + SPAN + 25 * DAY, tick_days * DAY)]
    timed.sort(key=lambda item: item[:2])
    return [*history.prices, *(event for _, _, event in timed)]


def play(
    events: list[Event],
    *,
    answers: bool = False,
    budget: int = 1_000,
    refused: set[tuple[str, int]] | None = None,
) -> Lane:
    """Feed a lane; commands are answered by a success with the next event. Takes what was refused down."""
    lane = Lane()
    answered = 0
    for event in events:
        if isinstance(lane.send(event), Rejected) and refused is not None:
            refused.add((event.origin.topic, event.origin.offset))
        if isinstance(event, Tick):
            lane.work(budget)
        for command in lane.commands[answered:] if answers else []:
            lane.send(answer(command, PaymentKind.SUCCEEDED))
        answered = len(lane.commands)
    return lane


def of_account(said: list[Output], account_id: str) -> list[Output]:
    """Return what was said of one account."""
    return [output for output in said if output.account_id == account_id]


def accounts(lane: Lane) -> dict[str, Account]:
    """Return the state of all accounts."""
    return {a: lane.account(a) for a in ACCOUNTS if lane.shelves.accounts.get(a)}


def check_books(lane: Lane) -> None:
    """Check the invariants of domain.md that one lane's outputs can show."""
    for account_id, account in accounts(lane).items():
        said = of_account(lane.said, account_id)
        entries = [e for e in said if isinstance(e, LedgerEntry)]
        assert [e.number for e in entries] == list(range(1, len(entries) + 1))
        balance = 0
        for entry in entries:
            balance += entry.amount
            assert entry.balance_after == balance
        assert account.balance == balance
        invoices = [i for i in said if isinstance(i, Invoice)]
        assert [i.sequence for i in invoices] == list(range(1, len(invoices) + 1))
        times_closed = sum(s.status.value == "closed" for s in said if isinstance(s, StatusChanged))
        assert len(invoices) <= len({i.period for i in invoices}) + times_closed
        for before, after in pairwise(invoices):
            assert (before.closing, before.period) <= (after.opening, after.period)
            assert before.closing == after.opening
            assert before.period_end <= after.period_start
        closed = {i.period for i in invoices}
        still_open = {period.month for period in account.periods}
        assert {e.period for e in entries} == closed | still_open
        notes = [n for n in said if isinstance(n, CreditNote)]
        for period in closed - still_open:
            documents = [i for i in invoices if i.period == period]
            credited = sum(n.amount for n in notes if n.shown_in == period)
            booked = [e for e in entries if e.period == period]
            charges = -sum(e.amount for e in booked if e.kind in {EntryKind.CHARGE, EntryKind.REVERSAL})
            assert sum(i.charges for i in documents) == charges + credited
            assert sum(i.closing - i.opening for i in documents) == sum(e.amount for e in booked)
        check_rows(account, entries, invoices, notes)


def check_rows(
    account: Account, entries: list[LedgerEntry], invoices: list[Invoice], notes: list[CreditNote]
) -> None:
    """Check each month's row against the ledger, and against the documents that carry it."""
    for (month, meter, version, rate), row in account.rows.items():
        priced = [
            e
            for e in entries
            if (e.month, e.meter, e.price_version, e.tax_rate) == (month, meter, version, rate)
        ]
        signs = {EntryKind.CHARGE: 1, EntryKind.REVERSAL: -1}
        assert row.quantity == sum(signs[e.kind] * (e.quantity or 0) for e in priced if e.kind in signs)
        assert row.amount == -sum(e.amount for e in priced if e.kind in signs)
        assert row.tax == -sum(e.amount for e in priced if e.kind not in signs)
        told: dict[str, list[int]] = {i.number: [0, 0, 0] for i in invoices}
        for invoice in invoices:
            for line in invoice.lines:
                if (line.month, line.meter, line.price_version, line.tax_rate) == (
                    month,
                    meter,
                    version,
                    rate,
                ):
                    told[invoice.number] = [line.quantity, line.amount, line.tax]
        for note in notes:
            for back in note.lines:
                if (back.month, back.meter, back.price_version, back.tax_rate) == (
                    month,
                    meter,
                    version,
                    rate,
                ):
                    left = told[note.invoice_number]
                    told[note.invoice_number] = [
                        left[0] - back.quantity,
                        left[1] - back.amount,
                        left[2] - back.tax,
                    ]
        assert all(amount >= 0 and tax >= 0 for _, amount, tax in told.values())
        sums = [sum(column) for column in zip(*told.values(), strict=True)] or [0, 0, 0]
        assert sums == [row.invoiced_quantity, row.invoiced_amount, row.invoiced_tax]


@given(histories(with_top_up=True, with_close=True), st.integers(1, 20))
@examples(deadline=None, max_examples=50)
def test_money_is_conserved(history: History, tick_days: int) -> None:
    lane = play(by_time(history, tick_days=tick_days), answers=True)

    check_books(lane)
    charged = [(e.account_id, e.source, e.event_id) for e in lane.entries if e.kind is EntryKind.CHARGE]
    assert len(charged) == len(set(charged))
    taken_back = [(e.account_id, e.source, e.event_id) for e in lane.entries if e.kind is EntryKind.REVERSAL]
    assert len(taken_back) == len(set(taken_back))
    assert set(taken_back) <= set(charged)


@given(histories(with_top_up=True, with_close=True), st.integers(1, 20), st.data())
@examples(deadline=None, max_examples=50)
def test_redelivering_any_tail_changes_nothing(history: History, tick_days: int, data: st.DataObject) -> None:
    """But for dead letters: what was refused may find by now what it lacked, as when it is replayed."""
    events = by_time(history, tick_days=tick_days)
    refused: set[tuple[str, int]] = set()
    lane = play(events, answers=True, refused=refused)
    dead = {(d.origin.topic, d.origin.offset) for d in lane.all(DeadLetter)} | refused
    for event in history.settings:
        lane.send(event)  # wakes every account: periods without entries are closed when one is touched
    entries, before = list(lane.entries), deepcopy(accounts(lane))

    for event in events[data.draw(st.integers(0, len(events))) :]:
        if (event.origin.topic, event.origin.offset) in dead:
            continue
        outcome = lane.send(event)
        if not isinstance(event, Tick):
            assert outcome is not Outcome.APPLIED

    assert lane.entries == entries
    assert accounts(lane) == before


@given(histories(with_top_up=True, with_close=True), st.integers(1, 3), st.integers(1, 20))
@examples(deadline=None, max_examples=50)
def test_where_a_sweep_stands_when_events_come_changes_nothing(
    history: History, budget: int, tick_days: int
) -> None:
    events = by_time(history, tick_days=tick_days)
    at_once = play(events)

    lane = Lane()
    for event in events:
        if isinstance(event, Tick):
            lane.work()
        lane.send(event)
        lane.book.work(budget)  # a bounded piece of the sweep between two events
    lane.work()

    assert accounts(lane) == accounts(at_once)
    for account_id in ACCOUNTS:
        assert of_account(lane.said, account_id) == of_account(at_once.said, account_id)


@given(histories(with_top_up=False, with_close=False), st.integers(1, 20), st.randoms(use_true_random=False))
@examples(deadline=None, max_examples=50)
def test_charges_and_invoices_do_not_depend_on_how_topics_are_interleaved(
    history: History, tick_days: int, chance: st.DrawFn
) -> None:
    """Between two ticks the topics may come in any order, each in its own.

    (A close ends the period at its own place in the order, so what it cuts does depend on that.)
    """
    events = by_time(history, tick_days=tick_days)
    one, other = play(events), play(_interleaved(events, chance))

    assert {a: x.balance for a, x in accounts(one).items()} == {
        a: x.balance for a, x in accounts(other).items()
    }
    assert _totals(one) == _totals(other)


def _interleaved(events: list[Event], chance: object) -> list[Event]:
    """Return events with those between two ticks in another order that keeps each topic's own."""
    mixed: list[Event] = []
    topics: dict[str, list[Event]] = defaultdict(list)

    def mix() -> None:
        while any(topics.values()):
            topic = chance.choice(sorted(t for t, waiting in topics.items() if waiting))  # type: ignore[attr-defined]
            mixed.append(topics[topic].pop(0))

    for event in events:
        if isinstance(event, Tick):
            mix()
            mixed.append(event)
        else:
            topics[event.origin.topic].append(event)
    mix()
    return mixed


NET = {
    EntryKind.CHARGE: "net",
    EntryKind.REVERSAL: "net",
    EntryKind.TAX: "tax",
    EntryKind.REVERSAL_TAX: "tax",
}
"""What a reversal gives back depends on what was charged before it; with the charges it does not."""


def _totals(lane: Lane) -> object:
    """Return all that must not depend on the order of topics."""
    charges: dict[object, int] = defaultdict(int)
    for e in lane.entries:
        kind = NET.get(e.kind)
        if kind is not None:
            charges[e.account_id, kind, e.period, e.month, e.meter, e.price_version, e.tax_rate] += e.amount
    invoices = []
    for invoice in lane.invoices:  # movements are in the order that happened
        moved = tuple(sorted(invoice.movements, key=lambda m: (m.kind, m.reference)))
        invoices.append(replace(invoice, movements=moved))
    invoices.sort(key=lambda i: i.number)
    return charges, invoices, sorted(lane.all(CreditNote), key=lambda n: n.number)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8), st.sampled_from(list(PriceModel)), st.data())
@examples(deadline=None, max_examples=50)
def test_the_charges_of_a_month_add_up_to_p_of_its_quantity(
    quantities: list[int], model: PriceModel, data: st.DataObject
) -> None:
    tiers = LADDER if model in {PriceModel.GRADUATED, PriceModel.VOLUME} else None
    size = 7 * 10**12 if model is PriceModel.PACKAGE else None
    rate = price("0.0333", model=model, tiers=tiers, package_size=size, free_allowance=3 * 10**12)
    sums = set()

    for order in (quantities, data.draw(st.permutations(quantities))):
        lane = Lane(rate, settings(tax="0.0725"))
        for n, quantity in enumerate(order):
            lane.send(usage(quantity, when=START + n * MINUTE))
        sums.add(tuple(_sum(lane.entries, kind) for kind in (EntryKind.CHARGE, EntryKind.TAX)))

    assert len(sums) == 1


def _sum(entries: list[LedgerEntry], kind: EntryKind) -> int:
    return sum(e.amount for e in entries if e.kind is kind)

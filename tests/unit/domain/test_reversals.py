"""One usage event taken back, once, at exactly what it was charged."""

from dataclasses import replace
from itertools import permutations

import pytest

from streams.domain.events import AdjustmentKind, PriceModel, TaxRate, UsageEvent
from streams.domain.outcomes import Outcome
from streams.domain.outputs import CreditNote, DeadLetter, EntryKind, LedgerEntry
from streams.domain.reasons import Reason, Rejected
from tests.unit.domain.build import (
    DAY,
    HOUR,
    START,
    Lane,
    adjust,
    at,
    money,
    month,
    price,
    reverse,
    settings,
    tick,
    usage,
)

LADDER = [("10", "0.10"), (None, "0.01")]
JANUARY, FEBRUARY = month("2025-01"), month("2025-02")


def reason(outcome: Outcome | Rejected) -> Reason:
    assert isinstance(outcome, Rejected)
    return outcome.reason


def booked(lane: Lane) -> list[tuple[str, int]]:
    """Return kind and amount of all entries."""
    return [(e.kind.value, e.amount) for e in lane.entries]


def test_a_reversal_gives_back_the_charge_and_its_tax_and_names_both_event_and_adjustment() -> None:
    event = usage("10", id="u1")
    lane = Lane(price("0.5"), settings(tax="0.19"), event)

    assert lane.send(reverse(event, id="r1")) is Outcome.APPLIED

    assert lane.account().balance == 0
    *_, back, tax = lane.entries
    assert (back.kind, back.amount) == (EntryKind.REVERSAL, money("5"))
    assert (tax.kind, tax.amount) == (EntryKind.REVERSAL_TAX, money("0.95"))
    assert (back.event_id, back.source, back.meter, back.quantity) == ("u1", "api", "calls", money(10))
    assert (back.price_version, back.tax_rate, back.month, back.period) == (
        1,
        money("0.19"),
        JANUARY,
        JANUARY,
    )
    assert (back.adjustment_id, back.reason, back.occurred_at) == ("r1", "counted twice", START)
    assert (tax.event_id, tax.quantity, tax.adjustment_id) == ("u1", None, "r1")


@pytest.mark.parametrize("model", list(PriceModel))
def test_charges_less_reversals_come_to_p_of_what_is_left_in_every_order(model: PriceModel) -> None:
    """A, B and C are used, A and B taken back, under every model and in every order that has a chance."""
    tiers = LADDER if model in {PriceModel.GRADUATED, PriceModel.VOLUME} else None
    size = money(4) if model is PriceModel.PACKAGE else None
    card = price("0.07", model=model, tiers=tiers, package_size=size, free_allowance=money(1))
    a, b, c = usage(8, id="a"), usage(7, id="b"), usage(3, id="c")
    left = Lane(card, settings(tax="0.19"), c).account().balance

    for order in permutations([a, b, c, reverse(a, id="ra"), reverse(b, id="rb")]):
        lane = Lane(card, settings(tax="0.19"), *order)

        assert lane.account().balance == left
        assert lane.shelves.waiting.all() == []


def test_a_reversal_of_a_later_event_before_an_earlier_one_is_exact_too() -> None:
    a, b = usage(8), usage(8)
    graduated = price(model=PriceModel.GRADUATED, tiers=LADDER)

    one = Lane(graduated, settings(), a, b, reverse(a), reverse(b))
    other = Lane(graduated, settings(), a, b, reverse(b), reverse(a))

    charges = [("charge", -money("0.8")), ("charge", -money("0.26"))]
    back = [("reversal", money("0.26")), ("reversal", money("0.8"))]
    assert booked(one) == booked(other) == charges + back


def test_with_a_volume_price_a_reversal_may_cost() -> None:
    a, b = usage(10), usage(1)
    lane = Lane(price(model=PriceModel.VOLUME, tiers=LADDER), settings(), a, b)

    lane.send(reverse(b))

    assert booked(lane)[-1] == ("reversal", -money("0.89"))


def test_it_is_taken_back_at_the_version_it_was_charged_though_a_late_price_is_in_force_now() -> None:
    event = usage(4)
    lane = Lane(price("1"), settings(), event)
    lane.send(price("5", version=2, valid_from=START - DAY))
    lane.send(usage(4))

    lane.send(reverse(event))

    assert (lane.entries[-1].price_version, lane.entries[-1].amount) == (1, money(4))
    assert lane.account().balance == -money(20)


def test_it_is_taken_back_at_the_tax_rate_it_was_charged_though_the_rates_have_changed() -> None:
    event = usage(10)
    lane = Lane(price("1"), event)
    lane.tick(START)  # opened by default: untaxed
    lane.send(settings(tax="0.19"))
    lane.send(usage(10))

    lane.send(reverse(event))

    assert booked(lane)[-1] == ("reversal", money(10))
    assert lane.account().balance == -money("11.9")


def test_it_is_found_in_the_month_it_was_charged_though_the_zone_has_changed() -> None:
    event = usage(when=at("2025-02-28 23:00"), read=at("2025-02-28 23:00"))
    lane = Lane(price("1"), settings(), event)
    lane.send(settings(2, zone="Asia/Tokyo", when=at("2025-01-15")))

    lane.send(reverse(event))

    assert [e.month for e in lane.entries] == [FEBRUARY, FEBRUARY]
    assert lane.account().balance == 0


def test_rows_find_their_events_after_a_restart() -> None:
    events = [usage(n, meter=meter) for n, meter in ((2, "calls"), (3, "gb"), (5, "calls"))]
    lane = Lane(price("1"), price("2", meter="gb"), settings(), *events)

    later = Lane(*[reverse(event) for event in events], shelves=lane.shelves)

    assert later.account().balance == 0


def test_an_adjustment_id_reverses_once() -> None:
    a, b = usage(2), usage(3)
    lane = Lane(price("1"), settings(), a, b)

    outcomes = [lane.send(reverse(a, id="r")), lane.send(reverse(a, id="r"))]
    conflict = lane.send(reverse(b, id="r"))

    assert outcomes == [Outcome.APPLIED, Outcome.DUPLICATE]
    assert reason(conflict) is Reason.ADJUSTMENT_CONFLICT
    assert reason(lane.send(adjust(AdjustmentKind.CREDIT, "1", id="r"))) is Reason.ADJUSTMENT_CONFLICT


def test_an_event_is_taken_back_once_whatever_the_adjustment() -> None:
    event = usage(2)
    lane = Lane(price("1"), settings(), event, reverse(event))

    assert reason(lane.send(reverse(event))) is Reason.ALREADY_REVERSED
    assert lane.account().balance == 0


def test_an_event_that_was_taken_back_is_not_charged_when_it_comes_again() -> None:
    event = usage(2, id="u1")
    lane = Lane(price("1"), settings(), event, reverse(event))

    assert lane.send(event) is Outcome.DUPLICATE
    assert reason(lane.send(usage(3, id="u1"))) is Reason.ID_CONFLICT


@pytest.mark.parametrize("other", [{"quantity": 1}, {"meter": "gb"}, {"occurred_at": START + 1}])
def test_a_reversal_must_carry_the_event_as_it_was_sent(other: dict[str, object]) -> None:
    event = usage(2)
    lane = Lane(price("1"), price(meter="gb"), settings(), event)
    wrong = reverse(event)
    assert wrong.usage is not None

    outcome = lane.send(replace(wrong, usage=replace(wrong.usage, **other)))  # type: ignore[arg-type]

    assert reason(outcome) is Reason.ID_CONFLICT
    assert lane.send(reverse(event)) is Outcome.APPLIED


def test_a_reversal_in_another_currency_is_rejected() -> None:
    event = usage(2)
    lane = Lane(price("1"), settings(), event)

    assert reason(lane.send(reverse(event, currency="EUR"))) is Reason.CURRENCY_MISMATCH


def test_a_reversal_before_its_event_waits_for_it() -> None:
    event = usage(2)
    lane = Lane(price("1"), settings(), tick(START))
    early = reverse(event, id="r1")

    waits = [lane.send(early), lane.send(early)]
    lane.send(usage(2))
    lane.send(event)

    assert waits == [Outcome.WAITING, Outcome.DUPLICATE]
    assert [e.kind for e in lane.entries] == [EntryKind.CHARGE, EntryKind.CHARGE, EntryKind.REVERSAL]
    assert lane.book.settled_applied == 1
    assert lane.send(early) is Outcome.DUPLICATE


def test_a_reversal_waits_for_its_event_over_a_restart() -> None:
    event = usage(2)
    lane = Lane(price("1"), settings(), reverse(event))

    later = Lane(event, shelves=lane.shelves)

    assert later.account().balance == 0


def test_of_two_reversals_that_wait_for_one_event_the_first_is_applied() -> None:
    event = usage(2)
    lane = Lane(price("1"), settings(), reverse(event, id="r1"), reverse(event, id="r2"), event)

    assert [e.adjustment_id for e in lane.entries] == [None, "r1"]
    assert [d.reason for d in lane.all(DeadLetter)] == [Reason.ALREADY_REVERSED]


def test_a_reversal_whose_event_did_not_come_until_a_tick_is_a_dead_letter_and_can_be_replayed() -> None:
    event = usage(2)
    lane = Lane(price("1"), settings(), reverse(event, id="r1"))

    lane.tick(START)

    assert [d.reason for d in lane.all(DeadLetter)] == [Reason.UNKNOWN_EVENT]
    assert lane.send(event) is Outcome.APPLIED
    assert lane.send(reverse(event, id="r1")) is Outcome.APPLIED


def test_a_reversal_alone_opens_no_account() -> None:
    lane = Lane(price("1"), reverse(usage(2)))

    lane.tick(START)

    assert lane.shelves.accounts.get("acme") is None
    assert [d.reason for d in lane.all(DeadLetter)] == [Reason.UNKNOWN_EVENT]


@pytest.mark.parametrize("reversal_first", [True, False])
@pytest.mark.parametrize("ending", ["settings", "tick"])
def test_usage_and_its_reversal_may_wait_together_in_any_order(reversal_first: bool, ending: str) -> None:
    event = usage(2)
    pair = [reverse(event), event] if reversal_first else [event, reverse(event)]
    lane = Lane(price("1"), *pair)

    if ending == "tick":
        lane.tick(START)
    else:
        lane.send(settings())

    assert booked(lane) == [("charge", -money(2)), ("reversal", money(2))]
    assert lane.book.settled_applied == 2
    assert lane.shelves.waiting.all() == []


def test_a_reversal_of_usage_without_a_price_waits_with_it() -> None:
    event = usage(2)
    lane = Lane(settings(), event)

    assert lane.send(reverse(event)) is Outcome.WAITING
    lane.send(price("1"))

    assert booked(lane) == [("charge", -money(2)), ("reversal", money(2))]


def test_a_reversal_whose_event_goes_on_waiting_after_a_tick_waits_with_it() -> None:
    event = usage(2)
    early = reverse(event)
    lane = Lane(settings(), early, event)

    lane.send(
        tick(START, stood={"usage-events": event.origin.offset, "adjustments": early.origin.offset + 1})
    )
    lane.send(price("1"))

    assert lane.account().balance == 0
    assert lane.all(DeadLetter) == []


def test_a_reversal_of_usage_that_died_for_want_of_a_price_dies_with_it() -> None:
    event = usage(2)
    lane = Lane(settings(), event, reverse(event))

    lane.tick(START)

    assert [d.reason for d in lane.all(DeadLetter)] == [Reason.NO_PRICE, Reason.UNKNOWN_EVENT]


def test_beyond_the_forget_line_nothing_is_taken_back() -> None:
    event = usage(2)
    lane = Lane(price("1"), settings(), event)
    lane.tick(START + 35 * DAY + 1)

    assert reason(lane.send(reverse(event))) is Reason.TOO_OLD


def test_on_the_forget_line_it_still_is() -> None:
    event = usage(2)
    lane = Lane(price("1"), settings(), event)
    lane.tick(START + 35 * DAY)

    assert lane.send(reverse(event)) is Outcome.APPLIED


def test_charged_and_reversed_in_the_same_open_period_is_nothing_on_its_line() -> None:
    event = usage(4)
    lane = Lane(price("1"), settings(), tick(START), event, usage(1), reverse(event))

    lane.tick("2025-02-02")

    (invoice,) = lane.invoices
    assert [(line.quantity, line.amount) for line in invoice.lines] == [(money(1), money(1))]
    assert lane.all(CreditNote) == []


def test_all_of_a_month_reversed_leaves_a_line_of_nothing_since_each_charge_is_on_a_line() -> None:
    event = usage(4)
    lane = Lane(price("1"), settings(), tick(START), event, reverse(event))

    lane.tick("2025-02-02")

    (invoice,) = lane.invoices
    assert [(line.quantity, line.amount, line.tiers) for line in invoice.lines] == [(0, 0, ())]
    assert (invoice.opening, invoice.closing) == (0, 0)


def test_in_the_grace_hour_a_reversal_of_the_month_before_nets_on_its_line() -> None:
    event = usage(4)
    lane = Lane(price("1"), settings(), tick(START), event, usage(1), tick(at("2025-02-01 00:30")))

    lane.send(reverse(event, when=at("2025-02-01 00:30")))
    lane.tick("2025-02-01 01:00")

    (invoice,) = lane.invoices
    assert [(line.quantity, line.amount) for line in invoice.lines] == [(money(1), money(1))]


def test_a_reversal_in_a_closed_period_is_a_credit_note_that_the_open_invoice_shows_once() -> None:
    event = usage(4)
    lane = Lane(price("1"), settings(tax="0.5"), tick(START), event, usage(1))
    lane.tick("2025-02-02")

    lane.send(reverse(event, when=at("2025-02-02")))
    lane.tick("2025-03-02")

    (note,) = lane.all(CreditNote)
    _, invoice = lane.invoices
    assert (note.invoice_number, note.period, note.shown_in) == ("acme-000001", JANUARY, FEBRUARY)
    assert [(x.month, x.quantity, x.amount, x.tax) for x in note.lines] == [
        (JANUARY, money(4), money(4), money(2))
    ]
    assert [(m.kind, m.amount) for m in invoice.movements] == [("credit_note", money(6))]
    assert (invoice.lines, invoice.charges, invoice.closing) == ((), 0, -money("1.5"))
    lane.tick("2025-04-02")
    assert len(lane.all(CreditNote)) == 1


def late(quantity: int, when: str = "2025-01-20") -> UsageEvent:
    """Return usage of January that is read in February."""
    return usage(quantity, when=at(when), read=at("2025-02-02"))


def test_late_usage_and_reversals_of_one_row_are_one_line_in_every_order() -> None:
    invoices = []
    for reversal_first in (True, False):
        event, more = usage(8), late(7)
        lane = Lane(price(model=PriceModel.GRADUATED, tiers=LADDER), settings(), tick(START), event, usage(1))
        lane.tick("2025-02-02")
        for each in (reverse(event), more) if reversal_first else (more, reverse(event)):
            lane.send(each)
        lane.tick("2025-03-02")
        invoices.append(lane.invoices[-1].credit_notes + lane.invoices[-1].lines)
        assert [n.amount for n in lane.all(CreditNote)] == [money("0.1")]  # 9 were invoiced, 8 are left

    assert invoices[0] == invoices[1]


def test_a_credit_over_two_invoices_names_both_the_first_first() -> None:
    event, more = usage(8), late(3)
    lane = Lane(price("1"), settings(), tick(START), max_age_ms=100 * DAY)
    lane.send(event)
    lane.tick("2025-02-02")
    lane.send(more)
    lane.tick("2025-03-02")

    lane.send(reverse(event))
    lane.send(reverse(more))
    lane.tick("2025-04-02")

    notes = [
        (n.invoice_number, n.period, n.shown_in, n.amount, n.lines[0].quantity) for n in lane.all(CreditNote)
    ]
    march = month("2025-03")
    assert notes == [
        ("acme-000001", JANUARY, march, money(8), money(8)),
        ("acme-000002", FEBRUARY, march, money(3), money(3)),
    ]
    assert {x.month for n in lane.all(CreditNote) for x in n.lines} == {JANUARY}
    assert [part.amount for row in lane.account().rows.values() for part in row.parts] == [0, 0]


def test_a_reversal_of_what_was_free_lowers_the_quantity_on_a_late_line() -> None:
    event = usage(4)
    lane = Lane(price("1", free_allowance=money(10)), settings(), tick(START), event, usage(1))
    lane.tick("2025-02-02")

    lane.send(reverse(event))
    lane.tick("2025-03-02")

    assert [(n.quantity, n.amount, n.month) for n in lane.invoices[-1].lines] == [(-money(4), 0, JANUARY)]
    assert lane.all(CreditNote) == []


def test_reversals_change_status_and_top_up_in_the_same_step() -> None:
    event = usage(5)
    lane = Lane(price("1"), settings(), event, tick(START + HOUR))
    assert lane.account().status.value == "suspended"
    lane.send(adjust(AdjustmentKind.CREDIT, "1"))

    lane.send(reverse(event))

    assert lane.account().status.value == "active"


def test_rates_of_a_taxed_row_are_kept_apart() -> None:
    rates = (TaxRate(0, money("0.1")), TaxRate(START + HOUR, money("0.2")))
    a, b = usage(10), usage(10, when=START + 2 * HOUR)
    lane = Lane(price("1"), settings(tax_rates=rates), a, b)

    lane.send(reverse(a))

    taxes: list[LedgerEntry] = [e for e in lane.entries if e.kind is EntryKind.REVERSAL_TAX]
    assert [(e.amount, e.tax_rate) for e in taxes] == [(money(1), money("0.1"))]
    assert lane.account().balance == -money(12)

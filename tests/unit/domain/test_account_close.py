"""Closing an account: its period ends at that instant, nothing is topped up, what is left is told."""

from streams.domain.events import AdjustmentKind, PaymentKind
from streams.domain.outcomes import Outcome
from streams.domain.outputs import CommandKind, CreditNote, EntryKind, Notification, StatusChanged
from tests.unit.domain.build import (
    ACCOUNT,
    HOUR,
    START,
    Lane,
    adjust,
    answer,
    at,
    auto,
    money,
    month,
    pay,
    price,
    reverse,
    settings,
    tick,
    usage,
)

JANUARY, FEBRUARY = month("2025-01"), month("2025-02")
CLOSED_AT = START + HOUR


def closed(paid_minor: int = 1_000, used: str = "3.456") -> Lane:
    """Return a lane whose account paid, used, and was closed an hour later."""
    lane = Lane(price("1"), settings(), tick(START), pay(paid_minor, id="p1"), usage(used))
    lane.tick(CLOSED_AT)
    lane.send(settings(2, closed=True))
    return lane


def test_the_running_period_ends_at_the_lanes_time_with_its_document() -> None:
    lane = closed()

    (invoice,) = lane.invoices
    assert (invoice.period, invoice.period_start, invoice.period_end) == (
        JANUARY,
        at("2025-01-01"),
        CLOSED_AT,
    )
    assert invoice.issued_at == CLOSED_AT
    assert [(line.quantity, line.amount) for line in invoice.lines] == [(money("3.456"), money("3.456"))]
    assert invoice.closing == lane.account().balance == money("6.54")
    ready = [n.details["number"] for n in lane.all(Notification) if n.kind.value == "invoice_ready"]
    assert ready == ["acme-000001"]


def test_what_is_below_a_minor_unit_is_written_off_towards_zero() -> None:
    positive, negative, even = closed(), closed(100), closed(1_000, "3")

    assert [(e.kind, e.amount, e.balance_after) for e in positive.entries[2:]] == [
        (EntryKind.WRITE_OFF, -money("0.004"), money("6.54"))
    ]
    assert [(e.kind, e.amount, e.balance_after) for e in negative.entries[2:]] == [
        (EntryKind.WRITE_OFF, money("0.006"), -money("2.45"))
    ]
    assert even.entries[2:] == []
    assert [(m.kind, m.amount) for m in positive.invoices[0].movements][1:] == [
        ("write_off", -money("0.004"))
    ]


def test_the_balance_tells_what_is_left_for_refund_as_long_as_it_is_closed() -> None:
    def refundable(lane: Lane) -> int | None:
        return lane.book.touched()[0].refundable_minor

    lane = Lane(settings(), pay(1_000))
    assert refundable(lane) is None

    lane = closed()
    assert refundable(lane) == 654
    lane.send(pay(654, id="p1", kind=PaymentKind.REFUNDED, reference="r1"))
    assert refundable(lane) == 0
    assert refundable(closed(100)) == 0  # money is owed


def test_status_is_closed_and_told() -> None:
    lane = closed()

    assert [s.status.value for s in lane.all(StatusChanged)] == ["suspended", "active", "closed"]
    lane.tick(CLOSED_AT + HOUR)
    assert "suspended" not in lane.mails


def test_what_comes_later_is_charged_and_flagged() -> None:
    lane = closed()

    outcome = lane.send(usage(2, when=CLOSED_AT))

    assert outcome is Outcome.APPLIED
    assert [e.reason for e in lane.entries] == [None, None, None, "after_close"]


def test_the_tax_of_later_usage_is_flagged_too() -> None:
    lane = Lane(price("1"), settings(tax="0.5"), tick(START), settings(2, tax="0.5", closed=True), usage(1))

    assert [(e.kind.value, e.reason) for e in lane.entries] == [
        ("charge", "after_close"),
        ("tax", "after_close"),
    ]


def test_what_comes_later_for_that_month_makes_a_second_document_at_its_end() -> None:
    lane = closed()
    lane.send(usage(2, when=CLOSED_AT))
    lane.send(adjust(AdjustmentKind.CREDIT, "0.5", when=CLOSED_AT))

    lane.tick("2025-02-01 01:00")

    first, second = lane.invoices
    assert (second.period, second.sequence) == (JANUARY, 2)
    assert (second.period_start, second.period_end) == (CLOSED_AT, at("2025-02-01"))
    assert [(line.month, line.quantity, line.amount) for line in second.lines] == [
        (JANUARY, money(2), money(2))
    ]
    assert (second.opening, second.closing) == (first.closing, money("5.04"))
    lane.send(usage(1, when=at("2025-02-05")))
    lane.tick("2025-03-01 01:00")
    assert [i.period_start for i in lane.invoices[2:]] == [at("2025-02-01")]


def test_a_reversal_after_the_close_is_a_credit_note_on_the_second_document() -> None:
    event = usage(3)
    lane = Lane(price("1"), settings(), tick(START), event, settings(2, closed=True), reverse(event))

    lane.tick("2025-02-01 01:00")

    (note,) = lane.all(CreditNote)
    assert (note.invoice_number, note.period, note.shown_in, note.amount) == (
        "acme-000001",
        JANUARY,
        JANUARY,
        money(3),
    )
    assert lane.invoices[1].credit_notes == (note.number,)


def test_closing_in_the_grace_hour_ends_the_month_before_too_and_late_usage_goes_on() -> None:
    lane = Lane(price("1"), settings(), tick(START), usage(1), tick(at("2025-02-01 00:30")))
    lane.send(usage(2, when=at("2025-02-01 00:10")))

    lane.send(settings(2, closed=True))
    lane.send(usage(4, when=at("2025-01-31 23:00"), read=at("2025-02-01 00:40")))
    lane.tick("2025-03-01 01:00")

    told = [(i.period, i.period_end, i.issued_at) for i in lane.invoices]
    half_past, march = at("2025-02-01 00:30"), at("2025-03-01 01:00")
    assert told == [
        (JANUARY, at("2025-02-01"), half_past),
        (FEBRUARY, half_past, half_past),
        (FEBRUARY, at("2025-03-01"), march),
    ]
    assert [(line.month, line.amount) for line in lane.invoices[2].lines] == [(JANUARY, money(4))]


def test_closed_before_the_first_tick_it_ends_at_that() -> None:
    lane = Lane(price("1"), settings(), usage("0.001"), pay(100), settings(2, closed=True))
    assert lane.account().status.value == "closed"
    assert lane.invoices == []

    lane.tick(START)

    (invoice,) = lane.invoices
    assert (invoice.period_end, invoice.closing) == (START, money("0.99"))
    assert lane.account().closed_at == START


def test_an_account_without_entries_closes_without_a_document() -> None:
    lane = Lane(settings(), tick(START), settings(2, closed=True))

    assert lane.invoices == lane.entries == []
    assert lane.account().closed


def test_closing_cancels_the_pending_top_up_and_what_was_taken_is_credited() -> None:
    lane = Lane(price("1"), settings(automatic_top_up=auto()), pay(2_000), tick(START), usage(1))

    lane.send(settings(2, automatic_top_up=auto(), closed=True))
    lane.send(answer(lane.commands[0], PaymentKind.SUCCEEDED))

    assert [c.kind for c in lane.commands] == [CommandKind.CHARGE, CommandKind.CANCEL]
    assert lane.account().balance == money(69)
    assert lane.account().top_up.decision == "closed"


def test_the_same_settings_again_do_not_end_a_period_again() -> None:
    lane = closed()
    lane.send(usage("0.001"))

    lane.send(settings(3, closed=True))

    assert len(lane.invoices) == 1
    assert len([e for e in lane.entries if e.kind is EntryKind.WRITE_OFF]) == 1


def test_an_account_opened_again_goes_on_from_the_cut_and_can_be_closed_again() -> None:
    lane = closed()
    lane.send(settings(3))
    lane.send(usage("0.005", when=CLOSED_AT))
    lane.tick(CLOSED_AT + HOUR)

    lane.send(settings(4, closed=True))

    assert [e.reason for e in lane.entries if e.kind is EntryKind.CHARGE] == [None, None]
    assert [(i.period_start, i.period_end) for i in lane.invoices] == [
        (at("2025-01-01"), CLOSED_AT),
        (CLOSED_AT, CLOSED_AT + HOUR),
    ]
    assert lane.invoices[1].closing == lane.account(ACCOUNT).balance == money("6.53")


def test_money_dated_in_the_next_month_keeps_its_period_open() -> None:
    lane = Lane(settings(), tick(at("2025-01-31 23:50")), pay(100, when=at("2025-02-01 00:05")))

    lane.send(settings(2, closed=True))

    assert lane.invoices == []
    assert [period.month for period in lane.account().periods] == [FEBRUARY]

"""Month close: complete invoices, each charge on exactly one, numbers without gaps."""

from itertools import pairwise

import pytest

from streams.domain.events import AdjustmentKind, Event, PaymentKind, PriceModel, ProfileErased
from streams.domain.outcomes import Outcome
from streams.domain.outputs import CreditNote, Invoice, Movement, Notification, Shown, TaxTotal
from streams.domain.reasons import InvariantBroken
from tests.unit.domain.build import (
    ACCOUNT,
    START,
    Lane,
    adjust,
    at,
    money,
    month,
    origin,
    pay,
    price,
    profile,
    settings,
    tick,
    usage,
)

LADDER = [("10", "0.10"), (None, "0.01")]
JANUARY, FEBRUARY, MARCH = month("2025-01"), month("2025-02"), month("2025-03")


def on(moment: str, quantity: str | int = 1, **more: object) -> Event:
    """Return usage at a moment, read at once."""
    return usage(quantity, when=at(moment), **more)  # type: ignore[arg-type]


def check(invoice: Invoice) -> None:
    """Check what must hold on every invoice."""
    assert invoice.charges == sum(line.amount for line in invoice.lines)
    assert invoice.tax == sum(line.tax for line in invoice.lines)
    assert invoice.tax == sum(tax.tax for tax in invoice.taxes)
    assert invoice.received == sum(m.amount for m in invoice.movements)
    assert invoice.charged == invoice.charges + invoice.tax
    assert invoice.closing == invoice.opening + invoice.received - invoice.charged
    shown = invoice.shown
    assert shown.charged_minor == shown.opening_minor + shown.received_minor - shown.closing_minor
    printed = sum(line.amount_minor for line in invoice.lines) + shown.tax_minor + shown.rounding_minor
    assert shown.charged_minor == printed
    for line in invoice.lines:
        assert not line.tiers or sum(tier.amount for tier in line.tiers) == line.amount


def test_a_period_closes_at_the_first_tick_at_its_end_plus_grace() -> None:
    lane = Lane(price(), settings(), tick(START), usage())

    lane.tick(at("2025-02-01 01:00") - 1)
    before = list(lane.invoices)
    lane.tick(at("2025-02-01 01:00") + 7)

    (invoice,) = lane.invoices
    assert before == []
    assert (invoice.number, invoice.sequence, invoice.period) == ("acme-000001", 1, JANUARY)
    assert (invoice.period_start, invoice.period_end) == (at("2025-01-01"), at("2025-02-01"))
    assert invoice.issued_at == at("2025-02-01 01:00") + 7


def test_an_invoice_is_complete() -> None:
    lane = Lane(
        price(model=PriceModel.GRADUATED, tiers=LADDER),
        price("0.5", meter="gb", unit="gigabyte"),
        profile(),
        settings(tax="0.19", zone="Europe/Berlin"),
        tick(START),
        pay(1_000, id="p1"),
        usage(12),
        usage("0.333", meter="gb"),
        pay(300, id="p1", kind=PaymentKind.REFUNDED, reference="r1"),
        adjust(AdjustmentKind.CREDIT, "0.5", id="a1"),
    )

    lane.tick("2025-02-05")

    (invoice,) = lane.invoices
    check(invoice)
    assert invoice.customer is not None
    assert (invoice.customer.name, invoice.customer.tax_id) == ("Ada", "T1")
    assert (invoice.seller.name, invoice.zone, invoice.currency) == ("Seller", "Europe/Berlin", "USD")
    assert [(line.meter, line.unit, line.quantity, line.amount) for line in invoice.lines] == [
        ("calls", "call", money(12), money("1.02")),
        ("gb", "gigabyte", money("0.333"), money("0.1665")),
    ]
    assert [(t.quantity, t.amount) for t in invoice.lines[0].tiers] == [
        (money(10), money(1)),
        (money(2), money("0.02")),
    ]
    assert invoice.taxes == (TaxTotal(rate=money("0.19"), base=money("1.1865"), tax=money("0.225435")),)
    assert invoice.movements == (
        Movement("payment", "p1", money(10), START),
        Movement("refund", "r1", -money(3), START),
        Movement("credit", "a1", money("0.5"), START, "goodwill"),
    )
    assert (invoice.opening, invoice.closing) == (0, lane.account().balance)
    assert invoice.shown == Shown(
        opening_minor=0,
        received_minor=750,
        closing_minor=609,
        charged_minor=141,
        tax_minor=23,
        rounding_minor=-1,
    )
    (mail,) = [n for n in lane.all(Notification) if n.kind.value == "invoice_ready"]
    assert mail.notification_id == "acme:invoice_ready:acme-000001"
    assert mail.details == {
        "currency": "USD",
        "number": "acme-000001",
        "period": "2025-01",
        "charged_minor": "141",
        "closing_minor": "609",
    }


def test_a_rate_of_zero_is_a_rate_with_its_base_and_no_rate_is_none() -> None:
    lane = Lane(price("1"), settings(tax="0"), settings(account="untaxed"), tick(START))
    lane.send(usage(2))
    lane.send(usage(2, account="untaxed"))

    lane.tick("2025-02-05")

    taxes = {invoice.account_id: invoice.taxes for invoice in lane.invoices}
    assert taxes == {"acme": (TaxTotal(rate=0, base=money(2), tax=0),), "untaxed": ()}


def test_an_invoice_names_the_zone_of_its_own_period() -> None:
    lane = Lane(price("1"), settings(), tick(START), usage(1))
    lane.send(settings(2, zone="Asia/Tokyo"))

    lane.tick("2025-02-05")
    lane.send(on("2025-02-10"))
    lane.tick("2025-03-05")

    assert [invoice.zone for invoice in lane.invoices] == ["UTC", "Asia/Tokyo"]


def test_a_rounding_line_takes_what_the_lines_lack() -> None:
    meters = ["a", "b", "c"]
    lane = Lane(*(price("0.004", meter=m) for m in meters), settings(), tick(START))

    for meter in meters:
        lane.send(usage(meter=meter))
    lane.tick("2025-02-05")

    (invoice,) = lane.invoices
    check(invoice)
    assert [line.amount_minor for line in invoice.lines] == [0, 0, 0]
    assert (invoice.shown.charged_minor, invoice.shown.rounding_minor) == (1, 1)


def test_without_a_ledger_entry_there_is_no_invoice() -> None:
    lane = Lane(price(), settings(), tick(START))

    lane.tick("2025-03-05")

    assert lane.invoices == []
    assert lane.account().invoices == 0


def test_money_alone_makes_an_invoice_and_so_does_usage_that_cost_nothing() -> None:
    lane = Lane(price("0"), settings(), tick(START), usage(3), settings(account="b"), pay(5, account="b"))

    lane.tick("2025-02-05")

    free, paid = sorted(lane.invoices, key=lambda i: i.account_id)
    assert [(line.quantity, line.amount) for line in free.lines] == [(money(3), 0)]
    assert (paid.lines, paid.received) == ((), money("0.05"))


def test_an_event_exactly_at_the_end_of_the_period_is_the_next_ones() -> None:
    lane = Lane(price(), settings(), tick(START))

    lane.send(usage(when=at("2025-02-01") - 1))
    lane.send(on("2025-02-01"))

    assert [e.period for e in lane.entries] == [JANUARY, FEBRUARY]


def test_usage_of_the_old_month_in_the_grace_hour_is_still_on_its_invoice() -> None:
    lane = Lane(price(), settings(), tick(START))
    lane.tick("2025-02-01 00:30")

    lane.send(usage(when=at("2025-01-31 23:59"), read=at("2025-02-01 00:40")))
    lane.send(on("2025-02-01 00:40"))
    lane.tick("2025-02-01 01:00")

    (invoice,) = lane.invoices
    assert [(line.month, line.quantity) for line in invoice.lines] == [(JANUARY, money(1))]


def test_a_charge_after_the_close_goes_to_the_open_month_as_a_late_line() -> None:
    lane = Lane(price(model=PriceModel.GRADUATED, tiers=LADDER), settings(), tick(START))
    lane.send(on("2025-01-15", 8))
    lane.tick("2025-02-02")

    lane.send(on("2025-02-02", 3))
    lane.send(usage(4, when=at("2025-01-20"), read=at("2025-02-02")))
    lane.tick("2025-03-02")

    first, second = lane.invoices
    check(first)
    check(second)
    assert [(line.month, line.quantity, line.amount) for line in second.lines] == [
        (FEBRUARY, money(3), money("0.3")),
        (JANUARY, money(4), money("0.22")),
    ]
    assert [[(t.quantity, t.unit_price) for t in line.tiers] for line in second.lines] == [
        [(money(3), money("0.10"))],
        [(money(2), money("0.10")), (money(2), money("0.01"))],
    ]
    assert [(e.period, e.month) for e in lane.entries[2:]] == [(FEBRUARY, JANUARY)]


def test_a_whole_month_that_came_late_is_one_line_with_its_tiers() -> None:
    lane = Lane(price(model=PriceModel.GRADUATED, tiers=LADDER), settings(), tick(at("2025-02-10")))

    lane.send(usage(12, when=at("2025-01-20"), read=at("2025-02-10")))
    lane.tick("2025-03-02")

    (invoice,) = lane.invoices
    check(invoice)
    assert invoice.period == FEBRUARY
    assert [(line.month, len(line.tiers)) for line in invoice.lines] == [(JANUARY, 2)]


def test_a_late_amount_that_lowers_an_invoice_is_a_credit_note_shown_once() -> None:
    volume = {"model": PriceModel.VOLUME, "tiers": LADDER}
    lane = Lane(price(**volume), settings(tax="0.5"), tick(START), on("2025-01-15", 10))  # type: ignore[arg-type]
    lane.tick("2025-02-02")
    lane.send(usage(1, when=at("2025-01-20"), read=at("2025-02-02")))
    lane.send(on("2025-02-02", 5))
    lane.tick("2025-03-02")
    lane.send(on("2025-03-03", 1))
    lane.tick("2025-04-02")

    (note,) = lane.all(CreditNote)
    january, february, march = lane.invoices
    for invoice in lane.invoices:
        check(invoice)
    assert (note.number, note.invoice_number, note.period) == ("acme-C000001", january.number, JANUARY)
    assert (note.amount, note.tax, note.shown_in) == (money("0.89"), money("0.445"), FEBRUARY)
    assert (note.lines[0].quantity, note.lines[0].amount) == (-money(1), money("0.89"))
    assert february.credit_notes == (note.number,)
    assert [(m.kind, m.reference, m.amount) for m in february.movements] == [
        ("credit_note", note.number, money("1.335"))
    ]
    assert [line.month for line in february.lines] == [FEBRUARY]
    assert march.credit_notes == ()
    assert march.closing == lane.account().balance


def test_a_second_credit_note_still_names_the_invoice_that_carries_the_usage() -> None:
    steps: list[tuple[str | None, str]] = [("10", "0.10"), ("20", "0.01"), (None, "0.001")]
    rate = price(model=PriceModel.VOLUME, tiers=steps)
    lane = Lane(rate, settings(), tick(START), on("2025-01-31", 10))
    for close, quantity in (("2025-02-02", 1), ("2025-03-02", 10), ("2025-04-02", 0)):
        lane.tick(close)
        if quantity:
            lane.send(usage(quantity, when=at("2025-01-31"), read=at(close)))

    notes = lane.all(CreditNote)

    assert [(n.number, n.invoice_number, n.amount) for n in notes] == [
        ("acme-C000001", "acme-000001", money("0.89")),
        ("acme-C000002", "acme-000001", money("0.089")),
    ]
    for invoice in lane.invoices:
        check(invoice)


def test_a_tick_that_jumps_over_three_months_closes_each_of_them() -> None:
    lane = Lane(price(), settings(), tick(START))
    for moment in ("2025-01-15", "2025-02-15", "2025-04-15"):
        lane.send(usage(when=at(moment), read=at("2025-04-15")))

    lane.tick("2025-05-02")

    for invoice in lane.invoices:
        check(invoice)
    assert [invoice.period for invoice in lane.invoices] == [JANUARY, FEBRUARY, month("2025-04")]
    assert [invoice.sequence for invoice in lane.invoices] == [1, 2, 3]
    assert {invoice.issued_at for invoice in lane.invoices} == {at("2025-05-02")}
    assert all(a.closing == b.opening for a, b in pairwise(lane.invoices))
    assert lane.invoices[-1].closing == lane.account().balance


def test_an_account_opened_after_the_close_books_into_the_open_period() -> None:
    lane = Lane(price(), tick(at("2025-02-10")), settings())

    lane.send(usage(when=at("2025-01-20"), read=at("2025-02-10")))

    assert [(e.period, e.month) for e in lane.entries] == [(FEBRUARY, JANUARY)]


def test_an_idle_account_books_late_usage_into_the_lanes_open_period_not_its_own_last() -> None:
    lane = Lane(price(), settings(), tick(START), usage())
    lane.tick("2025-02-02")
    lane.tick("2025-03-02")

    lane.send(usage(when=at("2025-02-20"), read=at("2025-03-02")))

    assert [e.period for e in lane.entries] == [JANUARY, MARCH]


def test_an_account_touched_during_the_sweep_is_closed_first() -> None:
    lane = Lane(price(), settings(), tick(START), usage())

    lane.send(tick(at("2025-02-01 01:00")))
    lane.send(usage(when=at("2025-01-30"), read=at("2025-02-02")))
    lane.work()

    kinds = [type(output).__name__ for output in lane.said if not isinstance(output, Notification)]
    assert kinds[-2:] == ["Invoice", "LedgerEntry"]
    assert lane.entries[-1].period == FEBRUARY


def test_a_profile_changed_during_the_sweep_does_not_reach_the_due_invoice() -> None:
    lane = Lane(price(), profile("Before"), settings(), tick(START), usage())

    lane.send(tick(at("2025-02-02")))
    lane.send(profile("After"))
    lane.work()

    customer = lane.invoices[0].customer
    assert customer is not None
    assert customer.name == "Before"


def test_an_erased_profile_is_on_no_later_document() -> None:
    lane = Lane(price(), profile(), settings(), tick(START), usage())

    outcome = lane.send(ProfileErased(account_id=ACCOUNT, origin=origin(START)))
    lane.tick("2025-02-02")

    assert outcome is Outcome.APPLIED
    assert lane.invoices[0].customer is None


def test_month_rows_go_when_no_usage_can_reach_them_and_all_is_invoiced() -> None:
    lane = Lane(price(), settings(), tick(START), usage())
    lane.tick("2025-02-02")
    lane.send(on("2025-02-03"))

    lane.tick("2025-03-02")
    kept = {key[0] for key in lane.account().rows}
    lane.send(on("2025-03-20"))
    lane.tick("2025-04-02")

    assert kept == {JANUARY, FEBRUARY}
    assert {key[0] for key in lane.account().rows} == {FEBRUARY, MARCH}


def test_ticks_never_take_time_back() -> None:
    lane = Lane(price(), settings(), tick(START))

    lane.tick(START - 1)

    assert lane.book.time == START


def test_a_tick_far_ahead_of_the_brokers_clock_is_a_dead_letter_unless_the_clock_is_manual() -> None:
    ahead = tick(START)
    ahead.origin.timestamp = START - 60_001
    allowed, refused = Lane(), Lane(manual_clock=False)

    outcomes = [allowed.send(ahead), refused.send(ahead)]

    assert outcomes[0] is Outcome.APPLIED
    assert getattr(outcomes[1], "reason", None) == "tick_ahead"
    assert refused.book.time is None


def test_a_tick_before_the_work_of_the_last_one_is_done_stops_the_process() -> None:
    lane = Lane(price(), settings(), tick(START), usage(), tick(at("2025-02-02")))

    with pytest.raises(InvariantBroken):
        lane.send(tick(at("2025-02-03")))


def test_a_balance_is_as_of_the_accounts_last_change_wherever_a_batch_ends() -> None:
    lane = Lane(price("1"), settings(), settings(account="idle"))
    lane.tick("2025-01-10")
    lane.send(usage(1, when=at("2025-01-10")))
    lane.tick("2025-01-11")
    lane.send(usage(1, account="idle", when=at("2025-01-11")))
    lane.tick("2025-01-12")

    as_of = {account.account_id: account.as_of for account in lane.book.touched()}

    assert as_of == {"acme": at("2025-01-10"), "idle": at("2025-01-11")}
    assert not lane.book.touched()


def test_each_open_period_opens_with_what_the_one_before_closes_with() -> None:
    lane = Lane(
        price("1"), settings(tax="0.1"), tick(at("2025-01-31 23:50")), pay(1_000), on("2025-01-31", 2)
    )
    lane.send(usage(1, when=at("2025-02-01"), read=at("2025-02-01")))
    lane.book.touched()
    lane.send(usage(1, when=at("2025-02-01"), read=at("2025-02-01")))

    (account,) = lane.book.touched()

    january, february = account.periods
    assert (january.month, february.month) == (JANUARY, FEBRUARY)
    assert (account.opening, january.received, january.charges, january.tax) == (
        0,
        money(10),
        money(2),
        money("0.2"),
    )
    assert (january.closing(0), february.charges) == (money("7.8"), money(2))
    assert february.closing(money("7.8")) == account.balance == money("5.6")
    assert (account.entries, account.as_of) == (7, at("2025-01-31 23:50"))
    assert not lane.book.touched()

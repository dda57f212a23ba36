"""A reversal of invoiced usage: its entries, its credit note, and the next invoice that shows it once."""

from collections.abc import Callable

import pytest

from tests.unit.verify.history import Content, History, at, line, movement, pico, row, settings
from tests.unit.verify.scenario import ACME, FEBRUARY, TAXED, month, shown
from verify.check import check

CREDIT_NOTE = f"{ACME}-C000001"


def march() -> History:
    """Return January's history with u2 taken back in February, and acme's invoice for February."""
    h = month()
    adjustment = {
        "account_id": ACME,
        "adjustment_id": "a2",
        "kind": "reversal",
        "amount": None,
        "currency": "EUR",
        "reason": "counted twice",
        "author": "b1",
        "occurred_at": at("2026-02-02T00:00"),
        "usage": {
            "source": "gw",
            "event_id": "u2",
            "meter": "api-calls",
            "quantity": pico("1500"),
            "occurred_at": at("2026-01-11T02:00"),
        },
    }
    h.input("adjustments", "applied", adjustment)
    back: Content = {**TAXED, "event_id": "u2", "adjustment_id": "a2", **FEBRUARY}
    h.book(ACME, "reversal", "15", "EUR", "2026-01-11T02:00", quantity=pico("1500"), **back)
    h.book(ACME, "reversal_tax", "2.85", "EUR", "2026-01-11T02:00", **back)
    h.commit_all()
    h.tick("2026-03-01T00:05")
    h.output("invoices", credit_note(), "credit-note")
    h.invoice(
        ACME,
        "2026-02",
        start="2026-01-31T23:00",
        end="2026-02-28T23:00",
        zone="Europe/Berlin",
        issued="2026-03-01T00:05",
        currency="EUR",
        lines=[
            line("api-calls", "10", "0.1", 10, "0.19", "0.019", month="2026-02"),
            line("api-calls", "50", "0.5", 50, "0.19", "0.095"),
        ],
        movements=[movement("credit", "a1", "1", "2026-02-01T00:04", "goodwill")],
        credit_notes=[CREDIT_NOTE],
        credited="17.85",
        shown=shown(opening=596, received=1885, closing=2410, charged=71, tax=11, rounding=0),
    )
    h.commit_all()
    rows = [
        row("api-calls", "150", "1.5", "0.19", "0.285"),
        row("api-calls", "10", "0.1", "0.19", "0.019", month="2026-02"),
    ]
    h.publish(ACME, "EUR", "active", [], rows)
    [(log, position, state)] = h.records("evergreen-accounts-changelog", account_id=ACME, entries=14)
    changed = h.encode("evergreen-accounts-changelog", {**state, "credit_notes": 1})
    log.records[position] = log.records[position]._replace(value=changed)
    return h


def credit_note() -> Content:
    """Return the credit note over u2."""
    return {
        "account_id": ACME,
        "number": CREDIT_NOTE,
        "sequence": 1,
        "invoice_number": f"{ACME}-000001",
        "period": "2026-01",
        "shown_in": "2026-02",
        "issued_at": at("2026-03-01T00:05"),
        "currency": "EUR",
        "seller": {"name": "S", "address": [], "country": "US", "tax_id": None},
        "customer": None,
        "lines": [
            {
                "month": "2026-01",
                "meter": "api-calls",
                "price_version": 1,
                "quantity": pico("1500"),
                "amount": pico("15"),
                "tax_rate": pico("0.19"),
                "tax": pico("2.85"),
            }
        ],
        "amount": pico("15"),
        "tax": pico("2.85"),
    }


def test_a_reversal_with_its_credit_note_breaks_nothing() -> None:
    report = check(march().topics, settings())

    assert report.failing() == set()
    assert (report.checks[1].cases["reversals"], report.checks[2].cases["credit notes"]) == (1, 1)


def reversed_again(h: History) -> None:
    """Book the same reversal a second time."""
    back: Content = {**TAXED, "event_id": "u2", "adjustment_id": "a2", **FEBRUARY}
    h.book(ACME, "reversal", "15", "EUR", "2026-01-11T02:00", quantity=pico("1500"), **back)


def shown_on_no_invoice(h: History) -> None:
    """Leave the credit note out of the invoice's list."""
    h.edit("invoices", {"account_id": ACME, "sequence": 2}, credit_notes=[])


def of_another_amount(h: History) -> None:
    """Credit a cent more than was booked."""
    h.edit("invoices", {"number": CREDIT_NOTE}, amount=pico("15.01"))


def in_a_closed_period(h: History) -> None:
    """Book the reversal into the month that is on an invoice already."""
    h.edit("ledger-entries", {"kind": "reversal"}, period="2026-01")


def of_another_month(h: History) -> None:
    """Say that the usage was of February."""
    h.edit("invoices", {"number": CREDIT_NOTE}, lambda note: note["lines"][0].update(month="2026-02"))


def of_another_quantity(h: History) -> None:
    """Credit the amount of another quantity."""
    h.edit("invoices", {"number": CREDIT_NOTE}, lambda note: note["lines"][0].update(quantity=pico("1499")))


def of_the_wrong_invoice(h: History) -> None:
    """Take it off an invoice that never carried it."""
    h.edit("invoices", {"number": CREDIT_NOTE}, invoice_number=f"{ACME}-000002", period="2026-02")


def as_a_negative_line(h: History) -> None:
    """Lower the charges by a line instead of a credit note."""
    h.edit(
        "invoices", {"account_id": ACME, "sequence": 2}, lambda i: i["lines"][1].update(amount=-pico("14.5"))
    )


def at_another_moment(h: History) -> None:
    """Give the entry the reversal's own moment."""
    h.edit("ledger-entries", {"kind": "reversal"}, occurred_at=at("2026-02-02T00:00"))


@pytest.mark.parametrize(
    ("broken", "defect"),
    [
        ({2, 8}, reversed_again),
        ({3}, shown_on_no_invoice),
        ({3}, of_another_amount),
        ({3, 8}, in_a_closed_period),
        ({3}, of_another_month),
        ({3}, of_another_quantity),
        ({3}, of_the_wrong_invoice),
        ({3}, as_a_negative_line),
        ({8}, at_another_moment),
    ],
)
def test_a_reversal_that_went_wrong_is_found(broken: set[int], defect: Callable[[History], None]) -> None:
    h = march()

    defect(h)

    assert broken <= check(h.topics, settings()).failing()


def reversal(name: str, **changes: object) -> Content:
    """Return one more reversal, of u4 unless said otherwise."""
    used = {
        "source": "gw",
        "event_id": "u4",
        "meter": "api-calls",
        "quantity": pico("50"),
        "occurred_at": at("2026-01-20T00:00"),
        **changes,
    }
    return {
        "account_id": ACME,
        "adjustment_id": name,
        "kind": "reversal",
        "amount": None,
        "currency": "EUR",
        "reason": "counted twice",
        "author": "b1",
        "occurred_at": at("2026-03-01T00:10"),
        "usage": used,
    }


U2 = {"event_id": "u2", "quantity": pico("1500"), "occurred_at": at("2026-01-11T02:00")}


@pytest.mark.parametrize(
    ("reason", "refused"),
    [
        ("too_old", reversal("a3", **U2)),
        ("already_reversed", reversal("a3", **{**U2, "occurred_at": at("2026-01-11T02:00")})),
        (
            "id_conflict",
            reversal("a3", quantity=pico("51"), event_id="u5", occurred_at=at("2026-01-31T23:30")),
        ),
        ("bad_adjustment", {**reversal("a3"), "usage": None}),
        ("bad_adjustment", {**reversal("a3"), "amount": 1}),
        ("currency_mismatch", {**reversal("a3"), "currency": "USD"}),
    ],
)
def test_a_reversal_that_must_be_refused_is_a_dead_letter_of_its_reason(
    reason: str, refused: Content
) -> None:
    h = march()
    max_age_days = 35 if reason == "too_old" else 60

    place = h.input("adjustments", "dead", refused)
    h.dead(place, reason, ACME)
    h.commit_all()

    assert check(h.topics, settings(max_age_days=max_age_days)).failing() == set()
    h.edit("dead-letters", {"reason": reason, "offset": place.offset}, reason="unknown_event")
    assert check(h.topics, settings(max_age_days=max_age_days)).failing() == {8}


def test_a_reversal_of_nothing_waits_for_a_tick_and_is_a_dead_letter_then() -> None:
    h = march()
    place = h.input("adjustments", "waiting", reversal("a3", event_id="u99"))
    h.commit_all()
    assert check(h.topics, settings(max_age_days=60)).failing() == set()

    h.tick("2026-03-01T02:00")
    h.dead(place, "unknown_event", ACME)
    h.settle(ACME, "settled_dead")
    h.commit_all()

    assert check(h.topics, settings(max_age_days=60)).failing() == set()

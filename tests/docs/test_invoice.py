"""docs/domain/invoice.md is an invoice that the rules write, to the last digit."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from streams.domain.events import AdjustmentKind, PaymentKind, PricePublished
from streams.domain.outputs import CreditNote, EntryKind, Invoice, Party
from streams.domain.periods import label
from tests.docs.markdown import ROOT, tables
from tests.docs.prices import published
from tests.scenarios.values import quantity, shown
from tests.unit.domain.build import (
    HOUR,
    Lane,
    adjust,
    answer,
    at,
    auto,
    pay,
    profile,
    reverse,
    settings,
    usage,
)

EUR = {"currency": "EUR"}
PRICES, EVENTS, HEAD, LINES, TAXES, RECEIVED, SUMS, NOTE = tables(ROOT / "docs/domain/invoice.md")
BY_NAME = {row[""]: row for row in EVENTS if row[""]}


def berlin(text: str) -> int:
    """Return a moment of the page: Berlin's winter time."""
    return at(text) - HOUR


def when(name: str) -> int:
    return berlin(BY_NAME[name]["when"])


def prices() -> Iterator[PricePublished]:
    """Yield the page's prices."""
    for row in PRICES:
        meter, *version = row["meter"].split(", ")
        more = "v2 from 2025-02-15 23:00" if version == ["version 2 from 16 February"] else ""
        yield published(meter.strip("`"), row["price, in EUR"], currency="EUR", more=more)


@pytest.fixture(scope="module")
def lane() -> Lane:
    """Return a lane to which all of the page has happened."""
    january = berlin("2025-01-01")
    lane = Lane(
        *prices(),
        settings(
            tax="0.19",
            zone="Europe/Berlin",
            when=january,
            automatic_top_up=auto(threshold_minor=500, amount_minor=2_000),
            **EUR,
        ),
        profile("Acme GmbH"),
        seller=Party(
            name="Evergreen Ltd", address=("1 Forest Road", "Dublin"), country="IE", tax_id="IE1234567T"
        ),
    )
    for row in EVENTS:
        name, moment = row[""], berlin(row["when"])
        lane.tick(moment)
        match name[:1]:
            case "p":
                lane.send(pay(2_000, id=name, when=moment, **EUR))
            case "e":
                late = berlin("2025-01-31 23:00") if name == "e4" else moment
                meter = row["what"].split()[0]
                lane.send(usage(row["quantity"], id=name, meter=meter, when=late, read=moment))
            case "t":
                lane.send(answer(lane.commands[-1], PaymentKind.SUCCEEDED, when=moment, **EUR))
            case "r":
                refund = pay(500, id="p1", kind=PaymentKind.REFUNDED, reference=name, when=moment, **EUR)
                lane.send(refund)
            case "a" if name == "a1":
                e3 = usage("17.5", id="e3", meter="egress-gb", when=when("e3"))
                lane.send(reverse(e3, id=name, when=moment, **EUR))
            case "a":
                lane.send(replace(adjust(AdjustmentKind.CREDIT, "1.50", id=name, when=moment), **EUR))
    return lane


@pytest.fixture(scope="module")
def invoice(lane: Lane) -> Invoice:
    return lane.invoices[-1]


@pytest.fixture(scope="module")
def note(lane: Lane) -> CreditNote:
    (note,) = lane.all(CreditNote)
    return note


def cell(amount: int) -> str:
    """Return an amount as the page has it."""
    return shown(amount, 2)


def clock(moment: int) -> str:
    """Return a moment as the page has it."""
    minutes = (moment + HOUR) // 60_000
    for text in [row["when"] for row in EVENTS] + ["2025-02-01 00:00", "2025-03-01 00:00"]:
        if berlin(text) == minutes * 60_000 - HOUR:
            return text
    raise AssertionError(f"the page has no {moment}")


def test_every_booking_is_as_by_hand(lane: Lane) -> None:
    taxes = {EntryKind.TAX, EntryKind.REVERSAL_TAX}
    booked = [entry for entry in lane.entries if entry.kind not in taxes]
    taxed = {(e.event_id, e.adjustment_id): e for e in lane.entries if e.kind in taxes}
    rows = [row for row in EVENTS if row[""]]

    assert len(booked) == len(rows)
    for entry, row in zip(booked, rows, strict=True):
        tax = taxed.get((entry.event_id, entry.adjustment_id)) if entry.event_id else None
        assert cell(entry.amount) == row["amount"], row
        assert (cell(tax.amount) if tax else "") == row["tax"], row
        assert cell((tax or entry).balance_after) == row["balance after"], row


def test_the_head_is_as_on_the_page(invoice: Invoice) -> None:
    def party(who: Party | None) -> str:
        assert who is not None
        return f"{who.name}, {', '.join(who.address)}, {who.country}, tax id {who.tax_id}"

    begins, ends = clock(invoice.period_start), clock(invoice.period_end)
    assert [row[""] for row in HEAD] == [
        invoice.number,
        clock(invoice.issued_at),
        f"{label(invoice.period)}, from {begins} to {ends}, {invoice.zone}",
        party(invoice.seller),
        party(invoice.customer),
        invoice.currency,
    ]


def test_the_lines_are_as_by_hand(invoice: Invoice) -> None:
    assert [
        {
            "month": label(line.month),
            "meter": line.meter,
            "version": str(line.price_version),
            "quantity": quantity(line.quantity),
            "how": "; ".join(f"{quantity(t.quantity)} x {price_cell(t.unit_price)}" for t in line.tiers),
            "amount": cell(line.amount),
            "shown": cell(line.amount_minor * 10**10),
            "rate": quantity(line.tax_rate or 0),
            "tax": cell(line.tax),
        }
        for line in invoice.lines
    ] == LINES


def price_cell(unit_price: int) -> str:
    return cell(unit_price) if unit_price else "0"


def test_tax_is_as_by_hand(invoice: Invoice) -> None:
    assert [
        {"rate": quantity(t.rate), "taxable base": cell(t.base), "tax": cell(t.tax)} for t in invoice.taxes
    ] == TAXES


def test_what_was_received_is_as_by_hand(invoice: Invoice) -> None:
    assert [
        {"kind": m.kind, "reference": m.reference, "amount": cell(m.amount)} for m in invoice.movements
    ] == RECEIVED


def test_the_sums_are_as_by_hand(invoice: Invoice, lane: Lane) -> None:
    said = invoice.shown
    lines_minor = sum(line.amount_minor for line in invoice.lines)
    sums: dict[str, tuple[int | None, int]] = {
        "opening": (invoice.opening, said.opening_minor),
        "received": (invoice.received, said.received_minor),
        "lines": (invoice.charges, lines_minor),
        "tax": (invoice.tax, said.tax_minor),
        "rounding": (None, said.rounding_minor),
        "charged": (invoice.charged, said.charged_minor),
        "closing": (invoice.closing, said.closing_minor),
    }

    assert {row[""]: (row["exact"], Decimal(row["shown"])) for row in SUMS} == {
        name: ("" if exact is None else cell(exact), Decimal(minor) / 100)
        for name, (exact, minor) in sums.items()
    }
    assert lane.invoices[0].closing == invoice.opening
    assert lane.account().balance == invoice.closing


def test_the_credit_note_is_as_by_hand(note: CreditNote) -> None:
    (line,) = note.lines

    assert [row[""] for row in NOTE] == [
        note.number,
        f"{note.invoice_number} of {label(note.period)}, shown on the invoice of {label(note.shown_in)}",
        f"{label(line.month)} {line.meter}, version {line.price_version}: {quantity(line.quantity)} ="
        f" {cell(line.amount)}, tax at {quantity(line.tax_rate or 0)}: {cell(line.tax)}",
    ]

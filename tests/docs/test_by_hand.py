"""What docs/domain works out by hand is what the rules do, to the last digit."""

from decimal import Decimal

import pytest

from streams.domain.events import PaymentKind, PriceModel
from streams.domain.outputs import EntryKind, Invoice, LedgerEntry
from streams.domain.pricing import Rating
from tests.docs.markdown import ROOT, tables
from tests.unit.domain.build import Lane, at, money, pay, price, settings, tick, usage

CALLS = [("1000", "0.002"), (None, "0.0015")]
HALVES, EVENTS, INVOICE = tables(ROOT / "docs/domain/rounding.md")[1:]


@pytest.fixture(scope="module")
def lane() -> Lane:
    """Return a lane that was sent the page's events and has closed January."""
    lane = Lane(
        price(meter="api-calls", model=PriceModel.GRADUATED, tiers=CALLS),
        price("0.0833", meter="egress-gb"),
        settings(tax="0.19"),
        tick(at("2025-01-01")),
        pay(1_000, kind=PaymentKind.SUCCEEDED),
    )
    for row in EVENTS[1:]:
        when = at(f"2025-01-1{row['event'][1]}")
        lane.send(usage(row["quantity"], id=row["event"], meter=row["meter"], when=when))
    lane.tick("2025-02-01 01:00")
    return lane


def booked(lane: Lane, event_id: str) -> dict[EntryKind, LedgerEntry]:
    return {entry.kind: entry for entry in lane.entries if entry.event_id == event_id}


@pytest.mark.parametrize("row", EVENTS[1:], ids=lambda row: row["event"])
def test_each_event_is_charged_and_taxed_as_by_hand(lane: Lane, row: dict[str, str]) -> None:
    entries = booked(lane, row["event"])

    assert -entries[EntryKind.CHARGE].amount == money(row["charge"])
    assert -entries[EntryKind.TAX].amount == money(row["tax"])
    assert entries[EntryKind.TAX].balance_after == money(row["balance after"])
    assert money(row["P after"]) - money(row["P before"]) == money(row["charge"])


def test_the_invoice_is_as_by_hand(lane: Lane) -> None:
    (invoice,) = lane.invoices

    expected = {row[""]: (row["exact"], row["shown"]) for row in INVOICE}

    assert as_in_the_table(invoice) == {
        name: (money(exact) if exact else None, round(Decimal(shown) * 100))
        for name, (exact, shown) in expected.items()
    }
    assert lane.account().balance == money(EVENTS[-1]["balance after"])


def as_in_the_table(invoice: Invoice) -> dict[str, tuple[int | None, int]]:
    shown = invoice.shown
    lines = {f"line {line.meter}": (line.amount, line.amount_minor) for line in invoice.lines}
    return {
        "opening": (invoice.opening, shown.opening_minor),
        "received": (invoice.received, shown.received_minor),
        **lines,
        "tax 19 %": (invoice.tax, shown.tax_minor),
        "rounding": (None, shown.rounding_minor),
        "charged": (invoice.charged, shown.charged_minor),
        "closing": (invoice.closing, shown.closing_minor),
    }


def test_halves_are_rounded_as_by_hand() -> None:
    amount = Rating(price("0.000000000001").price).amount

    for row in HALVES:
        before, after = amount(money(row["quantity before"])), amount(money(row["after"]))
        assert after == money(row["P after, half-even"])
        assert after - before == money(row["charge"])


def test_a_volume_price_gives_back_what_the_page_says() -> None:
    amount = Rating(price(model=PriceModel.VOLUME, tiers=[("10", "0.10"), (None, "0.01")]).price).amount

    assert amount(money(11)) - amount(money(10)) == money("-0.89")


def test_late_usage_costs_what_the_page_says_and_is_a_late_line() -> None:
    lane = Lane(
        price(meter="api-calls", model=PriceModel.GRADUATED, tiers=CALLS), settings(), tick(at("2025-01-01"))
    )
    lane.send(usage(800, meter="api-calls", when=at("2025-01-10")))
    lane.tick("2025-02-01 01:00")
    lane.tick("2025-02-03")

    lane.send(usage(300, meter="api-calls", when=at("2025-01-31"), read=at("2025-02-03")))
    lane.send(usage(10, meter="api-calls", when=at("2025-02-03")))
    lane.tick("2025-03-01 01:00")

    january, february = lane.invoices
    assert january.charges == money("1.6")
    assert [(line.month - february.period, line.amount) for line in february.lines] == [
        (0, money("0.02")),
        (-1, money("0.55")),
    ]

"""A small history in which every invariant holds, written out by hand, figure by figure.

acme, in Berlin with 19 % tax, pays 20.00, uses, is topped up by 10.00, gets 5.00 back, and has an invoice
for January; then come a late event and a credit. bravo is opened by its first usage, in UTC and USD,
untaxed.
"""

from collections.abc import Callable

from tests.unit.verify.history import (
    LANES,
    Content,
    History,
    account_settings,
    adjustment,
    at,
    command,
    line,
    movement,
    payment,
    pico,
    row,
    usage,
)
from verify.partitions import partition_of
from verify.report import Place

ACME, BRAVO = "acme", "bravo"
USED = {"source": "gw", "meter": "api-calls", "price_version": 1}
TAXED = {**USED, "tax_rate": pico("0.19")}
FEBRUARY = {"period": "2026-02"}


def month(before_the_close: Callable[[History], object] = lambda h: None) -> History:
    """Return the topics of January and the first hour of February."""
    h = History()
    per_unit: Content = {
        "model": "per_unit",
        "meter": "api-calls",
        "version": 1,
        "valid_from": at("2026-01-01T00:00"),
    }
    h.price(currency="EUR", tiers=[{"up_to": None, "unit_price": pico("0.01")}], **per_unit)
    h.price(currency="USD", tiers=[{"up_to": None, "unit_price": pico("0.002")}], **per_unit)
    h.input("account-settings", "applied", account_settings(ACME))
    h.commit_all()
    h.tick("2026-01-10T00:00")
    _first_days(h)
    h.commit_all()
    h.tick("2026-01-12T00:00")
    _opened_by_usage(h)
    before_the_close(h)
    h.commit_all()
    h.tick("2026-02-01T00:05")
    _close_of_acme(h)
    h.commit_all()
    h.tick("2026-02-01T01:05")
    _close_of_bravo(h)
    h.commit_all()
    _publish(h)
    return h


def _first_days(h: History) -> None:
    h.input("payment-events", "applied", payment(ACME, "p1", "succeeded", 2000, "2026-01-10T01:00"))
    h.book(ACME, "payment", "20", "EUR", "2026-01-10T01:00", payment_id="p1")
    h.input("usage-events", "applied", usage(ACME, "u1", "100", "2026-01-10T02:00"))
    use(h, "u1", "100", "-1", "-0.19", "2026-01-10T02:00")
    h.input("usage-events", "applied", usage(ACME, "u2", "1500", "2026-01-11T02:00"))
    use(h, "u2", "1500", "-15", "-2.85", "2026-01-11T02:00")
    h.output("top-up-commands", command(ACME, 1, 1, 1000, "2026-01-10T00:00"))
    h.input("usage-events", "duplicate", usage(ACME, "u1", "100", "2026-01-10T02:00"))
    h.dead(h.input("usage-events", "dead", usage(ACME, "u1", "7", "2026-01-10T02:00")), "id_conflict", ACME)
    h.dead(
        h.input("usage-events", "dead", usage(ACME, "u3", "-1", "2026-01-10T02:00")),
        "negative_quantity",
        ACME,
    )
    h.input("usage-events", "waiting", usage(BRAVO, "b1", "1000", "2026-01-10T03:00"))
    h.input("usage-events", "waiting", usage(ACME, "u9", "1", "2026-01-10T03:00", meter="gold"))
    answer = payment(ACME, "p2", "succeeded", 1000, "2026-01-10T04:00", command_id=f"{ACME}:1:1")
    h.input("payment-events", "applied", answer)
    h.book(ACME, "payment", "10", "EUR", "2026-01-10T04:00", payment_id="p2", command_id=f"{ACME}:1:1")


def use(  # noqa: PLR0917 - a row of figures is read in one line
    h: History, event_id: str, quantity: str, charge: str, tax: str, when: str, **fields: str
) -> None:
    """Book a charge of acme and its tax."""
    h.book(ACME, "charge", charge, "EUR", when, event_id=event_id, quantity=pico(quantity), **TAXED, **fields)
    h.book(ACME, "tax", tax, "EUR", when, event_id=event_id, **TAXED, **fields)


def _opened_by_usage(h: History) -> None:
    when = "2026-01-10T03:00"
    h.book(BRAVO, "charge", "-2", "USD", when, event_id="b1", quantity=pico("1000"), **USED)
    h.settle(BRAVO, "settled_applied")
    [(log, position, _)] = h.records("usage-events", meter="gold")
    place = Place("usage-events", partition_of(ACME.encode(), LANES), log.records[position].offset)
    h.dead(place, "no_price", ACME)
    h.settle(ACME, "settled_dead")
    refund = payment(ACME, "p1", "refunded", 500, "2026-01-12T01:00", reference="r1")
    h.input("payment-events", "applied", refund)
    h.book(ACME, "refund", "-5", "EUR", "2026-01-12T01:00", payment_id="p1", reference="r1")
    h.input("usage-events", "applied", usage(ACME, "u5", "10", "2026-01-31T23:30"))
    use(h, "u5", "10", "-0.1", "-0.019", "2026-01-31T23:30", month="2026-02", period="2026-02")


def _close_of_acme(h: History) -> None:
    h.invoice(
        ACME,
        "2026-01",
        start="2025-12-31T23:00",
        end="2026-01-31T23:00",
        zone="Europe/Berlin",
        issued="2026-02-01T00:05",
        currency="EUR",
        lines=[line("api-calls", "1600", "16", 1600, "0.19", "3.04")],
        movements=[
            movement("payment", "p1", "20", "2026-01-10T01:00"),
            movement("payment", "p2", "10", "2026-01-10T04:00"),
            movement("refund", "r1", "-5", "2026-01-12T01:00"),
        ],
        shown=shown(opening=0, received=2500, closing=596, charged=1904, tax=304, rounding=0),
    )
    h.input("usage-events", "applied", usage(ACME, "u4", "50", "2026-01-20T00:00"))
    use(h, "u4", "50", "-0.5", "-0.095", "2026-01-20T00:00", **FEBRUARY)
    h.input("adjustments", "applied", adjustment(ACME, "a1", "credit", "1", "2026-02-01T00:04"))
    when, february = "2026-02-01T00:04", {"month": "2026-02", "period": "2026-02"}
    h.book(ACME, "credit", "1", "EUR", when, adjustment_id="a1", reason="goodwill", **february)


def _close_of_bravo(h: History) -> None:
    h.invoice(
        BRAVO,
        "2026-01",
        start="2026-01-01T00:00",
        end="2026-02-01T00:00",
        zone="UTC",
        issued="2026-02-01T01:05",
        currency="USD",
        lines=[line("api-calls", "1000", "2", 200, None, "0")],
        movements=[],
        shown=shown(opening=0, received=0, closing=-200, charged=200, tax=0, rounding=0),
    )


def _publish(h: History) -> None:
    february = {
        "period": "2026-02",
        "opening": pico("5.96"),
        "received": pico("1"),
        "charged": pico("0.714"),
        "charges": pico("0.6"),
        "tax": pico("0.114"),
    }
    rows = [
        row("api-calls", "1650", "16.5", "0.19", "3.135", charges=1),
        row("api-calls", "10", "0.1", "0.19", "0.019", month="2026-02", charges=1),
    ]
    h.publish(ACME, "EUR", "active", [february], rows)
    h.publish(BRAVO, "USD", "suspended", [], [row("api-calls", "1000", "2", None, "0")])


def shown(**minor: int) -> dict[str, int]:
    """Return the shown amounts of an invoice."""
    return {f"{name}_minor": amount for name, amount in minor.items()}

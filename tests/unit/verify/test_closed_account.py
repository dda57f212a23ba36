"""Closing an account ends its period at that instant; what comes later makes a second document."""

from collections.abc import Callable

import pytest

from tests.unit.verify.history import (
    History,
    account_settings,
    at,
    line,
    movement,
    pico,
    row,
    settings,
    usage,
)
from tests.unit.verify.scenario import ACME, FEBRUARY, month, shown, use
from verify.check import check

CLOSED_AT = "2026-02-01T01:05"


def closed() -> History:
    """Return January's history with acme closed in February: what is below a cent is written off."""
    h = month()
    h.input("account-settings", "applied", account_settings(ACME, 2, closed=True))
    h.book(ACME, "write_off", "-0.006", "EUR", CLOSED_AT, month="2026-02", **FEBRUARY)
    h.invoice(
        ACME,
        "2026-02",
        start="2026-01-31T23:00",
        end=CLOSED_AT,
        zone="Europe/Berlin",
        issued=CLOSED_AT,
        currency="EUR",
        lines=[
            line("api-calls", "10", "0.1", 10, "0.19", "0.019", month="2026-02"),
            line("api-calls", "50", "0.5", 50, "0.19", "0.095"),
        ],
        movements=[
            movement("credit", "a1", "1", "2026-02-01T00:04", "goodwill"),
            movement("write_off", "", "-0.006", CLOSED_AT),
        ],
        shown=shown(opening=596, received=99, closing=624, charged=71, tax=11, rounding=0),
    )
    h.commit_all()
    publish(h, "10", "0.1", "0.019")
    return h


def publish(h: History, quantity: str, charges: str, tax: str, *, is_open: bool = False) -> None:
    """Publish acme as closed, with these sums of February."""
    rows = [
        row("api-calls", "1650", "16.5", "0.19", "3.135"),
        row("api-calls", quantity, charges, "0.19", tax, month="2026-02", charges=int(is_open)),
    ]
    rest = {
        "period": "2026-02",
        "opening": pico("6.24"),
        "received": 0,
        "charged": pico("0.119"),
        "charges": pico("0.1"),
        "tax": pico("0.019"),
    }
    h.publish(ACME, "EUR", "closed", [rest] if is_open else [], rows)


def used_after() -> History:
    """Return the same with ten calls after the close."""
    h = closed()
    h.input("usage-events", "applied", usage(ACME, "u7", "10", "2026-02-01T02:00"))
    flagged = {"month": "2026-02", "reason": "after_close", **FEBRUARY}
    use(h, "u7", "10", "-0.1", "-0.019", "2026-02-01T02:00", **flagged)
    h.commit_all()
    publish(h, "20", "0.2", "0.038", is_open=True)
    return h


def test_a_closed_account_has_its_document_at_once() -> None:
    assert check(closed().topics, settings()).failing() == set()


def test_a_write_off_of_a_cent_is_found() -> None:
    h = closed()

    h.edit("ledger-entries", {"kind": "write_off"}, amount=-pico("0.01"))

    assert 1 in check(h.topics, settings()).failing()


def test_what_comes_after_the_close_waits_for_the_end_of_the_month() -> None:
    assert check(used_after().topics, settings()).failing() == set()


def test_at_the_end_of_the_month_there_is_a_second_document() -> None:
    h = used_after()
    h.tick("2026-03-01T00:05")
    h.commit_all()

    assert check(h.topics, settings()).failing() == {3}
    second_document(h)
    assert check(h.topics, settings()).failing() == set()


def second_document(h: History) -> None:
    """Write the document of what came after the close, at the end of the month."""
    h.invoice(
        ACME,
        "2026-02",
        start=CLOSED_AT,
        end="2026-02-28T23:00",
        zone="Europe/Berlin",
        issued="2026-03-01T00:05",
        currency="EUR",
        lines=[line("api-calls", "10", "0.1", 10, "0.19", "0.019", month="2026-02")],
        movements=[],
        shown=shown(opening=624, received=0, closing=612, charged=12, tax=2, rounding=0),
    )
    publish(h, "20", "0.2", "0.038")


def ended() -> History:
    """Return the whole of February, with both documents."""
    h = used_after()
    h.tick("2026-03-01T00:05")
    h.commit_all()
    second_document(h)
    return h


@pytest.mark.parametrize(
    ("broken", "defect"),
    [
        ({3}, lambda h: h.edit("ledger-entries", {"kind": "write_off"}, period="2026-03")),
        ({3}, lambda h: h.edit("ledger-entries", {"kind": "write_off"}, kind="debit", adjustment_id="a9")),
        (
            {3},
            lambda h: h.edit(
                "invoices", {"account_id": ACME, "sequence": 2}, period_end=at("2026-02-28T23:00")
            ),
        ),
        (
            {3},
            lambda h: h.edit(
                "invoices", {"account_id": ACME, "sequence": 2}, issued_at=at("2026-03-01T00:05")
            ),
        ),
        (
            {3},
            lambda h: h.edit(
                "invoices", {"account_id": ACME, "sequence": 3}, period_start=at("2026-01-31T23:00")
            ),
        ),
        ({3}, lambda h: h.drop("invoices", account_id=ACME, sequence=3)),
        ({2}, lambda h: h.edit("ledger-entries", {"event_id": "u7", "kind": "charge"}, reason=None)),
        ({2}, lambda h: h.edit("ledger-entries", {"event_id": "u5", "kind": "charge"}, reason="after_close")),
    ],
)
def test_a_close_that_went_wrong_is_found(broken: set[int], defect: Callable[[History], object]) -> None:
    h = ended()
    assert check(h.topics, settings()).failing() == set()

    defect(h)

    assert broken <= check(h.topics, settings()).failing()


@pytest.mark.parametrize(
    "wrong", [{"refundable_minor": 611}, {"refundable_minor": None}, {"revision": 1}, {"by_default": True}]
)
def test_a_remainder_revision_or_default_published_wrongly_is_found(wrong: dict[str, object]) -> None:
    h = ended()
    [*_, (log, position, content)] = h.records("balances", account_id=ACME)

    log.records[position] = log.records[position]._replace(value=h.encode("balances", {**content, **wrong}))

    assert check(h.topics, settings()).failing() == {7}


def test_a_closed_account_asks_for_no_top_up() -> None:
    h = closed()
    h.tick("2026-02-02T00:00")
    h.commit_all()

    command = {**h.records("top-up-commands", account_id=ACME)[0][2]}
    made = at("2026-02-02T00:00")
    command.update(command_id=f"{ACME}:2:1", episode=2, made_at=made, expires_at=made + 23 * 3_600_000)
    h.output("top-up-commands", command)

    assert 4 in check(h.topics, settings()).failing()

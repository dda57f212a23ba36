"""The canonical text: what must be the same again, and nothing that may differ."""

from collections.abc import Callable

import pytest

from tests.unit.verify.history import History, pico
from tests.unit.verify.scenario import ACME, month
from verify import digest


def facts(h: History) -> list[list[str]]:
    return [line.split("\t") for line in digest.text(h.topics).splitlines()]


def test_it_tells_charges_tax_lines_and_totals_in_rising_order() -> None:
    text = digest.text(month().topics)

    kinds = [fact[0] for fact in facts(month())]
    assert text.splitlines() == sorted(text.splitlines())
    assert {kind: kinds.count(kind) for kind in sorted(set(kinds))} == {
        "charge": 5,
        "line": 2,
        "tax": 4,
        "total": 2,
    }


def test_a_fact_is_readable() -> None:
    assert ["total", ACME, "2026-01", "16", "3.04"] in facts(month())
    assert facts(month())[0] == [
        *("charge", ACME, "gw", "u1", "2026-01", "2026-01", "api-calls", "v1", "0.19", "100", "-1", "EUR")
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h.edit("ledger-entries", {"event_id": "u1", "kind": "charge"}, amount=-pico("1.01")),
        lambda h: h.edit("ledger-entries", {"event_id": "u1", "kind": "tax"}, amount=-pico("0.2")),
        lambda h: h.edit("ledger-entries", {"event_id": "u4", "kind": "charge"}, period="2026-01"),
        lambda h: h.edit("invoices", {"account_id": ACME}, tax=pico("3")),
        lambda h: h.drop("ledger-entries", event_id="u1", kind="charge"),
    ],
)
def test_another_charge_tax_line_or_total_is_another_text(change: Callable[[History], object]) -> None:
    h = month()

    change(h)

    assert digest.of(digest.text(h.topics)) != digest.of(digest.text(month().topics))


def test_a_charge_that_is_there_twice_is_told_twice() -> None:
    h = month()
    [(log, position, _)] = h.records("ledger-entries", event_id="u1", kind="charge")
    again = log.records[position]._replace(offset=log.end)

    log.records.append(again)

    assert len(facts(h)) == len(facts(month())) + 1


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h.edit("ledger-entries", {"kind": "credit"}, amount=pico("2")),
        lambda h: h.drop("ledger-entries", kind="refund"),
        lambda h: h.edit("invoices", {"account_id": ACME}, number="another", opening=1),
        lambda h: h.edit("ledger-entries", {"event_id": "u1", "kind": "charge"}, number=99, balance_after=0),
    ],
)
def test_balances_numbers_and_other_money_are_no_part_of_it(change: Callable[[History], object]) -> None:
    h = month()

    change(h)

    assert digest.text(h.topics) == digest.text(month().topics)

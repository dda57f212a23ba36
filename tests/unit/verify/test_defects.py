"""Every invariant can fail: a defect planted in a good history is found by the invariant that it breaks."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.verify.history import (
    Content,
    History,
    account_settings,
    adjustment,
    at,
    command,
    payment,
    pico,
    row,
    settings,
    usage,
)
from tests.unit.verify.scenario import ACME, BRAVO, FEBRUARY, USED, month, use
from verify.check import check
from verify.topics import ACCOUNTS_CHANGELOG

ACCOUNT_ACME = {"account_id": ACME}
Defect = Callable[[History], object]

JANUARY = {"account_id": ACME, "period": "2026-01"}


def failing(h: History, **changes: str) -> set[int]:
    """Return the numbers of the invariants that a history breaks."""
    return check(h.topics, settings(**changes)).failing()


def test_a_history_written_by_hand_breaks_nothing_and_everything_was_looked_at() -> None:
    report = check(month().topics, settings())

    assert report.failing() == set()
    assert [found.verdict for found in report.checks] == ["holds"] * 9
    assert report.checks[0].cases["sums over all"] == 2


def test_nothing_to_look_at_is_no_success() -> None:
    report = check(History().topics, settings())

    assert report.holds
    assert {found.verdict for found in report.checks} == {"nothing to check"}


def edit(topic: str, having: Content, **to: Any) -> Defect:
    """Change the one record that has these values."""
    return lambda h: h.edit(topic, having, **to)


def change(topic: str, having: Content, how: Callable[[Content], object]) -> Defect:
    """Change the inside of the one record that has these values."""
    return lambda h: h.edit(topic, having, how)


def drop(topic: str, **having: Any) -> Defect:
    """Lose the one record that has these values."""
    return lambda h: h.drop(topic, **having)


def more_in_february(h: History, received: str, charges: str, tax: str, quantity: str) -> None:
    """Publish acme again, with these totals of February and so many calls."""
    charged = pico(charges) + pico(tax)
    totals = {
        "period": "2026-02",
        "opening": pico("5.96"),
        "received": pico(received),
        "charged": charged,
        "charges": pico(charges),
        "tax": pico(tax),
    }
    rows = [row("api-calls", "1650", "16.5", "0.19", "3.135")]
    h.publish(ACME, "EUR", "active", [totals], rows, usage=h.uncarried(ACME, "2026-02"))
    assert h.balance[ACME] == pico("5.96") + pico(received) - charged, quantity


# 1: sums


def a_credit_booked_as_debit(h: History) -> None:
    h.edit("ledger-entries", {"kind": "credit"}, kind="debit")


def a_payment_that_takes_money(h: History) -> None:
    h.input("payment-events", "applied", payment(ACME, "p3", "succeeded", 100, "2026-02-01T00:30"))
    h.commit_all()
    h.book(ACME, "payment", "-1", "EUR", "2026-02-01T00:30", payment_id="p3", month="2026-02", **FEBRUARY)
    more_in_february(h, "0", "0.6", "0.114", "60")


# 2: charges


def an_event_never_charged(h: History) -> None:
    h.input("usage-events", "applied", usage(ACME, "u6", "10", "2026-02-01T00:30"))
    h.commit_all()


def an_event_charged_twice(h: History) -> None:
    use(h, "u5", "10", "-0.1", "-0.019", "2026-01-31T23:30", month="2026-02", **FEBRUARY)
    more_in_february(h, "1", "0.7", "0.133", "70")


def a_charge_of_no_event(h: History) -> None:
    use(h, "u99", "10", "-0.1", "-0.019", "2026-01-31T23:30", month="2026-02", **FEBRUARY)
    more_in_february(h, "1", "0.7", "0.133", "70")


def a_duplicate_charged(h: History) -> None:
    h.input("usage-events", "duplicate", usage(ACME, "u5", "10", "2026-01-31T23:30"))
    h.commit_all()
    an_event_charged_twice(h)


def a_wrong_amount(h: History) -> None:
    an_event_never_charged(h)
    use(h, "u6", "10", "-0.11", "-0.019", "2026-02-01T00:30", month="2026-02", **FEBRUARY)
    more_in_february(h, "1", "0.71", "0.133", "70")


def a_wrong_tax(h: History) -> None:
    an_event_never_charged(h)
    use(h, "u6", "10", "-0.1", "-0.02", "2026-02-01T00:30", month="2026-02", **FEBRUARY)
    more_in_february(h, "1", "0.7", "0.134", "70")


def a_forgotten_tax(h: History) -> None:
    an_event_never_charged(h)
    taxed = {**USED, "tax_rate": pico("0.19"), "month": "2026-02", **FEBRUARY}
    h.book(ACME, "charge", "-0.1", "EUR", "2026-02-01T00:30", event_id="u6", quantity=pico("10"), **taxed)
    more_in_february(h, "1", "0.7", "0.114", "70")


def a_wrong_month(h: History) -> None:
    h.input("usage-events", "applied", usage(ACME, "u6", "10", "2026-01-31T22:59"))  # Berlin: 23:59, January
    h.commit_all()
    use(h, "u6", "10", "-0.1", "-0.019", "2026-01-31T22:59", month="2026-02", **FEBRUARY)
    more_in_february(h, "1", "0.7", "0.133", "70")


def another_quantity(h: History) -> None:
    an_event_never_charged(h)
    use(h, "u6", "20", "-0.2", "-0.038", "2026-02-01T00:30", month="2026-02", **FEBRUARY)
    more_in_february(h, "1", "0.8", "0.152", "80")


def yesterdays_price(h: History) -> None:
    """A price of 0.02 came in force; the event is still charged at version 1."""
    tiers = [{"up_to": None, "unit_price": pico("0.02")}]
    new: Content = {
        "meter": "api-calls",
        "currency": "EUR",
        "version": 2,
        "valid_from": at("2026-02-01T02:00"),
    }
    h.price(model="per_unit", tiers=tiers, **new)
    h.input("usage-events", "applied", usage(ACME, "u6", "10", "2026-02-01T02:00"))
    h.commit_all()
    use(h, "u6", "10", "-0.1", "-0.019", "2026-02-01T02:00", month="2026-02", **FEBRUARY)
    more_in_february(h, "1", "0.7", "0.133", "70")


def an_old_tax_rate(h: History) -> None:
    rates = [
        {"valid_from": at(t), "rate": pico(r)} for t, r in (("2025-01-01", "0.19"), ("2026-02-01", "0.21"))
    ]
    h.input("account-settings", "applied", account_settings(ACME, 2, tax_rates=rates))
    an_event_never_charged(h)
    use(h, "u6", "10", "-0.1", "-0.019", "2026-02-01T00:30", month="2026-02", **FEBRUARY)
    more_in_february(h, "1", "0.7", "0.133", "70")


# 3: invoices


def one_unit_more_on_a_line(invoice: Content) -> None:
    line = invoice["lines"][0]
    line["quantity"] += pico("1")


def one_cent_more_on_a_line(invoice: Content) -> None:
    """Consistent within the invoice, and wrong."""
    cent = pico("0.01")
    invoice["lines"][0]["amount"] += cent
    invoice["lines"][0]["amount_minor"] += 1
    invoice["taxes"][0]["base"] += cent
    invoice["charges"] += cent
    invoice["charged"] += cent
    invoice["closing"] -= cent
    invoice["shown"]["charged_minor"] += 1
    invoice["shown"]["closing_minor"] -= 1


def a_movement_lost(invoice: Content) -> None:
    five = invoice["movements"].pop()["amount"]
    invoice["received"] -= five
    invoice["closing"] -= five
    invoice["shown"]["received_minor"] += 500
    invoice["shown"]["closing_minor"] += 500


def a_shown_amount_off(invoice: Content) -> None:
    invoice["shown"]["charged_minor"] += 1
    invoice["shown"]["rounding_minor"] += 1


def a_total_off(invoice: Content) -> None:
    invoice["charges"] += 1


def a_line_twice(invoice: Content) -> None:
    half = dict(invoice["lines"][0])
    half["amount_minor"] = 800
    for name in ("quantity", "amount", "tax"):
        half[name] //= 2
    invoice["lines"] = [half, half]


def issued_a_second_time(h: History) -> None:
    [(_, _, first)] = h.records("invoices", **JANUARY)
    again = {**first, "number": f"{ACME}-000002", "sequence": 2}
    h.output("invoices", again, "invoice")


def numbered_with_a_gap(h: History) -> None:
    to: Content = {"sequence": 2, "number": f"{ACME}-000002"}
    h.edit("invoices", JANUARY, **to)
    h.edit("notifications", {"account_id": ACME}, details={"invoice_number": f"{ACME}-000002"})
    h.edit(ACCOUNTS_CHANGELOG, {"account_id": ACME}, invoices=2)


def the_same_number_for_two(h: History) -> None:
    h.edit("invoices", {"account_id": BRAVO}, number=f"{ACME}-000001")


# 4: top-ups


def pending(h: History, minor: int | None) -> None:
    h.edit("balances", {"account_id": ACME}, pending_minor=minor)


def a_second_before_the_answer(h: History) -> None:
    h.edit("payment-events", {"payment_id": "p2"}, command_id=None)
    h.edit("ledger-entries", {"payment_id": "p2"}, command_id=None)
    h.output("top-up-commands", command(ACME, 1, 2, 1000, "2026-01-12T00:00"))
    pending(h, 1000)


def above_the_limit(h: History) -> None:
    h.output("top-up-commands", command(ACME, 2, 1, 2000, "2026-01-12T00:00"))
    pending(h, 2000)


def without_consent(h: History) -> None:
    h.edit("top-up-commands", {"account_id": ACME}, consent=None)


def another_method(h: History) -> None:
    h.edit("top-up-commands", {"account_id": ACME}, payment_method_ref="pm_2")


def sent_again_otherwise(h: History) -> None:
    h.output("top-up-commands", command(ACME, 1, 1, 1000, "2026-01-12T00:00"))


def an_unheard_of_cancel(h: History) -> None:
    h.output("top-up-commands", command(ACME, 7, 1, 1000, "2026-01-12T00:00", kind="cancel"))


def a_command_lost(h: History) -> None:
    h.drop("top-up-commands", account_id=ACME)


def an_episode_left_out(h: History) -> None:
    h.output("top-up-commands", command(ACME, 3, 1, 1000, "2026-01-12T00:00"))
    pending(h, 1000)


# 5: payments


def credited_twice(h: History) -> None:
    when = "2026-02-01T00:04"
    h.book(ACME, "payment", "20", "EUR", when, payment_id="p1", month="2026-02", **FEBRUARY)
    more_in_february(h, "21", "0.6", "0.114", "60")


def credited_to_two_accounts(h: History) -> None:
    when = "2026-02-01T00:30"
    h.input("payment-events", "applied", payment(BRAVO, "p1", "succeeded", 100, when, currency="USD"))
    h.commit_all()
    h.book(BRAVO, "payment", "1", "USD", when, payment_id="p1", month="2026-02", **FEBRUARY)
    received = {"received": pico("1"), "charged": 0, "charges": 0, "tax": 0}
    february = {"period": "2026-02", "opening": h.balance[BRAVO] - pico("1"), **received}
    h.publish(BRAVO, "USD", "suspended", [february], [row("api-calls", "1000", "2", None, "0")])


def never_credited(h: History) -> None:
    h.input("payment-events", "applied", payment(ACME, "p3", "succeeded", 100, "2026-02-01T00:30"))
    h.commit_all()


def refunded_without_an_event(h: History) -> None:
    extra = {"payment_id": "p2", "reference": "r9", "month": "2026-02", **FEBRUARY}
    h.book(ACME, "refund", "-1", "EUR", "2026-02-01T00:04", **extra)
    more_in_february(h, "0", "0.6", "0.114", "60")


def another_amount_credited(h: History) -> None:
    never_credited(h)
    h.book(ACME, "payment", "2", "EUR", "2026-02-01T00:30", payment_id="p3", month="2026-02", **FEBRUARY)
    more_in_february(h, "3", "0.6", "0.114", "60")


# 6: numbers


def a_number_left_out(h: History) -> None:
    h.edit("ledger-entries", {"kind": "credit"}, number=13)
    for topic in ("balances", ACCOUNTS_CHANGELOG):
        h.edit(topic, {"account_id": ACME}, entries=13)


def a_balance_that_does_not_follow(h: History) -> None:
    h.edit("ledger-entries", {"account_id": ACME, "number": 5}, balance_after=pico("1"))


# 7: what is remembered


def behind_its_balance(h: History) -> None:
    """Nothing is wrong: the state was written before the last entries, which are in the balance."""
    [(log, position, state)] = h.records(ACCOUNTS_CHANGELOG, **ACCOUNT_ACME)
    february = {**state["periods"][0], "received": 0, "charges": pico("0.1"), "tax": pico("0.019")}
    january = {**state["rows"][0], "quantity": pico("1600"), "amount": pico("16"), "tax": pico("3.04")}
    before = {"balance": pico("5.841"), "entries": 9, "periods": [february], "rows": [january]}
    changed = h.encode(ACCOUNTS_CHANGELOG, {**state, **before})
    log.records[position] = log.records[position]._replace(value=changed)


def behind_its_balance_and_without_its_period(h: History) -> None:
    behind_its_balance(h)
    h.edit(ACCOUNTS_CHANGELOG, ACCOUNT_ACME, periods=[])


def test_a_state_that_was_written_before_the_last_charges_is_read_with_its_balance() -> None:
    h = month()

    behind_its_balance(h)

    assert failing(h) == set()


# 8: inputs


def a_record_in_no_range(h: History) -> None:
    h.input("usage-events", "applied", usage(ACME, "u6", "10", "2026-02-01T00:30"))
    h.runs.clear()


def a_gap(h: History) -> None:
    """A record was passed over: the next range begins after it."""
    a_record_in_no_range(h)
    h.counts.clear()
    h.input("usage-events", "duplicate", usage(ACME, "u5", "10", "2026-01-31T23:30"))
    h.commit_all()


def an_overlap(h: History) -> None:
    h.input("usage-events", "duplicate", usage(ACME, "u5", "10", "2026-01-31T23:30"))
    for runs in h.runs.values():
        for run in runs:
            run[1] -= 1
    h.commit_all()


def a_commit_lost(h: History) -> None:
    h.topics.logs["lane-journal"][0].records.pop()


def counted_wrongly(h: History) -> None:
    h.edit("lane-journal", {"lane": 0, "dead": 2}, dead=1, duplicate=2)


def a_valid_event_refused(h: History) -> None:
    place = h.input("usage-events", "dead", usage(ACME, "u6", "10", "2026-02-01T00:30"))
    h.commit_all()
    h.dead(place, "too_old", ACME)


def an_event_not_refused(h: History) -> None:
    h.input("usage-events", "dead", usage(ACME, "u6", "10", "2025-12-20T00:00"))  # 43 days old
    h.commit_all()


def another_reason(h: History) -> None:
    h.edit("dead-letters", {"reason": "negative_quantity"}, reason="bad_price")


def an_original_changed(h: History) -> None:
    h.edit("dead-letters", {"reason": "negative_quantity"}, value=b"?")


def an_adjustment_not_booked(h: History) -> None:
    h.input("adjustments", "applied", adjustment(ACME, "a2", "debit", "1", "2026-02-01T00:30"))
    h.commit_all()


def a_tick_invented(h: History) -> None:
    h.topics.logs["clock-ticks"][0].records[-1] = (
        h.topics.logs["clock-ticks"][0]
        .records[-1]
        ._replace(value=h.encode("clock-ticks", {"time": at("2026-02-01T01:04"), "ticker": "t"}))
    )


# 9: ownership


def under_anothers_key(h: History) -> None:
    [(log, position, _)] = h.records("notifications", account_id=BRAVO)
    log.records[position] = log.records[position]._replace(key=b"acme")


def anothers_name(h: History) -> None:
    profile = {"name": "Acme", "address": ["1 Way"], "country": "DE", "tax_id": None}
    more = {"email": "a@acme.example", "language": "de"}
    h.input("account-profiles", "applied", {"account_id": ACME, **profile, **more})
    h.commit_all()
    h.edit("invoices", {"account_id": BRAVO}, customer=profile)


def unreadable(h: History) -> None:
    h.put("notifications", 0, b"\x00\x00\x00\x00\x63", b"acme", 0)


def anothers_invoice_in_a_mail(h: History) -> None:
    h.notify(BRAVO, "low_balance", "1", {"see": f"{ACME}-000001"})


DEFECTS: list[tuple[set[int], Defect]] = [
    ({1, 7}, edit("balances", ACCOUNT_ACME, balance=pico("6.2461"))),
    ({1, 7}, drop("balances", account_id=BRAVO)),
    ({1, 8}, a_credit_booked_as_debit),
    ({1, 5}, a_payment_that_takes_money),
    ({2}, an_event_never_charged),
    ({2}, an_event_charged_twice),
    ({2}, a_charge_of_no_event),
    ({2}, a_duplicate_charged),
    ({2}, a_wrong_amount),
    ({2}, a_wrong_tax),
    ({2}, a_forgotten_tax),
    ({2}, a_wrong_month),
    ({2}, another_quantity),
    ({2}, yesterdays_price),
    ({2}, an_old_tax_rate),
    ({2}, edit("ledger-entries", {"event_id": "b1", "kind": "charge"}, booked_at=at("2026-01-10T00:00"))),
    ({2}, edit("ledger-entries", {"event_id": "u4", "kind": "tax"}, occurred_at=at("2026-01-12T00:00"))),
    ({3}, change("invoices", JANUARY, one_unit_more_on_a_line)),
    ({3}, change("invoices", JANUARY, one_cent_more_on_a_line)),
    ({3}, change("invoices", JANUARY, a_movement_lost)),
    ({3}, change("invoices", JANUARY, a_shown_amount_off)),
    ({3}, change("invoices", JANUARY, a_total_off)),
    ({3}, change("invoices", JANUARY, a_line_twice)),
    ({3}, change("invoices", JANUARY, lambda invoice: invoice["lines"][0].update(unit="GB"))),
    ({3}, edit("invoices", JANUARY, opening=1)),
    ({3}, edit("invoices", JANUARY, issued_at=at("2026-02-01T01:05"))),
    ({3}, edit("invoices", JANUARY, zone="UTC")),
    ({3}, edit("invoices", JANUARY, period_end=at("2026-02-01T00:00"))),
    ({3, 7}, drop("invoices", account_id=BRAVO)),
    ({3}, drop("notifications", account_id=BRAVO)),
    ({3, 7}, issued_a_second_time),
    ({3}, numbered_with_a_gap),
    ({3, 9}, the_same_number_for_two),
    ({4}, a_second_before_the_answer),
    ({4}, above_the_limit),
    ({4}, without_consent),
    ({4}, another_method),
    ({4}, sent_again_otherwise),
    ({4}, an_unheard_of_cancel),
    ({4}, a_command_lost),
    ({4}, an_episode_left_out),
    ({4}, edit("top-up-commands", ACCOUNT_ACME, attempt=2)),
    ({4}, edit("top-up-commands", ACCOUNT_ACME, made_at=at("2026-01-09T23:00"))),
    ({5}, credited_twice),
    ({5}, credited_to_two_accounts),
    ({5}, never_credited),
    ({5}, refunded_without_an_event),
    ({5}, another_amount_credited),
    ({6}, a_number_left_out),
    ({6}, a_balance_that_does_not_follow),
    ({7}, edit(ACCOUNTS_CHANGELOG, ACCOUNT_ACME, balance=0)),
    ({7}, edit(ACCOUNTS_CHANGELOG, ACCOUNT_ACME, entries=15)),
    ({7}, behind_its_balance_and_without_its_period),
    ({7}, edit(ACCOUNTS_CHANGELOG, ACCOUNT_ACME, invoices=0)),
    ({7}, edit(ACCOUNTS_CHANGELOG, ACCOUNT_ACME, periods=[])),
    ({7}, edit(ACCOUNTS_CHANGELOG, ACCOUNT_ACME, overdraft_minor=1)),
    ({7}, change(ACCOUNTS_CHANGELOG, ACCOUNT_ACME, lambda state: state["rows"][0].update(quantity=1))),
    ({7}, drop(ACCOUNTS_CHANGELOG, account_id=BRAVO)),
    ({7}, change("balances", ACCOUNT_ACME, lambda b: b["open_periods"][0].update(received=0))),
    ({7}, change("balances", ACCOUNT_ACME, lambda b: b["usage"][0].update(quantity=1))),
    ({7}, change("balances", ACCOUNT_ACME, lambda b: b["usage"][1].update(charges=2))),
    ({7}, change("balances", ACCOUNT_ACME, lambda b: b["usage"].pop())),
    ({7}, edit("balances", ACCOUNT_ACME, usage=[])),
    ({7}, edit("balances", ACCOUNT_ACME, pending_minor=1000)),
    ({7}, edit("balances", ACCOUNT_ACME, status="low")),
    ({7}, drop("account-status", account_id=BRAVO)),
    ({7}, edit("balances", {"account_id": BRAVO}, top_up="paused")),
    ({8}, a_record_in_no_range),
    ({8}, a_gap),
    ({8}, an_overlap),
    ({8}, counted_wrongly),
    ({2, 8}, a_valid_event_refused),
    ({8}, an_event_not_refused),
    ({8}, another_reason),
    ({8}, an_original_changed),
    ({8}, drop("dead-letters", reason="negative_quantity")),
    ({8}, an_adjustment_not_booked),
    ({9}, anothers_invoice_in_a_mail),
    ({3, 9}, under_anothers_key),
    ({9}, unreadable),
    ({9}, anothers_name),
    ({9}, edit("notifications", {"account_id": BRAVO}, notification_id=f"{ACME}:invoice_ready:1")),
]


def name(value: object) -> str:
    """Return what a defect is called in the test's name."""
    return "-".join(map(str, sorted(value))) if isinstance(value, set) else getattr(value, "__name__", "")


@pytest.mark.parametrize(("broken", "defect"), DEFECTS, ids=name)
def test_a_planted_defect_breaks_its_invariant_and_no_other(broken: set[int], defect: Defect) -> None:
    h = month()

    defect(h)

    assert failing(h) == broken


@pytest.mark.parametrize("defect", [a_commit_lost, a_tick_invented])
def test_a_journal_that_does_not_match_its_inputs_is_found(defect: Defect) -> None:
    h = month()

    defect(h)

    assert 8 in failing(h)

"""Invariant 5: each provider payment is credited once, each refund, dispute and return taken once."""

from collections import defaultdict

from streams import topics as names
from verify import periods
from verify.accounts import Money
from verify.books import Entry
from verify.evidence import Evidence
from verify.money import BOOKED_AS
from verify.report import Check, Place
from verify.wording import amount, moment

KINDS = frozenset(BOOKED_AS.values())
Name = tuple[str, str, str | None, str | None]
"""(account, kind, payment id, reference)."""


def check(evidence: Evidence) -> Check:
    """Join the payment events that the replay applied with the ledger, both ways."""
    result = Check(5, "each provider payment credited once")
    for kind in ("payments", "refunds, disputes and returns", "applied payment events"):
        result.looked_at(kind, 0)
    entries = _entries_by_name(evidence, result)
    for lane in evidence.lanes:
        for money in lane.money:
            if money.kind in KINDS:
                result.looked_at("applied payment events")
                _check_booked(evidence, money, entries.pop(_name_of(money), None), result)
    removed = 0
    for name, entry in entries.items():
        if evidence.topics.log(names.PAYMENTS.name, entry.partition).start > 0:
            removed += 1
            continue
        result.fail(
            f"a {entry.kind} has its payment event",
            account=entry.account_id,
            place=entry.place,
            expected="a payment event that was applied",
            found=f"none for {name}",
        )
    if removed:
        result.notes.append(f"{removed} entries have no payment event to compare with: removed by retention")
    return result


def _entries_by_name(evidence: Evidence, result: Check) -> dict[Name, Entry]:
    """Return the entries of provider payments by what names them, each name once."""
    found: dict[Name, Entry] = {}
    credited: dict[str, Entry] = {}
    for account_id, entries in evidence.books.entries.items():
        paid: dict[str, int] = {}
        taken: dict[tuple[str, str], int] = defaultdict(int)
        for entry in entries:
            if entry.kind not in KINDS:
                continue
            payment_id = entry.payment_id or ""
            reference = None if entry.kind == "payment" else entry.reference
            first = found.setdefault((account_id, entry.kind, payment_id, reference), entry)
            if entry.kind == "payment":
                result.looked_at("payments")
                first = credited.setdefault(payment_id, entry)
                if first is not entry:
                    _fail_twice(entry, first.place, result)
                paid[payment_id] = entry.amount
                continue
            result.looked_at("refunds, disputes and returns")
            taken[entry.kind, payment_id] += abs(entry.amount)
            if entry.kind == "dispute_won":  # what was won back can be disputed again
                taken["dispute", payment_id] -= abs(entry.amount)
            if first is not entry:
                _fail_twice(entry, first.place, result)
            elif taken[entry.kind, payment_id] > paid.get(payment_id, 0) and account_id not in evidence.cut:
                result.fail(
                    f"what is a {entry.kind} never passes the payment",
                    account=account_id,
                    place=entry.place,
                    expected=f"at most {amount(paid.get(payment_id, 0))}, credited before",
                    found=amount(taken[entry.kind, payment_id]),
                )
    return found


def _fail_twice(entry: Entry, first: Place, result: Check) -> None:
    result.fail(
        f"a {entry.kind} is booked once for its payment and reference",
        account=entry.account_id,
        place=entry.place,
        expected=f"only {first}",
        found=f"again, payment {entry.payment_id}, reference {entry.reference}",
    )


def _name_of(money: Money) -> Name:
    reference = None if money.kind == "payment" else money.content["reference"]
    return (money.account_id, money.kind, money.content["payment_id"], reference)


def _check_booked(evidence: Evidence, money: Money, entry: Entry | None, result: Check) -> None:
    if entry is None:
        if money.account_id in evidence.cut:
            return
        result.fail(
            f"an applied payment event has its {money.kind}",
            account=money.account_id,
            place=money.place,
            expected=f"{amount(money.amount)} for payment {money.content['payment_id']}",
            found="no ledger entry",
        )
        return
    check_entry(money, entry, result)
    if money.kind == "payment":
        rule = "a payment names the command that it answers"
        expected = money.content["command_id"]
        result.expect(entry.command_id, expected, rule, account=money.account_id, place=entry.place)


def check_entry(money: Money, entry: Entry, result: Check) -> None:
    """An entry has its cause's amount, moments and currency, and a period that is right."""
    booked_at = entry.booked_at if money.time_unsure else money.booked_at
    total, occurred_at = money.amount, money.occurred_at
    if money.entry_moment is not None:
        total, occurred_at = entry.amount, money.entry_moment  # a reversal's amount: invariant 2 prices it
    expected = (total, money.content["currency"], occurred_at, booked_at)
    found = (entry.amount, entry.currency, entry.occurred_at, entry.booked_at)
    rule = "amount, currency, moment and lane time of an entry are its cause's"
    result.expect(found, expected, rule, account=money.account_id, place=entry.place, said=_terms)
    if not money.time_unsure and (entry.month, entry.period) != money.billed:
        month, period = money.billed
        result.fail(
            "month and billing period of an entry",
            account=money.account_id,
            place=entry.place,
            expected=f"{periods.text_of(month)} in {periods.text_of(period)}",
            found=f"{periods.text_of(entry.month)} in {periods.text_of(entry.period)}",
        )


def _terms(terms: tuple[int, str, int, int | None]) -> str:
    total, currency, occurred_at, booked_at = terms
    return f"{amount(total)} {currency} at {moment(occurred_at)}, booked at {moment(booked_at)}"

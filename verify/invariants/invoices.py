"""Invariant 3: each charge is on exactly one invoice line or in an open period; invoices add up.

Compares invoices with the ledger entries of their periods; what a document says by itself is in documents.py.
"""

from collections import Counter
from dataclasses import dataclass, field

from schemas.wire import Record as Content
from streams import topics as names
from verify import parts, periods
from verify.books import MOVEMENTS, Entry, Found
from verify.evidence import Evidence
from verify.invariants import closes, documents
from verify.parts import Part
from verify.report import Check
from verify.wording import amount, moment

Group = tuple[int, str | None, int | None, int | None]
"""(month, meter, price version, tax rate)."""


@dataclass(slots=True)
class Sums:
    """What a period's entries, or its documents, say of its usage."""

    amounts: Counter[Group] = field(default_factory=Counter)
    """Net charged, positive."""
    quantities: Counter[Group] = field(default_factory=Counter)
    taxes: Counter[Group] = field(default_factory=Counter)


@dataclass(slots=True)
class Period:
    """One account's period, or its part before or after a close: its ledger entries and its documents."""

    account_id: str
    part: Part
    entries: list[Entry] = field(default_factory=list)
    invoices: list[Found] = field(default_factory=list)
    notes: list[Found] = field(default_factory=list)
    """Credit notes that its invoice shows."""

    @property
    def charges(self) -> int:
        """How many charges it has."""
        return sum(entry.kind == "charge" for entry in self.entries)


def check(evidence: Evidence) -> Check:
    """Compare every period of every account with its documents."""
    result = Check(3, "each charge on one invoice or in an open period", notes=evidence.cut_note())
    for kind in (
        "invoices",
        "invoice lines",
        "credit notes",
        "charges on invoices",
        "charges in open periods",
        "closes of accounts",
    ):
        result.looked_at(kind, 0)
    documents.check_unique(evidence, result)
    accounts = evidence.books.entries.keys() | evidence.books.invoices.keys()
    for account_id in sorted(accounts):
        invoices = evidence.books.invoices.get(account_id, [])
        documents.check_sequence(evidence, account_id, invoices, result)
        documents.check_credit_notes(evidence, account_id, result)
        for invoice in invoices:
            result.looked_at("invoices")
            result.looked_at("invoice lines", len(invoice.content["lines"]))
            documents.check_arithmetic(invoice, evidence.books.credit_notes.get(account_id, []), result)
            documents.check_dates(evidence, invoice, result)
            documents.check_prices(evidence, invoice, result)
        if account_id not in evidence.cut and parts.are_known(evidence, account_id):
            _check_parts(evidence, account_id, invoices, result)
            closes.check(evidence.account(account_id), evidence.books.entries.get(account_id, []), result)
    _check_notifications(evidence, result)
    return result


def _check_parts(evidence: Evidence, account_id: str, invoices: list[Found], result: Check) -> None:
    account, entries = evidence.account(account_id), evidence.books.entries.get(account_id, [])
    by_part: dict[Part, Period] = {}

    def period(part: Part) -> Period:
        return by_part.setdefault(part, Period(account_id, part))

    for entry, part in zip(entries, parts.of_entries(account, entries), strict=True):
        period(part).entries.append(entry)
    part_of: dict[str, Part] = {}
    for invoice in invoices:
        part = part_of[invoice.content["number"]] = parts.of_invoice(account, invoice.content)
        period(part).invoices.append(invoice)
        by_number = {n.content["number"]: n for n in evidence.books.credit_notes.get(account_id, [])}
        shown = (by_number.get(number) for number in invoice.content["credit_notes"])
        period(part).notes += [note for note in shown if note is not None]
    balance = 0
    for _, one in sorted(by_part.items()):
        balance += sum(entry.amount for entry in one.entries)
        if one.invoices:
            rule = "closing of an invoice = sum of all entries up to its period"
            last = one.invoices[-1]
            found = last.content["closing"]
            result.expect(found, balance, rule, account=account_id, place=last.place, said=amount)
            result.looked_at("charges on invoices", one.charges)
            if not one.entries:
                result.fail(
                    "no ledger entry in the period, no invoice",
                    account=account_id,
                    place=one.invoices[0].place,
                    expected="none",
                    found=one.invoices[0].content["number"],
                )
            _check_one_each(one, result)
            _check_lines(one, result)
            _check_movements(one, result)
        elif one.entries:
            result.looked_at("charges in open periods", one.charges)
            _check_open(evidence, one, result)


def _check_one_each(period: Period, result: Check) -> None:
    """One invoice per account and period; another only where the account was closed within it."""
    if len(period.invoices) > 1:
        result.fail(
            "one invoice per account and period",
            account=period.account_id,
            place=period.invoices[-1].place,
            expected="1",
            found=", ".join(invoice.content["number"] for invoice in period.invoices),
        )


def _check_open(evidence: Evidence, period: Period, result: Check) -> None:
    """A period without an invoice is open."""
    account, time = evidence.account(period.account_id), evidence.lane_of(period.account_id).time
    if account is None or not parts.is_over(account, period.part, time, evidence.grace_ms):
        return
    result.fail(
        "a closed period with entries has an invoice",
        account=period.account_id,
        place=period.entries[0].place,
        expected=f"an invoice for {periods.text_of(period.part.period)}, closed at lane time {moment(time)}",
        found=f"none for {len(period.entries)} entries",
    )


def _check_lines(period: Period, result: Check) -> None:
    """The lines and credit notes of a period's documents are its charges and their tax, each once."""
    account_id, place = period.account_id, period.invoices[-1].place
    booked, told = _sums_of_entries(period.entries), Sums()
    on_lines: set[Group] = set()
    for invoice in period.invoices:
        groups = Counter(_group_of(line, line["month"]) for line in invoice.content["lines"])
        on_lines |= groups.keys()
        for line in invoice.content["lines"]:
            _add_line(told, line, _group_of(line, line["month"]))
        doubled = [_text(group) for group, count in groups.items() if count > 1]
        rule = "one line for a month, meter, price version and tax rate"
        result.expect(doubled, [], rule, account=account_id, place=invoice.place)
    credited: set[Group] = set()
    for note in period.notes:
        for line in note.content["lines"]:
            group = _group_of(line, line["month"])
            credited.add(group)
            told.amounts[group] -= line["amount"]
            told.quantities[group] -= line["quantity"]
            told.taxes[group] -= line["tax"]
    for group in sorted(booked.amounts.keys() | booked.taxes.keys() | on_lines | credited, key=repr):
        found = [told.amounts[group], told.taxes[group], told.quantities[group]]
        expected = [booked.amounts[group], booked.taxes[group], booked.quantities[group]]
        rule = f"a line's amount, tax and quantity = the sums of its charges: {_text(group)}"
        right = result.expect(found, expected, rule, account=account_id, place=place, said=_amounts)
        if right and group in booked.amounts and group not in on_lines | credited:
            result.fail(
                "each charge is on a line",
                account=account_id,
                place=place,
                expected=_text(group),
                found="no such line",
            )


def _sums_of_entries(entries: list[Entry]) -> Sums:
    sums = Sums()
    for entry in entries:
        group = entry.priced_as
        match entry.kind:
            case "charge":
                sums.amounts[group] -= entry.amount
                sums.quantities[group] += entry.quantity or 0
            case "reversal":
                sums.amounts[group] -= entry.amount
                sums.quantities[group] -= entry.quantity or 0
            case "tax" | "reversal_tax":
                sums.taxes[group] -= entry.amount
    return sums


def _group_of(line: Content, month: str) -> Group:
    return (periods.index_of(month), line["meter"], line["price_version"], line["tax_rate"])


def _add_line(sums: Sums, line: Content, group: Group) -> None:
    sums.amounts[group] += line["amount"]
    sums.quantities[group] += line["quantity"]
    sums.taxes[group] += line["tax"]


def _check_movements(period: Period, result: Check) -> None:
    """The movements on a period's invoices are its payments, refunds and adjustments, each once."""
    told = Counter(
        (m["kind"], m["amount"], m["occurred_at"], m["reference"])
        for invoice in period.invoices
        for m in invoice.content["movements"]
        if m["kind"] in MOVEMENTS
    )
    booked = Counter(
        (e.kind, e.amount, e.occurred_at, _reference(e)) for e in period.entries if e.kind in MOVEMENTS
    )
    if told != booked:
        result.fail(
            "movements on an invoice = payments, refunds and adjustments of its period",
            account=period.account_id,
            place=period.invoices[-1].place,
            expected=f"also {_movements(booked - told)}",
            found=f"instead {_movements(told - booked)}",
        )


def _movements(movements: "Counter[tuple[str, int, int, str]]") -> str:
    each = (f"{kind} {amount(n)} {ref} at {moment(when)}" for kind, n, when, ref in movements.elements())
    return ", ".join(sorted(each)) or "nothing"


def _amounts(amounts: list[int]) -> str:
    return ", ".join(amount(n) for n in amounts)


def _reference(entry: Entry) -> str:
    named = entry.payment_id if entry.kind == "payment" else entry.reference or entry.adjustment_id
    return named or ""


def _text(group: Group) -> str:
    month, meter, version, rate = group
    return f"{periods.text_of(month)} {meter} version {version} rate {amount(rate)}"


def _check_notifications(evidence: Evidence, result: Check) -> None:
    """With each invoice goes one invoice_ready; those that retention has removed are not looked for."""
    result.looked_at("invoice_ready notifications", 0)
    since = [
        min((r.timestamp for r in log.records), default=None) if log.start > 0 else 0
        for log in evidence.topics.logs[names.NOTIFICATIONS.name]
    ]
    skipped = 0
    for account_id, invoices in evidence.books.invoices.items():
        told = Counter(
            text
            for found in evidence.books.notifications.get(account_id, [])
            if found.content["kind"] == "invoice_ready"
            for text in {*found.content["details"].values(), found.content["notification_id"].split(":")[-1]}
        )
        for invoice in invoices:
            first = since[invoice.place.partition]
            if first is None or invoice.raw.timestamp < first:
                skipped += 1
                continue
            result.looked_at("invoice_ready notifications")
            number = invoice.content["number"]
            count = told[number] or told[invoice.content["period"]]
            rule = f"one invoice_ready for invoice {number}"
            result.expect(count, 1, rule, account=account_id, place=invoice.place)
    if skipped:
        result.notes.append(f"{skipped} invoices are older than the notifications that are kept")

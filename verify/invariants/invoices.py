"""Invariant 3: each charge is on exactly one invoice line or in an open period; invoices add up.

Compares invoices with the ledger entries of their periods; what a document says by itself is in documents.py.
"""

from collections import Counter
from dataclasses import dataclass, field

from schemas.wire import Record as Content
from streams import topics as names
from verify import periods
from verify.books import MOVEMENTS, Entry, Found
from verify.evidence import Evidence
from verify.invariants import documents
from verify.report import Check
from verify.wording import amount, moment

Group = tuple[int, str | None, int | None, int | None]
"""(month, meter, price version, tax rate)."""
NAMED = MOVEMENTS - {"write_off"}
"""What moves money by a name of its own."""


@dataclass(slots=True)
class Sums:
    """What a period's entries, or its documents, say of its usage."""

    amounts: Counter[Group] = field(default_factory=Counter)
    """Net charged, positive."""
    quantities: Counter[Group] = field(default_factory=Counter)
    taxes: Counter[Group] = field(default_factory=Counter)


@dataclass(slots=True)
class Period:
    """One account's period: its ledger entries and its documents."""

    account_id: str
    index: int
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
        if account_id not in evidence.cut:
            _check_periods(evidence, account_id, invoices, result)
    _check_notifications(evidence, result)
    return result


def _check_periods(evidence: Evidence, account_id: str, invoices: list[Found], result: Check) -> None:
    by_index: dict[int, Period] = {}

    def period(index: int) -> Period:
        return by_index.setdefault(index, Period(account_id, index))

    for entry in evidence.books.entries.get(account_id, []):
        period(entry.period).entries.append(entry)
    for invoice in invoices:
        period(periods.index_of(invoice.content["period"])).invoices.append(invoice)
    for note in evidence.books.credit_notes.get(account_id, []):
        period(periods.index_of(note.content["shown_in"])).notes.append(note)
    balance = 0
    for _, one in sorted(by_index.items()):
        balance += sum(entry.amount for entry in one.entries)
        if one.invoices and _goes_on(evidence, one):
            result.looked_at("charges in periods of closed accounts, not compared", one.charges)
        elif one.invoices:
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
            _check_one_each(evidence, one, result)
            _check_lines(one, result)
            _check_movements(one, result)
        elif one.entries:
            result.looked_at("charges in open periods", one.charges)
            _check_open(evidence, one, result)


def _goes_on(evidence: Evidence, period: Period) -> bool:
    """Return whether a period has a document and is not over: its account was closed within it."""
    account, time = evidence.account(period.account_id), evidence.lane_of(period.account_id).time
    return (
        account is not None
        and any(settings["closed"] for _, settings in account.history)
        and not account.zones.must_be_closed(period.index, time, evidence.grace_ms)
    )


def _check_one_each(evidence: Evidence, period: Period, result: Check) -> None:
    """One invoice per account and period; one more for each time that the account was closed."""
    account = evidence.account(period.account_id)
    closes = len(account.closes) if account is not None else 0
    if len(period.invoices) > 1 + closes:
        result.fail(
            "one invoice per account and period",
            account=period.account_id,
            place=period.invoices[-1].place,
            expected=f"{1 + closes} at most",
            found=", ".join(invoice.content["number"] for invoice in period.invoices),
        )


def _check_open(evidence: Evidence, period: Period, result: Check) -> None:
    """A period without an invoice is open."""
    account, time = evidence.account(period.account_id), evidence.lane_of(period.account_id).time
    if account is None or not account.zones.must_be_closed(period.index, time, evidence.grace_ms):
        return
    result.fail(
        "a closed period with entries has an invoice",
        account=period.account_id,
        place=period.entries[0].place,
        expected=f"an invoice for {periods.text_of(period.index)}, closed at lane time {moment(time)}",
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
            told.taxes[group] -= line["tax"]
    for group in sorted(booked.amounts.keys() | booked.taxes.keys() | on_lines | credited, key=repr):
        found = [told.amounts[group], told.taxes[group]]
        expected = [booked.amounts[group], booked.taxes[group]]
        if group not in credited:
            found.append(told.quantities[group])
            expected.append(booked.quantities[group])
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
        if m["kind"] in NAMED
    )
    booked = Counter(
        (e.kind, e.amount, e.occurred_at, _reference(e)) for e in period.entries if e.kind in NAMED
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

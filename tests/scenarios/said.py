"""What came out of a step, in the words of the last column. One way to say each thing (README.md)."""

from collections.abc import Callable, Sequence

from streams.domain.outputs import (
    CommandKind,
    CreditNote,
    DeadLetter,
    EntryKind,
    Invoice,
    LedgerEntry,
    Notification,
    Output,
    StatusChanged,
    TopUpCommand,
    TopUpDecided,
)
from streams.domain.periods import label
from tests.scenarios.steps import FIRST_ACCOUNT
from tests.scenarios.values import quantity, shown, shown_minor, utc_month

TAKES = {
    EntryKind.CHARGE,
    EntryKind.TAX,
    EntryKind.REFUND,
    EntryKind.DISPUTE,
    EntryKind.RETURN,
    EntryKind.DEBIT,
    EntryKind.WRITE_OFF,
}
"""Kinds whose amount a table writes without the minus that it has in the ledger."""
DETAILS = ("shown", "received", "tier", "billed to", "issued", "tax base")
"""What is said of documents only where a step asks for it, by the first word; then for all of it."""


def words(outputs: Sequence[Output], digits: Callable[[str], int], wanted: Sequence[str]) -> list[str]:
    """Return what outputs say, one item each; `digits` gives a currency's, `wanted` is the expectation."""
    asked = {first for first in DETAILS if any(_bare(item).startswith(first) for item in wanted)}
    said: list[str] = []
    for output in outputs:
        prefix = "" if output.account_id in {FIRST_ACCOUNT, None} else f"[{output.account_id}] "
        said += [prefix + item for item in _words(output, digits, asked)]
    return said


def _bare(item: str) -> str:
    return item.split("] ", 1)[1] if item.startswith("[") else item


def _words(output: Output, digits: Callable[[str], int], asked: set[str]) -> list[str]:
    match output:
        case LedgerEntry():
            return [_entry(output, digits(output.currency))]
        case TopUpCommand():
            number = f"{output.episode}.{output.attempt}"
            if output.kind is CommandKind.CANCEL:
                return [f"cancel {number}"]
            return [f"command {number} {shown_minor(output.amount_minor, digits(output.currency))}"]
        case Notification():
            return [f"mail {output.kind}"]
        case DeadLetter():
            return [f"buried {output.reason}"]
        case Invoice():
            return _invoice(output, digits(output.currency), asked)
        case CreditNote():
            return _credit_note(output, digits(output.currency))
        case StatusChanged() | TopUpDecided():
            return []  # a column or another record says it; the runner checks that it was said


def _entry(entry: LedgerEntry, currency_digits: int) -> str:
    amount = -entry.amount if entry.kind in TAKES else entry.amount
    name = entry.payment_id if entry.kind is EntryKind.PAYMENT else entry.reference or entry.adjustment_id
    named = "" if name is None or entry.kind in {EntryKind.CHARGE, EntryKind.TAX} else f" {name}"
    version = f" v{entry.price_version}" if (entry.price_version or 1) != 1 else ""
    period = f" in {label(entry.period)}" if entry.period != utc_month(entry.occurred_at) else ""
    late = f" late for {label(entry.month)}" if entry.month < entry.period and entry.meter else ""
    closed = " after close" if entry.reason == "after_close" else ""
    return f"{entry.kind}{named} {shown(amount, currency_digits)}{version}{period}{late}{closed}"


def _invoice(invoice: Invoice, currency_digits: int, asked: set[str]) -> list[str]:
    def money(amount: int) -> str:
        return shown(amount, currency_digits)

    said = [
        f"invoice {invoice.sequence} for {label(invoice.period)}: {money(invoice.opening)}"
        f" + {money(invoice.received)} - {money(invoice.charged)} = {money(invoice.closing)}"
    ]
    for line in invoice.lines:
        late = f" late for {label(line.month)}" if line.month < invoice.period else ""
        version = f" v{line.price_version}" if line.price_version != 1 else ""
        tax = "" if line.tax_rate is None else f" tax {money(line.tax)} at {quantity(line.tax_rate)}"
        said.append(
            f"line {line.meter}{version}: {quantity(line.quantity)} = {money(line.amount)}{tax}{late}"
        )
        if "tier" in asked:
            said += [
                f"tier {quantity(tier.quantity)} x {money(tier.unit_price)} = {money(tier.amount)}"
                for tier in line.tiers
            ]
    if "shown" in asked:
        s = invoice.shown
        opening, received, charged, closing, rounding = (
            shown_minor(amount, currency_digits)
            for amount in (
                s.opening_minor,
                s.received_minor,
                s.charged_minor,
                s.closing_minor,
                s.rounding_minor,
            )
        )
        said.append(f"shown {opening} + {received} - {charged} = {closing}, rounding {rounding}")
    if "received" in asked:
        said += [f"received {m.kind} {m.reference} {money(m.amount)}" for m in invoice.movements]
    if "tax base" in asked:
        said += [f"tax base {money(t.base)} at {quantity(t.rate)} = {money(t.tax)}" for t in invoice.taxes]
    if "billed to" in asked:
        said.append(f"billed to {invoice.customer.name if invoice.customer else 'nobody'}")
    if "issued" in asked:
        said.append(f"issued in {label(utc_month(invoice.issued_at))}")
    return said


def _credit_note(note: CreditNote, currency_digits: int) -> list[str]:
    def money(amount: int) -> str:
        return shown(amount, currency_digits)

    corrected = int(note.invoice_number.rsplit("-", 1)[1])
    return [
        f"credit note {note.sequence} on invoice {corrected} for {label(note.period)}:"
        f" {money(note.amount)} tax {money(note.tax)} shown in {label(note.shown_in)}"
    ]

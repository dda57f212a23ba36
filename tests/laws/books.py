"""The laws that one played history shows by itself, checked with arithmetic of its own.

Reads inputs and outputs only (and the state at the end); prices, taxes and top-ups are worked out here
again, from the published prices and the settings in force, step by step.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from streams.domain.account import Account
from streams.domain.events import (
    AccountSettings,
    PaymentEvent,
    PaymentKind,
    Price,
    PriceModel,
    PricePublished,
    UsageEvent,
)
from streams.domain.outcomes import Outcome
from streams.domain.outputs import (
    CommandKind,
    CreditNote,
    DeadLetter,
    EntryKind,
    Invoice,
    LedgerEntry,
    TopUpCommand,
)
from streams.domain.reasons import Rejected
from tests.laws.playing import Play, Step
from tests.unit.domain.build import AccountDict, WaitingDict

CHARGES = frozenset({EntryKind.CHARGE, EntryKind.REVERSAL})
TAXES = frozenset({EntryKind.TAX, EntryKind.REVERSAL_TAX})
USAGE_KINDS = CHARGES | TAXES
FINAL = frozenset(
    {
        PaymentKind.SUCCEEDED,
        PaymentKind.FAILED,
        PaymentKind.UNAVAILABLE,
        PaymentKind.REFUSED,
        PaymentKind.CANCELLED,
    }
)
OUTCOMES = FINAL | {PaymentKind.REQUIRES_ACTION}
MOVED_BY = {
    EntryKind.PAYMENT: PaymentKind.SUCCEEDED,
    EntryKind.REFUND: PaymentKind.REFUNDED,
    EntryKind.DISPUTE: PaymentKind.DISPUTED,
    EntryKind.DISPUTE_WON: PaymentKind.DISPUTE_WON,
    EntryKind.RETURN: PaymentKind.RETURNED,
}
MINOR = {"USD": 10**10, "JPY": 10**12}
Group = tuple[int, str, int, int | None]


class Broken(AssertionError):  # noqa: N818 - says what happened, as facts do here
    """A law does not hold."""


def must(holds: bool, law: str, *facts: object) -> None:
    """Raise Broken unless a law holds."""
    if not holds:
        raise Broken(f"{law}: {', '.join(map(repr, facts))}")


def entries_of(play: Play) -> dict[str, list[LedgerEntry]]:
    """Return the ledger of each account."""
    ledger: dict[str, list[LedgerEntry]] = defaultdict(list)
    for step in play.steps:
        for output in step.said:
            if type(output) is LedgerEntry:
                ledger[output.account_id].append(output)
    return ledger


def accounts_of(play: Play) -> dict[str, Account]:
    """Return the accounts as they stand at the end."""
    accounts = play.shelves.accounts
    assert isinstance(accounts, AccountDict)
    return accounts.rows


# -- money is conserved ------------------------------------------------------------------------------------


def money_is_conserved(play: Play) -> None:
    """Each balance is the sum of its entries, numbered without gap; each movement of money has one cause."""
    ledger = entries_of(play)
    for account_id, account in accounts_of(play).items():
        balance = 0
        entries = ledger.pop(account_id, [])
        for number, entry in enumerate(entries, start=1):
            balance += entry.amount
            must(entry.number == number, "ledger numbers have no gap", entry)
            must(entry.balance_after == balance, "each balance follows from the one before", entry)
        must(account.balance == balance, "the balance is the sum of the entries", account_id, balance)
        must(account.entries == len(entries), "the account counts its entries", account_id)
    must(not ledger, "every entry has an account", ledger)
    _movements_have_causes(play)


def _movements_have_causes(play: Play) -> None:
    said_by_provider: dict[tuple[object, ...], set[int]] = defaultdict(set)
    applied: set[tuple[object, ...]] = set()
    adjusted: dict[tuple[str, str], set[int]] = defaultdict(set)
    booked: set[tuple[object, ...]] = set()
    for step in play.steps:
        event = step.event
        if type(event) is PaymentEvent:
            once = None if event.kind is PaymentKind.SUCCEEDED else event.reference
            key = (event.account_id, event.payment_id, event.kind, once)
            if not isinstance(step.outcome, Rejected):
                said_by_provider[key].add(event.amount_minor)
            if step.outcome is Outcome.APPLIED and event.kind in MOVED_BY.values():
                applied.add(key)
        for output in step.said:
            if type(output) is not LedgerEntry or output.kind in USAGE_KINDS:
                continue
            if output.kind in MOVED_BY:
                cause = (output.account_id, output.payment_id, MOVED_BY[output.kind], output.reference)
                minor = abs(output.amount) // MINOR[output.currency]
                must(cause not in booked, "a payment's money moves once", cause)
                must(minor in said_by_provider[cause], "money moves as the provider said", cause, output)
                taken = output.kind in {EntryKind.REFUND, EntryKind.DISPUTE, EntryKind.RETURN}
                must((output.amount < 0) is taken, "money moves in its direction", output)
                booked.add(cause)
            elif output.kind in {EntryKind.CREDIT, EntryKind.DEBIT}:
                adjustment = (output.account_id, output.adjustment_id)
                must(adjustment not in adjusted, "an adjustment applies once", output)
                adjusted[adjustment].add(output.number)  # type: ignore[index]
                must((output.amount < 0) is (output.kind is EntryKind.DEBIT), "a debit takes", output)
    must(applied <= booked, "what was applied is booked", applied - booked)


# -- usage is charged once, at the price and tax in force --------------------------------------------------


def usage_is_charged_once(play: Play) -> None:
    """Each accepted usage event has one charge, at the price and tax in force then; months add up to P."""
    charged: set[tuple[str, str | None, str | None]] = set()
    reversed_: set[tuple[str, str | None, str | None]] = set()
    accepted: set[tuple[str, str, str]] = set()
    prices: dict[tuple[str, str], list[Price]] = defaultdict(list)
    settings: dict[str, AccountSettings] = {}
    sums: dict[tuple[str, str, Group], list[int]] = defaultdict(lambda: [0, 0, 0])
    for step in play.steps:
        event = step.event
        if step.outcome is Outcome.APPLIED or step.outcome is Outcome.WAITING:
            if type(event) is UsageEvent:
                accepted.add((event.account_id, event.source, event.event_id))
            elif type(event) is PricePublished:
                prices[event.price.meter, event.price.currency].append(event.price)
            elif type(event) is AccountSettings:
                settings[event.account_id] = event
        for output in step.said:
            if type(output) is LedgerEntry and output.kind in USAGE_KINDS:
                if output.kind is EntryKind.CHARGE:
                    name = (output.account_id, output.source, output.event_id)
                    must(name not in charged, "a usage event is charged once", name)
                    charged.add(name)
                    _check_rate(output, prices, settings.get(output.account_id))
                elif output.kind is EntryKind.REVERSAL:
                    name = (output.account_id, output.source, output.event_id)
                    must(name in charged and name not in reversed_, "a charge is reversed once", name)
                    reversed_.add(name)
                _count(output, sums)
            elif type(output) is DeadLetter:
                accepted -= {_name_of(play, output)}
    waiting = play.shelves.waiting
    assert isinstance(waiting, WaitingDict)
    for row in waiting.rows.values():
        if type(row.event) is UsageEvent:
            accepted -= {(row.event.account_id, row.event.source, row.event.event_id)}
    must(accepted == charged, "accepted usage is charged, and nothing else", accepted ^ charged)
    known = {(p.meter, p.currency, p.version): p for versions in prices.values() for p in versions}
    for (account_id, currency, group), (quantity, amount, tax) in sums.items():
        _, meter, version, rate = group
        cost = price_of(known[meter, currency, version], quantity)
        must(amount == cost, "a month's charges add up to P of its quantity", account_id, group, amount, cost)
        owed = round(Fraction((rate or 0) * cost, 10**12))
        must(tax == owed, "a month's tax is the rate of P", account_id, group, tax, owed)


def _name_of(play: Play, letter: DeadLetter) -> tuple[str, str, str]:
    for step in play.steps:
        event = step.event
        if event.origin.offset == letter.origin.offset and type(event) is UsageEvent:
            return (event.account_id, event.source, event.event_id)
    return ("", "", "")


def _check_rate(
    entry: LedgerEntry, prices: dict[tuple[str, str], list[Price]], settings: AccountSettings | None
) -> None:
    assert entry.meter is not None
    moment = entry.occurred_at
    in_force = [p for p in prices[entry.meter, entry.currency] if p.valid_from <= moment]
    best = max(in_force, key=lambda p: (p.valid_from, p.version))
    must(entry.price_version == best.version, "the price in force at occurred_at counts", entry, best)
    rates = [r for r in settings.tax_rates if r.valid_from <= moment] if settings else []
    rate = max(rates, key=lambda r: r.valid_from).rate if rates else None
    must(entry.tax_rate == rate, "the tax in force at occurred_at counts", entry, rate)


def _count(entry: LedgerEntry, sums: dict[tuple[str, str, Group], list[int]]) -> None:
    assert entry.meter is not None
    assert entry.price_version is not None
    group = (entry.month, entry.meter, entry.price_version, entry.tax_rate)
    row = sums[entry.account_id, entry.currency, group]
    if entry.kind in CHARGES:
        row[0] += (entry.quantity or 0) * (1 if entry.kind is EntryKind.CHARGE else -1)
        row[1] -= entry.amount
    else:
        row[2] -= entry.amount


def price_of(price: Price, quantity: int) -> int:
    """Return P of a month's quantity, worked out with fractions."""
    billed = Fraction(max(0, quantity - (price.free_allowance or 0)), 10**12)
    if not billed:
        return 0
    match price.model:
        case PriceModel.PER_UNIT:
            exact = billed * price.tiers[0].unit_price
        case PriceModel.PACKAGE:
            packages = -(-billed // Fraction(price.package_size or 1, 10**12))
            exact = Fraction(packages * price.tiers[0].unit_price)
        case PriceModel.VOLUME:
            tier = next(t for t in price.tiers if t.up_to is None or billed * 10**12 <= t.up_to)
            exact = billed * tier.unit_price
        case PriceModel.GRADUATED:
            exact, below = Fraction(0), Fraction(0)
            for tier in price.tiers:
                upper = billed if tier.up_to is None else min(billed, Fraction(tier.up_to, 10**12))
                exact += max(Fraction(0), upper - below) * tier.unit_price
                below = max(below, upper)
    return round(exact)  # of a Fraction: half-even


# -- invoices ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Documents:
    """What one account's documents have said so far."""

    invoices: list[Invoice] = field(default_factory=list)
    notes: dict[int, list[CreditNote]] = field(default_factory=lambda: defaultdict(list))
    note_count: int = 0
    entries: dict[int, list[LedgerEntry]] = field(default_factory=lambda: defaultdict(list))
    """By period, those that no invoice carries yet."""
    was_closed: bool = False
    """The account was closed: a second document for the same month may follow."""


def each_charge_is_on_one_invoice(play: Play) -> None:
    """Each entry is on the one document of its period or in an open one, and documents follow each other."""
    documents: dict[str, _Documents] = defaultdict(_Documents)
    for step in play.steps:
        if type(step.event) is AccountSettings and step.event.closed and step.outcome is Outcome.APPLIED:
            documents[step.event.account_id].was_closed = True
        for output in step.said:
            if type(output) is LedgerEntry:
                known = documents[output.account_id]
                last = known.invoices[-1].period if known.invoices else -1
                must(
                    output.period >= last + (not known.was_closed),
                    "no entry goes to a period that has its invoice",
                    output,
                )
                must(output.period >= output.month, "no entry is before its own month", output)
                known.entries[output.period].append(output)
            elif type(output) is CreditNote:
                known = documents[output.account_id]
                known.notes[output.shown_in].append(output)
                known.note_count += 1
                must(output.sequence == known.note_count, "credit notes are numbered without gap", output)
                corrected = {i.number: i.period for i in known.invoices}
                must(output.invoice_number in corrected, "a credit note names an invoice", output)
            elif type(output) is Invoice:
                _check_invoice(output, documents[output.account_id])
    for account_id, account in accounts_of(play).items():
        known = documents[account_id]
        closing = known.invoices[-1].closing if known.invoices else 0
        must(account.opening == closing, "the closing balance is the next opening", account_id)
        left = {period for period, entries in known.entries.items() if entries}
        open_months = {period.month for period in account.periods}
        must(left == open_months, "each entry is on one invoice or in an open period", left)
        for period in account.periods:
            month = period.month
            charges, tax, moved = _sums(known.entries[month])
            totals = (period.charges, period.tax, period.received)
            must(
                totals == (charges, tax, moved), "an open period's totals are its entries", account_id, month
            )


def _sums(entries: Iterable[LedgerEntry]) -> tuple[int, int, int]:
    charges = tax = moved = 0
    for entry in entries:
        if entry.kind in CHARGES:
            charges -= entry.amount
        elif entry.kind in TAXES:
            tax -= entry.amount
        else:
            moved += entry.amount
    return charges, tax, moved


def _check_invoice(invoice: Invoice, known: _Documents) -> None:
    before = known.invoices[-1] if known.invoices else None
    known.invoices.append(invoice)
    notes, known.notes[invoice.period] = known.notes[invoice.period], []
    must(invoice.sequence == len(known.invoices), "invoices are numbered without gap", invoice)
    least = -1 if before is None else before.period + (not known.was_closed)
    must(invoice.period >= least, "one invoice for account and period", invoice)
    opening = before.closing if before else 0
    must(invoice.opening == opening, "the closing balance is the next opening", opening, invoice)
    must(
        invoice.opening + invoice.received - invoice.charged == invoice.closing,
        "opening + received - charged = closing",
        invoice,
    )
    entries = known.entries.pop(invoice.period, [])
    must(bool(entries), "no entry, no invoice", invoice)
    charges, tax, moved = _sums(entries)
    credited, credited_tax = sum(n.amount for n in notes), sum(n.tax for n in notes)
    must(invoice.charges == charges + credited, "charged are the period's charges", invoice, charges)
    must(invoice.tax == tax + credited_tax, "taxed is the period's tax", invoice, tax)
    must(invoice.received == moved + credited + credited_tax, "received is what moved", invoice, moved)
    must(sum(m.amount for m in invoice.movements) == invoice.received, "movements are received", invoice)
    _check_lines(invoice, notes, entries)
    must(sum(line.amount for line in invoice.lines) == invoice.charges, "the lines are charged", invoice)
    must(sum(line.tax for line in invoice.lines) == invoice.tax, "the lines' tax is the tax", invoice)
    shown = invoice.shown
    must(
        shown.opening_minor + shown.received_minor - shown.charged_minor == shown.closing_minor
        and shown.charged_minor
        == sum(line.amount_minor for line in invoice.lines) + shown.tax_minor + shown.rounding_minor,
        "what is shown adds up",
        shown,
    )


def _check_lines(invoice: Invoice, notes: list[CreditNote], entries: list[LedgerEntry]) -> None:
    """Check that each group of charges is one line of the invoice, or of a credit note."""
    groups: dict[Group, list[int]] = defaultdict(lambda: [0, 0, 0])
    for entry in entries:
        if entry.kind in USAGE_KINDS:
            group = (entry.month, entry.meter or "", entry.price_version or 0, entry.tax_rate)
            sign = 1 if entry.kind is EntryKind.CHARGE else -1
            groups[group][0] += (entry.quantity or 0) * (sign if entry.kind in CHARGES else 0)
            groups[group][1 if entry.kind in CHARGES else 2] -= entry.amount
    for line in invoice.lines:
        group = (line.month, line.meter, line.price_version, line.tax_rate)
        booked = groups.pop(group, None)
        must(booked == [line.quantity, line.amount, line.tax], "a line is its charges", line, booked)
    left = sorted(
        [meter, version, rate or 0, -q, -a, -t] for (_, meter, version, rate), (q, a, t) in groups.items()
    )
    credits_ = sorted(
        [line.meter, line.price_version, line.tax_rate or 0, line.quantity, line.amount, line.tax]
        for note in notes
        for line in note.lines
    )
    must(left == credits_, "what is on no line is on a credit note", left, credits_)


# -- automatic top-up --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Command:
    amount: int
    month: int
    ended: bool = False
    paid: bool = False


def one_top_up_is_pending(play: Play) -> None:
    """No command is made while another has no final word, and a command sent again is the same."""
    pending: dict[str, str] = {}
    sent: dict[tuple[str, CommandKind], TopUpCommand] = {}
    for step in play.steps:
        word = _final_word(step)
        if word is not None:
            pending = {a: c for a, c in pending.items() if c != word.command_id}
        for output in step.said:
            if type(output) is TopUpCommand:
                again = sent.setdefault((output.command_id, output.kind), output)
                must(again == output, "a command sent again is the same", output)
                if again is output and output.kind is CommandKind.CHARGE:
                    must(output.account_id not in pending, "at most one top-up is pending", output)
                    pending[output.account_id] = output.command_id
                else:
                    must(
                        pending.get(output.account_id) == output.command_id,
                        "only the pending is sent",
                        output,
                    )


def the_limit_is_never_passed(play: Play) -> None:
    """No command passes the monthly limit in force, with all that took or may take money in its month."""
    commands: dict[str, dict[str, _Command]] = defaultdict(dict)
    limits: dict[str, int | None] = {}
    for step in play.steps:
        event = step.event
        if type(event) is AccountSettings and step.outcome is Outcome.APPLIED:
            auto = event.automatic_top_up
            limits[event.account_id] = auto.monthly_limit_minor if auto else None
        word = _final_word(step)
        command = commands[word.account_id].get(word.command_id or "") if word else None
        if word and command:
            command.ended = True
            command.paid = command.paid or word.kind is PaymentKind.SUCCEEDED
        for output in step.said:
            if type(output) is TopUpCommand and output.command_id not in commands[output.account_id]:
                month = play.months[output.command_id]
                made = commands[output.account_id]
                made[output.command_id] = _Command(output.amount_minor, month)
                counted = sum(c.amount for c in made.values() if c.month == month and (c.paid or not c.ended))
                limit = limits[output.account_id]
                must(output.amount_minor > 0, "a command takes something", output)
                must(limit is None or counted <= limit, "the limit is never passed", output, counted, limit)


def _final_word(step: Step) -> PaymentEvent | None:
    """Return the step's payment event where it ends a command."""
    event = step.event
    if type(event) is not PaymentEvent or event.command_id is None or isinstance(step.outcome, Rejected):
        return None
    return event if event.kind in FINAL else None


LAWS = (
    money_is_conserved,
    usage_is_charged_once,
    each_charge_is_on_one_invoice,
    one_top_up_is_pending,
    the_limit_is_never_passed,
)
"""What holds in every history, whatever happened."""

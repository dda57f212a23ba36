"""The documents of one closing period, from the account's state: invoice, credit notes, invoice_ready.

A line carries what of a month's row no earlier document carried. Where that lowers what was invoiced
it is credited: its own credit note, shown under received. Closes nothing; closing.py says when.
"""

from collections import defaultdict
from collections.abc import Iterable

from streams.domain.account import Account, MonthRow, Period, RowKey
from streams.domain.desk import Desk
from streams.domain.money import half_even
from streams.domain.outputs import (
    CreditLine,
    CreditNote,
    Invoice,
    InvoiceLine,
    Movement,
    NotificationKind,
    Party,
    Shown,
    TaxTotal,
)
from streams.domain.periods import label
from streams.domain.pricing import Rating
from streams.domain.reasons import InvariantBroken


def write(desk: Desk, account: Account, period: int, totals: Period) -> None:
    """Write the documents of a period and make its closing balance the next opening."""
    assert account.calendar is not None
    account.invoices += 1
    due = [(key, row) for key, row in account.rows.items() if key[0] <= period and row.charges]
    due.sort(key=lambda item: _order(item[0], period))
    credited = [item for item in due if _lowers(item[1])]
    customer = _customer(desk, account)
    lines = tuple(_line(desk, account, *item) for item in due if not _lowers(item[1]))
    notes = _credit(desk, account, period, customer, credited)
    for _, row in due:
        _mark_invoiced(row, account.invoices, period)

    credited_sum = sum(note.amount + note.tax for note in notes)
    movements = (
        *totals.movements,
        *(Movement("credit_note", n.number, n.amount + n.tax, n.issued_at) for n in notes),
    )
    charges, tax = sum(line.amount for line in lines), sum(line.tax for line in lines)
    if (
        charges - sum(n.amount for n in notes) != totals.charges
        or tax - sum(n.tax for n in notes) != totals.tax
    ):
        raise InvariantBroken(
            f"account {account.account_id}, {label(period)}: lines of {charges} + tax {tax}"
            f" less {credited_sum} credited are not the period's {totals.charges} + {totals.tax}"
        )
    received = totals.received + credited_sum
    opening, closing = account.opening, account.opening + received - charges - tax
    invoice = Invoice(
        account_id=account.account_id,
        number=number(account, account.invoices),
        sequence=account.invoices,
        period=period,
        period_start=account.calendar.start(period),
        period_end=account.calendar.end(period),
        zone=account.calendar.zone_of(period),
        issued_at=desk.time,
        currency=account.currency,
        seller=desk.policy.seller,
        customer=customer,
        opening=opening,
        lines=lines,
        taxes=_taxes(lines),
        movements=movements,
        credit_notes=tuple(note.number for note in notes),
        charges=charges,
        tax=tax,
        received=received,
        charged=charges + tax,
        closing=closing,
        shown=_shown(account, lines, opening=opening, received=received, closing=closing, tax=tax),
    )
    account.opening = closing
    desk.outputs += notes
    desk.outputs.append(invoice)
    details = {
        "number": invoice.number,
        "period": label(period),
        "charged_minor": str(invoice.shown.charged_minor),
        "closing_minor": str(invoice.shown.closing_minor),
    }
    desk.notify(account, NotificationKind.INVOICE_READY, invoice.number, desk.time, details)


def number(account: Account, sequence: int) -> str:
    """Return an invoice's number: the account's series and a sequence without gaps."""
    return f"{account.account_id}-{sequence:06d}"


def _order(key: RowKey, period: int) -> tuple[bool, int, str, int, int]:
    """Usage by meter and price version, late ones after those of the month."""
    month, meter, version, rate = key
    return month < period, month, meter, version, -1 if rate is None else rate


def _lowers(row: MonthRow) -> bool:
    """Whether a row comes to less than what was invoiced of it."""
    return row.amount < row.invoiced_amount or row.tax < row.invoiced_tax


def _mark_invoiced(row: MonthRow, sequence: int, period: int) -> None:
    if not _lowers(row):
        row.invoice, row.invoice_period = sequence, period
    row.invoiced_quantity, row.invoiced_amount, row.invoiced_tax = row.quantity, row.amount, row.tax
    row.charges = 0


def _line(desk: Desk, account: Account, key: RowKey, row: MonthRow) -> InvoiceLine:
    month, meter, version, rate = key
    rating = _rating(desk, account, meter, version)
    amount = row.amount - row.invoiced_amount
    return InvoiceLine(
        month=month,
        meter=meter,
        unit=rating.price.unit,
        price_version=version,
        model=rating.price.model,
        quantity=row.quantity - row.invoiced_quantity,
        amount=amount,
        amount_minor=half_even(amount, account.minor),
        tax_rate=rate,
        tax=row.tax - row.invoiced_tax,
        tiers=() if row.invoiced_quantity else rating.tiers(row.quantity),
    )


def _rating(desk: Desk, account: Account, meter: str, version: int) -> Rating:
    card = desk.card(meter, account.currency)
    rating = card.version(version) if card else None
    if rating is None:
        raise InvariantBroken(f"price {meter}/{account.currency}/{version} was charged but is gone")
    return rating


def _credit(
    desk: Desk, account: Account, period: int, customer: Party | None, rows: list[tuple[RowKey, MonthRow]]
) -> list[CreditNote]:
    """Return one credit note for each invoice that is corrected."""
    by_invoice: dict[int, list[tuple[RowKey, MonthRow]]] = defaultdict(list)
    for item in rows:
        by_invoice[item[1].invoice].append(item)
    notes = []
    for corrected in sorted(by_invoice):
        account.credit_notes += 1
        items = by_invoice[corrected]
        lines = tuple(_credit_line(key, row) for key, row in items)
        notes.append(
            CreditNote(
                account_id=account.account_id,
                number=f"{account.account_id}-C{account.credit_notes:06d}",
                sequence=account.credit_notes,
                invoice_number=number(account, corrected),
                period=items[0][1].invoice_period,
                shown_in=period,
                issued_at=desk.time,
                currency=account.currency,
                seller=desk.policy.seller,
                customer=customer,
                lines=lines,
                amount=sum(line.amount for line in lines),
                tax=sum(line.tax for line in lines),
            )
        )
    return notes


def _credit_line(key: RowKey, row: MonthRow) -> CreditLine:
    _, meter, version, rate = key
    return CreditLine(
        meter=meter,
        price_version=version,
        quantity=row.invoiced_quantity - row.quantity,
        amount=row.invoiced_amount - row.amount,
        tax_rate=rate,
        tax=row.invoiced_tax - row.tax,
    )


def _taxes(lines: Iterable[InvoiceLine]) -> tuple[TaxTotal, ...]:
    sums: dict[int, tuple[int, int]] = {}
    for line in lines:
        if line.tax_rate is not None:
            base, tax = sums.get(line.tax_rate, (0, 0))
            sums[line.tax_rate] = base + line.amount, tax + line.tax
    return tuple(TaxTotal(rate=rate, base=base, tax=tax) for rate, (base, tax) in sorted(sums.items()))


def _shown(
    account: Account,
    lines: Iterable[InvoiceLine],
    *,
    opening: int,
    received: int,
    closing: int,
    tax: int,
) -> Shown:
    """Return the printed amounts: each rounded by itself, charged from them, the rest the rounding."""
    opening_minor, received_minor, closing_minor, tax_minor = (
        half_even(amount, account.minor) for amount in (opening, received, closing, tax)
    )
    charged_minor = opening_minor + received_minor - closing_minor
    return Shown(
        opening_minor=opening_minor,
        received_minor=received_minor,
        closing_minor=closing_minor,
        charged_minor=charged_minor,
        tax_minor=tax_minor,
        rounding_minor=charged_minor - tax_minor - sum(line.amount_minor for line in lines),
    )


def _customer(desk: Desk, account: Account) -> Party | None:
    profile = desk.shelves.profiles.get(account.account_id)
    if profile is None:
        return None
    return Party(name=profile.name, address=profile.address, country=profile.country, tax_id=profile.tax_id)

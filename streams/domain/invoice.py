"""The documents of one closing period, from the account's state: invoice, credit notes, invoice_ready.

A line carries what of a month's row no earlier document carried: late usage and reversals of one row
together, since which came first must not show. Where that lowers what was invoiced it is credited: a credit
note for each invoice that carried the row, from the first on, none for more than it carried; shown under
received. Closes nothing; closing.py says when.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from streams.domain.account import Account, MonthRow, Part, Period, RowKey
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


def write(desk: Desk, account: Account, totals: Period, *, until: int | None = None) -> None:
    """Write the documents of a period and make its closing balance the next opening.

    `until` ends it early, where its account is closed; one that was cut so before begins at the cut.
    """
    assert account.calendar is not None
    period = totals.month
    start, end = account.calendar.start(period), account.calendar.end(period)
    if account.cut_at is not None:
        start = max(start, account.cut_at)
    if until is not None:
        end = min(end, until)
    account.invoices += 1
    due = [(key, row) for key, row in account.rows.items() if key[0] <= period and row.charges]
    due.sort(key=lambda item: _order(item[0], period))
    credited = [item for item in due if _lowers(item[1])]
    customer = _customer(desk, account)
    lines = tuple(_line(desk, account, *item) for item in due if not _lowers(item[1]))
    notes = _credit(desk, account, period, customer, credited)
    for _, row in due:
        _mark_invoiced(row, account.invoices, period)
        account.row_changed(row)

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
        period_start=start,
        period_end=end,
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
        part = Part(
            sequence,
            period,
            row.quantity - row.invoiced_quantity,
            row.amount - row.invoiced_amount,
            row.tax - row.invoiced_tax,
        )
        row.parts = (*row.parts, part)
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
        tiers=rating.tiers(row.quantity, row.invoiced_quantity),
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
    by_invoice: dict[tuple[int, int], list[CreditLine]] = defaultdict(list)
    for key, row in rows:
        for part, line in _credit_lines(key, row):
            by_invoice[part.invoice, part.period].append(line)
    notes = []
    for (corrected, corrected_period), lines in sorted(by_invoice.items(), key=lambda item: item[0]):
        account.credit_notes += 1
        notes.append(
            CreditNote(
                account_id=account.account_id,
                number=f"{account.account_id}-C{account.credit_notes:06d}",
                sequence=account.credit_notes,
                invoice_number=number(account, corrected),
                period=corrected_period,
                shown_in=period,
                issued_at=desk.time,
                currency=account.currency,
                seller=desk.policy.seller,
                customer=customer,
                lines=tuple(lines),
                amount=sum(line.amount for line in lines),
                tax=sum(line.tax for line in lines),
            )
        )
    return notes


def _credit_lines(key: RowKey, row: MonthRow) -> Iterator[tuple[Part, CreditLine]]:
    """Take what a row was lowered by off the invoices that carried it, from the first on."""
    month, meter, version, rate = key
    quantity, amount, tax = (
        row.invoiced_quantity - row.quantity,
        row.invoiced_amount - row.amount,
        row.invoiced_tax - row.tax,
    )
    for part in row.parts:
        part_amount, part_tax = min(amount, part.amount), min(tax, part.tax)
        if not part_amount and not part_tax:
            continue
        amount, tax = amount - part_amount, tax - part_tax
        # the last takes the rest, where quantity and amount do not go together (volume prices, allowances)
        part_quantity = min(quantity, part.quantity) if amount or tax else quantity
        quantity -= part_quantity
        part.quantity, part.amount, part.tax = (
            part.quantity - part_quantity,
            part.amount - part_amount,
            part.tax - part_tax,
        )
        yield (
            part,
            CreditLine(
                month=month,
                meter=meter,
                price_version=version,
                quantity=part_quantity,
                amount=part_amount,
                tax_rate=rate,
                tax=part_tax,
            ),
        )
    if amount or tax:
        raise InvariantBroken(
            f"{label(month)} {meter}: {amount} + {tax} to be credited that no invoice carried"
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

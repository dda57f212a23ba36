"""Amounts and documents for a terminal of 80 columns."""

from datetime import UTC, datetime

from iso4217 import Currency
from rich import box
from rich.table import Table
from rich.text import Text

from schemas.wire import Record

DIGITS = 12
"""Decimal places of every exact amount and quantity."""


def minor(amount_minor: int, currency: str) -> str:
    """Return whole minor units as people write them: 123456 USD is 1,234.56."""
    digits = Currency(currency).exponent or 0
    whole, rest = divmod(abs(amount_minor), 10**digits)
    text = f"{whole:,}" + (f".{rest:0{digits}d}" if digits else "")
    return f"-{text}" if amount_minor < 0 else text


def shown(pico: int, currency: str) -> str:
    """Return an exact amount rounded half-even to the currency's minor unit."""
    unit = 10 ** (DIGITS - (Currency(currency).exponent or 0))
    quotient, rest = divmod(pico, unit)
    if rest * 2 > unit or (rest * 2 == unit and quotient % 2):
        quotient += 1
    return minor(quotient, currency)


def exact(pico: int) -> str:
    """Return an exact amount or quantity with no more places than it has."""
    whole, rest = divmod(abs(pico), 10**DIGITS)
    text = f"{whole:,}" + (f".{rest:0{DIGITS}d}".rstrip("0") if rest else "")
    return f"-{text}" if pico < 0 else text


def moment(milliseconds: int) -> str:
    """Return a time as 2024-10-01 01:30 UTC."""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def invoice(document: Record) -> Table:
    """Return an invoice in full, as a table."""
    currency = document["currency"]
    amounts = document["shown"]
    table = Table(
        title=f"Invoice {document['number']}",
        caption=_parties(document),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        expand=True,
    )
    table.add_column("", ratio=1)
    table.add_column("quantity", justify="right")
    table.add_column("unit price", justify="right")
    table.add_column(currency, justify="right")
    table.add_row("Balance brought forward", "", "", minor(amounts["opening_minor"], currency))
    for move in document["movements"]:
        kind = move["kind"].replace("_", " ").capitalize()
        day = moment(move["occurred_at"])[:10]
        reference = Text(f"{kind} {day} {move['reference']}", overflow="ellipsis", no_wrap=True)
        table.add_row(reference, "", "", shown(move["amount"], currency))
    table.add_section()
    for line in document["lines"]:
        late = "" if line["month"] == document["period"] else f" (late, {line['month']})"
        whole = len(line["tiers"]) == 1 and line["tiers"][0]["quantity"] == line["quantity"]
        table.add_row(
            f"{line['meter']}{late}",
            f"{exact(line['quantity'])} {line['unit']}",
            exact(line["tiers"][0]["unit_price"]) if whole else "",
            minor(-line["amount_minor"], currency),
        )
        for tier in () if whole else line["tiers"]:
            table.add_row("", exact(tier["quantity"]), exact(tier["unit_price"]), "", style="dim")
    for tax in document["taxes"]:
        rate = exact(tax["rate"] * 100)
        label = f"Tax {rate} % of {shown(tax['base'], currency)}"
        table.add_row(label, "", "", shown(-tax["tax"], currency))
    if amounts["rounding_minor"]:
        table.add_row("Rounding", "", "", minor(-amounts["rounding_minor"], currency))
    table.add_section()
    charged = minor(amounts["charged_minor"], currency)
    table.add_row(f"Charged in {document['period']}: {charged}", "", "", "", style="bold")
    closing = minor(amounts["closing_minor"], currency)
    table.add_row("Balance carried forward", "", "", closing, style="bold")
    return table


def _parties(document: Record) -> str:
    seller, customer = document["seller"], document["customer"]
    lines = [
        f"issued {moment(document['issued_at'])} for {document['period']} ({document['zone']})",
        f"from   {_party(seller)}",
        f"to     {_party(customer) if customer else 'account ' + document['account_id']}",
    ]
    return "\n".join(lines)


def _party(party: Record) -> str:
    tax_id = f", tax id {party['tax_id']}" if party["tax_id"] else ""
    return f"{party['name']}, {', '.join(party['address'])}, {party['country']}{tax_id}"

"""What an invoice or credit note must say by itself: numbers, sums, shown amounts, dates, what follows on."""

from bisect import bisect_left
from collections import Counter, defaultdict

from schemas.wire import Record as Content
from streams import topics as names
from verify import parts
from verify.accounts import exponent_of
from verify.books import Found
from verify.evidence import Evidence
from verify.pricing import UNIT, half_even, to_minor
from verify.report import Check
from verify.wording import amount, moment


def check_unique(evidence: Evidence, result: Check) -> None:
    """Every document's number is unique for the seller."""
    seen: dict[str, Found] = {}
    for group in (*evidence.books.invoices.values(), *evidence.books.credit_notes.values()):
        for found in group:
            number = found.content["number"]
            first = seen.setdefault(number, found)
            if first is not found:
                result.fail(
                    "a document's number is unique for the seller",
                    account=found.content["account_id"],
                    place=found.place,
                    expected=f"{number} at {first.place} only",
                    found="again",
                )


def check_sequence(evidence: Evidence, account_id: str, invoices: list[Found], result: Check) -> None:
    """Sequences are 1..n in the order of periods, and each opening is the closing before."""
    first_cut = bool(invoices) and evidence.topics.log("invoices", invoices[0].place.partition).start > 0
    number = invoices[0].content["sequence"] - 1 if first_cut else 0
    closing = invoices[0].content["opening"] if first_cut else 0
    end = 0
    for invoice in invoices:
        number += 1
        content = invoice.content
        found = (content["sequence"], content["opening"])
        rule = "an invoice's sequence and opening follow from the one before"
        result.expect(
            found,
            (number, closing),
            rule,
            account=account_id,
            place=invoice.place,
            said=lambda pair: f"sequence {pair[0]}, opening {amount(pair[1])}",
        )
        result.expect(
            content["number"],
            f"{account_id}-{content['sequence']:06d}",
            "an invoice's number is its account's series and its sequence",
            account=account_id,
            place=invoice.place,
        )
        start = content["period_start"]
        if start < end:
            result.fail(
                "periods of invoices follow each other without overlap",
                account=account_id,
                place=invoice.place,
                expected=f"from {moment(end)} on",
                found=f"{content['period']} from {moment(start)}",
            )
        number, closing, end = content["sequence"], content["closing"], content["period_end"]


def check_arithmetic(invoice: Found, notes: list[Found], result: Check) -> None:
    """An invoice's totals are its lines', and what it shows is rounded from what is exact."""
    content, place, account_id = invoice.content, invoice.place, invoice.content["account_id"]
    lines = content["lines"]
    shown_notes = [n.content for n in notes if n.content["number"] in content["credit_notes"]]
    moved = sum(m["amount"] for m in content["movements"])
    noted = sum(note["amount"] + note["tax"] for note in shown_notes)
    sums = {
        "charges": sum(line["amount"] for line in lines),
        "tax": sum(line["tax"] for line in lines),
        "charged": content["charges"] + content["tax"],
        "closing": content["opening"] + content["received"] - content["charged"],
    }
    for name, expected in sums.items():
        rule = f"{name} of an invoice adds up"
        result.expect(content[name], expected, rule, account=account_id, place=place, said=amount)
    if content["received"] not in {moved + noted, moved}:
        result.fail(
            "received of an invoice = its movements, with its credit notes",
            account=account_id,
            place=place,
            expected=amount(moved + noted),
            found=amount(content["received"]),
        )
    rates: Counter[int] = Counter()
    taxes: Counter[int] = Counter()
    for line in lines:
        if line["tax_rate"] is not None:
            rates[line["tax_rate"]] += line["amount"]
            taxes[line["tax_rate"]] += line["tax"]
    told = {total["rate"]: (total["base"], total["tax"]) for total in content["taxes"]}
    expected_taxes = {rate: (rates[rate], taxes[rate]) for rate in rates}
    rule = "base and tax by rate = the lines'"
    if any(
        told.get(rate, (0, 0)) != expected_taxes.get(rate, (0, 0)) for rate in told.keys() | expected_taxes
    ):
        result.expect(told, expected_taxes, rule, account=account_id, place=place)
    for line in lines:
        pieces = [tier["amount"] for tier in line["tiers"]]
        for tier in line["tiers"]:
            product = half_even(tier["quantity"] * tier["unit_price"], UNIT)
            if abs(product - tier["amount"]) > 1:  # a tier is rounded so that all together are the line
                result.fail(
                    "the amount of a tier is its quantity x its unit price",
                    account=account_id,
                    place=place,
                    expected=amount(product),
                    found=amount(tier["amount"]),
                )
        if pieces and abs(sum(pieces) - line["amount"]) > len(pieces):
            result.fail(
                "the tiers of a line add up to it",
                account=account_id,
                place=place,
                expected=amount(line["amount"]),
                found=amount(sum(pieces)),
            )
    _check_shown(content, invoice, result)


def _check_shown(content: Content, invoice: Found, result: Check) -> None:
    exponent = exponent_of(content["currency"])
    if exponent is None:
        result.fail(
            "an invoice's currency has minor units",
            account=content["account_id"],
            place=invoice.place,
            expected="an ISO 4217 currency",
            found=content["currency"],
        )
        return
    shown = content["shown"]
    minor = {name: to_minor(content[name], exponent) for name in ("opening", "received", "closing", "tax")}
    charged = minor["opening"] + minor["received"] - minor["closing"]
    lines = [to_minor(line["amount"], exponent) for line in content["lines"]]
    expected = {
        "opening_minor": minor["opening"],
        "received_minor": minor["received"],
        "closing_minor": minor["closing"],
        "charged_minor": charged,
        "tax_minor": minor["tax"],
        "rounding_minor": charged - sum(lines) - minor["tax"],
    }
    account_id = content["account_id"]
    rule = "shown amounts are rounded half-even, the rounding line takes what lacks"
    result.expect(shown, expected, rule, account=account_id, place=invoice.place)
    told = [line["amount_minor"] for line in content["lines"]]
    rule = "the lines' shown amounts are rounded half-even"
    result.expect(told, lines, rule, account=account_id, place=invoice.place)


def check_prices(evidence: Evidence, invoice: Found, result: Check) -> None:
    """A line tells the unit and model of the price that it names."""
    content, account_id = invoice.content, invoice.content["account_id"]
    for line in content["lines"]:
        key = (line["meter"], content["currency"], line["price_version"])
        price = evidence.lane_of(account_id).rates.by_version.get(key)
        expected = (price.unit, price.model) if price is not None else "a price that the lane took in"
        rule = f"unit and model of a line are those of its price, {key[0]} version {key[2]}"
        found = (line["unit"], line["model"])
        result.expect(found, expected, rule, account=account_id, place=invoice.place)


def check_dates(evidence: Evidence, invoice: Found, result: Check) -> None:
    """A period has its zone's borders; it is issued at the first tick acted on after its end and grace."""
    content, place, account_id = invoice.content, invoice.place, invoice.content["account_id"]
    account, lane = evidence.account(account_id), evidence.lane_of(account_id)
    if account is None:
        result.fail(
            "an invoice belongs to an account",
            account=account_id,
            place=place,
            expected="an account that the inputs opened",
            found="none",
        )
        return
    if not parts.are_known(evidence, account_id):
        return
    part = parts.of_invoice(account, content)
    start, end = parts.bounds(account, part)
    result.expect(
        (content["zone"], content["period_start"], content["period_end"]),
        (account.zones.of(part.period), start, end),
        "a period is a calendar month of the account's zone, or what a close has left of it",
        account=account_id,
        place=place,
        said=lambda terms: f"{content['period']} in {terms[0]}: {moment(terms[1])} to {moment(terms[2])}",
    )
    result.expect(
        content["currency"], account.currency, "an invoice's currency", account=account_id, place=place
    )
    due = account.zones.end(part.period) + evidence.grace_ms
    due = max(
        due, account.zones.known_at(part.period)
    )  # a zone set late may end a period that is over by then
    at = bisect_left(lane.acted, due)
    first = lane.acted[at] if at < len(lane.acted) else None
    by_hand, issued = parts.closed_by_hand(account, part), content["issued_at"]
    expected = by_hand if by_hand is not None and (first is None or by_hand < first) else first
    right = issued == expected
    if not right and evidence.topics.log(names.TICKS.name, lane.number).start > 0:
        right = first is not None and due <= issued <= first  # not all times are known
    if not right:
        result.fail(
            "issued at the close of the account, or the lane's first time after the period's end and grace",
            account=account_id,
            place=place,
            expected=moment(expected),
            found=moment(issued),
        )


def check_credit_notes(evidence: Evidence, account_id: str, result: Check) -> None:
    """Credit notes are numbered, add up, correct an invoice of their account, and are shown once."""
    notes = evidence.books.credit_notes.get(account_id, [])
    invoices = evidence.books.invoices.get(account_id, [])
    numbers = {i.content["number"]: i.content["period"] for i in invoices}
    shown = Counter(number for i in invoices for number in i.content["credit_notes"])
    issued = {i.content["period"] for i in invoices}
    _check_credited(invoices, notes, result)
    cut = any(evidence.topics.log("invoices", n.place.partition).start > 0 for n in notes[:1])
    sequence = notes[0].content["sequence"] - 1 if cut else 0
    for invoice in invoices:
        for line in invoice.content["lines"]:
            if line["amount"] < 0 or line["tax"] < 0:
                result.fail(
                    "what lowers what was invoiced is a credit note, and no line",
                    account=account_id,
                    place=invoice.place,
                    expected=f"a credit note for {line['month']} {line['meter']}",
                    found=f"a line of {amount(line['amount'])}, tax {amount(line['tax'])}",
                )
    for note in notes:
        result.looked_at("credit notes")
        sequence += 1
        content = note.content
        expected = {
            "sequence": sequence,
            "number": f"{account_id}-C{sequence:06d}",
            "amount": sum(line["amount"] for line in content["lines"]),
            "tax": sum(line["tax"] for line in content["lines"]),
            "corrects": content["period"],
            "shown": 1 if content["shown_in"] in issued else 0,
        }
        found = {
            **{name: content[name] for name in ("sequence", "number", "amount", "tax")},
            "corrects": numbers.get(content["invoice_number"]),
            "shown": shown[content["number"]],
        }
        rule = "a credit note adds up, names its invoice and is shown once"
        if not (cut and found["corrects"] is None):
            result.expect(found, expected, rule, account=account_id, place=note.place)
    for number in shown.keys() - {n.content["number"] for n in notes}:
        if not cut:
            result.fail(
                "a credit note that is shown exists",
                account=account_id,
                place=invoices[-1].place,
                expected=number,
                found="none",
            )


Carried = tuple[str, str, str, int, int | None]
"""(invoice number, month, meter, price version, tax rate)."""


def _check_credited(invoices: list[Found], notes: list[Found], result: Check) -> None:
    """No credit note takes more off an invoice than that carried, less what others took off it."""
    left: dict[Carried, list[int]] = defaultdict(lambda: [0, 0])
    for invoice in invoices:
        for line in invoice.content["lines"]:
            row = left[_carried(invoice.content["number"], line)]
            row[0] += line["amount"]
            row[1] += line["tax"]
    known = {invoice.content["number"] for invoice in invoices}
    for note in notes:
        for line in note.content["lines"]:
            result.looked_at("credited lines")
            row = left[_carried(note.content["invoice_number"], line)]
            row[0] -= line["amount"]
            row[1] -= line["tax"]
            if min(row) < 0 and note.content["invoice_number"] in known:
                result.fail(
                    f"a credit note takes off no more than is left of {line['month']} {line['meter']}",
                    account=note.content["account_id"],
                    place=note.place,
                    expected=f"{amount(row[0] + line['amount'])}, tax {amount(row[1] + line['tax'])} at most",
                    found=f"{amount(line['amount'])}, tax {amount(line['tax'])}",
                )


def _carried(number: str, line: Content) -> Carried:
    return (number, line["month"], line["meter"], line["price_version"], line["tax_rate"])

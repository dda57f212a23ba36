"""What an invoice or credit note must say by itself: numbers, sums, shown amounts, dates, what follows on."""

from bisect import bisect_left
from collections import Counter

from schemas.wire import Record as Content
from streams import topics as names
from verify import periods
from verify.accounts import Account, exponent_of
from verify.books import Found
from verify.evidence import Evidence
from verify.lane import Lane
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
    period = -1
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
        index = periods.index_of(content["period"])
        if index < period:
            result.fail(
                "invoices follow in the order of their periods",
                account=account_id,
                place=invoice.place,
                expected=f"after {periods.text_of(period)}",
                found=content["period"],
            )
        number, closing, period = content["sequence"], content["closing"], index


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
    index = periods.index_of(content["period"])
    zones = account.zones
    start, end = content["period_start"], content["period_end"]
    if content["zone"] not in zones.of(index) or not _borders_fit(account, lane, index, start, end):
        result.fail(
            "a period is a calendar month of the account's zone",
            account=account_id,
            place=place,
            expected=f"{content['period']} in {' or '.join(zones.of(index))}: "
            f"{_moments(zones.borders(index - 1))} to {_moments(zones.borders(index))}",
            found=f"{moment(start)} to {moment(end)} in {content['zone']}",
        )
    result.expect(
        content["currency"], account.currency, "an invoice's currency", account=account_id, place=place
    )
    closed = any(settings["closed"] for _, settings in account.history)
    at = bisect_left(lane.acted, end + evidence.grace_ms)
    first = lane.acted[at] if at < len(lane.acted) else None
    issued = content["issued_at"]
    right = issued == first or (closed and issued in _closed_at(account, lane))
    if not right and evidence.topics.log(names.TICKS.name, lane.number).start > 0:
        right = first is not None and end + evidence.grace_ms <= issued <= first  # not all times are known
    if not right:
        result.fail(
            "issued at the lane's first time after the period's end and grace",
            account=account_id,
            place=place,
            expected=moment(first),
            found=moment(issued),
        )


def _moments(moments: set[int]) -> str:
    return " or ".join(moment(m) for m in sorted(moments))


def _borders_fit(account: Account, lane: Lane, index: int, start: int, end: int) -> bool:
    closed_at = _closed_at(account, lane)
    starts, ends = account.zones.borders(index - 1), account.zones.borders(index)
    return (start in starts or start in closed_at) and (end in ends or end in closed_at)


def _closed_at(account: Account, lane: Lane) -> set[int]:
    """Return the lane's times at which the account was closed: its running period ends then.

    Closed before the lane's first tick, it ends at that.
    """
    return {time if time is not None else lane.acted[0] for time in account.closes if time or lane.acted}


def check_credit_notes(evidence: Evidence, account_id: str, result: Check) -> None:
    """Credit notes are numbered, add up, correct an invoice of their account, and are shown once."""
    notes = evidence.books.credit_notes.get(account_id, [])
    invoices = evidence.books.invoices.get(account_id, [])
    numbers = {i.content["number"]: i.content["period"] for i in invoices}
    shown = Counter(number for i in invoices for number in i.content["credit_notes"])
    issued = {i.content["period"] for i in invoices}
    cut = any(evidence.topics.log("invoices", n.place.partition).start > 0 for n in notes[:1])
    sequence = notes[0].content["sequence"] - 1 if cut else 0
    for invoice in invoices:
        for line in invoice.content["lines"]:
            if line["amount"] < 0 and line["month"] < invoice.content["period"] and line["month"] in issued:
                result.fail(
                    "what lowers the charges of an invoiced period is a credit note",
                    account=account_id,
                    place=invoice.place,
                    expected=f"a credit note for {line['month']}",
                    found=f"a line of {amount(line['amount'])} for {line['meter']}",
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

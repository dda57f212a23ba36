"""What must not depend on the order across topics, on batches or on workers, as one canonical text.

That is each charge with its tax and each reversal, each priced line of a document, and the totals of charges
and tax of each account's period. Balances, numbers of documents and the order of the ledger may differ: when
an automatic top-up fires is not part of the promise. docs/domain/same-again.md says it in words.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from hashlib import sha256

from schemas.wire import Record as Content
from verify import books, periods
from verify.books import Books
from verify.topics import Topics
from verify.wording import amount

PRICED = frozenset({"charge", "tax", "reversal", "reversal_tax"})


def text(topics: Topics) -> str:
    """Return the canonical text: one fact a line, its fields parted by tabs, the lines in rising order."""
    found = books.read(topics)
    facts = sorted([*_entries(found), *_documents(found)])
    return "".join(f"{line}\n" for line in facts)


def of(canonical: str) -> str:
    """Return the sha256 of a canonical text, in hexadecimal."""
    return sha256(canonical.encode()).hexdigest()


def _entries(found: Books) -> Iterator[str]:
    for entries in found.entries.values():
        for entry in entries:
            if entry.kind in PRICED:
                yield _line(
                    entry.kind,
                    entry.account_id,
                    entry.source,
                    entry.event_id,
                    periods.text_of(entry.month),
                    periods.text_of(entry.period),
                    entry.meter,
                    f"v{entry.price_version}",
                    amount(entry.tax_rate),
                    amount(entry.quantity),
                    amount(entry.amount),
                    entry.currency,
                )


def _documents(found: Books) -> Iterator[str]:
    totals: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for account_id, invoices in found.invoices.items():
        for invoice in invoices:
            content = invoice.content
            for line in content["lines"]:
                yield _line("line", account_id, content["period"], *_of_line(line))
            total = totals[account_id, content["period"]]
            total[0] += content["charges"]
            total[1] += content["tax"]
    for account_id, notes in found.credit_notes.items():
        for note in notes:
            content = note.content
            for line in content["lines"]:
                told = _of_line({**line, **_NOT_CREDITED})
                yield _line("credit", account_id, content["shown_in"], content["period"], *told)
    for (account_id, period), (charges, tax) in totals.items():
        if charges or tax:
            yield _line("total", account_id, period, amount(charges), amount(tax))


_NOT_CREDITED: Content = {"unit": None, "model": None, "amount_minor": None, "tiers": ()}


def _of_line(line: Content) -> Iterable[object]:
    yield from (line["month"], line["meter"], f"v{line['price_version']}")
    yield from (line["unit"], line["model"], amount(line["tax_rate"]))
    yield from (amount(line["quantity"]), amount(line["amount"]), line["amount_minor"], amount(line["tax"]))
    for tier in line["tiers"]:
        yield f"{amount(tier['quantity'])}x{amount(tier['unit_price'])}={amount(tier['amount'])}"


def _line(*fields: object) -> str:
    return "\t".join("" if field is None else str(field) for field in fields)

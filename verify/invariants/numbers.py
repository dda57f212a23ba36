"""Invariant 6: ledger numbers are 1..n without a gap, and each balance follows from the one before."""

from verify.evidence import Evidence
from verify.report import Check
from verify.wording import amount


def check(evidence: Evidence) -> Check:
    """Walk each account's entries in the order of their partition."""
    result = Check(6, "ledger numbers without gap, each balance follows")
    for kind in ("accounts", "ledger entries"):
        result.looked_at(kind, 0)
    for account_id, entries in evidence.books.entries.items():
        result.looked_at("accounts")
        result.looked_at("ledger entries", len(entries))
        number, balance, currency = 0, 0, entries[0].currency
        if account_id in evidence.cut:
            number = entries[0].number - 1
            balance = entries[0].balance_after - entries[0].amount
        for entry in entries:
            number += 1
            balance += entry.amount
            if entry.number == number and entry.balance_after == balance and entry.currency == currency:
                continue
            result.fail(
                "number, balance and currency follow from the entry before",
                account=account_id,
                place=entry.place,
                expected=f"number {number}, balance after {amount(balance)}, {currency}",
                found=f"number {entry.number}, balance after {amount(entry.balance_after)}, {entry.currency}",
            )
            number, balance = entry.number, entry.balance_after
    if evidence.cut:
        result.notes.append(
            f"{len(evidence.cut)} accounts start after 1: retention removed their first entries"
        )
    return result

"""Invariant 1: an account's balance is the sum of its ledger entries, and so are all balances together."""

from collections import Counter

from verify import wording
from verify.accounts import exponent_of
from verify.evidence import Evidence
from verify.pricing import minor_unit
from verify.report import Check

ADDS = frozenset({"payment", "credit", "dispute_won"})
TAKES = frozenset({"debit", "refund", "dispute", "return"})
EITHER = frozenset({"charge", "tax", "reversal", "reversal_tax", "write_off"})
"""A volume price may give money back, and a reversal of such a charge take some."""


def check(evidence: Evidence) -> Check:
    """Compare the sum of each account's entries, kind by kind with its sign, with the balance published."""
    result = Check(1, "balance = sum of the ledger, per account and over all", notes=evidence.cut_note())
    for kind in ("accounts", "ledger entries", "sums over all"):
        result.looked_at(kind, 0)
    balances = evidence.books.balances
    over_all: Counter[str] = Counter()
    published: Counter[str] = Counter()
    for account_id, entries in evidence.whole().items():
        result.looked_at("accounts")
        result.looked_at("ledger entries", len(entries))
        added = taken = either = 0
        for entry in entries:
            amount = entry.amount
            if entry.kind in ADDS:
                added += amount
                wrong = amount < 0
            elif entry.kind in TAKES:
                taken -= amount
                wrong = amount > 0
            else:
                either += amount
                wrong = entry.kind == "write_off" and not _below_minor_unit(amount, entry.currency)
            if wrong:
                result.fail(
                    f"the sign and size of a {entry.kind}",
                    account=account_id,
                    place=entry.place,
                    expected="positive" if entry.kind in ADDS else "negative, a write-off below a minor unit",
                    found=wording.amount(amount),
                )
        total = added - taken + either
        over_all[entries[0].currency] += total
        balance = balances.get(account_id)
        if balance is None:
            result.fail(
                "an account with entries has a balance",
                account=account_id,
                place=entries[-1].place,
                expected=wording.amount(total),
                found="none",
            )
            continue
        published[entries[0].currency] += balance.content["balance"]
        result.expect(
            balance.content["balance"],
            total,
            "balance = sum of the entries",
            account=account_id,
            place=balance.place,
            said=wording.amount,
        )
    for account_id, balance in balances.items():
        if account_id in evidence.books.entries:
            continue
        result.looked_at("accounts")
        published[balance.content["currency"]] += balance.content["balance"]
        rule = "an account without entries has a balance of 0"
        result.expect(
            balance.content["balance"], 0, rule, account=account_id, place=balance.place, said=wording.amount
        )
    for currency in sorted({*over_all, *published}):
        result.looked_at("sums over all")
        rule = f"sum of all balances = sum of all entries ({currency})"
        result.expect(
            published[currency], over_all[currency], rule, account=None, place=None, said=wording.amount
        )
    return result


def _below_minor_unit(amount: int, currency: str) -> bool:
    return abs(amount) < minor_unit(exponent_of(currency) or 0)

"""Part of invariant 8: each applied adjustment has one ledger entry, each such entry its adjustment."""

from streams import topics as names
from verify.books import Entry
from verify.evidence import Evidence
from verify.invariants.payments import check_entry
from verify.lane import Lane
from verify.report import Check
from verify.wording import amount

KINDS = frozenset({"credit", "debit", "reversal"})


def check(evidence: Evidence, lane: Lane, result: Check) -> None:
    """Join the adjustments that the replay applied in one lane with the ledger, both ways."""
    entries: dict[tuple[str, str | None], Entry] = {}
    for account_id, booked in evidence.books.entries.items():
        if booked[0].partition != lane.number:
            continue
        for entry in booked:
            if entry.kind not in KINDS:
                continue
            first = entries.setdefault((account_id, entry.adjustment_id), entry)
            if first is not entry:
                result.fail(
                    "an adjustment is booked once",
                    account=account_id,
                    place=entry.place,
                    expected=f"only {first.place}",
                    found=f"again, {entry.adjustment_id}",
                )
    for money in lane.money:
        if money.kind not in KINDS:
            continue
        result.looked_at("applied adjustments")
        found = entries.pop((money.account_id, money.content["adjustment_id"]), None)
        if found is not None and found.kind == money.kind:
            check_entry(money, found, result)
        elif money.account_id not in evidence.cut:
            result.fail(
                "an applied adjustment has its entry",
                account=money.account_id,
                place=money.place,
                expected=f"a {money.kind} of {amount(money.amount)}",
                found=f"a {found.kind}" if found else "none",
            )
    if evidence.topics.log(names.ADJUSTMENTS.name, lane.number).start > 0:
        return
    for (account_id, adjustment_id), entry in entries.items():
        result.fail(
            f"a {entry.kind} has its adjustment",
            account=account_id,
            place=entry.place,
            expected="an adjustment that was applied",
            found=f"none named {adjustment_id}",
        )

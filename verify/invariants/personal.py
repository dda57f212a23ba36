"""Part of invariant 9: who a customer is stands on the account's own documents, and nowhere else.

A document carries the profile that was in force when it was issued; after the erasure there is none.
"""

from schemas.wire import Record as Content
from schemas.wire import WireError
from streams import topics as names
from verify.books import Found
from verify.evidence import Evidence
from verify.report import Check

Party = tuple[str, tuple[str, ...], str, str | None]


def check(evidence: Evidence, result: Check) -> None:
    """Check documents, mails and dead letters for personal data that is not theirs to hold."""
    for kind in ("customers on documents", "documents after an erasure", "dead letters of profiles"):
        result.looked_at(kind, 0)
    owners, details = _owners(evidence)
    books = evidence.books
    for grouped in (books.invoices, books.credit_notes):
        for group in grouped.values():
            for found in group:
                _check_customer(evidence, owners, found, result)
    for group in books.notifications.values():
        for found in group:
            told = sorted(name for name, text in found.content["details"].items() if text in details)
            if told:
                result.fail(
                    "a notification holds no personal data",
                    account=found.content["account_id"],
                    place=found.place,
                    expected="none",
                    found=", ".join(told),
                )
    for origin, letters in books.dead.items():
        if origin.topic == names.PROFILES.name:
            for found in letters:
                result.looked_at("dead letters of profiles")
                if found.content["value"] is not None or found.content["headers"]:
                    result.fail(
                        "the dead letter of a profile keeps no content: it may be personal data",
                        account=found.content["account_id"],
                        place=found.place,
                        expected="neither value nor headers",
                        found="both or one of them",
                    )


def _check_customer(evidence: Evidence, owners: dict[Party, set[str]], found: Found, result: Check) -> None:
    """The customer on a document is its account, as it was when the document was issued."""
    account_id, issued_at = found.content["account_id"], found.content["issued_at"]
    customer = None if found.content["customer"] is None else _party(found.content["customer"])
    result.looked_at("customers on documents", customer is not None)
    known = owners.get(customer, {account_id}) if customer is not None else {account_id}
    if account_id not in known:
        result.fail(
            "the customer on a document is its account's",
            account=account_id,
            place=found.place,
            expected=f"a profile of {account_id}",
            found=f"the profile of {', '.join(sorted(known))}",
        )
        return
    lane = evidence.lane_of(account_id)
    if lane.profiles_removed:
        return
    history = lane.profiles.get(account_id, [])
    before = [profile for at, profile in history if at is None or at < issued_at]
    in_force = [*(before[-1:] or [None]), *(profile for at, profile in history if at == issued_at)]
    erased = bool(before) and before[-1] is None
    result.looked_at("documents after an erasure", erased)
    if customer not in [None if profile is None else _party(profile) for profile in in_force]:
        result.fail(
            "the customer on a document is the profile in force when it was issued",
            account=account_id,
            place=found.place,
            expected="none: it was erased" if erased else f"one of {len(in_force)} profiles",
            found="none" if customer is None else "another one",
        )


def _owners(evidence: Evidence) -> tuple[dict[Party, set[str]], set[str]]:
    """Return whose each customer is, and every name, address and e-mail that can be read in a profile."""
    owners: dict[Party, set[str]] = {}
    details: set[str] = set()
    for log in evidence.topics.logs[names.PROFILES.name]:
        for record in log.records:
            try:
                _, profile = evidence.topics.schemas.decode(record.value or b"", "account-profile")
            except WireError:  # erased, or a dead letter
                continue
            owners.setdefault(_party(profile), set()).add(profile["account_id"])
            details |= {profile["name"], profile["email"]}
    return owners, details


def _party(of: Content) -> Party:
    return (of["name"], tuple(of["address"]), of["country"], of["tax_id"])

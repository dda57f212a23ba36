"""Invariant 9: nothing of one account appears in another's record, as far as keys and ids tell."""

from collections.abc import Iterator

from verify.books import Books, Found
from verify.evidence import Evidence
from verify.invariants import personal
from verify.report import Check


def check(evidence: Evidence) -> Check:
    """Every output can be read, stands under its own key and partition, and its ids name its own account."""
    books = evidence.books
    result = Check(9, "every output stands under its own account's key, and its ids name that account")
    result.looked_at("output records", books.records)
    result.looked_at("ids", 0)
    for misplaced in books.misplaced:
        result.fail(
            misplaced.rule,
            account=misplaced.account,
            place=misplaced.place,
            expected=misplaced.expected,
            found=misplaced.found,
        )
    for found, name, start in _ids(books):
        result.looked_at("ids")
        if not found.content[name].startswith(start):
            result.fail(
                f"a {name} names its account",
                account=found.content["account_id"],
                place=found.place,
                expected=f"{start}...",
                found=found.content[name],
            )
    _check_details(books, result)
    _check_dead_letters(books, result)
    personal.check(evidence, result)
    result.notes.append("pages and mails are not looked at")
    return result


def _ids(books: Books) -> Iterator[tuple[Found, str, str]]:
    """Yield every output that has an id, the id's name, and how it must start."""
    for grouped, name, mark in (
        (books.commands, "command_id", ":"),
        (books.notifications, "notification_id", ":"),
        (books.invoices, "number", "-"),
        (books.credit_notes, "number", "-"),
    ):
        for account_id, group in grouped.items():
            for found in group:
                yield found, name, account_id + mark


def _check_details(books: Books, result: Check) -> None:
    """A notification names no document of another account."""
    owner = {
        found.content["number"]: account_id
        for grouped in (books.invoices, books.credit_notes)
        for account_id, group in grouped.items()
        for found in group
    }
    for account_id, group in books.notifications.items():
        for found in group:
            for name, text in found.content["details"].items():
                if owner.get(text, account_id) != account_id:
                    result.fail(
                        f"a notification's {name} is of its account",
                        account=account_id,
                        place=found.place,
                        expected=f"a document of {account_id}",
                        found=text,
                    )


def _check_dead_letters(books: Books, result: Check) -> None:
    """A dead letter names the account of its original's key or content, or none."""
    for group in books.dead.values():
        for found in group:
            named, key, value = (found.content[name] for name in ("account_id", "key", "value"))
            if named is None or named.encode() == key or named.encode() in (value or b""):
                continue
            result.fail(
                "a dead letter names the account of its original",
                account=named,
                place=found.place,
                expected=f"the key {key!r}",
                found=named,
            )

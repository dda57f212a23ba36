"""What a run came to, as far as domain.md says that it must not depend on the interleaving, for comparison.

Left out, because they may differ: an entry's number, the balance after it, the lane time it was booked at,
the order of an invoice's movements, the status between the warning level and 110 % of it, notifications.
"""

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from streams import topics as names
from verify.topics import Topics

DEPENDS = {"number", "balance_after", "booked_at"}
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """Multisets and mappings: equal means equal."""

    entries: Counter[Hashable]
    documents: Mapping[Hashable, Hashable]
    balances: Mapping[Hashable, Hashable]
    dead_letters: Counter[Hashable]


def outcome(topics: Topics) -> Outcome:
    """Return what a deployment's topics hold."""
    entries = (
        tuple(value for name, value in entry.items() if name not in DEPENDS)
        for entry in _records(topics, names.LEDGER.name, "ledger-entry")
    )
    return Outcome(
        entries=Counter(entries),
        documents={
            (document["account_id"], document["number"]): _frozen(_in_order(document))
            for document in _records(topics, names.INVOICES.name, "invoice", "credit-note")
        },
        balances={
            balance["account_id"]: (
                balance["currency"],
                balance["balance"],
                balance["entries"],
                _frozen(balance["open_periods"]),
            )
            for balance in _records(topics, names.BALANCES.name, "account-balance")
        },
        dead_letters=Counter(
            (letter["topic"], letter["partition"], letter["offset"], letter["reason"])
            for letter in _records(topics, names.DEAD_LETTERS.name, "dead-letter")
        ),
    )


def differences(undisturbed: Outcome, disturbed: Outcome) -> list[str]:
    """Return a line for each part that differs, with the first cases; nothing where they are equal."""
    found = []
    for part in (field.name for field in fields(Outcome)):
        before, after = (_items(getattr(run, part)) for run in (undisturbed, disturbed))
        missing, extra = list((before - after).elements()), list((after - before).elements())
        if missing or extra:
            found.append(
                f"{part}: {len(missing)} missing, {len(extra)} that should not be; "
                f"missing {missing[:SHOWN]!s:.600}; extra {extra[:SHOWN]!s:.600}"
            )
    return found


def dead_values(topics: Topics) -> Counter[bytes]:
    """Return the original values of all dead letters."""
    letters = _records(topics, names.DEAD_LETTERS.name, "dead-letter")
    return Counter(letter["value"] or b"" for letter in letters)


def reasons(topics: Topics) -> Counter[str]:
    """Return how many dead letters have which reason."""
    return Counter(letter["reason"] for letter in _records(topics, names.DEAD_LETTERS.name, "dead-letter"))


def _items(part: Mapping[Hashable, Hashable]) -> Counter[Hashable]:
    return part if isinstance(part, Counter) else Counter(part.items())


def _records(topics: Topics, topic: str, *types: str) -> Any:
    for log in topics.logs[topic]:
        for record in log.records:
            assert record.value is not None
            yield topics.schemas.decode(record.value, *types)[1]


def _in_order(document: dict[str, Any]) -> dict[str, Any]:
    if "movements" not in document:
        return document
    return {**document, "movements": sorted(document["movements"], key=repr)}


def _frozen(value: Any) -> Hashable:
    if isinstance(value, dict):
        return tuple((name, _frozen(part)) for name, part in value.items())
    if isinstance(value, list):
        return tuple(_frozen(part) for part in value)
    hash(value)
    return value  # type: ignore[no-any-return]

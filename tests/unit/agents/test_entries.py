"""A ledger entry's bytes are those that the codec writes of the same record, whatever is in it."""

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import wire
from streams.agents.entries import TEXTS_KEPT, EntryWriter
from streams.domain.outputs import EntryKind, LedgerEntry
from streams.domain.periods import label

CODEC = wire.fixed().codec("ledger-entry")
NAMES = [field.name for field in fields(LedgerEntry)]

amounts = st.integers(-(10**38) + 1, 10**38 - 1) | st.integers(-(2**63), 2**63)
numbers = st.integers(-(2**63), 2**63 - 1)
months = st.integers(0, 12 * 9999 - 1)
texts = st.text(max_size=20)


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


entries = st.builds(
    LedgerEntry,
    *(texts, numbers, st.sampled_from(EntryKind), amounts, amounts, texts, months, months, numbers),
    maybe(numbers),
    *(maybe(texts), maybe(texts), maybe(texts), maybe(amounts), maybe(numbers), maybe(amounts)),
    *(maybe(texts), maybe(texts), maybe(texts), maybe(texts), maybe(texts)),
)


def record(e: LedgerEntry) -> dict[str, Any]:
    """Return an entry as the record that its readers get."""
    named = {name: getattr(e, name) for name in NAMES}
    return named | {"kind": e.kind.value, "period": label(e.period), "month": label(e.month)}


@given(st.lists(entries, min_size=1, max_size=3))
def test_the_bytes_are_the_codecs(several: list[LedgerEntry]) -> None:
    writer = EntryWriter(CODEC)

    for entry in several + several:
        data = writer.encode(entry, entry.account_id.encode())

        assert data == CODEC.encode(record(entry))
        assert CODEC.decode(data) == record(entry)


def test_every_value_goes_out_under_its_own_name_and_months_in_words() -> None:
    """They go out by place, so each is another one here."""
    months = {"period": 24300, "month": 24299}
    texts = {"account_id", "currency", "source", "event_id", "meter", "payment_id", "reference"}
    texts |= {"command_id", "adjustment_id", "reason"}
    values: dict[str, Any] = {name: name if name in texts else number for number, name in enumerate(NAMES)}
    entry = LedgerEntry(**(values | months | {"kind": EntryKind.REFUND}))

    written = CODEC.decode(EntryWriter(CODEC).encode(entry, b"account_id"))

    assert written == values | {"period": "2025-01", "month": "2024-12", "kind": "refund"}


def test_an_entry_has_a_field_for_each_of_the_schema() -> None:
    assert [field["name"] for field in wire.definition("ledger-entry")["fields"]] == NAMES


def test_every_kind_has_its_own_number() -> None:
    (kind,) = [f["type"] for f in wire.definition("ledger-entry")["fields"] if f["name"] == "kind"]

    assert [k.value for k in EntryKind] == kind["symbols"]


def test_more_sources_than_are_kept_are_written_as_they_are() -> None:
    writer = EntryWriter(CODEC)

    for number in range(TEXTS_KEPT + 2):
        entry = said(source=f"source-{number}")

        assert CODEC.decode(writer.encode(entry, b"acme"))["source"] == f"source-{number}"


@pytest.mark.parametrize("field", ["amount", "balance_after", "quantity", "tax_rate"])
def test_an_amount_of_more_than_38_digits_is_refused(field: str) -> None:
    with pytest.raises(OverflowError):
        EntryWriter(CODEC).encode(said(**{field: 10**38}), b"acme")


def said(**values: Any) -> LedgerEntry:
    usual = {"number": 1, "kind": EntryKind.CHARGE, "amount": 1, "balance_after": 1, "currency": "EUR"}
    usual |= {"period": 24300, "month": 24300, "occurred_at": 1, "booked_at": None}
    return LedgerEntry(**({"account_id": "acme"} | usual | values))

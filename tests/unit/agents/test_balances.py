"""A balance's bytes are those that the codec writes of the same record, whatever is in it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import wire
from streams.agents.balances import BalanceWriter
from streams.domain.account import NO_TIME, Account, MonthRow, Pending, Period, RowKey
from streams.domain.outputs import Status
from streams.domain.periods import label

CODEC = wire.fixed().codec("account-balance")

amounts = st.integers(-(10**38) + 1, 10**38 - 1) | st.integers(-(2**63), 2**63)
numbers = st.integers(-(2**63), 2**63 - 1)
months = st.integers(0, 12 * 9999 - 1)
texts = st.text(max_size=20)
keys = st.tuples(months, texts, numbers, st.none() | amounts)


@st.composite
def rows(draw: st.DrawFn) -> MonthRow:
    row = MonthRow(draw(st.integers(0, 65_000)))
    row.quantity, row.amount, row.tax = draw(amounts), draw(amounts), draw(amounts)
    row.charges = draw(st.integers(0, 3))
    return row


totals = st.integers(-(10**36), 10**36)


@st.composite
def periods(draw: st.DrawFn) -> Period:
    period = Period(draw(months))
    period.received, period.charges, period.tax = draw(totals), draw(totals), draw(totals)
    return period


@st.composite
def accounts(draw: st.DrawFn) -> Account:
    account = Account(0, draw(texts), draw(texts), None, draw(st.booleans()), (), 0)
    account.balance, account.opening = draw(amounts), draw(totals)
    account.entries, account.revision = draw(numbers), draw(numbers)
    account.status, account.closed = draw(st.sampled_from(Status)), draw(st.booleans())
    account.minor = 10**24  # a refund has to fit a long, whatever the balance
    account.top_up.decision = draw(texts)
    if draw(st.booleans()):
        account.top_up.pending = Pending("c", 1, 1, draw(numbers), "USD", "m", None, 0, 0, 0)
    found = draw(st.lists(periods(), max_size=3, unique_by=lambda period: period.month))
    account.periods = tuple(sorted(found, key=lambda period: period.month))
    account.rows = draw(st.dictionaries(keys, rows(), max_size=5))
    account.as_of = draw(st.just(NO_TIME) | numbers)
    return account


def record(a: Account) -> dict[str, Any]:
    """Return an account's balance as the record that its readers get."""
    pending = a.top_up.pending
    opening, open_periods = a.opening, []
    for p in a.periods:
        open_periods.append(
            {
                "period": label(p.month),
                "opening": opening,
                "received": p.received,
                "charged": p.charges + p.tax,
                "charges": p.charges,
                "tax": p.tax,
            }
        )
        opening += p.received - p.charges - p.tax
    return {
        "account_id": a.account_id,
        "currency": a.currency,
        "balance": a.balance,
        "status": a.status.value,
        "entries": a.entries,
        "open_periods": open_periods,
        "top_up": a.top_up.decision,
        "pending_minor": None if pending is None else pending.amount_minor,
        "as_of": None if a.as_of == NO_TIME else a.as_of,
        "revision": a.revision,
        "by_default": a.by_default,
        "refundable_minor": a.refundable_minor,
        "usage": [usage(key, row) for key, row in a.rows.items() if row.charges],
    }


def usage(key: RowKey, row: MonthRow) -> dict[str, Any]:
    month, meter, version, rate = key
    return {
        "month": label(month),
        "meter": meter,
        "price_version": version,
        "tax_rate": rate,
        "number": row.number,
        "quantity": row.quantity,
        "amount": row.amount,
        "tax": row.tax,
        "charges": row.charges,
    }


@given(accounts())
def test_the_bytes_are_the_codecs(account: Account) -> None:
    writer = BalanceWriter(CODEC)

    first, again = (
        writer.encode(account, account.account_id.encode()),
        writer.encode(account, account.account_id.encode()),
    )

    assert first == again == CODEC.encode(record(account))
    assert CODEC.decode(first) == record(account)


def test_every_status_has_its_own_number() -> None:
    (status,) = [f["type"] for f in wire.definition("account-balance")["fields"] if f["name"] == "status"]

    assert [s.value for s in Status] == status["symbols"]


def plain(amount: int, rows: dict[RowKey, MonthRow]) -> Account:
    account = Account(0, "acme", "USD", None, by_default=False, zones=(), first_open=0)
    account.balance, account.rows = amount, rows
    return account


def usual(count: int) -> dict[RowKey, MonthRow]:
    """Return rows that were charged once each."""
    rows: dict[RowKey, MonthRow] = {(24300, f"m{n}", 1, None): MonthRow(n) for n in range(count)}
    for row in rows.values():
        row.charges = 1
    return rows


changes = st.tuples(
    st.integers(0, 4), st.sampled_from([0, 1, 200, 10**9, -(10**20)]), st.sampled_from([1, 2, 3, 0])
)
batches_of_changes = st.lists(st.lists(changes, min_size=1, max_size=2), max_size=12)


@given(batches_of_changes, st.integers(0, 4))
def test_rows_that_change_leave_the_bytes_the_codecs(batches: list[list[Any]], opened_with: int) -> None:
    account, writer = plain(0, usual(opened_with)), BalanceWriter(CODEC)
    writer.encode(account, b"acme")
    for batch in batches:
        for number, quantity, charges in batch:
            row = account.rows.setdefault((24300, f"m{number}", 1, None), MonthRow(number))
            row.quantity, row.charges = quantity, charges
            account.row_changed(row)
        account.balance += 10**9  # what stands before the rows has another length now and then

        assert writer.encode(account, b"acme") == CODEC.encode(record(account))


@pytest.mark.parametrize("count", [62, 63, 64, 65])
def test_a_row_is_added_however_many_there_are(count: int) -> None:
    account, writer = plain(0, usual(count)), BalanceWriter(CODEC)
    writer.encode(account, b"acme")

    added = account.rows[24300, "new", 1, None] = MonthRow(count)
    added.charges = 1
    account.row_changed(added)

    assert writer.encode(account, b"acme") == CODEC.encode(record(account))


def test_rows_that_did_not_change_are_not_encoded_again() -> None:
    account, writer = plain(0, usual(5)), BalanceWriter(CODEC)
    writer.encode(account, b"acme")
    held = list(account.rows.values())
    for row in held:
        row.quantity = 5

    for number, expected in ((3, [0, 0, 0, 5, 0]), (1, [0, 5, 0, 5, 0])):
        account.row_changed(held[number])

        written = CODEC.decode(writer.encode(account, b"acme"))["usage"]
        assert [row["quantity"] for row in written] == expected


def test_what_more_than_a_charge_changes_is_written_anew_where_it_says_so() -> None:
    account = plain(0, {})
    writer = BalanceWriter(CODEC)
    writer.encode(account, b"acme")

    account.status, account.said = Status.LOW, None

    assert CODEC.decode(writer.encode(account, b"acme"))["status"] == "low"


def test_accounts_that_are_alike_share_what_they_say() -> None:
    writer = BalanceWriter(CODEC)
    one, two, other = (plain(n, {}) for n in range(3))
    other.revision = 7

    for account in (one, two, other):
        writer.encode(account, b"acme")

    assert one.said is two.said is not other.said


@pytest.mark.parametrize("amount", [10**38, -(10**38)])
def test_an_amount_of_more_than_38_digits_is_refused(amount: int) -> None:
    with pytest.raises(OverflowError, match="38 digits"):
        BalanceWriter(CODEC).encode(plain(amount, {}), b"acme")

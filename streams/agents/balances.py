"""An account's balance to the bytes of schemas/account-balance.avsc, and what a charge changed back from it.

The balance is written after each batch that touched the account, the rest of its state only where more than
a charge changed it: so what charges change is read from here (decision 0016).
"""

from collections.abc import Sequence
from sys import intern
from typing import Any, Final, final

from librt.strings import BytesWriter
from mypy_extensions import mypyc_attr

from schemas.binary import (
    put_decimal,
    put_number,
    put_optional_decimal,
    put_optional_number,
    put_text,
    text_bytes,
)
from schemas.wire import Codec
from streams.agents.months import month_bytes
from streams.domain.account import NO_TIME, Account, MonthRow, RowKey, shared
from streams.domain.outputs import Status
from streams.domain.periods import month_named
from streams.domain.reasons import InvariantBroken

SAID_KEPT: Final = 10_000
"""Most of what is shared between accounts; pending amounts may all differ."""
MOST_COUNTED: Final = 126
"""A count below it, in zigzag form, is one byte, and so is the next one."""
_BALANCE: Final = 2
_ENTRIES: Final = 4
_PERIODS: Final = 5
_USAGE: Final = 12


@mypyc_attr(acyclic=True)
@final
class Said:
    """Runs of a balance's bytes that a charge leaves as they are: one object for all accounts alike."""

    def __init__(  # noqa: PLR0917 - in the order of the schema
        self,
        currency: str,
        status: int,
        decision: str,
        pending_minor: int | None,
        revision: int,
        by_default: bool,
    ) -> None:
        self.currency = text_bytes(currency)
        self.status = status
        top_up = BytesWriter()
        put_text(decision, top_up)
        put_optional_number(pending_minor, top_up)
        self.top_up = top_up.getvalue()
        settings = BytesWriter()
        put_number(revision, settings)
        settings.append(1 if by_default else 0)
        self.settings = settings.getvalue()


@final
class BalanceWriter:
    """From accounts to wire bytes of their balances' schema.

    Written out field by field, since over many accounts each event makes one: a third of what the codec
    takes. The bytes are the codec's, which the tests hold them to.
    """

    def __init__(self, codec: Codec) -> None:
        """`codec`: the one in use for account-balance."""
        self._header = codec.header
        self._statuses = {status: number for number, status in enumerate(Status)}
        self._said: dict[Any, Said] = {}
        self._keys: dict[RowKey, bytes] = {}

    def encode(self, account: Account, key: bytes) -> bytes:
        """Return its balance's bytes; raises OverflowError on an amount of more than 38 digits.

        `key`: its account id in UTF-8.
        """
        said: Said | None = account.said
        if said is None:
            said = account.said = self._said_of(account)
        out = BytesWriter()
        out.write(self._header)
        put_number(len(key), out)
        out.write(key)
        out.write(said.currency)
        put_decimal(account.balance, out)
        put_number(said.status, out)
        put_number(account.entries, out)
        _put_periods(account, out)
        out.write(said.top_up)
        put_optional_number(None if account.as_of == NO_TIME else account.as_of, out)
        out.write(said.settings)
        put_optional_number(account.refundable_minor, out)
        rows_at = len(out)
        self._put_rows(account, out)
        account.rows_at, account.changed = rows_at, None
        account.last = written = out.getvalue()
        return written

    def _said_of(self, account: Account) -> Said:
        pending = account.top_up.pending
        what = (
            account.currency,
            self._statuses[account.status],
            account.top_up.decision,
            None if pending is None else pending.amount_minor,
            account.revision,
            account.by_default,
        )
        said = self._said.get(what)
        if said is None:
            if len(self._said) >= SAID_KEPT:
                self._said.clear()
            said = self._said[what] = Said(*what)
        return said

    def _put_rows(self, account: Account, out: BytesWriter) -> None:
        """Append the rows that no invoice carries all of: as they were, but for the one that changed."""
        last, changed = account.last, account.changed
        if last is None:
            self._put_all(account.rows, out)
        elif changed is None:
            out.write(last[account.rows_at :])
        elif not changed.charges:  # an invoice carries it
            self._put_all(account.rows, out)
        elif changed.size:
            self._put_changed(account, changed, last, out)
        else:
            self._put_new(account, changed, last, out)

    def _put_all(self, rows: dict[RowKey, MonthRow], out: BytesWriter) -> None:
        """Append all rows anew."""
        begin = len(out)
        count = 0
        for row in rows.values():
            row.size = 0
            if row.charges:
                count += 1
        if count:
            put_number(count, out)
            for key, row in rows.items():
                if row.charges:
                    self._put_row(key, row, begin, out)
        out.append(0)

    def _put_changed(self, account: Account, row: MonthRow, last: bytes, out: BytesWriter) -> None:
        """Append all rows, one of them anew: the others are not looked at, each lies somewhere else."""
        begin = len(out)
        before = row.size
        start = account.rows_at + row.start
        out.write(last[account.rows_at : start])
        self._put_row(None, row, begin, out)
        out.write(last[start + before :])
        if row.size != before:
            for other in account.rows.values():
                if other.start > row.start:
                    other.start += row.size - before

    def _put_new(self, account: Account, row: MonthRow, last: bytes, out: BytesWriter) -> None:
        """Append all rows and one more after them, where that is its place."""
        key, newest = next(reversed(account.rows.items()))
        count = last[account.rows_at]  # in zigzag form
        if newest is not row or not 0 < count < MOST_COUNTED:
            self._put_all(account.rows, out)
            return
        begin = len(out)
        out.append(count + 2)
        out.write(last[account.rows_at + 1 : -1])
        self._put_row(key, row, begin, out)
        out.append(0)

    def _put_row(self, key: RowKey | None, row: MonthRow, begin: int, out: BytesWriter) -> None:
        """Append a row, and note where; `key`: None of one that was written before."""
        start = len(out)
        named = row.named
        if named is None:
            assert key is not None, "a row that was written has its name"
            named = self._keys.get(key)
            if named is None:
                named = self._keys[key] = _named(key)
            row.named = named
        out.write(named)
        put_number(row.number, out)
        put_decimal(row.quantity, out)
        put_decimal(row.amount, out)
        put_decimal(row.tax, out)
        put_number(row.charges, out)
        row.start, row.size = start - begin, len(out) - start


def _put_periods(account: Account, out: BytesWriter) -> None:
    """Append the open periods in order of time; each opens with what the one before closes with."""
    periods, opening = account.periods, account.opening
    if periods:
        put_number(len(periods), out)
        for period in periods:
            out.write(month_bytes(period.month))
            put_decimal(opening, out)
            put_decimal(period.received, out)
            put_decimal(period.charges + period.tax, out)
            put_decimal(period.charges, out)
            put_decimal(period.tax, out)
            opening = period.closing(opening)
    out.append(0)


def _named(key: RowKey) -> bytes:
    month, meter, version, rate = key
    out = BytesWriter()
    out.write(month_bytes(month))
    put_text(meter, out)
    put_number(version, out)
    put_optional_decimal(rate, out)
    return out.getvalue()


def catch_up(a: Account, values: Sequence[Any]) -> None:
    """Bring an account to its balance's values: what charges changed since its state was written.

    Raises InvariantBroken where the balance is older than the state, or knows what the state must.
    """
    entries: int = values[_ENTRIES]
    if entries == a.entries:
        return
    if entries < a.entries:
        raise InvariantBroken(
            f"account {a.account_id}: its balance ends with entry {entries}, its state with {a.entries}"
        )
    a.entries = entries
    a.balance = values[_BALANCE]
    for told in values[_PERIODS]:
        period = a.period(month_named(told[0]))
        if period is None:
            raise InvariantBroken(f"account {a.account_id}: its state lacks the period {told[0]}")
        period.received, period.charges, period.tax = told[2], told[4], told[5]
    for told in values[_USAGE]:
        key = shared((month_named(told[0]), intern(told[1]), told[2], told[3]))
        row = a.rows.get(key)
        if row is None:
            row = a.rows[key] = MonthRow(told[4])
            a.rows_made += 1
        row.quantity, row.amount, row.tax, row.charges = told[5], told[6], told[7], told[8]

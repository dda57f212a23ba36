"""The outputs of the lanes, decoded once for all checks: ledger, balances, documents, commands, journal.

Owns decoding only; what does not decode, or is not its own account's, is kept as broken.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from sys import intern
from typing import NamedTuple

from schemas import wire
from schemas.wire import Record as Content
from streams import topics as names
from verify import periods
from verify.partitions import partition_of
from verify.report import Place
from verify.topics import ACCOUNTS_CHANGELOG, Record, Topics

STATE_SCHEMA = "state-account"
TAKEN_BACK = frozenset({"reversal", "reversal_tax"})
MOVEMENTS = frozenset(
    {"payment", "credit", "debit", "refund", "dispute", "dispute_won", "return", "write_off"}
)


@dataclass(slots=True)
class Entry:
    """One ledger entry; `month` and `period` are indices."""

    partition: int
    offset: int
    account_id: str
    number: int
    kind: str
    amount: int
    balance_after: int
    currency: str
    period: int
    month: int
    occurred_at: int
    booked_at: int | None
    source: str | None
    event_id: str | None
    meter: str | None
    quantity: int | None
    price_version: int | None
    tax_rate: int | None
    payment_id: str | None
    reference: str | None
    command_id: str | None
    adjustment_id: str | None
    reason: str | None

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(names.LEDGER.name, self.partition, self.offset)

    @property
    def priced_as(self) -> tuple[int, str | None, int | None, int | None]:
        """(month, meter, price version, tax rate): what its quantity is counted under."""
        return (self.month, self.meter, self.price_version, self.tax_rate)


class Found(NamedTuple):
    """One output record and where it stands."""

    place: Place
    content: Content
    raw: Record


@dataclass(slots=True)
class Misplaced:
    """An output that cannot be read, or that stands under another account's key or partition."""

    place: Place
    account: str | None
    rule: str
    expected: str
    found: str


Grouped = dict[str, list[Found]]


@dataclass(slots=True)
class Books:
    """All outputs, by account in the order of their partition."""

    entries: dict[str, list[Entry]] = field(default_factory=dict)
    balances: dict[str, Found] = field(default_factory=dict)
    statuses: dict[str, Found] = field(default_factory=dict)
    decisions: dict[str, Found] = field(default_factory=dict)
    states: dict[str, Found] = field(default_factory=dict)
    """What a restarted lane would know of each account: the last value in the lanes' changelog, and over it
    what charges have changed since, which is in the balance."""
    invoices: Grouped = field(default_factory=dict)
    credit_notes: Grouped = field(default_factory=dict)
    commands: Grouped = field(default_factory=dict)
    notifications: Grouped = field(default_factory=dict)
    dead: dict[Place, list[Found]] = field(default_factory=dict)
    """Dead letters by where their original stood."""
    journal: list[list[Found]] = field(default_factory=list)
    """By lane."""
    misplaced: list[Misplaced] = field(default_factory=list)
    records: int = 0
    """Output records that were read."""


def read(topics: Topics) -> Books:
    """Return the outputs of all topics."""
    books = Books()
    _read_ledger(topics, books)
    for name, kept in (
        (names.BALANCES.name, books.balances),
        (names.STATUS.name, books.statuses),
        (names.DECISIONS.name, books.decisions),
    ):
        for found in _owned(topics, name, books):
            kept[found.content["account_id"]] = found
    for found in _owned(topics, names.INVOICES.name, books):
        if not _tells_months(found, books):
            continue
        group = books.invoices if "period_start" in found.content else books.credit_notes
        group.setdefault(found.content["account_id"], []).append(found)
    for name, grouped in (
        (names.COMMANDS.name, books.commands),
        (names.NOTIFICATIONS.name, books.notifications),
    ):
        for found in _owned(topics, name, books):
            grouped.setdefault(found.content["account_id"], []).append(found)
    for found in _decoded(topics, names.DEAD_LETTERS.name, names.DEAD_LETTERS.records, books):
        letter = found.content
        origin = Place(letter["topic"], letter["partition"], letter["offset"])
        books.dead.setdefault(origin, []).append(found)
    books.journal = [[] for _ in range(topics.lanes)]
    for found in _decoded(topics, names.JOURNAL.name, names.JOURNAL.records, books):
        books.journal[found.place.partition].append(found)
    _read_states(topics, books)
    for account_id, state in books.states.items():
        if account_id in books.balances:
            _bring_up(state, books.balances[account_id], books)
    return books


def _tells_months(found: Found, books: Books) -> bool:
    """Return whether the months of a document can be read."""
    content = found.content
    texts = [content["period"], content.get("shown_in", content["period"])]
    texts += [line["month"] for line in content["lines"] if "month" in line]
    try:
        for text in texts:
            periods.index_of(text)
    except ValueError as e:
        books.misplaced.append(
            Misplaced(found.place, content["account_id"], "a document tells months", "YYYY-MM", str(e))
        )
        return False
    return True


def _read_ledger(topics: Topics, books: Books) -> None:
    entries = books.entries
    for found in _decoded(topics, names.LEDGER.name, names.LEDGER.records, books):
        content = found.content
        account_id = intern(content["account_id"])
        if not _is_owned(topics, found, books):
            continue
        try:
            content["month"] = periods.index_of(content["month"])
            content["period"] = periods.index_of(content["period"])
        except ValueError as e:
            books.misplaced.append(
                Misplaced(found.place, account_id, "a ledger entry tells months", "YYYY-MM", str(e))
            )
            continue
        for name in ("kind", "currency", "source", "meter"):
            if content[name] is not None:
                content[name] = intern(content[name])
        content["account_id"] = account_id
        entry = Entry(found.place.partition, found.place.offset, **content)
        entries.setdefault(account_id, []).append(entry)


def _read_states(topics: Topics, books: Books) -> None:
    """Keep the last value of each key in the changelog; a removed key has none."""
    last: dict[bytes, tuple[Place, Record]] = {}
    for partition, log in enumerate(topics.logs[ACCOUNTS_CHANGELOG]):
        for record in log.records:
            if record.key is not None:
                last[record.key] = (Place(ACCOUNTS_CHANGELOG, partition, record.offset), record)
    for place, record in last.values():
        if record.value is None:
            continue
        books.records += 1
        content = _content(topics.schemas, place, record, (STATE_SCHEMA,), books)
        if content is not None:
            found = Found(place, content, record)
            content.setdefault("account_id", (record.key or b"").decode(errors="replace"))
            if _is_owned(topics, found, books):
                books.states[content["account_id"]] = found


def _bring_up(state: Found, balance: Found, books: Books) -> None:
    """Bring a state to its account's balance, where that is ahead of it."""
    told, known = balance.content, state.content
    if told["entries"] <= known["entries"]:
        return
    try:
        totals = {periods.index_of(row["period"]): row for row in told["open_periods"]}
        usage = {_key(periods.index_of(row["month"]), row): row for row in told["usage"]}
    except ValueError as e:
        books.misplaced.append(
            Misplaced(balance.place, told["account_id"], "a balance tells months", "YYYY-MM", str(e))
        )
        return
    known |= {name: told[name] for name in ("balance", "entries")}
    for period in known["periods"]:
        if (row := totals.get(period["month"])) is not None:
            period |= {name: row[name] for name in ("received", "charges", "tax")}
    rows = {(row["month"], row["meter"], row["version"], row["rate"]): row for row in known["rows"]}
    for key, row in usage.items():
        if key not in rows:
            month, meter, version, rate = key
            rows[key] = {"month": month, "meter": meter, "version": version, "rate": rate}
            known["rows"].append(rows[key])
        rows[key] |= {name: row[name] for name in ("quantity", "amount", "tax")}


def _key(month: int, row: Content) -> tuple[int, str, int, int | None]:
    return (month, row["meter"], row["price_version"], row["tax_rate"])


def _owned(topics: Topics, name: str, books: Books) -> list[Found]:
    topic = next(t for t in names.ALL if t.name == name)
    return [f for f in _decoded(topics, name, topic.records, books) if _is_owned(topics, f, books)]


def _decoded(topics: Topics, name: str, records: tuple[str, ...], books: Books) -> Iterator[Found]:
    """Yield the records of a topic that can be read."""
    for partition, log in enumerate(topics.logs[name]):
        for record in log.records:
            books.records += 1
            place = Place(name, partition, record.offset)
            content = _content(topics.schemas, place, record, records, books)
            if content is not None:
                yield Found(place, content, record)


def _content(
    schemas: wire.Schemas, place: Place, record: Record, records: tuple[str, ...], books: Books
) -> Content | None:
    expected = " or ".join(records)
    if record.value is None:
        books.misplaced.append(Misplaced(place, None, "an output has a value", expected, "null"))
        return None
    try:
        return schemas.decode(record.value, *records)[1]
    except wire.WireError as e:
        books.misplaced.append(Misplaced(place, None, "an output can be read", expected, str(e)))
        return None


def _is_owned(topics: Topics, found: Found, books: Books) -> bool:
    """Return whether a record stands under its own account's key, in that key's partition."""
    account_id = found.content["account_id"]
    key = found.raw.key
    if key is None or key != account_id.encode():
        rule = "the key of a record is its account"
        books.misplaced.append(Misplaced(found.place, account_id, rule, account_id, repr(key)))
        return False
    partition = partition_of(key, topics.lanes)
    if partition != found.place.partition:
        rule = "a record stands in its account's partition"
        books.misplaced.append(
            Misplaced(found.place, account_id, rule, str(partition), str(found.place.partition))
        )
        return False
    return True

"""Usage that never found its price and is past the forget line: booked as a debit that names it.

The rule. A usage event whose dead letter (or the first of its chain) says no_price, that lies before its
lane's forget line, that no charge in the ledger names and that does not wait, is priced as it would have
been in time: by the price in force at its moment as published now, in the account's currency, as
P(after) - P(before) over the month quantity that the ledger and the debits already booked add up to. The
amount is an adjustment with an id that is a function of the event, so it is booked once, for ever. Tax is
not in it: an adjustment is no taxed line. What costs nothing is not booked; what a volume price gives back
is a credit.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from schemas.wire import Record
from streams.domain import periods, pricing
from streams.domain.events import identity

ADJUSTMENT = "unpriced-"
AUTHOR = "evergreen-dead-letters"
SHOWN_NAME = 200
"""Characters of a source or event id that the reason repeats."""


class Row(NamedTuple):
    """What month quantities are counted by."""

    account_id: str
    meter: str
    month: str
    version: int
    tax_rate: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """What the price of an event depends on, of its account."""

    currency: str
    zones: periods.Zones
    tax_rates: Mapping[int, int]
    """Rate by valid_from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """The adjustment to send for one event."""

    account_id: str
    adjustment_id: str
    kind: str
    amount: int
    currency: str
    reason: str
    occurred_at: int


@dataclass(frozen=True, slots=True)
class Nothing:
    """Why an event is not booked."""

    why: str


class Ledger:
    """What the ledger says about usage: which events were charged, and the month quantities."""

    def __init__(self, entries: Iterable[Record]) -> None:
        self.charged: set[bytes] = set()
        self.quantities: Counter[Row] = Counter()
        for entry in entries:
            if entry["kind"] not in {"charge", "reversal"}:
                continue
            row = Row(
                entry["account_id"],
                entry["meter"],
                entry["month"],
                entry["price_version"],
                entry["tax_rate"],
            )
            if entry["kind"] == "charge":
                self.charged.add(identity(entry["account_id"], entry["source"], entry["event_id"]))
                self.quantities[row] += entry["quantity"]
            else:
                self.quantities[row] -= entry["quantity"]


class Desk:
    """Books events one after another; earlier bookings of a month count for later ones."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        cards: Mapping[tuple[str, str], pricing.RateCard],
        owners: Mapping[str, Owner],
        default: Owner,
        waiting: Collection[bytes],
        booked: Collection[tuple[str, str]],
    ) -> None:
        """`cards` by (meter, currency), `waiting` by identity, `booked` by (account, adjustment id)."""
        self._ledger = ledger
        self._cards = cards
        self._owners = owners
        self._default = default
        self._waiting = waiting
        self._booked = set(booked)

    def count_booked(self, events: Iterable[Record]) -> None:
        """Add the events among these that were booked already to the month quantities; call it first."""
        counted: set[str] = set()
        for event in events:
            name = adjustment_id(event)
            if (event["account_id"], name) in self._booked and name not in counted:
                counted.add(name)
                priced = self._priced(event)
                if priced is not None:
                    self._ledger.quantities[priced[1]] += event["quantity"]

    def book(self, event: Record) -> Booking | Nothing:
        """Return the booking of an event that is past the forget line, or why there is none."""
        account_id, digest = event["account_id"], _identity(event)
        if digest in self._ledger.charged:
            return Nothing("was charged after all")
        if digest in self._waiting:
            return Nothing("was sent again and waits: the next tick decides")
        name = adjustment_id(event)
        if (account_id, name) in self._booked:
            return Nothing(f"is booked already, as adjustment {name}")
        priced = self._priced(event)
        if priced is None:
            return Nothing(f"{event['meter']} still has no price at its time: publish one (late: true) first")
        rating, row, currency = priced
        before = self._ledger.quantities[row]
        amount = rating.amount(before + event["quantity"]) - rating.amount(before)
        self._ledger.quantities[row] += event["quantity"]
        self._booked.add((account_id, name))
        if amount == 0:
            return Nothing(f"costs nothing at price version {row.version}")
        return Booking(
            account_id=account_id,
            adjustment_id=name,
            kind="debit" if amount > 0 else "credit",
            amount=abs(amount),
            currency=currency,
            reason=(
                f"usage that had no price in its time: {_exact(event['quantity'])} {rating.price.unit} "
                f"of {event['meter'][:SHOWN_NAME]} in {row.month}, event {event['event_id'][:SHOWN_NAME]} "
                f"from {event['source'][:SHOWN_NAME]}, at price version {row.version}, without tax"
            ),
            occurred_at=event["occurred_at"],
        )

    def _priced(self, event: Record) -> tuple[pricing.Rating, Row, str] | None:
        owner = self._owners.get(event["account_id"], self._default)
        card = self._cards.get((event["meter"], owner.currency))
        rating = card.at(event["occurred_at"]) if card else None
        if rating is None:
            return None
        since = [start for start in owner.tax_rates if start <= event["occurred_at"]]
        rate = owner.tax_rates[max(since)] if since else None
        month = periods.label(periods.calendar(owner.zones).month_of(event["occurred_at"]))
        return rating, Row(event["account_id"], event["meter"], month, rating.version, rate), owner.currency


def adjustment_id(event: Record) -> str:
    """Return the id of the adjustment that stands for a usage event: a function of what names the event."""
    return ADJUSTMENT + _identity(event).hex()


def _identity(event: Record) -> bytes:
    return identity(event["account_id"], event["source"], event["event_id"])


def _exact(pico: int) -> str:
    whole, rest = divmod(pico, 10**12)
    return f"{whole}" + (f".{rest:012d}".rstrip("0") if rest else "")

"""FOCUS cost and usage files (https://focus.finops.org) as prices, usage events and adjustments.

Each row becomes exactly one of three things, and is counted as that:
- usage: ChargeCategory Usage with a list price and a quantity that is not negative;
- an adjustment by its BilledCost (credit below zero, debit above): credits, adjustments and purchases,
  negative usage, corrections and usage from before its billing period: what earlier prices cannot tell;
- skipped, with a reason of a closed list (`Reason`).

The same file again gives the same bytes: ids are digests of rows, prices carry the begin of their
billing period as version. Only one price of a meter is in force at a time, so a SkuPriceId that costs several
prices in one billing period becomes several meters, `ID@price`. Prices are in the file's currency, and usage
is priced in its account's: rows in another currency than the deployment's default are skipped, because
the account that such usage opens would have the default one.

Two passes over the rows, `survey` for the prices and `outcomes` for the rest, so that files of any size
stream; only a digest a row and the distinct prices stay in memory.
"""

import csv
import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, TextIO

from producers import records
from producers.records import Record
from producers.values import MAX_TEXT, UNIT, FieldError, pico, text

Row = Mapping[str, str]

AUTHOR = "import-focus"
REQUIRED = (
    "SubAccountId",
    "ChargeCategory",
    "BillingCurrency",
    "BillingPeriodStart",
    "ChargePeriodStart",
    "PricingQuantity",
    "PricingUnit",
    "ListUnitPrice",
    "BilledCost",
    "ProviderName",
)
METER_COLUMNS = ("SkuPriceId", "SkuId", "ChargeDescription")
"""The first one with a value names the meter."""
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""What the lanes can place in a calendar."""
MALFORMED = "\0malformed"
"""Marks a row that had more or fewer fields than the header."""


class FocusError(ValueError):
    """A file that is no FOCUS file; one line."""


class Reason(Enum):
    """Why a row became neither usage nor adjustment."""

    MALFORMED = "not as many fields as the header"
    OTHER_CURRENCY = "currency is not the deployment's"
    NO_ACCOUNT = "no sub-account"
    NO_METER = "neither SKU nor description"
    NO_QUANTITY = "no pricing quantity"
    NO_PRICE = "no list unit price"
    NEGATIVE_PRICE = "negative list unit price"
    OTHER_PRICE = "another billing period's price is in force at that time"
    NO_COST = "no billed cost"
    NO_MONEY = "an adjustment by zero"
    TAX = "tax: charged by the account's own rates"
    UNKNOWN_CATEGORY = "unknown charge category"
    UNREADABLE = "a value that cannot be read, or has more than 12 decimal places"


@dataclass(frozen=True, slots=True)
class Used:
    """A row that became a usage event, with its unit price in 10^-12."""

    usage: Record
    unit_price: int


@dataclass(frozen=True, slots=True)
class Adjusted:
    """A row that became an adjustment."""

    adjustment: Record


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that became nothing; `row` counts from 1 after the header."""

    row: int
    reason: Reason
    detail: str = ""


Outcome = Used | Adjusted | Skipped


class Slot(NamedTuple):
    """Where one price at a time is in force."""

    meter: str
    currency: str
    valid_from: int


class Variant(NamedTuple):
    """What a meter costs: unit price in 10^-12, and the unit."""

    unit_price: int
    unit: str


RateCard = dict[Slot, set[Variant]]


@dataclass(frozen=True, slots=True)
class Import:
    """What a whole file becomes: its prices, and one outcome a row in the file's order."""

    prices: Sequence[Record]
    outcomes: Sequence[Outcome]


def read(file: TextIO) -> Iterator[Row]:
    """Yield the rows of a FOCUS CSV file; raises FocusError where it is none."""
    reader = csv.DictReader(file, restkey=MALFORMED, restval=MALFORMED, strict=True)
    try:
        columns = reader.fieldnames or ()
        missing = [name for name in REQUIRED if name not in columns]
        if missing:
            raise FocusError(f"no FOCUS file: column {missing[0]} is missing")
        yield from reader
    except csv.Error as e:
        raise FocusError(f"no CSV: line {reader.line_num}: {e}") from None
    except UnicodeDecodeError as e:
        raise FocusError(f"not in UTF-8: {e.reason}") from None


def rows_of(path: Path) -> Iterator[Row]:
    """Yield the rows of a FOCUS CSV file by its path."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from read(file)


def plan(rows: Sequence[Row], *, currency: str = "USD") -> Import:
    """Return what rows become in a deployment of this default currency."""
    card = survey(rows, currency=currency)
    return Import(prices=list(prices(card)), outcomes=list(outcomes(rows, card, currency=currency)))


def survey(rows: Iterable[Row], *, currency: str) -> RateCard:
    """Return what each meter costs in each billing period: the first pass."""
    card: RateCard = {}
    for row in rows:
        parsed = _parse(row, currency)
        if isinstance(parsed, _Usage):
            card.setdefault(parsed.slot, set()).add(parsed.variant)
    return card


def prices(card: RateCard) -> Iterator[Record]:
    """Yield the prices of a rate card in a fixed order; all late, since they are published after the use."""
    for slot in sorted(card):
        for variant in sorted(card[slot]):
            yield records.price(
                meter=_meter(card, slot, variant),
                currency=slot.currency,
                version=_version(slot.valid_from),
                unit=variant.unit,
                valid_from=_moment(slot.valid_from),
                late=True,
                tiers=[records.Tier(unit_price=_decimal(variant.unit_price))],
            )


def outcomes(rows: Iterable[Row], card: RateCard, *, currency: str) -> Iterator[Outcome]:
    """Yield what each row becomes, in order: the second pass."""
    in_force = _InForce(card)
    seen: Counter[bytes] = Counter()
    for number, row in enumerate(rows, start=1):
        parsed = _parse(row, currency)
        if isinstance(parsed, Skipped):
            yield Skipped(number, parsed.reason, parsed.detail)
            continue
        if isinstance(parsed, _Usage) and in_force.at(parsed) != parsed.slot.valid_from:
            yield Skipped(number, Reason.OTHER_PRICE)
            continue
        digest = _digest(row)
        seen[digest] += 1
        row_id = f"{digest.hex()}-{seen[digest]}"
        try:
            yield _used(parsed, row_id, card) if isinstance(parsed, _Usage) else _adjusted(parsed, row_id)
        except FieldError as e:
            yield Skipped(number, Reason.UNREADABLE, str(e))


@dataclass(frozen=True, slots=True)
class _Usage:
    row: Row
    account_id: str
    slot: Slot
    variant: Variant
    quantity: Decimal
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class _Correction:
    row: Row
    account_id: str
    currency: str
    cost: Decimal
    occurred_at: datetime


class _InForce:
    """Which of a meter's prices the lanes will find in force at a time."""

    def __init__(self, card: RateCard) -> None:
        self._card = card
        self._begins: dict[tuple[str, str], list[int]] = {}
        for slot in sorted(card):
            for variant in card[slot]:
                meter = _meter(card, slot, variant)
                self._begins.setdefault((meter, slot.currency), []).append(slot.valid_from)

    def at(self, parsed: _Usage) -> int:
        """Return the valid_from of the price in force when a row's usage happened."""
        begins = self._begins[_meter(self._card, parsed.slot, parsed.variant), parsed.slot.currency]
        return begins[bisect_right(begins, int(parsed.occurred_at.timestamp())) - 1]


def _parse(row: Row, currency: str) -> _Usage | _Correction | Skipped:
    """Return what a row is to become, by the rules at the top of this file."""
    if MALFORMED in row or MALFORMED in row.values():
        return Skipped(0, Reason.MALFORMED)
    if _value(row, "BillingCurrency") != currency:
        return Skipped(0, Reason.OTHER_CURRENCY, row["BillingCurrency"])
    account_id = _value(row, "SubAccountId")
    if account_id is None:
        return Skipped(0, Reason.NO_ACCOUNT)
    try:
        match row["ChargeCategory"]:
            case "Usage":
                return _parse_usage(row, account_id, currency)
            case "Credit" | "Adjustment" | "Purchase":
                return _parse_correction(row, account_id, currency)
            case "Tax":
                return Skipped(0, Reason.TAX)
            case other:
                return Skipped(0, Reason.UNKNOWN_CATEGORY, other)
    except FieldError as e:
        return Skipped(0, Reason.UNREADABLE, str(e))


def _parse_usage(row: Row, account_id: str, currency: str) -> _Usage | _Correction | Skipped:
    quantity = _number(row, "PricingQuantity")
    if quantity is None:
        return Skipped(0, Reason.NO_QUANTITY)
    begin, occurred_at = _time(row, "BillingPeriodStart"), _time(row, "ChargePeriodStart")
    if quantity < 0 or occurred_at < begin or _value(row, "ChargeClass") == "Correction":
        return _parse_correction(row, account_id, currency)
    unit_price = _number(row, "ListUnitPrice")
    if unit_price is None:
        return Skipped(0, Reason.NO_PRICE)
    if unit_price < 0:
        return Skipped(0, Reason.NEGATIVE_PRICE, str(unit_price))
    meter = next((value for name in METER_COLUMNS if (value := _value(row, name))), None)
    if meter is None:
        return Skipped(0, Reason.NO_METER)
    pico("PricingQuantity", quantity)
    variant = Variant(pico("ListUnitPrice", unit_price), _value(row, "PricingUnit") or "unit")
    text("meter", f"{meter}@{unit_price}/{variant.unit}")  # the longest that it may be called
    slot = Slot(meter, currency, int(begin.timestamp()))
    return _Usage(row, account_id, slot, variant, quantity, occurred_at)


def _parse_correction(row: Row, account_id: str, currency: str) -> _Correction | Skipped:
    cost = _number(row, "BilledCost")
    if cost is None:
        return Skipped(0, Reason.NO_COST)
    if cost == 0:
        return Skipped(0, Reason.NO_MONEY)
    pico("BilledCost", cost, least=None)
    return _Correction(row, account_id, currency, cost, _time(row, "ChargePeriodStart"))


def _used(parsed: _Usage, row_id: str, card: RateCard) -> Used:
    usage = records.usage(
        account_id=parsed.account_id,
        source=_value(parsed.row, "ProviderName") or "focus",
        event_id=row_id,
        meter=_meter(card, parsed.slot, parsed.variant),
        quantity=parsed.quantity,
        occurred_at=parsed.occurred_at,
    )
    return Used(usage, parsed.variant.unit_price)


def _adjusted(parsed: _Correction, row_id: str) -> Adjusted:
    row = parsed.row
    adjustment = records.adjustment(
        account_id=parsed.account_id,
        adjustment_id=f"focus-{row_id}",
        kind="credit" if parsed.cost < 0 else "debit",
        amount=parsed.cost.copy_abs(),  # abs() would round to the context's 28 digits
        currency=parsed.currency,
        reason=(_value(row, "ChargeDescription") or row["ChargeCategory"])[:MAX_TEXT],
        author=AUTHOR,
        occurred_at=parsed.occurred_at,
    )
    return Adjusted(adjustment)


def _meter(card: RateCard, slot: Slot, variant: Variant) -> str:
    """Return the meter's name: with its price where it has several, and unit where that is not enough."""
    variants = card[slot]
    if len(variants) == 1:
        return slot.meter
    same_price = sum(other.unit_price == variant.unit_price for other in variants)
    unit = f"/{variant.unit}" if same_price > 1 else ""
    return f"{slot.meter}@{_decimal(variant.unit_price):f}{unit}"


def _version(valid_from: int) -> int:
    """Return the minute a price is valid from as a number (202409010000): the same from every file."""
    return int(f"{_moment(valid_from):%Y%m%d%H%M}")


def _digest(row: Row) -> bytes:
    """Return 16 bytes that name a row's content, whatever the order of its columns."""
    content = json.dumps(sorted(row.items()), ensure_ascii=False).encode()
    return blake2b(content, digest_size=16).digest()


def _value(row: Row, name: str) -> str | None:
    """Return a column's value; FOCUS files write null as nothing or as NULL."""
    value = row.get(name, "").strip()
    return None if value in {"", "NULL", "null"} else value


def _number(row: Row, name: str) -> Decimal | None:
    value = _value(row, name)
    if value is None:
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise FieldError(name, f"{value!r} is not a decimal number") from None
    if not number.is_finite():
        raise FieldError(name, f"{value} is not a finite number")
    return number


def _time(row: Row, name: str) -> datetime:
    """Return a time of the file; one without an offset is UTC, as FOCUS says all times are."""
    value = _value(row, name)
    try:
        found = datetime.fromisoformat(value or "")
    except ValueError:
        raise FieldError(name, f"{value!r} is not an ISO 8601 time") from None
    found = found.replace(tzinfo=UTC) if found.utcoffset() is None else found
    if not EARLIEST <= found < LATEST:
        raise FieldError(name, f"{value!r} is outside the years 1970 to 8999")
    return found


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _decimal(pico_amount: int) -> Decimal:
    """Return an amount of 10^-12 as a decimal without needless zeros."""
    whole, rest = divmod(pico_amount, UNIT)
    return Decimal(f"{whole}.{rest:012d}".rstrip("0").rstrip("."))

"""The value level: one function a record, from checked arguments to the dict that the codec encodes.

Refuses what the lanes would put among the dead letters anyway (negative quantity, unknown currency),
while the caller can still do something about it; FieldError names the field. No Kafka, no clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

from producers.values import (
    Exact,
    FieldError,
    Moment,
    currency_code,
    millis,
    optional_text,
    optional_whole,
    pico,
    text,
    truth,
    whole,
)

Record = dict[str, Any]

PaymentKind = Literal[
    "succeeded",
    "failed",
    "requires_action",
    "refunded",
    "disputed",
    "dispute_won",
    "returned",
    "unavailable",
    "refused",
    "cancelled",
]
MOVES_MONEY = frozenset({"succeeded", "refunded", "disputed", "dispute_won", "returned"})
HAS_REFERENCE = MOVES_MONEY - {"succeeded"}
PriceModel = Literal["per_unit", "graduated", "volume", "package"]
AdjustmentKind = Literal["credit", "debit", "reversal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxRate:
    """A tax rate from a moment on; 0.19 is 19 %."""

    rate: Exact
    valid_from: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """The customer's permission to take payments automatically; given_by is a reference, no name."""

    given_by: str
    given_at: Moment
    text_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomaticTopUp:
    """Rule for taking payments automatically: exactly one of amount_minor and target_minor."""

    threshold_minor: int
    payment_method_ref: str
    amount_minor: int | None = None
    target_minor: int | None = None
    monthly_limit_minor: int | None = None
    consent: Consent | None = None
    enabled: bool = True
    resumes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One step of a price: up to a cumulative monthly quantity, included; the last has no end."""

    unit_price: Exact
    up_to: Exact | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReversedUsage:
    """A usage event as it was sent, to be taken back."""

    source: str
    event_id: str
    meter: str
    quantity: Exact
    occurred_at: Moment


def usage(
    *, account_id: str, source: str, event_id: str, meter: str, quantity: Exact, occurred_at: Moment
) -> Record:
    """Return a UsageEvent; sent again it must be built from the same values."""
    return {
        "account_id": text("account_id", account_id),
        "source": text("source", source),
        "event_id": text("event_id", event_id),
        "meter": text("meter", meter),
        "quantity": pico("quantity", quantity),
        "occurred_at": millis("occurred_at", occurred_at),
    }


def payment(
    *,
    account_id: str,
    payment_id: str,
    kind: PaymentKind,
    currency: str,
    occurred_at: Moment,
    amount_minor: int = 0,
    reference: str | None = None,
    command_id: str | None = None,
    payment_method_ref: str | None = None,
    decline_code: str | None = None,
    hard_decline: bool = False,
    action_url: str | None = None,
) -> Record:
    """Return a PaymentEvent: what moves money names an amount, what takes it back its own reference."""
    _one_of("kind", kind, PaymentKind)
    whole("amount_minor", amount_minor, least=1 if kind in MOVES_MONEY else 0)
    if kind in HAS_REFERENCE and reference is None:
        raise FieldError("reference", f"is missing: it tells one {kind} of a payment from another")
    return {
        "account_id": text("account_id", account_id),
        "payment_id": text("payment_id", payment_id),
        "kind": kind,
        "amount_minor": amount_minor,
        "currency": currency_code("currency", currency),
        "occurred_at": millis("occurred_at", occurred_at),
        "reference": optional_text("reference", reference),
        "command_id": optional_text("command_id", command_id),
        "payment_method_ref": optional_text("payment_method_ref", payment_method_ref),
        "decline_code": optional_text("decline_code", decline_code),
        "hard_decline": truth("hard_decline", hard_decline),
        "action_url": optional_text("action_url", action_url),
    }


def settings(
    *,
    account_id: str,
    revision: int,
    currency: str,
    zone: str,
    changed_at: Moment,
    changed_by: str,
    tax_rates: Sequence[TaxRate] = (),
    automatic_top_up: AutomaticTopUp | None = None,
    warning_level_minor: int | None = None,
    overdraft_minor: int = 0,
    closed: bool = False,
) -> Record:
    """Return AccountSettings; revision counts the account's changes from 1."""
    return {
        "account_id": text("account_id", account_id),
        "revision": whole("revision", revision, least=1),
        "currency": currency_code("currency", currency),
        "zone": _zone(zone),
        "tax_rates": [
            {
                "valid_from": millis(f"tax_rates[{i}].valid_from", rate.valid_from),
                "rate": pico(f"tax_rates[{i}].rate", rate.rate),
            }
            for i, rate in enumerate(tax_rates)
        ],
        "automatic_top_up": None if automatic_top_up is None else _automatic_top_up(automatic_top_up),
        "warning_level_minor": optional_whole("warning_level_minor", warning_level_minor, least=None),
        "overdraft_minor": whole("overdraft_minor", overdraft_minor),
        "closed": truth("closed", closed),
        "changed_at": millis("changed_at", changed_at),
        "changed_by": text("changed_by", changed_by),
    }


def profile(
    *,
    account_id: str,
    name: str,
    address: Sequence[str],
    country: str,
    email: str,
    language: str = "en",
    tax_id: str | None = None,
) -> Record:
    """Return an AccountProfile: the only record that holds personal data."""
    if isinstance(address, str):
        raise FieldError("address", "is one text, not a list of lines")
    if len(country) != 2 or not country.isascii() or not country.isupper():
        raise FieldError("country", f"{country!r} is no ISO 3166-1 alpha-2 code")
    if "@" not in text("email", email):
        raise FieldError("email", f"{email!r} is no e-mail address")
    return {
        "account_id": text("account_id", account_id),
        "name": text("name", name),
        "address": [text(f"address[{i}]", line) for i, line in enumerate(address)],
        "country": country,
        "tax_id": optional_text("tax_id", tax_id),
        "email": email,
        "language": text("language", language),
    }


def price(
    *,
    meter: str,
    currency: str,
    version: int,
    unit: str,
    valid_from: Moment,
    tiers: Sequence[Tier],
    model: PriceModel = "per_unit",
    late: bool = False,
    package_size: Exact | None = None,
    free_allowance: Exact | None = None,
) -> Record:
    """Return a Price; the tiers rise and only the last one has no end."""
    _one_of("model", model, PriceModel)
    steps = [
        {
            "up_to": None if tier.up_to is None else pico(f"tiers[{i}].up_to", tier.up_to, least=1),
            "unit_price": pico(f"tiers[{i}].unit_price", tier.unit_price),
        }
        for i, tier in enumerate(tiers)
    ]
    _rising([step["up_to"] for step in steps])
    if model in {"per_unit", "package"} and len(steps) != 1:
        raise FieldError("tiers", f"a {model} price has exactly one tier, not {len(steps)}")
    if (model == "package") != (package_size is not None):
        raise FieldError("package_size", "belongs to a package price, and to no other")
    return {
        "meter": text("meter", meter),
        "currency": currency_code("currency", currency),
        "version": whole("version", version, least=1),
        "unit": text("unit", unit),
        "valid_from": millis("valid_from", valid_from),
        "late": truth("late", late),
        "model": model,
        "tiers": steps,
        "package_size": None if package_size is None else pico("package_size", package_size, least=1),
        "free_allowance": None if free_allowance is None else pico("free_allowance", free_allowance),
    }


def adjustment(
    *,
    account_id: str,
    adjustment_id: str,
    kind: AdjustmentKind,
    currency: str,
    reason: str,
    author: str,
    occurred_at: Moment,
    amount: Exact | None = None,
    usage: ReversedUsage | None = None,
) -> Record:
    """Return an Adjustment: credit and debit carry an amount, a reversal the usage event as it was sent."""
    _one_of("kind", kind, AdjustmentKind)
    if (kind == "reversal") != (usage is not None):
        raise FieldError("usage", "belongs to a reversal, and to no other adjustment")
    if (kind == "reversal") == (amount is not None):
        raise FieldError("amount", "belongs to a credit or debit; a reversal takes it from its usage event")
    return {
        "account_id": text("account_id", account_id),
        "adjustment_id": text("adjustment_id", adjustment_id),
        "kind": kind,
        "amount": None if amount is None else pico("amount", amount, least=1),
        "currency": currency_code("currency", currency),
        "reason": text("reason", reason),
        "author": text("author", author),
        "occurred_at": millis("occurred_at", occurred_at),
        "usage": None if usage is None else _reversed_usage(usage),
    }


def tick(*, time: Moment, ticker: str) -> Record:
    """Return a Tick."""
    return {"time": millis("time", time), "ticker": text("ticker", ticker)}


def price_key(record: Record) -> str:
    """Return the key that names a price: meter/currency/version."""
    return f"{record['meter']}/{record['currency']}/{record['version']}"


def _automatic_top_up(rule: AutomaticTopUp) -> Record:
    if (rule.amount_minor is None) == (rule.target_minor is None):
        raise FieldError("automatic_top_up", "needs exactly one of amount_minor and target_minor")
    consent = rule.consent
    at = "automatic_top_up"
    return {
        "enabled": truth(f"{at}.enabled", rule.enabled),
        "threshold_minor": whole(f"{at}.threshold_minor", rule.threshold_minor, least=None),
        "amount_minor": optional_whole(f"{at}.amount_minor", rule.amount_minor, least=1),
        "target_minor": optional_whole(f"{at}.target_minor", rule.target_minor, least=rule.threshold_minor),
        "monthly_limit_minor": optional_whole(f"{at}.monthly_limit_minor", rule.monthly_limit_minor),
        "payment_method_ref": text(f"{at}.payment_method_ref", rule.payment_method_ref),
        "consent": None
        if consent is None
        else {
            "given_by": text(f"{at}.consent.given_by", consent.given_by),
            "given_at": millis(f"{at}.consent.given_at", consent.given_at),
            "text_version": text(f"{at}.consent.text_version", consent.text_version),
        },
        "resumes": whole(f"{at}.resumes", rule.resumes),
    }


def _reversed_usage(event: ReversedUsage) -> Record:
    return {
        "source": text("usage.source", event.source),
        "event_id": text("usage.event_id", event.event_id),
        "meter": text("usage.meter", event.meter),
        "quantity": pico("usage.quantity", event.quantity),
        "occurred_at": millis("usage.occurred_at", event.occurred_at),
    }


def _rising(ends: list[int | None]) -> None:
    if not ends:
        raise FieldError("tiers", "are missing: a price has at least one")
    if ends[-1] is not None:
        raise FieldError("tiers", "the last one must have no up_to: no quantity may be without a price")
    before = 0
    for end in ends[:-1]:
        if end is None or end <= before:
            raise FieldError("tiers", "must rise: each up_to is above the one before, only the last has none")
        before = end


def _one_of(field: str, value: str, options: Any) -> None:
    if value not in get_args(options):
        raise FieldError(field, f"{value!r} is none of {', '.join(get_args(options))}")


def _zone(name: str) -> str:
    try:
        ZoneInfo(text("zone", name))
    except (KeyError, ValueError, OSError):
        raise FieldError("zone", f"{name!r} is no IANA time zone") from None
    return name

"""From decoded records to the rules' events: names and types only, no rule.

Values are as schemas.wire decodes them (decimals int of 10^-12, timestamps int ms), so nothing is
converted. Each function takes the record and its origin.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from streams.domain.events import (
    AccountSettings,
    Adjustment,
    AdjustmentKind,
    AutomaticTopUp,
    Consent,
    Event,
    Origin,
    PaymentEvent,
    PaymentKind,
    Price,
    PriceModel,
    PricePublished,
    Profile,
    ProfileChanged,
    ProfileErased,
    ReversedUsage,
    TaxRate,
    Tick,
    Tier,
    UsageEvent,
)

Record = Mapping[str, Any]


def usage(record: Record, origin: Origin) -> UsageEvent:
    """Return a UsageEvent."""
    return UsageEvent(
        record["account_id"],
        record["source"],
        record["event_id"],
        record["meter"],
        record["quantity"],
        record["occurred_at"],
        origin,
    )


def usage_of(values: Sequence[Any], origin: Origin) -> UsageEvent:
    """Return a UsageEvent of values in the order of the schema."""
    account_id, source, event_id, meter, quantity, occurred_at = values
    return UsageEvent(account_id, source, event_id, meter, quantity, occurred_at, origin)


def payment(record: Record, origin: Origin) -> PaymentEvent:
    """Return a PaymentEvent."""
    return PaymentEvent(
        account_id=record["account_id"],
        payment_id=record["payment_id"],
        kind=PaymentKind(record["kind"]),
        amount_minor=record["amount_minor"],
        currency=record["currency"],
        occurred_at=record["occurred_at"],
        reference=record["reference"],
        command_id=record["command_id"],
        payment_method_ref=record["payment_method_ref"],
        decline_code=record["decline_code"],
        hard_decline=record["hard_decline"],
        action_url=record["action_url"],
        origin=origin,
    )


def settings(record: Record, origin: Origin) -> AccountSettings:
    """Return AccountSettings."""
    auto = record["automatic_top_up"]
    return AccountSettings(
        account_id=record["account_id"],
        revision=record["revision"],
        currency=record["currency"],
        zone=record["zone"],
        tax_rates=tuple(TaxRate(r["valid_from"], r["rate"]) for r in record["tax_rates"]),
        automatic_top_up=None if auto is None else automatic_top_up_of(auto),
        warning_level_minor=record["warning_level_minor"],
        overdraft_minor=record["overdraft_minor"],
        closed=record["closed"],
        changed_at=record["changed_at"],
        changed_by=record["changed_by"],
        origin=origin,
    )


def automatic_top_up_of(record: Record) -> AutomaticTopUp:
    """Return the permission and rule for automatic payments."""
    consent = record["consent"]
    return AutomaticTopUp(
        enabled=record["enabled"],
        threshold_minor=record["threshold_minor"],
        amount_minor=record["amount_minor"],
        target_minor=record["target_minor"],
        monthly_limit_minor=record["monthly_limit_minor"],
        payment_method_ref=record["payment_method_ref"],
        consent=None if consent is None else Consent(**consent),
        resumes=record["resumes"],
    )


def profile(record: Record, origin: Origin) -> ProfileChanged:
    """Return ProfileChanged; for a null value see profile_erased()."""
    return ProfileChanged(account_id=record["account_id"], profile=profile_of(record), origin=origin)


def profile_of(record: Record) -> Profile:
    """Return a profile; also from the account-profiles topic as the lane's store."""
    return Profile(
        name=record["name"],
        address=tuple(record["address"]),
        country=record["country"],
        tax_id=record["tax_id"],
        email=record["email"],
        language=record["language"],
    )


def profile_erased(account_id: str, origin: Origin) -> ProfileErased:
    """Return what a null value on account-profiles means."""
    return ProfileErased(account_id=account_id, origin=origin)


def price_of(record: Record) -> Price:
    """Return a price version; also from the lane's own prices table."""
    return Price(
        meter=record["meter"],
        currency=record["currency"],
        version=record["version"],
        unit=record["unit"],
        valid_from=record["valid_from"],
        late=record["late"],
        model=PriceModel(record["model"]),
        tiers=tuple(Tier(t["up_to"], t["unit_price"]) for t in record["tiers"]),
        package_size=record["package_size"],
        free_allowance=record["free_allowance"],
    )


def price_published(record: Record, origin: Origin) -> PricePublished:
    """Return PricePublished."""
    return PricePublished(price=price_of(record), origin=origin)


def adjustment(record: Record, origin: Origin) -> Adjustment:
    """Return an Adjustment."""
    reversed_usage = record["usage"]
    return Adjustment(
        account_id=record["account_id"],
        adjustment_id=record["adjustment_id"],
        kind=AdjustmentKind(record["kind"]),
        amount=record["amount"],
        currency=record["currency"],
        reason=record["reason"],
        author=record["author"],
        occurred_at=record["occurred_at"],
        usage=None if reversed_usage is None else ReversedUsage(**reversed_usage),
        origin=origin,
    )


def tick(record: Record, origin: Origin) -> Tick:
    """Return a Tick that settles all that waits; the barrier says what it covers (Tick.stood)."""
    return Tick(time=record["time"], origin=origin)


def event_of(record_type: str, record: Record, origin: Origin) -> Event:
    """Return the event of an input record, by its type as schemas.wire names it."""
    return _DECODERS[record_type](record, origin)


_DECODERS: Mapping[str, Callable[[Record, Origin], Event]] = {
    "usage-event": usage,
    "payment-event": payment,
    "account-settings": settings,
    "account-profile": profile,
    "price": price_published,
    "adjustment": adjustment,
    "tick": tick,
}

"""Records that emitters build: what fits is encoded, what the lanes would refuse is refused here."""

from collections.abc import Callable
from typing import Any

import pytest

from producers import records
from producers.emissions import EVERY_PARTITION, Encoder
from producers.records import AutomaticTopUp, Consent, ReversedUsage, TaxRate, Tier
from producers.values import FieldError
from schemas.wire import fixed

AT = "2024-09-01T00:00Z"
AT_MS = 1_725_148_800_000


def usage(**changes: Any) -> records.Record:
    values: dict[str, Any] = {
        "account_id": "acme",
        "source": "api",
        "event_id": "e1",
        "meter": "api-calls",
        "quantity": "1.5",
        "occurred_at": AT,
    }
    return records.usage(**{**values, **changes})


def payment(**changes: Any) -> records.Record:
    values: dict[str, Any] = {
        "account_id": "acme",
        "payment_id": "pi_1",
        "kind": "succeeded",
        "currency": "USD",
        "occurred_at": AT,
        "amount_minor": 1,
    }
    return records.payment(**{**values, **changes})


def settings(**changes: Any) -> records.Record:
    values: dict[str, Any] = {
        "account_id": "acme",
        "revision": 1,
        "currency": "USD",
        "zone": "UTC",
        "changed_at": AT,
        "changed_by": "user-1",
    }
    return records.settings(**{**values, **changes})


def profile(**changes: Any) -> records.Record:
    values: dict[str, Any] = {
        "account_id": "acme",
        "name": "Acme",
        "address": ["1 Way"],
        "country": "US",
        "email": "a@acme.example",
    }
    return records.profile(**{**values, **changes})


def price(**changes: Any) -> records.Record:
    values: dict[str, Any] = {
        "meter": "api-calls",
        "currency": "USD",
        "version": 1,
        "unit": "call",
        "valid_from": AT,
        "tiers": [Tier(unit_price="0.01")],
    }
    return records.price(**{**values, **changes})


def adjustment(**changes: Any) -> records.Record:
    values: dict[str, Any] = {
        "account_id": "acme",
        "adjustment_id": "a1",
        "kind": "credit",
        "amount": "1.25",
        "currency": "USD",
        "reason": "goodwill",
        "author": "agent-7",
        "occurred_at": AT,
    }
    return records.adjustment(**{**values, **changes})


ENCODER = Encoder(fixed())
TOP_UP = AutomaticTopUp(
    threshold_minor=1000,
    amount_minor=2500,
    payment_method_ref="pm_1",
    consent=Consent(given_by="user-1", given_at=AT, text_version="1"),
)
REVERSED = ReversedUsage(source="api", event_id="e1", meter="api-calls", quantity="1.5", occurred_at=AT)


@pytest.mark.parametrize(
    ("kind", "schema", "record"),
    [
        ("usage", "usage-event", usage()),
        ("payment", "payment-event", payment()),
        ("payment", "payment-event", payment(kind="refunded", reference="re_1")),
        ("settings", "account-settings", settings(automatic_top_up=TOP_UP)),
        ("settings", "account-settings", settings(tax_rates=[TaxRate(rate="0.19", valid_from=AT)])),
        ("profile", "account-profile", profile()),
        ("price", "price", price()),
        ("price", "price", price(model="package", package_size=1000, free_allowance="10")),
        ("adjustment", "adjustment", adjustment()),
        ("adjustment", "adjustment", adjustment(kind="reversal", amount=None, usage=REVERSED)),
    ],
)
def test_every_record_comes_back_from_its_bytes_as_it_was_built(
    kind: str, schema: str, record: records.Record
) -> None:
    emission = ENCODER.by_kind[kind](record)

    assert emission.value is not None
    assert fixed().decode(emission.value, schema) == (schema, record)


@pytest.mark.parametrize(
    ("build", "field", "problem"),
    [
        (lambda: usage(quantity="-1"), "quantity", "is negative"),
        (lambda: usage(account_id=""), "account_id", "is empty"),
        (lambda: payment(kind="paid"), "kind", "'paid' is none of succeeded, failed"),
        (lambda: payment(amount_minor=0), "amount_minor", "0 is less than 1"),
        (lambda: payment(kind="refunded"), "reference", "is missing"),
        (lambda: payment(currency="XXZ"), "currency", "no ISO 4217 currency"),
        (lambda: settings(zone="Mars/Olympus"), "zone", "no IANA time zone"),
        (lambda: settings(revision=0), "revision", "0 is less than 1"),
        (lambda: settings(tax_rates=[TaxRate(rate="-1", valid_from=AT)]), "tax_rates[0].rate", "negative"),
        (
            lambda: settings(automatic_top_up=AutomaticTopUp(threshold_minor=1, payment_method_ref="pm_1")),
            "automatic_top_up",
            "exactly one of amount_minor and target_minor",
        ),
        (lambda: profile(address="1 Way"), "address", "not a list of lines"),
        (lambda: profile(country="us"), "country", "no ISO 3166-1"),
        (lambda: profile(email="nobody"), "email", "no e-mail address"),
        (lambda: price(tiers=[]), "tiers", "are missing"),
        (lambda: price(tiers=[Tier(unit_price=1, up_to=5)]), "tiers", "must have no up_to"),
        (lambda: price(package_size=5), "package_size", "belongs to a package price"),
        (
            lambda: price(
                model="volume",
                tiers=[Tier(unit_price=1, up_to=5), Tier(unit_price=1, up_to=5), Tier(unit_price=1)],
            ),
            "tiers",
            "must rise",
        ),
        (lambda: adjustment(amount="0"), "amount", "is not positive"),
        (lambda: adjustment(kind="reversal", amount=None), "usage", "belongs to a reversal"),
        (lambda: adjustment(usage=REVERSED), "usage", "belongs to a reversal"),
        (lambda: adjustment(amount=None), "amount", "belongs to a credit or debit"),
    ],
)
def test_what_the_lanes_would_refuse_is_refused_by_its_field_name(
    build: Callable[[], records.Record], field: str, problem: str
) -> None:
    with pytest.raises(FieldError) as refused:
        build()

    assert refused.value.field == field
    assert str(refused.value).startswith(f"{field}: ")
    assert problem in str(refused.value)


def test_account_records_are_keyed_by_account_and_prices_go_to_every_partition() -> None:
    assert ENCODER.usage(usage(account_id="žluť")).key == "žluť".encode()
    assert ENCODER.price(price()).key == b"api-calls/USD/1"
    assert ENCODER.price(price()).partition == EVERY_PARTITION
    assert ENCODER.tick(records.tick(time=AT, ticker="t")).partition == EVERY_PARTITION


def test_an_erased_profile_is_a_record_without_value() -> None:
    assert (ENCODER.erasure("acme").key, ENCODER.erasure("acme").value) == (b"acme", None)


def test_a_usage_event_can_be_a_cloud_event_in_binary_mode() -> None:
    emission = ENCODER.usage(usage(), ce_type="com.acme.call")

    assert emission.headers == (
        ("ce_specversion", "1.0"),
        ("ce_id", "e1"),
        ("ce_source", "api"),
        ("ce_type", "com.acme.call"),
        ("ce_time", "2024-09-01T00:00:00.000+00:00"),
    )
    assert emission.value == ENCODER.usage(usage()).value

"""Records from JSON Lines: exact numbers, names of fields and lines in every refusal."""

import json
from typing import Any

import pytest

from producers import jsonl, records

USAGE: dict[str, Any] = {
    "account_id": "acme",
    "source": "api",
    "event_id": "e1",
    "meter": "api-calls",
    "quantity": "1.5",
    "occurred_at": "2024-09-01T00:00Z",
}


def line(**changes: Any) -> str:
    return json.dumps({name: value for name, value in {**USAGE, **changes}.items() if value is not None})


def test_a_line_is_the_record_that_its_fields_build() -> None:
    assert list(jsonl.read("usage", [line(), "\n", line(event_id="e2")])) == [
        records.usage(**USAGE),
        records.usage(**{**USAGE, "event_id": "e2"}),
    ]


def test_a_json_number_is_read_as_it_is_written() -> None:
    (record,) = jsonl.read("usage", [line().replace('"1.5"', "0.1")])

    assert record["quantity"] == 100_000_000_000


def test_nested_objects_are_read_with_their_own_fields() -> None:
    text = json.dumps(
        {
            "account_id": "acme",
            "revision": 1,
            "currency": "USD",
            "zone": "UTC",
            "changed_at": "2024-09-01T00:00Z",
            "changed_by": "user-1",
            "tax_rates": [{"rate": "0.19", "valid_from": "2024-01-01T00:00Z"}],
            "automatic_top_up": {
                "threshold_minor": 1000,
                "amount_minor": 2500,
                "payment_method_ref": "pm_1",
                "consent": {"given_by": "u", "given_at": "2024-09-01T00:00Z", "text_version": "1"},
            },
        }
    )

    (record,) = jsonl.read("settings", [text])

    assert record["tax_rates"] == [{"rate": 190_000_000_000, "valid_from": 1_704_067_200_000}]
    assert record["automatic_top_up"]["consent"]["given_by"] == "u"


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("{", "no JSON"),
        ("[]", "a JSON list where an object is expected"),
        (line(quantity=None), "quantity: is missing"),
        (line(amount=1), "amount: is no field"),
        (line(quantity="1.0000000000001"), "quantity: .* more than 12 decimal places"),
        (line(occurred_at="2024-09-01T00:00"), "occurred_at: .* has no time zone"),
        (line(quantity=float("nan")), "NaN is not a number"),
        (line().replace("{", '{"meter": "x", ', 1), "meter: stands twice"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_bad_line_is_refused_with_its_number_after_the_good_ones(bad: str, problem: str) -> None:
    read = jsonl.read("usage", [line(), "", bad, line()])

    assert next(read)["event_id"] == "e1"
    with pytest.raises(jsonl.LineError, match=rf"^line 3: .*{problem}"):
        next(read)


@pytest.mark.parametrize(
    ("kind", "values", "problem"),
    [
        ("price", {"tiers": 1}, "tiers: 1 is no list"),
        ("price", {"tiers": [{"price": 1}]}, r"tiers\[0\].price: is no field"),
        ("settings", {"automatic_top_up": []}, r"automatic_top_up: \[\] is no object"),
        ("settings", {"automatic_top_up": {"consent": {}}}, "automatic_top_up.consent.given_by: is missing"),
        ("adjustment", {"usage": {}}, "usage.source: is missing"),
    ],
)
def test_a_bad_nested_field_is_refused_by_its_whole_name(
    kind: str, values: dict[str, Any], problem: str
) -> None:
    with pytest.raises(jsonl.LineError, match=f"^line 1: {problem}"):
        list(jsonl.read(kind, [json.dumps(values)]))

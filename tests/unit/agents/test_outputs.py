"""Every output fits the schema of its topic, and every input record becomes its event."""

from typing import Any

import pytest

from schemas import wire
from streams import topics
from streams.agents import events, outputs
from streams.agents.balances import BalanceWriter
from streams.domain.events import (
    AdjustmentKind,
    Consent,
    PaymentKind,
    PriceModel,
    PricePublished,
    ProfileChanged,
    TaxRate,
    Tier,
)
from streams.domain.outputs import Announcement, CreditNote, DeadLetter, Invoice, LedgerEntry
from streams.domain.reasons import Reason
from tests.unit.domain.build import (
    START,
    Lane,
    adjust,
    at,
    auto,
    money,
    origin,
    pay,
    price,
    profile,
    settings,
    tick,
    usage,
)

LADDER: list[tuple[str | None, str]] = [("10", "0.10"), (None, "0.01")]


def eventful() -> Lane:
    """Return a lane that has said one of everything."""
    lane = Lane(
        price(model=PriceModel.VOLUME, tiers=LADDER),
        profile(),
        settings(tax="0.19", automatic_top_up=auto()),
        tick(START),
        usage(10),
        pay(1_000),
        adjust(AdjustmentKind.DEBIT, "1"),
        usage(meter="unknown"),
    )
    lane.tick("2025-02-02")
    lane.send(usage(1, when=at("2025-01-20"), read=at("2025-02-02")))
    lane.tick("2025-03-02")
    return lane


def test_every_output_fits_its_topic_and_schema() -> None:
    lane = eventful()
    schemas = wire.fixed()
    by_name = {topic.name: topic for topic in topics.ALL}
    kinds = set()
    for said in lane.said:
        if isinstance(said, LedgerEntry):  # test_entries.py holds them
            continue
        topic, key, record_type, record = outputs.record_of(said)
        assert record_type in by_name[topic].records
        assert (key is not None) == by_name[topic].keyed_by_account
        data = schemas.codec(record_type).encode(record)
        name, back = schemas.decode(data)
        assert name == record_type
        assert back == record
        kinds.add(record_type)

    writer = BalanceWriter(schemas.codec("account-balance"))
    for account in lane.book.touched():
        data = writer.encode(account, account.account_id.encode())
        name, back = schemas.decode(data, *topics.BALANCES.records)
        said = (name, back["account_id"], back["balance"])
        assert said == ("account-balance", account.account_id, account.balance)

    assert kinds == {
        "account-status",
        "credit-note",
        "dead-letter",
        "invoice",
        "notification",
        "top-up-command",
        "top-up-decision",
    }


def first(lane: Lane, kind: type[Announcement]) -> dict[str, Any]:
    """Return the record of the first output of a kind, as its reader has it."""
    _, _, record_type, record = outputs.record_of(lane.all(kind)[0])
    schemas = wire.fixed()
    return schemas.decode(schemas.codec(record_type).encode(record))[1]


def test_records_name_months_in_words() -> None:
    lane = eventful()

    invoice, note = first(lane, Invoice), first(lane, CreditNote)

    assert (invoice["period"], invoice["lines"][0]["month"]) == ("2025-01", "2025-01")
    assert (note["period"], note["shown_in"]) == ("2025-01", "2025-02")


def test_a_dead_letter_keeps_the_original_bytes_and_place() -> None:
    letter = first(eventful(), DeadLetter)

    assert (letter["topic"], letter["key"], letter["value"]) == ("usage-events", b"key", b"value")
    assert letter["headers"] == [{"name": "h", "value": b"1"}, {"name": "n", "value": None}]
    assert (letter["reason"], letter["account_id"]) == ("no_price", "acme")


def test_a_dead_letter_of_a_profile_holds_nothing_of_it() -> None:
    where = origin(START, "account-profiles")
    letter = DeadLetter(
        origin=where, reason=Reason.UNDECODABLE, detail="d", account_id=None, rejected_at=None
    )

    record = outputs.record_of(letter).record

    assert (record["offset"], record["key"]) == (where.offset, b"key")
    assert (record["value"], record["headers"]) == (None, [])


def test_input_records_become_their_events() -> None:
    where = origin(START)
    top_up = {
        "enabled": True,
        "threshold_minor": 2_000,
        "amount_minor": 5_000,
        "target_minor": None,
        "monthly_limit_minor": None,
        "payment_method_ref": "card-1",
        "consent": {"given_by": "u1", "given_at": START, "text_version": "v1"},
        "resumes": 0,
    }
    record = {
        "account_id": "acme",
        "revision": 3,
        "currency": "USD",
        "zone": "UTC",
        "tax_rates": [{"valid_from": 0, "rate": money("0.19")}],
        "automatic_top_up": top_up,
        "warning_level_minor": 5,
        "overdraft_minor": 0,
        "closed": False,
        "changed_at": START,
        "changed_by": "op",
    }

    event = events.event_of("account-settings", record, where)

    assert event == settings(
        3,
        tax_rates=(TaxRate(0, money("0.19")),),
        automatic_top_up=auto(consent=Consent(given_by="u1", given_at=START, text_version="v1")),
        warning_level_minor=5,
        origin=where,
    )


@pytest.mark.parametrize(
    ("record_type", "record"),
    [
        ("usage-event", {"source": "s", "event_id": "e", "meter": "m", "quantity": 5, "occurred_at": START}),
        (
            "payment-event",
            {
                "payment_id": "p",
                "kind": "succeeded",
                "amount_minor": 5,
                "currency": "USD",
                "occurred_at": START,
            },
        ),
        ("tick", {"time": START, "ticker": "t"}),
        (
            "adjustment",
            {
                "adjustment_id": "a",
                "kind": "credit",
                "amount": 5,
                "currency": "USD",
                "reason": "r",
                "author": "o",
                "occurred_at": START,
            },
        ),
        (
            "account-profile",
            {"name": "n", "address": ["1"], "country": "US", "email": "e@x.example", "language": "en"},
        ),
        (
            "price",
            {
                "meter": "m",
                "currency": "USD",
                "version": 1,
                "unit": "u",
                "valid_from": 0,
                "model": "graduated",
                "tiers": [{"up_to": 5, "unit_price": 1}, {"unit_price": 2}],
            },
        ),
    ],
)
def test_every_input_type_is_decoded_from_its_wire_bytes(record_type: str, record: dict[str, Any]) -> None:
    schemas = wire.fixed()
    full = record if record_type in {"tick", "price"} else {"account_id": "acme", **record}
    fields = wire.definition(record_type)["fields"]
    full = {f["name"]: f["default"] for f in fields if "default" in f} | full
    if record_type == "price":
        full["tiers"] = [{"up_to": None} | tier for tier in full["tiers"]]

    _, decoded = schemas.decode(schemas.codec(record_type).encode(full), record_type)
    event = events.event_of(record_type, decoded, origin(START))

    if isinstance(event, PricePublished):
        assert event.price.tiers == (Tier(5, 1), Tier(None, 2))
    elif isinstance(event, ProfileChanged):
        assert event.profile.address == ("1",)
    else:
        assert event.origin.timestamp == START


def test_payment_kinds_are_those_of_the_schema() -> None:
    kind = next(f for f in wire.definition("payment-event")["fields"] if f["name"] == "kind")

    assert [k.value for k in PaymentKind] == kind["type"]["symbols"]

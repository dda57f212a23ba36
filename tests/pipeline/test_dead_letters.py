"""`evergreen dead-letters` and `evergreen account` on a real broker, through real lanes."""

import json
import re
from typing import Any

import pytest

from producers.records import Tier
from schemas.wire import Record
from tests.pipeline.deployment import Deploy, Deployment

pytestmark = pytest.mark.kafka
ONE = 10**12


@pytest.fixture
def shop(deploy: Deploy) -> Deployment:
    """A deployment with one worker, in the middle of 2024."""
    made = deploy(max_age_days=35)
    made.worker()
    made.emit.settings(
        account_id="acme",
        revision=1,
        currency="USD",
        zone="UTC",
        changed_at="2024-06-01T00:00Z",
        changed_by="user-1",
    )
    made.tick("2024-06-01T00:00Z")
    return made


def usage(shop: Deployment, event_id: str, **changes: Any) -> None:
    values: dict[str, Any] = {
        "account_id": "acme",
        "source": "api",
        "event_id": event_id,
        "meter": "calls",
        "quantity": "10",
        "occurred_at": "2024-06-02T00:00Z",
    }
    shop.emit.usage(**(values | changes))


def price(shop: Deployment, **changes: Any) -> None:
    values: dict[str, Any] = {
        "meter": "calls",
        "currency": "USD",
        "version": 1,
        "unit": "call",
        "valid_from": "2024-01-01T00:00Z",
        "tiers": [Tier(unit_price="0.5")],
        "late": True,
    }
    shop.emit.price(**(values | changes))


def listed(shop: Deployment, *filters: str) -> list[Record]:
    said = shop.run("dead-letters", "list", "--json", *filters)
    assert said.returncode == 0, said.stderr
    found: list[Record] = json.loads(said.stdout)
    return found


def replay(shop: Deployment, *filters: str) -> str:
    said = shop.run("dead-letters", "replay", "--yes", *filters)
    assert said.returncode == 0, said.stderr
    return said.stdout


def charges(shop: Deployment) -> list[tuple[str, int]]:
    return sorted(
        (entry["event_id"], -entry["amount"])
        for entry in shop.records("ledger-entries")
        if entry["kind"] == "charge"
    )


def test_usage_without_a_price_is_charged_once_when_it_is_replayed_after_the_price(shop: Deployment) -> None:
    usage(shop, "e1")
    usage(shop, "e2")
    shop.tick("2024-06-03T00:00Z")
    too_early = replay(shop)
    price(shop)
    shop.settle()

    dry = shop.run("dead-letters", "replay", "--dry-run", "--reason", "no_price").stdout
    once = replay(shop, "--reason", "no_price")
    shop.tick("2024-06-04T00:00Z")
    twice = replay(shop, "--reason", "no_price")
    shop.tick("2024-06-05T00:00Z")

    assert too_early.count("calls still has no price at its time") == 2
    assert "2 letters to send again, 0 to book as an adjustment, 0 left out" in dry
    assert "sent 2 records again" in once
    assert twice.count("was sent again already and has not died since") == 2
    assert charges(shop) == [("e1", 5 * ONE), ("e2", 5 * ONE)]
    assert [letter["now"] for letter in listed(shop)] == ["sent again", "sent again"]
    shop.verify()


def test_a_record_in_the_wrong_partition_goes_to_the_right_one_with_its_headers(shop: Deployment) -> None:
    price(shop)
    usage(shop, "other", account_id="witness")
    shop.settle()
    value = shop.schemas.codec("usage-event").encode(
        {
            "account_id": "acme",
            "source": "api",
            "event_id": "e1",
            "meter": "calls",
            "quantity": 10 * ONE,
            "occurred_at": 1_717_200_000_000,
        }
    )
    wrong = 1 - shop.lane("acme")
    shop.send("usage-events", b"acme", value, wrong, headers=(("ce_type", b"x"), ("bin", b"\xff")))
    shop.settle()
    (letter,) = listed(shop)

    said = replay(shop, "--account", "acme")
    shop.tick("2024-06-03T00:00Z")

    assert letter["reason"] == "wrong_partition"
    assert f"{letter['letter']} (wrong_partition) to partition {shop.lane('acme')}" in said
    (again,) = [
        read for read in shop.read("usage-events") if read.partition == shop.lane("acme") and read.headers
    ]
    assert (again.key, again.value) == (b"acme", value)
    assert again.headers == (
        ("ce_type", b"x"),
        ("bin", b"\xff"),
        ("evergreen-replay-of", letter["letter"].encode()),
    )
    assert ("e1", 5 * ONE) in charges(shop)
    shop.verify()


def test_a_letter_that_dies_again_is_a_new_letter_that_stands_for_the_first(shop: Deployment) -> None:
    usage(shop, "e1")
    shop.tick("2024-06-03T00:00Z")
    price(shop, currency="EUR")  # a price, but not in the account's currency
    shop.settle()

    replay(shop)
    shop.tick("2024-06-04T00:00Z")
    first, second = listed(shop)
    price(shop)
    shop.settle()
    said = replay(shop)
    shop.tick("2024-06-05T00:00Z")

    assert (first["now"], first["died_again_as"]) == ("died again", second["letter"])
    assert (second["now"], second["replay_of"]) == ("open", first["letter"])
    assert f"died again as {second['letter']}, which stands for it" in said
    assert charges(shop) == [("e1", 5 * ONE)]
    assert [letter["now"] for letter in listed(shop)] == ["died again", "sent again"]
    shop.verify()


def test_usage_past_the_forget_line_is_booked_once_as_a_debit_that_names_it(shop: Deployment) -> None:
    usage(shop, "late-1", quantity="2")
    usage(shop, "late-2", quantity="3")
    usage(shop, "charged", quantity="4", meter="mails")
    shop.tick("2024-06-03T00:00Z")  # all three are dead
    price(shop, model="graduated", tiers=[Tier(up_to="4", unit_price="1"), Tier(unit_price="0.5")])
    price(shop, meter="mails")
    shop.settle()
    usage(shop, "charged", quantity="4", meter="mails")  # its emitter sends one of them again, in time
    shop.tick("2024-06-04T00:00Z")
    shop.tick("2024-08-01T00:00Z")

    once = replay(shop)
    shop.tick("2024-08-01T01:00Z")
    twice = replay(shop)
    shop.tick("2024-08-01T02:00Z")

    assert "0 letters to send again, 2 to book as an adjustment, 1 left out" in once
    assert "was charged after all" in once
    assert twice.count("is booked already, as adjustment unpriced-") == 2
    debits = [entry for entry in shop.records("ledger-entries") if entry["kind"] == "debit"]
    assert [-entry["amount"] for entry in debits] == [2 * ONE, 2 * ONE + ONE // 2]  # P(2), P(5) - P(2)
    assert (
        "2 call of calls in 2024-06, event late-1 from api, at price version 1, without tax"
        in (debits[0]["reason"])
    )
    assert charges(shop) == [("charged", 2 * ONE)]
    shop.verify()


def test_what_would_die_again_and_what_could_undo_something_is_left_out(shop: Deployment) -> None:
    account = b"acme"
    shop.send("usage-events", account, b"\x01nonsense", shop.lane("acme"))
    profile = shop.schemas.codec("account-profile").encode(
        {
            "account_id": "acme",
            "name": "Acme",
            "address": ["1 Way"],
            "country": "US",
            "tax_id": None,
            "email": "a@acme.example",
            "language": "en",
        }
    )
    shop.send("account-profiles", account, profile, 1 - shop.lane("acme"))
    shop.settle()

    said = replay(shop)
    hopeless = replay(shop, "--hopeless")
    shop.settle()

    assert "would die of bad_magic again" in said
    assert "it could bring back what was changed or erased since" in said
    assert "sent" not in said.splitlines()[-1]
    assert "sent 1 record again" in hopeless
    reasons = [letter["reason"] for letter in listed(shop)]
    assert sorted(reasons) == ["bad_magic", "bad_magic", "wrong_partition"]
    (open_letter,) = [le for le in listed(shop, "--reason", "bad_magic") if le["now"] == "open"]
    shown = shop.run("dead-letters", "show", open_letter["letter"]).stdout
    assert "9 bytes that do not decode, in hex" in shown
    assert "01 6e 6f 6e 73 65 6e 73 65" in shown
    assert re.search(r"was itself sent again for usage-events-\d-\d+", shown)
    shop.verify()


def test_erasing_an_account_twice_is_erasing_it_once_and_its_invoice_keeps_the_name(shop: Deployment) -> None:
    shop.emit.profile(account_id="acme", name="Acme", address=["1 Way"], country="US", email="a@acme.example")
    price(shop)
    usage(shop, "e1")
    shop.tick("2024-07-01T02:00Z")

    first = shop.run("account", "erase", "acme")
    shop.settle()
    again = shop.run("account", "erase", "acme")
    nobody = shop.run("account", "erase", "nobody")
    usage(shop, "e2", occurred_at="2024-07-02T00:00Z")
    shop.tick("2024-08-01T02:00Z")
    shown = shop.run("account", "show", "acme").stdout

    assert "erased the profile of acme" in first.stdout
    assert "Kept: 1 invoice with the name and address on them" in first.stdout
    assert "acme was erased before: nothing is left to erase" in again.stdout
    assert (again.returncode, nobody.returncode) == (0, 1)
    assert "nothing is known of account 'nobody': nothing was erased" in nobody.stderr
    tombstones = [read for read in shop.read("account-profiles") if read.value is None]
    assert len(tombstones) == 1
    july, august = shop.records("invoices")
    assert (july["customer"]["name"], august["customer"]) == ("Acme", None)
    for words in ("-10.00 USD (exactly -10)", "suspended", "profile", "erased", "invoice acme-000002"):
        assert words in shown
    shop.verify()

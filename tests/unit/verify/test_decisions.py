"""The check decides each input by itself: with another outcome invariant 8 is broken."""

from collections.abc import Callable

import pytest

from tests.unit.verify.history import (
    LANES,
    Content,
    History,
    account_settings,
    adjustment,
    at,
    payment,
    pico,
    settings,
    usage,
)
from verify.check import check
from verify.partitions import partition_of
from verify.report import Broken, Place

ACME, NEW = "acme", "bravo"
LANE = partition_of(ACME.encode(), 2)
TIER = {"up_to": None, "unit_price": pico("0.01")}
EUR_PRICE: Content = {
    "meter": "api-calls",
    "currency": "EUR",
    "version": 1,
    "valid_from": at("2026-01-01T00:00"),
    "model": "per_unit",
    "tiers": [TIER],
}


def opened() -> History:
    """Return a history in which acme has a price and settings, at the lane's time of 10 January."""
    h = History()
    h.price(**EUR_PRICE)
    h.input("account-settings", "applied", account_settings(ACME))
    h.commit_all()
    h.tick("2026-01-10T00:00")
    h.commit_all()
    return h


def eight_holds(h: History, **changes: str) -> bool:
    """Return whether every input became what it must become."""
    h.commit_all()
    return 8 not in check(h.topics, settings(**changes)).failing()


# Dead letters: (reason, how the record comes)

Input = Callable[[History], Place]


def sent(topic: str, content: Content, timestamp: int | None = None) -> Input:
    """Return how a record of acme comes that must be dead."""
    return lambda h: h.input(topic, "dead", content, timestamp)


def raw(
    value: bytes | None, key: bytes | None = b"acme", topic: str = "usage-events", lane: int = LANE
) -> Input:
    """Return how bytes come that must be dead."""
    return lambda h: h.raw(topic, lane, value, key, "dead")


def good_bytes(**changes: object) -> bytes:
    """Return the bytes of a good usage event of acme."""
    return History().encode("usage-events", {**usage(ACME, "u1", "1", "2026-01-10T00:00"), **changes})


def after(first: Callable[[History], object], then: Input) -> Input:
    """Return how a record comes after others."""

    def come(h: History) -> Place:
        first(h)
        return then(h)

    return come


def price(h: History, lane: int = LANE, **changes: object) -> Place:
    """Put a price into one lane only."""
    content = {
        **EUR_PRICE,
        "late": False,
        "package_size": None,
        "free_allowance": None,
        "unit": "call",
        **changes,
    }
    key = f"{content['meter']}/{content['currency']}/{content['version']}".encode()
    return h.take(h.put("prices", lane, content, key, at("2026-01-10T00:00")), "dead")


def used(h: History) -> None:
    """Let acme have a booking."""
    h.input("usage-events", "applied", usage(ACME, "u1", "1", "2026-01-10T00:00"))


def paid(h: History) -> None:
    """Let acme have paid 20.00."""
    h.input("payment-events", "applied", payment(ACME, "p1", "succeeded", 2000, "2026-01-10T00:00"))


def refund(minor: int, reference: str = "r1") -> Content:
    """Return a refund of acme's payment."""
    return payment(ACME, "p1", "refunded", minor, "2026-01-10T00:00", reference=reference)


def credit(amount: str, **changes: object) -> Content:
    """Return a credit of acme."""
    return {**adjustment(ACME, "a1", "credit", amount, "2026-01-10T00:00"), **changes}


NOON = at("2026-01-10T12:00")
DEAD: list[tuple[str, Input]] = [
    ("null_value", raw(None)),
    ("null_key", raw(good_bytes(), key=None)),
    ("bad_magic", raw(b"\x01" + good_bytes()[1:])),
    ("unknown_schema", raw(b"\x00\x00\x00\x00\x63" + good_bytes()[5:])),
    ("wrong_schema", raw(b"\x00\x00\x00\x00\x02" + good_bytes()[5:])),
    ("truncated", raw(good_bytes()[:-3])),
    ("truncated", raw(b"\x00")),
    ("trailing_bytes", raw(good_bytes() + b"x")),
    ("bad_key", raw(good_bytes(), key=b"\xff\xfe")),
    ("key_mismatch", raw(good_bytes(account_id="other"))),
    ("wrong_partition", raw(good_bytes(), lane=1 - LANE)),
    ("negative_quantity", sent("usage-events", usage(ACME, "u1", "-1", "2026-01-10T00:00"))),
    ("from_the_future", sent("usage-events", usage(ACME, "u1", "1", "2026-01-10T12:05:00.001"), NOON)),
    ("too_old", sent("usage-events", usage(ACME, "u1", "1", "2025-12-05T23:59:59.999"))),
    ("id_conflict", after(used, sent("usage-events", usage(ACME, "u1", "2", "2026-01-10T00:00")))),
    ("bad_settings", sent("account-settings", account_settings(ACME, 2, zone="Mars/Olympus"))),
    ("bad_settings", sent("account-settings", account_settings(ACME, 2, currency="XYZ"))),
    ("bad_settings", sent("account-settings", account_settings(ACME, 2, overdraft_minor=-1))),
    ("currency_mismatch", after(used, sent("account-settings", account_settings(ACME, 2, currency="USD")))),
    ("price_conflict", lambda h: price(h, tiers=[{**TIER, "unit_price": 1}])),
    ("late_price", lambda h: price(h, version=2, valid_from=at("2026-01-10T00:09:59.999"))),
    ("bad_price", lambda h: price(h, version=2, valid_from=NOON, tiers=[])),
    ("bad_price", lambda h: price(h, version=2, valid_from=NOON, tiers=[TIER, TIER])),
    ("bad_price", lambda h: price(h, version=2, valid_from=NOON, model="package")),
    ("bad_payment", sent("payment-events", payment(ACME, "p1", "succeeded", 0, "2026-01-10T00:00"))),
    ("bad_payment", sent("payment-events", payment(ACME, "p1", "refunded", -1, "2026-01-10T00:00"))),
    (
        "currency_mismatch",
        sent("payment-events", payment(ACME, "p1", "succeeded", 1, "2026-01-10T00:00", currency="USD")),
    ),
    ("refund_exceeds_payment", after(paid, sent("payment-events", refund(2001)))),
    ("bad_adjustment", sent("adjustments", credit("0"))),
    ("currency_mismatch", sent("adjustments", credit("1", currency="USD"))),
    (
        "adjustment_conflict",
        after(lambda h: h.input("adjustments", "applied", credit("1")), sent("adjustments", credit("2"))),
    ),
]


@pytest.mark.parametrize(("reason", "come"), DEAD)
def test_what_cannot_be_applied_is_a_dead_letter_with_its_reason(reason: str, come: Input) -> None:
    h = opened()

    place = come(h)
    h.dead(place, reason)

    assert broken_of_eight(h) == []


@pytest.mark.parametrize(("reason", "come"), DEAD)
def test_what_cannot_be_applied_and_is_no_dead_letter_is_found(reason: str, come: Input) -> None:
    h = opened()

    place = come(h)

    assert [(found.place, reason in found.expected) for found in broken_of_eight(h)] == [(place, True)]


def broken_of_eight(h: History) -> list[Broken]:
    """Return what invariant 8 finds, adjustments without an entry aside: no entry is written here."""
    h.commit_all()
    [eighth] = [found for found in check(h.topics, settings()).checks if found.number == 8]
    return [found for found in eighth.broken if "adjustment" not in found.rule]


# What is applied, waits, or is a duplicate


def each_outcome(h: History, outcomes: list[str], topic: str, content: Content, **more: int) -> bool:
    """Return whether invariant 8 holds with each of these outcomes, one after the other."""
    for outcome in outcomes:
        h.input(topic, outcome, content, **more)
    return broken_of_eight(h) == []


def test_five_minutes_ahead_and_just_above_the_forget_line_are_in_time() -> None:
    h = opened()

    h.input("usage-events", "applied", usage(ACME, "u1", "1", "2026-01-10T12:05"), NOON)
    h.input("usage-events", "applied", usage(ACME, "u2", "1", "2025-12-06T00:00"))
    # there is no price before 1 January: it waits
    h.counts[LANE].update(applied=1, waiting=1)

    assert broken_of_eight(h) == []


def test_a_second_copy_is_a_duplicate_also_while_the_first_waits() -> None:
    h = opened()

    assert each_outcome(
        h, ["applied", "duplicate"], "usage-events", usage(ACME, "u1", "1", "2026-01-10T00:00")
    )
    event = usage(NEW, "u1", "1", "2026-01-10T00:00")
    assert each_outcome(h, ["waiting", "duplicate"], "usage-events", event)


def test_usage_waits_for_its_account_and_is_applied_when_the_settings_come() -> None:
    h = opened()

    h.input("usage-events", "waiting", usage(NEW, "u1", "1", "2026-01-10T00:00"))
    h.commit_all()
    h.input("account-settings", "applied", account_settings(NEW))
    h.settle(NEW, "settled_applied")

    assert broken_of_eight(h) == []


def test_what_waits_and_is_settled_in_one_commit_counts_as_both() -> None:
    h = opened()

    h.input("usage-events", "waiting", usage(NEW, "u1", "1", "2026-01-10T00:00"))
    h.input("account-settings", "applied", account_settings(NEW))
    h.settle(NEW, "settled_applied")

    assert broken_of_eight(h) == []


def test_usage_without_a_price_dies_at_the_next_tick_and_can_be_sent_again_once_priced() -> None:
    h = opened()
    event = usage(ACME, "g1", "1", "2026-01-10T00:00", meter="gold")

    place = h.input("usage-events", "waiting", event)
    h.commit_all()
    h.tick("2026-01-10T00:01")
    h.settle(ACME, "settled_dead")
    h.dead(place, "no_price")
    h.commit_all()
    h.price(**{**EUR_PRICE, "meter": "gold"}, late=True)
    h.input("usage-events", "applied", event)

    assert broken_of_eight(h) == []


def test_an_event_that_waited_for_nothing_is_found() -> None:
    h = opened()

    h.input("usage-events", "waiting", usage(ACME, "u1", "1", "2026-01-10T00:00"))

    assert {found.rule for found in broken_of_eight(h)} == {
        "how many records of a commit count as applied",
        "how many records of a commit count as waiting",
    }


def test_a_revision_that_is_not_above_the_last_is_a_duplicate() -> None:
    h = opened()

    h.input("account-settings", "applied", account_settings(ACME, 3))
    h.input("account-settings", "duplicate", account_settings(ACME, 2))
    h.input("account-settings", "duplicate", account_settings(ACME, 3))

    assert broken_of_eight(h) == []


def test_a_price_marked_as_late_is_applied_and_the_same_price_again_is_a_duplicate() -> None:
    h = opened()

    late = {**EUR_PRICE, "version": 2, "valid_from": at("2026-01-05T00:00")}
    h.price(**late, late=True)
    h.price("duplicate", **late, late=True)
    h.price("duplicate", **EUR_PRICE)

    assert broken_of_eight(h) == []


def test_a_payment_is_applied_once_and_a_refund_waits_for_it() -> None:
    h = opened()
    success = payment(ACME, "p1", "succeeded", 2000, "2026-01-10T00:00")

    h.input("payment-events", "waiting", refund(500))
    h.input("payment-events", "duplicate", refund(500))
    too_much = h.input("payment-events", "waiting", refund(1600, "r2"))
    h.commit_all()
    h.input("payment-events", "applied", success)
    h.input("payment-events", "duplicate", success)
    h.settle(ACME, "settled_applied")
    h.settle(ACME, "settled_dead")
    h.dead(too_much, "refund_exceeds_payment")

    assert broken_of_eight(h) == []


def test_a_refund_that_waited_while_the_currency_changed_is_dead() -> None:
    h = opened()

    dead = h.input("payment-events", "waiting", refund(500))
    h.commit_all()
    h.input("account-settings", "applied", {**account_settings(ACME, 2), "currency": "USD"})
    h.input(
        "payment-events",
        "applied",
        payment(ACME, "p1", "succeeded", 2000, "2026-01-10T00:00", currency="USD"),
    )
    h.settle(ACME, "settled_dead")
    h.dead(dead, "currency_mismatch")

    assert broken_of_eight(h) == []


def test_a_dispute_is_won_after_it_was_made() -> None:
    h = opened()
    when = "2026-01-10T00:00"

    paid(h)
    h.input("payment-events", "waiting", payment(ACME, "p1", "dispute_won", 700, when, reference="d1"))
    h.commit_all()
    h.input("payment-events", "applied", payment(ACME, "p1", "disputed", 700, when, reference="d1"))
    h.settle(ACME, "settled_applied")

    assert broken_of_eight(h) == []


def test_what_was_won_back_can_be_disputed_again() -> None:
    h = opened()
    when = "2026-01-10T00:00"

    paid(h)
    h.input("payment-events", "applied", payment(ACME, "p1", "disputed", 1500, when, reference="d1"))
    h.input("payment-events", "applied", payment(ACME, "p1", "dispute_won", 1500, when, reference="d1"))
    h.input("payment-events", "applied", payment(ACME, "p1", "disputed", 1900, when, reference="d2"))

    assert broken_of_eight(h) == []


def test_money_for_an_unknown_account_waits_for_a_tick_that_opens_it() -> None:
    h = opened()

    h.input(
        "payment-events", "waiting", payment(NEW, "p1", "succeeded", 1, "2026-01-10T00:00", currency="USD")
    )
    dead = h.input("adjustments", "waiting", {**credit("1"), "account_id": NEW})
    h.commit_all()
    h.tick("2026-01-10T00:01")
    h.settle(NEW, "settled_applied")
    h.settle(NEW, "settled_dead")
    h.dead(dead, "currency_mismatch")

    assert broken_of_eight(h) == []


def test_a_tick_never_moves_time_back_and_one_too_far_ahead_is_dead_where_the_clock_is_real() -> None:
    h = opened()

    h.tick("2026-01-09T00:00", "duplicate")

    assert broken_of_eight(h) == []
    assert eight_holds(h, clock="auto")
    ahead = {"time": at("2026-01-10T01:00"), "ticker": "t"}
    h.take(h.put("clock-ticks", LANE, ahead, b"t", at("2026-01-10T00:58:59.999")), "dead")
    h.commit_all()
    assert not eight_holds(h, clock="auto")
    h.dead(Place("clock-ticks", LANE, 2), "tick_ahead")
    assert eight_holds(h, clock="auto")
    assert not eight_holds(h, clock="manual")


def test_the_forget_line_stays_where_the_greatest_tick_put_it() -> None:
    h = opened()

    h.tick("2026-03-10T00:00")
    h.tick("2026-01-11T00:00", "duplicate")
    h.dead(h.input("usage-events", "dead", usage(ACME, "u1", "1", "2026-02-02T23:00")), "too_old")

    assert broken_of_eight(h) == []


def test_an_erased_profile_has_no_value() -> None:
    h = opened()

    h.raw("account-profiles", LANE, None, b"acme", "applied")

    assert broken_of_eight(h) == []


def test_profiles_that_compaction_took_away_are_still_accounted_for() -> None:
    h = opened()
    for _ in range(3):
        h.raw("account-profiles", LANE, None, b"acme", "applied")
    h.commit_all()

    del h.topics.log("account-profiles", LANE).records[:2]

    assert broken_of_eight(h) == []


def reversal(event_id: str, account_id: str = ACME, **changes: object) -> Content:
    """Return a reversal of a usage event of 1 call."""
    used = usage(account_id, event_id, "1", "2026-01-10T00:00")
    del used["account_id"]
    told = credit("1", account_id=account_id, adjustment_id=f"r-{event_id}", kind="reversal")
    return {**told, "amount": None, "usage": used, **changes}


def test_a_reversal_waits_for_its_event_and_is_dead_at_the_tick_without_it() -> None:
    h = opened()

    h.input("adjustments", "waiting", reversal("u1"))
    lost = h.input("adjustments", "waiting", reversal("u2"))
    nobodys = h.input("adjustments", "waiting", reversal("u3", NEW))
    h.commit_all()
    h.input("usage-events", "applied", usage(ACME, "u1", "1", "2026-01-10T00:00"))
    h.settle(ACME, "settled_applied")
    h.commit_all()
    h.tick("2026-01-10T00:01")
    h.settle(ACME, "settled_dead")
    h.settle(NEW, "settled_dead")
    h.dead(lost, "unknown_event")
    h.dead(nobodys, "unknown_event")

    assert broken_of_eight(h) == []


def test_a_reversal_that_names_an_amount_or_takes_back_twice_is_dead() -> None:
    h = opened()
    h.input("usage-events", "applied", usage(ACME, "u1", "1", "2026-01-10T00:00"))
    h.input("adjustments", "applied", reversal("u1"))

    priced = h.input("adjustments", "dead", reversal("u1", adjustment_id="r2", amount=1))
    again = h.input("adjustments", "dead", reversal("u1", adjustment_id="r3"))
    h.dead(priced, "bad_adjustment")
    h.dead(again, "already_reversed")

    assert broken_of_eight(h) == []


def test_a_late_price_is_told_by_its_own_record_where_the_clock_is_real() -> None:
    h = opened()
    early, late = at("2026-01-05T00:00"), at("2026-01-05T00:00:00.001")
    price = {"late": False, "package_size": None, "free_allowance": None, "unit": "call", **EUR_PRICE}

    for version, published, outcome in ((2, early, "applied"), (3, late, "dead")):
        content = {**price, "version": version, "valid_from": at("2026-01-05T00:10")}
        key = f"{price['meter']}/{price['currency']}/{version}".encode()
        places = [h.take(h.put("prices", lane, content, key, published), outcome) for lane in range(LANES)]
        for place in places if outcome == "dead" else []:
            h.dead(place, "late_price")

    assert eight_holds(h, clock="auto")
    assert not eight_holds(h, clock="manual")


def test_a_decline_for_an_unknown_account_waits_for_it_once() -> None:
    h = opened()
    declined = payment(NEW, "p1", "failed", 2000, "2026-01-10T00:00")

    h.input("payment-events", "waiting", declined)
    h.input("payment-events", "duplicate", declined)
    h.commit_all()
    h.input("account-settings", "applied", account_settings(NEW))
    h.settle(NEW, "settled_applied")

    assert broken_of_eight(h) == []


def test_what_a_tick_settles_is_judged_by_the_forget_line_of_before() -> None:
    h = opened()

    place = h.input("adjustments", "waiting", reversal("u1"))
    h.commit_all()
    h.tick("2026-06-01T00:00")
    h.dead(place, "unknown_event")
    h.settle(ACME, "settled_dead")

    assert broken_of_eight(h) == []

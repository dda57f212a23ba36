"""A tick settles what stood in the inputs when it was read: the journal tells that, and must be plausible."""

from collections.abc import Callable

import pytest

from tests.unit.verify.history import Content, adjustment, payment, settings, usage
from tests.unit.verify.test_decisions import ACME, EUR_PRICE, LANE, NEW, broken_of_eight, opened, reversal
from verify.check import check

GOLD = usage(ACME, "g1", "1", "2026-01-10T00:00", meter="gold")
FOLDED_BEFORE = "what stood in the inputs when a tick was read is folded before it"
NEVER_BACK = "where inputs stand is asked anew for a tick, and never goes back"
TOLD = "a commit tells where each other input stood if it acted on a tick, and only then"


def test_what_came_after_a_tick_was_read_waits_for_the_next() -> None:
    h = opened()

    first = h.input("usage-events", "waiting", GOLD)
    h.ask()
    second = h.input("usage-events", "waiting", {**GOLD, "event_id": "g2"})
    h.tick("2026-01-10T00:01")
    h.settle(ACME, "settled_dead")
    h.dead(first, "no_price")
    h.commit_all()
    h.tick("2026-01-10T00:02")
    h.settle(ACME, "settled_dead")
    h.dead(second, "no_price")

    assert broken_of_eight(h) == []


def test_what_a_tick_should_not_have_settled_yet_is_found() -> None:
    h = opened()

    h.ask()
    place = h.input("usage-events", "waiting", GOLD)
    h.tick("2026-01-10T00:01")
    h.settle(ACME, "settled_dead")
    h.dead(place, "no_price")

    assert {found.rule for found in broken_of_eight(h)} >= {
        "how many records of a commit count as settled_dead"
    }


def test_the_ticks_of_one_commit_settle_the_same() -> None:
    h = opened()

    h.ask()
    h.input("usage-events", "waiting", GOLD)
    h.tick("2026-01-10T00:01")
    h.tick("2026-01-10T00:02")

    assert broken_of_eight(h) == []


def test_what_came_too_late_for_the_tick_that_opened_its_account_is_not_tried_by_another_meters_price() -> (
    None
):
    h = opened()
    when = "2026-01-10T00:00"

    h.input("payment-events", "waiting", payment(NEW, "p1", "succeeded", 1, when, currency="USD"))
    h.ask()
    h.input("payment-events", "waiting", payment(NEW, "p2", "succeeded", 1, when, currency="USD"))
    h.tick("2026-01-10T00:01")
    h.settle(NEW, "settled_applied")
    h.commit_all()
    h.price(**{**EUR_PRICE, "meter": "gold"}, late=True)
    h.commit_all()
    h.tick("2026-01-10T00:02")
    h.settle(NEW, "settled_applied")

    assert broken_of_eight(h) == []


def test_a_reversal_outlives_a_tick_while_its_event_waits_itself() -> None:
    h = opened()
    taken = reversal("g1")
    taken["usage"] = {name: GOLD[name] for name in taken["usage"]}

    h.input("adjustments", "waiting", taken)
    h.ask()
    h.input("usage-events", "waiting", GOLD)
    h.tick("2026-01-10T00:01")
    h.commit_all()
    h.price(**{**EUR_PRICE, "meter": "gold"}, late=True)
    h.settle(ACME, "settled_applied")
    h.settle(ACME, "settled_applied")

    assert broken_of_eight(h) == []


# What cannot be true


def moved(topic: str, by: int) -> Callable[[Content], object]:
    """Return how a journal entry tells another offset of an input."""

    def change(entry: Content) -> None:
        [stood] = [stood for stood in entry["stood"] if stood["topic"] == topic]
        stood["offset"] += by

    return change


@pytest.mark.parametrize(
    ("commit", "change", "rule"),
    [
        (3, moved("adjustments", 1), FOLDED_BEFORE),
        (4, moved("adjustments", -2), NEVER_BACK),
        (2, moved("account-settings", 1), FOLDED_BEFORE),
        (3, lambda entry: entry.update(stood=[]), TOLD),
        (3, lambda entry: entry["stood"].pop(), TOLD),
        (3, lambda entry: entry["stood"].append({"topic": "clock-ticks", "offset": 0}), TOLD),
        (3, lambda entry: entry["stood"].append({"topic": "prices", "offset": 0}), TOLD),
        (1, lambda entry: entry.update(stood=[{"topic": "prices", "offset": 0}]), TOLD),
    ],
)
def test_offsets_that_cannot_have_been_asked_are_found(
    commit: int, change: Callable[[Content], object], rule: str
) -> None:
    h = opened()
    h.input("adjustments", "applied", adjustment(ACME, "a1", "credit", "1", "2026-01-10T00:00"))
    h.tick("2026-01-10T00:01")
    h.commit_all()
    h.input("adjustments", "applied", adjustment(ACME, "a2", "credit", "1", "2026-01-10T00:00"))
    h.tick("2026-01-10T00:02")
    h.commit_all()

    h.edit("lane-journal", {"lane": LANE, "commit": commit}, change)

    assert {found.rule for found in broken_of_eight(h)} >= {rule}


def test_a_tick_that_does_not_cover_what_the_last_one_was_acted_on_after_is_found() -> None:
    h = opened()
    h.input("adjustments", "applied", adjustment(ACME, "a1", "credit", "1", "2026-01-10T00:00"))
    h.commit_all()
    h.tick("2026-01-10T00:01")
    h.commit_all()

    h.edit("lane-journal", {"lane": LANE, "commit": 4}, moved("prices", -1))

    assert NEVER_BACK in {found.rule for found in broken_of_eight(h)}


def test_what_is_folded_is_not_known_where_the_journals_head_was_removed() -> None:
    h = opened()
    h.tick("2026-01-10T00:01")
    h.commit_all()
    log = h.topics.log("lane-journal", LANE)

    del log.records[:2]
    log.start = 2

    assert FOLDED_BEFORE not in {found.rule for found in broken_of_eight(h)}


def test_bytes_that_are_no_tick_are_a_barrier_as_well() -> None:
    h = opened()

    h.dead(h.raw("clock-ticks", LANE, b"no", b"t", "dead"), "truncated")
    assert broken_of_eight(h) == []

    h.edit("lane-journal", {"lane": LANE, "commit": 3}, stood=[])
    assert [found.rule for found in broken_of_eight(h)] == [TOLD]
    assert check(h.topics, settings()).checks[7].cases["barriers"] == 3

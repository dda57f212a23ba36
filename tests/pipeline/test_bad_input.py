"""Every kind of bad input on every topic: one dead letter as it came, with its reason, and nothing else."""

from collections import Counter
from dataclasses import dataclass

import pytest

from schemas.wire import Record
from tests.pipeline.bad_inputs import (
    ADJUSTMENTS,
    CASES,
    DAY_MS,
    METER,
    NOON,
    PAYMENTS,
    PRICES,
    SETTINGS,
    USAGE,
    At,
    Bad,
    Sent,
)
from tests.pipeline.deployment import Deploy, Deployment, Read

pytestmark = pytest.mark.kafka

LANES = 3
HEADERS = (("trace", b"\x00\xff"), ("trace", b"again"), ("none", None))
BIG = 900_000
Place = tuple[str, int, int]


def at(number: int) -> At:
    """Return where a case plays."""
    return At(f"case-{number}", LANES)


@dataclass
class Sorted:
    """What became of the bad inputs."""

    deployment: Deployment
    sent: dict[str, tuple[Place, Read]]
    """Bad inputs by their case, as they stand in their topics."""
    at_once: set[Place]
    """Those that were dead letters before the next tick."""
    letters: dict[Place, list[Record]]
    entries: list[Record]


def send(deployment: Deployment, topic: str, lane: int, record: Sent, *, case: str | None = None) -> None:
    headers = () if case is None else (("case", case.encode()), *HEADERS)
    deployment.send(topic, record.key, record.value, lane, headers=headers, timestamp=record.timestamp)


def send_case(deployment: Deployment, case: Bad, place: At) -> None:
    """Send the bad input of a case between two good ones."""
    send(deployment, case.topic, place.lane, place.good(case.topic, "before"))
    *good, bad = case.make(place)
    for record in good:
        send(deployment, case.topic, place.lane, record)
    send(deployment, case.topic, place.lane, bad, case=str(case))
    send(deployment, case.topic, place.lane, place.good(case.topic, "after"))


def dead(deployment: Deployment) -> dict[Place, list[Record]]:
    """Return the dead letters by the place of their original."""
    found: dict[Place, list[Record]] = {}
    for letter in deployment.records("dead-letters"):
        found.setdefault((letter["topic"], letter["partition"], letter["offset"]), []).append(letter)
    return found


@pytest.fixture(scope="module")
def outcome(deploy: Deploy) -> Sorted:
    deployment = deploy(lanes=LANES)
    deployment.worker()
    for lane in range(LANES):
        prices = At("prices", LANES)
        for meter, valid_from in ((METER, NOON - 300 * DAY_MS), ("recent", NOON - DAY_MS)):
            send(deployment, PRICES, lane, prices.sent(PRICES, meter=meter, valid_from=valid_from))
    for number in range(len(CASES)):
        place = at(number)
        send(deployment, SETTINGS, place.lane, place.sent(SETTINGS, revision=1))
    deployment.settle()
    for number in range(len(CASES)):
        send(deployment, USAGE, at(number).lane, at(number).sent(USAGE, event_id="first"))
    deployment.tick("2024-09-15T12:00Z")

    for waits in (False, True):  # those that wait come last: ticks are among the others
        for number, case in enumerate(CASES):
            if (case.reason == "no_price") == waits:
                send_case(deployment, case, at(number))
        deployment.settle()
    at_once = set(dead(deployment))

    deployment.tick("2024-09-15T13:00Z")
    for number in range(len(CASES)):
        send(deployment, USAGE, at(number).lane, at(number).sent(USAGE, event_id="last"))
    deployment.settle()

    sent: dict[str, tuple[Place, Read]] = {}
    for topic in {case.topic for case in CASES}:
        for read in deployment.read(topic):
            for name, value in read.headers:
                if name == "case" and value is not None:
                    sent[value.decode()] = ((topic, read.partition, read.offset), read)
    return Sorted(deployment, sent, at_once, dead(deployment), deployment.records("ledger-entries"))


def test_every_case_has_a_name_of_its_own() -> None:
    assert len({str(case) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_bad_input_is_one_dead_letter_as_it_came_with_its_reason(case: Bad, outcome: Sorted) -> None:
    place, original = outcome.sent[str(case)]

    letters = outcome.letters.get(place, [])

    assert [letter["reason"] for letter in letters] == [case.reason]
    (letter,) = letters
    is_personal = letter["topic"] == "account-profiles"  # stands in its own topic and nowhere else
    assert (letter["key"], letter["value"]) == (original.key, None if is_personal else original.value)
    assert letter["timestamp"] == original.timestamp
    assert tuple((h["name"], h["value"]) for h in letter["headers"]) == (
        () if is_personal else original.headers
    )
    assert letter["detail"]


def test_nothing_but_the_bad_inputs_is_a_dead_letter(outcome: Sorted) -> None:
    bad = {place for place, _ in outcome.sent.values()}

    good = {place: letters for place, letters in outcome.letters.items() if place not in bad}

    assert good == {}


def test_no_bad_input_but_usage_without_a_price_waits_for_a_tick(outcome: Sorted) -> None:
    waited = {case.reason for case in CASES if outcome.sent[str(case)][0] not in outcome.at_once}

    assert waited == {"no_price"}


def test_the_good_inputs_around_a_bad_one_are_booked(outcome: Sorted) -> None:
    booked = Counter(
        (entry["account_id"], entry["event_id"] or entry["payment_id"] or entry["adjustment_id"])
        for entry in outcome.entries
    )

    for number, case in enumerate(CASES):
        account_id = f"case-{number}"
        wanted = ["first", "last"]
        if case.topic in {USAGE, ADJUSTMENTS}:
            wanted += ["good-before", "good-after"]
        elif case.topic == PAYMENTS:
            wanted += [f"{account_id}-good-before", f"{account_id}-good-after"]
        assert {name: booked[account_id, name] for name in wanted} == dict.fromkeys(wanted, 1), case


def test_all_invariants_hold_over_the_bad_inputs(outcome: Sorted) -> None:
    outcome.deployment.verify()


def test_a_value_of_nearly_a_megabyte_is_kept_whole(outcome: Sorted) -> None:
    deployment, place = outcome.deployment, at(0)
    value = b"\x01" * BIG

    deployment.send(USAGE, place.account_id.encode(), value, place.lane)
    deployment.settle()

    assert [letter["value"] for letter in deployment.records("dead-letters")].count(value) == 1

"""The simulated customers: the same seed is the same bytes, and the simulator knows what it sent."""

from collections import Counter
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from producers.disturbances import REASONS
from producers.emissions import EVERY_PARTITION, Emission
from producers.market import DAY_MS
from producers.simulator import Simulation, SimulationError, run
from schemas.wire import WireError, fixed
from streams.partition import partition_of
from streams.topics import ALL

ACCOUNT_TOPICS = {topic.name for topic in ALL if topic.keyed_by_account}
GOLDEN = "b389cfd7e53c87f7e2d64e938df516e2be9c31db732021bd7518eef8c8d82660"
"""Of seed 7, 20 accounts, 1 month. A change here changes every recorded demo: say so in the changelog."""


def small(**changes: Any) -> Simulation:
    return Simulation(**{"seed": 7, "accounts": 20, "months": 1, **changes})


def emissions(simulation: Simulation) -> list[Emission]:
    return [emission for step in simulation.steps() for emission in step.records]


def digest(simulation: Simulation) -> str:
    content = sha256()
    for step in simulation.steps():
        content.update(f"tick {step.tick}\n".encode())
        for emission in step.records:
            content.update(repr(emission).encode() + b"\n")
    return content.hexdigest()


def decoded(emission: Emission, schema: str) -> dict[str, object] | None:
    try:
        return fixed().decode(emission.value or b"", schema)[1]
    except WireError:
        return None


def test_the_same_seed_is_the_same_bytes_for_ever() -> None:
    assert digest(small()) == digest(small()) == GOLDEN


def test_another_seed_is_other_customers() -> None:
    assert digest(small()) != digest(small(seed=8))


def test_one_more_customer_changes_nothing_about_the_others() -> None:
    def of_first_twenty(accounts: int) -> Counter[Emission]:
        return Counter(
            emission
            for emission in emissions(small(accounts=accounts))
            if emission.key and emission.key.startswith(b"sim-000") and emission.key < b"sim-00020"
            if b"disturbance" not in (emission.value or b"")
        )

    few, more = of_first_twenty(20), of_first_twenty(40)

    # Disturbances pick among all customers: a conflicting copy or empty value may go to another one.
    assert sum(((few - more) + (more - few)).values()) <= 2 * len(small().ticks)
    assert sum((few & more).values()) > 1_500


def test_more_ticks_a_day_change_nothing_about_what_customers_do() -> None:
    def by_customers(simulation: Simulation) -> set[bytes]:
        return {
            emission.value
            for emission in emissions(simulation)
            if emission.topic not in {"usage-events", "prices"}
            if emission.value and b"disturbance" not in emission.value
        }

    assert by_customers(small()) == by_customers(small(ticks_per_day=4))


def test_what_is_expected_is_what_the_bytes_say() -> None:
    simulation = small()

    seen: Counter[bytes] = Counter()
    for emission in emissions(simulation):
        event = decoded(emission, "usage-event")
        if event and event["source"] != "disturbance" and emission.value:
            seen[emission.value] += 1
    expected = simulation.expected()

    conflicts = expected.dead_letters["id_conflict"]
    assert len(seen) - conflicts == expected.usage
    assert seen.total() - len(seen) == expected.usage_duplicates
    assert expected.usage_duplicates > 0
    assert expected.usage_late > 0


def test_every_reason_for_a_dead_letter_occurs_within_a_month() -> None:
    assert set(small().expected().dead_letters) == set(REASONS)


def test_a_deployment_of_one_lane_has_no_wrong_partition() -> None:
    assert "wrong_partition" not in small(lanes=1).expected().dead_letters


def test_bad_bytes_are_bad_in_the_way_that_is_expected() -> None:
    found: Counter[str] = Counter()
    for emission in emissions(small(months=3)):
        if emission.topic == "usage-events" and emission.value is not None:
            try:
                fixed().decode(emission.value, "usage-event")
            except WireError as e:
                found[e.reason] += 1

    expected = small(months=3).expected().dead_letters
    assert found == {reason: expected[reason] for reason in found}
    assert set(found) == {"bad_magic", "truncated", "unknown_schema", "wrong_schema", "trailing_bytes"}


def test_keys_partitions_and_accounts_disagree_only_where_expected() -> None:
    null_keys = wrong_partitions = mismatches = 0
    simulation = small(months=3)
    for emission in emissions(simulation):
        if emission.topic not in ACCOUNT_TOPICS:
            assert emission.partition == EVERY_PARTITION
            continue
        if emission.key is None:
            null_keys += 1
            assert emission.partition in range(4)
            continue
        if emission.partition is not None:
            wrong_partitions += emission.partition != partition_of(emission.key, 4)
        event = decoded(emission, "usage-event")
        mismatches += event is not None and str(event["account_id"]).encode() != emission.key

    expected = simulation.expected().dead_letters
    assert (null_keys, wrong_partitions) == (expected["null_key"], expected["wrong_partition"])
    assert mismatches == expected["key_mismatch"] + expected["bad_key"]


def test_usage_arrives_after_it_occurred_and_before_it_is_forgotten() -> None:
    simulation = small(months=3)
    arrived_late = 0
    before = simulation.start
    for step in simulation.steps():
        for emission in step.records:
            event = decoded(emission, "usage-event")
            if event and event["source"] != "disturbance":
                occurred_at = event["occurred_at"]
                assert isinstance(occurred_at, int)
                assert before - 34 * DAY_MS < occurred_at < step.tick
                arrived_late += occurred_at < before - DAY_MS
        before = step.tick
    assert arrived_late > 20


def test_a_month_closes_after_its_grace_in_every_zone() -> None:
    closes = [step.tick for step in Simulation(accounts=1, months=1).steps() if step.closes]

    assert [datetime.fromtimestamp(tick // 1000, UTC).isoformat() for tick in closes] == [
        "2024-09-30T16:30:00+00:00",  # Tokyo
        "2024-09-30T23:30:00+00:00",  # Berlin
        "2024-10-01T01:30:00+00:00",  # UTC
        "2024-10-01T05:30:00+00:00",  # New York
    ]


def test_the_demos_simulation_has_about_fifty_thousand_usage_events_in_about_a_hundred_steps() -> None:
    expected = Simulation().expected()

    assert 40_000 < expected.usage < 60_000
    assert 0.005 < expected.usage_duplicates / expected.usage < 0.015
    assert expected.ticks < 110


@pytest.mark.parametrize(
    "changes", [{"accounts": 0}, {"months": 0}, {"lanes": 0}, {"ticks_per_day": 25}, {"max_age_days": 5}]
)
def test_what_makes_no_simulation_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(SimulationError):
        small(**changes)


def test_a_simulation_starts_with_a_month() -> None:
    with pytest.raises(SimulationError, match="first of a month"):
        Simulation(start=datetime(2024, 9, 2, tzinfo=UTC))


class Recorder:
    """Takes the emitter's place and writes down what is asked of it."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def emit(self, emission: Emission) -> None:
        if self.log[-1:] != ["emit"]:
            self.log.append("emit")

    def flush(self) -> None:
        self.log.append("flush")

    def tick(self, time: datetime) -> None:
        self.log.append("tick")


def test_all_that_was_sent_is_applied_before_each_tick_and_after_one_that_closes_a_month() -> None:
    recorder = Recorder()
    steps: list[str] = []

    run(
        small(accounts=1),
        recorder,  # type: ignore[arg-type]
        lambda: recorder.log.append("wait"),
        lambda step: steps.append("closes" if step.closes else "day"),
    )

    log = [word for word in recorder.log if word != "emit"]
    expected = []
    for step in steps:
        expected += ["flush", "wait", "tick", "flush"] + (["wait"] if step == "closes" else [])
    assert log == [*expected, "wait"]

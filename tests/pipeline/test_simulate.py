"""The whole simulation on a real broker: a seed is the same charges, with one worker or three that die."""

import time
from contextlib import ExitStack
from pathlib import Path

import pytest

import local
from cli.whole import Whole, whole
from streams import records, topic_admin
from streams.settings import Settings
from verify import check, digest
from verify import read as reading
from verify.topics import Topics

pytestmark = pytest.mark.kafka

ACCOUNTS, MONTHS, SEED = 40, 2, 7


def run(settings: Settings, logs: Path, *, workers: int, kills: bool) -> tuple[Whole, Topics]:
    """Run the simulation on a deployment of its own and read what came of it."""
    topic_admin.create(settings)
    with ExitStack() as held:
        simulated = whole(
            settings,
            accounts=ACCOUNTS,
            months=MONTHS,
            seed=SEED,
            workers=workers,
            kills=kills,
            payments_kills=False,  # each is a minute's wait; the whole simulation has some
            held=held,
            logs=logs,
        )
        simulated.run()
        return simulated, reading.read(settings, records.schemas(settings))


@pytest.mark.timeout(900)
def test_a_seed_is_the_same_charges_with_one_worker_and_with_three_of_which_some_are_killed(
    kafka: local.Broker, tmp_path: Path
) -> None:
    def deployment(name: str) -> Settings:
        return Settings(
            bootstrap_servers=kafka.bootstrap_servers,
            topic_prefix=f"test-{name}-{time.time_ns()}.",
            lanes=4,
            clock="manual",
            schema_registry_url="",
        )

    one, three = deployment("one"), deployment("three")
    _, alone = run(one, tmp_path / "one", workers=1, kills=False)
    simulated, together = run(three, tmp_path / "three", workers=3, kills=True)

    assert digest.text(together) == digest.text(alone)
    assert simulated.injured.in_closes > 0
    assert simulated.injured.elsewhere > 0
    for settings, topics in ((one, alone), (three, together)):
        report = check.check(topics, settings)
        assert report.failing() == set(), [b for c in report.checks for b in c.broken[:3]]

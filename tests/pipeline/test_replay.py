"""`evergreen replay`: the inputs once more from the first offset, beside the deployment, the same outcome."""

import itertools
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import local
from cli.whole import whole
from producers.records import AutomaticTopUp, Consent, TaxRate, Tier
from schemas.wire import Record
from streams import topic_admin
from streams.settings import Settings
from streams.topics import ALL
from tests.pipeline.deployment import Deployment, until
from verify import digest
from verify import read as reading

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

NOTHING_DONE = 2
ACCOUNTS = 30
SEPTEMBER = "2024-09-10T12:00Z"
_numbers = itertools.count(1)


def settings_of(kafka: local.Broker) -> Settings:
    return Settings(
        bootstrap_servers=kafka.bootstrap_servers,
        topic_prefix=f"replayed-{os.getpid()}-{next(_numbers)}.",
        lanes=4,
        clock="manual",
        session_timeout_seconds=6,
    )


def use(
    deployment: Deployment, account: int, event_id: str, *, meter: str = "calls", quantity: int = 7
) -> None:
    deployment.emit.usage(
        account_id=f"account-{account}",
        source="test",
        event_id=event_id,
        meter=meter,
        quantity=quantity,
        occurred_at=SEPTEMBER,
    )


def emitted(deployment: Deployment) -> None:
    """Send what makes entries, top-ups, duplicates and dead letters, and what waits."""
    for number in range(ACCOUNTS):
        use(deployment, number, "first")
        deployment.emit.payment(
            account_id=f"account-{number}",
            payment_id=f"p-{number}",
            kind="succeeded",
            amount_minor=100,
            currency="USD",
            occurred_at=SEPTEMBER,
        )
    deployment.flush()
    for number in range(ACCOUNTS):
        for event in range(20):
            use(deployment, number, f"{event}", quantity=100)
        use(deployment, number, "first")  # again: a duplicate
    use(deployment, 1, "first", quantity=8)  # with other content
    use(deployment, 2, "free", meter="unpriced")


def has_settings(deployment: Deployment, account: int) -> None:
    deployment.emit.settings(
        account_id=f"account-{account}",
        revision=1,
        currency="USD",
        zone="America/New_York",
        changed_at=SEPTEMBER,
        changed_by="test",
        tax_rates=[TaxRate(valid_from="2024-01-01T00:00Z", rate="0.19")],
        automatic_top_up=AutomaticTopUp(
            threshold_minor=1_000,
            amount_minor=2_500,
            payment_method_ref="card-1",
            consent=Consent(given_by="user-1", given_at=SEPTEMBER, text_version="1"),
        ),
    )


@pytest.fixture(scope="module")
def original(kafka: local.Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment that has billed a month, late usage too; one worker was killed. Nothing runs any more."""
    deployment = Deployment(settings_of(kafka), tmp_path_factory.mktemp("original"))
    topic_admin.create(deployment.settings)
    workers = [deployment.worker(f"one-{number}") for number in range(2)]
    deployment.start("payments")
    deployment.emit.price(
        meter="calls",
        currency="USD",
        version=1,
        unit="call",
        valid_from="2024-01-01T00:00Z",
        late=True,
        model="graduated",
        tiers=[Tier(unit_price="0.01", up_to=500), Tier(unit_price="0.007")],
    )
    for account in range(0, ACCOUNTS, 3):
        has_settings(deployment, account)
    deployment.tick("2024-09-11T00:00Z", payments=True)
    emitted(deployment)
    deployment.emit.tick("2024-09-12T00:00Z")
    deployment.flush()
    workers[0].kill()
    workers[0] = deployment.worker("one-0")
    deployment.settle(payments=True)
    for account in range(1, ACCOUNTS, 3):
        has_settings(deployment, account)
    deployment.tick("2024-10-01T05:00Z", payments=True)
    for account in range(ACCOUNTS):
        use(deployment, account, "late")
    deployment.tick("2024-10-02T00:00Z", payments=True)
    for process in deployment.processes:
        process.stop() if process.is_alive() else process.close()
    yield deployment
    deployment.close()


def simulated(kafka: local.Broker, directory: Path) -> Deployment:
    """Return a deployment that has billed months of everything, two workers at it; nothing runs any more."""
    settings = settings_of(kafka)
    topic_admin.create(settings)
    with ExitStack() as held:
        whole(
            settings,
            accounts=40,
            months=2,
            seed=11,
            workers=2,
            payments_kills=False,
            held=held,
            logs=directory,
        ).run()
    return Deployment(settings, directory)


def again(original: Deployment) -> Deployment:
    """Return a second reading of the deployment, which has read nothing yet."""
    settings = original.settings.model_copy(
        update={"output_prefix": f"again-{os.getpid()}-{next(_numbers)}."}
    )
    return Deployment(settings, original.directory)


def replayed(original: Deployment, *arguments: str, **more: str) -> tuple[Deployment, int, str]:
    """Run `evergreen replay` and return what it made, its exit code, and what it said."""
    second = again(original)
    done = original.run("replay", "--output-prefix", second.settings.output_prefix, *arguments, **more)
    return second, done.returncode, done.stdout + done.stderr


def by_account(deployment: Deployment, topic: str) -> dict[str, list[Record]]:
    """Return a topic's records of each account, in order."""
    found: dict[str, list[Record]] = defaultdict(list)
    for record in deployment.records(topic):
        found[record["account_id"]].append(record)
    return found


SAID = (
    "ledger-entries",
    "invoices",
    "account-status",
    "top-up-commands",
    "top-up-decisions",
    "notifications",
)


def assert_all_the_same(original: Deployment, second: Deployment) -> None:
    """Not only charges, tax and lines: in the journal's order all that the rules say is the same."""
    for topic in SAID:
        was, now = by_account(original, topic), by_account(second, topic)
        assert was, topic
        assert now == was, topic
    assert len(second.records("dead-letters")) == len(original.records("dead-letters")) > 0


def test_a_replay_gives_the_same_verify_accepts_it_and_nothing_reaches_the_deployment(
    original: Deployment,
) -> None:
    before = {topic.name: original.read(topic.name) for topic in ALL}

    second, code, said = replayed(original)

    assert code == 0, said
    assert said.rstrip().endswith("the same")
    assert_all_the_same(original, second)
    assert {topic: original.read(topic) for topic in before} == before
    assert original.journal("applied") == second.journal("applied")


def test_three_workers_replay_the_same(original: Deployment) -> None:
    second = again(original)
    topic_admin.create(second.settings)

    go = original.directory / "go"

    workers = []
    for nth in ("first", "second", "third"):  # the third joins two that have two each
        worker = second.start_module("tests.pipeline.gathered_replay", str(go))
        until(lambda of=worker: "lane opened" in of.said, f"a lane for the {nth} worker")
        workers.append(worker)
    go.touch()
    codes = [worker.wait(90) for worker in workers]

    assert codes == [0, 0, 0]
    assert len({entry["worker"] for entry in second.records("lane-journal")}) == 3
    assert_all_the_same(original, second)
    was, now = (reading.read(of.settings, of.schemas) for of in (original, second))
    assert digest.text(was) == digest.text(now)
    second.verify()


def test_a_replay_without_a_prefix_of_its_own_is_refused(original: Deployment) -> None:
    done = original.run(
        "worker", "--once", "--replay", EVERGREEN_OUTPUT_PREFIX=original.settings.topic_prefix
    )

    assert done.returncode == NOTHING_DONE
    assert "EVERGREEN_OUTPUT_PREFIX is not set" in done.stderr


def test_a_replay_of_nothing_is_refused(original: Deployment) -> None:
    done = original.run("replay", "--output-prefix", "nobody.", EVERGREEN_TOPIC_PREFIX="nobody-was-here.")

    assert done.returncode == NOTHING_DONE
    assert done.stderr == "evergreen: nothing to replay: group nobody-was-here.evergreen has read nothing\n"


@pytest.mark.long
def test_a_replay_of_everything_is_the_same_and_goes_on_where_killed_workers_were(
    kafka: local.Broker, tmp_path: Path
) -> None:
    original = simulated(kafka, tmp_path)
    _, code, said = replayed(original, "--workers", "3")
    assert code == 0, said

    second = again(original)
    topic_admin.create(second.settings)
    slow = {"EVERGREEN_BATCH_RECORDS": "5"}
    workers = [second.start("worker", "--once", "--replay", **slow) for _ in range(2)]

    def commits() -> int:
        return len(second.read("lane-journal"))

    for victim in range(2):
        seen = commits()
        until(lambda seen=seen: commits() > seen + 40, "commits of the replay")
        workers[victim].kill()
        workers[victim] = second.start("worker", "--once", "--replay", **slow)
    codes = [worker.wait(240) for worker in workers]

    assert codes == [0, 0]
    assert_all_the_same(original, second)
    second.verify()


@pytest.mark.long
@pytest.mark.parametrize(
    "other",
    [{"EVERGREEN_MAX_AGE_DAYS": "1"}, {"EVERGREEN_GRACE_MINUTES": "1440"}],
    ids=["another max_age", "another grace"],
)
def test_a_replay_under_other_rules_is_not_the_same_and_says_so(
    original: Deployment, other: dict[str, str]
) -> None:
    _, code, said = replayed(original, **other)

    assert code == 1
    assert "not the same" in said

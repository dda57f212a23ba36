"""The topics of a deployment: created once as domain.md says, checked at every start."""

import re
import time

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType
from typer.testing import CliRunner

from cli.topics import app
from streams import topic_admin, topics
from streams.settings import Settings
from streams.topic_admin import TopicsError
from streams.topics import DAY_MS

OFFLINE = Settings(bootstrap_servers="-", topic_prefix="", lanes=4, replication=1, clock="auto")


def with_(settings: Settings, **changes: object) -> Settings:
    return settings.model_copy(update=changes)


def config_of(settings: Settings, name: str) -> dict[str, str]:
    return {topic.name: dict(topic.config) for topic in topic_admin.wanted(settings)}[name]


def configuration(settings: Settings, topic: str) -> dict[str, str]:
    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    resource = ConfigResource(ResourceType.TOPIC, topic)
    return {name: e.value for name, e in admin.describe_configs([resource])[resource].result().items()}


def run(settings: Settings, command: str, **environment: str):
    own = {
        "EVERGREEN_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "EVERGREEN_TOPIC_PREFIX": settings.topic_prefix,
        "EVERGREEN_LANES": str(settings.lanes),
        "EVERGREEN_REPLICATION": "1",
        "EVERGREEN_CLOCK": "auto",
        "EVERGREEN_MAX_AGE_DAYS": "35",
    }
    return CliRunner().invoke(app, [command], env=own | environment)


def test_every_topic_and_every_state_table_is_wanted_with_one_partition_a_lane():
    wanted = topic_admin.wanted(with_(OFFLINE, topic_prefix="demo.", lanes=7))

    assert len(wanted) == len(topics.ALL) + len(topics.STATE_TABLES)
    assert {topic.partitions for topic in wanted} == {7}
    assert all(topic.name.startswith("demo.") for topic in wanted)
    assert "demo.evergreen-accounts-changelog" in {topic.name for topic in wanted}


@pytest.mark.parametrize("name", ["balances", "account-profiles", "evergreen-accounts-changelog"])
def test_the_latest_value_of_a_key_is_kept_and_old_ones_are_gone_within_a_day(name):
    config = config_of(OFFLINE, name)

    assert config["cleanup.policy"] == "compact"
    assert config["max.compaction.lag.ms"] == str(DAY_MS)


@pytest.mark.parametrize("name", ["ledger-entries", "payment-events", "invoices", "prices", "lane-journal"])
def test_what_is_kept_long_is_kept_for_ever_and_never_compacted(name):
    config = config_of(OFFLINE, name)

    assert (config["cleanup.policy"], config["retention.ms"]) == ("delete", "-1")


def test_usage_is_kept_longer_than_the_lanes_remember_it():
    config = config_of(with_(OFFLINE, max_age_days=50), "usage-events")

    assert int(config["retention.ms"]) == 57 * DAY_MS


def test_only_ticks_are_stamped_by_the_broker():
    stamped = {t.name for t in topic_admin.wanted(OFFLINE) if "message.timestamp.type" in t.config}

    assert stamped == {"clock-ticks"}


def test_simulated_months_are_neither_refused_nor_deleted_under_a_manual_clock():
    config = config_of(with_(OFFLINE, clock="manual"), "usage-events")

    assert config["retention.ms"] == "-1"
    assert config["message.timestamp.after.max.ms"] == str(2**63 - 1)


@pytest.mark.parametrize("name", ["invoices", "dead-letters", "evergreen-accounts-changelog"])
def test_records_that_can_be_big_may_be_eight_mebibytes(name):
    assert config_of(OFFLINE, name)["max.message.bytes"] == str(8 * 1024 * 1024)


@pytest.mark.parametrize(("replication", "expected"), [(1, None), (2, None), (3, "2"), (5, "2")])
def test_with_three_replicas_or_more_two_must_have_a_record(replication, expected):
    config = config_of(with_(OFFLINE, replication=replication), "ledger-entries")

    assert config.get("min.insync.replicas") == expected


def test_no_broker_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(topic_admin, "ANSWER_SECONDS", 1.0)

    result = run(with_(OFFLINE, bootstrap_servers="127.0.0.1:1"), "create")

    assert result.exit_code == 1
    assert re.fullmatch(
        r"evergreen: no Kafka broker answers at 127\.0\.0\.1:1 .*EVERGREEN_BOOTSTRAP_SERVERS\n", result.stderr
    )


@pytest.mark.kafka
def test_the_broker_takes_every_topic_as_wanted(deployment: Settings):
    creation = topic_admin.create(deployment)

    wanted = topic_admin.wanted(deployment)
    assert creation.created == tuple(topic.name for topic in wanted)
    assert creation.warnings == ()
    assert topic_admin.found(deployment) == {topic.name: 4 for topic in wanted}
    for topic in wanted:
        actual = configuration(deployment, topic.name)
        assert {name: actual[name] for name in topic.config} == topic.config


@pytest.mark.kafka
def test_creating_again_changes_nothing(deployment: Settings):
    run(deployment, "create")

    again = run(deployment, "create")

    assert again.exit_code == 0
    assert again.stdout == f"0 topics created, {len(topic_admin.wanted(deployment))} were there\n"
    assert again.stderr == ""


@pytest.mark.kafka
def test_another_number_of_partitions_is_refused_before_anything_is_created(deployment: Settings):
    admin = AdminClient({"bootstrap.servers": deployment.bootstrap_servers})
    foreign = deployment.topic("invoices")
    admin.create_topics([NewTopic(foreign, 3, 1)])[foreign].result()
    deadline = time.monotonic() + 30
    while topic_admin.found(deployment) != {foreign: 3}:
        assert time.monotonic() < deadline

    result = run(deployment, "create")

    assert result.exit_code == 1
    assert f"EVERGREEN_LANES is 4, but {foreign} has 3 partitions" in result.stderr
    assert topic_admin.found(deployment) == {foreign: 3}
    with pytest.raises(TopicsError, match=f"but {foreign} has 3 partitions"):
        topic_admin.check(deployment)


@pytest.mark.kafka
def test_another_configuration_is_a_warning_and_stays(deployment: Settings):
    run(deployment, "create")

    result = run(deployment, "create", EVERGREEN_MAX_AGE_DAYS="40", EVERGREEN_REPLICATION="2")

    usage = deployment.topic("usage-events")
    assert result.exit_code == 0
    assert f"warning: {usage}: retention.ms is {42 * DAY_MS}, should be {47 * DAY_MS}\n" in result.stderr
    assert f"warning: {usage}: 1 replicas, should be 2\n" in result.stderr
    assert configuration(deployment, usage)["retention.ms"] == str(42 * DAY_MS)


@pytest.mark.kafka
def test_the_list_shows_what_is_missing_and_what_is_there(deployment: Settings):
    before = run(deployment, "list")
    run(deployment, "create")

    after = run(deployment, "list")

    usage = re.escape(deployment.topic("usage-events"))
    assert re.search(rf"{usage} +usage-event +account +42 days +missing", before.stdout)
    assert re.search(rf"{usage} +usage-event +account +42 days +4", after.stdout)
    assert "missing" not in after.stdout


@pytest.mark.kafka
def test_a_process_that_finds_no_topics_says_how_to_create_them(deployment: Settings):
    with pytest.raises(TopicsError, match=r"is missing \(and \d+ more\): run evergreen topics create"):
        topic_admin.check(deployment)

    topic_admin.create(deployment)
    topic_admin.check(deployment)


@pytest.mark.kafka
def test_a_big_invoice_and_a_month_ahead_are_taken_where_they_must_be(deployment: Settings):
    simulated = with_(deployment, clock="manual")
    topic_admin.create(simulated)
    producer = Producer(
        {"bootstrap.servers": deployment.bootstrap_servers, "message.max.bytes": 9 * 1024 * 1024}
    )
    errors = []

    producer.produce(
        simulated.topic("invoices"), value=b"x" * 7 * 1024 * 1024, on_delivery=lambda e, _: errors.append(e)
    )
    producer.produce(
        simulated.topic("usage-events"),
        value=b"x",
        timestamp=4_000_000_000_000,
        on_delivery=lambda e, _: errors.append(e),
    )
    left = producer.flush(30)

    assert (left, errors) == (0, [None, None])

"""A worker as an operator meets it: its pages, its clock, how it refuses to start and how it ends."""

import json
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka.admin import AdminClient
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

import local
from cli.__main__ import app as cli
from local.server import free_ports
from producers import records
from schemas.wire import Record
from streams import topic_admin
from streams.settings import Settings
from tests.pipeline.deployment import ROOT, Deploy, Deployment, Process, environment, publish_price, until

pytestmark = pytest.mark.kafka

EVENTS = 20_000
SINGLE_EVENTS = 40
BAD = 25


def get(url: str) -> tuple[int, str]:
    """Return a page's status and text."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def metrics(process: Process) -> dict[str, float]:
    """Return a worker's samples; those with labels summed up, under the name without them as well."""
    status, text = get(process.pages() + "/metrics")
    assert status == 200
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
            if sample.labels:
                labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
                found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def health(process: Process) -> Record:
    status, text = get(process.pages() + "/health")
    assert status == 200
    return json.loads(text)


def open_account(deployment: Deployment, account_id: str) -> None:
    deployment.emit.settings(
        account_id=account_id,
        revision=1,
        currency="USD",
        zone="UTC",
        changed_at="2024-09-01T00:00Z",
        changed_by="test",
    )


def use(deployment: Deployment, account_id: str, event_id: str, occurred_at: datetime) -> None:
    deployment.emit.usage(
        account_id=account_id,
        source="test",
        event_id=event_id,
        meter="calls",
        quantity=1,
        occurred_at=occurred_at,
    )


# -- pages


class Loaded:
    """A worker that met a backlog, bad input, and then one event at a time."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        at = datetime(2024, 9, 10, tzinfo=UTC)
        publish_price(deployment)
        for number in range(100):
            open_account(deployment, f"account-{number}")
        for number in range(EVENTS):
            use(deployment, f"account-{number % 100}", str(number), at)
        for number in range(BAD):
            account_id = f"account-{number}"
            deployment.send("usage-events", account_id.encode(), b"hello", deployment.lane(account_id))
        deployment.flush()
        self.most_lag = 0.0
        self.worker = deployment.worker("one", EVERGREEN_BATCH_RECORDS="200")
        until(self._is_through, "the backlog")
        deployment.settle()
        self.after_load = metrics(self.worker)
        self.seconds = []
        for number in range(SINGLE_EVENTS):
            began = time.perf_counter()
            use(deployment, f"account-{number}", f"single-{number}", at)
            deployment.settle()
            self.seconds.append(time.perf_counter() - began)
        self.after = metrics(self.worker)

    def _is_through(self) -> bool:
        now = metrics(self.worker)
        self.most_lag = max(self.most_lag, now.get("evergreen_lag_records", 0))
        return now.get("evergreen_records_total{outcome=applied}", 0) >= EVENTS

    def moved(self, name: str) -> float:
        """Return by how much a sample grew while single events came."""
        return self.after[name] - self.after_load.get(name, 0)


@pytest.fixture(scope="module")
def loaded(deploy: Deploy) -> Loaded:
    return Loaded(deploy())


def test_every_event_and_every_dead_letter_is_counted_by_what_became_of_it(loaded: Loaded) -> None:
    prices, settings = loaded.deployment.settings.lanes, 100

    assert loaded.after_load["evergreen_records_total{outcome=applied}"] == EVENTS + prices + settings
    assert loaded.after_load["evergreen_records_total{outcome=dead}"] == BAD
    assert loaded.after_load["evergreen_dead_letters_total{reason=bad_magic}"] == BAD


def test_the_lag_rose_with_the_backlog_and_went_back_to_zero(loaded: Loaded) -> None:
    assert loaded.most_lag > 0
    assert loaded.after["evergreen_lag_records"] == 0
    assert {f"evergreen_lag_records{{lane={n}}}" for n in (0, 1)} <= loaded.after.keys()


def test_the_size_of_batches_and_the_time_of_commits_are_measured(loaded: Loaded) -> None:
    load = loaded.after_load

    assert load["evergreen_batch_records_sum"] == EVENTS + BAD + 100 + loaded.deployment.settings.lanes
    assert load["evergreen_batch_records_count"] == load["evergreen_commit_seconds_count"] > 2
    assert load["evergreen_batch_records_count"] == load["evergreen_fold_seconds_count"]
    assert 0 < load["evergreen_commit_seconds_sum"] < 60
    assert loaded.moved("evergreen_commit_seconds_count") == SINGLE_EVENTS


def test_restores_are_counted_and_timed(loaded: Loaded) -> None:
    assert loaded.after["evergreen_restores_total"] == loaded.after["evergreen_lanes"] == 2
    assert loaded.after["evergreen_restore_seconds_count"] == 2
    assert loaded.after["evergreen_faults_total"] == 0


def test_an_idle_worker_books_an_event_well_within_a_second(
    loaded: Loaded, record_property: Callable[[str, object], None]
) -> None:
    commits = loaded.moved("evergreen_event_to_balance_seconds_count")
    mean = loaded.moved("evergreen_event_to_balance_seconds_sum") / commits
    seen = statistics.median(loaded.seconds)
    record_property("event_to_balance_mean_seconds", mean)
    record_property("emit_to_zero_lag_median_seconds", seen)
    print(f"event to balance: mean {mean:.3f} s; from emit to zero lag: median {seen:.3f} s")

    assert commits == SINGLE_EVENTS
    assert mean < 0.7
    assert seen < 1


def test_health_says_when_each_lane_last_made_progress(loaded: Loaded) -> None:
    use(loaded.deployment, "account-0", "for-health", datetime(2024, 9, 10, tzinfo=UTC))
    loaded.deployment.settle()
    lane = str(loaded.deployment.lane("account-0"))

    first = health(loaded.worker)
    until(
        lambda: (
            health(loaded.worker)["lanes"][lane]["seconds_since_progress"]
            > first["lanes"][lane]["seconds_since_progress"]
        ),
        "time going on",
    )

    assert (first["worker"], first["status"], first["stalled_lanes"]) == ("one", "ok", [])
    assert first["lanes"].keys() == {"0", "1"}
    assert first["lanes"][lane]["seconds_since_progress"] < 10
    assert first["lanes"][lane]["lag"] == 0


def test_another_page_is_not_found(loaded: Loaded) -> None:
    assert get(loaded.worker.pages() + "/secrets")[0] == 404


def test_the_pages_are_on_loopback_only(loaded: Loaded) -> None:
    port = int(loaded.worker.pages().rpartition(":")[2])
    sockets = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=False)
    if sockets.returncode != 0:
        pytest.skip("ss is not installed")

    listening = [
        line.split()[3] for line in sockets.stdout.splitlines() if line.split()[3].endswith(f":{port}")
    ]

    assert listening == [f"127.0.0.1:{port}"]


def test_a_second_worker_shares_the_lanes_and_a_stop_gives_them_back(loaded: Loaded) -> None:
    second = loaded.deployment.worker()
    until(lambda: "lane opened" in second.said, "a lane of the second worker")
    until(lambda: metrics(loaded.worker)["evergreen_lanes"] == 1, "one lane left to the first")

    began = time.monotonic()
    code = second.stop()
    took = time.monotonic() - began

    assert code == 0
    assert took < 10
    until(lambda: metrics(loaded.worker)["evergreen_lanes"] == 2, "both lanes back", 30)
    use(loaded.deployment, "account-0", "after-the-stop", datetime(2024, 9, 10, tzinfo=UTC))
    loaded.deployment.settle()
    loaded.deployment.verify()


# -- the clock


class Ticking:
    """A deployment whose worker ticks by itself."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.worker = deployment.worker("one", EVERGREEN_TICK_SECONDS="0.2")
        publish_price(deployment)
        open_account(deployment, "acme")
        use(deployment, "acme", "early", datetime.now(UTC))
        lanes = set(range(deployment.settings.lanes))
        until(
            lambda: {e["lane"] for e in deployment.records("lane-journal") if e["tick"]} == lanes,
            "a tick each",
        )
        self.charged_at = datetime.now(UTC)
        use(deployment, "acme", "charged", self.charged_at)
        use(deployment, "stranger", "opens", self.charged_at)
        deployment.flush()
        until(lambda: len(self.charges()) == 3, "the charges")

    def ticks(self) -> list[Record]:
        return self.deployment.records("clock-ticks")

    def charges(self) -> dict[str, Record]:
        return {e["event_id"]: e for e in self.deployment.records("ledger-entries")}


@pytest.fixture(scope="module")
def ticking(deploy: Deploy) -> Ticking:
    return Ticking(deploy(clock="auto"))


def test_the_elected_worker_ticks_in_every_lane_and_the_broker_stamps_the_ticks(ticking: Ticking) -> None:
    reads = ticking.deployment.read("clock-ticks")
    stamped = AdminClient({"bootstrap.servers": ticking.deployment.settings.bootstrap_servers})

    assert {read.partition for read in reads} == {0, 1}
    for read in reads:
        tick = ticking.deployment.schemas.decode(read.value or b"", "tick")[1]
        assert abs(read.timestamp - tick["time"]) < 10_000
    assert stamped.list_topics(timeout=10).topics


def test_a_charge_is_booked_at_a_lane_time_of_seconds_ago(ticking: Ticking) -> None:
    booked_at = ticking.charges()["charged"]["booked_at"]

    assert abs(booked_at / 1000 - ticking.charged_at.timestamp()) < 20


def test_usage_of_nobody_opens_an_account_by_the_next_tick(ticking: Ticking) -> None:
    assert ticking.charges()["opens"]["account_id"] == "stranger"


def test_a_tick_ahead_of_its_append_time_is_a_dead_letter_and_time_does_not_jump(ticking: Ticking) -> None:
    deployment = ticking.deployment
    ahead = datetime.now(UTC) + timedelta(days=40)
    value = deployment.schemas.codec("tick").encode(records.tick(time=ahead, ticker="wrong-clock"))

    for lane in range(deployment.settings.lanes):
        deployment.send("clock-ticks", b"wrong-clock", value, lane)
    deployment.flush()
    until(lambda: len(deployment.read("dead-letters")) == deployment.settings.lanes, "dead letters")
    before = len(ticking.ticks())
    until(lambda: len(ticking.ticks()) > before + 4, "more ticks")

    assert [d["reason"] for d in deployment.records("dead-letters")] == ["tick_ahead"] * 2
    now = time.time() * 1000
    acted = [j["tick"] for j in deployment.records("lane-journal") if j["tick"] is not None]
    assert max(acted) < now + 60_000


def test_money_from_the_future_is_a_dead_letter(ticking: Ticking) -> None:
    deployment = ticking.deployment
    ahead = datetime.now(UTC) + timedelta(days=1, minutes=1)

    deployment.emit.payment(
        account_id="acme",
        payment_id="from-the-future",
        kind="succeeded",
        amount_minor=100,
        currency="USD",
        occurred_at=ahead,
    )
    deployment.flush()

    until(
        lambda: "from_the_future" in [d["reason"] for d in deployment.records("dead-letters")],
        "a dead letter",
    )


def test_a_tick_from_the_command_line_is_refused(ticking: Ticking) -> None:
    done = ticking.deployment.run("tick", "2024-10-01T00:00Z")

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("evergreen: EVERGREEN_CLOCK is not manual")
    assert done.stderr.count("\n") == 1


def test_all_invariants_hold_once_the_clock_stands_still(ticking: Ticking) -> None:
    """Usage without a price keeps coming while the lanes tick, then the worker stops."""
    deployment = ticking.deployment
    seen = len(ticking.ticks())
    number = 0
    while len(ticking.ticks()) < seen + 30:
        for _ in range(20):
            number += 1
            deployment.emit.usage(
                account_id=f"nobody-{number % 7}",
                source="test",
                event_id=str(number),
                meter="calls" if number % 3 else "unpriced",
                quantity=1,
                occurred_at=datetime.now(UTC),
            )
        deployment.flush()

    assert ticking.worker.stop() == 0
    deployment.worker("one", EVERGREEN_TICK_SECONDS="60")
    deployment.settle()
    deployment.verify()


# -- starting and stopping

SUPERVISED = {"no broker", "zero lanes"}
"""Refused worker and supervisor: neither goes on."""
OFFLINE = {"no address", "currency", "zone", "clock", "one replica in production", "no registry"}
"""Refused before any broker is asked: these need no process of their own."""


@pytest.fixture(scope="module")
def refused(kafka: local.Broker, deploy: Deploy) -> Iterator[dict[str, tuple[int, str]]]:
    """Exit code and stderr of workers that must not start, by what is wrong; all started at once."""
    deployment = deploy()
    busy = deploy().worker().pages().rpartition(":")[2]
    bare = Settings.model_validate(
        {"bootstrap_servers": kafka.bootstrap_servers, "topic_prefix": "nowhere.", "clock": "manual"}
    )
    (closed,) = free_ports(1)
    table: dict[str, tuple[Settings, dict[str, str]]] = {
        "no broker": (deployment.settings, {"EVERGREEN_BOOTSTRAP_SERVERS": f"127.0.0.1:{closed}"}),
        "no address": (deployment.settings, {"EVERGREEN_BOOTSTRAP_SERVERS": ""}),
        "currency": (deployment.settings, {"EVERGREEN_DEFAULT_CURRENCY": "XXQ"}),
        "zone": (deployment.settings, {"EVERGREEN_DEFAULT_ZONE": "Mars/Olympus"}),
        "zero lanes": (deployment.settings, {"EVERGREEN_LANES": "0"}),
        "other lanes": (deployment.settings, {"EVERGREEN_LANES": "3"}),
        "clock": (deployment.settings, {"EVERGREEN_CLOCK": "sundial"}),
        "manual clock in production": (
            deployment.settings,
            {"EVERGREEN_PRODUCTION": "true", "EVERGREEN_REPLICATION": "3"},
        ),
        "one replica in production": (
            deployment.settings,
            {"EVERGREEN_PRODUCTION": "true", "EVERGREEN_CLOCK": "auto"},
        ),
        "no topics": (bare, {}),
        "busy port": (deployment.settings, {"EVERGREEN_HTTP_PORT": busy}),
        "no registry": (
            deployment.settings,
            {"EVERGREEN_SCHEMA_REGISTRY_URL": f"http://127.0.0.1:{closed}"},
        ),
    }
    started = {
        what: subprocess.Popen(
            [sys.executable, "-m", "cli", "worker", *([] if what in SUPERVISED else ["--once"])],
            cwd=ROOT,
            env=environment(settings, **more),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for what, (settings, more) in table.items()
        if what not in OFFLINE
    }
    offline = {
        what: CliRunner().invoke(cli, ["worker", "--once"], env=environment(settings, **more))
        for what, (settings, more) in table.items()
        if what in OFFLINE
    }
    try:
        yield {what: (result.stderr, result.exit_code) for what, result in offline.items()} | {
            what: (process.communicate(timeout=60)[1], process.returncode)
            for what, process in started.items()
        }
    finally:
        for process in started.values():
            process.kill()
            process.communicate()


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("no broker", "no Kafka broker answers at 127.0.0.1:"),
        ("no address", "EVERGREEN_BOOTSTRAP_SERVERS"),
        ("currency", "EVERGREEN_DEFAULT_CURRENCY 'XXQ' is no ISO 4217 currency"),
        ("zone", "EVERGREEN_DEFAULT_ZONE 'Mars/Olympus' is no IANA time zone"),
        ("zero lanes", "EVERGREEN_LANES"),
        ("other lanes", "EVERGREEN_LANES is 3, but"),
        ("clock", "EVERGREEN_CLOCK"),
        ("manual clock in production", "EVERGREEN_CLOCK=manual is refused in production"),
        ("one replica in production", "EVERGREEN_REPLICATION must be at least 2 in production"),
        ("no topics", "run evergreen topics create"),
        ("busy port", "EVERGREEN_HTTP_PORT="),
        ("no registry", "registry"),
    ],
)
def test_a_worker_that_cannot_work_says_why_in_one_line_and_ends(
    what: str, said: str, refused: dict[str, tuple[str, int]]
) -> None:
    stderr, code = refused[what]

    assert code == 2
    assert stderr.startswith("evergreen: ")
    assert said in stderr
    assert stderr.count("\n") == 1


def test_a_deployment_with_an_unfinished_topic_list_is_refused(deploy: Deploy) -> None:
    deployment = deploy()
    name = deployment.settings.topic("adjustments")
    admin = AdminClient({"bootstrap.servers": deployment.settings.bootstrap_servers})
    admin.delete_topics([name])[name].result()
    until(lambda: name not in topic_admin.found(deployment.settings), "the topic's end")

    done = deployment.run("worker")

    assert (done.returncode, done.stderr) == (
        2,
        f"evergreen: topic {name} is missing: run evergreen topics create\n",
    )

"""No crash charges twice and none loses a command: the payments process killed at every point."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from consumers.provider import Answer
from consumers.sandbox import Sandbox, Trouble
from local import guard
from schemas.wire import Record
from streams import topic_admin
from streams.settings import Settings
from tests.golden.records import EXAMPLES, NOON
from tests.pipeline.deployment import ROOT, environment, until
from tests.pipeline.dying_payments import POINTS
from tests.pipeline.test_payments import Events, committed, encoded, events, running, send, tick

__all__ = ["events"]
pytestmark = pytest.mark.kafka

EXPIRES_AT = EXAMPLES["top-up-command"]["expires_at"]
TOO_LATE = EXPIRES_AT + 1
QUICK = {"after the fence, before the post", "after the post, before the answer"}
"""The two points of most doubt; `make faults` has them all."""
EVERY_POINT = [p if p in QUICK else pytest.param(p, marks=pytest.mark.long) for p in POINTS]
SETTLE_SECONDS = 1.0
SESSION_SECONDS = 6.0
KILLED = 247
"""A guard's exit code where what it guards was killed by SIGKILL."""
WORDS = {"refused", "unavailable", "cancelled"}


def charges(count: int) -> list[Record]:
    """Commands of 40 accounts, each account's in order."""
    return [
        EXAMPLES["top-up-command"]
        | {"account_id": f"acct-{n % 40}", "command_id": f"acct-{n % 40}:{n}:1", "episode": n, "attempt": 1}
        for n in range(1, count + 1)
    ]


def one_that(kind: str) -> Record:
    known = Sandbox()
    return next(c for c in charges(2_000) if known.charge(c).kind == kind)


@contextmanager
def process(
    deployment: Settings, memory: Path, *death: str, trouble: int = 0, settle: float = SETTLE_SECONDS
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the process that may kill itself; it ends with the block."""
    arguments = [str(memory), "7", str(trouble), str(settle), *death]
    command = [sys.executable, "-m", "tests.pipeline.dying_payments", *arguments]
    child = subprocess.Popen(
        [sys.executable, "-I", guard.__file__, *command],
        cwd=ROOT,
        env=environment(deployment, EVERGREEN_SESSION_TIMEOUT_SECONDS=str(SESSION_SECONDS)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if death else None,
    )
    child.inner = int(child.stdout.readline())  # type: ignore[attr-defined]
    try:
        yield child
    finally:
        child.stdin.close()  # the guard ends what it started
        child.stdout.close()
        if child.stderr:
            child.stderr.close()
        child.wait(20)


def dies(deployment: Settings, memory: Path, point: str, nth: int = 1, trouble: int = 0) -> None:
    with process(deployment, memory, point, str(nth), trouble=trouble) as child:
        assert child.wait(60) == KILLED


def kinds(answers: list[Record]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for answer in answers:
        found[answer["command_id"]].add(answer["kind"])
    return found


def check_the_books(asked: list[Record], answers: list[Record], sandbox: Sandbox) -> None:
    """Each command has one fate, told as the provider knows it, and at most one charge.

    Two words without a payment may be said of one command: `unavailable`, and `refused` of its repeat once
    a later command is on record. The lane made that one only after it had heard the first word.
    """
    said, taken = kinds(answers), sandbox.charges()
    assert said.keys() == {c["command_id"] for c in asked}
    assert max(taken.values(), default=0) <= 1
    for command in asked:
        command_id = command["command_id"]
        known = sandbox.lookup(command)
        if known:
            assert said[command_id] == {known.kind}, command_id
        else:
            assert said[command_id] <= WORDS, command_id
        assert (known is not None and known.kind == "succeeded") == (taken.get(command_id, 0) == 1)


def paid(answers: list[Record]) -> set[tuple[object, ...]]:
    """What is said of payments, every field of it."""
    return {tuple(a.values()) for a in answers if not a["payment_id"].startswith("none:")}


def rewind(deployment: Settings) -> None:
    """The group's offsets are lost: everything is asked again."""
    consumer = Consumer(
        {"bootstrap.servers": deployment.bootstrap_servers, "group.id": f"{deployment.application}-payments"}
    )
    topic = deployment.topic("top-up-commands")
    consumer.commit(
        offsets=[TopicPartition(topic, n, 0) for n in range(deployment.lanes)], asynchronous=False
    )
    consumer.close()


@pytest.mark.parametrize("point", EVERY_POINT)
def test_killed_at_any_point_each_command_has_one_fate_and_at_most_one_charge(
    deployment: Settings, events: Events, tmp_path: Path, point: str
):
    asked, memory = charges(240), tmp_path / "sandbox"
    send(deployment, encoded(asked))

    for nth in (1, 3):
        dies(deployment, memory, point, nth, trouble=1_500)
    sandbox = Sandbox(memory=memory, trouble=1_500)
    with running(deployment, sandbox, settle_seconds=SETTLE_SECONDS):
        answers = events.until_answered(asked)
        until(lambda: committed(deployment) == 240, "all offsets committed")

    check_the_books(asked, answers, sandbox)


@pytest.mark.parametrize("point", EVERY_POINT)
def test_killed_and_back_after_the_expiry_it_says_what_was_taken_and_takes_no_more(
    deployment: Settings, events: Events, tmp_path: Path, point: str
):
    asked, memory = charges(240), tmp_path / "sandbox"
    send(deployment, encoded(asked))

    dies(deployment, memory, point, 3)
    sandbox = Sandbox(memory=memory)
    before = sandbox.posts()
    tick(deployment, TOO_LATE)
    sandbox.forget_keys()
    with running(deployment, sandbox, settle_seconds=SETTLE_SECONDS):
        answers = events.until_answered(asked)

    assert sandbox.posts() == before
    check_the_books(asked, answers, sandbox)
    refused = {command_id for command_id, fates in kinds(answers).items() if fates == {"refused"}}
    assert refused == {c["command_id"] for c in asked} - before.keys()


def test_a_replayed_backlog_charges_nobody_even_without_an_idempotency_memory(
    deployment: Settings, events: Events
):
    asked, sandbox = charges(240), Sandbox(trouble=1_500)
    send(deployment, encoded(asked))
    with running(deployment, sandbox, settle_seconds=SETTLE_SECONDS):
        events.until_answered(asked)
        until(lambda: committed(deployment) == 240, "all offsets committed")
    before, heard = sandbox.posts(), len(events.values)

    sandbox.forget_keys()
    rewind(deployment)
    with running(deployment, sandbox, settle_seconds=SETTLE_SECONDS):
        until(lambda: committed(deployment) == 240, "all offsets committed")
        answers = events.until(heard + 240, repeats=True)

    assert sandbox.posts() == before
    check_the_books(asked, answers, sandbox)
    assert paid(answers[:heard]) == paid(answers)


def test_a_stale_backlog_is_refused_without_a_post(deployment: Settings, events: Events):
    asked, sandbox = charges(240), Sandbox()
    send(deployment, encoded(asked))
    tick(deployment, TOO_LATE)

    with running(deployment, sandbox):
        answers = events.until_answered(asked)

    assert {a["kind"] for a in answers} == {"refused"}
    assert {a["occurred_at"] for a in answers} == {TOO_LATE}
    assert sandbox.posts() == {}


class Counting(Sandbox):
    """Counts the lookups."""

    lookups = 0

    def lookup(self, command: Record) -> Answer | None:
        self.lookups += 1
        return super().lookup(command)


def test_a_post_under_way_is_waited_for_before_anything_is_refused(deployment: Settings, events: Events):
    command, sandbox = one_that("succeeded"), Counting()
    sandbox.plan(command["command_id"], [Trouble.LATE, Trouble.LATE, Trouble.LATE])
    send(deployment, encoded([command]))

    with running(deployment, sandbox, settle_seconds=60.0):
        until(sandbox.posts, "the post")
        tick(deployment, TOO_LATE)
        asked = sandbox.lookups
        until(lambda: sandbox.lookups > asked + 2, "asked again after the expiry")
        sandbox.land()
        answers = events.until(1)

    assert [a["kind"] for a in answers] == ["succeeded"]
    assert sandbox.charges() == {command["command_id"]: 1}


def test_an_outage_is_told_as_such_and_the_command_is_over_for_good(deployment: Settings, events: Events):
    asked, sandbox = charges(40), Sandbox()
    sandbox.outage(True)
    send(deployment, encoded(asked))

    with running(deployment, sandbox):
        events.until_answered(asked)
        sandbox.outage(False)
        send(deployment, encoded(asked))
        answers = events.until(80, repeats=True)

    assert {a["kind"] for a in answers} == {"unavailable"}
    assert len(set(events.values)) == 40
    assert sandbox.posts() == {}


class OutAfter(Sandbox):
    """Is out as soon as one command has been posted."""

    def __init__(self, command_id: str) -> None:
        super().__init__()
        self.command_id = command_id

    def charge(self, command: Record) -> Answer:
        try:
            return super().charge(command)
        finally:
            if command["command_id"] == self.command_id:
                self.outage(True)


def test_an_outage_after_a_post_whose_answer_was_lost_says_nothing_of_it_until_it_is_over(
    deployment: Settings, events: Events
):
    lost = one_that("succeeded")
    other = lost | {"account_id": "another", "command_id": "another:1:1"}
    sandbox = OutAfter(lost["command_id"])
    sandbox.plan(lost["command_id"], [Trouble.LOST])

    with running(deployment, sandbox):
        send(deployment, encoded([lost]))
        until(sandbox.posts, "the post")
        send(deployment, encoded([other]))
        first = events.until(1)
        sandbox.outage(False)
        answers = events.until(2)

    assert kinds(first) == {"another:1:1": {"unavailable"}}
    assert kinds(answers)[lost["command_id"]] == {"succeeded"}
    assert sandbox.charges() == {lost["command_id"]: 1}


class Slow(Sandbox):
    """Keeps one account waiting until it is let go."""

    def __init__(self, account_id: str) -> None:
        super().__init__()
        self.account_id = account_id
        self.let_go = threading.Event()

    def charge(self, command: Record) -> Answer:
        if command["account_id"] == self.account_id:
            assert self.let_go.wait(60)
        return super().charge(command)


def test_a_slow_payment_holds_up_its_own_account_and_the_offset_but_nobody_else(
    deployment: Settings, events: Events
):
    asked, sandbox = charges(240), Slow("acct-1")
    others = [c for c in asked if c["account_id"] != "acct-1"]
    send(deployment, encoded(asked))

    with running(deployment, sandbox):
        first = events.until_answered(others)
        held_back = committed(deployment)
        sandbox.let_go.set()
        answers = events.until_answered(asked)
        until(lambda: committed(deployment) == 240, "all offsets committed")

    assert {a["account_id"] for a in first} == {c["account_id"] for c in others}
    assert held_back < 240
    own = [a["command_id"] for a in answers if a["account_id"] == "acct-1"]
    assert own == [c["command_id"] for c in asked if c["account_id"] == "acct-1"]


def test_a_cancel_that_waits_behind_its_charge_spares_the_customer(deployment: Settings, events: Events):
    command, sandbox = one_that("succeeded"), Sandbox()
    send(deployment, encoded([command, command | {"kind": "cancel"}]))

    with running(deployment, sandbox):
        until(lambda: committed(deployment) == 2, "both answered")
        send(deployment, encoded([command]))
        until(lambda: committed(deployment) == 3, "and the charge once more")
        answers = events.until(2, repeats=True)

    assert [a["kind"] for a in answers] == ["cancelled", "cancelled"]
    assert sandbox.posts() == {}


def test_a_cancel_finds_what_the_customer_completed(deployment: Settings, events: Events):
    command, sandbox = one_that("requires_action"), Sandbox()

    with running(deployment, sandbox):
        send(deployment, encoded([command]))
        events.until(1)
        sandbox.complete(command["command_id"], NOON + 1)
        send(deployment, encoded([command | {"kind": "cancel"}]))
        answers = events.until(2)

    assert [a["kind"] for a in answers] == ["requires_action", "succeeded"]
    assert answers[1]["occurred_at"] == NOON + 1


def test_before_the_first_tick_nothing_is_posted(deployment: Settings):
    topic_admin.create(deployment)
    reader, asked, sandbox = Events(deployment), charges(40), Sandbox()
    send(deployment, encoded(asked))

    with running(deployment, sandbox):
        until(lambda: committed(deployment) == 0 and group_has_members(deployment), "it reads")
        assert sandbox.posts() == {}
        tick(deployment)
        reader.until_answered(asked)
    reader.close()

    assert sandbox.posts().keys() == {c["command_id"] for c in asked}


def test_a_tick_ahead_of_the_brokers_clock_makes_nothing_stale(deployment: Settings, events: Events):
    asked, sandbox = charges(40), Sandbox()
    late = [c | {"expires_at": 2 * int(time.time() * 1000)} for c in asked]
    tick(deployment, 3 * int(time.time() * 1000))
    send(deployment, encoded(late))

    with running(deployment, sandbox):
        answers = events.until_answered(asked)

    assert "refused" not in {a["kind"] for a in answers}


def group_has_members(deployment: Settings) -> bool:
    admin = AdminClient({"bootstrap.servers": deployment.bootstrap_servers})
    group = f"{deployment.application}-payments"
    return bool(admin.describe_consumer_groups([group])[group].result().members)


@pytest.mark.long
def test_two_processes_share_the_lanes_and_one_that_was_frozen_does_no_harm_when_it_wakes(
    deployment: Settings, events: Events, tmp_path: Path
):
    asked, memory = charges(6_000), tmp_path / "sandbox"
    sandbox = Sandbox(memory=memory, trouble=500)
    send(deployment, encoded(asked[:3_000]))
    with process(deployment, memory, trouble=500) as frozen:
        until(lambda: len(sandbox.posts()) > 200, "the first posts")
        with process(deployment, memory, trouble=500) as other:
            until(lambda: len(sandbox.posts()) > 800, "more posts")
            os.kill(frozen.inner, signal.SIGSTOP)
            send(deployment, encoded(asked[3_000:]))
            sandbox.forget_keys()
            events.until_answered(asked)
            until(lambda: committed(deployment) == 6_000, "all offsets committed")
            os.kill(frozen.inner, signal.SIGCONT)
            send(deployment, encoded(asked[:100]))
            until(lambda: committed(deployment) == 6_100, "all offsets committed")
            answers = events.until_answered(asked)
            assert frozen.poll() is None
            assert other.poll() is None

    check_the_books(asked, answers, sandbox)

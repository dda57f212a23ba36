"""Calls to the provider: what comes back, and which post is not made any more."""

import time
from collections.abc import Iterator

import pytest

from consumers.attempts import Step
from consumers.calls import POST_WITHIN_SECONDS, Call, Calls, TooLateError
from consumers.lanes import Lane, Line
from consumers.payments import SETTLE_SECONDS
from consumers.provider import UnavailableError, UnsureError
from consumers.sandbox import Sandbox, Trouble
from tests.golden.records import EXAMPLES

COMMAND = EXAMPLES["top-up-command"]


def line() -> Line:
    found = Lane(0, {}, 0.0).admit(0, COMMAND)
    assert found is not None
    return found


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox()


@pytest.fixture
def calls(sandbox: Sandbox) -> Iterator[Calls]:
    made = Calls(sandbox)
    yield made
    made.close()


def ended(calls: Calls, call: Call, recorded_at: float = 0.0) -> object:
    calls.begin(call, recorded_at)
    ((same, result),) = calls.finished(10.0)
    assert same is call
    assert calls.out == 0
    return result


def test_a_post_soon_after_its_record_is_made(calls: Calls, sandbox: Sandbox):
    answer = ended(calls, Call(line=line(), step=Step.POST), time.monotonic())

    assert answer == sandbox.lookup(COMMAND)
    assert sandbox.posts() == {COMMAND["command_id"]: 1}


def test_a_post_long_after_its_record_is_not_made(calls: Calls, sandbox: Sandbox):
    long_ago = time.monotonic() - POST_WITHIN_SECONDS - 0.1

    assert isinstance(ended(calls, Call(line=line(), step=Step.POST), long_ago), TooLateError)
    assert sandbox.posts() == {}


def test_whoever_gets_the_lane_waits_longer_than_a_post_may():
    assert SETTLE_SECONDS >= 2 * POST_WITHIN_SECONDS


def test_a_lookup_and_a_cancel_need_no_record(calls: Calls):
    assert ended(calls, Call(line=line(), step=Step.LOOK_UP)) is None
    assert ended(calls, Call(line=line(), step=Step.CANCEL)) is None


@pytest.mark.parametrize(
    ("trouble", "error"), [(Trouble.UNAVAILABLE, UnavailableError), (Trouble.LOST, UnsureError)]
)
def test_the_providers_trouble_is_a_result(calls: Calls, sandbox: Sandbox, trouble, error):
    sandbox.plan(COMMAND["command_id"], [trouble])

    assert isinstance(ended(calls, Call(line=line(), step=Step.POST), time.monotonic()), error)


def test_what_no_provider_should_raise_stops_the_process(calls: Calls, sandbox: Sandbox):
    sandbox.close()

    with pytest.raises(Exception, match="closed"):
        ended(calls, Call(line=line(), step=Step.LOOK_UP))


def test_without_anything_to_hear_nothing_is_heard(calls: Calls):
    assert calls.finished(0.0) == []
    assert calls.finished(0.01) == []

"""What the payments process does about a command, as the table in consumers/attempts.py says."""

import pytest

from consumers.attempts import Mark, Step, first_step, mark_of, step_if_unknown, word_if_unknown
from tests.golden.records import EXAMPLES, NOON

EXPIRES_AT = EXAMPLES["top-up-command"]["expires_at"]
IN_TIME, TOO_LATE = EXPIRES_AT, EXPIRES_AT + 1
CHARGE = EXAMPLES["top-up-command"] | {"episode": 3, "attempt": 2}
CANCEL = CHARGE | {"kind": "cancel"}
AT = (3, 2)
BEFORE = [(3, 1), (2, 9)]
BEYOND = [(3, 3), (4, 1)]


def mark(place, word=None):
    return Mark(command_id="x", episode=place[0], attempt=place[1], recorded_at=NOON, word=word)


@pytest.mark.parametrize("found", [None, *map(mark, BEFORE)])
def test_a_command_beyond_the_mark_is_posted_until_it_expires(found):
    assert first_step(CHARGE, found, IN_TIME, cancel_waits=False) is Step.POST
    assert first_step(CHARGE, found, TOO_LATE, cancel_waits=False) is Step.LOOK_UP


@pytest.mark.parametrize("found", [mark(place) for place in (AT, *BEYOND)])
@pytest.mark.parametrize("now", [IN_TIME, TOO_LATE])
def test_a_command_that_may_have_been_posted_is_looked_up_first(found, now):
    assert first_step(CHARGE, found, now, cancel_waits=False) is Step.LOOK_UP


@pytest.mark.parametrize("command", [CHARGE, CANCEL])
@pytest.mark.parametrize("word", ["refused", "unavailable", "cancelled"])
def test_a_final_word_on_record_is_said_again_whatever_comes(command, word):
    assert first_step(command, mark(AT, word), IN_TIME, cancel_waits=True) is Step.REPEAT
    assert first_step(command, mark(AT, word), None, cancel_waits=False) is Step.REPEAT


@pytest.mark.parametrize("word", ["refused", "unavailable", "cancelled"])
def test_the_word_on_one_command_says_nothing_about_another(word):
    assert first_step(CHARGE, mark((3, 1), word), IN_TIME, cancel_waits=False) is Step.POST
    assert first_step(CHARGE, mark((3, 3), word), IN_TIME, cancel_waits=False) is Step.LOOK_UP


@pytest.mark.parametrize("found", [None, mark(AT), mark((9, 9))])
def test_a_charge_is_not_posted_while_its_cancel_waits(found):
    assert first_step(CHARGE, found, IN_TIME, cancel_waits=True) is Step.LEAVE


@pytest.mark.parametrize("found", [None, mark(AT), mark((9, 9))])
def test_a_cancel_is_asked_for_at_the_provider_always(found):
    assert first_step(CANCEL, found, None, cancel_waits=False) is Step.CANCEL


@pytest.mark.parametrize("found", [None, mark(AT), mark((9, 9))])
def test_without_a_tick_nothing_is_posted_and_nothing_refused(found):
    assert first_step(CHARGE, found, None, cancel_waits=False) is Step.WAIT
    assert step_if_unknown(CHARGE, found, None, quiet=True) is Step.WAIT
    assert step_if_unknown(CANCEL, found, None, quiet=True) is Step.WAIT


@pytest.mark.parametrize(
    ("command", "found", "now", "quiet", "step"),
    [
        (CHARGE, None, TOO_LATE, False, Step.RECORD_WORD),
        (CHARGE, mark((3, 1)), TOO_LATE, False, Step.RECORD_WORD),
        (CHARGE, mark(AT), IN_TIME, False, Step.POST),
        (CHARGE, mark(AT), IN_TIME, True, Step.POST),
        (CHARGE, mark(AT), TOO_LATE, False, Step.WAIT),
        (CHARGE, mark(AT), TOO_LATE, True, Step.RECORD_WORD),
        (CHARGE, mark((3, 3)), IN_TIME, False, Step.WAIT),
        (CHARGE, mark((3, 3)), IN_TIME, True, Step.SAY_WORD),
        (CHARGE, mark((3, 3)), TOO_LATE, True, Step.SAY_WORD),
        (CANCEL, None, IN_TIME, False, Step.RECORD_WORD),
        (CANCEL, mark((3, 1)), IN_TIME, False, Step.RECORD_WORD),
        (CANCEL, mark(AT), IN_TIME, False, Step.WAIT),
        (CANCEL, mark(AT), IN_TIME, True, Step.RECORD_WORD),
        (CANCEL, mark((3, 3)), IN_TIME, False, Step.WAIT),
        (CANCEL, mark((3, 3)), IN_TIME, True, Step.SAY_WORD),
    ],
)
def test_what_the_provider_does_not_know(command, found, now, quiet, step):
    assert step_if_unknown(command, found, now, quiet=quiet) is step


def test_what_is_not_known_was_refused_or_cancelled_as_was_asked():
    assert word_if_unknown(CHARGE) == "refused"
    assert word_if_unknown(CANCEL) == "cancelled"


def test_a_mark_says_which_command_and_when():
    assert mark_of(CHARGE, NOON, "refused") == Mark(
        command_id=CHARGE["command_id"], episode=3, attempt=2, recorded_at=NOON, word="refused"
    )

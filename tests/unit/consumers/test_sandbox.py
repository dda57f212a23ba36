"""The sandbox provider: what it answers depends on the seed and the command alone."""

from collections import Counter

import pytest

from consumers.payments import payment_event
from consumers.sandbox import HARD_CODES, SOFT_CODES, Sandbox
from schemas import wire
from tests.golden.records import EXAMPLES


def command(command_id="acct-1:1:1", **changes):
    return EXAMPLES["top-up-command"] | {"command_id": command_id} | changes


def commands(count):
    return [command(f"acct-{n % 100}:{n}:1") for n in range(count)]


def command_answered(kind):
    return next(c for c in commands(2_000) if Sandbox().charge(c).kind == kind)


def test_the_same_command_gets_the_same_answer_from_another_sandbox_of_the_seed():
    assert [Sandbox(3).charge(c) for c in commands(200)] == [Sandbox(3).charge(c) for c in commands(200)]


def test_a_command_sent_again_makes_the_same_event_to_the_byte():
    encode = wire.fixed().codec("payment-event").encode
    for c in commands(200):
        first = encode(payment_event(c, Sandbox().charge(c)))

        assert encode(payment_event(dict(c), Sandbox().charge(dict(c)))) == first


def test_another_seed_gives_other_answers():
    assert [Sandbox(1).charge(c).kind for c in commands(200)] != [
        Sandbox(2).charge(c).kind for c in commands(200)
    ]


def test_a_payment_keeps_its_name_whatever_the_seed():
    assert Sandbox(1).charge(command()).payment_id == Sandbox(2).charge(command()).payment_id


def test_each_command_has_its_own_payment():
    assert len({Sandbox().charge(c).payment_id for c in commands(1_000)}) == 1_000


def test_of_many_commands_most_succeed_and_some_decline():
    answers = [Sandbox().charge(c) for c in commands(10_000)]

    kinds = Counter(answer.kind for answer in answers)
    hard = sum(answer.hard_decline for answer in answers)
    assert 8_650 < kinds["succeeded"] < 8_950
    assert 900 < kinds["failed"] - hard < 1_100
    assert 50 < hard < 150
    assert 50 < kinds["requires_action"] < 150


def test_a_decline_says_why_and_whether_the_method_may_be_tried_again():
    declines = [a for a in map(Sandbox().charge, commands(10_000)) if a.kind == "failed"]

    assert {a.decline_code for a in declines if a.hard_decline} == set(HARD_CODES)
    assert {a.decline_code for a in declines if not a.hard_decline} == set(SOFT_CODES)


def test_time_is_the_commands_own():
    assert Sandbox().charge(command(made_at=12345)).occurred_at == 12345


def test_what_succeeded_is_not_cancelled():
    assert Sandbox().cancel(command_answered("succeeded") | {"kind": "cancel"}) is None


@pytest.mark.parametrize("kind", ["failed", "requires_action"])
def test_what_did_not_succeed_is_cancelled(kind):
    charged = command_answered(kind)

    answer = Sandbox().cancel(charged | {"kind": "cancel", "made_at": 99})

    assert answer is not None
    assert (answer.kind, answer.payment_id, answer.occurred_at) == (
        "cancelled",
        Sandbox().charge(charged).payment_id,
        99,
    )


def test_an_event_repeats_what_the_command_asked_for():
    event = payment_event(command(amount_minor=2_500), Sandbox().charge(command()))

    assert (event["account_id"], event["command_id"]) == ("acct-1", "acct-1:1:1")
    assert (event["amount_minor"], event["currency"], event["payment_method_ref"]) == (2_500, "EUR", "pm_1")

"""The sandbox provider: its outcomes depend on the seed and the id alone; it remembers as a provider does."""

from collections import Counter

import pytest

from consumers.events import payment_event, word_event
from consumers.provider import UnavailableError, UnsureError
from consumers.sandbox import HARD_CODES, SOFT_CODES, Sandbox, Trouble
from schemas import wire
from tests.golden.records import EXAMPLES


def command(command_id="acct-1:1:1", **changes):
    return EXAMPLES["top-up-command"] | {"command_id": command_id} | changes


def commands(count):
    return [command(f"acct-{n % 100}:{n}:1") for n in range(count)]


def command_answered(kind):
    sandbox = Sandbox()
    return next(c for c in commands(2_000) if sandbox.charge(c).kind == kind)


def test_the_same_command_gets_the_same_answer_from_another_sandbox_of_the_seed():
    one, other = Sandbox(3), Sandbox(3)

    assert [one.charge(c) for c in commands(200)] == [other.charge(c) for c in commands(200)]


def test_a_command_sent_again_makes_the_same_event_to_the_byte():
    encode = wire.fixed().codec("payment-event").encode
    one, other = Sandbox(), Sandbox()
    for c in commands(200):
        first = encode(payment_event(c, one.charge(c)))

        assert encode(payment_event(dict(c), other.charge(dict(c)))) == first


def test_another_seed_gives_other_answers():
    one, other = Sandbox(1), Sandbox(2)

    assert [one.charge(c).kind for c in commands(200)] != [other.charge(c).kind for c in commands(200)]


def test_a_payment_keeps_its_name_whatever_the_seed():
    assert Sandbox(1).charge(command()).payment_id == Sandbox(2).charge(command()).payment_id


def test_each_command_has_its_own_payment():
    sandbox = Sandbox()

    assert len({sandbox.charge(c).payment_id for c in commands(1_000)}) == 1_000


def test_of_many_commands_most_succeed_and_some_decline():
    sandbox = Sandbox()

    answers = [sandbox.charge(c) for c in commands(10_000)]

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


def posted(kind):
    sandbox, charged = Sandbox(), command_answered(kind)
    return sandbox, charged, sandbox.charge(charged)


@pytest.mark.parametrize("kind", ["succeeded", "failed"])
def test_a_final_word_is_not_cancelled(kind):
    sandbox, charged, answer = posted(kind)

    assert sandbox.cancel(charged | {"kind": "cancel", "made_at": 99}) == answer
    assert sandbox.lookup(charged) == answer


def test_what_waits_for_the_customer_is_cancelled_and_stays_so():
    sandbox, charged, answer = posted("requires_action")

    cancelled = sandbox.cancel(charged | {"kind": "cancel", "made_at": 99})

    assert (cancelled.kind, cancelled.payment_id, cancelled.occurred_at) == (
        "cancelled",
        answer.payment_id,
        99,
    )
    assert sandbox.charge(charged) == sandbox.lookup(charged) == cancelled
    assert sandbox.charges() == {charged["command_id"]: 0}


def test_what_the_customer_completes_succeeds_and_is_not_cancelled():
    sandbox, charged, _ = posted("requires_action")

    sandbox.complete(charged["command_id"], 77)

    answer = sandbox.cancel(charged | {"kind": "cancel", "made_at": 99})
    assert (answer.kind, answer.occurred_at) == ("succeeded", 77)
    assert sandbox.charges() == {charged["command_id"]: 1}


def test_what_was_never_posted_is_not_known():
    assert Sandbox().lookup(command()) is None
    assert Sandbox().cancel(command(kind="cancel")) is None


def test_an_id_posted_again_is_charged_once_until_the_idempotency_memory_runs_out():
    sandbox, charged, answer = posted("succeeded")

    assert sandbox.charge(charged | {"made_at": 99}) == answer
    assert sandbox.charges() == {charged["command_id"]: 1}
    sandbox.forget_keys()
    assert sandbox.lookup(charged) == answer
    sandbox.charge(charged)
    assert sandbox.charges() == {charged["command_id"]: 2}


def test_the_memory_outlives_the_process_and_is_shared(tmp_path):
    charged = command_answered("succeeded")
    one, other = (Sandbox(memory=tmp_path / "deep" / "sandbox") for _ in range(2))

    answer = one.charge(charged)
    one.close()

    assert other.charge(charged | {"made_at": 5}) == answer
    assert other.charges() == {charged["command_id"]: 1}
    other.close()


def test_in_an_outage_nothing_happens():
    sandbox, charged, answer = posted("succeeded")
    sandbox.outage(True)

    for call in (sandbox.charge, sandbox.lookup, sandbox.cancel):
        with pytest.raises(UnavailableError):
            call(charged)

    sandbox.outage(False)
    assert sandbox.lookup(charged) == answer
    assert sandbox.posts() == {charged["command_id"]: 1}


def test_a_post_whose_answer_is_lost_went_through():
    sandbox, charged = Sandbox(), command_answered("succeeded")
    sandbox.plan(charged["command_id"], [Trouble.LOST])

    with pytest.raises(UnsureError):
        sandbox.charge(charged)

    assert sandbox.lookup(charged).kind == "succeeded"
    assert sandbox.charges() == {charged["command_id"]: 1}


def test_a_post_under_way_is_not_known_until_it_lands():
    sandbox, charged = Sandbox(), command_answered("succeeded")
    sandbox.plan(charged["command_id"], [Trouble.LATE])

    with pytest.raises(UnsureError):
        sandbox.charge(charged)

    assert sandbox.lookup(charged) is None
    assert sandbox.charge(charged).kind == "succeeded"
    sandbox.land()
    assert sandbox.charges() == {charged["command_id"]: 1}


def test_a_post_refused_at_the_door_had_no_effect():
    sandbox, charged = Sandbox(), command_answered("succeeded")
    sandbox.plan(charged["command_id"], [Trouble.UNAVAILABLE])

    with pytest.raises(UnavailableError):
        sandbox.charge(charged)

    assert sandbox.lookup(charged) is None
    assert sandbox.charges() == {}


def test_trouble_comes_by_the_seed_and_changes_no_outcome():
    def tried(sandbox, c):
        try:
            return sandbox.charge(c).kind
        except (UnavailableError, UnsureError) as e:
            return type(e)

    one, again, calm = Sandbox(trouble=3_000), Sandbox(trouble=3_000), Sandbox()
    first = [tried(one, c) for c in commands(500)]

    assert first == [tried(again, c) for c in commands(500)]
    assert {UnavailableError, UnsureError} < set(first)
    for c in commands(500):
        found = one.lookup(c)
        assert found is None or found == calm.charge(c)


def test_an_event_repeats_what_the_command_asked_for():
    event = payment_event(command(amount_minor=2_500), Sandbox().charge(command()))

    assert (event["account_id"], event["command_id"]) == ("acct-1", "acct-1:1:1")
    assert (event["amount_minor"], event["currency"], event["payment_method_ref"]) == (2_500, "EUR", "pm_1")


def test_a_word_without_a_payment_names_none():
    event = word_event(command(amount_minor=2_500), "refused", 99)

    assert (event["kind"], event["payment_id"], event["command_id"]) == (
        "refused",
        "none:acct-1:1:1",
        "acct-1:1:1",
    )
    assert (event["amount_minor"], event["occurred_at"]) == (2_500, 99)

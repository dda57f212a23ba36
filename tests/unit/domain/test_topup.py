"""Automatic top-up: never two at once, never more than allowed, every decision with its reason."""

from dataclasses import replace

import pytest

from streams.domain.events import AutomaticTopUp, PaymentKind, PriceModel
from streams.domain.outcomes import Outcome
from streams.domain.outputs import CommandKind, Notification, TopUpCommand, TopUpDecided
from tests.unit.domain.build import (
    CARD,
    DAY,
    HOUR,
    MINUTE,
    START,
    Lane,
    answer,
    at,
    auto,
    money,
    month,
    pay,
    price,
    settings,
    usage,
)

SUCCEEDED, FAILED, ACTION = PaymentKind.SUCCEEDED, PaymentKind.FAILED, PaymentKind.REQUIRES_ACTION
CANCELLED, REFUSED, UNAVAILABLE = PaymentKind.CANCELLED, PaymentKind.REFUSED, PaymentKind.UNAVAILABLE


def topping_up(paid_minor: int = 2_000, **changes: object) -> Lane:
    """Return a lane with one account just at its threshold of 20.00, at a price of 1."""
    lane = Lane(price("1"), settings(automatic_top_up=auto(**changes)), pay(paid_minor, id="first"))
    lane.tick(START)
    return lane


def decision(lane: Lane) -> str:
    return lane.account().top_up.decision


def decline(lane: Lane, **more: object) -> TopUpCommand:
    """Let the last command fail."""
    command = lane.commands[-1]
    assert lane.send(answer(command, FAILED, when=None, **more)) is Outcome.APPLIED
    return command


def test_a_balance_at_the_threshold_needs_nothing() -> None:
    lane = topping_up()

    assert (lane.commands, decision(lane)) == ([], "not_needed")


def test_dropping_below_the_threshold_makes_one_command() -> None:
    lane = topping_up()

    lane.send(usage("0.000000000001"))
    lane.send(usage(1))

    (command,) = lane.commands
    assert command == TopUpCommand(
        account_id="acme",
        command_id="acme:1:1",
        kind=CommandKind.CHARGE,
        episode=1,
        attempt=1,
        amount_minor=5_000,
        currency="USD",
        payment_method_ref=CARD,
        consent=f"v1 u1 {START}",
        made_at=START,
        expires_at=START + 23 * HOUR,
    )
    assert decision(lane) == "pending"


@pytest.mark.parametrize(("used", "minor"), [(1, 5_000), (50, 5_000), (51, 10_000), (200, 20_000)])
def test_the_amount_is_the_smallest_multiple_that_reaches_the_threshold(used: int, minor: int) -> None:
    lane = topping_up()

    lane.send(usage(used))

    assert [c.amount_minor for c in lane.commands] == [minor]


@pytest.mark.parametrize(("used", "minor"), [("1", 3_100), ("0.001", 3_001), ("20", 5_000)])
def test_a_target_is_reached_rounded_up_to_the_minor_unit(used: str, minor: int) -> None:
    lane = topping_up(amount_minor=None, target_minor=5_000)

    lane.send(usage(used))

    assert [c.amount_minor for c in lane.commands] == [minor]


def test_nothing_is_topped_up_before_the_first_tick_and_then_at_once() -> None:
    lane = Lane(price("1"), settings(automatic_top_up=auto()), usage(1))
    before = list(lane.commands), decision(lane)

    lane.tick(START)

    assert before == ([], "no_time")
    assert [c.made_at for c in lane.commands] == [START]


def test_without_consent_nothing_is_taken() -> None:
    lane = topping_up(consent=None)

    lane.send(usage(1))

    assert (lane.commands, decision(lane)) == ([], "no_consent")


def test_success_is_credited_and_ends_the_episode() -> None:
    lane = topping_up()
    lane.send(usage(1))
    lane.tick(START + HOUR // 2)

    lane.send(answer(lane.commands[0], SUCCEEDED))
    lane.send(usage(50))

    assert lane.account().balance == money(19)
    assert [c.command_id for c in lane.commands] == ["acme:1:1", "acme:2:1"]
    assert lane.mails.count("top_up_succeeded") == 1
    assert lane.entries[2].command_id == "acme:1:1"


def test_a_success_that_does_not_suffice_asks_again_after_the_least_interval() -> None:
    lane = topping_up(monthly_limit_minor=100_000)
    lane.send(usage(1))
    lane.send(usage(60))
    lane.send(answer(lane.commands[0], SUCCEEDED))
    early = len(lane.commands), decision(lane)

    lane.tick(START + 5 * MINUTE - 1)
    still = len(lane.commands)
    lane.tick(START + 5 * MINUTE)

    assert (early, still) == ((1, "too_soon"), 1)
    assert [c.amount_minor for c in lane.commands] == [5_000, 5_000]


def test_the_same_outcome_twice_changes_nothing() -> None:
    lane = topping_up()
    lane.send(usage(1))
    failed = answer(lane.commands[0], FAILED)

    assert [lane.send(failed), lane.send(failed)] == [Outcome.APPLIED, Outcome.DUPLICATE]
    assert lane.account().top_up.declines == {CARD: 1}


def test_declines_back_off_one_two_four_hours_and_the_fourth_pauses() -> None:
    lane = topping_up()
    lane.send(usage(1))
    made = [START]

    for hours in (1, 2, 4):
        decline(lane)
        due = made[-1] + hours * HOUR
        lane.tick(due - 1)
        assert decision(lane) == "backing_off"
        lane.tick(due)
        made.append(due)
    decline(lane)
    lane.tick(made[-1] + 30 * DAY)

    assert [c.made_at for c in lane.commands] == made
    assert [c.command_id for c in lane.commands] == [f"acme:1:{attempt}" for attempt in (1, 2, 3, 4)]
    assert decision(lane) == "paused"
    assert [m for m in lane.mails if m.startswith(("top_up", "auto"))] == [
        "top_up_failed",
        "auto_top_up_paused",
    ]
    failed = next(n for n in lane.all(Notification) if n.kind == "top_up_failed")
    assert failed.details["retry_at"] == str(START + HOUR)


def test_one_hard_decline_pauses() -> None:
    lane = topping_up()
    lane.send(usage(1))

    decline(lane, hard_decline=True, decline_code="stolen_card")

    assert decision(lane) == "paused"
    assert [m for m in lane.mails if m.startswith(("top_up", "auto"))] == ["auto_top_up_paused"]


@pytest.mark.parametrize("more", [{"payment_method_ref": "card-2"}, {"resumes": 1}])
def test_a_new_method_or_a_resume_ends_a_pause(more: dict[str, object]) -> None:
    lane = topping_up()
    lane.send(usage(1))
    decline(lane, hard_decline=True)

    lane.send(settings(2, automatic_top_up=auto(threshold_minor=1_999)))
    unchanged = decision(lane)
    lane.send(settings(3, automatic_top_up=auto(**more)))
    lane.tick(START + 5 * MINUTE)

    assert unchanged == "paused"
    assert [c.command_id for c in lane.commands] == ["acme:1:1", "acme:1:2"]


def test_turning_off_and_on_again_does_not_end_a_pause() -> None:
    lane = topping_up()
    lane.send(usage(1))
    decline(lane, hard_decline=True)

    lane.send(settings(2, automatic_top_up=auto(enabled=False)))
    lane.send(settings(3, automatic_top_up=None))
    lane.send(settings(4, automatic_top_up=auto()))

    assert decision(lane) == "paused"


def test_declines_count_per_method_until_it_succeeds() -> None:
    lane = topping_up()
    lane.send(usage(1))
    decline(lane)
    lane.send(settings(2, automatic_top_up=auto(payment_method_ref="card-2")))
    lane.tick(START + 5 * MINUTE)
    decline(lane)
    assert lane.account().top_up.declines == {CARD: 1, "card-2": 1}
    lane.tick(START + 2 * HOUR)

    lane.send(answer(lane.commands[-1], SUCCEEDED))

    assert lane.account().top_up.declines == {CARD: 1}


def test_a_payment_by_hand_with_a_declined_method_forgets_its_declines_but_ends_no_pause() -> None:
    lane = topping_up()
    lane.send(usage(1))
    decline(lane)
    lane.send(pay(1, payment_method_ref=CARD, when=START))
    after_success = lane.account().top_up.declines, decision(lane)
    lane.tick(START + 5 * MINUTE)
    decline(lane, hard_decline=True)

    lane.send(pay(1, payment_method_ref=CARD, when=START))

    assert after_success == ({}, "too_soon")
    assert (lane.account().top_up.declines, decision(lane)) == ({}, "paused")


def test_outage_refusal_and_cancellation_are_no_declines() -> None:
    for kind in (UNAVAILABLE, REFUSED, CANCELLED):
        lane = topping_up()
        lane.send(usage(1))

        lane.send(answer(lane.commands[0], kind))
        lane.tick(START + 5 * MINUTE)

        assert lane.account().top_up.declines == {}
        assert [c.command_id for c in lane.commands] == ["acme:1:1", "acme:1:2"]


def test_a_command_without_a_word_is_sent_again_each_hour_byte_for_byte_until_it_expires() -> None:
    lane = topping_up()
    lane.send(usage(1))

    for minute in range(0, 40 * 60, 30):
        lane.tick(START + minute * MINUTE)

    assert len(lane.commands) == 23
    assert set(lane.commands) == {lane.commands[0]}
    assert decision(lane) == "pending"


def test_required_action_is_mailed_once_and_cancelled_after_a_day_which_counts_as_a_decline() -> None:
    lane = topping_up()
    lane.send(usage(1))
    command = lane.commands[0]
    for _ in range(2):
        lane.send(answer(command, ACTION, action_url="https://bank.example/3ds"))
    lane.tick(START + 24 * HOUR - 1)
    waiting = decision(lane)
    lane.tick(START + 24 * HOUR)
    cancels = [c for c in lane.commands if c.kind is CommandKind.CANCEL]
    asked = decision(lane)

    lane.send(answer(command, CANCELLED))

    assert (waiting, asked, decision(lane)) == ("action_required", "cancelling", "backing_off")
    (mail,) = [n for n in lane.all(Notification) if n.kind == "action_required"]
    assert mail.details["action_url"] == "https://bank.example/3ds"
    assert [(c.command_id, c.made_at) for c in cancels] == [("acme:1:1", START + 24 * HOUR)]
    assert lane.account().top_up.declines == {CARD: 1}


def test_action_required_of_a_command_that_is_given_up_is_not_mailed() -> None:
    lane = topping_up()
    lane.send(usage(1))
    lane.send(settings(2, automatic_top_up=auto(enabled=False)))

    lane.send(answer(lane.commands[0], ACTION, action_url="https://pay.example/3ds"))

    assert "action_required" not in lane.mails
    assert decision(lane) == "cancelling"


def test_action_that_succeeds_after_the_cancel_was_asked_is_money() -> None:
    lane = topping_up()
    lane.send(usage(1))
    lane.send(answer(lane.commands[0], ACTION))
    lane.tick(START + 25 * HOUR)

    lane.send(answer(lane.commands[0], SUCCEEDED))

    assert lane.account().balance == money(69)
    assert lane.account().top_up.pending is None


@pytest.mark.parametrize(
    "change",
    [None, auto(enabled=False), auto(payment_method_ref="card-2"), auto(consent=None)],
    ids=["none", "off", "method", "no consent"],
)
def test_turning_off_changing_the_method_or_withdrawing_consent_asks_to_cancel(
    change: AutomaticTopUp | None,
) -> None:
    lane = topping_up()
    lane.send(usage(1))

    lane.send(settings(2, automatic_top_up=change))
    lane.send(settings(3, automatic_top_up=change, overdraft_minor=1))
    cancelling = decision(lane)
    lane.send(answer(lane.commands[0], CANCELLED))
    lane.tick(START + 5 * MINUTE)

    kinds = [(c.kind.value, c.payment_method_ref) for c in lane.commands]
    assert cancelling == "cancelling"
    assert kinds[:2] == [("charge", CARD), ("cancel", CARD)]
    is_on = change is not None and change.enabled and change.consent is not None
    assert kinds[2:] == ([("charge", "card-2")] if is_on else [])
    assert lane.account().top_up.declines == {}


def test_a_decline_after_it_was_turned_off_counts_but_is_not_mailed() -> None:
    lane = topping_up()
    lane.send(usage(1))
    lane.send(settings(2, automatic_top_up=auto(enabled=False)))

    decline(lane)

    assert lane.account().top_up.declines == {CARD: 1}
    assert "top_up_failed" not in lane.mails


def test_closing_the_account_asks_to_cancel_and_what_was_taken_is_credited() -> None:
    lane = topping_up()
    lane.send(usage(1))

    lane.send(settings(2, automatic_top_up=auto(), closed=True))
    lane.send(answer(lane.commands[0], SUCCEEDED))

    assert [c.kind.value for c in lane.commands] == ["charge", "cancel"]
    assert lane.account().balance == money(69)


def test_the_cancel_request_is_sent_again_byte_for_byte() -> None:
    lane = topping_up()
    lane.send(usage(1))
    lane.send(settings(2, automatic_top_up=auto(enabled=False)))

    for hour in range(1, 40):
        lane.tick(START + hour * HOUR)

    cancels = [c for c in lane.commands if c.kind is CommandKind.CANCEL]
    assert len(cancels) == 23
    assert len(set(cancels)) == 1


def test_where_the_gap_does_not_fit_the_limit_the_largest_multiple_does() -> None:
    lane = topping_up(amount_minor=1_000, monthly_limit_minor=3_500)

    lane.send(usage(60))

    assert [c.amount_minor for c in lane.commands] == [3_000]


def test_money_of_a_command_that_was_given_up_counts_against_the_limit_whoever_tells_of_it_first() -> None:
    lane = topping_up(amount_minor=5_000, monthly_limit_minor=8_000)
    lane.send(usage(1))
    (given_up,) = lane.commands
    lane.send(answer(given_up, UNAVAILABLE))

    lane.send(pay(5_000, id=f"pay-{given_up.command_id}"))  # the webhook, which names no command
    lane.send(answer(given_up, PaymentKind.SUCCEEDED))
    lane.send(usage(60))
    lane.tick(START + HOUR)

    assert lane.commands == [given_up]
    assert decision(lane) == "monthly_limit"


def test_a_target_takes_what_is_left_of_the_limit() -> None:
    lane = topping_up(amount_minor=None, target_minor=5_000, monthly_limit_minor=1_234)

    lane.send(usage(1))

    assert [c.amount_minor for c in lane.commands] == [1_234]


def test_where_nothing_fits_the_limit_it_is_told_once_a_month_and_again_when_it_is_raised() -> None:
    lane = topping_up(monthly_limit_minor=5_000)
    lane.send(usage(1))
    lane.send(answer(lane.commands[0], SUCCEEDED))
    lane.tick(START + HOUR)

    lane.send(usage(60))
    lane.send(usage(1))
    lane.tick(START + 2 * HOUR)
    told = lane.mails.count("monthly_limit_reached"), decision(lane)
    lane.send(settings(2, automatic_top_up=auto(monthly_limit_minor=4_000)))
    lowered = lane.mails.count("monthly_limit_reached")
    lane.send(settings(3, automatic_top_up=auto(monthly_limit_minor=6_000)))
    raised = lane.mails.count("monthly_limit_reached")
    lane.send(settings(4, automatic_top_up=auto(monthly_limit_minor=10_000)))

    assert (told, lowered, raised) == ((1, "monthly_limit"), 1, 2)
    assert [c.amount_minor for c in lane.commands] == [5_000, 5_000]


def test_a_limit_that_was_lowered_and_raised_to_what_it_was_is_told_again_under_another_id() -> None:
    lane = topping_up(monthly_limit_minor=4_000)
    lane.send(usage(1))

    for revision, limit in enumerate((3_000, 3_000, 4_000, 4_000), start=2):
        lane.send(settings(revision, automatic_top_up=auto(monthly_limit_minor=limit)))

    told = [n.notification_id for n in lane.all(Notification) if n.kind.value == "monthly_limit_reached"]
    assert told == ["acme:monthly_limit_reached:2025-01:1", "acme:monthly_limit_reached:2025-01:4"]


def test_when_the_month_turns_in_the_accounts_zone_the_limit_begins_anew() -> None:
    zoned = settings(2, automatic_top_up=auto(monthly_limit_minor=5_000), zone="America/New_York")
    lane = Lane(price("1"), replace(zoned, revision=1), pay(2_000))
    lane.tick(START)
    lane.send(usage(1))
    lane.send(answer(lane.commands[0], SUCCEEDED))
    lane.send(usage(60))
    lane.tick("2025-02-01 04:59")
    before = len(lane.commands)

    lane.tick("2025-02-01 05:00")

    assert (before, len(lane.commands)) == (1, 2)
    assert lane.account().top_up.month == month("2025-02")


def test_a_command_that_ended_without_money_does_not_count_until_money_comes_after_all() -> None:
    lane = topping_up(monthly_limit_minor=5_000)
    lane.send(usage(1))
    decline(lane)
    freed = lane.account().top_up.taken_minor
    lane.tick(START + HOUR)
    lane.send(answer(lane.commands[1], REFUSED))

    lane.send(answer(lane.commands[0], SUCCEEDED))
    lane.send(usage(60))
    lane.tick(START + 3 * HOUR)

    assert freed == 0
    assert lane.account().top_up.taken_minor == 5_000
    assert decision(lane) == "monthly_limit"
    assert len(lane.commands) == 2


def test_a_success_first_told_without_its_command_still_ends_it() -> None:
    lane = topping_up()
    lane.send(usage(1))
    told = answer(lane.commands[0], SUCCEEDED)

    lane.send(replace(told, command_id=None))
    outcome = lane.send(told)

    assert outcome is Outcome.DUPLICATE
    assert lane.account().top_up.pending is None
    assert lane.account().balance == money(69)


def test_every_decision_is_told_with_its_reason_when_it_changed() -> None:
    lane = topping_up()
    lane.send(usage(1))
    lane.send(usage(1))
    lane.send(answer(lane.commands[0], SUCCEEDED))

    assert [(d.decision, d.since, d.balance) for d in lane.all(TopUpDecided)] == [
        ("no_time", None, 0),
        ("not_needed", None, money(20)),
        ("pending", START, money(19)),
        ("not_needed", START, money(68)),
    ]


def test_a_charge_that_gives_money_back_ends_the_need_in_the_same_step() -> None:
    falling = price(meter="bulk", model=PriceModel.VOLUME, tiers=[("10", "10"), (None, "1")])
    lane = topping_up(paid_minor=11_900)
    lane.send(falling)
    lane.send(usage(10, meter="bulk"))
    decline(lane)

    before = decision(lane)
    lane.send(usage(1, meter="bulk"))

    assert (before, decision(lane)) == ("backing_off", "not_needed")
    assert not lane.account().top_up.episode_open


def test_a_manual_payment_during_back_off_makes_the_attempt_needless() -> None:
    lane = topping_up()
    lane.send(usage(1))
    decline(lane)

    lane.send(pay(1_000, id="by-hand"))
    lane.tick(START + 2 * HOUR)
    needless = len(lane.commands), decision(lane)
    lane.send(usage(10))

    assert needless == (1, "not_needed")
    assert [c.command_id for c in lane.commands] == ["acme:1:1", "acme:2:1"]


def test_a_limit_set_later_counts_what_was_taken_in_this_month_only() -> None:
    lane = topping_up()
    lane.send(usage(1))
    lane.send(answer(lane.commands[0], SUCCEEDED))
    lane.tick("2025-02-05")
    lane.send(usage(50, when=at("2025-02-05"), read=at("2025-02-05")))
    lane.send(answer(lane.commands[1], SUCCEEDED))
    lane.tick("2025-02-06")

    lane.send(settings(2, automatic_top_up=auto(monthly_limit_minor=10_000)))
    lane.send(usage(50, when=at("2025-02-06"), read=at("2025-02-06")))

    assert [c.amount_minor for c in lane.commands] == [5_000, 5_000, 5_000]
    assert lane.account().top_up.taken_minor == 10_000

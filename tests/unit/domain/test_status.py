"""Status follows the balance at once; mails follow the status that stands at a tick."""

import pytest

from streams.domain.events import AdjustmentKind
from streams.domain.outputs import Notification, Status, StatusChanged
from tests.unit.domain.build import MINUTE, START, Lane, adjust, auto, pay, price, settings, tick, usage


def statuses(lane: Lane) -> list[str]:
    return [change.status.value for change in lane.all(StatusChanged)]


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({}, "suspended"),
        ({"overdraft_minor": 1}, "active"),
        ({"overdraft_minor": 1, "warning_level_minor": 1}, "low"),
    ],
)
def test_a_new_account_has_the_status_that_zero_gives_it(more: dict[str, object], status: str) -> None:
    lane = Lane(settings(**more))  # type: ignore[arg-type]

    assert statuses(lane) == [status]


def test_status_follows_every_change_of_balance_with_its_hysteresis() -> None:
    lane = Lane(settings(warning_level_minor=1_000))
    steps = []

    for amount in ("10", "-0.01", "0.11", "0.89", "0.01", "-1", "-0.01", "-10", "-1"):
        kind = AdjustmentKind.DEBIT if amount.startswith("-") else AdjustmentKind.CREDIT
        lane.send(adjust(kind, amount.lstrip("-")))
        steps.append(lane.account().status.value)

    assert steps == ["active", "low", "low", "low", "active", "active", "low", "suspended", "suspended"]
    assert statuses(lane) == ["suspended", "active", "low", "active", "low", "suspended"]


def test_low_begins_below_the_level_and_suspended_at_minus_the_overdraft() -> None:
    lane = Lane(price("1"), settings(warning_level_minor=300, overdraft_minor=200), pay(500))
    steps = []

    for _ in range(7):
        lane.send(usage(1))
        steps.append((lane.account().balance // 10**12, lane.account().status.value))

    assert steps == [
        (4, "active"),
        (3, "active"),
        (2, "low"),
        (1, "low"),
        (0, "low"),
        (-1, "low"),
        (-2, "suspended"),
    ]


def test_settings_change_the_status_as_well() -> None:
    lane = Lane(settings())

    lane.send(settings(2, overdraft_minor=100))

    assert statuses(lane) == ["suspended", "active"]


def test_mails_follow_the_status_that_stands_at_the_tick() -> None:
    lane = Lane(price("1"), settings(warning_level_minor=300), pay(1_000), tick(START))
    lane.work()
    lane.said.clear()

    lane.send(usage(8))
    before = list(lane.mails)
    lane.tick(START + 1)
    lane.send(usage(2))
    lane.tick(START + 2)
    lane.send(pay(1_000, id="p2"))
    lane.tick(START + 3)

    assert before == []
    assert lane.mails == ["low_balance", "suspended", "payment_received", "reactivated"]
    low = lane.all(Notification)[0]
    assert low.details == {
        "currency": "USD",
        "balance_minor": "200",
        "status": "low",
        "warning_level_minor": "300",
    }


def test_a_backlog_worked_off_between_two_ticks_mails_once() -> None:
    lane = Lane(price("1"), settings(warning_level_minor=300), pay(1_000), tick(START))
    lane.work()
    lane.said.clear()

    for quantity in (8, 2):
        lane.send(usage(quantity))
    lane.send(pay(1_000, id="p2"))
    lane.send(usage(8))
    lane.tick(START + 1)

    assert statuses(lane) == ["low", "suspended", "active", "low"]
    assert lane.mails == ["payment_received", "low_balance"]


def test_a_status_that_came_back_before_the_tick_is_not_mailed() -> None:
    lane = Lane(price("1"), settings(), pay(500), tick(START))
    lane.work()
    lane.said.clear()

    lane.send(usage(5))
    lane.send(pay(500, id="p2"))
    lane.tick(START + 1)

    assert lane.mails == ["payment_received"]


def test_an_account_suspended_again_before_the_tick_is_not_mailed_a_second_time() -> None:
    lane = Lane(price("1"), settings(), tick(START))

    lane.send(pay(500))
    lane.send(usage(5))
    lane.tick(START + 1)

    assert lane.mails == ["payment_received"]


def test_from_suspended_to_low_is_one_mail() -> None:
    lane = Lane(settings(warning_level_minor=1_000), tick(START))

    lane.send(pay(500))
    lane.tick(START + 1)

    assert lane.mails == ["payment_received", "reactivated"]


def test_a_status_changed_during_a_sweep_is_mailed_at_the_next_tick() -> None:
    lane = Lane(settings(), tick(START))

    lane.send(pay(500))
    lane.work()
    early = list(lane.mails)
    lane.tick(START + 1)

    assert early == ["payment_received"]
    assert lane.mails == ["payment_received", "reactivated"]


def test_a_closed_account_is_closed_whatever_its_balance_and_tops_nothing_up() -> None:
    lane = Lane(settings(automatic_top_up=auto(), closed=True), tick(START))
    lane.send(pay(100))
    lane.tick(START + 10 * MINUTE)

    assert lane.account().status is Status.CLOSED
    assert lane.commands == []
    assert lane.account().top_up.decision == "closed"

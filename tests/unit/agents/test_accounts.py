"""An account to its bytes and back is the same account."""

from collections.abc import Iterator
from dataclasses import fields
from itertools import count
from typing import Any

import pytest

from schemas import wire
from streams.agents.accounts import account_of, account_values
from streams.domain.account import Account, Ended
from streams.domain.events import AdjustmentKind, PaymentKind, TaxRate
from streams.domain.outputs import Status
from tests.unit.domain.build import (
    DAY,
    HOUR,
    START,
    Lane,
    adjust,
    answer,
    at,
    auto,
    money,
    pay,
    price,
    settings,
    tick,
    usage,
)

CODEC = wire.fixed().codec("state-account")


def encoded(account: Account) -> bytes:
    """Return an account as it is stored."""
    return CODEC.encode(account_values(account))


def again(account: Account) -> Account:
    """Return an account as a restart finds it."""
    return account_of(CODEC.values(encoded(account)))


def busy_lane() -> Lane:
    """Return a lane with an account whose every field was used."""
    rates = (TaxRate(0, money("0.19")), TaxRate(START + DAY, money("0.2")))
    lane = Lane(
        price(),
        settings(automatic_top_up=auto(monthly_limit_minor=20_000), warning_level_minor=500, tax_rates=rates),
        tick(START),
        usage("1.5"),
        adjust(AdjustmentKind.CREDIT, "0.01"),
        pay(300, id="p1", kind=PaymentKind.REFUNDED, reference="r1"),
    )
    lane.send(answer(lane.commands[0], PaymentKind.FAILED))
    lane.tick(START + HOUR)
    lane.send(answer(lane.commands[1], PaymentKind.REQUIRES_ACTION))
    lane.tick(START + 26 * HOUR)
    lane.tick("2025-02-02")
    lane.send(usage(3, when=at("2025-01-20"), read=at("2025-02-02")))
    lane.send(usage(3, when=at("2025-02-02")))
    lane.send(settings(2, zone="Asia/Tokyo", tax_rates=rates, automatic_top_up=auto(), when=at("2025-02-02")))
    return lane


def test_an_account_survives_its_record() -> None:
    account = busy_lane().account()

    back = again(account)

    assert back == account
    assert back.calendar is None
    assert account.top_up.pending is not None
    assert account.periods


def test_a_closed_account_survives_its_record() -> None:
    lane = busy_lane()
    lane.send(settings(3, zone="Asia/Tokyo", closed=True, when=at("2025-02-02")))
    account = lane.account()

    back = again(account)

    assert back == account
    assert account.cut_at == account.closed_at == at("2025-02-02")
    assert [len(row.parts) for row in back.rows.values()] == [1, 1, 1]


def test_a_new_account_survives_its_record() -> None:
    account = Lane(settings()).account()

    assert again(account) == account


def test_every_field_of_an_account_is_stored_or_worked_out() -> None:
    worked_out = {f.name for f in fields(Account) if not f.compare}
    stored = {field["name"] for field in wire.definition("state-account")["fields"]}

    assert stored == {f.name for f in fields(Account)} - worked_out


def test_settings_are_written_anew() -> None:
    lane = busy_lane()
    account = lane.account()
    encoded(account)

    lane.send(settings(3, zone="Asia/Tokyo", overdraft_minor=77, when=at("2025-02-03")))

    assert again(account) == account
    assert again(account).overdraft_minor == 77


def test_what_documents_carry_is_written_anew() -> None:
    lane = busy_lane()
    account = lane.account()
    encoded(account)

    lane.tick("2025-03-02")

    assert again(account) == account
    assert any(row.parts for row in account.rows.values())


@pytest.mark.parametrize("closed", [False, True])
def test_every_value_of_an_account_is_stored_under_its_own_name(closed: bool) -> None:
    """All values differ, so that no two can change places; the truth values are tried both ways."""
    numbers = count(10)
    account = busy_lane().account()
    account.top_up.ended = (Ended("", 0),)
    scatter(account, numbers)
    account.closed, account.by_default = closed, not closed
    pending = account.top_up.pending
    assert pending is not None
    account.top_up.episode_open = account.top_up.paused = pending.cancel_is_decline = closed

    back = again(account)

    assert back == account
    assert next(numbers) > 80


def scatter(part: Any, numbers: Iterator[int]) -> Any:
    """Return a value as it was, but every number and text in it another one; dataclasses change in place."""
    if isinstance(part, bool | Status) or part is None:
        return part
    if isinstance(part, int):
        return next(numbers)
    if isinstance(part, str):
        return f"text {next(numbers)}"
    if isinstance(part, list | tuple):
        return type(part)(scatter(item, numbers) for item in part)
    if isinstance(part, dict):
        return {scatter(key, numbers): scatter(item, numbers) for key, item in part.items()}
    for f in fields(part):
        if f.compare:
            object.__setattr__(part, f.name, scatter(getattr(part, f.name), numbers))
    return part


def test_wake_at_is_the_first_field_so_that_the_engine_can_index_it() -> None:
    assert wire.definition("state-account")["fields"][0]["name"] == "wake_at"


def test_a_lane_read_back_goes_on_as_if_it_had_never_stopped() -> None:
    stopped, running = busy_lane(), busy_lane()
    account = stopped.account()
    stopped.shelves.accounts.put(again(account))
    resumed = Lane(shelves=stopped.shelves)

    for lane in (resumed, running):
        lane.said.clear()
        lane.send(usage(7, id="later", when=at("2025-02-03"), read=at("2025-02-03")))
        lane.tick("2025-04-02")

    assert resumed.said == running.said
    assert resumed.account() == running.account()

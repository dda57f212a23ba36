"""State to record to Avro and back is the same state: what a restart would find."""

from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import count
from typing import Any

import pytest

from schemas import wire
from streams.agents import events, states
from streams.domain.account import Account, Adjusted, Ended, LaneState, Payment, Waiting
from streams.domain.events import (
    Adjustment,
    AdjustmentKind,
    PaymentKind,
    Price,
    PriceModel,
    ReversedUsage,
    TaxRate,
)
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


def through_avro(name: str, record: dict[str, Any] | tuple[Any, ...]) -> dict[str, Any]:
    """Return a record as it comes back from its wire bytes."""
    schemas = wire.fixed()
    return schemas.decode(schemas.codec(name).encode(record), name)[1]


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

    back = states.account_of(through_avro("state-account", states.account_record(account)))

    assert back == account
    assert back.calendar is None
    assert account.top_up.pending is not None
    assert account.periods


def test_a_closed_account_survives_its_record() -> None:
    lane = busy_lane()
    lane.send(settings(3, zone="Asia/Tokyo", closed=True, when=at("2025-02-02")))
    account = lane.account()

    back = states.account_of(through_avro("state-account", states.account_record(account)))

    assert back == account
    assert account.cut_at == account.closed_at == at("2025-02-02")
    assert [len(row.parts) for row in back.rows.values()] == [1, 1, 1]


def test_a_new_account_survives_its_record() -> None:
    account = Lane(settings()).account()

    assert states.account_of(through_avro("state-account", states.account_record(account))) == account


def test_every_field_of_an_account_is_stored_or_worked_out() -> None:
    worked_out = {f.name for f in fields(Account) if not f.compare}
    stored = [field["name"] for field in wire.definition("state-account")["fields"]]

    assert set(stored) == {f.name for f in fields(Account)} - worked_out
    assert len(states.account_record(busy_lane().account())) == len(stored)


@pytest.mark.parametrize("closed", [False, True])
def test_every_value_of_an_account_is_stored_under_its_own_name(closed: bool) -> None:
    """All values differ, so that no two can change places; the truth values are tried both ways."""
    numbers = count(10)
    account = busy_lane().account()
    account.top_up.ended.append(Ended("", 0))
    scatter(account, numbers)
    account.closed, account.by_default = closed, not closed
    pending = account.top_up.pending
    assert pending is not None
    account.top_up.episode_open = account.top_up.paused = pending.cancel_is_decline = closed

    back = states.account_of(through_avro("state-account", states.account_record(account)))

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
    stopped.shelves.accounts.put(
        states.account_of(through_avro("state-account", states.account_record(account)))
    )
    again = Lane(shelves=stopped.shelves)

    for lane in (again, running):
        lane.said.clear()
        lane.send(usage(7, id="later", when=at("2025-02-03"), read=at("2025-02-03")))
        lane.tick("2025-04-02")

    assert again.said == running.said
    assert again.account() == running.account()


def test_a_payment_survives_its_record_with_what_waits_in_it() -> None:
    lane = Lane(
        settings(),
        pay(1_000, id="p1", command_id="c1"),
        pay(100, id="p1", kind=PaymentKind.REFUNDED, reference="r1"),
        pay(0, id="p1", kind=PaymentKind.FAILED),
        pay(100, id="p1", kind=PaymentKind.DISPUTE_WON, reference="d1", decline_code="x", action_url="y"),
    )
    payment = lane.shelves.payments.get("acme", "p1")
    assert payment is not None
    assert payment.waiting

    back: Payment = states.payment_of(through_avro("state-payment", states.payment_record(payment)))

    assert back == payment


def reversal() -> Adjustment:
    """Return a reversal as the back office sends it."""
    reversed_usage = ReversedUsage(source="api", event_id="e", meter="calls", quantity=5, occurred_at=START)
    return replace(adjust(AdjustmentKind.REVERSAL, "1"), amount=None, usage=reversed_usage)


@pytest.mark.parametrize(
    "event",
    [usage("1.5"), pay(5, reference="r", hard_decline=True), adjust(AdjustmentKind.DEBIT, "1"), reversal()],
    ids=["usage", "payment", "adjustment", "reversal"],
)
def test_a_waiting_event_survives_its_record_with_its_origin(event: Any) -> None:
    row = Waiting(7, event)

    assert states.waiting_of(through_avro("state-waiting", states.waiting_record(row))) == row


def test_the_smaller_states_survive_their_records() -> None:
    adjusted = Adjusted("acme", "a1", b"12345678", 3)
    lane = LaneState(START, START - DAY, 9)

    assert states.adjusted_of(through_avro("state-adjustment", states.adjusted_record(adjusted))) == adjusted
    assert states.lane_of(through_avro("state-lane", states.lane_record(lane))) == lane
    assert states.lane_of(through_avro("state-lane", states.lane_record(LaneState()))) == LaneState()


@pytest.mark.parametrize(
    "version",
    [
        price().price,
        price(model=PriceModel.GRADUATED, tiers=[("1", "2"), (None, "1")], free_allowance=5).price,
        price(model=PriceModel.PACKAGE, package_size=money(100)).price,
    ],
)
def test_a_price_survives_its_record(version: Price) -> None:
    assert events.price_of(through_avro("price", states.price_record(version))) == version

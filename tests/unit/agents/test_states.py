"""State to record to Avro and back is the same state: what a restart would find."""

from dataclasses import replace
from typing import Any

import pytest

from schemas import wire
from streams.agents import events, states
from streams.domain.account import Adjusted, LaneState, Payment, Waiting
from streams.domain.events import (
    Adjustment,
    AdjustmentKind,
    PaymentKind,
    Price,
    PriceModel,
    ReversedUsage,
)
from tests.unit.domain.build import (
    DAY,
    START,
    Lane,
    adjust,
    money,
    pay,
    price,
    settings,
    usage,
)


def through_avro(name: str, record: dict[str, Any] | tuple[Any, ...]) -> dict[str, Any]:
    """Return a record as it comes back from its wire bytes."""
    schemas = wire.fixed()
    return schemas.decode(schemas.codec(name).encode(record), name)[1]


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

"""The workload: the same for ever, shaped as it says, and the same events for all in each format."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest

from bench.encoding import OurWriter, PeerWriter
from bench.peers import common
from bench.workload import METERS, SPAN_MS, START_MS, Payment, Shape, Usage, account_id, workload
from schemas.wire import fixed

SHAPE = Shape(events=20_000, accounts=500)
EVENTS = list(workload(SHAPE))
USAGE = [event for event in EVENTS if isinstance(event, Usage)]
PAYMENTS = [event for event in EVENTS if isinstance(event, Payment)]


def test_the_same_seed_is_the_same_workload_and_another_is_another():
    assert list(workload(SHAPE)) == EVENTS
    assert list(workload(replace(SHAPE, seed=2))) != EVENTS


def test_about_one_usage_event_in_a_hundred_is_a_duplicate_of_a_recent_one():
    seen: dict[str, Usage] = {}
    duplicates = 0
    for event in USAGE:
        duplicates += event.event_id in seen
        assert seen.setdefault(event.event_id, event) == event

    assert len(USAGE) == SHAPE.events
    assert 0.008 < duplicates / len(USAGE) < 0.012


def test_two_months_five_meters_all_accounts():
    assert USAGE[0].ms == START_MS
    assert max(event.ms for event in USAGE) < START_MS + SPAN_MS
    assert {event.meter for event in USAGE} == set(range(len(METERS)))
    assert {event.account for event in USAGE} == set(range(SHAPE.accounts))


def test_by_zipf_few_accounts_have_much_and_many_have_little():
    uses = Counter(e.account for e in workload(replace(SHAPE, skew="zipf")) if isinstance(e, Usage))

    assert uses[0] > 20 * uses[SHAPE.accounts - 1]


def test_no_payment_is_refunded_beyond_what_it_was():
    left = {p.payment_id: p.minor for p in PAYMENTS if p.status == "succeeded"}
    refunds = [p for p in PAYMENTS if p.status == "refunded"]
    for refund in refunds:
        assert refund.refunds is not None
        left[refund.refunds] -= refund.minor

    assert refunds
    assert min(left.values()) >= 0


@pytest.mark.parametrize("event", [USAGE[0], USAGE[77], max(USAGE, key=lambda e: e.micro)])
def test_a_usage_event_is_the_same_in_both_formats(event: Usage):
    ours = fixed().codec("usage-event").decode(OurWriter(SHAPE.accounts, fixed()).usage(event))
    theirs = common.decode(common.schema("usage"), PeerWriter(SHAPE.accounts).usage(event))

    assert Decimal(ours.pop("quantity")).scaleb(-12) == theirs.pop("quantity")
    assert ours.pop("source") == "bench"
    theirs["occurred_at"] = int(theirs["occurred_at"].timestamp() * 1000)
    assert ours == theirs
    assert ours["account_id"] == account_id(event.account)


@pytest.mark.parametrize("status", ["succeeded", "failed", "refunded"])
def test_a_payment_is_the_same_in_both_formats(status: str):
    event = next(p for p in PAYMENTS if p.status == status)

    ours = fixed().codec("payment-event").decode(OurWriter(SHAPE.accounts, fixed()).payment(event))
    theirs = common.decode(common.schema("payment"), PeerWriter(SHAPE.accounts).payment(event))

    assert (ours["reference"] or ours["payment_id"]) == theirs["payment_id"]
    assert ours["payment_id"] == (event.refunds or event.payment_id)
    assert ours["kind"] == theirs["status"] == status
    assert ours["amount_minor"] == theirs["amount_minor"]
    assert ours["occurred_at"] == int(theirs["occurred_at"].timestamp() * 1000)
